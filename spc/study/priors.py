"""What published studies or earlier waves say of a link before the data are seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spc.errors import UsageError

__all__ = ["LinkPrior"]


@dataclass(frozen=True, slots=True)
class LinkPrior:
    """A normal prior of one link, in standard deviations of units.

    Attributes
    ----------
    lhs, rhs : str
        Effect and cause.
    mean, sd : float
        Of the standardised link. A correlation between units, where the cause has no rivals.
    source : str
        Where the numbers are from, as a citation. It is shown wherever the link is.

    Raises
    ------
    UsageError
        No source, or a spread that is not positive.

    Examples
    --------
    >>> LinkPrior("customer_satisfaction", "employee_satisfaction", 0.23, 0.10, source="Brown & Lam 2008").mean
    0.23
    >>> LinkPrior("csat", "esat", 0.23, 0.10, source=" ")
    Traceback (most recent call last):
    ...
    spc.errors.UsageError: The prior of csat ~ esat has no source. Cite where its numbers are from.
    """

    lhs: str
    rhs: str
    mean: float
    sd: float
    source: str

    def __post_init__(self) -> None:
        link = f"{self.lhs} ~ {self.rhs}"
        if not (isinstance(self.source, str) and self.source.strip()):
            raise UsageError(f"The prior of {link} has no source. Cite where its numbers are from.")
        if not (math.isfinite(self.mean) and abs(self.mean) <= 1.0):
            raise UsageError(f"The prior of {link} has mean {self.mean}; give a standardised link between -1 and 1.")
        if not (math.isfinite(self.sd) and self.sd > 0.0):
            raise UsageError(f"The prior of {link} has sd {self.sd}; give a positive number, such as 0.1.")
