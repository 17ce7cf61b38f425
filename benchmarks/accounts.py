"""Accounts of many customers from many transactions with five cost drivers, beside the same sums by hand.

Run by hand: ``python benchmarks/accounts.py [--rows 100000000] [--customers 1000000]``. DuckDB makes the rows in a
temporary folder as Parquet and deleted afterwards. Every line is a process of its own, so that its peak memory is that
of one run: the least one could do in DuckDB's SQL, the accounts, and pandas on a size that pandas can hold: as it reads
decimals by itself (Python's Decimals, exact; needs pyarrow), and handed whole cents by DuckDB's reader.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from common import in_own_process

ROUNDS = 3
LINES = ("gross", "discount", "product_cost", "freight", "bonus", "service")

MAKE = """
import duckdb
def task():
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SELECT setseed(0.5)")
        step = 5_000_000
        for part, first in enumerate(range(0, rows, step)):
            many = min(step, rows - first)
            connection.execute(f'''COPY (
                SELECT CAST(floor(random() * {customers}) AS INTEGER) AS customer,
                       DATE '2026-01-01' + CAST(floor(random() * 365) AS INTEGER) AS date,
                       CAST(gross AS DECIMAL(9, 2)) AS gross, CAST(gross * 0.07 AS DECIMAL(9, 2)) AS discount,
                       CAST(gross * 0.55 AS DECIMAL(9, 2)) AS product_cost,
                       CAST(3 + 0.01 * gross AS DECIMAL(9, 2)) AS freight,
                       CAST(gross * 0.02 AS DECIMAL(9, 2)) AS bonus, CAST(random() * 9 AS DECIMAL(9, 2)) AS service
                FROM (SELECT random() * 300 AS gross FROM range({many}))
            ) TO '{folder}/part{part:04d}.parquet'
            ''')
"""
BY_HAND = """
import duckdb
def task():
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        table = connection.execute('''
            SELECT customer, year(date) AS period, CAST(sum(gross) * 100 AS BIGINT) AS gross,
                   CAST(sum(discount) * 100 AS BIGINT) AS discount,
                   CAST(sum(product_cost) * 100 AS BIGINT) AS product_cost,
                   CAST(sum(freight) * 100 AS BIGINT) AS freight, CAST(sum(bonus) * 100 AS BIGINT) AS bonus,
                   CAST(sum(service) * 100 AS BIGINT) AS service,
                   CAST((sum(gross) - sum(discount) - sum(product_cost) - sum(freight) - sum(bonus)
                         - sum(service)) * 100 AS BIGINT) AS contribution
            FROM read_parquet(?) GROUP BY 1, 2''', [folder + "/*.parquet"]).fetchnumpy()
    return [int(table[name].sum()) for name in ("gross", "contribution")]
"""
ACCOUNTS = """
import duckdb
from spc import AccountsSpec, CostDriver, customer_accounts
def task():
    sides = {"gross": "revenue", "discount": "deduction", "bonus": "deduction"}
    drivers = tuple(CostDriver(name, side=sides.get(name, "cost"), column=name) for name in lines)
    accounts = customer_accounts(folder, spec=AccountsSpec(drivers))
    return [int(accounts.cents[:, 0].sum()), int(accounts.contribution.sum())]
"""
PANDAS = """
import duckdb, pandas as pd
def task():
    cents = ", ".join(f"CAST({name} * 100 AS BIGINT) AS {name}" for name in lines)
    query = f"SELECT * REPLACE ({cents}) FROM read_parquet(?)"
    frame = duckdb.connect().execute(query, [folder + "/*.parquet"]).df()
    table = frame.groupby(["customer", frame["date"].dt.year])[list(lines)].sum()
    contribution = table["gross"] - table[list(lines[1:])].sum(axis=1)
    return [int(table["gross"].sum()), int(contribution.sum())]
"""
PANDAS_ALONE = """
import pandas as pd
def task():
    frame = pd.read_parquet(folder)
    table = frame.groupby(["customer", pd.to_datetime(frame["date"]).dt.year])[list(lines)].sum()
    contribution = table["gross"] - table[list(lines[1:])].sum(axis=1)
    return [int(table["gross"].sum() * 100), int(contribution.sum() * 100)]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--customers", type=int, default=0, help="one for every hundred rows when left out")
    parser.add_argument("--pandas-rows", type=int, default=20_000_000, help="pandas is left out beyond this many rows")
    options = parser.parse_args()
    customers = options.customers or max(options.rows // 100, 1)
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(MAKE, {"rows": options.rows, "customers": customers, "folder": folder})
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        print(f"{options.rows:,} transactions, {customers:,} customers, five cost drivers, {size:,.0f} MB of Parquet")
        print(f"best of {ROUNDS}:{'':22}{'seconds':>9}{'ratio':>8}{'processor':>11}{'ratio':>8}{'peak MB':>9}")
        tasks = {"DuckDB SQL by hand": BY_HAND, "customer accounts": ACCOUNTS}
        if options.rows <= options.pandas_rows:
            tasks["pandas, handed cents by DuckDB"] = PANDAS
        if options.rows <= options.pandas_rows // 5 and find_spec("pyarrow") is not None:
            tasks["pandas alone, Decimals"] = PANDAS_ALONE
        given = {"folder": folder, "lines": LINES}
        found = {label: [] for label in tasks}
        for _ in range(ROUNDS):
            for label, body in tasks.items():
                found[label].append(in_own_process(body, given))
        by_hand = [min(one[i] for one in found["DuckDB SQL by hand"]) for i in (0, 1)]
        if len({json.dumps(one[3]) for many in found.values() for one in many}) != 1:
            sys.exit("The ways do not give equal cents.")
        for label, many in found.items():
            wall, processor, peak = (min(one[i] for one in many) for i in range(3))
            ratios = wall / by_hand[0], processor / by_hand[1]
            print(f"{label:33}{wall:9.2f}{ratios[0]:8.2f}{processor:11.2f}{ratios[1]:8.2f}{peak:9.0f}")


if __name__ == "__main__":
    main()
