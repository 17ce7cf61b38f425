"""Every figure of a loyalty value as one function of how customers stay and what they leave, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spc.economics.base import Base, Change, percent_more, points_more, unchanged
from spc.economics.claim import CLAIM, claim_terms
from spc.economics.lifetime import uplift
from spc.economics.models import BetaGeometricModel
from spc.economics.region import student
from spc.economics.terms import LoyaltyTerms
from spc.linalg import FloatArray

if TYPE_CHECKING:
    from spc.economics.loyalty import LoyaltyValue

__all__ = ["figure_rows"]

Row = dict[str, Any]
Function = Callable[[Base, FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class View:
    """Customers by the estimates, on every draw, and over all parameters the data do not reject."""

    point: Base
    drawn: Base
    region: Base | None

    @classmethod
    def of(cls, value: LoyaltyValue, *, new: bool = False) -> View:
        """Present customers, or ``new`` ones."""
        return cls(value.base(new=new), value.base(drawn=True, new=new), value.region(new=new))


def figure_rows(value: LoyaltyValue) -> Iterator[Row]:
    """Tidy rows of all figures."""
    t, m = value.terms, value.margin
    view = View.of(value)
    yield from _retention(value, view)
    if m is not None:
        low, high = _margin_interval(value)
        yield {
            "lhs": "margin",
            "rhs": f"per customer, per {t.period}" if value.model.name != "bg-nbd" else "per purchase",
            "kind": "margin",
            "std_error": value.joint.margin_error,
            **_estimate(m.estimate, low, high),
        }
    for lhs, rhs, kind, function, money in _figures(t, value.present):
        if m is not None or not money:
            yield {"lhs": lhs, "rhs": rhs, "kind": kind, **_interval(value, view, function, money)}
    yield from _won(value)
    yield from _differing(value, view)
    yield from claim_terms(view.point, t, math.nan if m is None else m.estimate)
    yield {
        "lhs": "uplift_percent",
        "rhs": "+5 points, as usually quoted",
        "kind": "claim",
        "conf_low": CLAIM[0],
        "conf_high": CLAIM[1],
    }


def _retention(value: LoyaltyValue, view: View) -> Iterator[Row]:
    r, per = value.retention, f"per {value.terms.period}"
    if value.model.name == "constant" and not value.joint.units:
        row = {"std_error": r.std_error, **_estimate(r.estimate, r.conf_low, r.conf_high)}
    else:
        row = _interval(value, view, lambda b, _: b.next_rate(), False)
        per += "" if value.model.name == "constant" else ", present customers"
    yield {"lhs": "retention", "rhs": per, "kind": "retention", **row}
    churn = _estimate(1 - row["estimate"], 1 - row["conf_high"], 1 - row["conf_low"])
    yield {"lhs": "churn", "rhs": per, "kind": "churn", "std_error": row["std_error"], **churn}
    if isinstance(value.model, BetaGeometricModel) and value.joint.region is not None:
        for name, point, found in zip(
            ("alpha", "beta"),
            value.model.alpha_beta(value.model.point),
            value.model.alpha_beta(value.joint.region.parameters),
            strict=True,
        ):
            row = _estimate(float(point), float(found.min()), float(found.max()))
            yield {"lhs": name, "rhs": "", "kind": "parameter", **row}


def _margin_interval(value: LoyaltyValue) -> tuple[float, float]:
    assert value.margin is not None
    if not value.joint.units:
        return value.margin.interval(value.terms.level)
    half = student(value.joint.units - 1, value.terms.level) * value.joint.margin_error
    return value.margin.estimate - half, value.margin.estimate + half


def _figures(t: LoyaltyTerms, base: int) -> Iterator[tuple[str, str, str, Function, bool]]:
    """Every figure of present customers: lhs, rhs, kind, function of base and margin, whether it is money."""
    h, size, ahead = t.horizon, f"{100 * t.points:g}", t.ahead

    yield "multiple", ahead, "multiple", lambda b, _: multiple(b, t, h), False
    yield "elasticity", ahead, "elasticity", lambda b, _: _elasticity(b, t, h), False
    yield "clv", ahead, "clv", lambda b, m: m * multiple(b, t, h), True
    points = f"+{size} points, {ahead}"
    yield "uplift_percent", points, "uplift_percent", lambda b, _: relative_gain(b, t, h), False
    yield "uplift_money", f"{points}, per customer", "uplift_money", lambda b, m: m * gain(b, t, h), True
    yield "uplift_money", f"{points}, {base} customers", "uplift_base", lambda b, m: base * m * gain(b, t, h), True
    share = f"+{size} percent of retention, {ahead}"
    yield "uplift_percent", share, "uplift_relative", lambda b, _: _share(b, t, h, percent_more(t.points)), False
    if t.discount > 0:
        far, endless, points = math.inf, t.endless, f"+{size} points, {t.endless}"
        yield "clv", endless, "closed_form", lambda b, m: m * multiple(b, t, far), True
        yield "uplift_percent", points, "closed_form", lambda b, _: relative_gain(b, t, far), False
        yield "uplift_money", f"{points}, per customer", "closed_form", lambda b, m: m * gain(b, t, far), True
        yield "elasticity", endless, "closed_form", lambda b, _: _elasticity(b, t, far), False


def multiple(base: Base, terms: LoyaltyTerms, horizon: float, change: Change = unchanged) -> FloatArray:
    """Mean value of present customers in margins, the running period's among them where the terms say so."""
    return base.multiple(terms.discount, horizon, change=change, first=terms.first_margin)


