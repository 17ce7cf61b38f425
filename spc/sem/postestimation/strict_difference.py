"""The strictly positive difference test of scaled statistics.

Satorra & Bentler (2010), Psychometrika 75, 243-248: the scaling factor of the freer model is taken at the estimates of
the stricter one, which keeps that of the difference positive.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from spc.errors import UnsupportedError, UsageError
from spc.linalg import one_blas_thread
from spc.sem.engine.groups import Given, split
from spc.sem.engine.joint import look
from spc.sem.engine.problem import covariates_of
from spc.sem.inference.casewise import Evidence
from spc.sem.inference.difference import Difference, scaled_by
from spc.sem.inference.robust import complete_rows, evidence, sandwich, sandwich_kind
from spc.sem.resampling.boot_rows import rows_of

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = ["satorra_bentler_2010"]


def satorra_bentler_2010(strict: SemFit, free: SemFit, data: Given | None) -> Difference:
    """Scaled difference of two fits by one robust estimator to the same data.

    Parameters
    ----------
    strict, free : SemFit
        The first has more degrees of freedom.
    data : DataFrame or Moments, or one a group
        The data of both fits.

    Raises
    ------
    DataError
        Other rows than those of the fits.
    UsageError
        No data, or fits in the other order.
    UnsupportedError
        Missing answers, where nobody has derived it.
    """
    if free.options.missing == "fiml":
        raise UnsupportedError("The test of 2010 has no method with missing='fiml': use method='2001'.")
    if data is None:
        raise UsageError("The test of 2010 needs the data again: give data=, or use method='2001'.")
    if strict.df <= free.df:
        raise UsageError(
            f"The stricter fit has {strict.df} degrees of freedom and the freer {free.df}: the stricter needs more."
        )
    assert strict.correction is not None
    with one_blas_thread():
        taken = _trace_at(strict, free, data)
    plain = strict.system.divisor * (strict.solution.value - free.solution.value)
    return scaled_by(plain, strict.correction.trace - taken, strict.df - free.df)


def _trace_at(strict: SemFit, free: SemFit, data: Given) -> float:
    """``trace(U Gamma)`` of the freer model at the estimates of the stricter one."""
    options, system = free.options, free.system
    values = dict(zip(_keys(strict), strict.values, strict=True))
    theta = free.solution.theta.copy()
    for row, key in zip(free.model.parameters.rows, _keys(free), strict=True):
        if row.free:
            theta[row.free - 1] = values.get(key, 0.0)
    state = look(system, system.coordinates(theta))
    if state is None:
        return math.nan
    kind, by_h1 = sandwich_kind(options.estimator, options.cluster)
    covariates = [covariates_of(part.model) for part in free.parts]
    return sandwich(system, state, _evidence(free, data), covariates, kind, test_by_h1=by_h1)[1].trace


def _evidence(fit: SemFit, data: Given) -> list[Evidence]:
    if isinstance(data, pd.DataFrame):
        rows_of(fit, data, None)
    pieces = {piece.label: piece.data for piece in split(data, fit.options.group)}
    found = []
    for part in fit.parts:
        rows = complete_rows(pieces[part.group], part.model.observed, fit.options.cluster)  # type: ignore[arg-type]
        found.append(evidence(part.problem, *rows))
    return found


def _keys(fit: SemFit) -> list[tuple[int, frozenset[str], str, str]]:
    """Key of each row of the table; a covariance is the same either way round."""
    return [
        (row.group, frozenset((row.lhs, row.rhs)), "" if row.op == "~~" else row.lhs, row.op)
        for row in fit.model.parameters.rows
    ]
