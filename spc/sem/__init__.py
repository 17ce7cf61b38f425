"""Structural equation models by maximum likelihood, with lavaan's conventions and balanced units."""

from spc.sem.bootstrap import Bootstrap, bootstrap
from spc.sem.compare import Comparison, compare
from spc.sem.effects import Effects, effects
from spc.sem.fit import Options, SemFit, fit, refit
from spc.sem.measures import Baseline, fit_measures
from spc.sem.modification import modification_indices
from spc.sem.optimise import Solution
from spc.sem.release import ReleaseTest, release_test
from spc.sem.tables import implied_moments, r_square, residuals, standardized
from spc.sem.wald import WaldTest, wald_test

__all__ = [
    "Baseline",
    "Bootstrap",
    "Comparison",
    "Effects",
    "Options",
    "ReleaseTest",
    "SemFit",
    "Solution",
    "WaldTest",
    "bootstrap",
    "compare",
    "effects",
    "fit",
    "fit_measures",
    "implied_moments",
    "modification_indices",
    "r_square",
    "refit",
    "release_test",
    "residuals",
    "standardized",
    "wald_test",
]
