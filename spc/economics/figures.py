"""Every figure of a loyalty value as one function of how customers stay and what they leave, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from spc.economics.base import Base, Mixture, percent_more, points_more
from spc.economics.claim import CLAIM, claim_terms
from spc.economics.lifetime import uplift
from spc.economics.models import BetaGeometricModel
from spc.economics.terms import LoyaltyTerms
from spc.linalg import FloatArray

if TYPE_CHECKING:
    from spc.economics.loyalty import LoyaltyValue

__all__ = ["figure_rows"]

Row = dict[str, Any]
Function = Callable[[Base, FloatArray], FloatArray]


def figure_rows(value: LoyaltyValue) -> Iterator[Row]:
    """Tidy rows of all figures."""
    t, m = value.terms, value.margin
    yield from _retention(value)
    if m is not None:
        low, high = _margin_interval(value)
        yield {
            "lhs": "margin",
            "rhs": f"per customer, per {t.period}" if value.model.name != "bg-nbd" else "per purchase",
            "kind": "margin",
            "std_error": value.joint.margin_error,
            **_estimate(m.estimate, low, high),
        }
    now, drawn = value.base(), value.base(drawn=True)
    for lhs, rhs, kind, function, money in _figures(t, value.present):
        if m is not None or not money:
            yield {"lhs": lhs, "rhs": rhs, "kind": kind, **_from_draws(value, now, drawn, function, money)}
    yield from _won(value)
    yield from _differing(value, now, drawn)
    yield from claim_terms(now, t, math.nan if m is None else m.estimate)
    yield {
        "lhs": "uplift_percent",
        "rhs": "+5 points, as usually quoted",
        "kind": "claim",
        "conf_low": CLAIM[0],
        "conf_high": CLAIM[1],
    }


def _retention(value: LoyaltyValue) -> Iterator[Row]:
    r, per = value.retention, f"per {value.terms.period}"
    if value.model.name == "constant" and not value.joint.units:
        error, (rate, low, high) = r.std_error, (r.estimate, r.conf_low, r.conf_high)
    else:
        rate = float(value.base(cuts=()).next_rate())
        drawn = value.draws.values[:, 0]
        error, (low, high) = float(drawn.std(ddof=1)), _middle(drawn, value.terms.level, rate)
        per += "" if value.model.name == "constant" else ", present customers"
    yield {"lhs": "retention", "rhs": per, "kind": "retention", "std_error": error, **_estimate(rate, low, high)}
    yield {"lhs": "churn", "rhs": per, "kind": "churn", "std_error": error, **_estimate(1 - rate, 1 - high, 1 - low)}
    if isinstance(value.model, BetaGeometricModel):
        for name, point, drawn in zip(("alpha", "beta"), value.model.point, value.joint.parameters.T, strict=True):
            low, high = _middle(np.exp(drawn), value.terms.level, math.exp(point))
            yield {"lhs": name, "rhs": "", "kind": "parameter", **_estimate(math.exp(point), low, high)}


def _margin_interval(value: LoyaltyValue) -> tuple[float, float]:
    assert value.margin is not None
    if not value.joint.units:
        return value.margin.interval(value.terms.level)
    from scipy.special import stdtrit

    half = float(stdtrit(value.joint.units - 1, (1 + value.terms.level) / 2)) * value.joint.margin_error
    return value.margin.estimate - half, value.margin.estimate + half


def _figures(t: LoyaltyTerms, base: int) -> Iterator[tuple[str, str, str, Function, bool]]:
    """Every figure of present customers: lhs, rhs, kind, function of base and margin, whether it is money."""
    d, h, p, size = t.discount, t.horizon, t.points, f"{100 * t.points:g}"
    ahead = t.ahead

    yield "multiple", ahead, "multiple", lambda b, _: b.multiple(d, h), False
    yield "elasticity", ahead, "elasticity", lambda b, _: b.duration(d, h), False
    yield "clv", ahead, "clv", lambda b, m: m * b.multiple(d, h), True
    points = f"+{size} points, {ahead}"
    yield "uplift_percent", points, "uplift_percent", lambda b, _: relative_gain(b, t, h), False
    yield "uplift_money", f"{points}, per customer", "uplift_money", lambda b, m: m * gain(b, t, h), True
    yield "uplift_money", f"{points}, {base} customers", "uplift_base", lambda b, m: base * m * gain(b, t, h), True
    share = f"+{size} percent of retention, {ahead}"
    yield "uplift_percent", share, "uplift_relative", lambda b, _: _share(b, percent_more(p), d, h), False
    if d > 0:
        far, points = math.inf, f"+{size} points, no horizon"
        yield "clv", "no horizon", "closed_form", lambda b, m: m * b.multiple(d, far), True
        yield "uplift_percent", points, "closed_form", lambda b, _: relative_gain(b, t, far), False
        yield "uplift_money", f"{points}, per customer", "closed_form", lambda b, m: m * gain(b, t, far), True
        yield "elasticity", "no horizon", "closed_form", lambda b, _: b.duration(d, far), False


def gain(base: Base, terms: LoyaltyTerms, horizon: float) -> FloatArray:
    """What the points are worth, in margins."""
    d, p = terms.discount, terms.points
    return base.multiple(d, horizon, change=points_more(p)) - base.multiple(d, horizon)


def relative_gain(base: Base, terms: LoyaltyTerms, horizon: float) -> FloatArray:
    """What the points are worth, as a share of customer value."""
    return _share(base, points_more(terms.points), terms.discount, horizon)


def _share(base: Base, change: Callable[[FloatArray], FloatArray], discount: float, horizon: float) -> FloatArray:
    now = base.multiple(discount, horizon)
    then = base.multiple(discount, horizon, change=change)
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

    now, drawn = value.base(new=True), value.base(new=True, drawn=True)
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
        yield {"lhs": lhs, "rhs": rhs, "kind": kind, **_from_draws(value, now, drawn, function, True)}


def _differing(value: LoyaltyValue, now: Base, drawn: Base) -> Iterator[Row]:
    """How far customers who differ are from customers who are all alike."""
    if value.model.name in {"constant", "bg-nbd"}:
        return
    t, r = value.terms, value.retention.estimate
    points = f"+{100 * t.points:g} points, {t.ahead}, one rate for all"
    alike = float(uplift(r, t.discount, points=t.points, horizon=t.horizon))
    yield {"lhs": "uplift_percent", "rhs": points, "kind": "uplift_constant", "estimate": alike}
    more = points_more(t.points)
    row = _from_draws(value, now, drawn, lambda b, _: b.next_rate(more) - b.next_rate(), False)
    yield {"lhs": "retention", "rhs": f"gained on average by +{100 * t.points:g} points", "kind": "points_had", **row}


def _estimate(estimate: float, low: float, high: float) -> Row:
    return {"estimate": estimate, "conf_low": low, "conf_high": high}


def _middle(drawn: FloatArray, level: float, point: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return min(float(low), point), max(float(high), point)


def _from_draws(value: LoyaltyValue, now: Base, drawn: Base, function: Function, money: bool) -> Row:
    m = np.array(math.nan if value.margin is None else value.margin.estimate)
    point = float(function(now, m)) + 0.0
    if not math.isfinite(point):
        return _estimate(point, math.nan, math.nan)
    margin = value.joint.margin
    found = function(drawn, np.full(len(value.draws.values), math.nan) if margin is None else margin)
    if money or not isinstance(drawn, Mixture) or drawn.rates.shape[-1] > 1:
        low, high = _middle(found, value.terms.level, point)
    else:
        tail = (1 - value.terms.level) / 2
        rate = drawn.rates[:, 0]
        least, most = np.quantile(rate, [tail, 1 - tail])
        middle = found[(rate >= least) & (rate <= most)]
        low, high = min(float(middle.min()), point), max(float(middle.max()), point)
    return {"std_error": float(found.std(ddof=1)), **_estimate(point, low, high)}
