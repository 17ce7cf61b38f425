"""SPSS files: codes stay codes, labels are kept beside them, declared missing codes become missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import examples, make_finding
from spc.errors import DataError, MissingExtraError
from spc.sources.raw import Raw, Request, headings
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
        frame, meta = pyreadstat.read_sav(str(request.path), user_missing=True, encoding=request.encoding)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, LookupError, ValueError, OverflowError) as error:
        found = f"{request.path.name} cannot be read ({error})"
        raise DataError.of(
            request.label, None, "damaged_file", found, "an SPSS file", "Save it again as .sav."
        ) from None
    names, findings = headings(list(frame.columns), request.label)
    frame = frame.set_axis(names, axis=1)
    columns = {}
    for name in names:
        if not request.wants(name):
            continue
        declared = meta.missing_ranges.get(name, ())
        columns[name], hit = _column(frame[name], declared)
        if hit.any():
            shown = examples(frame[name][hit].head(1000))
            findings.append(
                make_finding(
                    "user_missing",
                    request.label,
                    name,
                    f"{shown} declared as no answer in {int(hit.sum())} rows",
                    "nothing else",
                    "They count as missing.",
                    mask=hit,
                    line_offset=1,
                    severity="warning",
                )
            )
    labels = {name: text for name, text in meta.column_names_to_labels.items() if text}
    return Raw(columns, 1, tuple(findings), labels, meta.variable_value_labels)


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
