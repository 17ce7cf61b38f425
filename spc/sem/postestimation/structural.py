"""Fit of the structural part of a model, apart from its measurement.

A model of many items and few paths fits well or badly by its items. McDonald & Ho (2002), Psychological Methods 7,
64-82, split its chi-square: the *measurement model*, with the same indicators and all latent variables and single
observed variables free to covary, has ``chisq_m`` on ``df_m``; what the paths add is

    chisq_s = chisq - chisq_m,    df_s = df - df_m,    RMSEA-P = sqrt(max(chisq_s - df_s, 0) / (n df_s)),

the RMSEA of the path model alone (O'Boyle & Williams 2011, Journal of Applied Psychology 96, 1-12). ``n`` is the
divisor of the likelihood as in every RMSEA here; they divide by N - 1.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import pandas as pd

from spc.errors import NotIdentifiedError, SpcWarning, UnsupportedError
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.fit import fit as fit_model
from spc.sem.inference import fitmeasures as measure
from spc.sem.measures import fit_measures
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
    kind: str = "structural_fit"

    @property
    def rmsea_p(self) -> float:
        """RMSEA of the structure; NaN when it has no degrees of freedom."""
        chisq, df = self.structure
        return measure.rmsea(chisq, df, self.divisor) if df > 0 else math.nan

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``chisq`` and ``rmsea`` for ``whole``, ``measurement`` and ``structure``; 90 % intervals."""
        parts = {"whole": self.whole, "measurement": self.measurement, "structure": self.structure}
        return tidy_frame([row for part, (chisq, df) in parts.items() for row in _rows(part, chisq, df, self.divisor)])

    def glance(self) -> pd.DataFrame:
        """One row: the three tests, and RMSEA-P with its 90 % interval and its p value of close fit."""
        row: dict[str, float] = {}
        for suffix, (chisq, df) in (("", self.whole), ("_m", self.measurement), ("_s", self.structure)):
            row |= {f"chisq{suffix}": chisq, f"df{suffix}": df, f"pvalue{suffix}": measure.chisq_pvalue(chisq, df)}
        chisq, df = self.structure
        low, high = measure.rmsea_ci(chisq, df, self.divisor) if df > 0 else (math.nan, math.nan)
        close = measure.rmsea_pvalue(chisq, df, self.divisor)
        row |= {"rmsea_p": self.rmsea_p, "rmsea_p_ci_lower": low, "rmsea_p_ci_upper": high, "rmsea_p_pvalue": close}
        return pd.DataFrame([{**row, "nobs": self.n}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the tests."""
        return self.remarks


def _rows(part: str, chisq: float, df: int, n: int) -> Iterator[dict[str, object]]:
    yield {
        "lhs": part, "kind": "chisq", "rhs": f"df = {df}", "estimate": chisq, "statistic": chisq,
        "p_value": measure.chisq_pvalue(chisq, df),
    }  # fmt: skip
    if df > 0:
        low, high = measure.rmsea_ci(chisq, df, n)
        yield {
            "lhs": part,
            "kind": "rmsea",
            "estimate": measure.rmsea(chisq, df, n),
            "conf_low": low,
            "conf_high": high,
        }


def structural_fit(fit: SemFit) -> StructuralFit:
    r"""Fit of the paths of a model apart from that of its measurement.

    Parameters
    ----------
    fit : SemFit
        Fitted by maximum likelihood, with missing answers or without.

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
    if fit.options.estimator != "ML" or fit.options.cluster is not None:
        raise UnsupportedError("The structure is told apart from the measurement under estimator='ML' only.")
    apart = measurement_model(fit.model)
    data = fit.observed if fit.answers is None else fit.answers.patterns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        try:
            other = fit_model(apart, data, missing=fit.options.missing, likelihood=fit.options.likelihood)
        except NotIdentifiedError as error:
            raise UnsupportedError(
                "The measurement part is not identified without the structure, so the two cannot be told apart: "
                f"{', '.join(error.parameters)}."
            ) from error
    whole, rest = fit_measures(fit), fit_measures(other)
    df = int(whole["df"] - rest["df"])
    structure = (max(whole["chisq"] - rest["chisq"], 0.0), df)
    return StructuralFit(
        (whole["chisq"], int(whole["df"])), (rest["chisq"], int(rest["df"])), structure, fit.problem.n,
        fit.problem.divisor, other, tuple(_notes(df, other)),
        Provenance.record({"split": "measurement, structure"}, fit.provenance.data_fingerprint),
    )  # fmt: skip


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
    r"""The same measurement with all latent variables and single observed variables free to covary.

    Parameters
    ----------
    model : Model

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
    parts = (*first, *(name for name in model.observed if name not in items))
    dropped = latents - set(first)
    kept = [row for row in model.parameters if _is_measurement(row, items, dropped)]
    rows = [*kept, *(_variance(model, name, items) for name in parts)]
    rows += [Parameter(one, "~~", other, free=1) for one, other in combinations(parts, 2)]
    rows = list(_renumbered(rows, len(kept)))
    constraints = tuple(_kept_constraints(model, {row.label for row in rows if row.label}))
    return Model(
        ParameterTable(tuple(rows)), first, model.observed, constraints=constraints,
        meanstructure=model.meanstructure, text="", options=model.options,
    )  # fmt: skip


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


def _is_measurement(row: Parameter, items: set[str], dropped: set[str]) -> bool:
    if row.op == "=~":
        return row.rhs in items
    if row.op == "~1":
        return row.lhs not in dropped
    return row.lhs in items if row.op == "~" else bool({row.lhs, row.rhs} & items)


def _variance(model: Model, name: str, items: set[str]) -> Parameter:
    """Free, but for a latent variable that has its scale from it."""
    loadings = [row for row in model.parameters if row.op == "=~" and row.lhs == name and row.rhs in items]
    marked = any(not row.free and row.fixed != 0.0 for row in loadings)
    for row in model.parameters:
        if (
            row.op == "~~"
            and row.lhs == row.rhs == name
            and not row.free
            and row.fixed > 0.0
            and loadings
            and not marked
        ):
            return replace(row, label="")
    return Parameter(name, "~~", name, free=1)


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


def _renumbered(rows: Sequence[Parameter], kept: int) -> Iterator[Parameter]:
    """Free parameters counted anew: the kept ones share numbers as before, all others are each on their own."""
    known: dict[int, int] = {}
    for i, row in enumerate(rows):
        held = row.given_by == "sample"
        if not row.free and not held:
            yield row
            continue
        key = row.free if i < kept and not held else -1 - i
        number = known.setdefault(key, len(known) + 1)
        yield replace(row, free=number, fixed=math.nan, given_by="user")
