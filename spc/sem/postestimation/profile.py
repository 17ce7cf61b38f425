"""Profile-likelihood intervals: all values of a parameter that a likelihood-ratio test would not reject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri

from spc.errors import SpecError, UnsupportedError, UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.results import Note, Provenance, Shown
from spc.sem.engine.constrained import Frame, Objective, along_equalities, feasible_start, solve_restricted
from spc.sem.engine.joint import Joint, System
from spc.sem.engine.restrictions import (
    Quantity,
    Restrictions,
    defined_quantity,
    held_at,
    parameter_quantity,
    restrictions,
)
from spc.sem.feasible import original
from spc.sem.missing.fiml import Answered, unrestricted
from spc.sem.objective import answers_objective, frame_of, normal_objective
from spc.sem.result import SemFit
from spc.sem.twolevel.objective import levels_objective

__all__ = ["End", "ProfileIntervals", "profile_likelihood"]

Reached = Literal["crossed", "open", "edge", "lost"]

_CLOSE, _FAR, _NARROW, _BEYOND = 1e-8, 1e4, 1e-6, 0.05
_MOST, _STEPS, _HALVINGS, _SOME = 60, 60, 12, 4.0


@dataclass(frozen=True, slots=True)
class End:
    """One end of an interval.

    Attributes
    ----------
    value : float
        Infinite where the interval is open; NaN where the search was lost.
    rise : float
        Chi-square of the model with the parameter held there, less that of the fit.
    reached : {"crossed", "open", "edge", "lost"}
        The rise is the one asked for; or it stays below that however far the parameter goes; or below that up to the
        last value that the model or its constraints allow; or the constrained fits did not converge.
    fits : int
        Constrained fits it took.
    """

    value: float
    rise: float
    reached: Reached
    fits: int


@dataclass(frozen=True, eq=False, repr=False)
class ProfileIntervals(Shown):
    """Profile-likelihood intervals of parameters.

    Attributes
    ----------
    table : DataFrame
        ``TIDY_COLUMNS``: a row a parameter, the error being that of the fit.
    names : tuple of str
    ends : tuple of (End, End)
        Lower and upper.
    level : float
    nobs : int
    provenance : Provenance
    """

    table: pd.DataFrame
    names: tuple[str, ...]
    ends: tuple[tuple[End, End], ...]
    level: float
    nobs: int
    provenance: Provenance
    kind: str = "profile_likelihood"

    def tidy(self) -> pd.DataFrame:
        """One row a parameter; an open end is infinite."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: level, number of parameters, constrained fits, and ends that are no crossing."""
        both = [end for pair in self.ends for end in pair]
        odd = sum(end.reached != "crossed" for end in both)
        fits = sum(end.fits for end in both)
        row = {"level": self.level, "parameters": len(self.names), "fits": fits, "ends_not_crossed": odd}
        row["nobs"] = self.nobs
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """Every end that is no crossing."""
        found = []
        for name, pair in zip(self.names, self.ends, strict=True):
            for side, end in zip(("lower", "upper"), pair, strict=True):
                if end.reached != "crossed":
                    code, severity, text = _WORDS[end.reached]
                    said = text.format(name=name, side=side, value=end.value, rise=end.rise, level=self.level)
                    found.append(Note(code, severity, name, said))
        return tuple(found)


_WORDS: dict[Reached, tuple[str, Literal["info", "warning", "serious"], str]] = {
    "open": (
        "open_interval", "warning",
        "The {side} end of the {level:.0%} interval of {name} is infinite: however far the parameter goes, chi-square "
        "rises by no more than about {rise:.2f}. These data set no limit on that side.",
    ),
    "edge": (
        "interval_at_edge", "warning",
        "The {side} end of the {level:.0%} interval of {name} is the last value that the model and its constraints "
        "allow ({value:.4g}), where chi-square has risen by {rise:.2f} only. It is an edge, not a value that the data "
        "reject.",
    ),
    "lost": (
        "interval_lost", "serious",
        "The {side} end of the {level:.0%} interval of {name} was not found: the fits with the parameter held did not "
        "converge. Use a bootstrap instead.",
    ),
}  # fmt: skip


