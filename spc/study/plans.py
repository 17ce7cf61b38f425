"""What the document says of plans for customers: hours of effort, targets, services, figures and who owns them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from spc.errors import DataError, Finding

__all__ = ["AccountsPlans", "Effort", "Involvement", "Kpi", "Services", "Target"]


@dataclass(frozen=True)
class Effort:
    """Hours of sales effort, told from the lines of the accounts, and what is left to plan.

    Attributes
    ----------
    hours : mapping of str to float
        Line at a rate to hours a piece: ``{"visits": 1.5, "service_minutes": 1 / 60}``.
    visit_hours : float
        Hours that one more visit takes, with the way there.
    capacity : float or None
        Hours of visits that there are in the next period; all customers are ranked when None.
    curve : float or None
        Per cent more contribution for one per cent more hours; estimated when None.
    by : str
        Property of customers that makes the groups.
    """

    hours: Mapping[str, float]
    visit_hours: float = 1.0
    capacity: float | None = None
    curve: float | None = None
    by: str = "segment"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hours", MappingProxyType(dict(self.hours)))
        numbers = {**{f"hours.{line}": value for line, value in self.hours.items()}, "visit_hours": self.visit_hours}
        numbers |= {} if self.capacity is None else {"capacity": self.capacity}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value > 0):
                raise _fault(f"effort.{name}", "outside_range", f"{value}", "a positive number of hours")
        if self.curve is not None and not 0 < self.curve < 1:
            raise _fault("effort.curve", "outside_range", f"{self.curve}", "a number between 0 and 1, such as 0.3")


@dataclass(frozen=True)
class Target:
    """A rate of a cost driver that is to fall for some customers.

    Attributes
    ----------
    line : str
    since : str
        First period of the target.
    customers : tuple of str
        Whom it is for; those of ``group`` when empty.
    by, group : str
        Property of customers, and the value that the targeted ones have.
    """

    line: str
    since: str
    customers: Sequence[str] = ()
    by: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "customers", tuple(map(str, self.customers)))
        if bool(self.customers) == bool(self.by and self.group):
            found = "both customers and a group" if self.customers else "neither customers nor a group"
            raise _fault(
                f"targets.{self.line}", "wrong_form", found, 'customers = [...], or by = "segment", group = "..."'
            )


@dataclass(frozen=True)
class Services:
    """Levels of services that groups of customers may get, and what they may cost.

    Attributes
    ----------
    offers : tuple of mapping
        ``service, level, cost, effect``, and ``group`` or ``std_error`` where known.
    worth_of_point : float or mapping of str to float
        Money a customer and period that one point of satisfaction is worth; for all, or by group.
    budget : float or None
    by : str
        Property of customers that makes the groups.
    """

    offers: Sequence[Mapping[str, Any]]
    worth_of_point: float | Mapping[str, float]
    budget: float | None = None
    by: str = "segment"

    def __post_init__(self) -> None:
        object.__setattr__(self, "offers", tuple(MappingProxyType(dict(offer)) for offer in self.offers))


@dataclass(frozen=True)
class Kpi:
    """A figure by which people are led: whose it is, where it belongs, what it is made of.

    Attributes
    ----------
    name, owner, parent : str
        The parent is the figure it belongs to; empty for the uppermost.
    construct : str
        Link of the chain that it shows, such as ``"customer_loyalty"``; found from the line when empty.
    line : str
        Line of the accounts that it moves; empty where it moves none.
    """

    name: str
    owner: str = ""
    parent: str = ""
    construct: str = ""
    line: str = ""


@dataclass(frozen=True)
class Involvement:
    """Where the answers say who was involved in forming the groups of customers.

    Attributes
    ----------
    column : str
        Of the employees' answers: 1, yes or true for those who were.
    construct : str
        What is compared.
    """

    column: str
    construct: str = "employee_satisfaction"


@dataclass(frozen=True)
class AccountsPlans:
    """All that is planned for customers; each part may be absent."""

    effort: Effort | None = None
    targets: tuple[Target, ...] = ()
    services: Services | None = None
    kpis: tuple[Kpi, ...] = ()
    involvement: Involvement | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> AccountsPlans:
        """Plans of ``[accounts]``.

        Raises
        ------
        DataError
            A number of hours that is none, a target for nobody.
        """
        return cls(
            effort=Effort(**value["effort"]) if "effort" in value else None,
            targets=tuple(Target(**one) for one in value.get("targets", ())),
            services=Services(**value["services"]) if "services" in value else None,
            kpis=tuple(Kpi(**one) for one in value.get("kpis", ())),
            involvement=Involvement(**value["involvement"]) if "involvement" in value else None,
        )

    @classmethod
    def keys(cls) -> frozenset[str]:
        """Keys of ``[accounts]`` that are plans."""
        return frozenset(cls.__dataclass_fields__)


def _fault(name: str, rule: str, found: str, expected: str) -> DataError:
    return DataError([Finding("accounts", name, rule, found, expected, "Correct it.")])
