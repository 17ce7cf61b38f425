"""A study whose customers meet employees, not only units: what is fitted, and on which answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spc.chain.encounters import fit_encounters
from spc.chain.equivalence import Smallest
from spc.chain.membership import AssignmentWeights, assignment_weights, wave_period
from spc.chain.result import ChainFit
from spc.chain.rows import at_wave, chain_constructs, taken_waves
from spc.errors import DataError, Finding, UnsupportedError
from spc.regression import link_regressions
from spc.results import Note, Provenance
from spc.study import Study
from spc.study.lags import wave_offsets
from spc.study.study import SIDES
from spc.survey import Construct, alpha, keyed_items, score

__all__ = ["fit_meetings"]

STAFF, GUESTS = SIDES["employee"], SIDES["customer"]


def fit_meetings(
    study: Study,
    links: Mapping[str, Sequence[str]],
    *,
    draws: int,
    seed: int,
    level: float,
    smallest: Smallest | None = None,
) -> ChainFit:
    """Fit the chain of a study among employees and the customers assigned to them (:func:`spc.fit_encounters`).

    The error of an employee's score follows from the alpha of its items.

    Parameters
    ----------
    study : Study
        With assignments that name employees.
    links : mapping of outcome to predictors
    draws, seed, level, smallest
        As for :func:`spc.fit_chain`.

    Raises
    ------
    DataError
        A table or a column is absent.
    UnsupportedError
        Constructs of other tables, or customers at several waves.
    """
    assert study.chain is not None
    names = list(dict.fromkeys(name for effect, causes in links.items() for name in (*causes, effect)))
    constructs = chain_constructs(study, names)
    _require(study, constructs)
    waves, messages = taken_waves(study, constructs, wave_offsets(links, study.chain.lags))
    staff = _people(study, [c for c in constructs if c.table == STAFF], waves, "respondent")
    guests = _customers(study, [c for c in constructs if c.table == GUESTS], waves)
    times = {waves[c.name] for c in constructs if c.table == GUESTS and c.name in waves}
    weights = assignment_weights(
        study.tables["assignments"], target="respondent", customers=guests["customer"].dropna().unique(),
        period=wave_period(next(iter(times))) if times else None,
    )  # fmt: skip
    reliability = {c.name: _alpha(study, c, waves) for c in constructs if c.table == STAFF and len(c.items) > 1}
    found = fit_encounters(
        study.chain.model, employees=staff, customers=guests, assignments=weights, reliability=reliability,
        level=level, draws=draws, seed=seed, negative=study.chain.negative,
    )  # fmt: skip
    scores = _side_by_side(staff, guests, weights)[names]
    return ChainFit(
        sem=found,
        effects=found.effects,
        regressions=link_regressions(scores, links, cluster=None, level=level),
        level="person",
        nunits=None,
        waves=waves,
        scores=scores,
        labels={construct.name: construct.title for construct in study.codebook},
        messages=(*messages, _regression_note()),
        provenance=Provenance.record(
            {"draws": draws, "level": level, "meet": "employee", "model": study.chain.model},
            found.provenance.data_fingerprint, seed,
        ),
        smallest=smallest,
        negative=study.chain.negative,
    )  # fmt: skip


def _require(study: Study, constructs: Sequence[Construct]) -> None:
    others = [c.name for c in constructs if c.table not in {STAFF, GUESTS}]
    if others:
        raise UnsupportedError(
            f'meet = "employee" is for constructs of employees and customers; {", ".join(others)} are of other tables. '
            'Take them out of the chain, or use meet = "unit".'
        )
    wanted = {STAFF: "respondent", GUESTS: "customer", "assignments": "respondent"}
    findings = [
        Finding(table, column, "missing_column", "no such column" if table in study.tables else "no such table",
                f"a column {column!r}", "Customers meet the employees whom the assignments name.")
        for table, column in wanted.items()
        if table not in study.tables or column not in study.tables[table]
    ]  # fmt: skip
    if findings:
        raise DataError(findings)


def _people(study: Study, constructs: Sequence[Construct], waves: Mapping[str, Any], key: str) -> pd.DataFrame:
    """One row an employee: a score a construct, each at its wave."""
    columns = {}
    for construct in constructs:
        rows = at_wave(study, construct, waves)
        columns[construct.name] = score(rows, construct).set_axis(rows[key])
    return pd.DataFrame(columns).rename_axis(key).reset_index()


def _customers(study: Study, constructs: Sequence[Construct], waves: Mapping[str, Any]) -> pd.DataFrame:
    times = {waves.get(construct.name) for construct in constructs}
    if len(times) > 1:
        raise UnsupportedError('meet = "employee" takes all constructs of customers at one wave; leave out their lags.')
    if not constructs:
        raise UnsupportedError('meet = "employee" needs a construct of customers in the chain.')
    rows = at_wave(study, constructs[0], waves)
    return pd.DataFrame({"customer": rows["customer"], **{c.name: score(rows, c) for c in constructs}})


def _alpha(study: Study, construct: Construct, waves: Mapping[str, Any]) -> float:
    value = alpha(keyed_items(at_wave(study, construct, waves), construct)).estimate
    if not np.isfinite(value) or value <= 0.0:
        raise DataError.of(
            construct.table, construct.name, "no_reliability", f"an alpha of {value:.2f}", "items that agree",
            "Without it the error of single answers is not known; check the items and their direction.",
        )  # fmt: skip
    return float(value)


def _side_by_side(staff: pd.DataFrame, guests: pd.DataFrame, weights: AssignmentWeights) -> pd.DataFrame:
    """Employees with the means of their customers, weighted by shares: what plain regressions look at."""
    number = {key: k for k, key in enumerate(weights.targets)}
    known = guests.dropna()
    known = known[
        known["customer"].isin({c for c, served in zip(weights.customers, weights.served, strict=True) if served})
    ]
    shares = weights.rows(known["customer"].tolist(), number, known["customer"].tolist())
    total = np.asarray(shares.sum(axis=0))
    names = [name for name in known if name != "customer"]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (shares.T @ known[names].to_numpy(dtype=np.float64)) / total[:, None]
    seen = pd.DataFrame(means, columns=names, index=pd.Index(weights.targets))
    return staff.set_index("respondent").join(seen, how="outer")


def _regression_note() -> Note:
    return Note.of("means_of_meetings", "info", "links")
