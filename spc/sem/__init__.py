"""Structural equation models by maximum likelihood, with lavaan's conventions and balanced units."""

from spc.sem.engine.optimise import Solution
from spc.sem.fit import Options, SemFit, fit, refit
from spc.sem.measures import Baseline, fit_measures
from spc.sem.pooling import PooledCorrelations, PooledPaths, StudyCorrelations, pool_correlations, pooled_paths
from spc.sem.postestimation.compare import Comparison, compare
from spc.sem.postestimation.effects import Effects, effects
from spc.sem.postestimation.export import export_names, to_lavaan
from spc.sem.postestimation.export_mplus import to_mplus
from spc.sem.postestimation.htmt import Htmt, htmt
from spc.sem.postestimation.invariance import Invariance, invariance
from spc.sem.postestimation.level_fit import LevelFit, level_fit
from spc.sem.postestimation.misfit import Misfit, misfit
from spc.sem.postestimation.modification import modification_indices
from spc.sem.postestimation.predict import predict
from spc.sem.postestimation.profile import ProfileIntervals, profile_likelihood
from spc.sem.postestimation.release import ReleaseTest, release_test
from spc.sem.postestimation.scores import factor_scores
from spc.sem.postestimation.small_sample import SmallSampleTest, small_sample_test
from spc.sem.postestimation.structural import StructuralFit, structural_fit
from spc.sem.postestimation.validity import LatentReliability, reliability
from spc.sem.postestimation.wald import WaldTest, wald_test
from spc.sem.resampling.bootstrap import Bootstrap, bootstrap
from spc.sem.tables import implied_moments, r_square, residuals, standardized
from spc.sem.twolevel.scores import cluster_scores, icc

__all__ = [
    "Baseline",
    "Bootstrap",
    "Comparison",
    "Effects",
    "Htmt",
    "Invariance",
    "LatentReliability",
    "LevelFit",
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
    "level_fit",
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
