"""Fit of the structural part of a model, apart from its measurement.

A model of many items and few paths fits well or badly by its items. McDonald & Ho (2002), Psychological Methods 7,
64-82, split its chi-square: the *measurement model*, with the same indicators and all latent variables and single
observed variables free to covary, has ``chisq_m`` on ``df_m``; what the paths add is

    chisq_s = chisq - chisq_m,    df_s = df - df_m,    RMSEA-P = sqrt(max(chisq_s - df_s, 0) / (n df_s)),

the RMSEA of the path model alone (O'Boyle & Williams 2011, Journal of Applied Psychology 96, 1-12). ``n`` is the
divisor of the likelihood as in every RMSEA here; they divide by N - 1. With G groups it is the root of G times as much.
Where tests are scaled, ``chisq_s`` is the scaled difference of the two fits (:mod:`spc.sem.inference.difference`), and
RMSEA-P of MLM, MLR and clusters is the root of its scaling factor times as much, as in every robust RMSEA.

Of two levels the structures of both are freed together; and that of one with the other as it is, which tells where the
misfit is. What the structure of a level adds is judged by the rows less the clusters, or by the clusters, as in
:mod:`spc.sem.postestimation.level_fit`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pandas as pd

from spc.errors import NotIdentifiedError, SpcWarning, UnsupportedError, UsageError
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.groups import Given
from spc.sem.fit import fit as fit_model
from spc.sem.inference import fitmeasures as measure
from spc.sem.measures import fit_measures
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.postestimation.compare import difference_of
from spc.sem.resampling.boot_rows import other_rows
from spc.sem.scope import same_moments
from spc.sem.twolevel.model import fit_other
from spc.spec.expressions import parse_expression
from spc.spec.table import Block, Constraint, Model, Parameter, ParameterTable, blocks

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["StructuralFit", "measurement_model", "structural_fit"]


@dataclass(frozen=True, eq=False, repr=False)
class StructuralFit(Shown):
    """Chi-square and RMSEA of a whole model, its measurement and its structure.

    Attributes
    ----------
    whole, measurement, structure : tuple of (float, int)
        Chi-square and degrees of freedom.
    n, divisor : int
        Rows, and divisor of the likelihood.
    groups : int
    scale : float
        What RMSEA-P is multiplied by, for tests that are scaled.
    levels : tuple of LevelStructure
        Of each of two levels.
    measurement_fit : SemFit
        The measurement model as fitted.
    remarks : tuple of Note
    provenance : Provenance
    """

    whole: tuple[float, int]
    measurement: tuple[float, int]
    structure: tuple[float, int]
    n: int
    divisor: int
    measurement_fit: SemFit
    remarks: tuple[Note, ...]
    provenance: Provenance
    groups: int = 1
    scale: float = 1.0
    levels: tuple[LevelStructure, ...] = ()
    kind: str = "structural_fit"

    @property
    def rmsea_p(self) -> float:
        """RMSEA of the structure; NaN when it has no degrees of freedom."""
        return self._rmsea("structure")[0]

    def _rmsea(self, part: str) -> tuple[float, float, float]:
        """RMSEA of a part with its 90 % interval."""
        chisq, df = getattr(self, part)
        return _rmsea(chisq, df, self.divisor, self.groups, self.scale if part == "structure" else 1.0)

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``chisq`` and ``rmsea`` for ``whole``, ``measurement`` and ``structure``; 90 % intervals.

        Of two levels the structure of each follows, with its ``level``.
        """
        rows: list[dict[str, Any]] = []
        for part in ("whole", "measurement", "structure"):
            chisq, df = getattr(self, part)
            at, low, high = self._rmsea(part)
            rows.append({
                "lhs": part, "kind": "chisq", "rhs": f"df = {df}", "estimate": chisq, "statistic": chisq,
                "p_value": measure.chisq_pvalue(chisq, df),
            })  # fmt: skip
            if df > 0:
                rows.append({"lhs": part, "kind": "rmsea", "estimate": at, "conf_low": low, "conf_high": high})
        return tidy_frame([*rows, *(row for level in self.levels for row in level.rows(self.groups))])

    def glance(self) -> pd.DataFrame:
        """One row: the three tests, and RMSEA-P with its 90 % interval and its p value of close fit."""
        row: dict[str, float] = {}
        for suffix, (chisq, df) in (("", self.whole), ("_m", self.measurement), ("_s", self.structure)):
            row |= {f"chisq{suffix}": chisq, f"df{suffix}": df, f"pvalue{suffix}": measure.chisq_pvalue(chisq, df)}
        at, low, high = self._rmsea("structure")
        close = measure.rmsea_pvalue(*self.structure, self.divisor, 0.05 / self.scale, groups=self.groups)
        row |= {"rmsea_p": at, "rmsea_p_ci_lower": low, "rmsea_p_ci_upper": high, "rmsea_p_pvalue": close}
        return pd.DataFrame([{**row, "nobs": self.n}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the split."""
        return self.remarks


@dataclass(frozen=True, slots=True)
class LevelStructure:
    """What the structure of one level adds to the chi-square, that of the other being as it is.

    Attributes
    ----------
    level : str
    chisq : float
    df : int
    n : int
        What the RMSEA divides by.
    scale : float
        What it is multiplied by, for tests that are scaled.
    """

    level: str
    chisq: float
    df: int
    n: int
    scale: float

    def rows(self, groups: int) -> Iterator[dict[str, Any]]:
        """Rows of :meth:`StructuralFit.tidy`."""
        own = {"lhs": "structure", "level": self.level}
        at, low, high = _rmsea(self.chisq, self.df, self.n, groups, self.scale)
        yield own | {
            "kind": "chisq", "rhs": f"df = {self.df}", "estimate": self.chisq, "statistic": self.chisq,
            "p_value": measure.chisq_pvalue(self.chisq, self.df),
        }  # fmt: skip
        if self.df > 0:
            yield own | {"kind": "rmsea", "estimate": at, "conf_low": low, "conf_high": high}


def _rmsea(chisq: float, df: int, n: int, groups: int, scale: float) -> tuple[float, float, float]:
    """RMSEA with its 90 % interval; NaN without degrees of freedom."""
    if df <= 0:
        return math.nan, math.nan, math.nan
    at = measure.rmsea(chisq, df, n, groups)
    low, high = measure.rmsea_ci(chisq, df, n, groups=groups)
    return scale * at, scale * low, scale * high


def structural_fit(fit: SemFit, data: pd.DataFrame | None = None) -> StructuralFit:
    r"""Fit of the paths of a model apart from that of its measurement.

    Parameters
    ----------
    fit : SemFit
    data : DataFrame, optional
        The rows, which robust fits, clusters and ordered items need again; those of two levels do not.

    Returns
    -------
    StructuralFit
        Formulas and sources: :mod:`spc.sem.postestimation.structural`. A factor of factors counts as structure: the
        measurement model lets its factors covary freely.

    Raises
    ------
    UnsupportedError
        No latent variable has indicators, an indicator is a cause in the structure, or the measurement model is not
        identified by itself (as under a general factor beside group factors).
    UsageError
        The rows are needed and not given.
    DataError
        Other rows than those of the fit.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.5, 0.3, 0.3, 0.2], [0.5, 1.0, 0.3, 0.3, 0.2], [0.3, 0.3, 1.0, 0.5, 0.3],
    ...      [0.3, 0.3, 0.5, 1.0, 0.3], [0.2, 0.2, 0.3, 0.3, 1.0]]
    >>> names = ["a1", "a2", "b1", "b2", "sales"]
    >>> chain = fit("a =~ a1 + a2\nb =~ b1 + b2\nb ~ a\nsales ~ b", Moments(names, 300, None, r))
    >>> structural_fit(chain).glance()[["df", "df_m", "df_s", "rmsea_p"]].round(3)
       df  df_m  df_s  rmsea_p
    0   4     3     1      0.0
    """
    other = _measurement_fit(fit, measurement_model(fit.model), data)
    for mine, theirs in zip(fit.parts, other.parts, strict=True):
        if fit.levels is None and not same_moments(mine.observed, theirs.observed):
            raise other_rows(mine, f"{theirs.observed.n} rows", "covariances")
    structure, scale = _added(fit, other)
    levels = () if fit.levels is None else tuple(_of_level(fit, level) for level in (1, 2))
    return StructuralFit(
        _test(fit), _test(other), structure, fit.system.n, fit.system.divisor, other,
        tuple(_notes(structure[1], other)),
        Provenance.record({"split": "measurement, structure"}, fit.provenance.data_fingerprint),
        max(len(fit.groups), 1), scale, levels,
    )  # fmt: skip


def _added(fit: SemFit, other: SemFit) -> tuple[tuple[float, int], float]:
    """Chi-square and degrees of freedom that a fit has beyond a freer one, and the scale of their RMSEA."""
    df = fit.df - other.df
    if fit.correction is None:
        return (max(fit.chisq - other.chisq, 0.0), df), 1.0
    if df == 0:
        return (0.0, 0), 1.0
    found = difference_of(other, fit)
    if isinstance(fit.parts[0].problem, OrdinalProblem):
        return (max(found.chisq, 0.0), df), 1.0
    return (max(found.chisq, 0.0), df), math.sqrt(found.scale) if found.scale > 0.0 else math.nan


def _of_level(fit: SemFit, level: int) -> LevelStructure:
    assert fit.levels is not None
    (chisq, df), scale = _added(fit, _measurement_fit(fit, measurement_model(fit.model, (level,)), None))
    n = fit.levels.count if level == 2 else fit.system.n - fit.levels.count
    return LevelStructure(str(level), chisq, df, n, scale)


def _test(fit: SemFit) -> tuple[float, int]:
    """Chi-square, scaled where the fit's is, and degrees of freedom."""
    row = fit_measures(fit)
    return float(row["chisq" if fit.correction is None else "chisq_scaled"]), int(row["df"])


