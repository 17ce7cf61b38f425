"""From blocks to one page of HTML that needs nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spc.report.blocks import Report, ScenarioBlock
from spc.words import say, speaking

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_html"]

_TEMPLATES = Path(__file__).parent / "templates"
_BEFORE_CURRENCY = re.compile("−(?=[€$£¥])")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_held,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["say"] = say
    made.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False, "allow_nan": False}
    return made


def _held(value: Any) -> Any:
    """A minus that no line ends with: without the joiner one may break between it and the sign of a currency."""
    return type(value)(_BEFORE_CURRENCY.sub("−\u2060", value)) if isinstance(value, str) else value


def render_html(report: Report) -> str:
    """The page of a report: no font, no address outside itself, and one script, named by its hash.

    The page forbids every other script, whatever stands in the texts of a study.
    """
    moved = any(isinstance(block, ScenarioBlock) for section in report.sections for block in section.blocks)
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8") if moved else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    with speaking(report.language):
        template = _environment().get_template("report.html.j2")
        allowed = f"'sha256-{digest}'" if script else "'none'"
        return str(template.render(report=report, script=script, script_hash=allowed))
