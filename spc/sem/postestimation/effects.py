"""Direct, indirect and total effects among all variables of the regressions, with intervals from parameter draws.

See :mod:`spc.sem.postestimation.effect_graph` for what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.results import Estimates, Note, Provenance, Replicates, Shown, tidy_frame
from spc.sem.engine.diagnose import of_group
from spc.sem.engine.ram import structure
from spc.sem.postestimation.effect_graph import MAX_PATHS, EffectGraph, EffectValues, effect_graph, evaluated
from spc.spec.table import Model, ParameterTable

if TYPE_CHECKING:
    from spc.sem.result import Part, SemFit

__all__ = ["Effects", "drawn_effects", "effects"]


@dataclass(frozen=True, eq=False, repr=False)
class Effects(Shown):
    """All effects of a model, raw and standardised, with their draws.

    Attributes
    ----------
    table : DataFrame
        One row an effect: ``lhs`` the outcome, ``rhs`` the cause, ``kind`` one of ``direct``, ``indirect`` (one path,
        written out in ``label``), ``total_indirect``, ``total``; of two levels also ``contextual``, the total effect
        between clusters less that within them, where a cause and its outcome are on both.
    names : tuple of str
        Name of each effect: kind and path, such as ``"indirect: x -> m -> y"``.
        With several groups or levels after these: ``"north: total: x -> y"``, ``"level 2: total: x -> y"``.
    draws : (n, k) array
        Draws of the effects on the scale of the data; column i belongs to row i.
    standardized_draws : (n, k) array
        The same in standard deviations of outcome and cause; NaN where a drawn variance is not positive.
    level : float
        Level of the intervals.
    method : str
        How the draws were had, in words a method section can use.
    nobs : int
        Rows behind the fit.
    note_list : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    names: tuple[str, ...]
    draws: FloatArray
    standardized_draws: FloatArray
    level: float
    method: str
    nobs: int
    note_list: tuple[Note, ...]
    provenance: Provenance
    kind: str = "effects"

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", frozen_array(self.draws))
        object.__setattr__(self, "standardized_draws", frozen_array(self.standardized_draws))

    def tidy(self) -> pd.DataFrame:
        """All effects on the scale of the data; ``std_all`` holds the standardised estimate."""
        return self.table.copy()

    def standardized(self) -> pd.DataFrame:
        """The same rows with estimate, error and interval of the standardised effects."""
        table = self.table.copy()
        table["estimate"] = table["std_all"]
        summary = _summary(table["std_all"].to_numpy(dtype=float), self.standardized_draws, self.level)
        for column, values in summary.items():
            table[column] = values
        return table

    def glance(self) -> pd.DataFrame:
        """One row: how many effects of each kind, from how many draws."""
        kinds = self.table["kind"].value_counts()
        known = ("direct", "indirect", "total_indirect", "total", *(["contextual"] if "contextual" in kinds else []))
        row = {f"n_{kind}": int(kinds.get(kind, 0)) for kind in known}
        return pd.DataFrame([{**row, "draws": len(self.draws), "level": self.level, "method": self.method,
                              "nobs": self.nobs}])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the effects."""
        return self.note_list


def effects(
    fit: SemFit,
    *,
    draws: int = 4000,
    seed: int = 1,
    level: float = 0.95,
    replicates: Replicates | None = None,
) -> Effects:
    """Every direct, specific indirect, total indirect and total effect among the variables of the regressions.

    Intervals are percentiles of the draws. A p value is twice the smaller share of draws on either side of zero, so
    that it agrees with the interval, and is never below ``2 / (draws + 1)``.

    Parameters
    ----------
    fit : SemFit
    draws : int
        Draws from the normal approximation of the free parameters, matched to have their estimates as mean and
        their covariance matrix exactly.
    seed : int
    level : float
        Level of the intervals, between 0 and 1.
    replicates : Replicates, optional
        Bootstrap replicates of the free parameters, used in place of normal draws.

    Returns
    -------
    Effects

    Raises
    ------
    UsageError
        ``draws`` or ``level`` out of range, no regression in the model, or replicates of other parameters.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> cov = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    >>> chain = fit("m ~ x; y ~ m", Moments(["x", "m", "y"], 200, None, cov))
    >>> table = effects(chain).tidy()
    >>> table.loc[table["kind"] == "indirect", ["label", "estimate"]]
             label  estimate
    2  x -> m -> y      0.25
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level is {level}; give a share between 0 and 1, such as 0.95.")
    theta, method = _parameter_draws(fit, draws, seed, replicates)
    explaining = [view for view in fit.views if any(row.op == "~" for row in view.model.parameters)]
    with one_blas_thread():
        parts = [
            drawn_effects(
                *_linear_part(view, theta), level=level, method=method, nobs=fit.system.n, seed=seed,
                data_fingerprint=fit.provenance.data_fingerprint,
            )
            for view in explaining or fit.views
        ]  # fmt: skip
    if len(fit.parts) == 1:
        return parts[0]
    both = _together(parts, [view.parts[0] for view in explaining])
    return both if fit.levels is None else _with_contextual(both)