def _measurement_fit(fit: SemFit, apart: Model, data: pd.DataFrame | None) -> SemFit:
    """The measurement model fitted as the whole was, to the same data."""
    options = fit.options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        try:
            if fit.levels is not None:
                return fit_other(fit, apart)
            return fit_model(
                apart, _same_data(fit) if data is None else data, estimator=options.estimator,
                missing=options.missing, likelihood=options.likelihood, cluster=options.cluster,
                group=options.group if data is not None else None, ordered=options.ordered,
                information=options.information,
            )  # fmt: skip
        except NotIdentifiedError as error:
            raise UnsupportedError(
                "The measurement part is not identified without the structure, so the two cannot be told apart: "
                f"{', '.join(error.parameters)}."
            ) from error


def _same_data(fit: SemFit) -> Given:
    """What the fit keeps of its data, group by group."""
    ordered = isinstance(fit.parts[0].problem, OrdinalProblem)
    robust = fit.correction is not None and any(part.observed.higher is None for part in fit.parts)
    if ordered or robust:
        raise UsageError(
            "The measurement model is fitted to the rows, which are needed again: structural_fit(fit, data)."
        )
    kept = {part.group: part.observed if part.answers is None else part.answers.patterns for part in fit.parts}
    return kept if len(kept) > 1 else next(iter(kept.values()))


