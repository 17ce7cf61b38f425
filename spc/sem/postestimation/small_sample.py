r"""Small-sample corrections of the chi-square test: factors that bring its mean near the degrees of freedom.

With p observed variables, k latent variables, d degrees of freedom and ``n = N - 1``, the statistic ``n F`` rejects too
often once p is large beside N. Each correction multiplies it by a factor below one:

- Swain (1975): ``1 - (p (2p^2 + 3p - 1) - q (2q^2 + 3q - 1)) / (12 d n)``
  with ``q = (sqrt(1 + 4p(p+1) - 8d) - 1) / 2``,
- Bartlett (1950), for exploratory factor analysis of k factors: ``1 - (2p + 4k + 5) / (6n)``,
- Yuan (2005), for confirmatory models: ``1 - (2p + 2k + 7) / (6n)``,

In several groups each part of the statistic is multiplied by the factor of its group, with the group's own variables
and rows. Swain's takes the parameters that a group estimates, p(p+1)/2 - d, for which parameters that groups share
count by the group's part of their information: all groups' parts are all parameters. With one group, and with groups
that share nothing, that is Swain's own; in between it is this package's. Scaled statistics (MLM, MLR) are multiplied
in their place (Fouladi 2000, Structural Equation Modeling 7, 356-410; Nevitt & Hancock 2004, Multivariate Behavioral
Research 39, 439-478).

The factors are compared by Herzog, Boomsma & Reinecke (2007), Structural Equation Modeling 14, 361-390, and Herzog &
Boomsma (2009), Structural Equation Modeling 16, 1-27, who recommend Swain's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from spc.errors import UnsupportedError, UsageError
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.diagnose import n_moments
from spc.sem.engine.joint import shares_of
from spc.sem.inference.fitmeasures import chisq_pvalue, rmsea, rmsea_ci
from spc.sem.lean import lean
from spc.sem.scope import require_one_level

if TYPE_CHECKING:
    from spc.sem.result import Part, SemFit

__all__ = ["SmallSampleTest", "bartlett_factor", "small_sample_test", "swain_factor", "yuan_factor"]

Correction = Literal["swain", "bartlett", "yuan"]


def swain_factor(p: int, df: float, n: int) -> float:
    """Swain's factor for p variables, df degrees of freedom and n = N - 1.

    Examples
    --------
    >>> round(swain_factor(9, 24, 300), 6)
    0.986597
    """
    q = (math.sqrt(max(1.0 + 4.0 * p * (p + 1) - 8.0 * df, 1.0)) - 1.0) / 2.0
    return 1.0 - (p * (2 * p**2 + 3 * p - 1) - q * (2 * q**2 + 3 * q - 1)) / (12.0 * df * n)


def bartlett_factor(p: int, k: int, n: int) -> float:
    """Bartlett's factor for p variables, k factors and n = N - 1.

    Examples
    --------
    >>> round(bartlett_factor(9, 3, 300), 6)
    0.980556
    """
    return 1.0 - (2 * p + 4 * k + 5) / (6.0 * n)


def yuan_factor(p: int, k: int, n: int) -> float:
    """Yuan's factor for p variables, k factors and n = N - 1.

    Examples
    --------
    >>> round(yuan_factor(9, 3, 300), 6)
    0.982778
    """
    return 1.0 - (2 * p + 2 * k + 7) / (6.0 * n)


@dataclass(frozen=True, eq=False, repr=False)
class SmallSampleTest(Shown):
    """A corrected chi-square test.

    Attributes
    ----------
    correction : {"swain", "bartlett", "yuan"}
    factor : float
        What the statistic was multiplied by; with several groups the mean of theirs, weighed by their parts of it.
    uncorrected, chisq : float
        ``(N - 1) F`` before and after, and scaled where the test of the fit is.
    df, n : int
        Degrees of freedom; rows of data.
    remarks : tuple of Note
    provenance : Provenance
    """

    correction: Correction
    factor: float
    uncorrected: float
    chisq: float
    df: int
    n: int
    remarks: tuple[Note, ...]
    provenance: Provenance
    groups: int = 1
    kind: str = "small_sample"

    @property
    def pvalue(self) -> float:
        """Upper tail of the chi-square; NaN without degrees of freedom."""
        return chisq_pvalue(self.chisq, self.df)

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``chisq`` and ``rmsea``, the latter with its 90 % interval."""
        rows = self.n - self.groups
        low, high = rmsea_ci(self.chisq, self.df, rows, groups=self.groups)
        measure = {"lhs": "model", "rhs": self.correction}
        return tidy_frame([
            {**measure, "kind": "chisq", "estimate": self.chisq, "statistic": self.chisq, "p_value": self.pvalue},
            {**measure, "kind": "rmsea", "estimate": rmsea(self.chisq, self.df, rows, self.groups), "conf_low": low,
             "conf_high": high},
        ])  # fmt: skip

    def glance(self) -> pd.DataFrame:
        """One row: correction, factor, statistic before and after, degrees of freedom, p value, rows."""
        row = (self.correction, self.factor, self.uncorrected, self.chisq, self.df, self.pvalue, self.n)
        names = ["correction", "factor", "chisq_uncorrected", "chisq", "df", "pvalue", "nobs"]
        return pd.DataFrame([row], columns=names)

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the test."""
        return self.remarks


def small_sample_test(fit: SemFit, correction: Correction = "swain") -> SmallSampleTest:
    r"""Chi-square test of a fitted model with a correction for few rows beside many variables.

    Parameters
    ----------
    fit : SemFit
    correction : {"swain", "bartlett", "yuan"}
        See :mod:`spc.sem.postestimation.small_sample` for formulas and sources. Bartlett's and Yuan's count latent
        variables.

    Returns
    -------
    SmallSampleTest

    Raises
    ------
    UnsupportedError
        Another estimator, missing answers or clusters.
    UsageError
        Another correction, a model without degrees of freedom, or so few rows that the factor is not positive.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.4, 0.3], [0.4, 1.0, 0.5], [0.3, 0.5, 1.0]]
    >>> test = small_sample_test(fit("y ~ m\nm ~ x", Moments(["x", "m", "y"], 30, None, r)))
    >>> round(test.factor, 4), round(test.uncorrected, 4), round(test.chisq, 4)
    (0.9443, 0.464, 0.4382)
    """
    require_one_level(fit, "Corrections for small samples")
    options = fit.options
    if options.estimator not in ("ML", "MLM", "MLR") or options.missing != "listwise" or options.cluster is not None:
        raise UnsupportedError(
            "The corrections have a method for complete, independent rows under maximum likelihood (ML, MLM, MLR) only."
        )
    if correction not in _FACTORS:
        raise UsageError(f"correction={correction!r}: expected one of {', '.join(map(repr, _FACTORS))}.")
    df = fit.df
    if df < 1:
        raise UsageError("The model has no degrees of freedom, so there is no test to correct.")
    factors = [_factor(part, taken, correction) for part, taken in zip(fit.parts, _parameters(fit), strict=True)]
    parts = np.array([(part.problem.n - 1) * part.point.value for part in fit.parts])
    if fit.correction is not None:
        parts = parts / fit.correction.factor
    uncorrected, chisq = float(parts.sum()), float(parts @ factors)
    factor = chisq / uncorrected if uncorrected > 0.0 else float(np.mean(factors))
    provenance = Provenance.record({"correction": correction}, fit.provenance.data_fingerprint)
    notes = tuple(_notes(fit, correction))
    return SmallSampleTest(correction, factor, uncorrected, chisq, df, fit.system.n, notes, provenance, len(fit.parts))


_FACTORS: MappingProxyType[str, Callable[[int, int, float, int], float]] = MappingProxyType({
    "swain": lambda p, k, df, n: swain_factor(p, df, n),
    "bartlett": lambda p, k, df, n: bartlett_factor(p, k, n),
    "yuan": lambda p, k, df, n: yuan_factor(p, k, n),
})  # fmt: skip


def _factor(part: Part, taken: float, correction: str) -> float:
    """Factor of one group, of whose parameters of covariances it estimates ``taken``."""
    place, rows = part.problem.place, part.problem.n
    df = n_moments(place) - taken
    factor = _FACTORS[correction](place.n_observed, len(place.latents), df, rows - 1) if df > 1e-9 else 1.0
    if factor <= 0.0:
        raise UsageError(
            f"{rows} rows are too few for {place.n_observed} variables: the {correction} factor is {factor:.2f}. "
            "Model fewer variables, or collect more rows."
        )
    return factor


def _parameters(fit: SemFit) -> list[float]:
    """How many parameters each group estimates: those of several groups by its part of their information."""
    if len(fit.parts) == 1:
        return [float(fit.system.npar)]
    x, shares = fit.system.coordinates(fit.solution.theta), shares_of(fit.system)
    inner = [
        share * part.problem.map.T @ lean(part, x, part.problem.place, part.problem.active)[1] @ part.problem.map
        for share, part in zip(shares, fit.parts, strict=True)
    ]
    whole = np.sum(inner, axis=0)
    return [float(np.trace(np.linalg.solve(whole, one))) for one in inner]


def _notes(fit: SemFit, correction: str) -> list[Note]:
    notes = []
    if fit.options.likelihood == "normal":
        notes.append(Note(
            "divisor", "info", "chi-square",
            "The corrections are defined for (N - 1) F, so the uncorrected statistic is (N - 1)/N of the plain one.",
        ))  # fmt: skip
    place = fit.parts[0].problem.place
    if len(fit.parts) > 1 and correction == "swain" and fit.options.group_equal:
        notes.append(Note(
            "own_extension", "info", "chi-square",
            "Parameters that groups share count in each group by its part of their information, which is this "
            "package's extension of Swain's factor.",
        ))  # fmt: skip
    if place.exogenous.size or place.meanstructure:
        notes.append(Note(
            "outside_theory", "info", "chi-square",
            f"The {correction} factor was derived for covariance structures without fixed covariates or intercepts; "
            "all observed variables were counted.",
        ))  # fmt: skip
    return notes
