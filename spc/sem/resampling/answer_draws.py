"""One bootstrap draw of rows with missing answers, drawn or made, fitted from where the whole data end.

The curvature at the fit is nearly right for every draw, so quasi-Newton steps from there need the likelihood and its
score alone, and no unrestricted moments of the draw. A draw that does not end that way is fitted from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spc.linalg import FloatArray
from spc.moments import Patterns
from spc.resample import replicate_rng
from spc.sem.engine.joint import problems_of
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import INTERCEPT
from spc.sem.fit import SemFit, refit
from spc.sem.missing.fiml import Spot, evaluate, score
from spc.sem.missing.fiml_robust import rows_apart
from spc.sem.missing.incomplete import Incomplete, lay_out, likelihood
from spc.sem.resampling.redraw import Units
from spc.sem.resampling.turned_answers import unrestricted_moments
from spc.sem.result import Part

__all__ = ["AnswerDraws", "MadeAnswers"]

TOLERANCE = 1e-15
_EVALUATIONS, _SLACK = 60, 1e-12


@dataclass(frozen=True, eq=False)
class AnswerDraws:
    """Fits draws of rows with missing answers, one at a time; see the head of this module.

    Attributes
    ----------
    fit : SemFit
    rows : sequence of (n, p) arrays
        Of each group, in the user's units, NaN where missing; only rows that the fit used.
    inverse : (k, k) array
        Inverse of the information at the fit, for one row of data, in coordinates.
    units : Units
    seed : int
    tested : bool
        Whether each draw has its chi-square, for which its unrestricted moments are fitted too.
    """

    fit: SemFit
    rows: Sequence[FloatArray]
    inverse: FloatArray
    units: Units
    seed: int
    tested: bool = False

    def __call__(self, i: int) -> tuple[FloatArray, float]:
        """Free parameters of draw ``i``, and its chi-square or NaN."""
        drawn = self._drawn(i)
        problems = [_held(problem, one) for problem, one in zip(problems_of(self.fit.system), drawn, strict=True)]
        draw = _Draw(problems, drawn)
        x = _descend(draw, self.fit.system.coordinates(self.fit.solution.theta), self.inverse)
        theta = problems[0].theta(x) if x is not None else np.asarray(refit(self.fit, drawn).theta)
        return theta, draw.chisq(self.fit.system.coordinates(theta), drawn) if self.tested else float("nan")

    def _drawn(self, i: int) -> list[Patterns]:
        """Rows of draw ``i``, group by group."""
        parts = zip(self.fit.parts, self.rows, self.units.of_rows(self.seed, i), strict=True)
        return [_patterns(part.model.observed, own, times) for part, own, times in parts]


@dataclass(frozen=True, eq=False)
class MadeAnswers(AnswerDraws):
    """Rows made from what the fit implies, missing where the rows of the fit are: ``rows`` say where."""

    @classmethod
    def of(cls, fit: SemFit, inverse: FloatArray, seed: int) -> MadeAnswers:
        """Draws with the holes of the rows of a fit."""
        rows = [
            _holes(part.answers.patterns.restrict(part.model.observed))
            for part in fit.parts
            if part.answers is not None
        ]
        return cls(fit, rows, inverse, Units(tuple(len(own) for own in rows)), seed, tested=True)

    def _drawn(self, i: int) -> list[Patterns]:
        rng = replicate_rng(self.seed, i)
        return [_made(part, own, rng) for part, own in zip(self.fit.parts, self.rows, strict=True)]


def _holes(patterns: Patterns) -> FloatArray:
    """Zero where a row answers, NaN where not (n, p)."""
    marks = np.where(patterns.observed, 0.0, np.nan)
    return np.repeat(marks, patterns.n.astype(np.intp), axis=0)


def _made(part: Part, holes: FloatArray, rng: np.random.Generator) -> Patterns:
    p, at = part.problem.place.n_observed, part.point.at
    root = np.linalg.cholesky(at.covariance[:p, :p])
    values = (at.mean[:p] + rng.standard_normal(holes.shape) @ root.T) * part.problem.scale[:p]
    return _patterns(part.model.observed, values + holes, np.ones(len(holes)))


class _Draw:
    """The likelihood of a draw."""

    def __init__(self, problems: Sequence[Problem], drawn: Sequence[Patterns]) -> None:
        self.problems = problems
        self.data: list[Incomplete] = [
            lay_out(one, problem.scale[: problem.place.n_observed])
            for one, problem in zip(drawn, problems, strict=True)
        ]
        sizes = np.array([one.total for one in self.data])
        self.shares = sizes / sizes.sum()

    def look(self, x: FloatArray) -> tuple[float, FloatArray] | None:
        """F and minus half of its gradient; None where some group implies no covariance matrix."""
        value, slope = 0.0, np.zeros(len(x))
        for share, problem, data in zip(self.shares, self.problems, self.data, strict=True):
            spot: Spot | None = evaluate(problem, data, x)
            if spot is None:
                return None
            value += float(share) * spot.found.value
            slope += share * score(problem, spot)
        return value, slope

    def chisq(self, x: FloatArray, drawn: Sequence[Patterns]) -> float:
        """What ``x`` loses against the unrestricted moments of the draw."""
        found = self.look(x)
        assert found is not None
        best = 0.0
        for share, problem, data, one in zip(self.shares, self.problems, self.data, drawn, strict=True):
            at = likelihood(data, *unrestricted_moments(one, problem.scale[: problem.place.n_observed]))
            assert at is not None
            best += float(share) * at.value
        return float(sum(one.total for one in self.data)) * (found[0] - best)


def _descend(draw: _Draw, x: FloatArray, inverse: FloatArray) -> FloatArray | None:
    """BFGS steps; None where they do not end."""
    found = draw.look(x)
    if found is None:
        return None
    value, slope = found
    for _ in range(_EVALUATIONS):
        step = inverse @ slope
        decrement = float(slope @ step)
        if decrement < TOLERANCE:
            return x + step if decrement >= 0.0 else None
        for share in (1.0, 0.5, 0.25, 0.125, 0.0625):
            trial = draw.look(x + share * step)
            if trial is not None and trial[0] <= value + _SLACK:
                break
        else:
            return None
        moved, change = share * step, slope - trial[1]
        x, (value, slope) = x + moved, trial
        inverse = _updated(inverse, moved, change)
    return None


def _updated(inverse: FloatArray, moved: FloatArray, change: FloatArray) -> FloatArray:
    """The BFGS update of the inverse curvature."""
    product = float(moved @ change)
    if product <= 1e-12 * float(np.linalg.norm(moved) * np.linalg.norm(change)):
        return inverse
    turned = inverse @ change
    outer = np.outer(turned, moved)
    factor = (1.0 + float(change @ turned) / product) / product
    return np.asarray(inverse + factor * np.outer(moved, moved) - (outer + outer.T) / product)


def _patterns(names: tuple[str, ...], rows: FloatArray, times: FloatArray) -> Patterns:
    """Patterns of the rows of a draw."""
    there = np.flatnonzero(times)
    return replace(rows_apart(names, rows[there]), n=times[there]).restrict(names)


def _held(problem: Problem, drawn: Patterns) -> Problem:
    """The problem with the draw's own moments of covariates held at these, which every row has."""
    place = problem.place
    held = np.flatnonzero(place.sample)
    if not held.size:
        return problem
    x, n = place.exogenous, drawn.n.sum()
    scale = problem.scale[: place.n_observed]
    mean = (drawn.n @ drawn.mean / n) / scale
    off = drawn.mean / scale - mean
    cov = np.zeros((len(scale), len(scale)))
    spread = drawn.spread / scale
    whole = (off.T * drawn.n) @ off + spread.T @ spread
    cov[np.ix_(x, x)] = whole[np.ix_(x, x)] / n
    base = problem.base.copy()
    intercept = place.part[held] == INTERCEPT
    base[held] = np.where(intercept, mean[place.row[held]], cov[place.row[held], place.column[held]])
    return replace(problem, base=base)
