"""Models of retention a firm can choose from, all fitted to one life table and all answering the same questions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.base import Base, Mixture, Paths, beta_mixture
from spc.economics.beta_geometric import (
    MOST_ALIKE,
    coordinates,
    loglik,
    logs,
    maximise,
    scores,
)
from spc.economics.lifetable import LifeTable
from spc.economics.region import Region, Spread, likelihood_region, student, student_draws
from spc.errors import NonConvergenceError, UsageError
from spc.linalg import FloatArray, frozen_array

__all__ = [
    "MODELS",
    "BetaGeometricModel",
    "ConstantModel",
    "KaplanMeierModel",
    "LedgerModel",
    "RetentionModel",
    "calibration",
    "choose_model",
    "fit_model",
]

MODELS = ("auto", "constant", "sbg", "kaplan-meier", "bg-nbd")


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

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """Customers with so many periods behind them."""

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """Chance of staying through period 1..T for those who got there, (..., T)."""


class LedgerModel(RetentionModel, Protocol):
    """A model of retention fitted to a life table."""

    @property
    def table(self) -> LifeTable:
        """What it is fitted to, (T,)."""

    def without_each(self, tables: LifeTable) -> FloatArray:
        """How the estimates move when each table (J, T) is left out, (J, k)."""

    def draws(self, n: int, rng: np.random.Generator, spread: Spread | None = None) -> FloatArray:
        """Draws of the parameters, (n, k): of independent customers, or with the spread over their units."""

    def region(self, level: float, spread: Spread | None = None) -> Region | None:
        """Parameters the data do not reject; None where the middle of the draws has to say it."""


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
        """Log odds of staying in tables (..., T); half an event is added where nobody or everybody left."""
        n, e = table.exposure.sum(axis=-1), table.events.sum(axis=-1)
        edge = (e == 0) | (e >= n) if table.whole else e == 0
        n, e = np.where(edge, n + 1.0, n), np.where(edge, e + 0.5, e)
        if table.whole:
            return np.asarray(np.log(n - e) - np.log(e))[..., None]
        return np.asarray(-np.log(np.expm1(e / n)))[..., None]

    def without_each(self, tables: LifeTable) -> FloatArray:
        """How the log odds move when each table is left out."""
        return self.refit(_others(tables)) - self.point

    def draws(self, n: int, rng: np.random.Generator, spread: Spread | None = None) -> FloatArray:
        """From the beta distribution of events and occasions, or the gamma distribution of the hazard (Jeffreys)."""
        if spread is not None:
            return self.point + student_draws(spread, n, rng)
        exposure, events = float(self.table.exposure.sum()), float(self.table.events.sum())
        if self.table.whole:
            leave = rng.beta(events + 0.5, exposure - events + 0.5, size=(n, 1))
            return np.asarray(np.log1p(-leave) - np.log(leave))
        return np.asarray(-np.log(np.expm1(rng.gamma(events + 0.5, 1 / exposure, size=(n, 1)))))

    def region(self, level: float, spread: Spread | None = None) -> Region:
        """The middle of those distributions."""
        from scipy.special import betaincinv, gammaincinv, ndtr

        at = np.linspace(-1.0, 1.0, 81)
        if spread is not None:
            half = spread.width(level) * math.sqrt(float(spread.vcov[0, 0]))
            return Region(self.point + half * at[:, None], np.abs(at))
        exposure, events = float(self.table.exposure.sum()), float(self.table.events.sum())
        chance = ndtr(student(np.inf, level) * at)
        if self.table.whole:
            leave = betaincinv(events + 0.5, exposure - events + 0.5, chance)
            return Region((np.log1p(-leave) - np.log(leave))[:, None], np.abs(at))
        return Region(-np.log(np.expm1(gammaincinv(events + 0.5, chance) / exposure))[:, None], np.abs(at))

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
    """Customers who differ. Parameters: :func:`spc.economics.beta_geometric.coordinates`."""

    table: LifeTable
    point: FloatArray

    @property
    def name(self) -> str:
        """``"sbg"``."""
        return "sbg"

    @property
    def differ(self) -> bool:
        """Whether customers differ at all: alpha + beta does not stand at its largest."""
        return bool(self.point[1] > _BOX[0][1])

    def alpha_beta(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Alpha and beta, (...), held to where they mean something."""
        alpha, beta = (np.exp(log) for log in logs(np.clip(parameters, *_BOX)))
        return alpha, beta

    def without_each(self, tables: LifeTable) -> FloatArray:
        """How the estimates move when each table is left out: one Newton step, gradients taken from their mean."""
        gradient, information = scores(self.point, tables)
        rest = _regular(information.sum(axis=0) - information)
        return np.asarray(-np.linalg.solve(rest, (gradient - gradient.mean(axis=0))[..., None])[..., 0])

    def draws(self, n: int, rng: np.random.Generator, spread: Spread | None = None) -> FloatArray:
        """From the posterior under even odds of every mean and every degree of difference between customers.

        Drawn by importance from Student's distribution around the estimate. The degree is 1 / (1 + alpha + beta).
        """
        from scipy.special import log_expit

        vcov, df, pool = self._vcov(spread), 5.0, 6 * n
        noise = rng.standard_normal((pool, 2)) * np.sqrt(df / rng.chisquare(df, size=(pool, 1)))
        x = self.point + 1.3 * noise @ np.linalg.cholesky(vcov).T
        weight = (
            log_expit(x[:, 0]) + log_expit(-x[:, 0]) - x[:, 1] + (df + 2.0) / 2.0 * np.log1p((noise**2).sum(1) / df)
        )
        lost = self._deviance(x, vcov)
        weight -= lost / 2.0 if spread is None else (spread.df + 2.0) / 2.0 * np.log1p(lost / spread.df)
        chance = np.exp(weight - weight.max())
        return np.asarray(x[_systematic(chance / chance.sum(), n, rng)])

    def region(self, level: float, spread: Spread | None = None) -> Region:
        """Parameters the likelihood does not reject, see :func:`spc.economics.region.likelihood_region`."""
        vcov = self._vcov(spread)
        width = student(np.inf, level) if spread is None else spread.width(level)
        return likelihood_region(lambda x: self._deviance(x, vcov), self.point, vcov, _BOX, width)

    def _information(self) -> FloatArray:
        return _regular(scores(self.point, self.table)[1])

    def _vcov(self, spread: Spread | None) -> FloatArray:
        """Covariance over units, nowhere below a quarter of that of independent customers; or the latter."""
        root = np.linalg.cholesky(np.linalg.inv(self._information()))
        if spread is None:
            return np.asarray(root @ root.T)
        back = np.linalg.inv(root)
        values, vectors = np.linalg.eigh(back @ spread.vcov @ back.T)
        lifted = root @ vectors * np.sqrt(np.maximum(values, 0.25))
        return np.asarray(lifted @ lifted.T)

    def _deviance(self, x: FloatArray, vcov: FloatArray) -> FloatArray:
        """Twice the log likelihood lost at parameters (m, 2), infinite where they mean nothing.

        Towards each side it is taken so many times as has the curvature of the covariance (Chandler & Bate 2007,
        Biometrika 94, the vertical adjustment).
        """
        inside = np.all((x >= _BOX[0]) & (x <= _BOX[1]), axis=1)
        kept = np.where(inside[:, None], x, self.point)
        n, e, whole = self.table.exposure, self.table.events, self.table.whole
        best, here = (loglik(*logs(at), n, e, whole) for at in (self.point[None], kept))
        away = kept - self.point
        own, wanted = (((away @ m) * away).sum(axis=1) for m in (self._information(), np.linalg.inv(vcov)))
        ratio = np.where(own > 0, wanted / np.where(own > 0, own, 1.0), 1.0)
        return np.where(inside, 2.0 * np.maximum(best - here, 0.0) * ratio, np.inf)

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """Customers who have renewed so often."""
        return beta_mixture(*self.alpha_beta(parameters), ages, shares, cuts)

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """``(beta + t - 1) / (alpha + beta + t - 1)``."""
        alpha, beta = self.alpha_beta(parameters)
        later = beta[..., None] + np.arange(periods)
        return np.asarray(later / (alpha[..., None] + later))


