"""How well the constructs of a study are measured: consistency of items, agreement and reliability in units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spc.errors import SpcError
from spc.results import Note, tidy_frame
from spc.survey import Aggregation, Construct, Reliability, aggregation, scale_reliability

__all__ = ["Quality", "latest_wave", "quality"]

RESPONSES = ("employee_responses", "customer_responses")


@dataclass(frozen=True, eq=False)
class Quality:
    """Measurement quality of the constructs of a study.

    Attributes
    ----------
    reliabilities : tuple of Reliability
        Of the scales of several items.
    aggregations : mapping of str to Aggregation
        Per response table with units.
    failures : tuple of Note
        What could not be computed, and why.
    """

    reliabilities: tuple[Reliability, ...]
    aggregations: Mapping[str, Aggregation]
    failures: tuple[Note, ...]

    def tidy(self) -> pd.DataFrame:
        """Rows of kind alpha, omega and so on, then those of the aggregations."""
        rows: list[Any] = [row for part in self._parts for row in part.tidy().to_dict("records")]
        return tidy_frame(rows)

    def notes(self) -> tuple[Note, ...]:
        """Remarks on scales, verdicts on units, what could not be computed; each once."""
        return tuple(dict.fromkeys([*(note for part in self._parts for note in part.notes()), *self.failures]))

    @property
    def _parts(self) -> tuple[Reliability | Aggregation, ...]:
        return (*self.reliabilities, *self.aggregations.values())


def quality(
    tables: Mapping[str, pd.DataFrame], codebook: Sequence[Construct], *, level: float = 0.95, fewest: int = 1
) -> Quality:
    """Measurement quality at the latest wave of each response table.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By canonical name.
    codebook : sequence of Construct
    level : float
        Of the intervals.
    fewest : int
        A table with fewer people at its latest wave is passed over, and said so.

    Examples
    --------
    >>> answers = pd.DataFrame({"v1": [1, 2, 3, 4, 5, 4], "v2": [2, 2, 3, 5, 5, 3], "v3": [1, 3, 3, 5, 4, 4]})
    >>> value = Construct("value", ["v1", "v2", "v3"], 1, 5, table="customer_responses")
    >>> quality({"customer_responses": answers}, [value]).tidy()["kind"].tolist()
    ['alpha', 'omega']
    """
    reliabilities: list[Reliability] = []
    aggregations: dict[str, Aggregation] = {}
    failures: list[Note] = []
    for name in (table for table in RESPONSES if table in tables):
        frame = latest_wave(tables[name])
        constructs = [c for c in codebook if c.table == name]
        if len(frame) < fewest:
            failures.append(_too_few(name, fewest))
            continue
        for construct in (c for c in constructs if len(c.items) > 1):
            reliabilities += scale_reliability(frame, construct, level)
        if constructs and "unit" in frame:
            try:
                scales = {c.name: c for c in constructs}
                aggregations[name] = aggregation(frame, unit="unit", scales=scales, level=level)
            except SpcError as error:
                failures.append(_not_computed(name, error))
    return Quality(tuple(reliabilities), aggregations, tuple(failures))


def latest_wave(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the latest wave; all rows of a table without waves.

    Examples
    --------
    >>> latest_wave(pd.DataFrame({"wave": [1, 2, 2], "v": [5, 6, 7]}))["v"].tolist()
    [6, 7]
    """
    if "wave" not in frame or frame["wave"].isna().all():
        return frame
    latest: pd.DataFrame = frame[frame["wave"] == frame["wave"].max()]
    return latest


def _too_few(table: str, fewest: int) -> Note:
    return Note.of("too_few_people", "warning", table, fewest=fewest)


def _not_computed(table: str, error: SpcError) -> Note:
    return Note.of("not_computed", "warning", table, problem=" ".join(str(error).split()))
