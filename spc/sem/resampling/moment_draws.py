"""One bootstrap draw of complete rows, refitted from the fit: where draws are not fitted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem.engine.joint import problems_of
from spc.sem.fit import SemFit, refit
from spc.sem.resampling.draws import as_moments
from spc.sem.resampling.redraw import Redraw, Units

__all__ = ["HigherDraws", "MomentDraws"]


@dataclass(frozen=True, eq=False)
class MomentDraws:
    """Refits a model to the means and covariances of draws, one at a time.

    Attributes
    ----------
    fit : SemFit
    redraw : callable
        From the numbers of some draws to their moments.
    """

    fit: SemFit
    redraw: Redraw

    def __call__(self, i: int) -> tuple[FloatArray, float]:
        """Free parameters and test statistic of draw ``i``."""
        problems = problems_of(self.fit.system)
        drawn = self.redraw([i])
        return _refitted(self.fit, [as_moments(own, one, 0) for own, one in zip(problems, drawn, strict=True)])


@dataclass(frozen=True, eq=False)
class HigherDraws:
    """Refits a model to draws with their moments of order 3 and 4, as WLS needs them.

    Attributes
    ----------
    fit : SemFit
    rows : sequence of (n, p) arrays
        Of each group, in the user's units.
    units : Units
    seed : int
    """

    fit: SemFit
    rows: Sequence[FloatArray]
    units: Units
    seed: int

    def __call__(self, i: int) -> tuple[FloatArray, float]:
        """Free parameters and test statistic of draw ``i``."""
        counts = self.units.of_rows(self.seed, i)
        moments = []
        for part, own, times in zip(self.fit.parts, self.rows, counts, strict=True):
            names = list(part.model.observed)
            drawn = pd.DataFrame(np.repeat(own, times.astype(np.intp), axis=0), columns=names)
            moments.append(Moments.from_frame(drawn, names, higher=True))
        return _refitted(self.fit, moments)


def _refitted(fit: SemFit, moments: Sequence[Moments]) -> tuple[FloatArray, float]:
    end = refit(fit, list(moments))
    problems = problems_of(fit.system)
    divisor = sum(one.n - (own.n - own.divisor) for one, own in zip(moments, problems, strict=True))
    return np.asarray(end.theta), divisor * max(end.value, 0.0)
