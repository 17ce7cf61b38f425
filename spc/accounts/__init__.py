"""Customer accounts: from the ledger's rows to what every customer contributes."""

from spc.accounts.bridge import bridge, price_times_quantity
from spc.accounts.ledger import ControlTotal, CustomerAccounts, customer_accounts, default_drivers
from spc.accounts.result import AccountsTable
from spc.accounts.waterfall import waterfall
from spc.study.accounts import AccountsSpec, CostDriver

__all__ = [
    "AccountsSpec",
    "AccountsTable",
    "ControlTotal",
    "CostDriver",
    "CustomerAccounts",
    "bridge",
    "customer_accounts",
    "default_drivers",
    "price_times_quantity",
    "waterfall",
]
