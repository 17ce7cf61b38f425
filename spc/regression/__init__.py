"""Link regressions on statsmodels: the plain check that stands beside the structural model."""

from spc.regression.links import LinkRegressions, link_regressions

__all__ = ["LinkRegressions", "link_regressions"]
