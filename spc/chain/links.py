"""The links of a chain, read from its regressions, and what an interval says about each."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Literal

from spc.spec import Model

__all__ = ["Verdict", "outcomes", "verdict"]

Verdict = Literal["holds", "unclear", "opposite", "not interpretable"]


def outcomes(model: Model) -> dict[str, list[str]]:
    """Predictors of every outcome of the regressions, in order of the text.

    Examples
    --------
    >>> from spc.spec import model
    >>> outcomes(model("b ~ a; c ~ a + b"))
    {'b': ['a'], 'c': ['a', 'b']}
    """
    links: dict[str, list[str]] = defaultdict(list)
    for row in model.parameters:
        if row.op == "~":
            links[row.lhs].append(row.rhs)
    return dict(links)


def verdict(conf_low: float, conf_high: float, *, interpretable: bool = True) -> Verdict:
    """What an interval says about a link that theory has positive.

    Parameters
    ----------
    conf_low, conf_high : float
        Ends of the interval of the link.
    interpretable : bool
        False when the fit as a whole cannot tell the links apart.

    Returns
    -------
    {"holds", "unclear", "opposite", "not interpretable"}
        The interval lies above zero, covers zero, lies below zero; or must not be read.

    Examples
    --------
    >>> verdict(0.1, 0.4), verdict(-0.1, 0.4), verdict(-0.4, -0.1)
    ('holds', 'unclear', 'opposite')
    """
    if not interpretable or math.isnan(conf_low) or math.isnan(conf_high):
        return "not interpretable"
    if conf_low > 0:
        return "holds"
    return "opposite" if conf_high < 0 else "unclear"
