"""SPSS files: codes stay codes, labels are kept beside them, declared missing codes become missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import examples, make_finding
from spc.errors import DataError, Finding, MissingExtraError
from spc.sources.raw import MAX_VALUES, Raw, Request, headings
from spc.sources.settle import whole

__all__ = ["read_spss"]


def read_spss(request: Request) -> Raw:
    """Read an SPSS file; rows are counted from 1.

    Raises
    ------
    DataError
        The file is no SPSS file, or damaged.
    MissingExtraError
        pyreadstat is not installed.
    """
    try:
        import pyreadstat
    except ImportError:
        raise MissingExtraError("pyreadstat", "survey", "Reading an SPSS file") from None
    try:
        _, told = pyreadstat.read_sav(str(request.path), metadataonly=True, encoding=request.encoding)
        _refuse_large(told.number_rows, told.number_columns, request)
        frame, meta = pyreadstat.read_sav(str(request.path), user_missing=True, encoding=request.encoding)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, LookupError, ValueError, OverflowError) as error:
        found = f"{request.path.name} cannot be read ({error})"
        raise DataError.of(
            request.label, None, "damaged_file", found, "an SPSS file", "Save it again as .sav."
        ) from None
    names, findings = headings(list(frame.columns), request.label)
    frame = frame.set_axis(names, axis=1)
    columns, hits = {}, {}
    for name in names:
        if not request.wants(name):
            continue
        declared = meta.missing_ranges.get(name, ())
        columns[name], hit = _column(frame[name], declared)
        if hit.any():
            hits[name] = hit
    if hits:
        findings.append(_declared(frame, hits, request.label))
    labels = {name: text for name, text in meta.column_names_to_labels.items() if text}
    return Raw(columns, 1, tuple(findings), labels, meta.variable_value_labels)


def _refuse_large(rows: int | None, columns: int, request: Request) -> None:
    """Refuse a compressed file that unpacks to more than fits into memory."""
    if rows is not None and rows * columns > MAX_VALUES:
        found = f"{rows:,} rows of {columns:,} columns"
        hint = "Store the table as Parquet; spc.open_source fits models to tables that stay where they are."
        raise DataError.of(request.label, None, "huge_file", found, f"at most {MAX_VALUES:,} values", hint)


def _declared(frame: pd.DataFrame, hits: Mapping[str, npt.NDArray[np.bool_]], label: str) -> Finding:
    """One finding for the file: what it declares to be no answer is in order, but should be known."""
    shown = examples(value for name, hit in hits.items() for value in frame[name][hit].head(1000))
    n = sum(int(hit.sum()) for hit in hits.values())
    return make_finding(
        "user_missing",
        label,
        next(iter(hits)) if len(hits) == 1 else None,
        f"{n:,} value{'s' * (n != 1)} ({shown}) in {examples(hits, 4)} that the file itself declares as no answer",
        "answers, or blanks",
        "They count as missing; nothing to do if that is right.",
        mask=np.logical_or.reduce(list(hits.values())),
        line_offset=1,
        severity="warning",
    )


def _column(column: pd.Series, declared: Sequence[Mapping[str, Any]]) -> tuple[pd.Series, npt.NDArray[np.bool_]]:
    hit = np.zeros(len(column), dtype=bool)
    for span in declared:
        low, high = span["lo"], span["hi"]
        if isinstance(low, str):
            hit |= (column == low).to_numpy(dtype=bool)
        elif column.dtype.kind == "f":
            hit |= ((column >= low) & (column <= high)).to_numpy()
    kept = column.mask(hit) if hit.any() else column
    if kept.dtype.kind == "f":
        return whole(kept.to_numpy(dtype=float)), hit
    return kept.reset_index(drop=True), hit
