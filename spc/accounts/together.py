"""Everything the books say of a study, in the order in which it is read."""

from __future__ import annotations

from spc.accounts.bridge import bridge, price_times_quantity
from spc.accounts.groups import customer_groups
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.peers import peer_gaps
from spc.accounts.result import AccountsTable
from spc.accounts.waterfall import waterfall
from spc.accounts.whale import whale_curve

__all__ = ["ledger_results"]

_PEERS = 3


def ledger_results(accounts: CustomerAccounts, *, by: str | None = None) -> list[CustomerAccounts | AccountsTable]:
    """Accounts, waterfall by a property, concentration, groups, bridges and peers, as far as the accounts allow.

    Parameters
    ----------
    accounts : CustomerAccounts
    by : str, optional
        Property of customers; neither a waterfall by it nor groups of peers when None.
    """
    results: list[CustomerAccounts | AccountsTable] = [accounts]
    if by is not None:
        results.append(waterfall(accounts, by=by, period=accounts.all_periods[-1]))
    results += [whale_curve(accounts), customer_groups(accounts)]
    if len(accounts.all_periods) > 1:
        results += [bridge(accounts), price_times_quantity(accounts)]
    last = accounts.at(accounts.all_periods[-1])
    costs = any(driver.side != "revenue" for driver in accounts.spec.drivers)
    if costs and int((last.net_revenue > 0).sum()) >= _PEERS:
        results.append(peer_gaps(accounts, by=by))
    return results
