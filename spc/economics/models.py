"""Models of retention a firm can choose from, all fitted to one life table and all answering the same questions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.base import Base, Mixture, Paths, beta_mixture
from spc.economics.beta_geometric import MOST_ALIKE, fit_beta_geometric, loglik, survival
from spc.economics.lifetable import LifeTable
from spc.errors import NonConvergenceError, UsageError
from spc.linalg import FloatArray

__all__ = [
    "MODELS",
    "BetaGeometricModel",
    "ConstantModel",
    "KaplanMeierModel",
    "ModelName",
    "RetentionModel",
    "calibration",
    "choose_model",
    "fit_model",
]

ModelName = Literal["constant", "sbg", "kaplan-meier", "bg-nbd", "auto"]
MODELS = ("auto", "constant", "sbg", "kaplan-meier", "bg-nbd")

WORDS = {
    "constant": "one rate for all",
    "sbg": "shifted beta-geometric",
    "kaplan-meier": "Kaplan-Meier",
    "bg-nbd": "BG/NBD",
}


class RetentionModel(Protocol):
    """A fitted model of who stays.

    ``point`` are its parameters on an unbounded scale, (k,); every function takes such parameters with draws in front.
    """

    @property
    def name(self) -> str:
        """As chosen in the study document."""

    @property
    def point(self) -> FloatArray:
        """Estimates, (k,)."""

    def refit(self, table: LifeTable) -> FloatArray:
        """Estimates from other life tables (..., T), shape (..., k)."""

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draws of the parameters when customers are independent, (n, k)."""

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """Customers with so many periods behind them."""

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """Chance of staying through period 1..T for those who got there, (..., T)."""


@dataclass(frozen=True, eq=False)
class ConstantModel:
    """One rate for all. The parameter is the log odds of staying."""

    table: LifeTable

    @property
    def name(self) -> str:
        """``"constant"``."""
        return "constant"

    @property
    def point(self) -> FloatArray:
        """Log odds of staying."""
        return self.refit(self.table)

    def refit(self, table: LifeTable) -> FloatArray:
        """Log odds of staying; half an event is added where nobody or everybody left."""
        n, e = table.exposure.sum(axis=-1), table.events.sum(axis=-1)
        edge = (e == 0) | (e >= n) if table.whole else e == 0
        n, e = np.where(edge, n + 1.0, n), np.where(edge, e + 0.5, e)
        if table.whole:
            return np.asarray(np.log(n - e) - np.log(e))[..., None]
        return np.asarray(-np.log(np.expm1(e / n)))[..., None]

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """From the beta distribution of events and occasions, or the gamma distribution of the hazard (Jeffreys)."""
        exposure, events = float(self.table.exposure.sum()), float(self.table.events.sum())
        if self.table.whole:
            leave = rng.beta(events + 0.5, exposure - events + 0.5, size=(n, 1))
            return np.asarray(np.log1p(-leave) - np.log(leave))
        return np.asarray(-np.log(np.expm1(rng.gamma(events + 0.5, 1 / exposure, size=(n, 1)))))

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """All alike, whatever lies behind them."""
        from scipy.special import expit

        rate = np.asarray(expit(parameters))
        return Mixture(rate, np.ones_like(rate))

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """The one rate, T times."""
        from scipy.special import expit

        return np.repeat(np.asarray(expit(parameters)), periods, axis=-1)


