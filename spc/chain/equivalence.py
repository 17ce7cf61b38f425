"""Whether a link is too small to matter: two one-sided tests against a smallest effect of interest.

An interval that covers zero does not show that there is nothing. Two one-sided tests do: at level alpha they find a
link practically nil when its interval of level ``1 - 2 alpha`` lies wholly inside the smallest effect of interest, on
either side of zero (Schuirmann 1987). The smallest effect is stated in standard deviations, or in money: what one
standard deviation of the cause moves the money outcome at the end of the chain through this one link.

References
----------
Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.
Lakens, Scheel & Isager (2018), Advances in Methods and Practices in Psychological Science 1, 259-269.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.chain.implied_links import ImpliedLink, implied_links
from spc.chain.links import Verdict, outcomes, verdict
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import DataError, UsageError
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem import SemFit
from spc.sem.postestimation.effects import Effects

if TYPE_CHECKING:
    from spc.chain.result import ChainFit

__all__ = ["Equivalence", "LinkEquivalence", "Smallest", "equivalence", "link_equivalence", "money_outcome",
           "two_one_sided"]  # fmt: skip

MONEY = ("profitability", "revenue_growth")


@dataclass(frozen=True, slots=True)
class Smallest:
    """Smallest effect of interest.

    Attributes
    ----------
    sd : float or None
        Of a link, in standard deviations of effect and cause.
    money : float or None
        Of one standard deviation of the cause on the money outcome through the link, in the units of that outcome.
        Where both are given, money decides for the links that lead to the outcome.
    outcome : str
        The money outcome; empty for the one at the end of the chain.

    Raises
    ------
    UsageError
        One of them is not positive, or none is given.
    """

    sd: float | None = None
    money: float | None = None
    outcome: str = ""

    def __post_init__(self) -> None:
        given = [value for value in (self.sd, self.money) if value is not None]
        if not given or not all(math.isfinite(value) and value > 0.0 for value in given):
            raise UsageError(
                f"Smallest effect sd={self.sd}, money={self.money}: give a positive number of standard deviations, "
                "such as 0.1, or of money."
            )


def two_one_sided(
    estimate: float, error: float, smallest: float, *, df: float = math.inf, alpha: float = 0.05
) -> tuple[float, float, float]:
    """Two one-sided tests that an estimate lies between ``-smallest`` and ``smallest``.

    Parameters
    ----------
    estimate, error : float
    smallest : float
    df : float
        Degrees of freedom of Student's t; infinite for the normal distribution.
    alpha : float

    Returns
    -------
    p_value, low, high : float
        The larger p-value of the two, and the interval of level ``1 - 2 alpha``.

    Examples
    --------
    >>> p_value, low, high = two_one_sided(0.02, 0.03, 0.1)
    >>> round(p_value, 4), round(low, 3), round(high, 3)
    (0.0038, -0.029, 0.069)
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    width = error * float(ndtri(1.0 - alpha) if math.isinf(df) else stdtrit(df, 1.0 - alpha))
    if error > 0.0:
        nearest = (smallest - abs(estimate)) / error
        p_value = float(ndtr(-nearest) if math.isinf(df) else stdtr(df, -nearest))
    else:
        p_value = math.nan
    return p_value, estimate - width, estimate + width


@dataclass(frozen=True)
class LinkEquivalence:
    """One link against the smallest effect of interest.

    Attributes
    ----------
    lhs, rhs : str
    scale : {"sd", "money"}
        What the numbers are in.
    estimate, std_error, p_value, conf_low, conf_high : float
        The link on that scale, the p-value of the two tests, and the interval of level ``1 - 2 alpha``.
    smallest : float
    verdict : str
    """

    lhs: str
    rhs: str
    scale: str
    estimate: float
    std_error: float
    p_value: float
    conf_low: float
    conf_high: float
    smallest: float
    verdict: Verdict


