"""Every rule by its code, and the one way a finding is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import Finding

__all__ = ["RULES", "RowNumbers", "did_you_mean", "examples", "make_finding", "nearest_name"]

RowNumbers = int | npt.NDArray[np.int64]
"""Line of the first data row, or the line of every row where they do not simply follow one another."""

SHOWN_ROWS = 5

RULES: Mapping[str, str] = MappingProxyType(
    {
        # files
        "absent_file": "The file is not there.",
        "ambiguous_number": "Numbers such as 1,234 that can be read in two ways.",
        "blank_row": "Rows without any value.",
        "damaged_file": "The file is not what its name says, or is cut off.",
        "decimal_comma": "Numbers are written with a decimal comma.",
        "duplicate_column": "Two columns have the same heading.",
        "empty_file": "The file has no heading or no rows.",
        "encoding_assumed": "The text is not UTF-8 and was read in another encoding.",
        "huge_cell": "A cell holds more text than any answer could.",
        "huge_file": "The file unpacks to more than can be read.",
        "mixed_decimals": "Decimal commas and decimal points in one column.",
        "mixed_encoding": "Parts of the file are in different encodings.",
        "nested_column": "A column holds lists or records instead of single values.",
        "null_byte": "The text contains null bytes.",
        "open_quote": "A quotation mark is opened and never closed.",
        "question_lines": "Lines about the questions stand below the heading.",
        "ragged_row": "Rows with more or fewer values than the heading.",
        "thousands_separator": "Numbers are written with thousands separators.",
        "titles_above": "Titles or merged cells stand above the headings.",
        "unknown_format": "The file's suffix is not one of a format that can be read.",
        "unknown_table": "The workbook or database has no such table, or several and none was chosen.",
        "unnamed_column": "A column without a heading.",
        "user_missing": "Codes that the file itself declares to mean no answer.",
        "wrong_encoding": "The text is not in the encoding that was stated.",
        # tables
        "below_minimum": "A value is below the least allowed.",
        "above_maximum": "A value is above the greatest allowed.",
        "blank_cell": "A blank cell in a column that must be filled.",
        "blank_id": "A row without the code that tells whom it is about.",
        "constant_column": "Every row has the same value.",
        "duplicate_key": "Two rows about the same person, unit or purchase.",
        "empty_column": "No row has a value.",
        "incomplete_set": "One of several sets of columns must be complete and none is.",
        "missing_column": "A column that must be there is not.",
        "misspelled_column": "A heading that looks like a known column written differently.",
        "no_rows": "The table has a heading and nothing below it.",
        "not_allowed": "A value outside the allowed ones.",
        "recommended_column": "A column that is worth having is not there.",
        "wrong_order": "A later date is before the earlier one.",
        "wrong_type": "A value that is not of the type of its column.",
        # items
        "constant_item": "Everybody gave the same answer.",
        "empty_item": "Nobody answered.",
        "many_missing": "A large share of answers is missing.",
        "missing_item": "An item of the codebook is not in the table.",
        "not_a_number": "An answer that is not a number.",
        "outside_scale": "An answer outside the scale.",
        "straight_lines": "Many people gave the same answer to everything.",
        "undeclared_reverse": "An item runs against the others and is not declared as reversed.",
        "unreversed_item": "An item declared as reversed runs with the others.",
        # between tables
        "key_spelling": "The same code is written in two ways.",
        "unknown_key": "A code that the other table does not have.",
        "unused_key": "A code that no row of the other table refers to.",
        # the ledger
        "blank_amount": "A row without an amount, which counts as nothing.",
        "broken_cent": "An amount with parts of the smallest unit of money.",
        "too_large": "An amount so large that its smallest unit is not known.",
        "repeated_row": "A row of sales that says the same as an earlier one in every column.",
        "credit_without_invoice": "A return or credit note that names no sale.",
        "infinite_amount": "An amount without end.",
        "future_date": "A date after the last day of the books.",
        "mixed_currency": "Amounts in a currency other than the study's.",
        "negative_quantity": "A sale of less than nothing.",
        "wrong_sign": "A return or credit note that adds to revenue.",
        # assignments
        "assignment_gap": "A time in between in which nobody serves a customer.",
        "overlapping_assignment": "Two rows assign the same customer to the same server at one time.",
        "share_sum": "The shares of those who serve a customer do not add up to one.",
        "unserved_customer": "A customer who answered and to whom nobody is assigned.",
        # units and waves
        "few_units": "So few units that nothing can be said between them.",
        "no_common_unit": "The sides of the study share no unit.",
        "no_common_wave": "The sides of the study share no wave.",
        "no_unit": "A respondent without a unit.",
        "small_unit": "A unit with fewer respondents than may be shown.",
        "wave_gap": "A wave is missing in between.",
        "wave_types": "Waves are written in different ways.",
    }
)
"""What each code means, in one line. Codes do not change from version to version."""


def make_finding(
    rule: str,
    table: str,
    column: str | None,
    found: str,
    expected: str,
    hint: str,
    *,
    mask: npt.NDArray[np.bool_] | None = None,
    line_offset: RowNumbers = 2,
    severity: Literal["error", "warning"] = "error",
) -> Finding:
    """Build a finding; the rows are those where ``mask`` is true.

    Raises
    ------
    KeyError
        ``rule`` is not listed in :data:`RULES`.

    Examples
    --------
    >>> finding = make_finding("no_unit", "staff", "unit", "blank", "a unit", "Fill it in.",
    ...                        mask=np.array([False, True, True]))
    >>> finding.rows, finding.n_rows
    ((3, 4), 2)
    """
    if rule not in RULES:
        raise KeyError(f"rule {rule!r} is not listed in RULES")
    rows, count = ((), 0) if mask is None else (_row_numbers(mask, line_offset), int(mask.sum()))
    return Finding(table, column, rule, found, expected, hint, rows, count, severity)


def _row_numbers(mask: npt.NDArray[np.bool_], line_offset: RowNumbers) -> tuple[int, ...]:
    places = np.flatnonzero(mask)[:SHOWN_ROWS]
    lines = places + line_offset if isinstance(line_offset, int) else line_offset[places]
    return tuple(int(line) for line in lines)


def examples(values: Iterable[Any], limit: int = 3) -> str:
    """List a few different values as they would be written.

    Examples
    --------
    >>> examples(["a", "a", 9.0, 2.5, "x"])
    "'a', 9, 2.5, ..."
    >>> examples([-0.0])
    '0'
    """
    different = list(dict.fromkeys(_plain(value) for value in values))
    return ", ".join(different[:limit]) + (", ..." if len(different) > limit else "")


def _plain(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    if isinstance(value, int | float | np.number):
        return f"{float(value) + 0.0:.10g}"
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def nearest_name(name: str, options: Iterable[str], cutoff: float = 0.7) -> str | None:
    """Nearest of the given names, letters' case and separators aside; None when none is near.

    Examples
    --------
    >>> nearest_name("Unit-ID", ["unit_id", "wave"])
    'unit_id'
    >>> nearest_name("es1", ["es2", "income"])
    """
    plain = {_bare(option): option for option in options}
    bare = _bare(name)
    if bare in plain:
        return plain[bare]
    near = [m for m in get_close_matches(bare, plain, n=3, cutoff=cutoff) if _digits(m) == _digits(bare)]
    return plain[near[0]] if near else None


def _bare(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _digits(name: str) -> str:
    return "".join(c for c in name if c.isdigit())


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Hint naming the nearest option, or nothing.

    Examples
    --------
    >>> did_you_mean("untis", ["units", "customers"])
    "The nearest is 'units'. "
    """
    near = nearest_name(name, options, 0.6)
    return "" if near is None else f"The nearest is {near!r}. "
