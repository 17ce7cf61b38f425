"""Models with ordered items, by least squares on thresholds and polychoric correlations."""

from __future__ import annotations

from spc.errors import UnsupportedError
from spc.sem.groups import Given
from spc.sem.options import Options
from spc.sem.result import SemFit
from spc.spec.table import Model

__all__ = ["fit_ordinal"]


def fit_ordinal(model: Model | str, data: Given, options: Options) -> SemFit:
    """Fit a model with ordered items.

    Raises
    ------
    UnsupportedError
        Always: there is no method yet.
    """
    del model, data
    listed = ", ".join(options.ordered)
    raise UnsupportedError(f"Ordered items ({listed}) have no method in this version: fit continuous items.")
