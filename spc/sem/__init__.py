"""Structural equation models by maximum likelihood, with lavaan's conventions and balanced units."""

from spc.sem.bootstrap import Bootstrap, bootstrap
from spc.sem.compare import Comparison, compare
from spc.sem.effects import Effects, effects
from spc.sem.export import export_names, to_lavaan
from spc.sem.export_mplus import to_mplus
from spc.sem.fit import Options, SemFit, fit, refit
from spc.sem.htmt import Htmt, htmt
from spc.sem.invariance import Invariance, invariance
from spc.sem.measures import Baseline, fit_measures
from spc.sem.misfit import Misfit, misfit
from spc.sem.modification import modification_indices
from spc.sem.optimise import Solution
from spc.sem.pooling import PooledCorrelations, PooledPaths, StudyCorrelations, pool_correlations, pooled_paths
from spc.sem.predict import predict
from spc.sem.profile import ProfileIntervals, profile_likelihood
from spc.sem.release import ReleaseTest, release_test
from spc.sem.scores import factor_scores
from spc.sem.small_sample import SmallSampleTest, small_sample_test
from spc.sem.structural import StructuralFit, structural_fit
from spc.sem.tables import implied_moments, r_square, residuals, standardized
from spc.sem.twolevel_scores import cluster_scores, icc
from spc.sem.validity import LatentReliability, reliability
from spc.sem.wald import WaldTest, wald_test

__all__ = [
    "Baseline",
    "Bootstrap",
    "Comparison",
    "Effects",
    "Htmt",
    "Invariance",
    "LatentReliability",
    "Misfit",
    "Options",
    "PooledCorrelations",
    "PooledPaths",
    "ProfileIntervals",
    "ReleaseTest",
    "SemFit",
    "SmallSampleTest",
    "Solution",
    "StructuralFit",
    "StudyCorrelations",
    "WaldTest",
    "bootstrap",
    "cluster_scores",
    "compare",
    "effects",
    "export_names",
    "factor_scores",
    "fit",
    "fit_measures",
    "htmt",
    "icc",
    "implied_moments",
    "invariance",
    "misfit",
    "modification_indices",
    "pool_correlations",
    "pooled_paths",
    "predict",
    "profile_likelihood",
    "r_square",
    "refit",
    "release_test",
    "reliability",
    "residuals",
    "small_sample_test",
    "standardized",
    "structural_fit",
    "to_lavaan",
    "to_mplus",
    "wald_test",
]
