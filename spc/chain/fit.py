"""Fit the chain of a study: rows, structural model, effects, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import pandas as pd

from spc.chain.adjusted import adjusted_rows, covariate_notes
from spc.chain.encounters_study import fit_meetings
from spc.chain.equivalence import Smallest
from spc.chain.links import outcomes, required_chain
from spc.chain.measurement import indicators, loadings
from spc.chain.result import ChainFit
from spc.chain.rows import AnalysisRows, analysis_rows, at_wave
from spc.chain.served import served_units
from spc.chain.two_sided_study import fit_sides, side_notes
from spc.errors import DataError, EstimationError, UnsupportedError
from spc.regression import link_regressions
from spc.results import Note, Provenance, Replicates, fingerprint
from spc.sem import SemFit, bootstrap, fit
from spc.sem.fit import Engine
from spc.sem.postestimation.effects import effects
from spc.spec import model
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import aggregation

__all__ = ["fit_chain", "measurement_text", "measuring"]

FEWEST_UNITS_TO_RESAMPLE = 10
SMALL_NUMBER_OF_UNITS = 60
Method = Literal["auto", "two_sided", "unit_means"]


def fit_chain(
    study: Study,
    *,
    draws: int = 2000,
    seed: int | None = None,
    level: float = 0.95,
    engine: Engine = "spc",
    method: Method | None = None,
) -> ChainFit:
    """Fit the service-profit chain of a study.

    Studies whose constructs come from several tables are analysed on units, by the likelihood of the respondents of
    all sides, which corrects links for the sampling error of unit means (:func:`spc.fit_two_sided`), with scale scores,
    or on request items whose loadings hold on both levels; one-sided studies on persons, with the items as indicators
    of latent variables. Persons nested in at least ten units have their effects' intervals from a bootstrap of whole
    units, all others from the large-sample approximation: exact for single links, from draws for products of links.

    Parameters
    ----------
    study : Study
        With a ``[chain]``: a preset, or lavaan regressions among its constructs.
    draws : int
        Draws behind the intervals of the effects.
    seed : int, optional
        Seed of the draws; the study's own when not given.
    level : float
        Level of all intervals.
    engine : {"spc", "semopy"}
    method : {"auto", "two_sided", "unit_means"}, optional
        How chains of units are fitted: to the respondents themselves, or to the mean scores of each side. ``"auto"``,
        and the study where it does not say otherwise, take the respondents where that can be done, and unit means with
        a note where it cannot.

    Returns
    -------
    ChainFit

    Raises
    ------
    DataError
        The study has no chain, or its constructs do not reach a common row.
    SpecError, EstimationError
        The model cannot be read, is not identified, or cannot be fitted.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=40).write(folder.name))
    >>> chain = fit_chain(study, draws=500)
    >>> chain.level, chain.nunits
    ('unit', 40)
    >>> folder.cleanup()
    """
    study = served_units(study)
    asked = required_chain(study)
    method = asked.method if method is None else method
    if method not in get_args(Method):
        raise UnsupportedError(f"method={method!r}; use one of {', '.join(map(repr, get_args(Method)))}.")
    seed = study.seed if seed is None else seed
    links = outcomes(model(asked.model))
    if asked.meet == "employee":
        return fit_meetings(study, links, draws=draws, seed=seed, level=level, smallest=_smallest(study))
    rows = analysis_rows(study, links, asked.lags)
    if method == "two_sided" and engine != "spc":
        raise UnsupportedError(f'method="two_sided" has no engine={engine!r}; use engine="spc".')
    if method == "two_sided":
        return _two_sided(study, rows, links, draws, seed, level)
    latent = rows.level == "unit" and rows.measurement != "scores"
    if latent and (method == "unit_means" or engine != "spc"):
        raise UnsupportedError(
            "Items or facets as latent variables on unit means need more units than firms have. "
            'Use method="two_sided", or measurement = "scores", or level = "person" with items of one side.'
        )
    why = ""
    if method == "auto" and engine == "spc" and rows.level == "unit":
        try:
            return _two_sided(study, rows, links, draws, seed, level)
        except (DataError, EstimationError, UnsupportedError) as error:
            why = str(error).splitlines()[0]
    full = "\n".join([*measurement_text(study, rows), asked.model])
    freed, lacking = adjusted_rows(study, rows)
    sem = fit(model(full), freed.frame, engine=engine, level=level)
    unit = _resampled_units(sem, freed)
    replicates = None if unit is None else bootstrap(sem, freed.frame, draws=draws, seed=seed, cluster=unit).replicates
    return ChainFit(
        sem=sem,
        effects=effects(sem, draws=draws, seed=seed, level=level, replicates=replicates),
        regressions=link_regressions(rows.scores, links, cluster=unit, level=level),
        level=rows.level,
        nunits=_n_units(sem, freed),
        waves=rows.waves,
        scores=rows.scores,
        labels={construct.name: construct.title for construct in study.codebook},
        messages=(
            *rows.messages,
            *_fallback(study, why),
            *covariate_notes(study),
            *lacking,
            *_chain_notes(study, freed, links, sem, replicates),
        ),
        provenance=Provenance.record(
            {"draws": draws, "level": level, "engine": engine, "model": full}, fingerprint(freed.frame), seed
        ),
        resampled=replicates is not None,
        smallest=_smallest(study),
        negative=asked.negative,
    )


def _two_sided(
    study: Study, rows: AnalysisRows, links: Mapping[str, Sequence[str]], draws: int, seed: int, level: float
) -> ChainFit:
    assert study.chain is not None
    found = fit_sides(study, study.chain.model, rows, draws=draws, seed=seed, level=level)
    options = {"draws": draws, "level": level, "method": "two_sided", "model": study.chain.model}
    return ChainFit(
        sem=found,
        effects=found.effects,
        regressions=link_regressions(rows.scores, links, cluster=None, level=level),
        level=rows.level,
        nunits=len(found.keys),
        waves=rows.waves,
        scores=rows.scores,
        labels={construct.name: construct.title for construct in study.codebook},
        messages=(*rows.messages, *side_notes(study)),
        provenance=Provenance.record(options, found.provenance.data_fingerprint, seed),
        smallest=_smallest(study),
        negative=study.chain.negative,
    )


def _fallback(study: Study, why: str) -> list[Note]:
    """That unit means stand in for the likelihood of the respondents, and that priors go unused."""
    notes = []
    if why:
        notes.append(Note.of("unit_means_fallback", "warning", "links", why=why))
    if study.chain is not None and study.chain.priors:
        notes.append(Note.of("priors_unused", "warning", "links"))
    return notes


def _smallest(study: Study) -> Smallest | None:
    if study.chain is None or (study.chain.smallest_effect is None and study.chain.smallest_effect_money is None):
        return None
    return Smallest(study.chain.smallest_effect, study.chain.smallest_effect_money)


def measurement_text(study: Study, rows: AnalysisRows) -> list[str]:
    """One latent variable a construct, single items too: exogenous latent variables covary by default."""
    columns = {name: {column: column for column in found} for name, found in measuring(study, rows).items()}
    book = {construct.name: construct for construct in study.codebook}
    return [line for name, own in columns.items() for line in loadings(book[name], own)]


def measuring(study: Study, rows: AnalysisRows) -> dict[str, tuple[str, ...]]:
    """Items, or scores of facets, that measure the constructs; those whose score stands for them left out."""
    if rows.items.empty:
        return {}
    book = {construct.name: construct for construct in study.codebook}
    found = {name: tuple(indicators(book[name], rows.measurement)) for name in map(str, rows.scores)}
    return {name: columns for name, columns in found.items() if columns}


def _complete(sem: SemFit, frame: pd.DataFrame) -> pd.Series[bool]:
    return frame[list(sem.observed.names)].notna().all(axis=1)


def _n_units(sem: SemFit, rows: AnalysisRows) -> int | None:
    if rows.level == "unit":
        return sem.observed.n
    return None if rows.unit is None else int(rows.unit[_complete(sem, rows.frame)].nunique())


def _resampled_units(sem: SemFit, rows: AnalysisRows) -> pd.Series | None:
    """Unit of each person, those without one each for themselves; None where too few units are there to resample."""
    n = _n_units(sem, rows)
    if rows.unit is None or n is None or n < FEWEST_UNITS_TO_RESAMPLE:
        return None
    alone = pd.Series(rows.unit.index, rows.unit.index).astype(str).radd("without unit: ")
    return rows.unit.fillna(alone)


def _chain_notes(
    study: Study, rows: AnalysisRows, links: Mapping[str, Sequence[str]], sem: SemFit, replicates: Replicates | None
) -> list[Note]:
    notes = []
    if rows.level == "unit":
        notes += _unit_mean_notes(study, rows, links)
        n = sem.observed.n
        lost = len(rows.scores) - n
        if lost:
            notes.append(Note.of("units_left_out", "warning", "units", lost=lost, units=len(rows.scores), left=n))
        if n < SMALL_NUMBER_OF_UNITS:
            notes.append(Note.of("few_units", "warning", "units", "means", units=n))
    elif replicates is None and rows.unit is not None:
        notes.append(Note.of("nested_persons", "warning", "standard errors", "independent"))
    elif replicates is not None:
        notes.append(Note.of("nested_persons", "info", "standard errors", "resampled", units=_n_units(sem, rows)))
        if replicates.failures:
            failed = sum(replicates.failures.values())
            notes.append(Note.of("failed_draws", "warning", "bootstrap", "chain", failed=failed))
    return notes


def _unit_mean_notes(study: Study, rows: AnalysisRows, links: Mapping[str, Sequence[str]]) -> list[Note]:
    book = {construct.name: construct for construct in study.codebook}
    crossing = {
        cause
        for effect, causes in links.items()
        for cause in causes
        if book[cause].table in SIDES.values() and book[cause].table != book[effect].table
    }
    notes = []
    for name in sorted(crossing):
        icc = aggregation(at_wave(study, book[name], rows.waves), unit="unit", scales={name: book[name]}).tidy()
        reliability = float(icc.loc[icc["kind"] == "icc2_anova", "estimate"].iloc[0])
        notes.append(
            Note.of(
                "unit_means_attenuate",
                "warning",
                name,
                name=book[name].title,
                reliability=reliability,
                share=max(reliability, 0.0),
            )
        )
    return notes