@dataclass(frozen=True, eq=False)
class BetaGeometricModel:
    """Customers who differ. Parameters: log alpha and log beta."""

    table: LifeTable
    estimate: FloatArray
    vcov: FloatArray

    @property
    def name(self) -> str:
        """``"sbg"``."""
        return "sbg"

    @property
    def point(self) -> FloatArray:
        """Log alpha, log beta."""
        return self.estimate

    def refit(self, table: LifeTable) -> FloatArray:
        """Estimates from other life tables; a table in which no difference shows gives the largest alpha + beta."""
        n, e = (x.reshape(-1, table.periods) for x in (table.exposure, table.events))
        found = [fit_beta_geometric(LifeTable(a, b, table.whole)).coefficients[:, 0] for a, b in zip(n, e, strict=True)]
        return np.array(found).reshape(*table.exposure.shape[:-1], 2)

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """From the posterior under even odds of every mean and every degree of difference between customers.

        Drawn by importance from Student's distribution around the estimate. The degree is 1 / (1 + alpha + beta).
        """
        from scipy.special import log_expit

        scale = self.vcov if np.isfinite(self.vcov).all() else _wide(self.table, self.estimate)
        root, df, pool = np.linalg.cholesky(scale), 5.0, 6 * n
        noise = rng.standard_normal((pool, 2)) * np.sqrt(df / rng.chisquare(df, size=(pool, 1)))
        x = self.estimate + 1.3 * noise @ root.T
        total = np.logaddexp(x[:, 0], x[:, 1])
        inside = (total < math.log(MOST_ALIKE)) & (np.abs(x).max(axis=1) < 40)
        value = loglik(np.where(inside, x[:, 0], 0.0), np.where(inside, x[:, 1], 0.0), *_pair(self.table))
        mean_prior = x[:, 0] + x[:, 1] - 2.0 * total
        weight = value + mean_prior + log_expit(total) + log_expit(-total)
        weight += (df + 2.0) / 2.0 * np.log1p((noise**2).sum(axis=1) / df)
        weight = np.where(inside, weight, -np.inf)
        chance = np.exp(weight - weight.max())
        return np.asarray(x[_systematic(chance / chance.sum(), n, rng)])

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """Customers who have renewed so often."""
        alpha, beta = np.exp(parameters[..., 0]), np.exp(parameters[..., 1])
        return beta_mixture(alpha, beta, ages, shares, cuts)

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """``(beta + t - 1) / (alpha + beta + t - 1)``."""
        alpha, later = np.exp(parameters[..., :1]), np.exp(parameters[..., 1:]) + np.arange(periods)
        return np.asarray(later / (alpha + later))


def _pair(table: LifeTable) -> tuple[FloatArray, FloatArray, bool]:
    return table.exposure, table.events, table.whole


def _wide(table: LifeTable, estimate: FloatArray) -> FloatArray:
    """Proposal where the likelihood has no curvature: wide along alpha + beta, narrow across."""
    e = float(table.events.sum())
    along, across = np.array([1.0, 1.0]), np.array([1.0, -1.0])
    return np.asarray(4.0 * np.outer(along, along) + (1.0 / max(e, 1.0)) * np.outer(across, across))


