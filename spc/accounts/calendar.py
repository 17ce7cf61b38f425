"""Periods of the books: months, quarters and years, of the calendar or from another month, or days of one's own."""

from __future__ import annotations

from spc.study.accounts import AccountsSpec

__all__ = ["period_name", "period_sql"]

_CALENDAR = {
    "year": "year({d})",
    "quarter": "year({d}) * 4 + quarter({d}) - 1",
    "month": "year({d}) * 12 + month({d}) - 1",
}


def period_sql(spec: AccountsSpec, day: str) -> str:
    """Number of the period in SQL; missing where the day is, or lies before the first period that is named.

    Parameters
    ----------
    spec : AccountsSpec
    day : str
        A date in SQL.

    Examples
    --------
    >>> period_sql(AccountsSpec(period="month"), "d")
    'year(d) * 12 + month(d) - 1'
    >>> period_sql(AccountsSpec(year_start=7), "d")
    'CAST(floor((year(d) * 12 + month(d) - 7) / 12) AS BIGINT)'
    """
    if spec.periods:
        days = list(enumerate(spec.periods.values()))[::-1]
        cases = " ".join(f"WHEN {day} >= CAST('{first.isoformat()}' AS DATE) THEN {code}" for code, first in days)
        return f"CASE {cases} END"
    if spec.period == "all":
        return "0"
    if spec.year_start == 1 or spec.period == "month":
        return _CALENDAR[spec.period].format(d=day)
    months = 12 if spec.period == "year" else 3
    return f"CAST(floor((year({day}) * 12 + month({day}) - {spec.year_start}) / {months}) AS BIGINT)"


def period_name(spec: AccountsSpec, code: int) -> str:
    """Spell the number of a period; a year that begins in another month bears both years.

    Examples
    --------
    >>> period_name(AccountsSpec(), 2026), period_name(AccountsSpec(period="quarter"), 2026 * 4 + 2)
    ('2026', '2026-Q3')
    >>> period_name(AccountsSpec(year_start=7), 2025), period_name(AccountsSpec(period="month"), 2026 * 12)
    ('2025/26', '2026-01')
    """
    if spec.periods:
        return list(spec.periods)[code]
    if spec.period == "all":
        return "all"
    each = {"year": 1, "quarter": 4, "month": 12}[spec.period]
    year, part = divmod(code, each)
    if spec.period == "month":
        return f"{year:04d}-{part + 1:02d}"
    named = f"{year:04d}" if spec.year_start == 1 else f"{year:04d}/{(year + 1) % 100:02d}"
    return named if spec.period == "year" else f"{named}-Q{part + 1}"
