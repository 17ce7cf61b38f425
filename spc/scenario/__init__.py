"""What-if through the chain, in money: levers, their paths over time, cost, return and chance of a loss."""

from spc.scenario.budget import Allocation, allocate
from spc.scenario.change import Change
from spc.scenario.levers import Levers, study_levers
from spc.scenario.outlook import Outlook
from spc.scenario.route import LedgerRoute, ResultRoute, RetentionSlope
from spc.scenario.run import fit_study
from spc.scenario.simulate import simulate
from spc.scenario.study import simulate_study

__all__ = [
    "Allocation",
    "Change",
    "LedgerRoute",
    "Levers",
    "Outlook",
    "ResultRoute",
    "RetentionSlope",
    "allocate",
    "fit_study",
    "simulate",
    "simulate_study",
    "study_levers",
]