def _linear_part(view: SemFit, theta: FloatArray) -> tuple[Model, FloatArray, FloatArray]:
    """Model, values and draws without thresholds and scales of ordered items, which no effect runs through."""
    model, values, drawn = view.model, view.values, view.problem.row_values(theta)
    if not model.ordinal:
        return model, values, drawn
    kept = [i for i, row in enumerate(model.parameters.rows) if row.op not in ("|", "~*~")]
    table = ParameterTable(tuple(model.parameters.rows[i] for i in kept), model.parameters.names)
    return replace(model, parameters=table, ordinal=()), values[kept], drawn[:, kept]


def _together(each: Sequence[Effects], parts: Sequence[Part]) -> Effects:
    """Effects of several groups or levels in one table; names begin with the group."""
    tables, names, notes = [], [], []
    for one, part in zip(each, parts, strict=True):
        tables.append(one.table.assign(group=part.group or "1", level=str(part.level)))
        names += [f"{part.title}: {name}" for name in one.names]
        notes += of_group(one.note_list, part.title)
    return replace(
        each[0],
        table=pd.concat(tables, ignore_index=True),
        names=tuple(names),
        draws=np.concatenate([one.draws for one in each], axis=1),
        standardized_draws=np.concatenate([one.standardized_draws for one in each], axis=1),
        note_list=tuple(notes),
    )


def _with_contextual(each: Effects) -> Effects:
    """The effects of both levels, and the contextual ones: total effects between clusters less those within."""
    table = each.table
    totals = table[table["kind"] == "total"]
    within, between = (totals[totals["level"] == level].reset_index() for level in ("1", "2"))
    pairs = within.merge(between, on=["lhs", "rhs", "group"], suffixes=("_w", "_b"))
    if pairs.empty:
        return each
    inner, outer = pairs["index_w"].to_numpy(), pairs["index_b"].to_numpy()
    draws = each.draws[:, outer] - each.draws[:, inner]
    estimate = (pairs["estimate_b"] - pairs["estimate_w"]).to_numpy()
    words = [f"{row.rhs} -> {row.lhs}" for row in pairs.itertuples()]
    rows = pd.DataFrame({
        "lhs": pairs["lhs"], "op": "~", "rhs": pairs["rhs"], "level": "", "group": pairs["group"],
        "label": [f"{one}, between less within" for one in words], "kind": "contextual", "estimate": estimate,
        **_summary(estimate, draws, each.level), "std_all": np.nan,
    })  # fmt: skip
    several = table["group"].nunique() > 1
    names = [f"{group}: {one}" if several else one for group, one in zip(pairs["group"], words, strict=True)]
    return replace(
        each,
        table=pd.concat([table, rows[table.columns]], ignore_index=True),
        names=(*each.names, *(f"contextual: {name}" for name in names)),
        draws=np.concatenate([each.draws, draws], axis=1),
        standardized_draws=np.concatenate([each.standardized_draws, np.full_like(draws, np.nan)], axis=1),
    )


def drawn_effects(
    model: Model,
    values: FloatArray,
    draws: FloatArray,
    *,
    level: float,
    method: str,
    nobs: int,
    seed: int | None,
    data_fingerprint: str,
) -> Effects:
    """All effects at given values of a model's rows, with intervals from given draws of them.

    Parameters
    ----------
    model : Model
    values : (R,) array
        Estimates, one a row of the model's table.
    draws : (n, R) array
    level : float
    method : str
        How the draws were had, in words a method section can use.
    nobs : int
        Rows behind the draws.
    seed : int or None
    data_fingerprint : str

    Raises
    ------
    UsageError
        No regression in the model.
    """
    graph = effect_graph(model, structure(model))
    point, drawn = evaluated(graph, values[None, :]), evaluated(graph, draws)
    table = _table(graph, point, drawn, level)
    provenance = Provenance.record({"draws": len(draws), "level": level, "method": method}, data_fingerprint, seed)
    return Effects(
        table, graph.names, drawn.raw, drawn.standardized, level, method, nobs, _notes(graph, point, drawn), provenance
    )


