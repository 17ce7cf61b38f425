"""The key drivers of a study: on each survey side, of its last construct."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from spc.drivers.importance import KeyDrivers, key_drivers
from spc.study import Study, person_scores
from spc.study.quality import latest_wave
from spc.study.study import SIDES, Side
from spc.survey import Construct

__all__ = ["study_drivers"]

FEW_UNITS = 10
Links = Collection[tuple[str, str]]


def study_drivers(study: Study, *, draws: int = 1000, seed: int | None = None) -> tuple[KeyDrivers, ...]:
    """Key drivers on each survey side that has three constructs or more.

    The outcome is the side's last construct along the chain; its drivers are the constructs of the side that lead to
    it, or all others when fewer than two do. Scores are those of people at the latest wave; where there are ten units
    or more, whole units are resampled.

    Parameters
    ----------
    study : Study
    draws : int
        Bootstrap draws.
    seed : int, optional
        The study's own when not given.

    Returns
    -------
    tuple of KeyDrivers
        Employees before customers.

    Raises
    ------
    DataError, NotPositiveDefiniteError
        As :func:`key_drivers`.

    Examples
    --------
    >>> import tempfile
    >>> from spc.study import read_study
    >>> from spc.synthetic import make_firm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = read_study(make_firm(units=12, sides=("customer",)).write(folder))
    >>> [(found.outcome, found.drivers) for found in study_drivers(study, draws=100)]
    [('customer_loyalty', ('customer_value', 'customer_satisfaction'))]
    """
    seed = study.seed if seed is None else seed
    return tuple(found for side in SIDES if (found := _side_drivers(study, side, draws, seed)) is not None)


def _side_drivers(study: Study, side: Side, draws: int, seed: int) -> KeyDrivers | None:
    constructs = [c for c in study.codebook if c.table == SIDES[side]]
    if SIDES[side] not in study.tables or len(constructs) < 3:
        return None
    outcome, drivers = _outcome_and_drivers([c.name for c in constructs], _links(study))
    scores = latest_wave(person_scores(study, side))
    return key_drivers(
        scores,
        outcome,
        drivers,
        scales=_scales(constructs),
        draws=draws,
        seed=seed,
        cluster=_cluster(scores),
    )


def _links(study: Study) -> Links:
    """The links of the study's chain, as (from, to)."""
    from spc.spec import model

    if study.chain is None:
        return []
    return [(row.rhs, row.lhs) for row in model(study.chain.model).parameters if row.op == "~" and row.rhs]


def _outcome_and_drivers(names: list[str], links: Links) -> tuple[str, list[str]]:
    here = [(cause, effect) for cause, effect in links if cause in names and effect in names]
    causes, effects = {cause for cause, _ in here}, {effect for _, effect in here}
    ends = [name for name in names if name in effects - causes]
    outcome = ends[-1] if ends else names[-1]
    leading = {outcome}
    for _ in names:
        leading |= {cause for cause, effect in here if effect in leading}
    drivers = [name for name in names if name in leading and name != outcome]
    return outcome, drivers if len(drivers) > 1 else [name for name in names if name != outcome]


def _scales(constructs: list[Construct]) -> dict[str, tuple[float, float]]:
    return {c.name: (c.low, c.high) for c in constructs if c.low is not None and c.high is not None}


def _cluster(scores: pd.DataFrame) -> str | None:
    return "unit" if "unit" in scores and scores["unit"].nunique() >= FEW_UNITS else None
