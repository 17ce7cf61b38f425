"""Fit a chain to sides whose respondents differ and meet only in their units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd

from spc.chain.covariates import CovariateSlopes, covariates_of, fit_with_covariates
from spc.chain.in_place import Side, in_memory, units_in_place
from spc.chain.link_priors import known, prior_notes
from spc.chain.links import outcomes
from spc.chain.membership_sides import Assignments, shares_of
from spc.chain.naming import called
from spc.chain.side_rows import Missing, side_rows
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Replicates, fingerprint
from spc.sem.twolevel.draws import bootstrap_chisq, parametric_bootstrap, theta_draws, unit_bootstrap
from spc.sem.twolevel.fit import Errors, TwoLevelFit, fit_two_level
from spc.spec import Model, write_model
from spc.spec import model as read_model
from spc.spec.table import ParameterTable
from spc.study import LinkPrior

__all__ = ["fit_two_sided"]

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
    covariates: Sequence[str] = (),
    negative: Collection[tuple[str, str]] = (),
) -> TwoSidedFit:
    """Fit a chain of unit-level links to respondents of several sides, and outcomes of their units.

    Averaging each side to unit means adds the sampling error of those means to the causes, and links between sides
    shrink, often to half. Here the likelihood of the respondents themselves is maximised: they vary within units with
    free covariances on each side, and units vary as the chain says. Units may lack a side, an outcome, or have a
    single respondent.

    Parameters
    ----------
    text : str
        Links among constructs as lavaan regressions. Means are always free; ``x ~ 1`` may be written.
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
        links grow without limit: 1.2 times the logarithm of each is added to the log-likelihood (after Chung,
        Rabe-Hesketh, Dorie, Gelman & Liu 2013, Psychometrika 78, 685-709), which makes links right on average to second
        order. It weighs about as much as two units more, and variances and ICCs of causes come out the higher for it.
        Chi-square and likelihood in ``glance()`` are of the data alone.
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
        they are.
    equal_loadings : bool
        The loadings of constructs that are measured by items in the text (``quality =~ q1 + q2 + q3``) hold within
        units as well; otherwise items covary freely there. It takes more units than scores do: each item has a mean,
        and a variance among units, of its own.
    covariates : sequence of str
        Columns of sides or of ``units`` whose part is taken out of all answers and outcomes, such as tenure, or region
        and size: those of respondents out of the answers of their side, those of units out of everything, by their
        shares where customers are served by several. The chain is
        then of units of average composition. Categories have an indicator each but the first; respondents and units
        that lack a covariate are left out. ``covariate`` rows of ``tidy()`` hold their slopes.
    negative : collection of (str, str)
        Links, effect and cause, that are expected to be negative, such as ``("satisfaction", "waiting")``; all others
        are expected to be positive. Verdicts say whether a link is as expected.

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
    UsageError
        A link expected to be negative that is not in the text, or an option that is not there.
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
    model = model_of_units(text)
    expected = _expected(negative, model)
    shares, frames = shares_of(assignments, sides, unit), in_memory(sides)
    missing = missing if len(frames) == len(sides) else "listwise"
    held = None
    if covariates:
        if len(frames) < len(sides):
            raise UnsupportedError("Covariates need the rows of all sides in memory: give DataFrames.")
        held = covariates_of(covariates, model.observed, frames, units, unit, shares)
        sides, units = held.sides, held.units
    laid = partial(side_rows, model.observed, units=units, unit=unit, shares=shares, missing=missing)
    moments, keys, messages = units_in_place(lambda tables: laid(tables).reduced(), model.observed, sides, unit)
    fit = partial(
        fit_two_level, model, errors=errors, boundary=boundary, known=known(priors),
        within="tied" if equal_loadings else "free",
    )  # fmt: skip
    slopes: CovariateSlopes | None = None
    if held is None:
        core = fit(units=moments)
    else:
        core, slopes = fit_with_covariates(held, laid(held.sides), fit)
        messages = [*held.messages, *messages]
    freedom = max(_freedom(core) - (0 if slopes is None else slopes.of_units), 1.0)
    core = _few_clusters(core, freedom) if errors == "robust" else core
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
               "equal_loadings": equal_loadings, "covariates": tuple(covariates),
               "negative": sorted(expected)}  # fmt: skip
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
        covariates=slopes,
        negative=expected,
    )


def _expected(negative: Collection[tuple[str, str]], model: Model) -> frozenset[tuple[str, str]]:
    """Links that are expected to be negative, all of them in the model."""
    links = outcomes(model)
    for pair in negative:
        effect, cause = pair if len(pair) == 2 and not isinstance(pair, str) else (str(pair), "")
        if cause not in links.get(effect, ()):
            into = ", ".join(links.get(effect, ())) or "none"
            raise UsageError(
                f"negative={pair!r} is no link of the chain; write (effect, cause). Links into {effect}: {into}."
            )
    return frozenset((effect, cause) for effect, cause in negative)


def model_of_units(text: str) -> Model:
    """The chain, without the intercepts that are free anyway.

    Raises
    ------
    SpecError
    UnsupportedError
        Blocks of two levels, or intercepts that are fixed, equal or named.
    """
    model = read_model(text, fixed_x=False)
    if len(model.levels) > 1:
        raise UnsupportedError(
            "A two-sided chain is of units alone: write its links without level: blocks. Answers covary freely within "
            "units; what respondents bring with them, such as tenure, goes into covariates=."
        )
    given = [row for row in model.parameters if row.op == "~1" and row.given_by == "user"]
    if not given:
        return model
    if any(row.label or not row.free for row in given):
        raise UnsupportedError("Means of units are always free: x ~ 1 may be written, but not fixed or named.")
    rows = tuple(row for row in model.parameters if row.op != "~1")
    return read_model(write_model(replace(model, parameters=ParameterTable(rows))), fixed_x=False)


def _bootstrap_pvalue(core: TwoLevelFit, tested: FloatArray | None) -> float:
    """Share of chi-squares of a true chain that are at least the fit's own, it among them; NaN without any."""
    if tested is None or not tested.size or np.isnan(core.chisq):
        return float("nan")
    return float(((tested >= core.chisq * core.scaling).sum() + 1.0) / (tested.size + 1.0))


def _few_clusters(core: TwoLevelFit, freedom: float) -> TwoLevelFit:
    """Robust covariances times units over the degrees of freedom left: the sandwich is too small for few clusters."""
    factor = len(core.units.counts) / freedom
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


def _unit_notes(fit: TwoLevelFit) -> list[Note]:
    """What the units can carry: how many there are, and how many lack a side or an outcome."""
    units, notes = fit.units, []
    n = len(units.counts)
    for s, side in enumerate(units.sides):
        absent = int((units.counts[:, s] == 0).sum())
        if absent:
            notes.append(Note.of("units_missing_a_side", "info", side, absent=absent, units=n, side=called(side)))
    for i in np.flatnonzero(units.side < 0):
        absent = int((~units.present[:, i]).sum())
        if absent:
            name = units.names[i]
            notes.append(Note.of("missing_outcome", "info", name, absent=absent, units=n, name=name))
    return notes


def _failure_notes(replicates: Replicates | None) -> list[Note]:
    failed = 0 if replicates is None else sum(replicates.failures.values())
    if not failed:
        return []
    return [Note.of("failed_draws", "warning", "bootstrap", "chain", failed=failed)]
