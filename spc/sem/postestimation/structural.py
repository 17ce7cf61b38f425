"""Fit of the structural part of a model, apart from its measurement.

A model of many items and few paths fits well or badly by its items. McDonald & Ho (2002), Psychological Methods 7,
64-82, split its chi-square: the *measurement model*, with the same indicators and all latent variables and single
observed variables free to covary, has ``chisq_m`` on ``df_m``; what the paths add is

    chisq_s = chisq - chisq_m,    df_s = df - df_m,    RMSEA-P = sqrt(max(chisq_s - df_s, 0) / (n df_s)),

the RMSEA of the path model alone (O'Boyle & Williams 2011, Journal of Applied Psychology 96, 1-12). ``n`` is the
divisor of the likelihood as in every RMSEA here; they divide by N - 1. With G groups it is the root of G times as much.
Where tests are scaled, ``chisq_s`` is the scaled difference of the two fits (:mod:`spc.sem.inference.difference`), and
RMSEA-P of MLM, MLR and clusters is the root of its scaling factor times as much, as in every robust RMSEA.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
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
from spc.sem.scope import require_one_level, same_moments
from spc.spec.expressions import parse_expression
from spc.spec.table import Constraint, Model, Parameter, ParameterTable

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
    kind: str = "structural_fit"

    @property
    def rmsea_p(self) -> float:
        """RMSEA of the structure; NaN when it has no degrees of freedom."""
        return self._rmsea("structure")[0]

    def _rmsea(self, part: str) -> tuple[float, float, float]:
        """RMSEA of a part with its 90 % interval."""
        chisq, df = getattr(self, part)
        if df <= 0:
            return math.nan, math.nan, math.nan
        at = measure.rmsea(chisq, df, self.divisor, self.groups)
        low, high = measure.rmsea_ci(chisq, df, self.divisor, groups=self.groups)
        scale = self.scale if part == "structure" else 1.0
        return scale * at, scale * low, scale * high

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``chisq`` and ``rmsea`` for ``whole``, ``measurement`` and ``structure``; 90 % intervals."""
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
        return tidy_frame(rows)

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


def structural_fit(fit: SemFit, data: pd.DataFrame | None = None) -> StructuralFit:
    r"""Fit of the paths of a model apart from that of its measurement.

    Parameters
    ----------
    fit : SemFit
        Of one level.
    data : DataFrame, optional
        The rows, which robust fits, clusters and ordered items need again.

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
    require_one_level(fit, "Fits of the structure apart from the measurement")
    other = _measurement_fit(fit, measurement_model(fit.model), data)
    for mine, theirs in zip(fit.parts, other.parts, strict=True):
        if not same_moments(mine.observed, theirs.observed):
            raise other_rows(mine, f"{theirs.observed.n} rows", "covariances")
    df, scale = fit.df - other.df, 1.0
    if fit.correction is None:
        structure = (max(fit.chisq - other.chisq, 0.0), df)
    else:
        found = difference_of(other, fit)
        structure = (max(found.chisq, 0.0), df)
        ordered = isinstance(fit.parts[0].problem, OrdinalProblem)
        scale = 1.0 if ordered or df == 0 else math.sqrt(found.scale) if found.scale > 0.0 else math.nan
    return StructuralFit(
        _test(fit), _test(other), structure, fit.system.n, fit.system.divisor, other, tuple(_notes(df, other)),
        Provenance.record({"split": "measurement, structure"}, fit.provenance.data_fingerprint),
        max(len(fit.groups), 1), scale,
    )  # fmt: skip


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


def measurement_model(model: Model) -> Model:
    r"""The same measurement with all latent variables and single observed variables free to covary, given covariates.

    Parameters
    ----------
    model : Model
        Of one level; of one group or several, each of which is freed.

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
    latents = set(model.latents)
    items = {row.rhs for row in model.parameters if row.op == "=~" and row.rhs not in latents}
    first = tuple(
        name for name in model.latents
        if any(row.op == "=~" and row.lhs == name and row.rhs in items for row in model.parameters)
    )  # fmt: skip
    _check(model, first, items)
    parts = (*first, *(name for name in model.observed if name not in items and name not in model.exogenous))
    rows = [row for group in sorted({row.group for row in model.parameters})
            for row in _freed(model, group, parts, items, latents - set(first))]  # fmt: skip
    kept = list(_renumbered(rows))
    constraints = tuple(_kept_constraints(model, {row.label for row in kept if row.label}))
    return replace(
        model, parameters=ParameterTable(tuple(kept)), latents=first, constraints=constraints, defined=(), text=""
    )


def _freed(model: Model, group: int, parts: Sequence[str], items: set[str], dropped: set[str]) -> Iterator[Parameter]:
    """Rows of one group; those that are new have the number -1."""
    own = [row for row in model.parameters if row.group == group]
    lifted = {row.lhs for row in own if row.op == "~1" and row.lhs in dropped and row.free}
    for row in own:
        if _is_measurement(row, items, dropped, set(model.exogenous)):
            yield replace(row, free=-1, fixed=math.nan) if lifted and _is_mean_of_factor(row, model) else row
    for name in parts:
        yield _variance(model, own, name, items, group)
    for name in parts:
        yield from (Parameter(name, "~", covariate, group=group, free=-1) for covariate in model.exogenous)
    yield from (Parameter(one, "~~", other, group=group, free=-1) for one, other in combinations(parts, 2))


def _is_mean_of_factor(row: Parameter, model: Model) -> bool:
    return row.op == "~1" and row.lhs in model.latents and not row.free


def _check(model: Model, first: Sequence[str], items: set[str]) -> None:
    if not first:
        raise UnsupportedError("No latent variable has indicators, so the whole model is structure: see its own fit.")
    causes = sorted(
        {row.rhs for row in model.parameters if row.op == "~" and row.rhs in items and row.lhs not in items}
    )
    if causes:
        raise UnsupportedError(
            f"{', '.join(causes)}: an indicator that is also a cause belongs to measurement and structure at once. "
            "Let its latent variable be the cause."
        )


def _is_measurement(row: Parameter, items: set[str], dropped: set[str], covariates: set[str]) -> bool:
    if row.op in ("|", "~*~"):
        return True
    if row.op == "=~":
        return row.rhs in items
    if row.op == "~1":
        return row.lhs not in dropped
    if {row.lhs, row.rhs} <= covariates:
        return True
    return row.lhs in items if row.op == "~" else bool({row.lhs, row.rhs} & items)


def _variance(model: Model, rows: Sequence[Parameter], name: str, items: set[str], group: int) -> Parameter:
    """Free, but for a latent variable that has its scale from it, and for an ordered item."""
    loadings = [row for row in rows if row.op == "=~" and row.lhs == name and row.rhs in items]
    marked = any(not row.free and row.fixed != 0.0 for row in loadings)
    for row in rows:
        held = row.op == "~~" and row.lhs == row.rhs == name and not row.free
        if held and (name in model.ordinal or (row.fixed > 0.0 and loadings and not marked)):
            return replace(row, label="")
    return Parameter(name, "~~", name, group=group, free=-1)


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
