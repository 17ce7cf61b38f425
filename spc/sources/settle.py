"""Text columns to numbers where they are numbers, and codes for no answer to missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, examples, make_finding
from spc.contracts.values import is_text
from spc.errors import Finding

__all__ = ["is_code", "settle"]

MARKS = frozenset({"NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "#N/A", "."})
"""Texts that are missing in a column of numbers."""

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(,\d{3})+)(\.\d+)?")
_COMMA = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?")
_CODE = re.compile(r"[+-]?0\d+|\d+[eE]\d+|[+-]?\d{16,}")

Spelling = Literal["plain", "comma", "thousands", "ambiguous", "mixed", "truth", "text"]


def is_code(text: str) -> bool:
    """Whether digits are a code rather than a number: a needless zero, an E between digits, over 15 digits.

    Examples
    --------
    >>> [is_code(text) for text in ("007", "12E4", "1234567890123456", "0.5", "1.5e-3", "70")]
    [True, True, True, False, False, False]
    """
    return _CODE.fullmatch(text) is not None


def settle(
    columns: Mapping[str, pd.Series],
    missing: Sequence[str | float],
    missing_in: Collection[str] | None,
    label: str,
    lines: RowNumbers,
) -> tuple[dict[str, pd.Series], list[Finding]]:
    """Give every column its type; see :func:`spc.sources.read_table` for the rules.

    Returns
    -------
    columns : dict of str to Series
    findings : list of Finding
    """
    settled, findings = {}, []
    for name, column in columns.items():
        codes = missing if missing_in is None or name in missing_in else ()
        if is_text(column):
            settled[name], found = _settle_text(column, codes, label, name, lines)
            findings += found
        else:
            settled[name] = _without_codes(column, codes)
    return settled, findings


def _without_codes(column: pd.Series, codes: Sequence[str | float]) -> pd.Series:
    if not codes or column.dtype.kind not in "iuf":
        return column
    wanted = [value for code in codes if (value := _number(code)) is not None]
    if column.dtype.kind in "iu" and not (column.min() <= max(wanted, default=-np.inf)):
        return column
    hit = column.isin(wanted)
    return column.mask(hit) if hit.any() else column


def _number(code: str | float) -> float | None:
    try:
        return float(code)
    except ValueError:
        return None


def _settle_text(
    column: pd.Series, missing: Sequence[str | float], label: str, name: str, lines: RowNumbers
) -> tuple[pd.Series, list[Finding]]:
    codes, cells = pd.factorize(column)
    texts = [str(cell).strip() for cell in cells]
    blank = _blanks(texts, missing)
    filled = [text for text, gone in zip(texts, blank, strict=True) if not gone]
    spelling = _spelling(filled)
    if spelling in ("text", "ambiguous"):
        values = np.array([np.nan if gone else text for text, gone in zip(texts, blank, strict=True)], dtype=object)
        made = pd.Series(np.append(values, np.nan)[codes], dtype="str")
    elif spelling == "truth":
        truth = np.array(
            [np.nan if gone else float(t.casefold() == "true") for t, gone in zip(texts, blank, strict=True)]
        )
        made = pd.Series(np.append(truth, np.nan)[codes]).astype("boolean")
        made = made if made.isna().any() else made.astype(bool)
    else:
        marked = [gone or text in MARKS for text, gone in zip(texts, blank, strict=True)]
        numbers = [np.nan if gone else _parse(text, spelling) for text, gone in zip(texts, marked, strict=True)]
        made = whole(np.append(np.array(numbers, dtype=float), np.nan)[codes])
    hit = np.append(np.array([not gone and "," in t for t, gone in zip(texts, blank, strict=True)], dtype=bool), False)
    return made.rename(name), _spelling_findings(spelling, filled, hit[codes], label, name, lines)


def _blanks(texts: Sequence[str], missing: Sequence[str | float]) -> list[bool]:
    spelled = {"", *(str(code).strip() for code in missing)}
    numbers = {value for code in missing if (value := _number(code)) is not None}
    if not numbers:
        return [text in spelled for text in texts]
    return [text in spelled or (_PLAIN.fullmatch(text) is not None and float(text) in numbers) for text in texts]


def whole(values: npt.NDArray[np.float64]) -> pd.Series:
    """Numbers as a column: integers when all are whole and none is missing."""
    with np.errstate(invalid="ignore"):
        if values.size and bool((np.abs(values) < 2**53).all()) and bool((values == np.floor(values)).all()):
            return pd.Series(values.astype(np.int64))
    return pd.Series(values)


def _spelling(filled: Sequence[str]) -> Spelling:
    """How the numbers of a column are written; text when they are none."""
    cells = [text for text in filled if text not in MARKS]
    if not cells:
        return "plain" if filled else "text"
    if not any(text[:1].isdigit() or text[:1] in "+-." for text in cells[:100]):
        return "truth" if {text.casefold() for text in cells} <= {"true", "false"} else "text"
    if any(is_code(text) for text in cells):
        return "text"
    if all(_PLAIN.fullmatch(text) for text in cells):
        return "plain"
    comma = [_COMMA.fullmatch(text) is not None for text in cells]
    point = [_POINT.fullmatch(text) is not None for text in cells]
    if all(comma):
        return "ambiguous" if all(point) else "comma"
    if all(point):
        return "thousands"
    return "mixed" if all(c or p for c, p in zip(comma, point, strict=True)) else "text"


def _parse(text: str, spelling: Spelling) -> float:
    if spelling == "comma" or (spelling == "mixed" and not _POINT.fullmatch(text)):
        return float(text.replace(".", "").replace(",", "."))
    return float(text.replace(",", ""))


def _spelling_findings(
    spelling: Spelling,
    filled: Sequence[str],
    hit: npt.NDArray[np.bool_],
    label: str,
    name: str,
    lines: RowNumbers,
) -> list[Finding]:
    shown = examples(text for text in filled if "," in text)
    if spelling == "comma":
        return [
            make_finding(
                "decimal_comma",
                label,
                name,
                f"numbers such as {shown}",
                "a decimal point",
                "They were read as decimal commas; nothing to do if that is right.",
                mask=hit,
                line_offset=lines,
                severity="warning",
            )
        ]
    if spelling == "thousands":
        return [
            make_finding(
                "thousands_separator",
                label,
                name,
                f"numbers such as {shown}",
                "numbers without thousands separators",
                "The commas were dropped; nothing to do if that is right.",
                mask=hit,
                line_offset=lines,
                severity="warning",
            )
        ]
    if spelling == "ambiguous":
        return [
            make_finding(
                "ambiguous_number",
                label,
                name,
                f"numbers such as {shown}",
                "numbers with one reading",
                "Write 1234 for one thousand two hundred thirty-four and 1.234 for a little over one.",
                mask=hit,
                line_offset=lines,
            )
        ]
    if spelling == "mixed":
        points = examples(text for text in filled if "." in text)
        return [
            make_finding(
                "mixed_decimals",
                label,
                name,
                f"both {shown} and {points}",
                "one way of writing decimals",
                "Write all of them with a decimal point; lines from another country's export are the usual cause.",
                mask=hit,
                line_offset=lines,
            )
        ]
    return []
