"""Whether a link shows again: in each wave, and in each region of the units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from spc.chain.links import outcomes
from spc.chain.rows import AnalysisRows, analysis_rows
from spc.errors import DataError
from spc.regression import link_regressions
from spc.spec import model
from spc.study import Study

__all__ = ["Replication", "replications"]

FEWEST = {"unit": 10, "person": 30}
MOST_AGREE = 0.75


@dataclass(frozen=True, eq=False)
class Replication:
    """One link estimated apart in several parts of the data.

    Attributes
    ----------
    lhs, rhs : str
    parts : DataFrame
        One row a part: ``kind`` (``wave`` or ``region``), ``rows``, ``estimate``, ``std_error``, ``conf_low``,
        ``conf_high``, ``std_all``. Parts have no names here: these could give a small group away.
    sign : float
        1 or -1, of the link as a whole.
    """

    lhs: str
    rhs: str
    parts: pd.DataFrame
    sign: float

    @property
    def agreeing(self) -> float:
        """Share of the parts in which the link has the sign of the whole."""
        return float((np.sign(self.parts["estimate"]) == self.sign).mean()) if len(self.parts) else float("nan")

    @property
    def contradicted(self) -> bool:
        """Whether the interval of a part lies wholly on the other side of zero."""
        ends = self.parts[["conf_low", "conf_high"]] * self.sign
        return bool((ends.max(axis=1) < 0.0).any())

    @property
    def heterogeneity(self) -> float:
        """P-value of Cochran's Q over the parts of a kind, the least of the kinds; NaN without two parts of a kind."""
        values = [_cochran(part) for _, part in self.parts.groupby("kind") if len(part) > 1]
        return min(values, default=float("nan"))

    @property
    def met(self) -> str:
        """Whether the parts agree: ``yes``, ``partly``, ``no``, or ``not checked`` with fewer than two."""
        if len(self.parts) < 2:
            return "not checked"
        if self.contradicted or self.agreeing <= 0.5:
            return "no"
        return "yes" if self.agreeing >= MOST_AGREE and not self.heterogeneity < 0.05 else "partly"


def _cochran(parts: pd.DataFrame) -> float:
    from scipy.special import chdtrc

    weight = 1.0 / parts["std_error"].to_numpy(dtype=float) ** 2
    value = parts["estimate"].to_numpy(dtype=float)
    q = float((weight * (value - (weight @ value) / weight.sum()) ** 2).sum())
    return float(chdtrc(len(parts) - 1, q))


def replications(
    study: Study, signs: Mapping[tuple[str, str], float], *, level: float = 0.95
) -> dict[tuple[str, str], Replication]:
    """Estimate each link of a study's chain apart in each wave and each region, by least squares.

    Parameters
    ----------
    study : Study
        With a ``[chain]``. Regions are those of a column ``region`` in the table of units.
    signs : mapping of (effect, cause) to float
        Sign of each link as a whole.
    level : float

    Returns
    -------
    dict
        By (effect, cause). A wave counts where both ends have waves, with the link's lag kept; a part counts with ten
        units or thirty persons, or the study's minimum group where that is larger.
    """
    assert study.chain is not None
    found = {pair: list[dict[str, Any]]() for pair in signs}
    links = outcomes(model(study.chain.model))
    own = analysis_rows(study, links, study.chain.lags).level
    study = _with_chain(study, level=own)
    for lhs, causes in links.items():
        for kind, part in _parts(study, lhs, causes):
            least = max(FEWEST[part.level], study.disclosure.minimum_group)
            for row in _slopes(part, lhs, causes, level, least):
                if kind == "region" or (row["rhs"] in part.waves and lhs in part.waves):
                    found[lhs, row["rhs"]].append({"kind": kind, **row})
    columns = ["kind", "rows", "estimate", "std_error", "conf_low", "conf_high", "std_all"]
    return {
        pair: Replication(pair[0], pair[1], pd.DataFrame(rows, columns=columns), float(np.sign(signs[pair])))
        for pair, rows in found.items()
    }


def _parts(study: Study, lhs: str, causes: Sequence[str]) -> Iterator[tuple[str, AnalysisRows]]:
    assert study.chain is not None
    links = {lhs: list(causes)}
    lags = [lag for lag in study.chain.lags if lag.effect == lhs]
    for wave in _waves(study):
        try:
            rows = analysis_rows(_with_chain(study, wave=wave), links, lags)
        except DataError:
            continue
        if lhs in rows.waves:
            yield "wave", rows
    whole = analysis_rows(study, links, lags)
    units = study.tables.get("units")
    if units is None or "region" not in units:
        return
    region = units.dropna(subset=["region"]).drop_duplicates("unit").set_index("unit")["region"]
    own = whole.scores.index.to_series() if whole.unit is None else whole.unit
    place = own.map(region)
    for name in sorted(place.dropna().unique()):
        here = (place == name).to_numpy()
        yield "region", replace(whole, scores=whole.scores[here], unit=None if whole.unit is None else whole.unit[here])


def _with_chain(study: Study, **changes: Any) -> Study:
    assert study.chain is not None
    return replace(study, document=replace(study.document, chain=replace(study.chain, **changes)))


def _waves(study: Study) -> list[Any]:
    tables = [table["wave"].dropna().unique() for table in study.tables.values() if "wave" in table]
    return sorted(set().union(*tables))


def _slopes(rows: AnalysisRows, lhs: str, causes: Sequence[str], level: float, least: int) -> Iterator[dict[str, Any]]:
    frame = rows.scores[[lhs, *causes]].astype(float).dropna()
    if len(frame) < least:
        return
    cluster = None if rows.unit is None else rows.unit.reindex(frame.index)
    if cluster is not None and (cluster.isna().any() or cluster.nunique() < 2):
        cluster = None
    try:
        table = link_regressions(frame, {lhs: list(causes)}, cluster=cluster, level=level).tidy()
    except DataError:
        return
    for row in table.itertuples(index=False):
        yield {
            "rhs": row.rhs, "rows": len(frame), "estimate": row.estimate, "std_error": row.std_error,
            "conf_low": row.conf_low, "conf_high": row.conf_high, "std_all": row.std_all,
        }  # fmt: skip
