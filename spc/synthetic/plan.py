"""What a made-up firm is asked to be: constructs, links, sizes, ledger. No random numbers here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from spc.errors import UsageError

__all__ = ["CONSTRUCTS", "LINKS", "OUTCOMES", "ConstructPlan", "FirmPlan", "OutcomePlan", "Side"]

Side = Literal["employee", "customer"]
Link = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ConstructPlan:
    """How one construct is asked about and how far units differ on it.

    Attributes
    ----------
    name, label : str
    side : {"employee", "customer"}
        Whose answers these are.
    prefix : str
        Items are ``prefix1, prefix2, ...``.
    icc : float
        Share of the variance of the latent trait that lies between units.
    loadings : tuple of float
        Points an item moves when the trait moves by one ``sd``, relative to ``sd``.
    shifts : tuple of float
        How much easier (+) or harder (−) than average each item is to agree with, in points.
    reverse : tuple of int
        0-based positions of the items that are worded the other way round.
    mean, sd : float
        Mean and standard deviation of the trait among persons, in points.
    low, high : int
        Ends of the answering scale.
    item_reliability : float
        Share of trait variance in the variance of an average item before rounding.
    """

    name: str
    label: str
    side: Side
    prefix: str
    icc: float
    loadings: tuple[float, ...]
    shifts: tuple[float, ...]
    reverse: tuple[int, ...] = ()
    mean: float = 4.5
    sd: float = 1.0
    low: int = 1
    high: int = 7
    item_reliability: float = 0.65

    @property
    def items(self) -> tuple[str, ...]:
        """Names of the items."""
        return tuple(f"{self.prefix}{i + 1}" for i in range(len(self.loadings)))

    @property
    def error_sd(self) -> float:
        """Standard deviation of what an item measures beside the trait, in points."""
        return self.sd * math.sqrt((1 - self.item_reliability) / self.item_reliability)


@dataclass(frozen=True, slots=True)
class OutcomePlan:
    """A result of the unit: its name, label, mean and standard deviation across units."""

    name: str
    label: str
    mean: float
    sd: float


def _employee(
    name: str,
    label: str,
    prefix: str,
    icc: float,
    loadings: tuple[float, ...],
    shifts: tuple[float, ...],
    reverse: tuple[int, ...] = (),
) -> ConstructPlan:
    return ConstructPlan(name, label, "employee", prefix, icc, loadings, shifts, reverse)


def _customer(
    name: str,
    label: str,
    prefix: str,
    icc: float,
    loadings: tuple[float, ...],
    shifts: tuple[float, ...],
    reverse: tuple[int, ...] = (),
) -> ConstructPlan:
    return ConstructPlan(name, label, "customer", prefix, icc, loadings, shifts, reverse, 6.4, 1.4, 1, 10)


CONSTRUCTS: tuple[ConstructPlan, ...] = (
    _employee("leadership", "Leadership", "ld", 0.20, (1.0, 1.1, 0.9), (0.1, 0.0, -0.1)),
    _employee(
        "internal_service_quality",
        "Internal service quality",
        "isq",
        0.20,
        (1.0, 1.05, 0.95, 1.0),
        (0.2, -0.1, 0.1, -0.2),
        (3,),
    ),
    _employee("employee_satisfaction", "Employee satisfaction", "es", 0.17, (1.05, 1.0, 0.95), (0.1, 0.1, -0.2), (2,)),
    _employee("employee_loyalty", "Employee loyalty", "el", 0.16, (1.0, 1.1, 0.9), (0.0, 0.2, -0.2), (1,)),
    _employee("employee_productivity", "Employee productivity", "ep", 0.16, (1.0, 0.95, 1.05), (0.2, 0.0, -0.2)),
    _customer("customer_value", "Customer value", "cv", 0.13, (1.0, 1.05, 0.95), (0.0, 0.3, -0.3)),
    _customer("customer_satisfaction", "Customer satisfaction", "cs", 0.13, (1.05, 1.0, 0.95), (0.2, 0.0, -0.2)),
    _customer("customer_loyalty", "Customer loyalty", "cl", 0.12, (1.0, 1.1, 0.9), (0.2, 0.1, -0.3), (2,)),
)
"""Every construct a firm can be asked about, in the order of the chain."""

OUTCOMES: tuple[OutcomePlan, ...] = (
    OutcomePlan("revenue_growth", "Revenue growth", 0.04, 0.05),
    OutcomePlan("profitability", "Profitability (contribution ratio)", 0.24, 0.04),
)
"""Unit results at the end of the chain."""

LINKS: Mapping[Link, float] = MappingProxyType(
    {
        ("internal_service_quality", "leadership"): 0.60,
        ("employee_satisfaction", "internal_service_quality"): 0.60,
        ("employee_loyalty", "employee_satisfaction"): 0.60,
        ("employee_productivity", "employee_satisfaction"): 0.50,
        ("customer_value", "employee_loyalty"): 0.35,
        ("customer_value", "employee_productivity"): 0.40,
        ("customer_satisfaction", "customer_value"): 0.70,
        ("customer_loyalty", "customer_satisfaction"): 0.70,
        ("revenue_growth", "customer_loyalty"): 0.50,
        ("profitability", "customer_loyalty"): 0.45,
    }
)
"""Standardised unit-level paths, (to, from) -> path."""


@dataclass(frozen=True)
class FirmPlan:
    """Everything that decides a made-up firm besides chance.

    Attributes
    ----------
    units : int
        Number of units.
    employees, customers, accounts : int
        Mean number per unit of answering employees, answering customers and customers in the ledger.
    waves : int
        Survey rounds.
    strength : float
        Factor on every link.
    links : mapping of (to, from) to float
        Links that differ from :data:`LINKS` (before ``strength``).
    sides : tuple
        Who is asked: ``("employee", "customer")``, or one of them.
    ledger : bool
        Whether there is a customer ledger (needs the customer side).
    transactions : bool
        Whether the customers of the ledger have sales lines and costs of two years as well.
    leadership : bool
        Whether leadership is asked about, ahead of internal service quality.
    missing : float
        Share of answers left out at random.
    size_spread : float
        Spread of unit sizes (standard deviation of their logarithm).
    stability : float
        Correlation of a trait with itself one wave later.
    retention : float
        Renewal probability of a customer in an average unit.
    retention_by_loyalty : float
        How many log-odds of renewal one unit-level standard deviation of customer loyalty is worth.
    margin, margin_sd : float
        Mean and standard deviation across customers of the margin per period, in money.
    periods : int
        Age of the ledger: customers started 1 to ``periods`` periods ago, uniformly.
    horizon, discount, points : float
        The terms of the money figures: periods, discount per period, points of retention.
    currency : str

    Raises
    ------
    UsageError
        A number outside its range, or an unknown link.
    """

    units: int = 80
    employees: int = 12
    customers: int = 30
    accounts: int = 60
    waves: int = 1
    strength: float = 1.0
    links: Mapping[Link, float] = field(default_factory=lambda: MappingProxyType({}))
    sides: tuple[Side, ...] = ("employee", "customer")
    ledger: bool = True
    leadership: bool = False
    missing: float = 0.025
    size_spread: float = 0.3
    stability: float = 0.7
    retention: float = 0.82
    retention_by_loyalty: float = 0.25
    margin: float = 240.0
    margin_sd: float = 130.0
    periods: int = 8
    horizon: int = 5
    discount: float = 0.10
    points: float = 0.05
    currency: str = "EUR"
    transactions: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "links", MappingProxyType(dict(self.links)))
        object.__setattr__(self, "sides", tuple(self.sides))
        for name, low in (("units", 2), ("employees", 1), ("customers", 1), ("accounts", 1), ("waves", 1)):
            _whole(name, getattr(self, name), low)
        _whole("periods", self.periods, 1)
        _whole("horizon", self.horizon, 1)
        for name, low_, high_ in (
            ("missing", 0.0, 0.5),
            ("size_spread", 0.0, 1.0),
            ("stability", 0.0, 0.99),
            ("retention", 0.01, 0.99),
            ("discount", 0.0, 0.99),
            ("points", 0.0, 1.0),
            ("strength", -10.0, 10.0),
            ("retention_by_loyalty", -5.0, 5.0),
            ("margin", -1e12, 1e12),
            ("margin_sd", 0.0, 1e12),
        ):
            _within(name, getattr(self, name), low_, high_)
        unknown = [side for side in self.sides if side not in ("employee", "customer")]
        if unknown or not self.sides:
            raise UsageError(f"sides is {self.sides!r}; expected 'employee', 'customer' or both.")
        self._check_links()

    def _check_links(self) -> None:
        strange = [link for link in self.links if link not in LINKS]
        if strange:
            known = ", ".join(f"{to} ~ {source}" for to, source in LINKS)
            raise UsageError(f"{strange[0]!r} is not a link of the chain; the links, as (to, from), are: {known}.")
        for (to, source), value in self.links.items():
            _within(f"The link {to} ~ {source}", value, -1.0, 1.0)

    @property
    def constructs(self) -> tuple[ConstructPlan, ...]:
        """The constructs this firm asks about."""
        return tuple(c for c in CONSTRUCTS if c.side in self.sides and (c.name != "leadership" or self.leadership))

    @property
    def outcomes(self) -> tuple[OutcomePlan, ...]:
        """The unit results this firm has: both, when customers are asked."""
        return OUTCOMES if "customer" in self.sides else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Constructs and outcomes, in the order of the chain."""
        return (*(c.name for c in self.constructs), *(o.name for o in self.outcomes))

    @property
    def paths(self) -> dict[Link, float]:
        """Standardised unit-level paths among what this firm has."""
        here = set(self.names)
        chosen = {**LINKS, **self.links}
        return {link: self.strength * value for link, value in chosen.items() if set(link) <= here}


def _whole(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise UsageError(f"{name} is {value!r}; expected a whole number of at least {low}.")


def _within(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise UsageError(f"{name} is {value!r}; expected a number between {low} and {high}.")