def profile_likelihood(
    fit: SemFit, parameters: str | Sequence[str] | None = None, *, level: float | None = None
) -> ProfileIntervals:
    r"""Profile-likelihood intervals of free and defined parameters.

    The interval holds every value at which chi-square, with that value held and all else estimated anew, is less than
    the quantile of chi-square on one degree of freedom above that of the fit. Unlike intervals from standard errors
    it need not be symmetric, and it is the same on any scale: that of ``exp(a)`` has the exponentials as ends. Each
    end is found by Newton's method on the signed root of the rise, whose slope is the Lagrange multiplier.

    Parameters
    ----------
    fit : SemFit
        By maximum likelihood, complete or with missing answers, in one or several groups, on one level or two.
    parameters : str or sequence of str, optional
        Names of free or defined parameters, as in ``fit.model.parameters.names``; all of both by default.
    level : float, optional
        That of the fit by default.

    Returns
    -------
    ProfileIntervals

    Raises
    ------
    UnsupportedError
        Another estimator, or clusters of one level: twice the difference of their discrepancies is no chi-square.
    UsageError
        An unknown parameter, one that nothing estimated enters, or a level outside 0 to 1.

    References
    ----------
    Venzon & Moolgavkar (1988), Applied Statistics 37, 87-94; Neale & Miller (1997), Behavior Genetics 27, 113-120;
    Pek & Wu (2015), Psychometrika 80, 1123-1145.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem import fit
    >>> r = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    >>> chain = fit("y ~ b*m\nm ~ a*x\nab := a*b", Moments(["x", "m", "y"], 60, None, r))
    >>> profile_likelihood(chain, ["a", "ab"]).tidy()[["lhs", "estimate", "conf_low", "conf_high"]].round(3)
      lhs  estimate  conf_low  conf_high
    0   m      0.50     0.277      0.723
    1  ab      0.25     0.118      0.431
    """
    _check(fit)
    level = fit.options.level if level is None else level
    if not 0.0 < level < 1.0:
        raise UsageError(f"level={level!r}: expected a share between 0 and 1, such as 0.95.")
    names = _names(fit, parameters)
    with one_blas_thread():
        setting = _setting(fit, float(ndtri(0.5 + level / 2.0)))
        found = {name: _ends(setting, fit, name, asked=parameters is not None) for name in names}
    ends = {name: pair for name, pair in found.items() if pair is not None}
    options = {"parameters": ", ".join(ends), "level": level}
    made = Provenance.record(options, fit.provenance.data_fingerprint)
    return ProfileIntervals(
        _table(fit, tuple(ends), tuple(ends.values())), tuple(ends), tuple(ends.values()), level, fit.system.n, made
    )


def _check(fit: SemFit) -> None:
    options = fit.options
    clustered = options.cluster is not None and fit.levels is None
    if options.estimator != "ML" or clustered or options.engine != "spc":
        raise UnsupportedError(
            "Profile-likelihood intervals need a fit with estimator='ML' and engine='spc', and no clusters but those "
            "of two levels: only there is the rise of the statistic a chi-square. Use bootstrap() for other estimators."
        )


def _names(fit: SemFit, parameters: str | Sequence[str] | None) -> list[str]:
    known = (*fit.model.parameters.names, *(item.name for item in fit.model.defined))
    if parameters is None:
        return list(known)
    asked = [parameters] if isinstance(parameters, str) else list(parameters)
    for name in asked:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"{name!r} is no free or defined parameter. {hint}There are: {', '.join(known)}.")
    return asked


