"""Customer accounts: from the ledger's rows to what every customer contributes."""

from spc.accounts.bridge import bridge, price_times_quantity
from spc.accounts.effort import allocate_hours, sales_effort
from spc.accounts.elasticity import contribution_elasticity
from spc.accounts.groups import Agreement, agreement, customer_groups, share_interval
from spc.accounts.involvement import staff_involvement
from spc.accounts.kpis import kpi_tree, kpi_tree_faults
from spc.accounts.ledger import ControlTotal, CustomerAccounts, book_findings, customer_accounts, default_drivers
from spc.accounts.menu import best_choices, service_menu
from spc.accounts.mixture import customer_clusters
from spc.accounts.peers import PeerRate, peer_gaps, peer_rate
from spc.accounts.profile import good_customer_profile
from spc.accounts.result import AccountsTable
from spc.accounts.risk import contribution_at_risk, rate_uncertainty
from spc.accounts.sellers import seller_portfolios
from spc.accounts.sight import line_of_sight, seller_share
from spc.accounts.targets import driver_targets
from spc.accounts.together import PARTS, ledger_results
from spc.accounts.visits import visit_order
from spc.accounts.waterfall import waterfall
from spc.accounts.whale import gini, whale_curve
from spc.study.accounts import AccountsSpec, CostDriver
from spc.study.plans import AccountsPlans, Effort, Involvement, Kpi, Services, Target

__all__ = [
    "PARTS",
    "AccountsPlans",
    "AccountsSpec",
    "AccountsTable",
    "Agreement",
    "ControlTotal",
    "CostDriver",
    "CustomerAccounts",
    "Effort",
    "Involvement",
    "Kpi",
    "PeerRate",
    "Services",
    "Target",
    "agreement",
    "allocate_hours",
    "best_choices",
    "book_findings",
    "bridge",
    "contribution_at_risk",
    "contribution_elasticity",
    "customer_accounts",
    "customer_clusters",
    "customer_groups",
    "default_drivers",
    "driver_targets",
    "gini",
    "good_customer_profile",
    "kpi_tree",
    "kpi_tree_faults",
    "ledger_results",
    "line_of_sight",
    "peer_gaps",
    "peer_rate",
    "price_times_quantity",
    "rate_uncertainty",
    "sales_effort",
    "seller_portfolios",
    "seller_share",
    "service_menu",
    "share_interval",
    "staff_involvement",
    "visit_order",
    "waterfall",
    "whale_curve",
]