_BOX = np.array([-15.0, math.log1p(1.0 / MOST_ALIKE)]), np.array([15.0, math.log1p(50.0)])
"""Parameters beyond which nobody can tell customers' rates from nought, from one, from each other or from a coin's."""


def _regular(information: FloatArray) -> FloatArray:
    """Information that no direction is without, worth less than a hundredth of a leaver."""
    return np.asarray(information + np.diag([0.01, 0.05]))


def _others(tables: LifeTable) -> LifeTable:
    """The sum of all tables (J, T) but each."""
    total = tables.total()
    left = np.maximum(total.events - tables.events, 0.0)
    return LifeTable(total.exposure - tables.exposure, left, tables.whole)


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

    def without_each(self, tables: LifeTable) -> FloatArray:
        """How the log odds move when each table is left out."""
        return self.refit(_others(tables)) - self.point

    def draws(self, n: int, rng: np.random.Generator, spread: Spread | None = None) -> FloatArray:
        """Every span's rate from its own beta (or gamma) distribution."""
        if spread is not None:
            return self.point + student_draws(spread, n, rng)
        joined = self._joined(self.table)
        columns = [
            ConstantModel(LifeTable(a[None], b[None], self.table.whole)).draws(n, rng)
            for a, b in zip(joined.exposure, joined.events, strict=True)
        ]
        return np.concatenate(columns, axis=1)

    def region(self, level: float, spread: Spread | None = None) -> None:
        """Too many parameters for one."""

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


