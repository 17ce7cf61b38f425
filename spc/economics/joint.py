"""Retention and margin together: their errors are not independent, and customers of a unit share its fate.

Without units the parameters of retention have their own distribution and the mean margin Student's. With units their
covariance is that of a leave-one-unit-out jackknife, and their distribution Student's on units less one. Draws of the
two are put in an order that has the correlation of the estimates (Iman & Conover 1982); the region of both that the
data do not reject is the ellipsoid with that correlation, bent as the likelihood of retention bends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.ledger import MarginMean, leaning, margin_rows
from spc.economics.lifetable import LifeTable, life_tables
from spc.economics.models import LedgerModel
from spc.economics.region import Region, Spread, student
from spc.linalg import FloatArray

__all__ = ["FEWEST_UNITS", "Joint", "joint_draws"]

FEWEST_UNITS = 5
"""Fewer units than these say nothing about how units differ; customers then count as independent."""


@dataclass(frozen=True, eq=False)
class Joint:
    """What is known of retention and margin together.

    Attributes
    ----------
    parameters : (n, k) array
        Draws of the parameters of the model of retention.
    margin : (n,) array or None
        Draws of the mean margin.
    region : Region or None
        Parameters the data do not reject, of the model that says how sure the figures are; figures range over them.
        None where the middle of the draws says it.
    region_margin : (3, m) array or None
        Least, middle and largest mean margin that go with each of them.
    units : int
        Units that were left out in turn; 0 when customers count as independent.
    correlation : float
        Of staying and margin, as estimates; NaN without margins.
    margin_error : float
        Standard error of the mean margin; NaN without margins.
    """

    parameters: FloatArray
    margin: FloatArray | None
    region: Region | None
    region_margin: FloatArray | None
    units: int
    correlation: float
    margin_error: float


@dataclass(frozen=True, slots=True)
class _Amount:
    """The mean margin: estimate, error, degrees of freedom, correlation with the share that stays, lean."""

    estimate: float
    error: float
    df: float
    correlation: float
    lean: float = 0.0

    def at(self, t: FloatArray) -> FloatArray:
        """Means at Student's quantiles."""
        return self.estimate + self.error * leaning(t, self.lean)


def joint_draws(
    model: LedgerModel,
    sure: LedgerModel,
    ledger: pd.DataFrame,
    margin: MarginMean | None,
    *,
    draws: int,
    seed: int,
    level: float,
) -> Joint:
    """Draw parameters of retention and the mean margin together, and find the region that the data do not reject.

    Parameters
    ----------
    model, sure : LedgerModel
        The model that gives the figures, whose parameters are drawn, and the one whose region says how sure they are.
    ledger : DataFrame
        As :func:`spc.economics.ledger.read_ledger` gives it.
    margin : MarginMean or None
    draws, seed : int
    level : float
        How much of what could be the region holds.
    """
    rng = np.random.default_rng(seed)
    units = _Units.of(ledger)
    spreads = [None if units is None else units.spread(each) for each in (model, sure)]
    parameters, region = model.draws(draws, rng, spreads[0]), sure.region(level, spreads[1])
    count = 0 if units is None else units.count
    if margin is None:
        return Joint(parameters, None, region, None, count, math.nan, math.nan)
    amount = _amount(ledger, margin) if units is None else units.amount(ledger, model, margin)
    ordered = np.sort(amount.at(rng.standard_t(amount.df, size=draws)))
    drawn = _in_step(_share(model, parameters), ordered, amount.correlation, rng)
    beside = None if region is None else _beside(sure, region, amount, level)
    return Joint(parameters, drawn, region, beside, count, amount.correlation, amount.error)


def _share(model: LedgerModel, parameters: FloatArray) -> FloatArray:
    """Share of all customers at risk that stays, (...)."""
    exposure = model.table.exposure
    return np.asarray(model.stay(parameters, exposure.size) @ (exposure / exposure.sum()))


