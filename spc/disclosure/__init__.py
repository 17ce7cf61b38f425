"""Who may see what: the minimum group, complementary suppression, and the one gate for all that leaves."""

from __future__ import annotations

from spc.disclosure.books import OF_THE_BOOKS, names_staff
from spc.disclosure.gate import Gate
from spc.disclosure.released import ReleasedModel, ReleasedTable, ReleasedText, require_released
from spc.disclosure.rule import LOWEST_MINIMUM, DisclosureRule
from spc.disclosure.suppression import suppress

__all__ = [
    "LOWEST_MINIMUM",
    "OF_THE_BOOKS",
    "DisclosureRule",
    "Gate",
    "ReleasedModel",
    "ReleasedTable",
    "ReleasedText",
    "names_staff",
    "require_released",
    "suppress",
]
