"""Covariates taken out of the rows of a chain of persons, or of unit means, before it is fitted.

With covariates held as they are and slopes of their own in every variable, the likelihood of a chain of persons depends
on the residuals of least squares alone (Frisch & Waugh 1933, Econometrica 1, 387-401). Means of units lose what the
covariates of their respondents bring, by slopes within units, then what those of units bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from spc.chain.covariates import covariate_columns
from spc.chain.naming import called
from spc.chain.rows import AnalysisRows, at_wave
from spc.errors import DataError, SingularInformationError
from spc.linalg import FloatArray
from spc.results import Note
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import score

__all__ = ["adjusted_rows", "chain_covariates", "covariate_notes", "unit_covariates"]

_ALIKE = 1e-10


def chain_covariates(study: Study) -> tuple[str, ...]:
    """What the chain of a study has taken out."""
    return () if study.chain is None else study.chain.covariates


def covariate_notes(study: Study) -> list[Note]:
    """What covariates mean for a reader."""
    names = chain_covariates(study)
    return [Note.of("covariates", "info", "links", names=names)] if names else []


def unit_covariates(study: Study) -> pd.DataFrame | None:
    """``unit`` and the covariates of units at the last wave that has them; None where there are none."""
    table = study.tables.get("units")
    names = [] if table is None else [name for name in chain_covariates(study) if name in table]
    if table is None or not names:
        return None
    rows = table.sort_values("wave", kind="stable") if "wave" in table else table
    return rows.groupby("unit")[names].last().reset_index()


def adjusted_rows(study: Study, rows: AnalysisRows) -> tuple[AnalysisRows, list[Note]]:
    """The rows without the part of the chain's covariates, at their means; rows that lack a covariate are missing.

    Parameters
    ----------
    study : Study
    rows : AnalysisRows

    Raises
    ------
    DataError
        A covariate that does not vary, or has too many categories; too few rows have all covariates and scores.
    SingularInformationError
        Covariates that are not told apart.
    """
    if not chain_covariates(study):
        return rows, []
    scores, items, notes = _of_persons(study, rows) if rows.level == "person" else _of_units(study, rows)
    return replace(rows, scores=scores, items=items), notes


def _of_persons(study: Study, rows: AnalysisRows) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    book = {construct.name: construct for construct in study.codebook}
    names = [str(name) for name in rows.scores]
    table = book[names[0]].table
    parts = []
    for name in names:
        own = at_wave(study, book[name], rows.waves)
        own = own.set_index("respondent") if "respondent" in own else own
        parts.append(own[[column for column in chain_covariates(study) if column in own]].reindex(rows.scores.index))
    known = parts[0]
    for other in parts[1:]:
        known = known.combine_first(other)
    of_units = unit_covariates(study)
    if of_units is not None and rows.unit is not None:
        more = of_units.set_index("unit").reindex(rows.unit)
        known = known.join(more.set_axis(rows.scores.index)[[name for name in more if name not in known]])
    design = _design(known, table)
    frame = pd.concat([rows.scores, rows.items], axis=1)
    frame = frame.loc[:, ~frame.columns.duplicated()]
    whole = frame.notna().all(axis=1)
    out = pd.DataFrame({name: _without(frame[name], design, whole, table) for name in map(str, frame)})
    return out[rows.scores.columns], out[rows.items.columns], _lacking(design, table, known.columns.tolist())


def _of_units(study: Study, rows: AnalysisRows) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    book = {construct.name: construct for construct in study.codebook}
    scores, notes = rows.scores.astype(float), list[Note]()
    for name in map(str, scores):
        table = at_wave(study, book[name], rows.waves)
        own = [column for column in chain_covariates(study) if column in table]
        if book[name].table not in SIDES.values() or not own:
            continue
        design = _design(table[own], book[name].table)
        unit = table["unit"]
        inside = design - design.groupby(unit).transform("mean")
        given = score(table, book[name])
        slopes = _slopes(given.groupby(unit).transform(lambda each: each - each.mean()), inside, book[name].table)
        rest = given - (design - design.mean()) @ slopes
        scores[name] = rest.groupby(unit).mean().reindex(scores.index)
        notes += _lacking(design, book[name].table, own)
    of_units = unit_covariates(study)
    if of_units is not None:
        known = of_units.set_index("unit").reindex(scores.index)
        design = _design(known, "units")
        whole = scores.notna().all(axis=1)
        scores = pd.DataFrame({name: _without(scores[name], design, whole, "units") for name in map(str, scores)})
        notes += _lacking(design, "units", known.columns.tolist())
    return scores, rows.items, list(dict.fromkeys(notes))


def _design(known: pd.DataFrame, table: str) -> pd.DataFrame:
    """Covariates as columns of numbers; missing where one is."""
    here = known.notna().all(axis=1)
    columns = {
        label: column
        for name in map(str, known)
        for label, column in covariate_columns(known.loc[here, name], name, table).items()
    }
    return pd.DataFrame(columns, index=known.index[here]).reindex(known.index)


def _without(values: pd.Series, design: pd.DataFrame, used: pd.Series[bool], table: str) -> pd.Series:
    """A variable without what least squares over the rows used find in it; missing where a covariate is."""
    used = used & design.notna().all(axis=1)
    middle = design[used].mean()
    apart = design - middle
    level = values[used].astype(float)
    slopes = _slopes((level - level.mean()).reindex(values.index), apart.where(used), table)
    return values - pd.Series(apart.to_numpy() @ slopes, values.index)


def _slopes(values: pd.Series, design: pd.DataFrame, table: str) -> FloatArray:
    here = values.notna() & design.notna().all(axis=1)
    x = design[here].to_numpy(dtype=np.float64)
    if len(x) <= x.shape[1]:
        found = f"{len(x)} rows that have all covariates and all scores"
        expected = f"more than the {x.shape[1]} columns of the covariates"
        raise DataError.of(table, None, "too_few_rows", found, expected, "Leave out a covariate that is seldom known.")
    spread = np.sqrt((x**2).mean(axis=0))
    if (spread <= 0.0).any() or np.linalg.svd(x / spread, compute_uv=False)[-1] < _ALIKE * np.sqrt(len(x)):
        raise SingularInformationError(
            "The covariates cannot be told apart: one follows from the others, or varies only between units. "
            "Leave one out."
        )
    return np.asarray(np.linalg.lstsq(x / spread, values[here].to_numpy(dtype=np.float64), rcond=None)[0] / spread)


def _lacking(design: pd.DataFrame, table: str, names: Sequence[str]) -> list[Note]:
    lost = int(design.isna().any(axis=1).sum())
    if not lost:
        return []
    told = {"left": lost, "names": list(names)}
    if table == "units":
        return [Note.of("no_covariate", "warning", table, "units", units=len(design), **told)]
    side = {name: key for key, name in SIDES.items()}[table]
    return [Note.of("no_covariate", "warning", side, "respondents", people=len(design), side=called(side), **told)]