# -- draws of the free parameters


def _parameter_draws(fit: SemFit, draws: int, seed: int, replicates: Replicates | None) -> tuple[FloatArray, str]:
    names = fit.model.parameters.names
    if replicates is not None:
        absent = [name for name in names if name not in replicates.names]
        if absent:
            raise UsageError(f"The replicates lack {', '.join(absent)}. Give replicates of this model's parameters.")
        columns = [replicates.names.index(name) for name in names]
        return replicates.values[:, columns], f"{len(replicates.values)} bootstrap replicates"
    if draws <= len(names) + 1:
        raise UsageError(f"{draws} draws of {len(names)} parameters; give more draws than parameters, such as 4000.")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    return _matched_draws(fit.estimates(), draws, rng), f"{draws} draws from the normal approximation"


def _matched_draws(estimates: Estimates, n: int, rng: np.random.Generator) -> FloatArray:
    """Normal draws moved and turned so that mean and covariance are exactly those of the estimates."""
    standard = rng.standard_normal((n, len(estimates.vcov)))
    standard -= standard.mean(axis=0)
    factor = np.linalg.cholesky(np.atleast_2d(np.cov(standard, rowvar=False)))
    return estimates.from_standard(np.asarray(np.linalg.solve(factor, standard.T).T, dtype=np.float64))


# -- tables and notes


def _summary(estimate: FloatArray, draws: FloatArray, level: float) -> dict[str, FloatArray]:
    """Error, statistic, p value and percentile interval of each column; NaN where nothing varies."""
    k = len(estimate)
    names = ("std_error", "statistic", "p_value", "conf_low", "conf_high")
    out = {name: np.full(k, np.nan) for name in names}
    tail = (1.0 - level) / 2.0
    for i in range(k):
        column = draws[np.isfinite(draws[:, i]), i]
        if len(column) < 2 or not np.isfinite(estimate[i]):
            continue
        error = float(column.std(ddof=1))
        if error <= 1e-12 * abs(estimate[i]):
            continue
        side = 1 + min(int((column <= 0.0).sum()), int((column >= 0.0).sum()))
        low, high = np.quantile(column, [tail, 1.0 - tail])
        row = (error, estimate[i] / error, min(1.0, 2.0 * side / (len(column) + 1)), low, high)
        for name, value in zip(names, row, strict=True):
            out[name][i] = value
    return out


def _table(graph: EffectGraph, point: EffectValues, drawn: EffectValues, level: float) -> pd.DataFrame:
    variables = graph.place.variables
    summary = _summary(point.raw[0], drawn.raw, level)
    rows: list[dict[str, Any]] = [
        {
            "lhs": variables[effect.path[-1]],
            "op": "~",
            "rhs": variables[effect.path[0]],
            "level": "1",
            "group": "1",
            "label": graph.label(effect),
            "kind": effect.kind,
            "estimate": point.raw[0, k],
            "std_all": point.standardized[0, k],
            **{name: values[k] for name, values in summary.items()},
        }
        for k, effect in enumerate(graph.effects)
    ]
    return tidy_frame(rows)


def _notes(graph: EffectGraph, point: EffectValues, drawn: EffectValues) -> tuple[Note, ...]:
    notes = []
    if not point.stable[0]:
        notes.append(Note.of("unstable_loop", "serious", "total effects"))
    if graph.cyclic:
        notes.append(Note.of("loops", "info", "indirect effects"))
    if graph.cut:
        notes.append(Note.of("many_paths", "info", "indirect effects", most=MAX_PATHS))
    lost = float(1.0 - drawn.stable.mean())
    if lost > 0.0 and point.stable[0]:
        notes.append(Note.of("unstable_draws", "warning", "total effects", share=lost))
    improper = float(1.0 - drawn.proper.mean())
    if improper > 0.0:
        notes.append(Note.of("improper_draws", "warning", "standardised effects", "effects", share=improper))
    return tuple(notes)
