"""The rows a chain is fitted on: persons of one side, or units where several sides meet, each construct at its wave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from spc.chain.measurement import Measurement, indicators
from spc.chain.served import served_units
from spc.errors import DataError, Finding
from spc.results import Note
from spc.study import Study
from spc.study.lags import Lag, wave_offsets
from spc.study.study import SIDES
from spc.survey import Construct, score
from spc.words import phrase

__all__ = ["AnalysisRows", "analysis_rows", "at_wave", "chain_constructs", "taken_waves"]

Level = Literal["unit", "person"]


@dataclass(frozen=True, eq=False)
class AnalysisRows:
    """Rows ready for a fit.

    Attributes
    ----------
    scores : DataFrame
        One column a construct, one row a person or unit; missing where not measured.
    items : DataFrame
        Keyed items or scores of facets, same rows; empty of columns when scores are analysed, as they are where every
        construct has a single item, and on units, where items are those of respondents.
    level : {"unit", "person"}
    measurement : {"scores", "facets", "items"}
    unit : Series or None
        Unit of each row where persons are nested in units.
    waves : mapping
        Wave each construct was taken at; empty for a study without waves.
    messages : tuple of Note
    """

    scores: pd.DataFrame
    items: pd.DataFrame
    level: Level
    measurement: Measurement
    unit: pd.Series | None
    waves: Mapping[str, Any]
    messages: tuple[Note, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """Scores and items side by side."""
        return pd.concat([self.scores, self.items], axis=1)


def analysis_rows(study: Study, links: Mapping[str, Sequence[str]], lags: Iterable[Lag]) -> AnalysisRows:
    """Bring the constructs of the given links to the rows they are analysed on.

    Parameters
    ----------
    study : Study
    links : mapping of outcome to predictors
    lags : iterable of Lag

    Raises
    ------
    DataError
        A construct is not in the codebook, a wave is absent, or persons are asked for across two tables.
    """
    study = served_units(study)
    names = list(dict.fromkeys(name for effect, causes in links.items() for name in (*causes, effect)))
    constructs = chain_constructs(study, names)
    level = _level(study, constructs)
    measurement = _measurement(study, level)
    waves, messages = taken_waves(study, constructs, wave_offsets(links, lags))
    if level == "person":
        scores, items, unit = _person_rows(study, constructs, waves, measurement)
    else:
        scores, items, unit = _unit_rows(study, constructs, waves), pd.DataFrame(), None
        items = items.reindex(scores.index)
    return AnalysisRows(scores, items, level, measurement, unit, waves, tuple(messages))


def chain_constructs(study: Study, names: Sequence[str]) -> list[Construct]:
    """The constructs of a chain by name; raises DataError for names that the codebook lacks."""
    book = {construct.name: construct for construct in study.codebook}
    unknown = [name for name in names if name not in book]
    if unknown:
        raise DataError(
            Finding(
                "study", "chain.model", "unknown_construct", f"the chain names {name}",
                f"one of: {', '.join(book)}", f"Define it under [constructs.{name}] or correct the name.",
            )
            for name in unknown
        )  # fmt: skip
    return [book[name] for name in names]


def _level(study: Study, constructs: Sequence[Construct]) -> Level:
    tables = {construct.table for construct in constructs}
    asked = study.chain.level if study.chain else "auto"
    one_side = len(tables) == 1 and tables <= set(SIDES.values())
    if asked == "person" and not one_side:
        raise DataError.of(
            "study", "chain.level", "persons_of_several_tables", f"persons of {', '.join(sorted(tables))}",
            "constructs of one response table", "Use level = \"unit\": different people meet only in their units.",
        )  # fmt: skip
    if asked == "unit" or not one_side:
        _require_units(study, tables)
        return "unit"
    return "person"


def _require_units(study: Study, tables: Iterable[str]) -> None:
    lacking = [table for table in sorted(tables) if "unit" not in study.tables[table]]
    if lacking:
        raise DataError(
            Finding(
                table, "unit", "missing_column", "no unit column", "a unit for every row",
                f"Name it under [tables.{table}] columns = {{ unit = \"...\" }}: sides meet in their units.",
            )
            for table in lacking
        )  # fmt: skip


def _measurement(study: Study, level: Level) -> Measurement:
    asked = study.chain.measurement if study.chain else "auto"
    if asked == "auto":
        return "items" if level == "person" else "scores"
    return asked


def taken_waves(
    study: Study, constructs: Sequence[Construct], offsets: Mapping[str, int]
) -> tuple[dict[str, Any], list[Note]]:
    """The wave each construct is taken at, given how many waves before the last one; raises DataError without one."""
    timed = [construct for construct in constructs if "wave" in study.tables[construct.table]]
    if not timed:
        if any(offsets.values()):
            raise DataError.of(
                "study", "chain.lags", "no_waves", "lags, and no table with a wave column", "waves",
                "Name the wave column under [tables.*] columns, or take the lags out.",
            )  # fmt: skip
        return {}, []
    known = sorted(set().union(*(study.tables[c.table]["wave"].dropna().unique() for c in timed)))
    common = [w for w in known if all((study.tables[c.table]["wave"] == w).any() for c in timed if not offsets[c.name])]
    asked = study.chain.wave if study.chain else None
    if asked is not None and asked not in known:
        raise DataError.of(
            "study", "chain.wave", "unknown_wave", f"wave {asked}", f"one of {', '.join(map(str, known))}",
            "Correct the wave, or leave it out for the latest.",
        )  # fmt: skip
    if asked is None and not common:
        raise DataError.of(
            "study", "chain.wave", "no_common_wave", "no wave in which all last constructs were measured",
            "a wave that the tables share", "State a lag per link, or set chain.wave.",
        )  # fmt: skip
    last = known.index(common[-1] if asked is None else asked)
    taken: dict[str, Any] = {}
    for construct in timed:
        at = last - offsets[construct.name]
        if at < 0:
            raise DataError.of(
                "study", "chain.lags", "lag_too_long", f"{construct.name} {offsets[construct.name]} waves before "
                f"wave {known[last]}", f"at most {last}", f"There are the waves {', '.join(map(str, known))}.",
            )  # fmt: skip
        taken[construct.name] = known[at]
    unused = [wave for wave in known if wave not in taken.values()]
    notes = []
    if len(set(taken.values())) > 1:
        notes.append(_waves_taken(constructs, taken))
    if unused:
        notes.append(Note.of("waves_left_out", "info", "waves", waves=[str(wave) for wave in unused]))
    timeless = list(dict.fromkeys(c.table for c in constructs if "wave" not in study.tables[c.table]))
    if timeless:
        notes.append(Note.of("no_wave", "warning", ", ".join(timeless), tables=timeless))
    return taken, notes


def _waves_taken(constructs: Sequence[Construct], taken: Mapping[str, Any]) -> Note:
    told = []
    for wave in sorted(set(taken.values())):
        names = [c.title for c in constructs if taken.get(c.name) == wave]
        told.append(phrase("note.at_wave", names=names, wave=str(wave)))
    return Note.of("waves_taken", "info", "waves", taken=told)


def at_wave(study: Study, construct: Construct, waves: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of the table of a construct at the wave it is taken at; all rows of a table without waves."""
    table = study.tables[construct.table]
    return table if construct.name not in waves else table[table["wave"] == waves[construct.name]]


