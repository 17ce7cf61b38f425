"""The two-sided fit of a study: each table of answers is a side, at the wave each construct is taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pandas as pd

from spc.chain.adjusted import chain_covariates, covariate_notes, unit_covariates
from spc.chain.links import outcomes
from spc.chain.measurement import indicators, loadings
from spc.chain.membership import AssignmentWeights, assignment_weights, wave_period
from spc.chain.naming import called
from spc.chain.rows import AnalysisRows, at_wave
from spc.chain.same_people import PERSON, joined_waves
from spc.chain.served import assigned, served_units, staff_of
from spc.chain.two_sided import fit_two_sided
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import UnsupportedError
from spc.results import Note
from spc.spec import model as read_model
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, score

__all__ = ["Measured", "fit_sides", "measured", "side_notes"]

ANSWERS = {table: side for side, table in SIDES.items()}


@dataclass(frozen=True)
class Measured:
    """How the constructs of a chain of units are measured.

    Attributes
    ----------
    text : str
        Loadings, in lavaan's syntax; empty where scores stand for all constructs.
    columns : mapping of construct to mapping
        Variables of the fit, and what is scored in each: an item, a facet, or the construct itself.
    """

    text: str
    columns: Mapping[str, Mapping[str, Construct]]


def measured(study: Study, rows: AnalysisRows) -> Measured:
    """The variables that stand for each construct: items or facets where the study asks for them and there are several.

    Those of the same name in two tables, or of two waves, take the name of their construct in front.

    Parameters
    ----------
    study : Study
    rows : AnalysisRows
    """
    book = {construct.name: construct for construct in study.codebook}
    names = [str(name) for name in rows.scores]
    parts = {name: indicators(book[name], rows.measurement) for name in names if book[name].table in ANSWERS}
    latent = {name: own for name, own in parts.items() if len(own) > 1}
    homes: dict[str, set[object]] = defaultdict(set)
    for name, own in latent.items():
        for part in own:
            homes[part].add((book[name].table, rows.waves.get(name)))
    taken = {*names, *(part for part, places in homes.items() if len(places) > 1)}
    called = {name: {part: f"{name}_{part}" if part in taken else part for part in own} for name, own in latent.items()}
    columns = {
        name: {called[name][part]: found for part, found in latent[name].items()} if name in latent
        else {name: book[name]}
        for name in names
    }  # fmt: skip
    return Measured("\n".join(line for name in latent for line in loadings(book[name], called[name])), columns)


def fit_sides(
    study: Study, text: str, rows: AnalysisRows, *, draws: int, seed: int, level: float, shared: bool = True
) -> TwoSidedFit:
    """Fit the chain of a study to its respondents, side by side.

    Parameters
    ----------
    study : Study
    text : str
        The chain.
    rows : AnalysisRows
        As for unit means: its constructs and the wave of each.
    draws, seed, level
        As for :func:`spc.chain.fit_chain`.
    shared : bool
        Customers belong to all units that the assignments name for them; else to the one with most of them.

    Raises
    ------
    UnsupportedError
        The chain is one of persons.
    """
    if rows.level != "unit":
        raise UnsupportedError(
            'method="two_sided" is for chains of units. Set level = "unit" in [chain], or use method="unit_means".'
        )
    names = [str(name) for name in rows.scores]
    how = measured(study, rows)
    apart, units = _tables(study if shared else served_units(study), how, rows.waves, shared=shared)
    times = {_side(study, name, rows.waves): rows.waves.get(name) for name in names}
    homes = {_side(study, construct.name, rows.waves): construct.table for construct in study.codebook}
    sides, people, joined = joined_waves(apart, homes)
    shares = {side: _shares(study, table, times[side]) for side, table in sides.items() if "customer" in table}
    fit = fit_two_sided(
        f"{how.text}\n{text}" if how.text else text, sides=sides, units=units, unit="unit", draws=draws, seed=seed,
        level=level, assignments=shares or None, priors=() if study.chain is None else study.chain.priors,
        equal_loadings=bool(how.text), covariates=chain_covariates(study), negative=_negative(study, text),
    )  # fmt: skip
    other = [name for name in names if homes[_side(study, name, rows.waves)] not in joined]
    notes = [*people, *_repeaters(study, other, rows.waves), *_periods(shares, times)]
    return replace(fit, messages=(*notes, *fit.messages))


def _negative(study: Study, text: str) -> frozenset[tuple[str, str]]:
    """Links that the study expects to be negative, as far as they are in a chain."""
    links = {(effect, cause) for effect, causes in outcomes(read_model(text)).items() for cause in causes}
    return frozenset() if study.chain is None else study.chain.negative & links


def _side(study: Study, name: str, waves: Mapping[str, Any]) -> str:
    """The side of a construct, one for each wave; empty for what is known of units."""
    table = next(construct.table for construct in study.codebook if construct.name == name)
    return "" if table not in ANSWERS else ANSWERS[table] + (f"_wave_{waves[name]}" if name in waves else "")


def _shares(study: Study, table: pd.DataFrame, wave: object) -> AssignmentWeights:
    """Who serves the customers of a side, in the time of its wave."""
    return assignment_weights(
        study.tables["assignments"],
        customers=table["customer"].dropna().unique(),
        employees=staff_of(study),
        period=None if wave is None else wave_period(wave),
    )


def _periods(shares: Mapping[str, AssignmentWeights], times: Mapping[str, Any]) -> Iterator[Note]:
    for side, weights in shares.items():
        told: dict[str, object] = {"side": called(side)}
        if weights.period is not None:
            start, end = map(str, weights.period)
            told |= {"wave": str(times[side]), "start": start, "end": end}
        elif times[side] is not None:
            told |= {"wave": str(times[side])}
        which = "span" if "end" in told else "undated" if "wave" in told else "all"
        yield Note.of("assignment_period", "info", side, which, **told)


def _repeaters(study: Study, names: list[str], waves: Mapping[str, Any]) -> Iterator[Note]:
    """People of one table who answered in several of the waves used."""
    used: dict[str, dict[Any, pd.DataFrame]] = defaultdict(dict)
    for construct in study.codebook:
        if construct.name in names and construct.name in waves and construct.table in ANSWERS:
            used[construct.table][waves[construct.name]] = at_wave(study, construct, waves)
    for table, frames in used.items():
        for (one, first), (other, second) in pairwise(sorted(frames.items(), key=_when)):
            yield from _twice(table, one, other, first, second)


def _when(pair: tuple[Any, pd.DataFrame]) -> Any:
    return pair[0]


def _twice(table: str, one: object, other: object, first: pd.DataFrame, second: pd.DataFrame) -> Iterator[Note]:
    waves: dict[str, object] = {"one": str(one), "other": str(other), "table": called(table)}
    if "respondent" not in first:
        yield Note.of("waves_apart", "warning", table, "unknown", **waves)
        return
    both = len(set(first["respondent"].dropna()) & set(second["respondent"].dropna()))
    if both:
        numbers = {"both": both, "first": len(first), "second": len(second)}
        yield Note.of("waves_apart", "warning", table, "known", **waves, **numbers)


def _tables(
    study: Study, how: Measured, waves: Mapping[str, Any], *, shared: bool
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame | None]:
    """Scores or items of each table of answers, one a wave used, and scores of all others by unit."""
    book = {construct.name: construct for construct in study.codebook}
    sides: dict[str, dict[str, pd.Series]] = {}
    outcomes: dict[str, pd.Series] = {}
    for name, columns in how.columns.items():
        construct = book[name]
        table = at_wave(study, construct, waves)
        if construct.table not in ANSWERS:
            outcomes[name] = score(table, construct).groupby(table["unit"]).mean()
            continue
        keys = ["unit", "customer"] if shared and assigned(study, construct.table) else ["unit"]
        keys += [PERSON] if name in waves and PERSON in table else []
        keys += chain_covariates(study)
        side = sides.setdefault(_side(study, name, waves), {key: table[key] for key in keys if key in table})
        side |= {column: score(table, part) for column, part in columns.items()}
    units = pd.DataFrame(outcomes).rename_axis("unit").reset_index() if outcomes else None
    units = _with_covariates(study, units)
    return {side: pd.DataFrame(columns) for side, columns in sides.items()}, units


def _with_covariates(study: Study, units: pd.DataFrame | None) -> pd.DataFrame | None:
    """Results of units, and their covariates."""
    own = unit_covariates(study)
    if own is None or units is None:
        return units if own is None else own
    return units.merge(own, on="unit", how="outer")


def side_notes(study: Study) -> list[Note]:
    """What the method means for a reader."""
    return [Note.of("two_sided", "info", "links"), *covariate_notes(study)]
