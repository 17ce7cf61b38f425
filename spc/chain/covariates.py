"""What respondents bring with them, and what units are: covariates whose part is taken out of all answers and outcomes.

Respondent i of unit j on side s answers ``y = mu + A x_ij + C z_j + b_j + e_ij``, with covariates x of respondents and
z of units; the chain is of what is left, ``b_j``. Slopes A and C are estimated by maximum likelihood together with all
else: given the covariances, the log-likelihood is quadratic in means and slopes, whatever the data lack and whoever
serves whom, so its top follows from its values; given the slopes, the rest is an ordinary two-sided fit. The two take
turns (Meng & Rubin 1993, Biometrika 80, 267-278). Covariates are measured from their means, so means and variances of
units are those of units of average composition.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from spc.chain.membership import AssignmentWeights
from spc.chain.membership_sides import Shares, placed
from spc.chain.naming import called
from spc.chain.side_rows import SideRows
from spc.errors import (
    DataError,
    EstimationError,
    Finding,
    NonConvergenceError,
    SingularInformationError,
    UsageError,
)  # fmt: skip
from spc.linalg import FloatArray, frozen_array
from spc.results import Note
from spc.sem.twolevel.fit import TwoLevelFit, fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.membership import evidence
from spc.spec import model as read_model

__all__ = ["CovariateSlopes", "Covariates", "covariate_columns", "covariates_of", "fit_with_covariates"]

Fit = Callable[..., TwoLevelFit]
MOST_CATEGORIES = 50
TURNS = 50
FREE_TURNS = 12
CLOSE = 1e-8
ALIKE = 1e-8
"""Least eigenvalue of the correlations of slopes at which covariates are told apart."""


@dataclass(frozen=True, eq=False)
class CovariateSlopes:
    """What one unit more of a covariate goes with in each variable.

    Attributes
    ----------
    lhs, rhs : (k,) tuples
        Variable and covariate; an indicator of a category is called ``column: category``.
    side : (k,) tuple
        Side of covariates of respondents; empty for those of units.
    estimate : (k,) array
    vcov : (k, k) array
    """

    lhs: tuple[str, ...]
    rhs: tuple[str, ...]
    side: tuple[str, ...]
    estimate: FloatArray
    vcov: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "estimate", frozen_array(self.estimate))
        object.__setattr__(self, "vcov", frozen_array(self.vcov))

    @property
    def of_units(self) -> int:
        """Covariates of units."""
        return len({name for name, side in zip(self.rhs, self.side, strict=True) if not side})


@dataclass(frozen=True, eq=False)
class Covariates:
    """Tables without those who lack a covariate, and the covariates themselves.

    Attributes
    ----------
    sides : mapping of str to DataFrame
    units : DataFrame or None
    unit : str
    values : mapping of (table, covariate) to array
        Of each row of a table, measured from the mean; ``table`` is empty for units.
    messages : tuple of Note
    """

    sides: Mapping[str, pd.DataFrame]
    units: pd.DataFrame | None
    unit: str
    values: Mapping[tuple[str, str], FloatArray]
    messages: tuple[Note, ...]

    def design(self, laid: SideRows) -> Design:
        """Which covariate goes into which variable, and its values where the variable is."""
        found, at = [], 0
        for (side, where, values), rows in zip(laid.sides, laid.rows, strict=True):
            own = laid.names[at : at + values.shape[1]]
            for (place, covariate), each in self.values.items():
                if place == side:
                    found += [Term(name, covariate, side, at + i, each[rows]) for i, name in enumerate(own)]
                elif not place:
                    known = self._of_keys(covariate, laid)
                    seen = known[where] if isinstance(where, np.ndarray) else where @ known
                    found += [Term(name, covariate, "", at + i, seen) for i, name in enumerate(own)]
            at += values.shape[1]
        for place, covariate in self.values:
            if not place:
                seen = self._of_keys(covariate, laid)
                found += [Term(name, covariate, "", i, seen) for i, name in enumerate(laid.names[at:], at)]
        return Design(laid, tuple(found))

    def _of_keys(self, covariate: str, laid: SideRows) -> FloatArray:
        assert self.units is not None
        known = dict(zip(self.units[self.unit].tolist(), self.values["", covariate].tolist(), strict=True))
        return np.array([known[key] for key in laid.keys])


@dataclass(frozen=True, eq=False)
class Term:
    """One covariate in one variable.

    Attributes
    ----------
    lhs, rhs, side : str
    column : int
        Place of the variable.
    values : (n,) array
        Of the covariate, in the rows of the variable: respondents, or units for an outcome.
    """

    lhs: str
    rhs: str
    side: str
    column: int
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Design:
    """Rows and the terms whose part is taken out of them."""

    laid: SideRows
    terms: tuple[Term, ...]

    @cached_property
    def unit(self) -> FloatArray:
        """(k,): deviation of the variable over that of the covariate, the scale of each slope."""
        blocks = [*(values for _, _, values in self.laid.sides), self.laid.outcomes]
        deviations = np.concatenate([np.nanstd(block, axis=0) for block in blocks])
        return np.array([deviations[term.column] / term.values.std() for term in self.terms])

    def alone(self) -> FloatArray:
        """(k,): slopes of least squares, variable by variable, in their scale: where the search begins."""
        blocks = [*(values for _, _, values in self.laid.sides), self.laid.outcomes]
        columns = [block[:, i] for block in blocks for i in range(block.shape[1])]
        found = np.zeros(len(self.terms))
        for variable in {term.column for term in self.terms}:
            own = [i for i, term in enumerate(self.terms) if term.column == variable]
            here = ~np.isnan(columns[variable])
            x = np.column_stack([np.ones(here.sum()), *(self.terms[i].values[here] for i in own)])
            found[own] = np.linalg.lstsq(x, columns[variable][here], rcond=None)[0][1:]
        return np.asarray(found / self.unit)

    def moments(self, slopes: FloatArray) -> UnitMoments:
        """Of units, without the part of the covariates: (k,) slopes in their scale."""
        blocks = [np.array(block) for block in (*(values for _, _, values in self.laid.sides), self.laid.outcomes)]
        places = [(block, i) for block in blocks for i in range(block.shape[1])]
        for term, slope in zip(self.terms, slopes * self.unit, strict=True):
            block, i = places[term.column]
            block[:, i] -= slope * term.values
        sides = tuple((name, where, own) for (name, where, _), own in zip(self.laid.sides, blocks, strict=False))
        return replace(self.laid, sides=sides, outcomes=blocks[-1]).moments()


def covariates_of(
    names: Sequence[str],
    variables: Sequence[str],
    sides: Mapping[str, pd.DataFrame],
    units: pd.DataFrame | None,
    unit: str,
    shares: Shares = MappingProxyType({}),
) -> Covariates:
    """Find covariates in the tables of sides and of units.

    Parameters
    ----------
    names : sequence of str
        Columns; of sides, whose variables they then concern, or of units, where they concern all variables. Those that
        are not numbers count as categories, one indicator for each but the first.
    variables : sequence of str
        Of the chain.
    sides : mapping of str to DataFrame
    units : DataFrame or None
    unit : str
    shares : mapping of side to AssignmentWeights
        Sides whose respondents belong to several units: covariates of units count for them by their shares.

    Raises
    ------
    UsageError
        A covariate is itself in the chain, or given twice.
    DataError
        A covariate is in no table, does not vary, or has more than 50 categories.
    """
    twice = [name for name in names if list(names).count(name) > 1]
    inside = [name for name in names if name in (*variables, unit)]
    if twice or inside:
        word = "twice among the covariates" if twice else "in the chain as well"
        raise UsageError(f"{(twice or inside)[0]!r} is {word}; a covariate is named once, outside the chain.")
    taken = {**sides, **({} if units is None else {"": units})}
    where = {name: [place for place, frame in taken.items() if name in frame] for name in names}
    findings = [
        Finding("sides", name, "unknown_covariate", f"the covariate {name!r}, which no table has",
                "a column of a side or of the units", "Correct the name, or add the column.")
        for name, places in where.items() if not places
    ]  # fmt: skip
    of_units = [name for name, places in where.items() if "" in places]
    findings += [
        Finding(place or "units", unit, "missing_column", "no unit column", f"a column {unit!r}",
                "Every table names the unit in the same column.")
        for place, frame in taken.items() if of_units and unit not in frame and place not in shares
    ]  # fmt: skip
    if findings:
        raise DataError(findings)
    kept, notes = _without_holes(where, taken, unit, shares)
    values: dict[tuple[str, str], FloatArray] = {
        (place, label): (column - column.mean()).to_numpy(dtype=np.float64)
        for name, places in where.items()
        for place in places
        for label, column in covariate_columns(kept[place][name], name, place).items()
    }
    rest = {name: frame for name, frame in kept.items() if name}
    return Covariates(rest, kept.get(""), unit, values, tuple(notes))


def _without_holes(
    where: Mapping[str, Sequence[str]], taken: Mapping[str, pd.DataFrame], unit: str, shares: Shares
) -> tuple[dict[str, pd.DataFrame], list[Note]]:
    """Tables without rows that lack a covariate; rows of units that lack one are left out on all sides.

    So are customers whom such a unit serves.
    """
    own = {place: [name for name, places in where.items() if place in places] for place in taken}
    usable = {place: frame[own[place]].notna().all(axis=1) for place, frame in taken.items()}
    of_units = [name for name, places in where.items() if "" in places]
    if of_units:
        known = set(taken[""].loc[usable[""], unit])
        usable = {p: here & _in(known, taken[p], unit, shares.get(p)) if p else here for p, here in usable.items()}
    notes = []
    for place, here in usable.items():
        lost, names = int((~here).sum()), list(dict.fromkeys([*own[place], *of_units]))
        if lost and place:
            notes.append(Note.of(
                "no_covariate", "warning", place, "respondents", left=lost, people=len(here), side=called(place),
                names=names,
            ))  # fmt: skip
        elif lost:
            notes.append(Note.of("no_covariate", "warning", "units", "units", left=lost, units=len(here), names=names))
    return {place: frame[usable[place]].reset_index(drop=True) for place, frame in taken.items()}, notes


def _in(known: set[Hashable], frame: pd.DataFrame, unit: str, weights: AssignmentWeights | None) -> pd.Series[bool]:
    """Respondents all of whose units are known."""
    if weights is None:
        return frame[unit].isin(known)
    here = placed(frame, weights, unit)[unit].isin(known).to_numpy() & weights.inside(frame["customer"], known)
    return pd.Series(here, index=frame.index)


def covariate_columns(values: pd.Series, name: str, place: str) -> dict[str, pd.Series]:
    """Numbers as they are, categories as indicators of all but the first.

    Parameters
    ----------
    values : Series
        Of the covariate, none missing.
    name : str
    place : str
        Its table; empty for units.

    Raises
    ------
    DataError
        It does not vary, or has more than 50 categories.
    """
    table = place or "units"
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        if values.nunique() < 2 or not np.isfinite(values.astype(float)).all():
            found = "infinite values" if values.nunique() > 1 else "a covariate that does not vary"
            raise DataError.of(table, name, "constant", found, "finite values that vary", "Leave it out.")
        return {name: values.astype(float)}
    text = values.astype(str)
    given = sorted(text.unique())
    if not 1 < len(given) <= MOST_CATEGORIES:
        raise DataError.of(
            table, name, "categories", f"{len(given)} different values that are not numbers",
            f"2 to {MOST_CATEGORIES} categories, or numbers", "Put categories together, or leave the covariate out.",
        )  # fmt: skip
    return {f"{name}: {category}": text.eq(category).astype(float) for category in given[1:]}


def fit_with_covariates(covariates: Covariates, laid: SideRows, fit: Fit) -> tuple[TwoLevelFit, CovariateSlopes]:
    """Maximise the likelihood of a chain and the slopes of its covariates.

    Errors of means and slopes come from the expected information, in which they are independent of links and
    variances.

    Parameters
    ----------
    covariates : Covariates
    laid : SideRows
        Of the tables of ``covariates``.
    fit : callable
        The fit of the chain to ``units=``, with ``test=`` or without.

    Returns
    -------
    TwoLevelFit
        To what the covariates leave; tested against free covariances of units with slopes of their own.
    CovariateSlopes

    Raises
    ------
    SingularInformationError
        Covariates that are not told apart, from each other or from the units.
    NonConvergenceError
    """
    design = covariates.design(laid)
    surface = _settled(design, fit, design.alone())
    core, spread = fit(units=design.moments(surface.slopes)), surface.spread()
    p = len(core.mu)
    core = replace(core, npar=core.npar + surface.slopes.size, mu_vcov=spread[:p, :p])
    if core.df and np.isfinite(core.unrestricted_logl):
        core = replace(core, unrestricted_logl=_free(design, core, surface))
    return core, CovariateSlopes(
        tuple(term.lhs for term in design.terms), tuple(term.rhs for term in design.terms),
        tuple(term.side for term in design.terms), surface.slopes * design.unit, spread[p:, p:],
    )  # fmt: skip


def _settled(design: Design, fit: Fit, slopes: FloatArray) -> _Surface:
    """Turns of fit and slopes, with the second derivatives of the first turn."""
    information: FloatArray | None = None
    for _ in range(TURNS):
        surface = _Surface(design, fit(units=design.moments(slopes), test=False), slopes)
        information = surface.given_means() if information is None else information
        step = np.linalg.solve(information, surface.gradient())
        if np.abs(step).max() < CLOSE:
            return surface
        slopes = np.asarray(slopes - step)
    raise NonConvergenceError(
        f"The slopes of {slopes.size} covariates and variables did not come to rest in {TURNS} turns. Leave covariates "
        "out that hardly vary."
    )


@dataclass(frozen=True, eq=False)
class _Surface:
    """Minus the log-likelihood over slopes, in their scale, at the means and covariances of a fit: a quadratic."""

    design: Design
    core: TwoLevelFit
    slopes: FloatArray

    def at(self, step: FloatArray, mu: FloatArray | None = None) -> Any:
        """The likelihood a step away, at other means where they are given."""
        core, units = self.core, self.design.moments(self.slopes + step)
        units = units.ordered(np.array([units.names.index(name) for name in core.units.names], dtype=np.intp))
        found = evidence(units).at(core.mu if mu is None else mu, core.sigma_b, core.sigma_w)
        assert found is not None
        return found

    @cached_property
    def ahead(self) -> list[Any]:
        """One step along each slope."""
        return [self.at(row) for row in np.eye(self.slopes.size)]

    def gradient(self) -> FloatArray:
        """(k,)."""
        back = [self.at(-row) for row in np.eye(self.slopes.size)]
        return np.array([0.5 * (one.value - other.value) for one, other in zip(self.ahead, back, strict=True)])

    @cached_property
    def blocks(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Second derivatives (p, p), (k, p), (k, k) in means, in deviations of their variables, and slopes."""
        nothing = np.zeros(self.slopes.size)
        base = self.at(nothing).mu
        means = np.array([self.at(nothing, self.core.mu + row).mu - base for row in np.diag(self.scale)]) * self.scale
        return means, np.array([found.mu - base for found in self.ahead]) * self.scale, self._pairs()

    @property
    def scale(self) -> FloatArray:
        """(p,): deviations of the variables."""
        return np.sqrt(self.core.sigma_b.diagonal() + self.core.sigma_w.diagonal())

    def given_means(self) -> FloatArray:
        """(k, k): second derivatives of the highest that each slope gets, over all means."""
        means, across, pairs = self.blocks
        return np.asarray(pairs - across @ np.linalg.solve(means, across.T))

    def spread(self) -> FloatArray:
        """(p + k, p + k): sampling covariances of means and slopes."""
        means, across, pairs = self.blocks
        unit = np.concatenate([self.scale, self.design.unit])
        whole = np.linalg.inv(np.block([[means, across.T], [across, pairs]]))
        return np.asarray(whole * np.outer(unit, unit))

    def _pairs(self) -> FloatArray:
        k = self.slopes.size
        one, base = np.eye(k), self.at(np.zeros(k)).value
        found: FloatArray = np.empty((k, k))
        for i, j in combinations_with_replacement(range(k), 2):
            both = self.at(one[i] + one[j]).value
            found[i, j] = found[j, i] = both - self.ahead[i].value - self.ahead[j].value + base
        size = np.sqrt(np.maximum(found.diagonal(), 1e-300))
        if np.linalg.eigvalsh(found / np.outer(size, size))[0] < ALIKE:
            raise SingularInformationError(
                "The covariates cannot be told apart: one follows from the others. Leave one out."
            )
        return found


def _free(design: Design, core: TwoLevelFit, surface: _Surface) -> float:
    """Log-likelihood with free covariances of units and within them, and slopes after a few turns of their own.

    Few units may have free covariances without a likeliest value, where slopes would never come to rest.
    """
    text = "\n".join(f"`{a}` ~~ `{b}`" for a, b in combinations_with_replacement(core.units.names, 2))
    model, slopes, found = read_model(text, fixed_x=False), surface.slopes, [core.unrestricted_logl]
    last = np.inf
    for _ in range(FREE_TURNS):
        try:
            free = _Surface(design, fit_two_level(model, design.moments(slopes), test=False), slopes)
        except EstimationError:
            break
        found.append(free.core.logl)
        step = np.linalg.solve(surface.given_means(), free.gradient())
        if not CLOSE < np.abs(step).max() < last:
            break
        slopes, last = np.asarray(slopes - step), float(np.abs(step).max())
    return max(found)
