"""Fit a chain to sides whose respondents differ and meet only in their units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from spc.chain.in_place import Side, in_memory, units_in_place
from spc.chain.link_priors import known, prior_notes
from spc.chain.membership_sides import Assignments, Shares, alike_notes, placed, shares_of, weight_notes
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import DataError, Finding, UsageError
from spc.linalg import FloatArray
from spc.moments import numeric_values
from spc.results import Note, Provenance, Replicates, Severity, fingerprint
from spc.sem.twolevel.answers import answer_moments
from spc.sem.twolevel.draws import bootstrap_chisq, parametric_bootstrap, theta_draws, unit_bootstrap
from spc.sem.twolevel.fit import Errors, TwoLevelFit, fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.sem.twolevel.membership_moments import member_moments
from spc.spec import model as read_model
from spc.study import LinkPrior

__all__ = ["Missing", "fit_two_sided", "units_of"]

Missing = Literal["fiml", "listwise"]
Resample = Literal["parametric", "units"]


def fit_two_sided(
    text: str,
    *,
    sides: Mapping[str, Side],
    units: pd.DataFrame | None = None,
    unit: str,
    errors: Errors = "observed",
    level: float = 0.95,
    draws: int = 4000,
    bootstrap: int = 0,
    resample: Resample = "parametric",
    seed: int = 1,
    boundary: bool = True,
    priors: Sequence[LinkPrior] = (),
    assignments: Assignments | None = None,
    missing: Missing = "fiml",
    equal_loadings: bool = False,
) -> TwoSidedFit:
    """Fit a chain of unit-level links to respondents of several sides, and outcomes of their units.

    Averaging each side to unit means adds the sampling error of those means to the causes, and links between sides
    shrink, often to half. Here the likelihood of the respondents themselves is maximised: they vary within units with
    free covariances on each side, and units vary as the chain says. Units may lack a side, an outcome, or have a
    single respondent.

    Parameters
    ----------
    text : str
        Links among constructs as lavaan regressions. Means are always free.
    sides : mapping of str to DataFrame or Source
        One row a respondent, in memory or where it stays (:func:`spc.open_source`): the unit, and a score for each
        construct of that side. Respondents without a unit are left out and counted; see ``missing`` for those who lack
        a score.
    units : DataFrame, optional
        One row a unit: outcomes named in the text; holes allowed.
    unit : str
        Name of the column that holds the unit, the same in all tables.
    errors : {"observed", "expected", "robust"}
        What standard errors come from; ``"robust"`` is the sandwich of the units' scores, widened for few units, with a
        scaled chi-square.
    level : float
        Level of the intervals.
    draws : int
        Draws behind the intervals of indirect and total effects.
    bootstrap : int
        Replicates of a bootstrap; where given, intervals and p-values of links and effects come from it.
    resample : {"parametric", "units"}
        What the bootstrap draws: units made from the fit, which also gives a p-value of the chi-square; or the units
        there are, with all their respondents.
    seed : int
    boundary : bool
        Keep the variances among units of the causes off zero, where the likelihood of few units often puts them and
        links grow without limit: half the logarithm of each is added to the log-likelihood (Chung, Rabe-Hesketh, Dorie,
        Gelman & Liu 2013, Psychometrika 78, 685-709). It weighs about as much as one unit more. Chi-square and
        likelihood in ``glance()`` are of the data alone.
    priors : sequence of LinkPrior
        What published studies say of links; each is named in a note, beside what the data alone say.
    assignments : DataFrame, AssignmentWeights or mapping of side to AssignmentWeights, optional
        Who serves whom (:func:`spc.assignment_weights`), where customers are served by several units. It concerns the
        sides with a column ``customer``: what units bring about in a customer is the sum over units by their shares,
        and the likelihood is that of multiple membership. Customers whom nobody is assigned to count for the unit in
        their row.
    missing : {"fiml", "listwise"}
        Respondents who lack a score of the chain count with what they answered, which asks no more than that those who
        left it out differ by what they did answer; or they are left out. They are left out of sides that stay where
        they are, and where customers are served by several units.
    equal_loadings : bool
        The loadings of constructs that are measured by items in the text (``quality =~ q1 + q2 + q3``) hold within
        units as well; otherwise items covary freely there. It takes more units than scores do: each item has a mean,
        and a variance among units, of its own.

    Returns
    -------
    TwoSidedFit

    Raises
    ------
    DataError
        A construct is in no table or in several, a table lacks the unit, sides share no unit, or a side has one
        respondent a unit throughout.
    SpecError, UnsupportedError
        The text cannot be read, or asks for what has no two-sided method.
    EstimationError
        The likelihood has no maximum that could be found.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> quality = rng.normal(size=60)
    >>> value = 0.5 * quality + rng.normal(0, 0.5, 60)
    >>> staff = pd.DataFrame({"shop": np.repeat(range(60), 6)})
    >>> staff["quality"] = quality[staff["shop"]] + rng.normal(0, 1.5, len(staff))
    >>> guests = pd.DataFrame({"shop": np.repeat(range(60), 20)})
    >>> guests["value"] = value[guests["shop"]] + rng.normal(0, 1.5, len(guests))
    >>> fit = fit_two_sided("value ~ quality", sides={"staff": staff, "guests": guests}, unit="shop", draws=200)
    >>> fit.tidy().loc[0, ["lhs", "rhs", "kind", "label"]].tolist()
    ['value', 'quality', 'link', 'holds']
    >>> int(fit.glance()["nunits"].iloc[0])
    60
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level is {level}; give a share between 0 and 1, such as 0.95.")
    if missing not in get_args(Missing):
        raise UsageError(f"missing={missing!r}; use one of {', '.join(map(repr, get_args(Missing)))}.")
    if resample not in get_args(Resample):
        raise UsageError(f"resample={resample!r}; use one of {', '.join(map(repr, get_args(Resample)))}.")
    model = read_model(text, fixed_x=False)
    shares, frames = shares_of(assignments, sides, unit), in_memory(sides)
    missing = missing if len(frames) == len(sides) else "listwise"
    moments, keys, messages = units_in_place(
        lambda tables: units_of(model.observed, tables, units, unit, shares, missing), model.observed, sides, unit
    )
    core = fit_two_level(
        model, moments, errors=errors, boundary=boundary, known=known(priors),
        within="tied" if equal_loadings else "free",
    )  # fmt: skip
    core = _few_clusters(core) if errors == "robust" else core
    freedom = _freedom(core)
    draw = parametric_bootstrap if resample == "parametric" else unit_bootstrap
    replicates = draw(core, bootstrap, seed) if bootstrap else None
    tested = bootstrap_chisq(core, bootstrap, seed) if bootstrap and resample == "parametric" else None
    theta = theta_draws(core, draws, seed, freedom) if replicates is None else replicates.values
    apart = [] if len(frames) == len(sides) else [moments.counts, moments.means, moments.scatter]
    weights = [share.table() for share in shares.values()]
    mark = fingerprint(*frames.values(), *([] if units is None else [units]), *apart, *weights)
    options = {"text": text, "errors": errors, "level": level, "draws": draws, "bootstrap": bootstrap, "unit": unit,
               "resample": resample,
               "boundary": boundary, "priors": [repr(prior) for prior in priors], "missing": missing,
               "equal_loadings": equal_loadings}  # fmt: skip
    return TwoSidedFit(
        core=core,
        draws=theta,
        resampled="" if replicates is None else resample,
        bootstrap_pvalue=_bootstrap_pvalue(core, tested),
        keys=keys,
        unit=unit,
        level=level,
        freedom=freedom,
        messages=(*messages, *prior_notes(core, priors), *_unit_notes(core), *_failure_notes(replicates)),
        provenance=Provenance.record(options, mark, seed),
    )


