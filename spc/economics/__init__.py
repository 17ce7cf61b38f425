"""Retention, lifetime value, and what five points of loyalty are worth."""

from spc.economics.lifetime import elasticity, margin_multiple, retention_for_uplift, uplift
from spc.economics.loyalty import LoyaltyValue, loyalty_value
from spc.economics.retention import Retention, estimate_retention
from spc.economics.tenure import tenure_between
from spc.economics.terms import LoyaltyTerms

__all__ = [
    "LoyaltyTerms",
    "LoyaltyValue",
    "Retention",
    "elasticity",
    "estimate_retention",
    "loyalty_value",
    "margin_multiple",
    "retention_for_uplift",
    "tenure_between",
    "uplift",
]
