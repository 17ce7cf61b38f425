"""What a reader must know beside the figures of loyalty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spc.economics.base import points_more
from spc.economics.claim import CLAIM
from spc.economics.figures import relative_gain
from spc.economics.lifetime import retention_for_uplift, uplift
from spc.economics.terms import LoyaltyTerms
from spc.results import Note
from spc.words import Phrase, phrase

if TYPE_CHECKING:
    from spc.economics.loyalty import LoyaltyValue

__all__ = ["loyalty_notes"]


def loyalty_notes(value: LoyaltyValue) -> Iterator[Note]:
    """Notes on the figures of a loyalty value, beside those on its retention."""
    t, r = value.terms, value.retention
    if value.dropped:
        yield Note.of("rows_dropped", "info", "customers", "ledger", customers=value.dropped)
    if t.assumed:
        horizon = phrase(f"time.{t.period}s", n=t.horizon, text=t.horizon)
        yield Note.of("terms_assumed", "warning", "customer value", horizon=horizon, discount=t.discount)
    yield from _model_notes(value)
    if value.model.name == "constant" and r.estimate + t.points > 1:
        yield Note.of("points_limited", "serious", "uplift", retention=r.estimate, points=100 * t.points,
                      left=100 * (1 - r.estimate), all=1.0)  # fmt: skip
    yield from _had(value)
    if r.estimate == 0:
        yield Note.of("nothing_to_compare", "serious", "uplift")
    yield from _margin_notes(value)
    yield _claim(t)
    yield Note.of("first_period", "info", "customer value", "running" if t.first_margin else "next")
    yield Note.of("before_cost", "info", "uplift")


def _had(value: LoyaltyValue) -> Iterator[Note]:
    """Points that nobody can gain, where customers differ and the note on the model does not say so."""
    if value.model.name in {"constant", "sbg"}:
        return
    base, points = value.base(), value.terms.points
    had = float(base.next_rate(points_more(points)) - base.next_rate())
    if had < 0.95 * points:
        yield Note.of("points_had", "warning", "uplift", points=100 * points, had=100 * had)


def _model_notes(value: LoyaltyValue) -> Iterator[Note]:
    """On what picture of customers the figures rest, and whether it fits."""
    if value.model.name == "bg-nbd":
        yield from _buying_notes(value)
        return
    gap = _widest_gap(value)
    if value.model.name == "constant":
        if value.retention.p_constant < 0.01 and gap is not None and gap[0] >= 0.03:
            yield Note.of("hazard_not_constant", "warning", "retention", gap=gap[1])
    else:
        yield _model_note(value)
        if value.misfit()[2] < 0.01 and gap is not None and gap[0] >= 0.03:
            yield Note.of("retention_model_misfit", "warning", "retention", value.model.name, gap=gap[1])
    if value.sure.name != value.model.name:
        yield Note.of("customers_may_differ", "info", "retention")
    if value.joint.units:
        yield Note.of("clustered_by_unit", "info", "retention", units=value.joint.units)


def _buying_notes(value: LoyaltyValue) -> Iterator[Note]:
    yield Note.of("retention_model", "info", "retention", "bg-nbd", present=value.present,
                  customers=value.retention.customers)  # fmt: skip
    chisq, df, p = value.misfit()
    if p < 0.01:
        yield Note.of("retention_model_misfit", "warning", "retention", "bg-nbd", chisq=chisq, df=df)


def _widest_gap(value: LoyaltyValue) -> tuple[float, Phrase] | None:
    """How far the model and the curve lie apart, and where, among periods with at least 30 customers at risk."""
    curve = value.augment()
    seen = curve.loc[curve["at_risk"] >= 30]
    gap = (seen["survival"] - seen["fitted"]).abs().to_numpy()
    if not gap.size:
        return None
    period, survival, fitted = seen[["period", "survival", "fitted"]].to_numpy()[gap.argmax()]
    name = "constant" if value.model.name == "constant" else "model"
    return float(gap.max()), phrase(f"note.gap.{name}", period=period, seen=survival, fitted=fitted)


def _model_note(value: LoyaltyValue) -> Note:
    t, name = value.terms, value.model.name
    r = value.retention.estimate
    alike = float(uplift(r, t.discount, points=t.points, horizon=t.horizon, first_margin=t.first_margin))
    own = float(relative_gain(value.base(), t, t.horizon))
    said: dict[str, object] = {"points": 100 * t.points, "alike": alike, "own": own}
    if name == "sbg":
        more = points_more(t.points)
        said["had"] = 100 * float(value.base().next_rate(more) - value.base().next_rate())
    return Note.of("retention_model", "info", "retention", name, **said)


def _margin_notes(value: LoyaltyValue) -> Iterator[Note]:
    m = value.margin
    if m is None:
        yield Note.of("no_margin", "info", "margin")
        return
    low, high = m.interval(value.terms.level)
    if m.estimate < 0:
        yield Note.of("negative_margin", "serious", "margin", "loyalty")
    elif low < 0 < high:
        yield Note.of("margin_near_zero", "serious", "margin")
    if m.negative:
        yield Note.of("loss_customers", "info", "margin", "ledger", losses=m.negative, customers=m.customers)


def _claim(t: LoyaltyTerms) -> Note:
    low, high = CLAIM
    if t.discount == 0:
        return Note.of("claim", "info", "uplift", "plain", low=low, high=high, plain=_needed(t, 0.0))
    return Note.of("claim", "info", "uplift", "discounted", low=low, high=high, discounted=_needed(t, t.discount),
                   plain=_needed(t, 0.0))  # fmt: skip


def _needed(t: LoyaltyTerms, discount: float) -> Phrase:
    """At what retention plain arithmetic gives the claimed range."""
    low, high = (retention_for_uplift(target, discount, first_margin=t.first_margin) for target in CLAIM)
    if not discount:
        return phrase("note.claim_terms.plain", low=low, high=high)
    said = {"discount": 100 * discount}
    if math.isnan(low):
        return phrase("note.claim_terms.none", **said)
    if math.isnan(high):
        return phrase("note.claim_terms.low_only", low=low, claim_low=CLAIM[0], claim_high=CLAIM[1], **said)
    return phrase("note.claim_terms.discounted", low=low, high=high, **said)