def _person_rows(
    study: Study, constructs: Sequence[Construct], waves: Mapping[str, Any], measurement: Measurement
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series | None]:
    _require_persons(study, constructs, waves)
    latent = any(len(indicators(construct, measurement)) > 1 for construct in constructs)
    scores: dict[str, pd.Series] = {}
    items: list[pd.DataFrame] = []
    units: list[pd.Series] = []
    for construct in constructs:
        rows = at_wave(study, construct, waves)
        if "respondent" in rows:
            rows = rows.set_index("respondent")
        scores[construct.name] = score(rows, construct)
        if latent:
            own = {name: score(rows, part) for name, part in indicators(construct, measurement).items()}
            new = {name: values for name, values in own.items() if not any(name in block for block in items)}
            items.append(pd.DataFrame(new, rows.index))
        if "unit" in rows:
            units.append(rows["unit"])
    frame = pd.concat(scores, axis=1)
    answers = pd.concat(items, axis=1).reindex(frame.index) if items else pd.DataFrame(index=frame.index)
    if not units:
        return frame, answers, None
    unit = units[0].reindex(frame.index)
    for other in units[1:]:
        unit = unit.fillna(other.reindex(frame.index))
    return frame, answers, unit


def _require_persons(study: Study, constructs: Sequence[Construct], waves: Mapping[str, Any]) -> None:
    table = constructs[0].table
    if len(set(waves.values())) > 1 and "respondent" not in study.tables[table]:
        raise DataError.of(
            table, "respondent", "missing_column", "no respondent column, and constructs of different waves",
            "a code for each person, the same in every wave",
            f"Name it under [tables.{table}] columns = {{ respondent = \"...\" }}, or take the lags out.",
        )  # fmt: skip


def _unit_rows(study: Study, constructs: Sequence[Construct], waves: Mapping[str, Any]) -> pd.DataFrame:
    means = {}
    for construct in constructs:
        rows = at_wave(study, construct, waves)
        means[construct.name] = score(rows, construct).groupby(rows["unit"]).mean()
    return pd.concat(means, axis=1).sort_index()
