"""What priors did to the links of a two-sided fit: each named with its source, and where the data disagree with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray
from spc.results import Note
from spc.sem.engine.ram import implied
from spc.sem.engine.standardize import standardised_values
from spc.sem.twolevel.fit import TwoLevelFit, fit_two_level
from spc.sem.twolevel.prior import Known
from spc.study import LinkPrior
from spc.words import Phrase, phrase

__all__ = ["known", "prior_notes", "standard_links"]

CONFLICT = 2.0
_STEP = 1e-5
Link = tuple[str, str]


def known(priors: Sequence[LinkPrior]) -> tuple[Known, ...]:
    """Priors as the likelihood takes them."""
    return tuple(Known(prior.lhs, prior.rhs, prior.mean, prior.sd) for prior in priors)


def standard_links(fit: TwoLevelFit) -> dict[Link, tuple[float, float]]:
    """Every link in standard deviations of units, with its delta-method error.

    Parameters
    ----------
    fit : TwoLevelFit

    Returns
    -------
    dict
        (effect, cause) to estimate and standard error.
    """
    place, theta = fit.problem.place, np.array(fit.solution.theta)

    def links(at: FloatArray) -> FloatArray:
        values = fit.problem.row_values(at)
        return standardised_values(place, values, implied(place, values))[rows]

    rows = place.directed_rows[~place.loading[place.directed_rows]]
    value, slopes = links(theta), np.empty((rows.size, theta.size))
    for k in range(theta.size):
        step = np.zeros(theta.size)
        step[k] = _STEP * max(abs(float(theta[k])), 1e-8)
        slopes[:, k] = (links(theta + step) - links(theta - step)) / (2.0 * step[k])
    error = np.sqrt(np.maximum(np.einsum("ik,kl,il->i", slopes, np.nan_to_num(fit.vcov), slopes), 0.0))
    names = [(place.variables[place.row[row]], place.variables[place.column[row]]) for row in rows]
    return {link: (float(v), float(e)) for link, v, e in zip(names, value, error, strict=True)}


@dataclass(frozen=True, slots=True)
class _Read:
    """A link with its prior, and by the data alone: estimate and error each."""

    prior: LinkPrior
    both: tuple[float, float]
    data: tuple[float, float]

    @property
    def conflict(self) -> bool:
        """The estimate, or what the data alone say, is more than two standard deviations off."""
        mean, sd = self.prior.mean, self.prior.sd
        apart = abs(self.data[0] - mean) > CONFLICT * float(np.hypot(self.data[1], sd))
        return apart or abs(self.both[0] - mean) > CONFLICT * sd

    def note(self) -> Note:
        """In words."""
        prior, link = self.prior, f"{self.prior.rhs} -> {self.prior.lhs}"
        told: dict[str, object] = {
            "link": phrase("table.from_to", cause=prior.rhs, effect=prior.lhs), "source": prior.source,
            "prior": _shown((prior.mean, prior.sd)), "data": _shown(self.data), "both": _shown(self.both),
        }  # fmt: skip
        if not self.conflict:
            return Note.of("link_prior", "info", link, **told)
        return Note.of("prior_data_conflict", "serious", link, **told)


def _shown(pair: tuple[float, float]) -> Phrase:
    return phrase("note.give_or_take", value=float(pair[0]), error=float(pair[1]))


def prior_notes(fit: TwoLevelFit, priors: Sequence[LinkPrior]) -> Iterator[Note]:
    """One note a prior: its source, what the data say without it, what became of both.

    Parameters
    ----------
    fit : TwoLevelFit
        With the priors.
    priors : sequence of LinkPrior

    Raises
    ------
    EstimationError
        The data alone cannot be fitted.
    """
    if not priors:
        return
    alone = fit_two_level(fit.model, fit.units, errors=fit.errors, test=False, boundary=fit.boundary, within=fit.within)
    both, data = standard_links(fit), standard_links(alone)
    for prior in priors:
        link = prior.lhs, prior.rhs
        yield _Read(prior, both[link], data[link]).note()
