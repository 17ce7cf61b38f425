"""Tables as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spc.disclosure import OF_THE_BOOKS, Gate, ReleasedModel, ReleasedTable, require_released
from spc.files import refuse_to_overwrite, safe_cell, write_all
from spc.report.compose import compose_report
from spc.results import Result

__all__ = ["Outcome", "csv_text", "write_study", "write_tables"]

_EXACT = "%.15g"
"""Amounts of the books, to the cent."""
_DIGITS = "%.9g"
"""Beyond these digits a number tells of the order of its sums, not of the data."""
_NO_TABLE = frozenset({"levers"})
"""Kinds whose ``augment()`` is draws, which the page needs and nobody reads."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run of a study wrote.

    Attributes
    ----------
    report : Path
    paths : tuple of Path
        Every file, the report first.
    models : tuple of ReleasedModel
        What the results say, as released.
    headline : str
        The report's first sentence.
    """

    report: Path
    paths: tuple[Path, ...]
    models: tuple[ReleasedModel, ...]
    headline: str

    def record(self) -> dict[str, Any]:
        """Everything as one plain dictionary for JSON."""
        return {
            "headline": self.headline,
            "report": str(self.report),
            "written": [str(path) for path in self.paths],
            "results": [model.record() for model in self.models],
        }


def csv_text(table: ReleasedTable, digits: str = _DIGITS) -> str:
    """A released table as CSV, numbers in the given format.

    Texts that a spreadsheet would run as a formula begin with an apostrophe.

    Raises
    ------
    UsageError
        The table has not passed the gate.
    """
    frame = require_released(table, ReleasedTable, "an export").frame
    return frame.rename(columns=safe_cell).map(safe_cell).to_csv(index=False, float_format=digits)


def write_tables(models: Sequence[ReleasedModel], folder: str | Path, *, force: bool = False) -> list[Path]:
    """Write the tables of released results: ``KIND.csv``, with ``_fit``, ``_notes``, ``_curve`` and ``_regions``.

    Raises
    ------
    UsageError
        A file is there already and ``force`` is not given, or a result has not passed the gate.
    """
    return write_all(Path(folder), _texts(models), force=force)


def _texts(models: Sequence[ReleasedModel]) -> dict[str, str]:
    seen: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for model in models:
        require_released(model, ReleasedModel, "an export")
        seen[model.kind] += 1
        name = model.kind if seen[model.kind] == 1 else f"{model.kind}_{seen[model.kind]}"
        notes = pd.DataFrame(
            [(n.severity, n.subject, n.text, n.code) for n in model.notes],
            columns=["severity", "subject", "text", "code"],
        )
        digits = _EXACT if model.kind in OF_THE_BOOKS else _DIGITS
        texts[f"{name}.csv"] = csv_text(model.tidy, digits)
        texts[f"{name}_fit.csv"] = csv_text(model.glance, digits)
        texts[f"{name}_notes.csv"] = notes.map(safe_cell).to_csv(index=False)
        if model.curve is not None and model.kind not in _NO_TABLE:
            texts[f"{name}_curve.csv"] = csv_text(model.curve, digits)
        if model.regions is not None:
            texts[f"{name}_regions.csv"] = csv_text(model.regions, digits)
    return texts


def write_study(
    results: Sequence[Result], folder: str | Path, *, force: bool = False, options: Mapping[str, Any] | None = None
) -> Outcome:
    """Compose the report of a study and write it with all its tables, all files or none.

    Parameters
    ----------
    results : sequence of Result
        As :func:`spc.fit_study` gives them; the study first.
    folder : path
    force : bool
        Write over files that are there.
    options : mapping, optional
        Options of :func:`compose_report`.

    Raises
    ------
    UsageError
        A file is there already and ``force`` is not given.
    """
    folder = Path(folder)
    gate = Gate.of(results[0])
    models = tuple(gate.model(result) for result in results)
    texts = _texts(models) | {"confidentiality.csv": str(gate.audit())}
    refuse_to_overwrite([folder / name for name in ("report.html", *texts)], force=force)
    report = compose_report(results, **(options or {}))
    page = report.html()
    gate.remember()  # first: no report may be out that the next one does not know of
    paths = write_all(folder, {"report.html": page, **texts}, force=force)
    return Outcome(paths[0], tuple(paths), models, report.headline)