@dataclass(frozen=True, eq=False, slots=True)
class _Setting:
    """The likelihood at the estimates, in the coordinates before any constraint that is not linear.

    ``spread`` holds sampling covariances of the coordinates along the equalities, and ``height`` is the root of the
    rise asked for.
    """

    frame: Frame
    objective: Objective
    rules: Restrictions
    x: FloatArray
    value: float
    spread: FloatArray
    divisor: int
    height: float


def _setting(fit: SemFit, height: float) -> _Setting:
    system, rules = original(fit.system), restrictions(fit.model) or Restrictions((), ())
    frame, objective = frame_of(system), _objective(fit, system)
    x = system.coordinates(fit.solution.theta)
    here = objective(x)
    if here is None:
        raise UnsupportedError("The likelihood has no value at the estimates of this fit.")
    basis = along_equalities(rules, frame, x)
    spread = basis @ np.linalg.solve(basis.T @ here.information @ basis, basis.T) / system.divisor
    return _Setting(frame, objective, rules, x, here.value, spread, system.divisor, height)


def _objective(fit: SemFit, system: System) -> Objective:
    if fit.levels is not None and isinstance(system, Joint):
        return levels_objective(fit.levels.goal_over(system), system.n, fit.levels.least)
    answers = [part.answers for part in fit.parts if part.answers is not None]
    if not answers:
        return normal_objective(system)
    return answers_objective(system, [Answered(one.patterns, unrestricted(one.patterns)[0]) for one in answers])


def _ends(setting: _Setting, fit: SemFit, name: str, *, asked: bool) -> tuple[End, End] | None:
    """Both ends; None for a parameter that the constraints fix, unless it was asked for."""
    names = fit.model.parameters.names
    known = name in names
    quantity = parameter_quantity(names, names.index(name)) if known else defined_quantity(fit.model, name)
    theta = setting.frame.theta(setting.x)
    slope = setting.frame.slope.T @ quantity.gradient(theta)
    turn = setting.spread @ slope
    error = math.sqrt(max(float(slope @ turn), 0.0))
    if not math.isfinite(error) or error <= 1e-12 * float(np.abs(slope).max(initial=0.0)):
        if asked:
            raise UsageError(f"{name!r} does not move with anything estimated, so it has no interval.")
        return None
    way = _Way(quantity, quantity.value(theta), error, turn / error)
    return _end(setting, way, -1), _end(setting, way, 1)


@dataclass(frozen=True, eq=False, slots=True)
class _Way:
    """A quantity at the estimates, its error, and the coordinates' move with one error of it."""

    quantity: Quantity
    centre: float
    error: float
    turn: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """A value of the quantity where the constrained fit has been done; the root of the rise there, and its slope."""

    at: float
    root: float
    slope: float
    x: FloatArray


def _end(setting: _Setting, way: _Way, side: int) -> End:
    inner = _Seen(way.centre, 0.0, 1.0 / way.error, setting.x)
    before, outer = inner, math.inf * side
    at, start = _first(setting, way, side)
    wall = False
    for fits in range(1, _MOST + 1):
        seen = _held(setting, way, at, side, start)
        if seen is None:
            wall, outer = True, at
        elif abs(seen.root**2 - setting.height**2) < _CLOSE:
            return End(at, seen.root**2, "crossed", fits)
        elif seen.root > setting.height:
            wall, outer = False, at
        else:
            before, inner = inner, seen
        if _is_level(way, inner, setting.height) or abs(at - way.centre) > _FAR * way.error:
            return End(side * math.inf, inner.root**2, "open", fits)
        if abs(outer - inner.at) < _NARROW * way.error:
            return _at_wall(setting, way, inner, side, fits) if wall else End(at, setting.height**2, "crossed", fits)
        at = _further(way, seen, inner, outer, setting.height, side)
        start = _start(way, inner, before, at)
    return End(math.nan, inner.root**2, "lost", fits)