@dataclass(frozen=True, eq=False, repr=False)
class Equivalence(Shown):
    """Every link of a chain against the smallest effect of interest.

    Attributes
    ----------
    links : tuple of LinkEquivalence
    smallest : Smallest
    outcome : str
        The money outcome; empty where no money is asked for.
    alpha : float
        Level of each one-sided test.
    rows : int
        Units, or persons.
    messages : tuple of Note
    provenance : Provenance
    """

    links: tuple[LinkEquivalence, ...]
    smallest: Smallest
    outcome: str
    alpha: float
    rows: int
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "equivalence"

    def tidy(self) -> pd.DataFrame:
        """Two rows a link: ``effect_sd`` or ``effect_money`` (``label`` the verdict) and ``smallest``."""
        rows = []
        for link in self.links:
            ends = {"lhs": link.lhs, "op": "~", "rhs": link.rhs}
            rows.append(ends | {
                "kind": f"effect_{link.scale}", "label": link.verdict, "estimate": link.estimate,
                "std_error": link.std_error, "p_value": link.p_value, "conf_low": link.conf_low,
                "conf_high": link.conf_high,
            })  # fmt: skip
            rows.append(ends | {"kind": "smallest", "label": link.scale, "estimate": link.smallest})
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: links, how many are practically nil or too small to matter, rows behind them."""
        count = {word: sum(link.verdict == word for link in self.links) for word in _SMALL}
        return pd.DataFrame([{
            "links": len(self.links), "practically_nil": count[_SMALL[0]], "too_small": count[_SMALL[1]],
            "alpha": self.alpha, "nobs": self.rows,
        }])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What could not be tested, and why."""
        return self.messages


_SMALL = ("practically nil", "too small to matter")


def equivalence(
    chain: ChainFit,
    *,
    smallest: float | None = None,
    money: float | None = None,
    outcome: str = "",
    level: float | None = None,
) -> Equivalence:
    """Test whether each link of a chain is too small to matter.

    Parameters
    ----------
    chain : ChainFit
    smallest : float, optional
        Smallest effect of interest in standard deviations; the study's own where neither it nor ``money`` is given.
    money : float, optional
        Smallest effect of interest in money a row: what one standard deviation of the cause (among units, where units
        are the rows) moves the money outcome through the link. Intervals come from the chain's draws, so what is
        uncertain further down the chain counts.
    outcome : str
        The money outcome; by default ``profitability``, else ``revenue_growth``, else the last end of the chain.
    level : float, optional
        ``1 - alpha`` of each one-sided test; the level of the chain by default.

    Returns
    -------
    Equivalence

    Raises
    ------
    UsageError
        No smallest effect anywhere, or an outcome that is not in the chain.
    DataError
        A smallest effect in money beyond all that the outcome varies by.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> found = equivalence(spc.fit_chain(study, draws=500), smallest=0.1)
    >>> sorted(set(found.tidy()["kind"]))
    ['effect_sd', 'smallest']
    >>> folder.cleanup()
    """
    asked = chain.smallest if smallest is None and money is None else Smallest(smallest, money, outcome)
    if asked is None:
        raise UsageError(
            "State the smallest effect that would matter: smallest= in standard deviations, or money=; or set "
            "smallest_effect or smallest_effect_money under [chain]."
        )
    level = chain.effects.level if level is None else level
    found, end = link_equivalence(chain.sem, chain.effects, chain.links, asked, level)
    notes = _notes(chain, found, asked, end)
    options = {"sd": asked.sd, "money": asked.money, "outcome": end, "level": level}
    rows = implied_links(chain.sem)[0].rows
    return Equivalence(
        found, asked, end, 1.0 - level, rows, notes,
        Provenance.record(options, chain.provenance.data_fingerprint, chain.provenance.seed),
    )  # fmt: skip


def _notes(chain: ChainFit, found: Sequence[LinkEquivalence], asked: Smallest, end: str) -> tuple[Note, ...]:
    tested = {(link.lhs, link.rhs) for link in found}
    left = [f"{rhs} -> {lhs}" for lhs, rhs in zip(chain.links["lhs"], chain.links["rhs"], strict=True)
            if (lhs, rhs) not in tested]  # fmt: skip
    if not left:
        return ()
    return (Note.of("no_way_to_money", "info", ", ".join(left), n=len(left), end=end),)


def money_outcome(links: Mapping[str, Sequence[str]], asked: str = "") -> str:
    """Construct at the end of a chain that money is counted in.

    Raises
    ------
    UsageError
        The one asked for is no effect in the chain.

    Examples
    --------
    >>> money_outcome({"b": ["a"], "profitability": ["b"], "revenue_growth": ["b"]})
    'profitability'
    """
    if asked:
        if asked not in links:
            raise UsageError(f"outcome={asked!r} is no effect in the chain; there are {', '.join(links)}.")
        return asked
    causes = {cause for names in links.values() for cause in names}
    ends = [effect for effect in links if effect not in causes]
    return next((name for name in MONEY if name in ends), ends[-1])


