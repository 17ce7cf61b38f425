"""One outcome on its causes by other regressions than least squares: mixed, fixed effects, quantile, wild bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.linalg import FloatArray
from spc.regression.wild import wild_slope
from spc.results import Note

__all__ = ["fixed_rows", "mixed_rows", "quantile_rows", "wild_rows"]

Rows = list[dict[str, Any]]
_FEWEST_GROUPS = 5


def _row(lhs: str, rhs: str, method: str, values: Sequence[float], scale: float) -> dict[str, Any]:
    estimate, error, statistic, p_value, low, high = (float(value) for value in values)
    return {
        "lhs": lhs, "op": "~", "rhs": rhs, "label": method, "kind": "link_method", "estimate": estimate,
        "std_error": error, "statistic": statistic, "p_value": p_value, "conf_low": low, "conf_high": high,
        "std_all": estimate * scale,
    }  # fmt: skip


def _fitted_rows(fit: Any, lhs: str, causes: Sequence[str], method: str, frame: pd.DataFrame, level: float) -> Rows:
    ends = fit.conf_int(alpha=1.0 - level)
    spread = frame[list(causes)].std() / frame[lhs].std()
    return [
        _row(lhs, c, method, [fit.params[c], fit.bse[c], fit.tvalues[c], fit.pvalues[c], *ends.loc[c]], spread[c])
        for c in causes
    ]


def _design(frame: pd.DataFrame, causes: Sequence[str]) -> pd.DataFrame:
    return frame[list(causes)].assign(**{"(Intercept)": 1.0})


def wild_rows(
    frame: pd.DataFrame, lhs: str, causes: Sequence[str], cluster: npt.ArrayLike | None, *, level: float, draws: int,
    seed: int,
) -> Rows:  # fmt: skip
    """Least squares, with intervals from a wild (cluster) bootstrap; see :func:`spc.regression.wild.wild_slope`."""
    x, y = _design(frame, causes).to_numpy(dtype=float), frame[lhs].to_numpy(dtype=float)
    spread = frame[list(causes)].std() / frame[lhs].std()
    method, rows = "least squares, wild bootstrap" + ("" if cluster is None else " by unit"), []
    for place, cause in enumerate(causes):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place,)))
        found = wild_slope(y, x, place, cluster, level=level, draws=draws, rng=rng)
        values = [found.slope, found.error, found.slope / found.error, found.p_value, found.low, found.high]
        rows.append(_row(lhs, cause, method, values, spread[cause]))
    return rows


def quantile_rows(frame: pd.DataFrame, lhs: str, causes: Sequence[str], quantile: float, *, level: float) -> Rows:
    """Regression of a quantile of the outcome, by statsmodels, with kernel errors; its name says if it did not end."""
    from statsmodels.regression.quantile_regression import QuantReg
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, IterationLimitWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = QuantReg(frame[lhs], _design(frame, causes)).fit(q=quantile, max_iter=5000)
    ended = not any(issubclass(one.category, ConvergenceWarning | IterationLimitWarning) for one in said)
    method = f"quantile regression, {quantile:.0%}" + ("" if ended else ", search not ended")
    return _fitted_rows(fit, lhs, causes, method, frame, level)


def fixed_rows(
    frame: pd.DataFrame, lhs: str, causes: Sequence[str], group: npt.ArrayLike, *, level: float, method: str
) -> Rows:
    """Deviations from the means of groups: whatever is stable about a group is gone. Errors by group, on t.

    Groups whose rows do not differ in a cause say nothing of it and are left out by the arithmetic; without any that
    differ there is no row.
    """
    from statsmodels.regression.linear_model import OLS

    codes = pd.Series(np.asarray(group), index=frame.index)
    apart = frame[[lhs, *causes]] - frame[[lhs, *causes]].groupby(codes).transform("mean")
    kept = codes.groupby(codes).transform("size") > 1
    apart, codes = apart[kept], codes[kept]
    if codes.nunique() < _FEWEST_GROUPS or (apart[list(causes)].std() < 1e-9 * frame[list(causes)].std()).any():
        return []
    if np.linalg.matrix_rank((apart[list(causes)] / apart[list(causes)].std()).to_numpy()) < len(causes):
        return []
    fit = OLS(apart[lhs], apart[list(causes)]).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(codes)[0]}, use_t=True
    )
    return _fitted_rows(fit, lhs, causes, method, frame, level)


def mixed_rows(
    frame: pd.DataFrame, lhs: str, causes: Sequence[str], group: npt.ArrayLike, *, level: float, method: str
) -> Rows | Note:
    """A random intercept for each group, by restricted maximum likelihood; a note where there are too few groups.

    For a given ratio of the variances everything else has a closed form, so the restricted likelihood is searched along
    that one dimension (the general search of statsmodels' MixedLM leaves ordinary cases without an answer). Intervals
    take Student's t on groups less coefficients.
    """
    from scipy.special import stdtr, stdtrit

    codes = pd.factorize(np.asarray(group))[0]
    groups = int(codes.max(initial=-1)) + 1
    df = groups - len(causes) - 1
    if groups < _FEWEST_GROUPS or df < 1:
        return Note.of("method_left_out", "info", lhs, "mixed", outcome=lhs, groups=groups)
    slope, error, _ = random_intercept_slopes(
        frame[lhs].to_numpy(dtype=float), _design(frame, causes).to_numpy(dtype=float), codes
    )
    half = float(stdtrit(df, 0.5 + level / 2.0))
    spread = frame[list(causes)].std() / frame[lhs].std()
    return [
        _row(
            lhs, cause, method,
            [b, e, b / e, 2.0 * stdtr(df, -abs(b / e)), b - half * e, b + half * e], spread[cause],
        )
        for cause, b, e in zip(causes, slope, error, strict=False)
    ]  # fmt: skip


def random_intercept_slopes(
    outcome: FloatArray, design: FloatArray, codes: npt.NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, float]:
    """Slopes, their errors, and the share of the residual variance between groups: a random intercept, by REML.

    Parameters
    ----------
    outcome : (n,) array
    design : (n, k) array
        Of full rank, a constant among its columns or in their span.
    codes : (n,) int array
        Group of each row, 0 to the number of groups less one.

    References
    ----------
    Searle, Casella & McCulloch (1992), *Variance Components*, chapter 6.

    Examples
    --------
    >>> shop = np.repeat(np.arange(3), 2)
    >>> slopes, errors, share = random_intercept_slopes(np.array([1.0, 2, 3, 4, 5, 6]), np.ones((6, 1)), shop)
    >>> slopes.round(2), errors.round(2), round(share, 2)
    (array([3.5]), array([1.15]), 0.88)
    """
    from scipy.optimize import minimize_scalar

    size = np.bincount(codes).astype(float)
    unit = np.sqrt((design**2).mean(axis=0))
    x, centre, spread = design / unit, outcome.mean(), outcome.std()
    y = (outcome - centre) / spread
    both = np.column_stack([x, y])
    sums = np.stack([np.bincount(codes, column) for column in both.T], axis=1)
    k, n, cross = x.shape[1], len(y), both.T @ both

    def parts(share: float) -> tuple[FloatArray, FloatArray, float, float]:
        ratio = share / (1.0 - share)
        weight = ratio / (1.0 + size * ratio)
        total = cross - (sums.T * weight) @ sums
        gram, pull = total[:k, :k], total[:k, k]
        slopes = np.linalg.solve(gram, pull)
        scale = float(total[k, k] - pull @ slopes) / (n - k)
        height = float(np.log1p(size * ratio).sum() + np.linalg.slogdet(gram)[1]) + (n - k) * np.log(scale)
        return slopes, gram, scale, height

    grid = np.concatenate([[0.0], np.linspace(0.002, 0.998, 60)])
    best = int(np.argmin([parts(float(share))[3] for share in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = minimize_scalar(
        lambda share: parts(share)[3], bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    )
    share = float(found.x) if found.fun < parts(float(grid[best]))[3] else float(grid[best])
    slopes, gram, scale, _ = parts(share)
    error = np.sqrt(np.linalg.inv(gram).diagonal() * scale)
    moved = slopes * spread / unit
    flat = np.linalg.lstsq(x, np.full(n, centre), rcond=None)[0] / unit
    return moved + flat, error * spread / unit, share
