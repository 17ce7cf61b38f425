"""What loyalty is worth where nobody has a contract: the parts of a loyalty value from purchases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from spc.economics.buyers import BuyersModel
from spc.economics.curve import CURVE_COLUMNS
from spc.economics.joint import Joint
from spc.economics.ledger import MarginMean
from spc.economics.lifetable import LifeTable
from spc.economics.purchases import fit_buying, purchase_history, purchases_of
from spc.economics.retention import Retention
from spc.economics.spend import SpendModel, fit_spend
from spc.errors import EstimationError, UsageError
from spc.linalg import FloatArray

if TYPE_CHECKING:
    from spc.economics.terms import LoyaltyTerms

__all__ = ["BuyingParts", "buying_parts", "mean_purchase"]


@dataclass(frozen=True, eq=False)
class BuyingParts:
    """What a loyalty value is made of, from purchases; money is that of a purchase."""

    ledger: pd.DataFrame
    model: BuyersModel
    retention: Retention
    margin: MarginMean | None
    joint: Joint
    table: LifeTable
    ages: FloatArray
    shares: FloatArray
    present: int


def buying_parts(customers: pd.DataFrame, terms: LoyaltyTerms, until: object, draws: int, seed: int) -> BuyingParts:
    """Fit how often customers buy, how long, and what a purchase leaves.

    Parameters
    ----------
    customers : DataFrame
        Customers with ``repeats, recency, age`` in the periods of the terms (and ``spend``, what a purchase leaves), or
        transactions with ``customer, date`` and ``amount``.
    """
    if {"customer", "date"} <= set(customers.columns):
        customers = purchase_history(customers, until=until, period=terms.period)
    ledger = purchases_of(customers).reset_index(drop=True)
    model = BuyersModel(fit_buying(ledger, level=terms.level, period=terms.period))
    rng = np.random.default_rng(seed)
    parameters = model.draws(draws, rng)
    margin, amounts = mean_purchase(ledger, draws, rng)
    error = math.nan if margin is None else margin.std_error
    joint = Joint(parameters, amounts, None, None, 0, math.nan if margin is None else 0.0, error)
    ages = np.ones(1)
    rate = float(model.base(model.point, ages, ages, ()).next_rate())
    active = model.active()
    empty = pd.DataFrame({name: pd.Series(dtype=float) for name in CURVE_COLUMNS})
    retention = Retention(
        rate, math.nan, math.nan, terms.level, 0, 0.0, False, len(ledger), round(active), empty, math.nan
    )
    table = LifeTable(np.zeros(1), np.zeros(1), False)
    return BuyingParts(ledger, model, retention, margin, joint, table, ages, np.ones(1), round(active))


def mean_purchase(
    ledger: pd.DataFrame, draws: int, rng: np.random.Generator
) -> tuple[MarginMean | None, FloatArray | None]:
    """Mean purchase over customers and draws of it, from the model of spend; their plain mean where it has none.

    None where fewer than two customers came back with money: one tells nothing of how customers differ.
    """
    if "spend" not in ledger:
        return None, None
    seen = ledger.loc[(ledger["repeats"] > 0) & ledger["spend"].notna(), "spend"].to_numpy(dtype=float)
    if seen.size < 2:
        return None, None
    models: tuple[Literal["auto", "normal"], ...] = ("auto", "normal")
    for model in models:
        try:
            fit: SpendModel = fit_spend(ledger, model=model)
        except (UsageError, EstimationError):
            continue
        drawn, mean = fit.mean(fit.draws(draws, rng)), float(fit.mean())
        if np.isfinite(drawn).all() and math.isfinite(mean):
            return MarginMean(mean, float(drawn.std(ddof=1)), fit.customers, fit.losses), drawn
    plain = MarginMean(float(seen.mean()), float(seen.std(ddof=1) / math.sqrt(seen.size)), seen.size, 0)
    return plain, plain.draws(draws, rng)
