"""A lever: what is moved, by how much, when, for how long, and at what cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spc.errors import UsageError
from spc.linalg import FloatArray

__all__ = ["Change"]


@dataclass(frozen=True, slots=True)
class Change:
    """One lever.

    Attributes
    ----------
    node : str
        Construct or unit result that is moved.
    by : float
        How far, in the units of its scale, once the lever works in full; negative for a saving that hurts.
    cost : float
        Spent once, in the first period; negative when money is saved.
    running_cost : float
        Spent in every period while the lever lasts; negative when money is saved.
    start : int
        Period in which it begins, 1 for the first.
    ramp : int
        Periods until it works in full, in even steps; 1 at once.
    lasts : int or None
        Periods from the start for which it is kept up; None for all.
    decay : float
        Share of the effect that is lost in each period after it is no longer kept up.
    name : str
        For readers; the node when empty.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> Change("internal_service_quality", 0.3, cost=2.4e6, ramp=3).path(5).round(2).tolist()
    [0.1, 0.2, 0.3, 0.3, 0.3]
    >>> Change("employee_satisfaction", 0.4, lasts=2, decay=0.5).path(5).tolist()
    [0.4, 0.4, 0.2, 0.1, 0.05]
    """

    node: str
    by: float
    cost: float = 0.0
    running_cost: float = 0.0
    start: int = 1
    ramp: int = 1
    lasts: int | None = None
    decay: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        wrong = [
            (not (math.isfinite(self.by) and math.isfinite(self.cost) and math.isfinite(self.running_cost)),
             "amounts are finite numbers"),
            (self.start < 1 or self.ramp < 1, "start and ramp are 1 or more"),
            (self.lasts is not None and self.lasts < 1, "lasts is 1 or more periods"),
            (not 0.0 <= self.decay <= 1.0, "decay is a share"),
        ]  # fmt: skip
        said = [words for fault, words in wrong if fault]
        if said:
            raise UsageError(f"The change of {self.node}: {'; '.join(said)}.")

    @property
    def title(self) -> str:
        """Name for readers."""
        return self.name or self.node

    def path(self, periods: int) -> FloatArray:
        """How far the node is moved in each period, (T,)."""
        age = np.arange(periods) - (self.start - 1)
        full = np.clip((age + 1) / self.ramp, 0.0, 1.0)
        if self.lasts is not None:
            last = min(self.lasts / self.ramp, 1.0)
            after = age + 1 - self.lasts
            full = np.where(after > 0, last * (1.0 - self.decay) ** np.maximum(after, 0), full)
        return np.asarray(self.by * np.where(age < 0, 0.0, full))

    def spending(self, periods: int) -> FloatArray:
        """What is spent in each period, (T,)."""
        age = np.arange(periods) - (self.start - 1)
        kept = (age >= 0) & (age < (periods if self.lasts is None else self.lasts))
        return np.asarray(np.where(age == 0, self.cost, 0.0) + np.where(kept, self.running_cost, 0.0))
