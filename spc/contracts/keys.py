"""Whether the codes of one table are found in another, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, did_you_mean, examples, make_finding
from spc.contracts.schema import ForeignKey, load_schema
from spc.contracts.values import key_text
from spc.errors import Finding

__all__ = ["check_keys"]

RESPONSES = ("employee_responses", "customer_responses")


def check_keys(
    tables: Mapping[str, pd.DataFrame], *, line_offsets: Mapping[str, RowNumbers] = MappingProxyType({})
) -> list[Finding]:
    """Find codes that another table lacks, and units that nobody answered for.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By canonical name, with canonical column names. Keys to tables that are not there are not judged.
    line_offsets : mapping of str to int or array of int
        Line of the first row in each file, or the line of every row; 2 where absent.

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> tables = {"units": pd.DataFrame({"unit": ["Oslo", "Rome"]}),
    ...           "employee_responses": pd.DataFrame({"unit": ["Oslo", "Olso"]})}
    >>> for finding in check_keys(tables):
    ...     print(finding.rule, finding.table, finding.found, finding.rows)
    unknown_key employee_responses 'Olso' (3,)
    unused_key units 'Rome' (3,)
    """
    findings: list[Finding] = []
    for table, frame in tables.items():
        for key in load_schema(table).foreign_keys:
            target = tables.get(key.resource)
            if key.column in frame.columns and target is not None and key.reference in target.columns:
                here = _Codes.of(frame[key.column], line_offsets.get(table, 2))
                there = _Codes.of(target[key.reference], line_offsets.get(key.resource, 2))
                findings += _key_findings(table, key, here, there)
    return findings


class _Codes:
    """Codes of a column: which there are, and which row has which."""

    def __init__(self, rows: npt.NDArray[np.intp], values: tuple[str, ...], line_offset: RowNumbers) -> None:
        self.rows, self.values, self.line_offset = rows, values, line_offset

    @classmethod
    def of(cls, column: pd.Series, line_offset: RowNumbers) -> _Codes:
        rows, values = pd.factorize(column)
        texts = key_text(pd.Series(values))
        blank = texts.isna().to_numpy()
        return cls(np.where(np.append(blank, True)[rows], -1, rows), tuple(texts.where(~blank, "")), line_offset)

    def used(self) -> dict[str, None]:
        return dict.fromkeys(value for value in self.values if value)

    def mask(self, wanted: set[str]) -> npt.NDArray[np.bool_]:
        hit = np.array([*(value in wanted for value in self.values), False], dtype=bool)
        return np.asarray(hit[self.rows])


def _key_findings(table: str, key: ForeignKey, here: _Codes, there: _Codes) -> Iterator[Finding]:
    known, used = there.used(), here.used()
    unknown = [code for code in used if code not in known]
    respelled = _respelled(unknown, known)
    strange = [code for code in unknown if code not in respelled]
    noun = key.reference
    if respelled:
        first, second = next(iter(respelled.items()))
        yield make_finding(
            "key_spelling",
            table,
            key.column,
            f"{examples(respelled)} ({key.resource} has {second!r} for {first!r})",
            "one spelling in both tables",
            "Write the codes alike: capitals, spaces and leading zeros count.",
            mask=here.mask(set(respelled)),
            line_offset=here.line_offset,
        )
    if strange:
        severity: Literal["error", "warning"] = "warning" if key.lenient and len(unknown) < len(used) else "error"
        near = did_you_mean(strange[0], list(known)[:5000]) if len(strange) <= 100 else ""
        yield make_finding(
            "unknown_key",
            table,
            key.column,
            examples(strange),
            f"a {noun} that {key.resource} has",
            f"{near}Correct the code, or add it to {key.resource}.",
            mask=here.mask(set(strange)),
            line_offset=here.line_offset,
            severity=severity,
        )
    unused = [code for code in known if code not in used and code not in set(respelled.values())]
    if unused and table in RESPONSES and key.resource == "units":
        yield make_finding(
            "unused_key",
            key.resource,
            key.reference,
            examples(unused),
            f"rows of {table} for it",
            "Nobody answered there, or the code is written differently.",
            mask=there.mask(set(unused)),
            line_offset=there.line_offset,
            severity="warning",
        )


def _respelled(unknown: list[str], known: Mapping[str, None]) -> dict[str, str]:
    """Unknown codes that are a known one but for capitals, spaces or leading zeros."""
    if not unknown:
        return {}
    plain = {_plain(code): code for code in known}
    return {code: plain[_plain(code)] for code in unknown if _plain(code) in plain}


_NEEDLESS_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def _plain(code: str) -> str:
    return _NEEDLESS_ZEROS.sub("", "".join(code.split()).casefold())
