"""Everything the books say of a study, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from spc.accounts.bridge import bridge, price_times_quantity
from spc.accounts.elasticity import contribution_elasticity
from spc.accounts.groups import customer_groups
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.peers import peer_gaps
from spc.accounts.profile import good_customer_profile
from spc.accounts.result import AccountsTable
from spc.accounts.risk import contribution_at_risk
from spc.accounts.sellers import seller_portfolios
from spc.accounts.waterfall import waterfall
from spc.accounts.whale import whale_curve
from spc.errors import DataError, UsageError

__all__ = ["PARTS", "USUAL", "ledger_results"]

Part = Callable[[CustomerAccounts, str | None], AccountsTable]

_MAKERS: Mapping[str, Part] = MappingProxyType(
    {
        "waterfall": lambda accounts, by: waterfall(accounts, by=by, period=accounts.all_periods[-1]),
        "whale": lambda accounts, by: whale_curve(accounts),
        "elasticity": lambda accounts, by: contribution_elasticity(accounts),
        "groups": lambda accounts, by: customer_groups(accounts),
        "risk": lambda accounts, by: contribution_at_risk(accounts),
        "bridge": lambda accounts, by: bridge(accounts),
        "price": lambda accounts, by: price_times_quantity(accounts),
        "peers": lambda accounts, by: peer_gaps(accounts, by=by),
        "sellers": lambda accounts, by: seller_portfolios(accounts),
        "profile": lambda accounts, by: good_customer_profile(accounts),
    }
)
PARTS = tuple(_MAKERS)
"""What can be asked for beside the accounts themselves."""

USUAL = ("whale", "groups", "bridge", "price", "peers")
"""What is made when nothing is asked for, as far as the accounts allow."""


def ledger_results(
    accounts: CustomerAccounts, *, by: str | None = None, parts: Collection[str] | None = None
) -> list[CustomerAccounts | AccountsTable]:
    """Accounts and what is made of them.

    Parameters
    ----------
    accounts : CustomerAccounts
    by : str, optional
        Property of customers: a waterfall by it comes too, and peers are those alike in it.
    parts : collection of str, optional
        Of :data:`PARTS`; the usual ones that the accounts allow when None.

    Raises
    ------
    UsageError
        An unknown part; or one was asked for by name that these accounts do not allow.
    DataError
        The same, where data are too few.
    """
    unknown = [part for part in parts or () if part not in _MAKERS]
    if unknown:
        raise UsageError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
    if parts is not None:
        return [accounts, *(_MAKERS[part](accounts, by) for part in PARTS if part in parts)]
    usual = USUAL if by is None else ("waterfall", *USUAL)
    found = [_allowed(_MAKERS[part], accounts, by) for part in usual]
    return [accounts, *(result for result in found if result is not None)]


def _allowed(make: Part, accounts: CustomerAccounts, by: str | None) -> AccountsTable | None:
    """The result, unless the accounts are too few for it or have one period."""
    if by is not None:
        accounts.attribute(by)
    try:
        return make(accounts, by)
    except (DataError, UsageError):
        return None
