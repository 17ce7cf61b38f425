"""Customer accounts: from the ledger's rows to what every customer contributes."""

from spc.accounts.ledger import ControlTotal, CustomerAccounts, customer_accounts, default_drivers
from spc.study.accounts import AccountsSpec, CostDriver

__all__ = ["AccountsSpec", "ControlTotal", "CostDriver", "CustomerAccounts", "customer_accounts", "default_drivers"]
