"""The study document that goes with a made-up firm."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pandas as pd

from spc.synthetic.books import YEARS, book_totals
from spc.synthetic.plan import ConstructPlan, FirmPlan

__all__ = ["FILES", "document"]

FILES: Mapping[str, str] = MappingProxyType(
    {
        "employee_responses": "employees.csv",
        "customer_responses": "customers.csv",
        "units": "units.csv",
        "customers": "accounts.csv",
        "transactions": "transactions.csv",
        "costs": "costs.csv",
    }
)
"""File name of each table."""

_ABOUT = {
    "employee_responses": "one row an answered employee questionnaire",
    "customer_responses": "one row an answered customer questionnaire",
    "units": "one row a unit: its name, region and results",
    "customers": "the ledger: one row a customer, with tenure in periods, whether it left, and margin per period",
    "transactions": "one row a sales line; goods that came back are negative",
    "costs": "service minutes and claims of customers",
}


def document(plan: FirmPlan, name: str, seed: int, tables: Mapping[str, object]) -> str:
    """Text of a commented ``study.toml``."""
    parts = [_head(plan, name, seed), *(_table(table) for table in tables), *map(_construct, plan.constructs)]
    parts += [_outcome(o.name, o.label) for o in plan.outcomes]
    if isinstance(sales := tables.get("transactions"), pd.DataFrame) and isinstance(
        costs := tables["costs"], pd.DataFrame
    ):
        parts.append(_accounts(book_totals({"transactions": sales, "costs": costs})))
    parts.append(_tail(plan, "customers" in tables, name))
    return "\n".join(parts)


def _head(plan: FirmPlan, name: str, seed: int) -> str:
    return f"""\
# A study document: which tables, which constructs, which chain, and on what terms money is counted.
# This firm is made up and its truth is known (truth.csv), so results can be held against it.

[study]
name = {_text(name)}
currency = {_text(plan.currency)}
seed = {seed}  # every random number of the analysis follows from it
"""


def _table(table: str) -> str:
    return f"""\
[tables.{table}]  # {_ABOUT[table]}
file = "{FILES[table]}"
"""


def _construct(construct: ConstructPlan) -> str:
    lines = [
        f"[constructs.{construct.name}]",
        f'table = "{construct.side}_responses"',
        f"items = [{_quoted(construct.items)}]",
        f"scale = [{construct.low}, {construct.high}]",
    ]
    if construct.reverse:
        turned = _quoted(construct.items[i] for i in construct.reverse)
        lines.append(f"reverse = [{turned}]  # worded the other way round")
    return "\n".join([*lines, f'label = "{construct.label}"', ""])


def _outcome(name: str, label: str) -> str:
    return f"""\
[constructs.{name}]  # a quantity of the unit, not an answer: no scale
table = "units"
items = ["{name}"]
label = "{label}"
"""


_LINES = (
    ("gross_revenue", 'kind = "column", side = "revenue", column = "gross", where = { kind = "sale" }'),
    ("returns", 'kind = "column", side = "revenue", column = "gross", where = { kind = "return" }'),
    ("discount", 'kind = "column", side = "deduction", column = "discount"'),
    ("bonus", 'kind = "column", side = "deduction", column = "bonus"'),
    ("product_cost", 'kind = "column", column = "product_cost"'),
    ("freight", 'kind = "column", column = "freight"'),
    ("claims", 'kind = "column", table = "costs", column = "amount", where = { cost_driver = "claims" }'),
)


def _accounts(totals: Mapping[str, Mapping[str, float]]) -> str:
    """Part of the document about accounts: lines, what service costs, totals of the general ledger."""

    def by_year(name: str, digits: int = 2) -> str:
        return "{ " + ", ".join(f'"{year}" = {amount:.{digits}f}' for year, amount in totals[name].items()) + " }"

    lines = "".join(f'  {{ name = "{name}", {rest} }},\n' for name, rest in _LINES)
    service = (
        '{ name = "service", kind = "rate", table = "costs", column = "quantity", where = { cost_driver = "service" }, '
        f"resource_cost = {by_year('resource_cost')}, capacity = {by_year('capacity', 0)} }}"
    )
    return f"""\
[accounts]
period = "year"
until = "{YEARS[-1]}-12-31"  # last day of the books
drivers = [  # the lines of an account; revenue is added, deductions and costs are taken off
{lines}  {service},
]

[accounts.control]  # totals of the general ledger; accounts that do not come to them are an error
net_revenue = {by_year("net_revenue")}
contribution = {by_year("contribution")}
"""


def _tail(plan: FirmPlan, ledger: bool, name: str) -> str:
    money = f"""\
[money]
horizon = {plan.horizon}  # periods ahead that count
discount = {plan.discount}  # per period
period = "year"
points = {plan.points}  # points of retention to put a price on
acquisition_cost = 0

"""
    return f"""\
[chain]
preset = "service-profit-chain"  # the links among the constructs above
level = "auto"  # units when both sides are there, persons otherwise
measurement = "auto"

{money if ledger else ""}\
[disclosure]
minimum_group = 5  # no figure about fewer answers than this
minimum_comments = 10

[report]
title = {_text(f"{name}: what the chain is worth")}
"""


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(_text, names))
