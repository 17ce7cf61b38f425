"""What is odd about rows of the ledger: signs, currencies, dates, credit notes that take nothing back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, examples, make_finding
from spc.contracts.values import key_text
from spc.errors import Finding

__all__ = ["BACK", "BLANK_HINT", "LEDGER", "check_ledger"]

LEDGER = ("transactions", "costs")
"""Tables of dated amounts."""

BACK = ("return", "credit_note")
"""Kinds of rows that take revenue back."""

MONEY = ("amount", "gross", "discount", "bonus", "product_cost", "freight")
"""Columns of money that rows of the ledger may have."""

BLANK_HINT = "They count as nothing; write 0 where that is right."
"""What to do about rows without an amount."""

BROKEN_HINT = "Round them, or raise digits under [accounts]; where the point stands for thousands, leave it out."
"""What to do about amounts with parts of the smallest unit."""

BoolArray = npt.NDArray[np.bool_]
Summed = tuple[str, Mapping[str, Collection[str]]]


def check_ledger(
    tables: Mapping[str, pd.DataFrame],
    *,
    currency: str = "",
    until: date | None = None,
    money: Mapping[str, Collection[str]] = MappingProxyType({}),
    summed: Mapping[str, Sequence[Summed]] = MappingProxyType({}),
    digits: int = 2,
    line_offsets: Mapping[str, RowNumbers] = MappingProxyType({}),
) -> list[Finding]:
    """Find rows of the ledger that would put money in the wrong place.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By canonical name, with canonical columns; others than transactions and costs are passed over.
    currency : str
        Of the study.
    until : date, optional
        Last day of the books; today when None.
    money : mapping of str to collection of str
        Columns of each table that hold money.
    summed : mapping of str to sequence of (str, mapping)
        Columns of each table that accounts add up, and which rows of them: those whose other columns hold these texts.
    digits : int
        Decimals of the smallest unit of money.
    line_offsets : mapping of str to int or array of int
        Line of the first row in each file, or the line of every row; 2 where absent.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": ["a", "b"], "date": ["2026-01-01", "2999-01-01"], "amount": [5.0, 3.001],
    ...                       "quantity": [-1, 2]})
    >>> found = check_ledger({"transactions": sales}, money={"transactions": ["amount"]})
    >>> [(finding.rule, finding.rows) for finding in found]
    [('negative_quantity', (2,)), ('future_date', (3,)), ('broken_cent', (3,))]
    """
    findings: list[Finding] = []
    for table in LEDGER:
        frame = tables.get(table)
        if frame is None or frame.empty:
            continue
        lines = line_offsets.get(table, 2)
        if table == "transactions":
            findings += _signs(frame, lines)
            findings += _credits(frame, lines)
        findings += _infinite(frame, table, money.get(table, ()), lines)
        findings += _large(frame, table, money.get(table, MONEY), digits, lines)
        findings += _currencies(frame, table, currency, lines)
        findings += _future(frame, table, until or date.today(), lines)
        findings += _broken(frame, table, money.get(table), digits, lines)
        findings += _repeated(frame, table, lines)
        findings += _blank(frame, table, summed.get(table, ()), lines)
    return findings


def _blank(frame: pd.DataFrame, table: str, summed: Sequence[Summed], lines: RowNumbers) -> Iterator[Finding]:
    empty: dict[str, npt.NDArray[np.bool_]] = {}
    for name, where in summed:
        if name in frame and all(column in frame for column in where):
            blank = frame[name].isna().to_numpy(dtype=bool)
            for column, allowed in where.items():
                blank = blank & key_text(frame[column]).isin(list(allowed)).to_numpy(dtype=bool)
            empty[name] = empty.get(name, False) | blank
    for name, blank in empty.items():
        if blank.any():
            yield make_finding(
                "blank_amount", table, name, "cells without an amount, NaN among them", "an amount in every row",
                BLANK_HINT, mask=blank, line_offset=lines, severity="warning",
            )  # fmt: skip


def _numbers(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    values = pd.to_numeric(frame[name], errors="coerce") if name in frame else pd.Series(np.nan, index=frame.index)
    return np.asarray(values.to_numpy(dtype=float, na_value=np.nan))


def _kinds(frame: pd.DataFrame) -> npt.NDArray[np.object_] | None:
    if "kind" not in frame:
        return None
    return np.asarray(key_text(frame["kind"]).to_numpy(dtype=object))


def _signs(frame: pd.DataFrame, lines: RowNumbers) -> Iterator[Finding]:
    kinds = _kinds(frame)
    back = np.zeros(len(frame), dtype=bool) if kinds is None else np.isin(kinds.astype(str), BACK)
    amount = _numbers(frame, "gross" if "gross" in frame else "amount")
    quantity = _numbers(frame, "quantity")
    negative = (quantity < 0) & ~back & ((amount > 0) | (kinds is not None))
    if negative.any():
        yield make_finding(
            "negative_quantity", "transactions", "quantity", f"{examples(quantity[negative][:1000])} sold",
            "a quantity above zero, or a row of kind return", "Correct the quantity, or say that the goods came back.",
            mask=negative, line_offset=lines,
        )  # fmt: skip
    wrong = back & (amount > 0)
    if wrong.any():
        yield make_finding(
            "wrong_sign", "transactions", "amount", "returns or credit notes that add to revenue",
            "negative amounts", "Write what is paid back as a negative amount.", mask=wrong, line_offset=lines,
        )  # fmt: skip


def _credits(frame: pd.DataFrame, lines: RowNumbers) -> Iterator[Finding]:
    kinds = _kinds(frame)
    if kinds is None or "transaction" not in frame:
        return
    back = np.isin(kinds.astype(str), BACK)
    named = key_text(frame["invoice"]) if "invoice" in frame else pd.Series(None, index=frame.index, dtype=object)
    known = named.isin(set(key_text(frame["transaction"]).dropna())).to_numpy()
    orphans = back & ~known
    if orphans.any():
        yield make_finding(
            "credit_without_invoice", "transactions", "invoice", "returns or credit notes that name no sale here",
            "the transaction they take back", "They count on their own date; name the sale where it is known.",
            mask=orphans, line_offset=lines, severity="warning",
        )  # fmt: skip


def _currencies(frame: pd.DataFrame, table: str, currency: str, lines: RowNumbers) -> Iterator[Finding]:
    if "currency" not in frame:
        return
    coins = key_text(frame["currency"])
    own = currency or (coins.dropna().iloc[0] if coins.notna().any() else "")
    other = (coins.notna() & (coins.str.casefold() != own.casefold())).to_numpy(dtype=bool)
    if other.any():
        yield make_finding(
            "mixed_currency", table, "currency", f"amounts in {examples(coins[other].head(1000))}",
            f"amounts in {own}", "Convert them at the rate of the day they were booked, nothing is converted here; or "
            "name the books' own currency under [study].",
            mask=other, line_offset=lines,
        )  # fmt: skip


def _future(frame: pd.DataFrame, table: str, until: date, lines: RowNumbers) -> Iterator[Finding]:
    if "date" not in frame:
        return
    days = pd.to_datetime(frame["date"], errors="coerce", format="ISO8601" if frame["date"].dtype == object else None)
    late = (days >= pd.Timestamp(until) + pd.Timedelta(days=1)).to_numpy(dtype=bool)
    if late.any():
        yield make_finding(
            "future_date", table, "date", f"{examples(days[late].head(1000))}", f"dates up to {until}",
            'Correct the dates, or give the last day of the books: until = "2026-12-31" under [accounts].',
            mask=late, line_offset=lines,
        )  # fmt: skip


def _infinite(frame: pd.DataFrame, table: str, money: Collection[str], lines: RowNumbers) -> Iterator[Finding]:
    for name in dict.fromkeys(("amount", "gross", "quantity", *money)):
        endless = np.isinf(_numbers(frame, name))
        if endless.any():
            yield make_finding(
                "infinite_amount", table, name, "infinite values", "finite numbers", "Write the amount itself.",
                mask=endless, line_offset=lines,
            )  # fmt: skip


def _large(
    frame: pd.DataFrame, table: str, money: Collection[str], digits: int, lines: RowNumbers
) -> Iterator[Finding]:
    """Amounts of which the smallest unit is not known any more."""
    limit = 2.0**53 / 10**digits
    for name in money:
        values = _numbers(frame, name)
        large = np.isfinite(values) & (np.abs(values) > limit)
        if large.any():
            yield make_finding(
                "too_large", table, name, f"{examples(frame.loc[large, name].head(1000))}",
                f"amounts below {limit:,.0f}", "Look for figures that ran together.", mask=large, line_offset=lines,
            )  # fmt: skip


def _repeated(frame: pd.DataFrame, table: str, lines: RowNumbers) -> Iterator[Finding]:
    """Rows of sales that are the same in every column, where no number tells whether one was booked twice."""
    if table != "transactions" or "transaction" in frame:
        return
    again = frame.duplicated().to_numpy(dtype=bool)
    if again.any():
        yield make_finding(
            "repeated_row", table, None, "rows that say the same as an earlier one in every column",
            "each sale once", "All of them count. Take out what was booked twice, or give the column transaction.",
            mask=again, line_offset=lines, severity="warning",
        )  # fmt: skip


def _broken(
    frame: pd.DataFrame, table: str, money: Collection[str] | None, digits: int, lines: RowNumbers
) -> Iterator[Finding]:
    """Amounts with parts of the smallest unit; a warning where the study does not say which columns are added up."""
    for name in MONEY if money is None else money:
        if name not in frame:
            continue
        scaled = _numbers(frame, name) * 10**digits
        finite = np.isfinite(scaled)
        off = np.zeros(len(frame), dtype=bool)
        off[finite] = np.abs(scaled[finite] - np.rint(scaled[finite])) > 1e-6 + np.abs(scaled[finite]) * 4e-16
        if off.any():
            yield make_finding(
                "broken_cent", table, name, f"{examples(frame.loc[off, name].head(1000))}",
                f"amounts of at most {digits} decimals", BROKEN_HINT,
                mask=off, line_offset=lines, severity="warning" if money is None else "error",
            )  # fmt: skip
