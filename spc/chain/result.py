"""A fitted chain: the structural model, its effects and the regressions beside it, in one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from spc.chain.equivalence import Smallest, link_equivalence
from spc.chain.links import verdict
from spc.chain.two_sided_result import TwoSidedFit
from spc.regression import LinkRegressions
from spc.results import Note, Provenance, Shown
from spc.sem import SemFit
from spc.sem.postestimation.effects import Effects

__all__ = ["ChainFit"]

NOT_FOR_READING = frozenset({"collinear_latents", "latent_not_positive_definite"})


@dataclass(frozen=True, eq=False, repr=False)
class ChainFit(Shown):
    """The service-profit chain fitted on one study.

    Attributes
    ----------
    sem : SemFit or TwoSidedFit
        The structural model; ``sem.model.text`` is its text.
    effects : Effects
        Every direct, indirect and total effect with intervals from draws.
    regressions : LinkRegressions
        The same links one by one on statsmodels.
    level : {"unit", "person"}
        What a row of the analysis is.
    nunits : int
        Units the rows come from; None when the study has none.
    waves : mapping
        Wave each construct was taken at.
    scores : DataFrame
        The analysis rows, one column a construct. Confidential: it never leaves as it is.
    labels : mapping
        Names of the constructs for readers.
    messages : tuple of Note
    provenance : Provenance
    resampled : bool
        Whether the draws come from resampling; single parameters then take their intervals from them too.
    smallest : Smallest, optional
        Smallest effect of interest; a link shown to be smaller has the verdict ``practically nil``, or ``too small to
        matter`` where it is clear of zero.
    negative : frozenset of (str, str)
        Links, effect and cause, that are expected to be negative.
    """

    sem: SemFit | TwoSidedFit
    effects: Effects
    regressions: LinkRegressions
    level: str
    nunits: int | None
    waves: Mapping[str, Any]
    scores: pd.DataFrame
    labels: Mapping[str, str]
    messages: tuple[Note, ...]
    provenance: Provenance
    resampled: bool = False
    smallest: Smallest | None = None
    negative: frozenset[tuple[str, str]] = frozenset()
    kind: str = "chain"

    @property
    def two_sided(self) -> bool:
        """Whether links rest on the respondents themselves, not on scores of rows."""
        return isinstance(self.sem, TwoSidedFit)

    @property
    def interpretable(self) -> bool:
        """Whether the links may be read one by one at all."""
        return not any(note.code in NOT_FOR_READING for note in self.notes())

    def tidy(self) -> pd.DataFrame:
        """Long table.

        ``kind`` is ``link`` (direct effect, ``label`` its verdict), ``indirect``, ``total_indirect``, ``total``
        (``label`` the way through the chain), ``regression`` (the check, ``label`` its method), then the other
        parameters of the structural model.
        """
        return self._tidy.copy()

    @cached_property
    def _others(self) -> pd.DataFrame:
        return self.sem.parameters()

    @cached_property
    def _effects(self) -> pd.DataFrame:
        return self.effects.tidy() if self.resampled else _with_exact_links(self.effects.tidy(), self._others)

    @cached_property
    def links(self) -> pd.DataFrame:
        """Rows of the links; ``readable``: whether each may be read; ``negative``: so expected. Without verdicts."""
        rows = self._effects[self._effects["kind"] == "direct"].assign(kind="link")
        pairs = zip(rows["lhs"], rows["rhs"], strict=True)
        return rows.assign(
            readable=self.interpretable & ~rows["rhs"].isin(self.sem.unreadable),
            negative=[pair in self.negative for pair in pairs],
        )

    @cached_property
    def _tidy(self) -> pd.DataFrame:
        effects, others, links = self._effects, self._others, self.links
        rows: list[Any] = list(links.itertuples(index=False))
        words = {
            (row.lhs, row.rhs): verdict(row.conf_low, row.conf_high, interpretable=row.readable, negative=row.negative)
            for row in rows
        }
        if self.smallest is not None:
            tested, _ = link_equivalence(self.sem, self.effects, links, self.smallest, self.effects.level)
            words |= {(link.lhs, link.rhs): link.verdict for link in tested}
        links = links.drop(columns=["readable", "negative"]).assign(
            label=[words[pair] for pair in zip(links["lhs"], links["rhs"], strict=True)]
        )
        return pd.concat(
            [
                links,
                effects[effects["kind"] != "direct"],
                self.regressions.tidy(),
                others[others["op"] != "~"],
            ],
            ignore_index=True,
        )

    def glance(self) -> pd.DataFrame:
        """One row: fit of the structural model, level and number of units."""
        row = self.sem.glance().assign(level=self.level, nunits=float("nan") if self.nunits is None else self.nunits)
        return row.assign(nobs=self.nunits) if self.level == "unit" else row

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know: of the chain, the structural model, its effects and the regressions."""
        every = (*self.messages, *self.sem.notes(), *self.effects.notes(), *self.regressions.notes())
        said = {note.code for note in self.messages}
        return tuple(dict.fromkeys(n for n in every if n.code != "dropped_rows" or "units_left_out" not in said))


_SPREAD = ["std_error", "statistic", "p_value", "conf_low", "conf_high"]


def _with_exact_links(effects: pd.DataFrame, parameters: pd.DataFrame) -> pd.DataFrame:
    """Effects that are one parameter have its own error and interval: draws would only add noise to them."""
    keys = ["lhs", "rhs"]
    paths = parameters[parameters["op"] == "~"].set_index(keys)[_SPREAD]
    onward = pd.MultiIndex.from_frame(effects.loc[effects["kind"] == "total_indirect", keys])
    pairs = pd.MultiIndex.from_frame(effects[keys])
    single = effects["kind"].eq("direct") | (effects["kind"].eq("total") & ~pairs.isin(onward))
    exact = effects.copy()
    exact.loc[single, _SPREAD] = paths.reindex(pairs[single]).to_numpy(dtype=float)
    return exact
