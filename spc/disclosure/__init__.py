"""Who may see what: the minimum group, complementary suppression, and the one gate for all that leaves."""

from __future__ import annotations

from spc.disclosure.checks import names_staff
from spc.disclosure.gate import Gate
from spc.disclosure.kinds import OF_THE_BOOKS
from spc.disclosure.ranges import thick_quantile
from spc.disclosure.released import ReleasedModel, ReleasedTable, ReleasedText, require_released
from spc.disclosure.rule import LOWEST_MINIMUM, WIDTH, DisclosureRule

__all__ = [
    "LOWEST_MINIMUM",
    "OF_THE_BOOKS",
    "WIDTH",
    "DisclosureRule",
    "Gate",
    "ReleasedModel",
    "ReleasedTable",
    "ReleasedText",
    "names_staff",
    "require_released",
    "thick_quantile",
]