def link_equivalence(
    sem: SemFit | TwoSidedFit,
    effects: Effects,
    links: pd.DataFrame,
    smallest: Smallest,
    level: float,
) -> tuple[tuple[LinkEquivalence, ...], str]:
    """Links against a smallest effect, and the money outcome where money is asked for.

    Parameters
    ----------
    sem : SemFit or TwoSidedFit
    effects : Effects
        Of the same fit.
    links : DataFrame
        Rows of the links: ``lhs, rhs, estimate, std_error, conf_low, conf_high``, ``readable`` and ``negative``.
    smallest : Smallest
    level : float
        ``1 - alpha`` of each one-sided test.
    """
    end = ""
    if smallest.money is not None:
        end = money_outcome(outcomes(sem.model), smallest.outcome)
    own: list[Any] = list(links.itertuples(index=False))
    rows = {(row.lhs, row.rhs): row for row in own}
    found = []
    each = implied_links(sem)
    _refuse_beyond(each, smallest, end)
    for link in each:
        row = rows[link.lhs, link.rhs]
        through = _through(effects, link, end) if end else None
        if through is not None and smallest.money is not None:
            found.append(_in_money(link, row, through, smallest.money, level))
        elif smallest.sd is not None:
            found.append(_in_deviations(link, row, smallest.sd, level))
    return tuple(found), end


def _refuse_beyond(links: Sequence[ImpliedLink], smallest: Smallest, end: str) -> None:
    """A smallest effect beyond all that the outcome varies by is one in other units."""
    spread = next((link.effect_sd for link in links if link.lhs == end), math.inf)
    if smallest.money is not None and smallest.money > spread:
        raise DataError.of(
            "study", "chain.smallest_effect_money", "smallest_effect_beyond_outcome",
            f"{smallest.money:g}, where {end} varies by a standard deviation of {spread:.4g}",
            f"a part of what {end} varies by, in its own units",
            "Is the outcome in money? A rate such as a margin needs a smallest effect in that rate; or state one in "
            "standard deviations.",
        )  # fmt: skip


def _verdict(row: Any, smallest: float, inner: tuple[float, float]) -> Verdict:
    return verdict(
        row.conf_low, row.conf_high, interpretable=row.readable, negative=row.negative, smallest=smallest, inner=inner
    )


def _in_deviations(link: ImpliedLink, row: Any, smallest: float, level: float) -> LinkEquivalence:
    ratio = link.cause_sd / link.effect_sd
    value, error = row.estimate * ratio, row.std_error * ratio
    p_value, low, high = two_one_sided(value, error, smallest, df=link.df, alpha=1.0 - level)
    word = _verdict(row, smallest, (low, high))
    return LinkEquivalence(link.lhs, link.rhs, "sd", value, error, p_value, low, high, smallest, word)


def _through(effects: Effects, link: ImpliedLink, end: str) -> tuple[float, Any] | None:
    """Effect of one standard deviation of the cause on the end through the link: its value, and its draws."""
    direct = f"direct: {link.rhs} -> {link.lhs}"
    onward = "" if link.lhs == end else f"total: {link.lhs} -> {end}"
    if onward and onward not in effects.names:
        return None
    places = [effects.names.index(name) for name in (direct, onward) if name]
    value = effects.table["estimate"].to_numpy(dtype=float)[places].prod()
    return link.cause_sd * float(value), link.cause_sd * effects.draws[:, places].prod(axis=1)


def _in_money(
    link: ImpliedLink, row: Any, through: tuple[float, Any], smallest: float, level: float
) -> LinkEquivalence:
    value, draws = through
    draws = draws[np.isfinite(draws)]
    low, high = np.quantile(draws, [1.0 - level, level])
    beyond = max(int((draws <= -smallest).sum()), int((draws >= smallest).sum()))
    word = _verdict(row, smallest, (float(low), float(high)))
    return LinkEquivalence(
        link.lhs, link.rhs, "money", value, float(draws.std(ddof=1)), (1 + beyond) / (1 + len(draws)), float(low),
        float(high), smallest, word,
    )  # fmt: skip
