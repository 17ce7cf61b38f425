"""Numbers as a reader sees them: one function a sort, used by figures, tables and prose alike."""

from __future__ import annotations

import math

from spc.words import marked, say

__all__ = [
    "between", "bracket", "count", "ends", "estimate", "money", "money_template", "number", "percent", "plain",
    "points", "rate", "shares", "wording",
]  # fmt: skip

_SIGNED = ("EUR", "USD", "GBP", "JPY", "DKK", "NOK")
"""Currencies whose signs the catalogues know."""
MISSING = "–"


def number(value: float) -> str:
    """A number with about three figures that matter.

    Examples
    --------
    >>> number(0.456), number(-0.0212), number(23.4), number(12345.6), number(float("nan"))
    ('0.46', '−0.021', '23.4', '12,346', '–')
    """
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return marked(f"{value:,.{_digits(abs(value))}f}")


def _digits(size: float) -> int:
    """Decimals that leave two figures, between none and six."""
    if size >= 99.95:
        return 0
    if size >= 9.995 or size == 0:
        return 1 if size else 2
    return min(max(2, 1 - math.floor(math.log10(size * 1.005))), 6)


def percent(value: float, digits: int = 0) -> str:
    """A share in per cent.

    Examples
    --------
    >>> percent(0.284).split(), percent(0.8123, 1).split()
    (['28', '%'], ['81.2', '%'])
    """
    return MISSING if not math.isfinite(value) else say("number.percent", value=marked(f"{100 * value:,.{digits}f}"))


def rate(value: float) -> str:
    """A share in per cent with a decimal, and one more for each nought before the first figure.

    Examples
    --------
    >>> [rate(x).split()[0] for x in (0.0825, 0.0004, 0.0)]
    ['8.2', '0.04', '0.0']
    """
    small = 0 < abs(value) < 0.0005
    return percent(value, -math.floor(math.log10(100 * abs(value))) if small else 1)


def shares(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A share and its interval in per cent, with a decimal where the interval is narrow.

    Examples
    --------
    >>> [text.split()[0] for text in shares(0.159, 0.155, 0.163)]
    ['15.9', '15.5', '16.3']
    """
    digits = 1 if math.isfinite(value) and abs(high - low) < 0.1 else 0
    return percent(value, digits), percent(low, digits), percent(high, digits)


def points(value: float) -> str:
    """A difference of shares in percentage points.

    Examples
    --------
    >>> points(0.05).split()
    ['5', 'points']
    """
    text = f"{100 * value:g}"
    return say("number.points", n=1 if text == "1" else 2, value=marked(text))


def money(value: float, currency: str = "") -> str:
    """An amount of money, to three figures.

    Examples
    --------
    >>> money(1234567, "EUR").split(), money(-89.5, "USD"), money(41234.4, "DKK").split()
    (['€1.23', 'million'], '−$89.50', ['DKK', '41,200'])
    """
    if not math.isfinite(value):
        return MISSING
    size = float(f"{abs(value):.3g}")
    size, unit = (size / 1e9, "billion") if size >= 1e9 else (size / 1e6, "million") if size >= 1e6 else (size, "")
    digits = 2 if 0 < size < 100 else 0
    text = marked(f"{size:,.{digits}f}")
    text, sign = say(f"number.{unit}", value=text) if unit else text, "−" if value < 0 else ""
    return money_template(currency).format(sign=sign, value=text)


def money_template(currency: str) -> str:
    """Where sign, value and currency stand in the language in force.

    Examples
    --------
    >>> money_template("EUR"), money_template("")
    ('{sign}€{value}', '{sign}{value}')
    """
    code = currency.strip()
    if not code:
        return "{sign}{value}"
    held = {"sign": "{sign}", "value": "{value}"}
    symbol = say(f"currency.{code.upper()}") if code.upper() in _SIGNED else code
    template = "number.money_code" if symbol.isalpha() and symbol.isupper() else "number.money"
    return say(template, symbol=symbol.replace("{", "").replace("}", ""), **held)


def estimate(value: float, low: float, high: float) -> str:
    """An estimate with as many decimals as its interval has.

    Examples
    --------
    >>> estimate(0.00028, -0.0011, 0.0016), estimate(0.0015, -0.32, 0.31), estimate(0.25, float("nan"), float("nan"))
    ('0.0003', '0.00', '0.25')
    """
    if not (math.isfinite(value) and (math.isfinite(low) or math.isfinite(high))):
        return number(value)
    return marked(f"{value:,.{_span_digits(low, high)}f}")


def ends(low: float, high: float) -> tuple[str, str]:
    """Both ends of an interval with the same decimals, so many that an end beside zero does not read as zero.

    Examples
    --------
    >>> ends(-0.021, 0.42), ends(0.0026, 1.07)
    (('−0.02', '0.42'), ('0.003', '1.070'))
    """
    digits = _span_digits(low, high)
    return tuple(marked(f"{v:,.{digits}f}") if math.isfinite(v) else number(v) for v in (low, high))  # type: ignore[return-value]


def _span_digits(low: float, high: float) -> int:
    """Decimals of an interval: those of its larger end, and up to two more where the other would read as zero."""
    sizes = [abs(value) for value in (low, high) if math.isfinite(value)]
    digits = _digits(max(sizes, default=0.0))
    least = min((size for size in sizes if size > 0), default=1.0)
    more = (extra for extra in (0, 1, 2) if digits > 1 and least * 10 ** (digits + extra) >= 0.5)
    return digits + next(more, 0)


def bracket(low: float, high: float) -> str:
    """An interval for tables and labels.

    Examples
    --------
    >>> bracket(0.1, 0.25)
    '[0.10, 0.25]'
    """
    if not (math.isfinite(low) or math.isfinite(high)):
        return MISSING
    first, last = ends(low, high)
    return say("number.bracket", low=first, high=last)


def between(low: str, high: str) -> str:
    """An interval in a sentence, from numbers already written.

    Examples
    --------
    >>> between("€2.10 million", "€3.40 million")
    'between €2.10 million and €3.40 million'
    """
    return say("number.between", low=low, high=high)


def wording(name: str) -> str:
    """Name of a construct in words when the study gives no label.

    Examples
    --------
    >>> wording("customer_satisfaction")
    'Customer satisfaction'
    """
    text = " ".join(name.replace("_", " ").split())
    return text[:1].upper() + text[1:]


def count(value: float) -> str:
    """A whole number of things.

    Examples
    --------
    >>> count(2447)
    '2,447'
    """
    return marked(f"{value:,.0f}")


def plain(value: float) -> str:
    """A number as short as it can be written.

    Examples
    --------
    >>> plain(5.0), plain(0.25)
    ('5', '0.25')
    """
    return marked(f"{value:g}")