def _bootstrap_pvalue(core: TwoLevelFit, tested: FloatArray | None) -> float:
    """Share of chi-squares of a true chain that are at least the fit's own, it among them; NaN without any."""
    if tested is None or not tested.size or np.isnan(core.chisq):
        return float("nan")
    return float(((tested >= core.chisq * core.scaling).sum() + 1.0) / (tested.size + 1.0))


def _few_clusters(core: TwoLevelFit) -> TwoLevelFit:
    """Robust covariances times units over the degrees of freedom left: the sandwich is too small for few clusters."""
    factor = len(core.units.counts) / _freedom(core)
    return replace(
        core, vcov=factor * core.vcov, mu_vcov=factor * core.mu_vcov, variances_vcov=factor * core.variances_vcov,
        within_error=np.sqrt(factor) * core.within_error,
    )  # fmt: skip


def _freedom(fit: TwoLevelFit) -> float:
    """Degrees of freedom for Student's t: units that have an outcome and its causes, less these; the least of all."""
    together: dict[str, set[str]] = defaultdict(set)
    for row in fit.model.parameters:
        if row.op == "~":
            together[row.lhs] |= {row.lhs, row.rhs}
    place = {name: i for i, name in enumerate(fit.units.names)}
    least = len(fit.units.counts) - 2
    for names in together.values():
        have = fit.units.present[:, [place[name] for name in names if name in place]].all(axis=1)
        least = min(least, int(have.sum()) - len(names))
    return float(max(least, 1))