def _elasticity(base: Base, terms: LoyaltyTerms, horizon: float) -> FloatArray:
    """Per cent of value for one per cent of retention: the duration of what lies ahead, and nothing for the rest."""
    ahead = base.multiple(terms.discount, horizon)
    lasting = base.duration(terms.discount, horizon)
    return np.asarray(lasting * ahead / (ahead + 1.0) if terms.first_margin else lasting)


def gain(base: Base, terms: LoyaltyTerms, horizon: float) -> FloatArray:
    """What the points are worth, in margins."""
    return multiple(base, terms, horizon, points_more(terms.points)) - multiple(base, terms, horizon)


def relative_gain(base: Base, terms: LoyaltyTerms, horizon: float) -> FloatArray:
    """What the points are worth, as a share of customer value."""
    return _share(base, terms, horizon, points_more(terms.points))


def _share(base: Base, terms: LoyaltyTerms, horizon: float, change: Change) -> FloatArray:
    now, then = multiple(base, terms, horizon), multiple(base, terms, horizon, change)
    return np.asarray(np.where(now > 0, then / np.where(now > 0, now, 1.0) - 1.0, np.nan))


def _won(value: LoyaltyValue) -> Iterator[Row]:
    """A customer to be won: value after what it costs to win her, and how it moves with margin, cost and discount."""
    t, m = value.terms, value.margin
    if not t.acquisition_cost or m is None:
        return
    d, h, cost, rhs = t.discount, t.horizon, t.acquisition_cost, f"a customer to be won, {t.ahead}"

    def worth(base: Base, margin: FloatArray) -> FloatArray:
        return np.asarray(margin * base.multiple(d, h, first=True))

    def steeper(base: Base, margin: FloatArray) -> FloatArray:
        step = 1e-4 * d
        change = base.multiple(d + step, h, first=True) - base.multiple(d - step, h, first=True)
        return np.asarray(margin * change * d / (2.0 * step) / (worth(base, margin) - cost))

    view = View.of(value, new=True)
    figures: list[tuple[str, Function]] = [
        ("clv_new", lambda b, m: worth(b, m) - cost),
        ("elasticity_retention", lambda b, m: m * b.multiple(d, h) * b.duration(d, h) / (worth(b, m) - cost)),
        ("elasticity_margin", lambda b, m: worth(b, m) / (worth(b, m) - cost)),
        ("elasticity_acquisition_cost", lambda b, m: -cost / (worth(b, m) - cost)),
    ]
    if d > 0:
        figures.append(("elasticity_discount", steeper))
    for kind, function in figures:
        lhs = "clv" if kind == "clv_new" else kind
        yield {"lhs": lhs, "rhs": rhs, "kind": kind, **_interval(value, view, function, True)}


def _differing(value: LoyaltyValue, view: View) -> Iterator[Row]:
    """How far customers who differ are from customers who are all alike."""
    if value.model.name == "constant":
        return
    t, r = value.terms, value.retention.estimate
    if value.model.name != "bg-nbd":
        points = f"+{100 * t.points:g} points, {t.ahead}, one rate for all"
        alike = float(uplift(r, t.discount, points=t.points, horizon=t.horizon, first_margin=t.first_margin))
        yield {"lhs": "uplift_percent", "rhs": points, "kind": "uplift_constant", "estimate": alike}
    more = points_more(t.points)
    row = _interval(value, view, lambda b, _: b.next_rate(more) - b.next_rate(), False)
    yield {"lhs": "retention", "rhs": f"gained on average by +{100 * t.points:g} points", "kind": "points_had", **row}


def _estimate(estimate: float, low: float, high: float) -> Row:
    return {"estimate": estimate, "conf_low": low, "conf_high": high}


def _interval(value: LoyaltyValue, view: View, function: Function, money: bool) -> Row:
    """Estimate, error on the draws, and the range over what the data do not reject or the middle of the draws."""
    m = np.array(math.nan if value.margin is None else value.margin.estimate)
    point = float(function(view.point, m)) + 0.0
    if not math.isfinite(point):
        return _estimate(point, math.nan, math.nan)
    joint, none = value.joint, np.full(len(value.draws.values), math.nan)
    drawn = function(view.drawn, none if joint.margin is None else joint.margin)
    if view.region is None:
        tail = (1 - value.terms.level) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
    else:
        beside = joint.region_margin if money and joint.region_margin is not None else np.array(math.nan)
        found = function(view.region, beside)
        low, high = found.min(), found.max()
    return {"std_error": float(drawn.std(ddof=1)), **_estimate(point, min(float(low), point), max(float(high), point))}
