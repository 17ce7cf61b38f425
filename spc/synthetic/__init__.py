"""Made-up firms with known truth, for demonstrations, teaching, tests and power."""

from spc.synthetic.firm import Firm, make_firm
from spc.synthetic.plan import FirmPlan

__all__ = ["Firm", "FirmPlan", "make_firm"]
