"""How strong a hidden common cause would have to be to take a link away (Cinelli & Hazlett 2020).

A link among observed variables may be the work of something unobserved that moves both its ends. No data tell whether
there is such a thing, but they do tell how strong it would have to be. The *robustness value* is that strength: the
share that it would have to explain of what is left in the cause and of what is left in the effect, the same in both,
once the other causes in the chain are taken out.

References
----------
Cinelli & Hazlett (2020), Journal of the Royal Statistical Society B 82, 39-67.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spc.chain.implied_links import ImpliedLink, implied_links
from spc.chain.naming import title_of
from spc.chain.result import ChainFit
from spc.errors import UsageError
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.words import Phrase, phrase

__all__ = ["LinkRobustness", "Robustness", "adjusted_slope", "link_robustness", "partial_r2", "robustness_value"]


def partial_r2(t: float, df: float) -> float:
    r"""Share that a cause explains of what the other causes leave of the effect: :math:`t^2 / (t^2 + df)`.

    Examples
    --------
    >>> round(partial_r2(4.184, 783), 4)
    0.0219
    """
    return t * t / (t * t + df)


def robustness_value(
    t: float, df: float, *, share: float = 1.0, alpha: float | None = None, inflation: float = 1.0
) -> float:
    r"""Partial R square with both cause and effect that a hidden cause needs to take a slope away.

    Parameters
    ----------
    t : float
        Slope over its classical error.
    df : float
        Residual degrees of freedom, more than one.
    share : float
        Share of the slope to be taken away.
    alpha : float, optional
        Take away its significance at this level instead of the slope itself.
    inflation : float
        Error that the test uses over the classical one, for errors that allow for clusters or unequal spread.

    Returns
    -------
    float
        Between 0 (nothing to take away) and 1.

    Notes
    -----
    With :math:`f = \text{share} \cdot |t| / \sqrt{df}`, less :math:`t^*_{df-1} / \sqrt{df - 1}` where significance is
    asked for, the value is :math:`(\sqrt{f^4 + 4 f^2} - f^2) / 2`; where the threshold alone binds it is
    :math:`(f^2 - f_*^2) / (1 + f^2)` (Cinelli & Hazlett 2020, equations 7 and 19).

    Examples
    --------
    The worked example of the paper, harm by violence in Darfur:

    >>> round(robustness_value(4.184, 783), 3), round(robustness_value(4.184, 783, alpha=0.05), 3)
    (0.139, 0.076)
    """
    from scipy.special import stdtrit

    f = share * abs(t) / math.sqrt(df)
    critical = 0.0 if alpha is None else inflation * float(stdtrit(df - 1, 1.0 - alpha / 2.0)) / math.sqrt(df - 1)
    left = f - critical
    if left <= 0.0:
        return 0.0
    if critical > 0.0 and f > 1.0 / critical:
        return (f * f - critical * critical) / (1.0 + f * f)
    return 0.5 * (math.sqrt(left**4 + 4.0 * left**2) - left**2)


def adjusted_slope(strength: float, with_cause: float, with_effect: float) -> float:
    r"""Share of a slope that remains when a hidden cause as strong as an observed one is allowed for.

    Parameters
    ----------
    strength : float
        Cohen's f of the link.
    with_cause, with_effect : float
        Partial R squares of the observed cause: with the cause of the link given the other causes, and with its effect
        given all of them.

    Returns
    -------
    float
        1 where nothing is lost, below 0 where the sign turns; NaN where no hidden cause can be that strong.

    References
    ----------
    Cinelli & Hazlett (2020), section 4.4, with both multiples one.

    Examples
    --------
    >>> round(adjusted_slope(4.184 / 783**0.5, 0.00908, 0.1093), 2)
    0.77
    """
    if not (with_cause < 0.5 and with_effect < 1.0):
        return float("nan")
    hidden_cause = with_cause / (1.0 - with_cause)
    shared = with_cause**2 / ((1.0 - with_cause) * (1.0 - with_cause))
    lift = (1.0 + math.sqrt(shared)) / math.sqrt(1.0 - shared)
    hidden_effect = min(lift**2 * with_effect / (1.0 - with_effect), 1.0)
    lost = math.sqrt(hidden_effect * hidden_cause / (1.0 - hidden_cause)) if hidden_cause < 1.0 else float("inf")
    return 1.0 - lost / strength if strength > 0.0 else float("nan")


@dataclass(frozen=True)
class LinkRobustness:
    """One link against a hidden common cause.

    Attributes
    ----------
    lhs, rhs : str
    partial_r2 : float
        Share that the cause explains of what the other causes leave of the effect; also what a hidden cause that
        explained all the rest of the effect would have to explain of the cause.
    value : float
        Robustness value of the link itself.
    value_alpha : float
        Robustness value of its being clear of zero.
    other : str
        Strongest other cause in the chain; empty where there is none.
    with_cause, with_effect : float
        Partial R squares of that other cause.
    remains : float
        Share of the link that remains beside a hidden cause as strong as that other one.
    """

    lhs: str
    rhs: str
    partial_r2: float
    value: float
    value_alpha: float
    other: str = ""
    with_cause: float = float("nan")
    with_effect: float = float("nan")
    remains: float = float("nan")

    def sentence(self, other: str = "") -> Phrase:
        """What the number means, in plain words; ``other`` is what the other cause is called."""
        if not self.other:
            return phrase("note.reason.robustness.alone", value=self.value)
        name = other or self.other
        if math.isnan(self.remains):
            return phrase("note.reason.robustness.close", value=self.value, other=name)
        told = {"value": self.value, "other": name, "of_cause": self.with_cause, "of_effect": self.with_effect}
        if self.remains > 0:
            return phrase("note.reason.robustness.remains", remains=self.remains, **told)
        return phrase("note.reason.robustness.gone", **told)


@dataclass(frozen=True, eq=False, repr=False)
class Robustness(Shown):
    """Every link of a chain against a hidden common cause.

    Attributes
    ----------
    links : tuple of LinkRobustness
    rows : int
        Units, or persons.
    labels : mapping of str to str
        Names of the constructs for readers.
    provenance : Provenance
    """

    links: tuple[LinkRobustness, ...]
    rows: int
    labels: Mapping[str, str]
    provenance: Provenance
    kind: str = "robustness"

    def tidy(self) -> pd.DataFrame:
        """Rows of each link.

        ``kind`` is ``partial_r2``, ``robustness_value``, ``robustness_value_alpha``, and where the effect has other
        causes ``benchmark_cause``, ``benchmark_effect`` (partial R squares of the strongest, named in ``label``) and
        ``benchmark_remains`` (share of the link beside a hidden cause as strong).
        """
        return tidy_frame([row for link in self.links for row in _rows(link)])

    def glance(self) -> pd.DataFrame:
        """One row: links, the least robustness value, rows behind them."""
        least = min((link.value for link in self.links), default=float("nan"))
        return pd.DataFrame({"links": [len(self.links)], "least": [least], "nobs": [self.rows]})

    def notes(self) -> tuple[Note, ...]:
        """One sentence a link."""
        return tuple(
            Note("robustness", "info", f"{link.rhs} -> {link.lhs}", link.sentence(title_of(link.other, self.labels)))
            for link in self.links
        )


def _rows(link: LinkRobustness) -> Iterator[dict[str, Any]]:
    values = {
        "partial_r2": link.partial_r2,
        "robustness_value": link.value,
        "robustness_value_alpha": link.value_alpha,
    }
    if link.other:
        values |= {
            "benchmark_cause": link.with_cause,
            "benchmark_effect": link.with_effect,
            "benchmark_remains": link.remains,
        }
    for kind, value in values.items():
        label = link.other if kind.startswith("benchmark") else ""
        yield {"lhs": link.lhs, "op": "~", "rhs": link.rhs, "kind": kind, "label": label, "estimate": value}


def link_robustness(chain: ChainFit, *, share: float = 1.0, level: float | None = None) -> Robustness:
    """How strong a hidden common cause would have to be to take each link of a chain away.

    Parameters
    ----------
    chain : ChainFit
        Of units or persons; links of latent variables and of two-sided fits are taken as these fits have them, free of
        the error that they take out.
    share : float
        Share of the link to be taken away.
    level : float, optional
        Level at which a link is clear of zero; that of the chain by default.

    Returns
    -------
    Robustness

    Raises
    ------
    UsageError
        ``share`` or ``level`` is not between 0 and 1.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> found = link_robustness(spc.fit_chain(study, draws=200))
    >>> found.tidy()["kind"].tolist()[:3]
    ['partial_r2', 'robustness_value', 'robustness_value_alpha']
    >>> folder.cleanup()
    """
    level = chain.effects.level if level is None else level
    if not (0.0 < share <= 1.0 and 0.0 < level < 1.0):
        raise UsageError(f"share={share}, level={level}: give shares between 0 and 1.")
    own: list[Any] = list(chain.links.itertuples(index=False))
    ratios = {(row.lhs, row.rhs): row.estimate / row.std_error for row in own}
    found = []
    each = implied_links(chain.sem)
    for link in each:
        t = float(ratios[link.lhs, link.rhs])
        if not chain.two_sided:
            t *= math.sqrt(link.df / link.rows)
        found.append(_link(link, t, share, 1.0 - level))
    return Robustness(
        tuple(found), each[0].rows, chain.labels,
        Provenance.record({"share": share, "level": level}, chain.provenance.data_fingerprint, chain.provenance.seed),
    )  # fmt: skip


def _link(link: ImpliedLink, t: float, share: float, alpha: float) -> LinkRobustness:
    """Strength from the implied covariances; the error that the chain's interval has from its own t."""
    classical = link.strength * math.sqrt(link.df)
    inflation = classical / abs(t) if t else float("inf")
    value = robustness_value(classical, link.df, share=share)
    value_alpha = 0.0 if not math.isfinite(inflation) else robustness_value(
        classical, link.df, share=share, alpha=alpha, inflation=inflation
    )  # fmt: skip
    own = partial_r2(classical, link.df)
    if not link.others:
        return LinkRobustness(link.lhs, link.rhs, own, value, value_alpha)
    remains = {name: adjusted_slope(link.strength, one, two) for name, one, two in link.others}
    name, one, two = max(link.others, key=lambda other: other[1] * other[2])
    return LinkRobustness(link.lhs, link.rhs, own, value, value_alpha, name, one, two, remains[name])
