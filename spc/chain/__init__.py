"""The service-profit chain itself: its constructs, links and effects, fitted on a study."""

from spc.chain.fit import fit_chain
from spc.chain.recovery import recovery
from spc.chain.result import ChainFit
from spc.chain.run import fit_study

__all__ = ["ChainFit", "fit_chain", "fit_study", "recovery"]
