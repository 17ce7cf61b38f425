"""What a reader must know beside the figures of loyalty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spc.economics.base import points_more
from spc.economics.claim import CLAIM
from spc.economics.figures import relative_gain
from spc.economics.lifetime import retention_for_uplift, uplift
from spc.economics.models import WORDS
from spc.economics.terms import LoyaltyTerms
from spc.results import Note

if TYPE_CHECKING:
    from spc.economics.loyalty import LoyaltyValue

__all__ = ["loyalty_notes"]


def loyalty_notes(value: LoyaltyValue) -> Iterator[Note]:
    """Notes on the figures of a loyalty value, beside those on its retention."""
    t, r = value.terms, value.retention
    if value.dropped:
        text = f"{value.dropped} customers were left out because tenure or churn was missing."
        yield Note("rows_dropped", "info", "customers", text)
    if t.assumed:
        text = (
            f"The study does not say on what terms money is counted; {t.horizon:g} {t.period}s and a discount of "
            f"{t.discount:.0%} are assumed. State them under [money]."
        )
        yield Note("terms_assumed", "warning", "customer value", text)
    yield from _model_notes(value)
    if value.model.name == "constant" and r.estimate + t.points > 1:
        text = (
            f"Retention is {r.estimate:.1%}, so {100 * t.points:g} more points are not to be had; "
            f"the figures count the {100 * (1 - r.estimate):.1f} points up to 100 %."
        )
        yield Note("points_limited", "serious", "uplift", text)
    if r.estimate == 0:
        text = "Nobody renewed, so customer value is zero and a rise in per cent of it has no meaning."
        yield Note("nothing_to_compare", "serious", "uplift", text)
    yield from _margin_notes(value)
    yield Note("claim", "info", "uplift", _claim_text(t))
    yield Note("before_cost", "info", "uplift", "The figures are before the cost of winning the extra loyalty.")


def _model_notes(value: LoyaltyValue) -> Iterator[Note]:
    """On what picture of customers the figures rest, and whether it fits."""
    if value.model.name == "bg-nbd":
        yield from _buying_notes(value)
        return
    gap = _widest_gap(value)
    if value.model.name == "constant":
        if value.retention.p_constant < 0.01 and gap is not None and gap[0] >= 0.03:
            text = (
                f"Customers do not leave at the same rate in every period: {gap[1]} The figures rest on that one rate; "
                "where long-standing customers leave less, it understates what they are worth. Set retention_model to "
                "'sbg' or 'kaplan-meier' to let it differ."
            )
            yield Note("hazard_not_constant", "warning", "retention", text)
    else:
        yield Note("retention_model", "info", "retention", _model_text(value))
        if value.misfit()[2] < 0.01 and gap is not None and gap[0] >= 0.03:
            text = f"The {WORDS[value.model.name]} model does not follow this ledger: {gap[1]}"
            yield Note("retention_model_misfit", "warning", "retention", text)
    if value.sure.name != value.model.name:
        text = (
            "Customers are not seen to differ in how surely they stay, which a ledger of this size need not show. The "
            "estimates rest on one rate for all; the intervals also hold what follows if customers differ as far as "
            "the ledger allows."
        )
        yield Note("customers_may_differ", "info", "retention", text)
    if value.joint.units:
        text = (
            f"Customers of a unit share its fate: the intervals come from leaving out each of {value.joint.units} "
            "units in turn, not from counting customers."
        )
        yield Note("clustered_by_unit", "info", "retention", text)


def _buying_notes(value: LoyaltyValue) -> Iterator[Note]:
    text = (
        "Customers have no contract, and who is still one is a chance the BG/NBD model gives from what each bought: "
        f"{value.present} of {value.retention.customers} by expectation. Retention is the chance of an active customer "
        "to be active a period from now. Money is that of a purchase, and it is taken not to depend on whether "
        "a customer buys often or rarely."
    )
    yield Note("retention_model", "info", "retention", text)
    chisq, df, p = value.misfit()
    if p < 0.01:
        text = f"The BG/NBD model does not follow how often customers came back (chi-square {chisq:.1f} on {df} df)."
        yield Note("retention_model_misfit", "warning", "retention", text)


def _widest_gap(value: LoyaltyValue) -> tuple[float, str] | None:
    """How far the model and the curve lie apart, and where, among periods with at least 30 customers at risk."""
    curve = value.augment()
    seen = curve.loc[curve["at_risk"] >= 30]
    gap = (seen["survival"] - seen["fitted"]).abs().to_numpy()
    if not gap.size:
        return None
    period, survival, fitted = seen[["period", "survival", "fitted"]].to_numpy()[gap.argmax()]
    name = "one rate for all" if value.model.name == "constant" else "the model"
    return float(gap.max()), f"after {period:.0f} {survival:.0%} are still there where {name} says {fitted:.0%}."


def _model_text(value: LoyaltyValue) -> str:
    t = value.terms
    alike = float(uplift(value.retention.estimate, t.discount, points=t.points, horizon=t.horizon))
    own = float(relative_gain(value.base(), t, t.horizon))
    text = (
        f"The figures rest on the {WORDS[value.model.name]} model, in which the share that leaves goes by tenure. One "
        f"rate for all would put {100 * t.points:g} points at {alike:+.1%} of customer value, this says {own:+.1%}. "
    )
    if value.model.name == "kaplan-meier":
        return text + "After the last period seen customers are taken to leave as they did at its end."
    more = points_more(t.points)
    had = float(value.base().next_rate(more) - value.base().next_rate())
    return text + (
        "Customers differ, and those who have stayed are the loyal ones: present customers are worth more than one "
        f"rate for all says, and {100 * t.points:g} points add less to that, also since nobody can stay more surely "
        f"than for sure ({100 * had:.1f} points are to be had on average)."
    )


def _margin_notes(value: LoyaltyValue) -> Iterator[Note]:
    m = value.margin
    if m is None:
        text = "The customer table has no margins, so there are figures in per cent but none in money."
        yield Note("no_margin", "info", "margin", text)
        return
    low, high = m.interval(value.terms.level)
    if m.estimate < 0:
        text = "Customers cost more than they bring on average; keeping more of them would lose more money."
        yield Note("negative_margin", "serious", "margin", text)
    elif low < 0 < high:
        text = "The mean margin cannot be told from zero, so neither can anything in money that is built on it."
        yield Note("margin_near_zero", "serious", "margin", text)
    if m.negative:
        text = (
            f"{m.negative} of {m.customers} customers bring a loss. The figures are for the average customer; "
            "keeping a customer who brings a loss is worth less than nothing."
        )
        yield Note("loss_customers", "info", "margin", text)


def _claim_text(t: LoyaltyTerms) -> str:
    low, high = (f"{share:.0%}" for share in CLAIM)
    return (
        f"'Five points more retention, {low} to {high} more profit' is a claim without a traceable study behind it. "
        "Where it comes out, it is a change in the value of a customer over a whole life, not in a year's profit, and "
        f"before any cost. {_needed(t.discount)}{'' if t.discount == 0 else ' ' + _needed(0.0)}"
    )


def _needed(discount: float) -> str:
    """At what retention plain arithmetic gives the claimed range."""
    low, high = (retention_for_uplift(target, discount) for target in CLAIM)
    terms = (
        f"with a constant margin, no horizon and {f'a discount of {100 * discount:g}%' if discount else 'no discount'}"
    )
    if math.isnan(high):
        return f"Plain arithmetic {terms} gives {CLAIM[0]:.0%} at a retention of {low:.0%} and {CLAIM[1]:.0%} at none."
    return f"Plain arithmetic {terms} gives it to firms whose retention is {low:.0%} to {high:.0%} already."
