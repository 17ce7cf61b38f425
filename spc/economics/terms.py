"""On what terms money is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spc.errors import UsageError

__all__ = ["LoyaltyTerms"]


@dataclass(frozen=True, slots=True)
class LoyaltyTerms:
    """On what terms money is counted.

    Attributes
    ----------
    horizon : float
        Renewals that count: a whole number, or ``math.inf``.
    discount : float
        Per period.
    points : float
        Points of retention to put a price on; 0.05 is five.
    period : str
        What one period is called.
    currency : str
        May be empty.
    acquisition_cost : float
        Spent once to win a customer.
    first_margin : bool
        Whether the margin of the running period counts in the value of a present customer: it is certain and not
        discounted. False starts with the next renewal. A customer to be won always brings it.
    level : float
        Level of the intervals.
    assumed : bool
        Whether a study left horizon and discount unsaid, so that these are the defaults.

    Raises
    ------
    UsageError
        A term outside its range.
    """

    horizon: float
    discount: float
    points: float = 0.05
    period: str = "year"
    currency: str = ""
    acquisition_cost: float = 0.0
    first_margin: bool = False
    level: float = 0.95
    assumed: bool = False

    def __post_init__(self) -> None:
        if (
            not _number(self.horizon)
            or self.horizon < 1
            or not (math.isinf(self.horizon) or float(self.horizon).is_integer())
        ):
            raise UsageError(f"The horizon is {self.horizon!r}; expected a whole number of periods, 1 or more.")
        if not _number(self.discount) or not 0 <= self.discount < 1:
            raise UsageError(
                f"The discount is {self.discount!r}; expected a share from 0 to below 1; ten per cent is 0.10."
            )
        if not _number(self.points) or not 0 < self.points < 1:
            raise UsageError(f"points is {self.points!r}; expected a share above 0 and below 1; five points are 0.05.")
        if not _number(self.level) or not 0 < self.level < 1:
            raise UsageError(f"The level is {self.level!r}; expected a share between 0 and 1, such as 0.95.")
        if not _number(self.acquisition_cost) or not 0 <= self.acquisition_cost < math.inf:
            raise UsageError(f"The acquisition cost is {self.acquisition_cost!r}; expected an amount of 0 or more.")
        if not isinstance(self.first_margin, bool):
            raise UsageError(f"first_margin is {self.first_margin!r}; expected True or False.")
        if math.isinf(self.horizon) and self.discount == 0:
            raise UsageError("Without horizon and without discount customer value has no limit. State one of the two.")

    @property
    def ahead(self) -> str:
        """How far the figures look, in words."""
        if math.isinf(self.horizon):
            return self.endless
        return f"{self.horizon:g} {self.period}{'s' if self.horizon > 1 else ''} ahead{self._and_now}"

    @property
    def endless(self) -> str:
        """The same without a horizon."""
        return f"no horizon{self._and_now}"

    @property
    def _and_now(self) -> str:
        return f" and the running {self.period}" if self.first_margin else ""


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
