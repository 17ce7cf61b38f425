"""A change of a score in money: through retention, margin and referral, draw by draw, so that chain draws flow in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.base import Base, Change
from spc.economics.buyers import DrawnBuyers
from spc.economics.figures import multiple
from spc.economics.link import RetentionLink
from spc.economics.loyalty import LoyaltyValue
from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Replicates, Shown, tidy_frame

__all__ = ["LinkMoney", "effect_draws", "money_of_link"]


class HasEffects(Protocol):
    """Effects of a fitted chain: their names and draws."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each effect, such as ``"total: x -> y"``."""

    @property
    def draws(self) -> FloatArray:
        """One column an effect."""


def effect_draws(chain: Any, cause: str, outcome: str) -> FloatArray:
    """Draws of the total effect of one construct on another, on the scale of the scores, (n,).

    Parameters
    ----------
    chain : ChainFit or Effects
        See :func:`spc.fit_chain` and :func:`spc.effects`.
    cause, outcome : str

    Raises
    ------
    UsageError
        There is no such effect.
    """
    found: HasEffects = getattr(chain, "effects", chain)
    names = list(getattr(found, "names", ()))
    for name in (f"total: {cause} -> {outcome}", f"direct: {cause} -> {outcome}"):
        if name in names:
            return np.asarray(found.draws[:, names.index(name)])
    ends = sorted({name.split(": ", 1)[1] for name in names if name.startswith(("total: ", "direct: "))})
    raise UsageError(f"There is no effect of {cause} on {outcome}; there are: {', '.join(ends) or 'none'}.")


@dataclass(frozen=True, eq=False, repr=False)
class LinkMoney(Shown):
    """What a change of a score is worth.

    Attributes
    ----------
    table : DataFrame
        Tidy rows, see :meth:`tidy`.
    draws : Replicates
        Columns ``change`` (of the score), ``retention`` (points), ``customer`` and ``base`` (money), and the parts
        ``by_retention, by_margin, by_referral`` of the money of a customer.
    present : int
        Customers the base counts.
    level : float
    note_list : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    draws: Replicates
    present: int
    level: float
    note_list: tuple[Note, ...]
    provenance: Provenance
    kind: str = "link_money"

    def tidy(self) -> pd.DataFrame:
        """One row a figure.

        Kinds: ``change`` (of the score), ``retention`` (points of present customers), ``money`` (per customer), its
        parts ``part`` by retention, margin and referral, which sum to it, and ``money_base`` (all present customers).
        """
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: customers, draws, level."""
        row = {"customers": self.present, "draws": len(self.draws.values), "level": self.level}
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the figures."""
        return self.note_list


def money_of_link(
    loyalty: LoyaltyValue,
    link: RetentionLink,
    effect: npt.ArrayLike = 1.0,
    *,
    change: float = 1.0,
    referral_value: float | None = None,
    seed: int = 1,
) -> LinkMoney:
    """What a change is worth that reaches customers' retention, margin and referrals through their score.

    Every draw multiplies an effect of the chain with a slope of the link, and values the customers anew: retention and
    margin of the base are drawn too, so the interval holds all three uncertainties.

    Parameters
    ----------
    loyalty : LoyaltyValue
        Customers and terms.
    link : RetentionLink
        From the score to retention, margin and referral.
    effect : float or (n,) array-like
        What one step of the cause does to the score: draws of the chain (:func:`effect_draws`), or 1 for a change of
        the score itself.
    change : float
        How many steps.
    referral_value : float, optional
        What a customer who is brought is worth; the value of a customer to be won (without the acquisition cost, since
        nobody paid for it) when left out.
    seed : int

    Returns
    -------
    LinkMoney

    Raises
    ------
    UsageError
        No margins in the ledger, or draws of no use.
    UnsupportedError
        Customers without a contract, whose retention is not seen.

    Notes
    -----
    Chain, link and customers are drawn independently of each other. They rest on the same units, so an unlucky draw of
    units moves them together; the interval leaves that out.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> mood, unit = rng.normal(5, 1, 40), np.repeat(np.arange(40), 50)
    >>> life = rng.geometric(1 / (1 + np.exp(1 + 0.4 * (mood[unit] - 5))))
    >>> ledger = pd.DataFrame({"unit": unit, "tenure": np.minimum(life, 4), "churned": life <= 4, "margin": 100.0})
    >>> from spc.economics import loyalty_value, retention_link
    >>> value = loyalty_value(ledger, horizon=5, discount=0.10)
    >>> link = retention_link(ledger, pd.DataFrame({"unit": np.arange(40), "score": mood}))
    >>> worth = money_of_link(value, link, effect=np.full(1000, 0.5), change=0.2)
    >>> bool(worth.tidy().set_index("kind").loc["money", "estimate"] > 0)
    True
    """
    if loyalty.margin is None or loyalty.joint.margin is None:
        raise UsageError("The ledger has no margins, so a change of retention cannot be said in money.")
    given = np.atleast_1d(np.asarray(effect, dtype=float))
    if given.ndim != 1 or not np.isfinite(given).all() or not math.isfinite(change):
        raise UsageError("The effect must be a number, or an array of draws without missing ones; so must the change.")
    base = loyalty.base(drawn=True)
    if isinstance(base, DrawnBuyers):
        raise UnsupportedError("Without a contract nobody is seen to leave, so no score can be linked to retention.")
    n, rng = len(loyalty.draws.values), np.random.default_rng(seed)
    moved = change * (given if given.size == n else given[rng.integers(given.size, size=n)])
    slopes = dict(zip(link.names, link.draws(n, rng).T, strict=True))
    drawn = _worth(loyalty, base, loyalty.joint.margin, moved, slopes, referral_value, drawn=True)
    one = {name: np.array([value]) for name, value in zip(link.names, link.estimate, strict=True)}
    middle = np.array([change * float(given.mean())])
    point = _worth(loyalty, loyalty.base(), np.array([loyalty.margin.estimate]), middle, one, referral_value)
    present, level = loyalty.present, loyalty.terms.level
    values = np.column_stack([*drawn.values(), present * drawn["customer"]])
    names = (*drawn, "base")
    points = [*(float(value[0]) for value in point.values()), present * float(point["customer"][0])]
    table = tidy_frame(list(_rows(names, points, values, link, loyalty, level)))
    provenance = Provenance.record(
        {"change": change, "effect": "one number" if given.size == 1 else f"{given.size} draws"},
        loyalty.provenance.data_fingerprint,
        seed,
    )
    replicates = Replicates(values, names, seed=seed)
    return LinkMoney(table, replicates, present, level, tuple(_notes(link, loyalty)), provenance)


def _worth(
    loyalty: LoyaltyValue,
    base: Base,
    margin: FloatArray,
    moved: FloatArray,
    slopes: dict[str, FloatArray],
    referral_value: float | None,
    *,
    drawn: bool = False,
) -> dict[str, FloatArray]:
    """Change of retention and money per present customer, draw by draw."""
    d, h = loyalty.terms.discount, loyalty.terms.horizon
    shift = _more_odds(moved * slopes["retention"]) if "retention" in slopes else lambda rate: rate
    now, then = multiple(base, loyalty.terms, h), multiple(base, loyalty.terms, h, shift)
    kept = np.atleast_1d(margin * (then - now))
    earned = np.atleast_1d(moved * slopes["margin"] * then) if "margin" in slopes else np.zeros(kept.size)
    brought = np.zeros(kept.size)
    if "referral" in slopes:
        won = margin * loyalty.base(new=True, drawn=drawn).multiple(d, h, first=True)
        brought = np.atleast_1d(moved * slopes["referral"] * (won if referral_value is None else referral_value))
    return {
        "change": np.atleast_1d(moved),
        "retention": np.atleast_1d(base.next_rate(shift) - base.next_rate()),
        "by_retention": kept,
        "by_margin": earned,
        "by_referral": brought,
        "customer": kept + earned + brought,
    }


def _more_odds(shift: FloatArray) -> Change:
    """So much more in the log odds of everybody's staying; a row of rates a draw."""

    def change(rate: FloatArray) -> FloatArray:
        step = shift[:, None] if rate.ndim > 1 else shift
        leave = 1.0 - rate
        return np.asarray(rate / (rate + leave * np.exp(-np.clip(step, -500.0, 500.0))))

    return change