def units_of(
    names: Sequence[str],
    sides: Mapping[str, pd.DataFrame],
    units: pd.DataFrame | None,
    unit: str,
    shares: Shares = MappingProxyType({}),
    missing: Missing = "fiml",
) -> tuple[UnitMoments, tuple[Hashable, ...], list[Note]]:
    """Moments of units for the named constructs and outcomes, wherever they are.

    Parameters
    ----------
    names : sequence of str
    sides : mapping of str to DataFrame
    units : DataFrame or None
    unit : str
    shares : mapping of side to AssignmentWeights
        Sides whose respondents are served by several units.
    missing : {"fiml", "listwise"}
        What becomes of respondents who lack a score, where each has one unit.

    Returns
    -------
    UnitMoments
        Variables side by side, outcomes last.
    tuple
        Units, in the order of the moments.
    list of Note
        What was left out.

    Raises
    ------
    DataError
    """
    sides = {side: placed(table, shares[side], unit) if side in shares else table for side, table in sides.items()}
    home = _homes(names, sides, units, unit)
    used = {side: [name for name in names if home[name] == side] for side in sides}
    outcomes = [name for name in names if home[name] == ""]
    notes: list[Note] = []
    whole = missing == "listwise" or bool(shares)
    rows = {side: _usable(sides[side], side, own, unit, notes, whole=whole) for side, own in used.items() if own}
    if not rows:
        raise DataError.of(
            "sides", None, "no_respondents", "a chain of unit outcomes alone", "constructs of at least one side",
            "Without respondents there is one level only; use spc.fit.",
        )  # fmt: skip
    table = None if units is None or not outcomes else units.dropna(subset=[unit])
    customers = {side: sides[side].loc[rows[side].index, "customer"] for side in shares if side in rows}
    keys = _keys(rows, table, outcomes, unit, [shares[side].of(who) for side, who in customers.items()])
    number = {key: j for j, key in enumerate(keys)}
    last = np.full((len(keys), len(outcomes)), np.nan)
    if table is not None:
        here = table[unit].isin(number)
        last[[number[key] for key in table.loc[here, unit]]] = _numbers(table.loc[here], "units", outcomes)
    blocks: list[tuple[str, Any, FloatArray]] = [
        (
            side,
            shares[side].rows(customers[side].tolist(), number, frame[unit].tolist())
            if side in customers
            else frame[unit].map(number).to_numpy(dtype=np.intp),
            _numbers(frame, side, used[side]),
        )
        for side, frame in rows.items()
    ]
    order = [name for side in rows for name in used[side]] + outcomes
    if any(np.isnan(values).any() for _, _, values in blocks):
        return answer_moments(order, blocks, last), tuple(keys), notes
    if not customers:
        return unit_moments(order, blocks, last), tuple(keys), notes
    moments = member_moments(order, blocks, last)
    return moments, tuple(keys), [*notes, *weight_notes(shares), *alike_notes(moments)]


