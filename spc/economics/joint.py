"""Retention and margin drawn together: their errors are not independent, and customers of a unit share its fate.

Without units the parameters of retention come from their own distribution and the mean margin from Student's; the two
are put in an order that has the correlation of their influence functions (Iman & Conover 1982). With units each is the
estimate plus deviations with the covariance of a leave-one-unit-out jackknife, in Student's distribution on units
less one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.beta_geometric import MOST_ALIKE, scores
from spc.economics.ledger import MarginMean, margin_rows
from spc.economics.lifetable import LifeTable, life_tables
from spc.economics.models import BetaGeometricModel, RetentionModel
from spc.linalg import FloatArray

__all__ = ["FEWEST_UNITS", "Joint", "joint_draws"]

FEWEST_UNITS = 5
"""Fewer units than these say nothing about how units differ; customers then count as independent."""


@dataclass(frozen=True, eq=False)
class Joint:
    """Draws of retention and margin.

    Attributes
    ----------
    parameters : (n, k) array
        Of the model of retention.
    margin : (n,) array or None
    units : int
        Units that were left out in turn; 0 when customers count as independent.
    correlation : float
        Of staying and margin, as estimates; NaN without margins.
    margin_error : float
        Standard error of the mean margin; NaN without margins.
    """

    parameters: FloatArray
    margin: FloatArray | None
    units: int
    correlation: float
    margin_error: float


def joint_draws(model: RetentionModel, ledger: pd.DataFrame, margin: MarginMean | None, n: int, seed: int) -> Joint:
    """Draw parameters of retention and the mean margin together.

    Parameters
    ----------
    model : RetentionModel
    ledger : DataFrame
        As :func:`spc.economics.ledger.read_ledger` gives it.
    margin : MarginMean or None
    n : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    codes = _units(ledger)
    if codes is not None:
        return _clustered(model, ledger, codes, margin, n, rng)
    parameters = model.draws(n, rng)
    if margin is None:
        return Joint(parameters, None, 0, float("nan"), float("nan"))
    correlation = _correlation(ledger)
    drawn = _in_step(model.stay(parameters, 1)[:, 0], np.sort(margin.draws(n, rng)), correlation, rng)
    return Joint(parameters, drawn, 0, correlation, margin.std_error)


def _units(ledger: pd.DataFrame) -> npt.NDArray[np.intp] | None:
    """Unit of each customer, or None where there are too few or every customer has one to herself."""
    if "unit" not in ledger or not ledger["unit"].notna().any():
        return None
    names = ledger["unit"].astype(object).where(ledger["unit"].notna(), "\x00").astype(str)
    codes = np.asarray(pd.factorize(names)[0], dtype=np.intp)
    count = int(codes.max()) + 1
    return None if count < FEWEST_UNITS or count == codes.size else codes


def _correlation(ledger: pd.DataFrame) -> float:
    """Correlation of the share that stays and the mean margin as estimates, from each customer's influence on them."""
    entry = ledger["entry"].to_numpy(dtype=float) if "entry" in ledger else 0.0
    watched = ledger["tenure"].to_numpy(dtype=float) - entry
    left = ledger["churned"].to_numpy(dtype=float)
    stay = watched * left.sum() / watched.sum() - left
    rows = margin_rows(ledger).to_numpy()
    amount = np.where(rows, ledger["margin"].to_numpy(dtype=float), 0.0)
    gain = np.where(rows, amount - amount[rows].mean(), 0.0)
    scale = float(np.sqrt((stay @ stay) * (gain @ gain)))
    return float(stay @ gain) / scale if scale > 0 else 0.0


def _in_step(guide: FloatArray, ordered: FloatArray, correlation: float, rng: np.random.Generator) -> FloatArray:
    """Put ordered draws in an order whose normal scores correlate with those of the guide."""
    from scipy.special import ndtri

    n = guide.size
    normal = ndtri((np.argsort(np.argsort(guide)) + 0.5) / n)
    noise = correlation * normal + np.sqrt(1.0 - min(correlation**2, 1.0)) * rng.standard_normal(n)
    return np.asarray(ordered[np.argsort(np.argsort(noise))])


def _clustered(
    model: RetentionModel,
    ledger: pd.DataFrame,
    codes: npt.NDArray[np.intp],
    margin: MarginMean | None,
    n: int,
    rng: np.random.Generator,
) -> Joint:
    entry = ledger.get("entry")
    tables = life_tables(ledger["tenure"], ledger["churned"], codes, entry)
    shift = _without_each(model, tables)
    units = len(shift)
    if margin is not None:
        shift = np.column_stack([shift, _margins_without_each(ledger, codes, units)])
    noise = rng.standard_normal((n, units)) * np.sqrt((units - 1) / rng.chisquare(units - 1, size=(n, 1)))
    drawn = np.sqrt((units - 1) / units) * noise @ shift
    k = len(model.point)
    parameters = _inside(model, model.point + drawn[:, :k])
    if margin is None:
        return Joint(parameters, None, units, float("nan"), float("nan"))
    error = float(np.sqrt((units - 1) / units * (shift[:, -1] ** 2).sum()))
    stay = model.stay(parameters, 1)[:, 0]
    together = float(np.corrcoef(stay, drawn[:, -1])[0, 1]) if stay.std() > 0 and error > 0 else 0.0
    return Joint(parameters, margin.estimate + drawn[:, -1], units, together, error)


def _without_each(model: RetentionModel, tables: LifeTable) -> FloatArray:
    """How the parameters move when each unit is left out, (J, k); one Newton step for the beta-geometric model."""
    if isinstance(model, BetaGeometricModel):
        gradient, information = scores(model.point, tables)
        rest = information.sum(axis=0) - information
        lifted = rest + 1e-9 * np.trace(rest, axis1=1, axis2=2)[:, None, None] * np.eye(2)
        return np.asarray(-np.linalg.solve(lifted, gradient[..., None])[..., 0])
    total = tables.total()
    rest = LifeTable(total.exposure - tables.exposure, np.maximum(total.events - tables.events, 0.0), tables.whole)
    return np.asarray(model.refit(rest) - model.point)


def _margins_without_each(ledger: pd.DataFrame, codes: npt.NDArray[np.intp], units: int) -> FloatArray:
    rows = margin_rows(ledger).to_numpy()
    amount = ledger["margin"].to_numpy(dtype=float)[rows]
    count = np.bincount(codes[rows], minlength=units)
    total = np.bincount(codes[rows], amount, minlength=units)
    rest = np.maximum(count.sum() - count, 1)
    return np.asarray((amount.sum() - total) / rest - amount.mean())


def _inside(model: RetentionModel, drawn: FloatArray) -> FloatArray:
    """Draws of log alpha and log beta held to where the model means something."""
    if not isinstance(model, BetaGeometricModel):
        return np.clip(drawn, -40.0, 40.0)
    total = np.logaddexp(drawn[:, 0], drawn[:, 1])
    held = np.clip(total, np.log(0.02), np.log(MOST_ALIKE))
    return np.asarray(drawn + (held - total)[:, None])