_LHS = {
    "change": ("score", "change"),
    "retention": ("retention", "retention"),
    "by_retention": ("by retention", "part"),
    "by_margin": ("by margin", "part"),
    "by_referral": ("by referral", "part"),
    "customer": ("customer value", "money"),
    "base": ("customer value", "money_base"),
}


def _rows(
    names: tuple[str, ...],
    points: list[float],
    values: FloatArray,
    link: RetentionLink,
    loyalty: LoyaltyValue,
    level: float,
) -> list[dict[str, Any]]:
    tail = (1 - level) / 2
    rows = []
    for name, point, drawn in zip(names, points, values.T, strict=True):
        lhs, kind = _LHS[name]
        if kind == "part" and lhs.removeprefix("by ") not in link.names:
            continue
        low, high = np.quantile(drawn, [tail, 1 - tail])
        rhs = {
            "change": link.construct,
            "retention": f"per {loyalty.terms.period}, present customers",
            "money_base": f"{loyalty.terms.ahead}, {loyalty.present} customers",
        }.get(kind, f"{loyalty.terms.ahead}, per customer")
        rows.append(
            {
                "lhs": lhs,
                "rhs": rhs,
                "kind": kind,
                "estimate": point,
                "std_error": float(drawn.std(ddof=1)),
                "conf_low": float(low),
                "conf_high": float(high),
            }
        )
    return rows


def _notes(link: RetentionLink, loyalty: LoyaltyValue) -> list[Note]:
    notes = [Note.of("association_in_money", "info", "customer value")]
    negative = loyalty.margin is not None and loyalty.margin.estimate < 0
    if negative:
        notes.append(Note.of("negative_margin", "serious", "margin", "link"))
    return [*notes, *link.notes()]
