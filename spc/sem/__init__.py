"""Structural equation models by maximum likelihood, with lavaan's conventions and balanced units."""

from spc.sem.effects import Effects, effects
from spc.sem.fit import Options, SemFit, fit, refit
from spc.sem.measures import Baseline, fit_measures
from spc.sem.optimise import Solution
from spc.sem.tables import implied_moments, r_square, residuals, standardized

__all__ = [
    "Baseline",
    "Effects",
    "Options",
    "SemFit",
    "Solution",
    "effects",
    "fit",
    "fit_measures",
    "implied_moments",
    "r_square",
    "refit",
    "residuals",
    "standardized",
]
