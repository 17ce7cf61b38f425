"""The service-profit chain itself: its constructs, links and effects, fitted on a study."""

from spc.chain.confounding import Robustness, link_robustness
from spc.chain.encounters import fit_encounters
from spc.chain.equivalence import Equivalence, equivalence
from spc.chain.evidence import Evidence, evidence
from spc.chain.fit import fit_chain
from spc.chain.lag_search import LagSearch, lag_search
from spc.chain.membership import AssignmentWeights, assignment_weights
from spc.chain.method_factor import MethodFactor, method_factor
from spc.chain.methods import LinkMethods, link_methods
from spc.chain.panel import Panel, panel
from spc.chain.pilot import plan_from
from spc.chain.power import Plan, Power, power
from spc.chain.published import PublishedLinks, published_links, published_standing
from spc.chain.recovery import recovery
from spc.chain.result import ChainFit
from spc.chain.rivals import Rivals, rivals
from spc.chain.shape import LinkShapes, link_shapes
from spc.chain.two_sided import fit_two_sided
from spc.chain.two_sided_result import TwoSidedFit

__all__ = [
    "AssignmentWeights",
    "ChainFit",
    "Equivalence",
    "Evidence",
    "LagSearch",
    "LinkMethods",
    "LinkShapes",
    "MethodFactor",
    "Panel",
    "Plan",
    "Power",
    "PublishedLinks",
    "Rivals",
    "Robustness",
    "TwoSidedFit",
    "assignment_weights",
    "equivalence",
    "evidence",
    "fit_chain",
    "fit_encounters",
    "fit_two_sided",
    "lag_search",
    "link_methods",
    "link_robustness",
    "link_shapes",
    "method_factor",
    "panel",
    "plan_from",
    "power",
    "published_links",
    "published_standing",
    "recovery",
    "rivals",
]