def _beside(model: LedgerModel, region: Region, amount: _Amount, level: float) -> FloatArray:
    """Least, middle and largest mean margin beside each of the parameters, (3, m)."""
    away = _share(model, region.parameters) - _share(model, model.point)
    most = np.where(away > 0, away.max(), -away.min())
    turn = np.clip(away / np.where(most > 0, most, 1.0), -region.radius, region.radius)
    room = math.sqrt(1.0 - amount.correlation**2) * np.sqrt(1.0 - region.radius**2)
    steps = amount.correlation * turn + np.array([[-1.0], [0.0], [1.0]]) * room
    return amount.at(student(amount.df, level) * steps)


def _amount(ledger: pd.DataFrame, margin: MarginMean) -> _Amount:
    """Of independent customers; the correlation is that of each customer's influence on the two estimates."""
    entry = ledger["entry"].to_numpy(dtype=float) if "entry" in ledger else 0.0
    watched = ledger["tenure"].to_numpy(dtype=float) - entry
    left = ledger["churned"].to_numpy(dtype=float)
    stay = watched * left.sum() / watched.sum() - left
    rows = margin_rows(ledger).to_numpy()
    amount = np.where(rows, ledger["margin"].to_numpy(dtype=float), 0.0)
    gain = np.where(rows, amount - amount[rows].mean(), 0.0)
    return _Amount(margin.estimate, margin.std_error, margin.customers - 1.0, _cosine(stay, gain), margin.lean)


def _cosine(x: FloatArray, y: FloatArray) -> float:
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return max(-1.0, min(1.0, float(x @ y) / scale)) if scale > 0 else 0.0


@dataclass(frozen=True, eq=False)
class _Units:
    """Life tables of the units, and the unit of each customer."""

    tables: LifeTable
    codes: npt.NDArray[np.intp]

    @classmethod
    def of(cls, ledger: pd.DataFrame) -> _Units | None:
        """None where there are too few units or every customer has one to herself."""
        if "unit" not in ledger or not ledger["unit"].notna().any():
            return None
        names = ledger["unit"].astype(object).where(ledger["unit"].notna(), "\x00").astype(str)
        codes = np.asarray(pd.factorize(names)[0], dtype=np.intp)
        count = int(codes.max()) + 1
        if count < FEWEST_UNITS or count == codes.size:
            return None
        return cls(life_tables(ledger["tenure"], ledger["churned"], codes, ledger.get("entry")), codes)

    @property
    def count(self) -> int:
        return len(self.tables.exposure)

    def spread(self, model: LedgerModel) -> Spread:
        """Jackknife covariance of the model's parameters."""
        shift = model.without_each(self.tables)
        return Spread((self.count - 1) / self.count * shift.T @ shift, self.count - 1.0)

    def amount(self, ledger: pd.DataFrame, model: LedgerModel, margin: MarginMean) -> _Amount:
        """The mean margin, by the jackknife as well."""
        rows = margin_rows(ledger).to_numpy()
        values, codes = ledger["margin"].to_numpy(dtype=float)[rows], self.codes[rows]
        count, total = (np.bincount(codes, weights, minlength=self.count) for weights in (None, values))
        moved = (values.sum() - total) / np.maximum(count.sum() - count, 1) - values.mean()
        stay = _share(model, model.point + model.without_each(self.tables))
        error = math.sqrt((self.count - 1) / self.count * float(moved @ moved))
        together = _cosine(stay - stay.mean(), moved - moved.mean())
        return _Amount(margin.estimate, error, self.count - 1.0, together)


def _in_step(guide: FloatArray, ordered: FloatArray, correlation: float, rng: np.random.Generator) -> FloatArray:
    """Put ordered draws in an order whose normal scores correlate with those of the guide."""
    from scipy.special import ndtri

    n = guide.size
    normal = ndtri((np.argsort(np.argsort(guide)) + 0.5) / n)
    noise = correlation * normal + np.sqrt(1.0 - min(correlation**2, 1.0)) * rng.standard_normal(n)
    return np.asarray(ordered[np.argsort(np.argsort(noise))])