def _notes(df: int, other: SemFit) -> Iterator[Note]:
    if df == 0:
        yield Note(
            "saturated_structure", "info", "structure",
            "The structure has as many paths as there are covariances, so it fits whatever the data and is not tested.",
        )  # fmt: skip
    for note in other.notes():
        if note.severity == "serious":
            yield replace(note, subject=f"measurement model, {note.subject}")


def measurement_model(model: Model, levels: Collection[int] = (1, 2)) -> Model:
    r"""The same measurement with all latent variables and single observed variables free to covary, given covariates.

    Parameters
    ----------
    model : Model
        Of one group or several, each of which is freed.
    levels : collection of int
        Those that are freed; the others keep their structure.

    Raises
    ------
    UnsupportedError
        See :func:`structural_fit`.

    Examples
    --------
    >>> from spc.spec import model, write_model
    >>> chain = model("a =~ a1 + a2\nb =~ b1 + b2\nb ~ a")
    >>> print(write_model(measurement_model(chain)).splitlines()[-1])
    a ~~ b
    """
    own = [block for block in blocks(model) if block.level in levels]
    roles = [_roles(block.model) for block in own]
    if not any(role.first for role in roles):
        raise UnsupportedError("No latent variable has indicators, so the whole model is structure: see its own fit.")
    rows: list[Parameter] = []
    for block in blocks(model):
        known = next((role for one, role in zip(own, roles, strict=True) if one is block), None)
        rows += block.model.parameters.rows if known is None else _freed(block, known)
    kept = list(_renumbered(rows))
    constraints = tuple(_kept_constraints(model, {row.label for row in kept if row.label}))
    latents = {row.lhs for row in kept if row.op == "=~"}
    return replace(
        model, parameters=ParameterTable(tuple(kept)), constraints=constraints, defined=(), text="",
        latents=tuple(name for name in model.latents if name in latents),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Roles:
    """Indicators of a block, the latent variables that have some, the others, and what the structure is of."""

    items: frozenset[str]
    first: tuple[str, ...]
    dropped: frozenset[str]
    parts: tuple[str, ...]


def _roles(model: Model) -> _Roles:
    """Roles of the variables of a block.

    Raises
    ------
    UnsupportedError
        An indicator is a cause.
    """
    latents = set(model.latents)
    items = {row.rhs for row in model.parameters if row.op == "=~" and row.rhs not in latents}
    measured = {row.lhs for row in model.parameters if row.op == "=~" and row.rhs in items}
    first = tuple(name for name in model.latents if name in measured)
    _check(model, items)
    single = (name for name in model.observed if name not in items and name not in model.exogenous)
    return _Roles(frozenset(items), first, frozenset(latents - measured), (*first, *single))


def _freed(block: Block, known: _Roles) -> Iterator[Parameter]:
    """Rows of one block; those that are new have the number -1."""
    model, parts, own = block.model, known.parts, block.model.parameters.rows
    at: dict[str, Any] = {"group": block.group, "level": block.level, "free": -1}
    lifted = {row.lhs for row in own if row.op == "~1" and row.lhs in known.dropped and row.free}
    for row in own:
        if _is_measurement(row, known.items, known.dropped, set(model.exogenous)):
            yield replace(row, free=-1, fixed=math.nan) if lifted and _is_mean_of_factor(row, model) else row
    for name in parts:
        yield _variance(model, own, name, known.items, at)
    for name in parts:
        yield from (Parameter(name, "~", covariate, **at) for covariate in model.exogenous)
    yield from (Parameter(one, "~~", other, **at) for one, other in combinations(parts, 2))


def _is_mean_of_factor(row: Parameter, model: Model) -> bool:
    return row.op == "~1" and row.lhs in model.latents and not row.free


def _check(model: Model, items: Collection[str]) -> None:
    causes = sorted(
        {row.rhs for row in model.parameters if row.op == "~" and row.rhs in items and row.lhs not in items}
    )
    if causes:
        raise UnsupportedError(
            f"{', '.join(causes)}: an indicator that is also a cause belongs to measurement and structure at once. "
            "Let its latent variable be the cause."
        )


def _is_measurement(row: Parameter, items: Set[str], dropped: Set[str], covariates: Set[str]) -> bool:
    if row.op in ("|", "~*~"):
        return True
    if row.op == "=~":
        return row.rhs in items
    if row.op == "~1":
        return row.lhs not in dropped
    if {row.lhs, row.rhs} <= covariates:
        return True
    return row.lhs in items if row.op == "~" else bool({row.lhs, row.rhs} & items)


def _variance(
    model: Model, rows: Sequence[Parameter], name: str, items: Collection[str], at: Mapping[str, Any]
) -> Parameter:
    """Free, but for a latent variable that has its scale from it, and for an ordered item."""
    loadings = [row for row in rows if row.op == "=~" and row.lhs == name and row.rhs in items]
    marked = any(not row.free and row.fixed != 0.0 for row in loadings)
    for row in rows:
        held = row.op == "~~" and row.lhs == row.rhs == name and not row.free
        if held and (name in model.ordinal or (row.fixed > 0.0 and loadings and not marked)):
            return replace(row, label="")
    return Parameter(name, "~~", name, **at)


def _kept_constraints(model: Model, labels: set[str]) -> Iterator[Constraint]:
    for constraint in model.constraints:
        named = {*parse_expression(constraint.left).names, *parse_expression(constraint.right).names}
        if named <= labels:
            yield constraint
        elif named & labels:
            raise UnsupportedError(
                f"{constraint.left} {constraint.op} {constraint.right} ties measurement and structure together, so "
                "they cannot be told apart."
            )


def _renumbered(rows: Sequence[Parameter]) -> Iterator[Parameter]:
    """Free parameters counted anew: the kept ones share numbers as before, new ones are each on their own."""
    known: dict[int, int] = {}
    for i, row in enumerate(rows):
        if not row.free:
            yield row
            continue
        number = known.setdefault(row.free if row.free > 0 else -2 - i, len(known) + 1)
        yield replace(row, free=number)
