"""The site: these documents, the reference from the docstrings, and the notebooks with what they print."""

from __future__ import annotations

import shutil
from importlib.metadata import version as installed
from pathlib import Path

here = Path(__file__).parent
shutil.copytree(here.parent / "notebooks", here / "notebooks", dirs_exist_ok=True)

project = "service-profit-chain"
version = release = installed("service-profit-chain")
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "myst_nb"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = "service-profit-chain"
html_show_copyright = False

autodoc_typehints = "none"
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
suppress_warnings = ["ref.python"]  # the n of "(n, k) array" is no name
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
