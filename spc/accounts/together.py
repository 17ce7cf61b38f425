"""Everything the books say of a study, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from spc.accounts.bridge import bridge, price_times_quantity
from spc.accounts.effort import sales_effort
from spc.accounts.elasticity import contribution_elasticity
from spc.accounts.groups import customer_groups
from spc.accounts.involvement import staff_involvement
from spc.accounts.kpis import kpi_tree
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.menu import service_menu
from spc.accounts.mixture import customer_clusters
from spc.accounts.peers import peer_gaps
from spc.accounts.profile import good_customer_profile
from spc.accounts.result import AccountsTable
from spc.accounts.risk import contribution_at_risk
from spc.accounts.sellers import seller_portfolios
from spc.accounts.targets import driver_targets
from spc.accounts.visits import visit_order
from spc.accounts.waterfall import waterfall
from spc.accounts.whale import whale_curve
from spc.errors import DataError, UsageError
from spc.study.plans import Target

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["PARTS", "USUAL", "ledger_results"]

Part = Callable[[CustomerAccounts, str | None], AccountsTable]

_MAKERS: Mapping[str, Part] = MappingProxyType(
    {
        "waterfall": lambda accounts, by: waterfall(accounts, by=by, period=accounts.all_periods[-1]),
        "whale": lambda accounts, by: whale_curve(accounts),
        "elasticity": lambda accounts, by: contribution_elasticity(accounts),
        "groups": lambda accounts, by: customer_groups(accounts),
        "clusters": lambda accounts, by: customer_clusters(accounts),
        "risk": lambda accounts, by: contribution_at_risk(accounts),
        "bridge": lambda accounts, by: bridge(accounts),
        "price": lambda accounts, by: price_times_quantity(accounts),
        "peers": lambda accounts, by: peer_gaps(accounts, by=by),
        "sellers": lambda accounts, by: seller_portfolios(accounts),
        "profile": lambda accounts, by: good_customer_profile(accounts),
        "effort": lambda accounts, by: sales_effort(accounts, by=by),
        "visits": lambda accounts, by: visit_order(accounts, by=by),
        "menu": lambda accounts, by: _menu(accounts),
        "kpis": lambda accounts, by: kpi_tree(accounts),
    }
)
PARTS = (*_MAKERS, "targets", "involvement")
"""What can be asked for beside the accounts themselves."""

USUAL = ("whale", "groups", "bridge", "price", "peers")
"""What is made when nothing is asked for, as far as the accounts allow."""


def ledger_results(
    accounts: CustomerAccounts,
    *,
    by: str | None = None,
    parts: Collection[str] | None = None,
    study: Study | None = None,
) -> list[CustomerAccounts | AccountsTable]:
    """Accounts and what is made of them.

    Parameters
    ----------
    accounts : CustomerAccounts
    by : str, optional
        Property of customers: a waterfall by it comes too, and peers are those alike in it.
    parts : collection of str, optional
        Of :data:`PARTS`; the usual ones that the accounts allow when None.
    study : Study, optional
        Whose answers say who was involved; the part ``involvement`` is of them.

    Raises
    ------
    UsageError
        An unknown part; or one was asked for by name that these accounts do not allow.
    DataError
        The same, where data are too few.
    """
    unknown = [part for part in parts or () if part not in PARTS]
    if unknown:
        raise UsageError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
    if parts is not None:
        made = [one for part in PARTS if part in parts for one in _made(part, accounts, by, study)]
        return [accounts, *made]
    usual = USUAL if by is None else ("waterfall", *USUAL)
    found = [_allowed(_MAKERS[part], accounts, by) for part in usual]
    return [accounts, *(result for result in found if result is not None)]


def _made(part: str, accounts: CustomerAccounts, by: str | None, study: Study | None) -> list[AccountsTable]:
    """Results of one part; there is one a target."""
    if part == "targets":
        if not accounts.spec.plans.targets:
            raise UsageError("There are no targets: name lines and customers under [[accounts.targets]].")
        return [_target(accounts, target) for target in accounts.spec.plans.targets]
    if part == "involvement":
        if study is None:
            raise UsageError("Involvement is asked of employees; give the study with their answers.")
        return [staff_involvement(study)]
    return [_MAKERS[part](accounts, by)]


def _target(accounts: CustomerAccounts, target: Target) -> AccountsTable:
    chosen: Collection[str] = target.customers
    if not chosen:
        here = accounts.attribute(target.by).astype(str) == target.group
        chosen = set(accounts.customers[here])
    return driver_targets(accounts, line=target.line, targeted=chosen, since=target.since)


def _menu(accounts: CustomerAccounts) -> AccountsTable:
    plan = accounts.spec.plans.services
    if plan is None:
        raise UsageError("There are no services: name what may be offered under [accounts.services].")
    offers = pd.DataFrame([dict(offer) for offer in plan.offers])
    return service_menu(accounts, offers, worth_of_point=plan.worth_of_point, by=plan.by, budget=plan.budget)


def _allowed(make: Part, accounts: CustomerAccounts, by: str | None) -> AccountsTable | None:
    """The result, unless the accounts are too few for it or have one period."""
    if by is not None:
        accounts.attribute(by)
    try:
        return make(accounts, by)
    except (DataError, UsageError):
        return None
