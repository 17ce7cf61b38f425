"""Retention, lifetime value, and what five points of loyalty are worth."""

from spc.economics.buying_groups import BuyingGroups, buying_by
from spc.economics.duration import BetaWeibull, fit_beta_weibull
from spc.economics.groups import RetentionGroups, retention_by
from spc.economics.hazards import HazardFit, fit_hazard, retention_curves
from spc.economics.lifetable import LifeTable, life_table, life_tables
from spc.economics.lifetime import elasticity, margin_multiple, retention_for_uplift, uplift
from spc.economics.link import RetentionLink, nearest_link, retention_link
from spc.economics.link_money import LinkMoney, effect_draws, money_of_link
from spc.economics.loyal_groups import BetaGeometric, fit_beta_geometric
from spc.economics.loyalty import LoyaltyValue, loyalty_value
from spc.economics.market import MarketQuality, market_quality, relative_nps
from spc.economics.overview import loyalty_results
from spc.economics.purchases import BuyingModel, fit_buying, purchase_history
from spc.economics.retention import Retention, estimate_retention
from spc.economics.spend import SpendModel, fit_spend
from spc.economics.streams import stream_value
from spc.economics.tenure import tenure_between
from spc.economics.terms import LoyaltyTerms

__all__ = [
    "BetaGeometric",
    "BetaWeibull",
    "BuyingGroups",
    "BuyingModel",
    "HazardFit",
    "LifeTable",
    "LinkMoney",
    "LoyaltyTerms",
    "LoyaltyValue",
    "MarketQuality",
    "Retention",
    "RetentionGroups",
    "RetentionLink",
    "SpendModel",
    "buying_by",
    "effect_draws",
    "elasticity",
    "estimate_retention",
    "fit_beta_geometric",
    "fit_beta_weibull",
    "fit_buying",
    "fit_hazard",
    "fit_spend",
    "life_table",
    "life_tables",
    "loyalty_results",
    "loyalty_value",
    "margin_multiple",
    "market_quality",
    "money_of_link",
    "nearest_link",
    "purchase_history",
    "relative_nps",
    "retention_by",
    "retention_curves",
    "retention_for_uplift",
    "retention_link",
    "stream_value",
    "tenure_between",
    "uplift",
]
