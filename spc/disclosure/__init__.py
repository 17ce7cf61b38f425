"""Who may see what: the minimum group, complementary suppression, and the one gate for all that leaves."""

from __future__ import annotations

from spc.disclosure.rule import LOWEST_MINIMUM, DisclosureRule

__all__ = ["LOWEST_MINIMUM", "DisclosureRule"]
