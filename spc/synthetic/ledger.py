"""The customer ledger: who started when, who left, what they leave behind each period."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.linalg import FloatArray
from spc.synthetic.plan import FirmPlan

__all__ = ["draw_ledger", "ledger_truth"]


def _logit_retention(plan: FirmPlan) -> float:
    return float(np.log(plan.retention / (1 - plan.retention)))


def draw_ledger(
    units: npt.NDArray[np.str_],
    sizes: npt.NDArray[np.int_],
    loyalty: FloatArray,
    plan: FirmPlan,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row a customer: customer, unit, tenure, churned, margin.

    Parameters
    ----------
    units : (J,) array of str
    sizes : (J,) array of int
        Customers per unit.
    loyalty : (J,) array
        Standardised unit-level customer loyalty.
    """
    where = np.repeat(np.arange(len(units)), sizes)
    stays = 1 / (1 + np.exp(-_logit_retention(plan) - plan.retention_by_loyalty * loyalty[where]))
    age = rng.integers(1, plan.periods + 1, size=where.size)
    leaves_after = rng.geometric(1 - stays)
    return pd.DataFrame(
        {
            "customer": [f"A{i + 1:06d}" for i in range(where.size)],
            "unit": units[where],
            "tenure": np.minimum(leaves_after, age),
            "churned": (leaves_after <= age).astype(int),
            "margin": np.round(rng.normal(plan.margin, plan.margin_sd, where.size), 2),
        }
    )


def ledger_truth(plan: FirmPlan, sizes: npt.NDArray[np.int_], loyalty: FloatArray) -> dict[str, float]:
    """Retention of the firm's customers, given its units, and what it is worth on the plan's terms.

    Retention is expected renewals over expected renewal occasions: sums over units and starting periods, with
    ``1 − (1 − h)**T`` leavers and ``(1 − (1 − h)**T) / h`` occasions of a customer of age T whose unit loses
    the share h. A customer's value is written out, ``sum over t = 1..horizon of margin * r**t / (1 + d)**t``.

    Parameters
    ----------
    plan : FirmPlan
    sizes : (J,) array of int
        Customers per unit.
    loyalty : (J,) array
        Standardised unit-level customer loyalty.

    Examples
    --------
    >>> truth = ledger_truth(FirmPlan(), np.array([10, 20]), np.array([0.0, 0.0]))
    >>> round(truth["retention"], 4)
    0.82
    """
    churn = 1 / (1 + np.exp(_logit_retention(plan) + plan.retention_by_loyalty * loyalty))[:, None]
    lost = 1 - (1 - churn) ** np.arange(1, plan.periods + 1)
    retention = 1 - float(sizes @ lost.sum(axis=1)) / float(sizes @ (lost / churn).sum(axis=1))
    better = min(retention + plan.points, 1.0)
    now, then = (sum((r / (1 + plan.discount)) ** t for t in range(1, plan.horizon + 1)) for r in (retention, better))
    return {
        "retention": retention,
        "margin": plan.margin,
        "clv": plan.margin * now,
        "uplift_money": plan.margin * (then - now),
        "uplift_percent": then / now - 1,
    }
