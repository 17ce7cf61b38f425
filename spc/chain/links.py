"""The links of a chain, read from its regressions, and what an interval says about each."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from spc.errors import DataError
from spc.spec import Model

if TYPE_CHECKING:
    from spc.study import ChainSpec, Study

__all__ = ["Verdict", "outcomes", "required_chain", "verdict"]

Verdict = Literal["holds", "unclear", "opposite", "practically nil", "too small to matter", "not interpretable"]


def required_chain(study: Study) -> ChainSpec:
    """What a study asks of its chain.

    Raises
    ------
    DataError
        It has none.
    """
    if study.chain is None:
        raise DataError.of(
            "study", "chain", "no_chain", "no [chain]", "a preset or a model",
            'Add [chain] with preset = "service-profit-chain", or model = """...""".',
        )  # fmt: skip
    return study.chain


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


def verdict(
    conf_low: float,
    conf_high: float,
    *,
    interpretable: bool = True,
    negative: bool = False,
    smallest: float | None = None,
    inner: tuple[float, float] | None = None,
) -> Verdict:
    """What an interval says about a link that theory has positive, or negative where it is named so.

    Parameters
    ----------
    conf_low, conf_high : float
        Ends of the interval of the link.
    interpretable : bool
        False when the fit as a whole cannot tell the links apart.
    negative : bool
        The link is expected to be negative.
    smallest : float, optional
        Smallest effect of interest, on either side of zero.
    inner : tuple of float, optional
        Interval that is held against the smallest effect, on its scale: of level ``1 - 2 alpha`` for two one-sided
        tests at ``alpha``. The interval of the link where it is not given.

    Returns
    -------
    {"holds", "unclear", "opposite", "practically nil", "too small to matter", "not interpretable"}
        The interval lies on the expected side of zero, covers zero, lies on the other side; lies wholly inside the
        smallest effect and covers zero, or does not; or must not be read.

    Examples
    --------
    >>> verdict(0.1, 0.4), verdict(-0.1, 0.4), verdict(-0.4, -0.1)
    ('holds', 'unclear', 'opposite')
    >>> verdict(-0.4, -0.1, negative=True)
    'holds'
    >>> verdict(-0.04, 0.06, smallest=0.1), verdict(0.01, 0.06, smallest=0.1)
    ('practically nil', 'too small to matter')
    """
    if not interpretable or math.isnan(conf_low) or math.isnan(conf_high):
        return "not interpretable"
    low, high = (conf_low, conf_high) if inner is None else inner
    clear = conf_low > 0 or conf_high < 0
    if smallest is not None and -smallest < low and high < smallest:
        return "too small to matter" if clear else "practically nil"
    if not clear:
        return "unclear"
    return "holds" if (conf_high < 0) == negative else "opposite"