def _homes(
    names: Sequence[str], sides: Mapping[str, pd.DataFrame], units: pd.DataFrame | None, unit: str
) -> dict[str, str]:
    """Side of each construct; an empty name for outcomes of units."""
    tables = {**sides, **({} if units is None else {"": units})}
    findings = [
        Finding(
            side or "units", unit, "missing_column", "no unit column", f"a column {unit!r}",
            "Every table names the unit in the same column.",
        )
        for side, table in tables.items()
        if unit not in table
    ]  # fmt: skip
    if units is not None and unit in units and units[unit].dropna().duplicated().any():
        twice = units[unit][units[unit].duplicated()].iloc[0]
        findings.append(
            Finding("units", unit, "duplicate_key", f"unit {twice!r} twice", "one row a unit", "Keep one wave.")
        )
    home: dict[str, str] = {}
    for name in names:
        places = [side for side, table in tables.items() if name in table]
        if len(places) == 1 and name != unit:
            home[name] = places[0]
            continue
        found = ", ".join(place or "units" for place in places) or "no table"
        findings.append(
            Finding(
                "sides", name, "unknown_construct", f"the chain names {name}, found in {found}", "exactly one table",
                "Rename the column, or correct the chain.",
            )
        )  # fmt: skip
    if findings:
        raise DataError(findings)
    return home


def _numbers(frame: pd.DataFrame, table: str, names: Sequence[str]) -> FloatArray:
    try:
        return numeric_values(frame, list(names))
    except DataError as error:
        raise DataError(
            Finding(table, f.column, f.rule, f.found, f.expected, f.hint, f.rows, f.n_rows) for f in error.findings
        ) from None


def _usable(
    frame: pd.DataFrame, side: str, names: Sequence[str], unit: str, notes: list[Note], *, whole: bool
) -> pd.DataFrame:
    """Respondents with a unit and a score, or every score where ``whole``; ``notes`` counts the others."""
    frame = frame[[unit, *names]]
    placed, answered = frame[unit].notna(), frame[list(names)].notna()
    some, full = placed & answered.any(axis=1), placed & answered.all(axis=1)
    used = full if whole else some
    told: list[tuple[str, Severity, int, str]] = [
        ("no_unit", "warning", int(len(frame) - placed.sum()), "have no unit and are left out."),
        ("incomplete_scores", "warning", int(placed.sum() - used.sum()),
         "lack a score of the chain and are left out." if whole else "have no score of the chain and are left out."),
        ("partial_answers", "info", int(used.sum() - full.sum()),
         "lack a score of the chain; they count with what they answered."),
    ]  # fmt: skip
    for code, severity, number, text in told:
        if number:
            notes.append(Note(code, severity, side, f"{number} of {len(frame)} respondents of {side} {text}"))
    return frame[used]


def _keys(
    rows: Mapping[str, pd.DataFrame],
    table: pd.DataFrame | None,
    outcomes: Sequence[str],
    unit: str,
    also: Sequence[Set[Hashable]] = (),
) -> list[Hashable]:
    """Units with anything to say, in a fixed order."""
    members = {side: set(frame[unit]) for side, frame in rows.items()}
    if table is not None:
        members["units"] = set(table.loc[table[list(outcomes)].notna().any(axis=1), unit])
    names = list(members)
    for first, second in pairwise(names):
        if not members[first] & members[second]:
            raise DataError.of(
                second, unit, "no_common_unit", f"no unit of {first}", f"units that {first} and {second} share",
                "Check that both tables write units alike: 7 is not '7'.",
            )  # fmt: skip
    return sorted(set().union(*members.values(), *also), key=lambda key: (str(type(key)), str(key)))


def _unit_notes(fit: TwoLevelFit) -> list[Note]:
    """What the units can carry: how many there are, and how many lack a side or an outcome."""
    units, notes = fit.units, []
    n = len(units.counts)
    for s, side in enumerate(units.sides):
        absent = int((units.counts[:, s] == 0).sum())
        if absent:
            notes.append(Note(
                "units_missing_a_side", "info", side, f"{absent} of {n} units have no respondents of {side}; they "
                "count with what they have.",
            ))  # fmt: skip
    for i in np.flatnonzero(units.side < 0):
        absent = int((~units.present[:, i]).sum())
        if absent:
            notes.append(Note(
                "missing_outcome", "info", units.names[i], f"{absent} of {n} units have no {units.names[i]}; they "
                "count with what they have.",
            ))  # fmt: skip
    return notes


def _failure_notes(replicates: Replicates | None) -> list[Note]:
    failed = 0 if replicates is None else sum(replicates.failures.values())
    if not failed:
        return []
    return [Note("failed_draws", "warning", "bootstrap", f"{failed} bootstrap replicates could not be fitted.")]
