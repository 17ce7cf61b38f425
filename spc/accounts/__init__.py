"""Customer accounts: from the ledger's rows to what every customer contributes."""

from spc.accounts.bridge import bridge, price_times_quantity
from spc.accounts.groups import Agreement, agreement, customer_groups, share_interval
from spc.accounts.ledger import ControlTotal, CustomerAccounts, customer_accounts, default_drivers
from spc.accounts.peers import PeerRate, peer_gaps, peer_rate
from spc.accounts.result import AccountsTable
from spc.accounts.together import ledger_results
from spc.accounts.waterfall import waterfall
from spc.accounts.whale import gini, whale_curve
from spc.study.accounts import AccountsSpec, CostDriver

__all__ = [
    "AccountsSpec",
    "AccountsTable",
    "Agreement",
    "ControlTotal",
    "CostDriver",
    "CustomerAccounts",
    "PeerRate",
    "agreement",
    "bridge",
    "customer_accounts",
    "customer_groups",
    "default_drivers",
    "gini",
    "ledger_results",
    "peer_gaps",
    "peer_rate",
    "price_times_quantity",
    "share_interval",
    "waterfall",
    "whale_curve",
]