def _first(setting: _Setting, way: _Way, side: int) -> tuple[float, FloatArray]:
    """The quantity where the coordinates have moved along their tangent, as far as it moves to the side asked for.

    Its own linear form would depend on its scale, and leap over the pole of a ratio.
    """
    share = setting.height
    for _ in range(_HALVINGS):
        x = setting.x + side * share * way.turn
        at = way.quantity.value(setting.frame.theta(x))
        if math.isfinite(at) and (at - way.centre) * side > 0.0:
            return at, x
        share /= 2.0
    return way.centre + side * share * way.error, setting.x


def _is_level(way: _Way, inner: _Seen, height: float, *, errors: float = 20.0, share: float = 1e-3) -> bool:
    """Whether going as far again would hardly raise chi-square, some errors away from the estimate."""
    far = abs(inner.at - way.centre)
    return far > errors * way.error and inner.slope * far < share * (height - inner.root)


def _held(setting: _Setting, way: _Way, at: float, side: int, start: FloatArray) -> _Seen | None:
    """The fit with the quantity held; None where there is none."""
    rules = setting.rules.with_equal(held_at(way.quantity, at))
    end = solve_restricted(setting.objective, rules, setting.frame, start, max_steps=_STEPS)
    if end is None or not end.converged:
        return None
    rise = setting.divisor * (end.local.value - setting.value)
    root = math.sqrt(max(rise, 0.0))
    return _Seen(at, root, setting.divisor * float(end.equal[-1]) * side / max(root, 1e-12), end.x)


def _start(way: _Way, inner: _Seen, before: _Seen, at: float) -> FloatArray:
    """Coordinates where the last two fits point to; from the first, along the tangent."""
    if inner.at == before.at:
        return np.asarray(inner.x + (at - inner.at) / way.error * way.turn)
    share = (at - inner.at) / (inner.at - before.at)
    return np.asarray(inner.x + max(-1.0, min(share, 2.0)) * (inner.x - before.x))


def _further(way: _Way, last: _Seen | None, inner: _Seen, outer: float, height: float, side: int) -> float:
    """Newton's next value from the last fit, if there was one, kept within what is known."""
    if last is None:
        return 0.5 * (inner.at + outer)
    most = 4.0 * max(abs(last.at - way.centre), way.error)
    gap = height - last.root
    steep = last.slope > abs(gap) / most
    at = last.at + side * (gap / last.slope if steep else math.copysign(most, gap))
    if math.isinf(outer) or min(inner.at, outer) < at < max(inner.at, outer):
        return at
    return 0.5 * (inner.at + outer)


def _at_wall(setting: _Setting, way: _Way, inner: _Seen, side: int, fits: int) -> End:
    """An edge where nothing beyond it can be fitted; lost where the constraints could be met there."""
    rules = setting.rules.with_equal(held_at(way.quantity, inner.at + side * _BEYOND * way.error))
    try:
        beyond = feasible_start(rules, setting.frame, inner.x)
    except SpecError:
        return End(inner.at, inner.root**2, "edge", fits)
    if setting.objective(beyond) is None:
        return End(inner.at, inner.root**2, "edge", fits)
    if _is_level(way, inner, setting.height, errors=_SOME, share=0.05):
        return End(side * math.inf, inner.root**2, "open", fits)
    return End(math.nan, inner.root**2, "lost", fits)


def _table(fit: SemFit, names: Sequence[str], ends: Sequence[tuple[End, End]]) -> pd.DataFrame:
    """Rows of the parameters as the fit has them, with the ends of their intervals."""
    free, whole = fit.estimates().table, fit.tidy()
    defined = whole[whole["op"] == ":="]
    every = pd.concat([free, defined], ignore_index=True)
    order = [*fit.model.parameters.names, *(item.name for item in fit.model.defined)]
    table = every.iloc[[order.index(name) for name in names]].reset_index(drop=True)
    low, high = ([pair[i].value for pair in ends] for i in (0, 1))
    return table.assign(conf_low=low, conf_high=high)