def fit_model(name: str, table: LifeTable) -> LedgerModel:
    """Fit one model to a life table (T,).

    Raises
    ------
    NonConvergenceError
        The model has no estimate on these data.

    Examples
    --------
    >>> table = LifeTable(np.array([1000.0, 700.0, 560.0]), np.array([300.0, 140.0, 80.0]))
    >>> model = fit_model("sbg", table)
    >>> [round(float(x), 1) for x in model.alpha_beta(model.point)]
    [0.6, 1.3]
    """
    if name == "constant":
        return ConstantModel(table)
    if name == "kaplan-meier":
        return KaplanMeierModel(table, spans_of(table))
    if name == "sbg":
        return fit_differing(table)
    raise UsageError(f"The retention model is {name!r}; expected one of {', '.join(MODELS)}.")


def fit_differing(table: LifeTable) -> BetaGeometricModel:
    """The shifted beta-geometric model of a life table (T,)."""
    point = np.clip(coordinates(*maximise(table).coefficients[:, 0]), *_BOX)
    return BetaGeometricModel(table, frozen_array(point))


def choose_model(name: str, table: LifeTable) -> tuple[LedgerModel, LedgerModel]:
    """The model of that name, which gives the figures, and the one that says how sure they are.

    With ``"auto"`` the figures are those of one rate for all unless customers are seen to differ: the shifted
    beta-geometric model is better by a likelihood-ratio test at 5 % (its reference is half a chi-square with one degree
    of freedom, since one rate for all lies at its edge). How sure they are always comes from the beta-geometric model,
    which holds one rate for all as well: an interval that forgot the choice would cover the truth too rarely.
    """
    if name != "auto":
        model = fit_model(name, table)
        return model, model
    plain = ConstantModel(table)
    if table.periods < 2 or not 0 < table.events.sum() < table.exposure.sum():
        return plain, plain
    try:
        differing = fit_differing(table)
    except NonConvergenceError:
        return plain, plain
    gain = 2.0 * (log_likelihood(differing, table) - log_likelihood(plain, table))
    return (differing if gain > _SEEN and differing.differ else plain), differing


_SEEN = 2.705543
"""Upper 10 % of a chi-square with one degree of freedom: 5 % of half of one."""


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
