"""Moments of units where some respondents of some sides left answers out: every answer counts, none is filled in.

A respondent of one side lacks the variables of the others as one who left them out does: the likelihood of
:mod:`spc.sem.twolevel.incomplete` holds for any number of sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray
from spc.sem.twolevel.incomplete import Answered, Incomplete, UnitAnswers, unit_answers
from spc.sem.twolevel.likelihood import Curvature, UnitMoments
from spc.sem.twolevel.simulated import made_answers

__all__ = ["AnswerMoments", "Answers", "answer_moments", "expected_from_answers", "simulated_answers"]

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class AnswerMoments(UnitMoments):
    """Moments of units, a rough picture, beside the answers themselves.

    Attributes
    ----------
    answers : UnitAnswers
        Variables of all sides, side by side, then unit outcomes.
    places : (p,) int array
        Place of each variable of the answers among ``names``.
    """

    answers: UnitAnswers
    places: IntArray

    def balanced(self, centre: FloatArray, scale: FloatArray) -> AnswerMoments:
        """The same units with every variable measured from ``centre`` in units of ``scale``, (p,) each."""
        plain = super().balanced(centre, scale)
        given = self.answers.shifted(centre[self.places]).balanced(scale[self.places])
        return replace(self, means=plain.means, scatter=plain.scatter, answers=given)

    def ordered(self, order: IntArray) -> AnswerMoments:
        """The same units with the variables in another order; the answers stay as they are."""
        plain = UnitMoments(self.names, self.sides, self.side, self.counts, self.means, self.scatter).ordered(order)
        moved = np.argsort(order)[self.places]
        return AnswerMoments(
            plain.names, plain.sides, plain.side, plain.counts, plain.means, plain.scatter, self.answers, moved
        )

    def take(self, units: IntArray) -> AnswerMoments:
        """The units at the given places, with repeats."""
        return self.holding(self.answers.take(units))

    def holding(self, answers: UnitAnswers) -> AnswerMoments:
        """Other answers to the same variables, in the same order."""
        back = np.argsort(self.places)
        rough = answers.rough(self.sides, self.side[self.places][: answers.width]).ordered(back)
        return replace(self, counts=rough.counts, means=rough.means, scatter=rough.scatter, answers=answers)


def answer_moments(
    names: Sequence[str],
    sides: Sequence[tuple[str, npt.ArrayLike, npt.ArrayLike]],
    outcomes: npt.ArrayLike,
) -> AnswerMoments:
    """Reduce rows of respondents, some with missing answers, to what the likelihood sees of them.

    Parameters
    ----------
    names : sequence of str
        The variables of the sides, one side after the other, then the unit outcomes.
    sides : sequence of (name, units, values)
        Units of the respondents, numbers from 0, and their (N, p_s) answers, NaN where missing.
    outcomes : (J, q) array-like
        Unit outcomes, NaN where missing.

    Returns
    -------
    AnswerMoments

    Examples
    --------
    >>> rows = [("staff", [0, 0, 1], [[1.0], [3.0], [5.0]]), ("guests", [0, 1], [[1.0, np.nan], [2.0, 4.0]])]
    >>> units = answer_moments(["mood", "value", "loyal"], rows, np.empty((2, 0)))
    >>> units.counts.tolist(), units.means.tolist()
    ([[2.0, 1.0], [1.0, 1.0]], [[2.0, 1.0, nan], [5.0, 2.0, 4.0]])
    """
    last = np.asarray(outcomes, dtype=np.float64)
    blocks = [np.asarray(values, dtype=np.float64) for _, _, values in sides]
    width = sum(block.shape[1] for block in blocks)
    side = np.repeat(np.arange(len(sides)), [block.shape[1] for block in blocks])
    codes = np.concatenate([np.asarray(units, dtype=np.intp) for _, units, _ in sides])
    whole = np.full((codes.size, width), np.nan)
    row = column = 0
    for block in blocks:
        n, p = block.shape
        whole[row : row + n, column : column + p] = block
        row, column = row + n, column + p
    answers = unit_answers(names, codes, whole, last)
    rough = answers.rough([name for name, _, _ in sides], side)
    return AnswerMoments(
        rough.names, rough.sides, rough.side, rough.counts, rough.means, rough.scatter, answers, np.arange(len(names))
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Found:
    """The likelihood and its gradient with the variables in the order of the model, and as they are in the answers."""

    value: float
    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    own: Answered


@dataclass(frozen=True, eq=False)
class Answers:
    """Units with missing answers, as the search sees data, whatever order the model has its variables in."""

    units: AnswerMoments

    @property
    def count(self) -> int:
        """Units."""
        return len(self.units.counts)

    @property
    def _rows(self) -> Incomplete:
        return Incomplete(self.units.answers)

    def at(self, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> _Found | None:
        """The likelihood at given moments; None where a matrix is not positive definite."""
        there, back = self.units.places, np.argsort(self.units.places)
        found = self._rows.at(mu[there], sigma_b[np.ix_(there, there)], sigma_w[np.ix_(there, there)])
        if found is None:
            return None
        pairs = np.ix_(back, back)
        return _Found(found.value, found.mu[back], found.sigma_b[pairs], found.sigma_w[pairs], found)

    def curvature(self, found: _Found, *, expected: bool) -> Curvature:
        """See :meth:`spc.sem.twolevel.incomplete.Incomplete.curvature`."""
        plain = self._rows.curvature(found.own, expected=expected)
        back = np.argsort(self.units.places)
        pairs = _pairs(back)
        square = np.ix_(pairs, pairs)
        return Curvature(
            plain.mu[np.ix_(back, back)], plain.mu_b[np.ix_(back, pairs)], plain.mu_w[np.ix_(back, pairs)],
            plain.b[square], plain.bw[square], plain.w[square],
        )  # fmt: skip

    def scores(self, found: _Found, mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Each unit's gradient in the moments."""
        back = np.argsort(self.units.places)
        means, b, w = self._rows.scores(found.own, mu)
        return means[:, back], b[:, _pairs(back)], w[:, _pairs(back)]


def _pairs(back: IntArray) -> IntArray:
    """Places of pairs of variables, for variables in another order."""
    return (back[:, None] * back.size + back).ravel()


def expected_from_answers(
    units: AnswerMoments,
    moments: tuple[FloatArray, FloatArray, FloatArray],
    cross: FloatArray,
    variance: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Expectation of quantities of units given all their answers: see :func:`spc.sem.twolevel.scores.given_means`."""
    found = Answers(units).at(*moments)
    assert found is not None
    own = cross[:, units.places]
    left = variance - np.einsum("mi,jik,mk->jm", own, found.own.hold, own)
    return found.own.pull @ own.T, np.sqrt(np.maximum(left, 0.0))


def simulated_answers(
    units: AnswerMoments,
    moments: tuple[FloatArray, FloatArray, FloatArray],
    rng: np.random.Generator,
) -> AnswerMoments:
    """Units with the same holes, made from given moments."""
    there = units.places
    pairs = np.ix_(there, there)
    return units.holding(made_answers(units.answers, moments[0][there], moments[1][pairs], moments[2][pairs], rng))
