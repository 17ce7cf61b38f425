"""The rule of confidentiality: how many people must stand behind a number before it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from spc.errors import DataError, Finding

__all__ = ["LOWEST_MINIMUM", "WIDTH", "DisclosureRule"]

LOWEST_MINIMUM = 3
"""Below this many people no number is ever shown, whatever a study asks for."""

WIDTH = 0.1
"""The stated width, as a share of a scale: whatever is worked out from what is shown, the mean of a hidden group stays
open by at least this much."""


@dataclass(frozen=True, slots=True)
class DisclosureRule:
    """How many people must stand behind what is shown.

    Attributes
    ----------
    minimum_group : int
        Fewest people behind a score, a count or any number computed from answers.
    minimum_comments : int
        Fewest people in a group whose free comments are shown.
    merge_into : {"", "parent", "region"}
        Column of the units table within which units of too few people are put together, rather than hidden one by
        one; not at all when empty.

    Raises
    ------
    DataError
        A minimum is not a whole number, is below :data:`LOWEST_MINIMUM`, or comments would be shown for smaller
        groups than scores; all of them at once.

    Examples
    --------
    >>> DisclosureRule().hides(4)
    True
    >>> DisclosureRule(minimum_group=2)
    Traceback (most recent call last):
        ...
    spc.errors.DataError: 1 thing to put right:
      - disclosure.minimum_group: found 2; expected a whole number of at least 3. ...
    """

    minimum_group: int = 5
    minimum_comments: int = 10
    merge_into: str = ""

    def __post_init__(self) -> None:
        findings = [found for name in ("minimum_group", "minimum_comments") for found in self._faults(name)]
        if self.merge_into not in MERGE_INTO:
            findings.append(
                Finding(
                    "disclosure", "merge_into", "unknown_column", f"found {self.merge_into!r}",
                    "parent or region", "Name the column of the units table within which small units are put together.",
                )
            )  # fmt: skip
        if findings:
            raise DataError(findings)
        if self.minimum_comments < self.minimum_group:
            raise DataError.of(
                "disclosure",
                "minimum_comments",
                "below_minimum_group",
                f"found {self.minimum_comments}",
                f"at least minimum_group, which is {self.minimum_group}",
                "Comments identify people more easily than scores do; raise minimum_comments.",
            )

    def _faults(self, name: str) -> list[Finding]:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and value >= LOWEST_MINIMUM:
            return []
        return [
            Finding(
                "disclosure",
                name,
                "minimum_too_low" if whole else "not_whole",
                f"found {value!r}",
                f"a whole number of at least {LOWEST_MINIMUM}",
                "Employee answers are given in confidence; the rule can be made stricter, not looser.",
            )
        ]

    def hides(self, n: float) -> bool:
        """Whether a score that ``n`` people stand behind must be hidden; an unknown number is too few.

        Examples
        --------
        >>> rule = DisclosureRule()
        >>> rule.hides(5), rule.hides(float("nan"))
        (False, True)
        """
        return not n >= self.minimum_group


MERGE_INTO = ("", "parent", "region")