def _systematic(chance: FloatArray, n: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw n places with the given chances, as evenly as can be, in random order."""
    steps = (rng.random() + np.arange(n)) / n
    return np.asarray(rng.permutation(np.minimum(np.searchsorted(chance.cumsum(), steps), chance.size - 1)))


@dataclass(frozen=True, eq=False)
class KaplanMeierModel:
    """A rate of its own for every period of tenure. Parameters: log odds of staying in each.

    Periods with fewer than five leavers expected at the end are joined, and the last rate is that of all that follow.
    """

    table: LifeTable
    spans: npt.NDArray[np.intp]

    @property
    def name(self) -> str:
        """``"kaplan-meier"``."""
        return "kaplan-meier"

    @property
    def point(self) -> FloatArray:
        """Log odds of staying, one a span."""
        return self.refit(self.table)

    def refit(self, table: LifeTable) -> FloatArray:
        """Log odds of staying, one a span."""
        joined = self._joined(table)
        return ConstantModel(joined).refit(
            LifeTable(joined.exposure[..., None], joined.events[..., None], table.whole)
        )[..., 0]

    def _joined(self, table: LifeTable) -> LifeTable:
        start = np.flatnonzero(np.diff(self.spans, prepend=-1))
        n, e = (np.add.reduceat(x, start, axis=-1) for x in (table.exposure, table.events))
        return LifeTable(n, e, table.whole)

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Every span's rate from its own beta (or gamma) distribution."""
        joined = self._joined(self.table)
        columns = [
            ConstantModel(LifeTable(a[None], b[None], self.table.whole)).draws(n, rng)
            for a, b in zip(joined.exposure, joined.events, strict=True)
        ]
        return np.concatenate(columns, axis=1)

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """Customers of so many periods."""
        rates = self.stay(parameters, self.table.periods)
        share = np.bincount(np.minimum(ages.astype(int), rates.shape[-1]), shares, minlength=rates.shape[-1] + 1)
        return Paths(rates, np.asarray(share, dtype=float))

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """Rate of each period's span; the last span's for all that follow."""
        from scipy.special import expit

        spans = np.concatenate([self.spans, np.full(max(periods - self.spans.size, 0), self.spans[-1])])[:periods]
        return np.asarray(expit(parameters))[..., spans]


def spans_of(table: LifeTable, fewest: float = 5.0) -> npt.NDArray[np.intp]:
    """Spans of periods with so many leavers each, the last one joined to its neighbour if it has fewer.

    Examples
    --------
    >>> spans_of(LifeTable(np.array([50.0, 40, 30, 20]), np.array([6.0, 3, 3, 1]))).tolist()
    [0, 1, 1, 1]
    """
    span, at, count = np.zeros(table.periods, dtype=np.intp), 0, 0.0
    for t in range(table.periods):
        span[t] = at
        count += float(table.events[t])
        if count >= fewest:
            at, count = at + 1, 0.0
    last = int(span[-1])
    if last and table.events[span == last].sum() < fewest:
        span[span == last] = last - 1
    return span


def fit_model(name: str, table: LifeTable) -> RetentionModel:
    """Fit one model to a life table (T,).

    Raises
    ------
    NonConvergenceError
        The model has no estimate on these data.

    Examples
    --------
    >>> table = LifeTable(np.array([1000.0, 700.0, 560.0]), np.array([300.0, 140.0, 80.0]))
    >>> float(np.exp(fit_model("sbg", table).point).round(1)[0])
    0.6
    """
    if name == "constant":
        return ConstantModel(table)
    if name == "kaplan-meier":
        return KaplanMeierModel(table, spans_of(table))
    if name == "sbg":
        fit = fit_beta_geometric(table)
        return BetaGeometricModel(table, fit.coefficients[:, 0], fit.vcov)
    raise UsageError(f"The retention model is {name!r}; expected one of {', '.join(MODELS)}.")


def choose_model(name: str, table: LifeTable) -> RetentionModel:
    """The model of that name; with ``"auto"`` one rate for all unless customers are seen to differ.

    They are when the shifted beta-geometric model is better by a likelihood-ratio test at 5 % (its reference is half a
    chi-square with one degree of freedom, since one rate for all lies at its edge).
    """
    if name != "auto":
        return fit_model(name, table)
    plain = ConstantModel(table)
    if table.periods < 2 or not 0 < table.events.sum() < table.exposure.sum():
        return plain
    try:
        differing = fit_model("sbg", table)
    except NonConvergenceError:
        return plain
    gain = 2.0 * (log_likelihood(differing, table) - log_likelihood(plain, table))
    return differing if gain > 2.705543 and np.exp(differing.point).sum() < 0.99 * MOST_ALIKE else plain


def log_likelihood(model: RetentionModel, table: LifeTable) -> float:
    """Log likelihood of a life table (T,) under a model."""
    from scipy.special import xlogy

    stay = model.stay(model.point, table.periods)
    n, e = table.exposure, table.events
    if table.whole:
        return float((xlogy(e, 1 - stay) + xlogy(n - e, stay)).sum())
    return float((xlogy(e, -np.log(stay)) + n * np.log(stay)).sum())


def calibration(model: RetentionModel, table: LifeTable) -> pd.DataFrame:
    """Leavers seen and expected, by period of tenure.

    Returns
    -------
    DataFrame
        ``period, at_risk, events, expected, stay`` (chance of staying through the period), ``fitted`` (share still
        there after it).

    Examples
    --------
    >>> table = LifeTable(np.array([100.0, 80.0]), np.array([20.0, 10.0]))
    >>> calibration(fit_model("constant", table), table)["expected"].round(1).tolist()
    [16.7, 13.3]
    """
    stay = model.stay(model.point, table.periods)
    leave = 1 - stay if table.whole else -np.log(stay)
    return pd.DataFrame(
        {
            "period": np.arange(1, table.periods + 1),
            "at_risk": table.exposure,
            "events": table.events,
            "expected": table.exposure * leave,
            "stay": stay,
            "fitted": np.cumprod(stay),
        }
    )


def misfit(model: RetentionModel, table: LifeTable) -> tuple[float, int, float]:
    """Pearson's chi-square of leavers by period, its degrees of freedom and p-value; periods joined to five a span."""
    from scipy.special import chdtrc

    found = calibration(model, table)
    expected, seen, n = (found[c].to_numpy(dtype=float) for c in ("expected", "events", "at_risk"))
    span = np.minimum(((expected.cumsum() - expected / 2) / 5).astype(int), max(int(expected.sum() / 5) - 1, 0))
    codes = np.unique(span, return_inverse=True)[1]
    e, o, n = (np.bincount(codes, x) for x in (expected, seen, n))
    keep = (e > 0) & (n > e)
    spread = e * (1 - e / n) if table.whole else e
    chisq = float((((o - e) ** 2)[keep] / spread[keep]).sum())
    df = int(keep.sum()) - len(model.point)
    return (chisq, df, float(chdtrc(df, chisq))) if df > 0 else (chisq, df, math.nan)


def curve_points(model: RetentionModel, periods: int) -> FloatArray:
    """Share still there after 1..T periods."""
    if isinstance(model, BetaGeometricModel):
        return survival(np.arange(1, periods + 1), *np.exp(model.point))
    return np.asarray(np.cumprod(model.stay(model.point, periods)))
