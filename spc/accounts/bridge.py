"""Why contribution changed between two periods: parts that sum to the difference, to the cent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.calendar import period_name
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.money import IntArray
from spc.accounts.result import AccountsTable, accounts_of, latest_two, table_of
from spc.accounts.rows import sum_rows
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note
from spc.study.accounts import CostDriver

__all__ = ["bridge", "price_times_quantity"]

Method = Literal["in_order", "shapley"]
_ALL = "\x1f"
"""Stands for all products of a customer: lines that belong to the customer as a whole."""


@dataclass(frozen=True, eq=False)
class _Cells:
    """Customer × product in two periods.

    Attributes
    ----------
    customer, product : (n,) arrays of str
    quantity : (2, n) float array
    cents : (2, n, k) int array
    whole : (n,) bool array
        Cells of lines that belong to a customer as a whole; their quantity is that of all the customer's products.
    """

    customer: npt.NDArray[np.object_]
    product: npt.NDArray[np.object_]
    quantity: FloatArray
    cents: IntArray
    whole: npt.NDArray[np.bool_]


def bridge(
    study: Any,
    *,
    before: str | None = None,
    after: str | None = None,
    by: str | None = None,
    method: Method = "in_order",
) -> AccountsTable:
    r"""Split the change of contribution between two periods into price, volume, mix, costs, new and lost customers.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    before, after : str, optional
        Periods; the latest two when None.
    by : str, optional
        A property of customers, ``"customer"`` or ``"product"``: a bridge for each, which sum to the bridge of all.
    method : {"in_order", "shapley"}
        ``in_order``: volume and mix at the old unit values, then unit values at the new quantities, as is usual.
        ``shapley``: each part is its average over all orders in which the three could have changed.

    Returns
    -------
    AccountsTable
        Kind ``bridge``. Rows of kind ``start``, ``part`` and ``end`` for each group (``rhs``); the parts sum to the
        difference exactly. ``lhs`` of a part: ``price`` (the first line of revenue a piece), ``volume``, ``mix``, the
        name of each other line (what a piece now costs more or less), ``new_customers``, ``lost_customers``,
        ``new_products``, ``dropped_products`` (of customers who stay). ``augment()`` has a row a group.

    Raises
    ------
    UsageError
        There are not two periods.

    Notes
    -----
    For customers who stay and products they bought in both periods, with quantities :math:`q`, unit contribution
    :math:`m`, total quantities :math:`Q` and :math:`g = Q_1/Q_0`: volume :math:`(g-1)\sum q_0 m_0`, mix
    :math:`\sum (q_1 - g q_0) m_0`, and for each line :math:`\sum q_1 (v_1 - v_0)`. Costs of a customer as a whole
    (rates, pools, other tables) are taken per piece of all the customer bought. Every cell is rounded to the cent in a
    way that keeps its own sum, so groups sum to the whole.

    References
    ----------
    Shapley (1953), Contributions to the Theory of Games II, 307-317.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": ["a", "b", "a", "c"], "date": ["2025-01-01"] * 2 + ["2026-01-01"] * 2,
    ...                       "quantity": [10, 5, 12, 1], "amount": [100.0, 50.0, 144.0, 9.0]})
    >>> bridge(sales).tidy()[["lhs", "estimate"]]
                  lhs  estimate
    0            2025     150.0
    1           price      24.0
    2          volume      20.0
    3             mix       0.0
    4   new_customers       9.0
    5  lost_customers     -50.0
    6            2026     153.0
    """
    if method not in get_args(Method):
        raise UsageError(f"method is {method!r}; expected one of {', '.join(get_args(Method))}.")
    accounts = accounts_of(study)
    before, after = latest_two(accounts, before, after)
    cells = _cells(accounts, before, after)
    names, parts = _parts(accounts, cells, method)
    groups = _groups(accounts, cells, by)
    codes, labels = pd.factorize(groups, sort=True)
    sums = np.zeros((len(labels), len(names)), dtype=np.int64)
    np.add.at(sums, codes, parts)
    ends = np.zeros((len(labels), 2), dtype=np.int64)
    np.add.at(ends, codes, (cells.cents @ accounts.signs).T)
    kept = [i for i, name in enumerate(names) if sums[:, i].any() or name in ("price", "volume", "mix")]
    names, sums = [names[i] for i in kept], sums[:, kept]
    rows = []
    for i, label in enumerate(labels):
        who = "all" if by is None else str(label)
        money = [float(value) for value in accounts.money(np.array([ends[i, 0], *sums[i], ends[i, 1]]))]
        kinds = ["start", *["part"] * len(names), "end"]
        rows += [{"lhs": name, "rhs": who, "kind": kind, "estimate": value}
                 for name, kind, value in zip([before, *names, after], kinds, money, strict=True)]  # fmt: skip
    table = pd.DataFrame({by or "whose": labels if by is not None else ["all"] * len(labels)})
    table = table.assign(**{before: accounts.money(ends[:, 0])})
    table = table.assign(**{name: accounts.money(sums[:, i]) for i, name in enumerate(names)})
    table = table.assign(**{after: accounts.money(ends[:, 1])})
    change = int(ends[:, 1].sum() - ends[:, 0].sum())
    summary = {"before": before, "after": after, "method": method, "change": float(accounts.money(change)),
               **_counted(cells)}  # fmt: skip
    options = {"before": before, "after": after, "method": method, "by": by}
    return table_of("bridge", accounts, rows, summary, table, _remarks(accounts, cells, before, after), options)


def _cells(accounts: CustomerAccounts, before: str, after: str) -> _Cells:
    """Lines of both periods by customer and product, and by customer for what belongs to no product."""
    relation, drivers = accounts.sources["transactions"], accounts.spec.drivers
    first = next(driver for driver in drivers if driver.side == "revenue")
    column = "quantity" if "quantity" in relation.kinds else None
    pieces = CostDriver("pieces", "rate", column=column, where=first.where, rate=1)
    own = [k for k, d in enumerate(drivers) if d.money and d.table == "transactions"]
    by = ["product"] if "product" in relation.kinds else []
    spec = accounts.spec
    sums = sum_rows(relation, [*(drivers[k] for k in own), pieces], spec, by=by)
    product = sums.keys[1] if by else np.full(len(sums.period), "", dtype=object)
    product = np.where(pd.isna(product), "", product)
    codes = {name: i for i, name in enumerate((before, after))}
    at = np.array([codes.get(period_name(spec, int(p)), -1) for p in sums.period], dtype=np.intp)
    known = (at >= 0) & ~pd.isna(sums.keys[0])
    customers, places, which = sums.keys[0][known], product[known], at[known]
    whole = [k for k in range(len(drivers)) if k not in own]
    rows = np.array([codes.get(p, -1) for p in accounts.periods], dtype=np.intp)
    here = rows >= 0
    names = np.concatenate([customers, accounts.customers[here] if whole else customers[:0]])
    goods = np.concatenate([places, np.full(len(names) - len(places), _ALL, dtype=object)])
    both, cell = _pairs(names, goods)
    cents = np.zeros((2, len(both[0]), len(drivers)), dtype=np.int64)
    quantity = np.zeros((2, len(both[0])), dtype=np.int64)
    for j, k in enumerate(own):
        np.add.at(cents[:, :, k], (which, cell[: len(places)]), sums.values[known, j])
    np.add.at(quantity, (which, cell[: len(places)]), sums.values[known, -1])
    if whole:
        for k in whole:
            np.add.at(cents[:, :, k], (rows[here], cell[len(places) :]), accounts.cents[here, k])
    return _with_whole(both, quantity, cents)


def _pairs(
    names: npt.NDArray[np.object_], goods: npt.NDArray[np.object_]
) -> tuple[tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]], npt.NDArray[np.intp]]:
    a, first = pd.factorize(names, sort=True)
    b, second = pd.factorize(goods, sort=True)
    key, place = np.unique(a.astype(np.int64) * max(len(second), 1) + b, return_inverse=True)
    width = max(len(second), 1)
    return (np.asarray(first, dtype=object)[key // width], np.asarray(second, dtype=object)[key % width]), place


def _with_whole(both: tuple[Any, Any], quantity: IntArray, cents: IntArray) -> _Cells:
    customer, product = both
    whole = product == _ALL
    codes, _ = pd.factorize(customer)
    totals = np.zeros((2, codes.max(initial=-1) + 1), dtype=np.int64)
    for t in (0, 1):
        np.add.at(totals[t], codes, quantity[t])
    pieces = np.where(whole, totals[:, codes], quantity) / 1e6
    return _Cells(customer, product, pieces, cents, whole)


def _status(cells: _Cells) -> npt.NDArray[np.int8]:
    """0 idle in both periods, 1 only before, 2 only after, 3 a customer who stays; by cell."""
    codes, _ = pd.factorize(cells.customer)
    bought = np.zeros((2, codes.max(initial=-1) + 1), dtype=bool)
    for t in (0, 1):
        np.logical_or.at(bought[t], codes, (cells.quantity[t] > 0) & ~cells.whole)
    return np.asarray((bought[0] + 2 * bought[1].astype(np.int8))[codes], dtype=np.int8)


def _parts(accounts: CustomerAccounts, cells: _Cells, method: Method) -> tuple[list[str], IntArray]:
    """Parts of the change of every cell, (n, parts), in smallest units; each row sums to the change of its cell."""
    signs, lines = accounts.signs, list(accounts.lines)
    first = next(k for k, driver in enumerate(accounts.spec.drivers) if driver.side == "revenue")
    names = ["price", "volume", "mix", *(name for k, name in enumerate(lines) if k != first)]
    names += ["new_customers", "lost_customers", "new_products", "dropped_products"]
    place = {k: 0 if k == first else names.index(name) for k, name in enumerate(lines)}
    status = _status(cells)
    q0, q1 = cells.quantity
    signed = cells.cents * signs
    change = signed[1] - signed[0]
    parts = np.zeros((len(status), len(names)), dtype=np.int64)
    parts[status == 2, names.index("new_customers")] = change[status == 2].sum(axis=1)
    parts[status == 1, names.index("lost_customers")] = change[status == 1].sum(axis=1)
    stays = status == 3
    split = stays & (q0 > 0) & (q1 > 0)
    fresh = stays & ~cells.whole & (q0 <= 0) & (q1 > 0)
    gone = stays & ~cells.whole & (q0 > 0) & (q1 <= 0)
    parts[fresh, names.index("new_products")] = change[fresh].sum(axis=1)
    parts[gone, names.index("dropped_products")] = change[gone].sum(axis=1)
    rest = (status == 0) | (stays & ~split & ~fresh & ~gone)
    goods = split & ~cells.whole
    growth = q1[goods].sum() / q0[goods].sum() if goods.any() else 1.0
    volume, values = (_in_order if method == "in_order" else _shapley)(signed[:, split], q0[split], q1[split], growth)
    parts[split, 1] = volume
    for k, column in place.items():
        parts[rest, column] += change[rest, k]
        parts[split, column] += values[:, k]
    parts[split, 2] = change[split].sum(axis=1) - values.sum(axis=1) - volume
    return names, parts


def _in_order(signed: IntArray, q0: FloatArray, q1: FloatArray, growth: float) -> tuple[IntArray, IntArray]:
    """Volume of each cell, and what the unit values of each line changed at the new quantity."""
    at_old = _whole(signed[0] * (q1 / q0)[:, None])
    return _whole((growth - 1.0) * signed[0].sum(axis=1)), signed[1] - at_old


def _shapley(signed: IntArray, q0: FloatArray, q1: FloatArray, growth: float) -> tuple[IntArray, IntArray]:
    """The same, each the average over the six orders of volume, mix and unit values."""
    old, new = signed[0] / q0[:, None], signed[1] / q1[:, None]
    pieces = {(0, 0): q0, (1, 0): growth * q0, (0, 1): q1 / growth, (1, 1): q1}
    w = {(a, b, c): q[:, None] * v for (a, b), q in pieces.items() for c, v in ((0, old), (1, new))}
    volume = (w[1, 0, 0] - w[0, 0, 0] + w[1, 1, 1] - w[0, 1, 1]) / 3
    volume += (w[1, 1, 0] - w[0, 1, 0] + w[1, 0, 1] - w[0, 0, 1]) / 6
    value = (w[0, 0, 1] - w[0, 0, 0] + w[1, 1, 1] - w[1, 1, 0]) / 3
    value += (w[1, 0, 1] - w[1, 0, 0] + w[0, 1, 1] - w[0, 1, 0]) / 6
    return _whole(volume.sum(axis=1)), _whole(value)


def _whole(values: FloatArray) -> IntArray:
    return np.asarray(np.rint(values), dtype=np.int64)


def _groups(accounts: CustomerAccounts, cells: _Cells, by: str | None) -> npt.NDArray[np.object_]:
    if by is None:
        return np.full(len(cells.customer), "all", dtype=object)
    if by == "customer":
        return cells.customer
    if by == "product":
        if not (cells.product[~cells.whole] != "").any():
            raise UsageError("The transactions have no column product, so there is no bridge by product.")
        return np.where(cells.whole, "(all products)", np.where(cells.product == "", "(not known)", cells.product))
    if by not in accounts.attributes:
        accounts.attribute(by)
    found = accounts.attributes[by].reindex(cells.customer).to_numpy(dtype=object)
    return np.array(["(not known)" if pd.isna(value) else str(value) for value in found], dtype=object)


def _counted(cells: _Cells) -> dict[str, int]:
    frame = pd.DataFrame({"customer": cells.customer, "status": _status(cells)}).drop_duplicates("customer")
    counts = frame["status"].value_counts()
    names = {3: "staying", 2: "new", 1: "lost"}
    return {f"{name}_customers": int(counts.get(code, 0)) for code, name in names.items()}


def _remarks(accounts: CustomerAccounts, cells: _Cells, before: str, after: str) -> list[Note]:
    notes = []
    relation = accounts.sources["transactions"]
    if "quantity" not in relation.kinds:
        notes.append(Note.of("no_quantity", "warning", "volume"))
    if "product" not in relation.kinds:
        notes.append(Note.of("no_product", "warning", "mix"))
    places = [accounts.all_periods.index(p) for p in (before, after)]
    nobody = accounts.unassigned[places] @ accounts.signs
    if int(nobody[1] - nobody[0]):
        money = float(accounts.money(nobody[1] - nobody[0]))
        notes.append(Note.of("unassigned_change", "info", "unassigned", money=money))
    return notes


def price_times_quantity(study: Any, *, before: str | None = None, after: str | None = None) -> AccountsTable:
    r"""Split the change of revenue into more and less volume, upgrades and downgrades, prices, new and lost customers.

    A customer's upgrade is the change of what a piece of its basket costs *at last period's prices* of all customers:
    dearer products, not dearer prices.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    before, after : str, optional
        Periods; the latest two when None.

    Returns
    -------
    AccountsTable
        Kind ``price_quantity``. Rows as of a bridge; ``std_error`` is empty and ``statistic`` counts the customers
        behind a part. ``augment()`` has a row a customer.

    Notes
    -----
    With base prices :math:`b_j` (revenue a piece of product j over all customers before, or after where it is new),
    :math:`B_t = \sum_j q_{tj} b_j` and :math:`Q_t = \sum_j q_{tj}` of one customer: volume
    :math:`(Q_1 - Q_0) B_0/Q_0`, upgrade :math:`Q_1 (B_1/Q_1 - B_0/Q_0)`, price the rest.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": ["a", "b", "a", "b"], "date": ["2025-01-01"] * 2 + ["2026-01-01"] * 2,
    ...                       "product": ["basic", "plus", "plus", "plus"], "quantity": [10, 10, 10, 12],
    ...                       "amount": [100.0, 200.0, 200.0, 240.0]})
    >>> price_times_quantity(sales).tidy()[["lhs", "estimate", "statistic"]]
               lhs  estimate  statistic
    0         2025     300.0        NaN
    1  more_volume      40.0        1.0
    2     upgrades     100.0        1.0
    3         2026     440.0        NaN
    """
    accounts = accounts_of(study)
    before, after = latest_two(accounts, before, after)
    cells = _cells(accounts, before, after)
    first = next(k for k, driver in enumerate(accounts.spec.drivers) if driver.side == "revenue")
    own = ~cells.whole
    q, r = cells.quantity[:, own], cells.cents[:, own, first]
    base = _base_prices(cells.product[own], q, r)
    codes, customers = pd.factorize(cells.customer[own], sort=True)
    quantity, basket = np.zeros((2, len(customers))), np.zeros((2, len(customers)))
    revenue = np.zeros((2, len(customers)), dtype=np.int64)
    for t in (0, 1):
        np.add.at(quantity[t], codes, q[t])
        np.add.at(revenue[t], codes, r[t])
        np.add.at(basket[t], codes, q[t] * base)
    stays = (quantity > 0).all(axis=0)
    change = revenue[1] - revenue[0]
    volume, upgrade = np.zeros_like(change), np.zeros_like(change)
    unit = basket[0, stays] / quantity[0, stays]
    volume[stays] = _whole((quantity[1, stays] - quantity[0, stays]) * unit)
    upgrade[stays] = _whole(basket[1, stays] - quantity[1, stays] * unit)
    price = np.where(stays, change - volume - upgrade, 0)
    new, lost = ~stays & (quantity[1] > 0), ~stays & (quantity[1] <= 0)
    split = [("more_volume", np.maximum(volume, 0)), ("less_volume", np.minimum(volume, 0)),
             ("upgrades", np.maximum(upgrade, 0)), ("downgrades", np.minimum(upgrade, 0)),
             ("higher_prices", np.maximum(price, 0)), ("lower_prices", np.minimum(price, 0)),
             ("new_customers", np.where(new, change, 0)), ("lost_customers", np.where(lost, change, 0))]  # fmt: skip
    rows: list[dict[str, Any]] = [{"lhs": before, "kind": "start", "estimate": float(accounts.money(revenue[0].sum()))}]
    rows += [{"lhs": name, "kind": "part", "estimate": float(accounts.money(part.sum())),
              "statistic": float(np.count_nonzero(part))} for name, part in split if part.any()]  # fmt: skip
    rows.append({"lhs": after, "kind": "end", "estimate": float(accounts.money(revenue[1].sum()))})
    table = pd.DataFrame({"customer": customers, before: accounts.money(revenue[0]), "volume": accounts.money(volume),
                          "upgrade": accounts.money(upgrade), "price": accounts.money(price),
                          "new_or_lost": accounts.money(np.where(stays, 0, change)),
                          after: accounts.money(revenue[1])})  # fmt: skip
    summary = {"before": before, "after": after, "change": float(accounts.money(change.sum())),
               "upgrade_balance": float(accounts.money(upgrade.sum())),
               "volume_balance": float(accounts.money(volume.sum()))}  # fmt: skip
    options = {"before": before, "after": after}
    return table_of("price_quantity", accounts, rows, summary, table, _remarks(accounts, cells, before, after), options)


def _base_prices(product: npt.NDArray[np.object_], q: FloatArray, r: IntArray) -> FloatArray:
    """Revenue a piece of each cell's product over all customers: before, or after where it was not sold before."""
    codes, names = pd.factorize(product)
    pieces, money = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for t in (0, 1):
        np.add.at(pieces[t], codes, q[t])
        np.add.at(money[t], codes, r[t].astype(float))
    prices = np.zeros(len(names))
    for t in (1, 0):
        sold = pieces[t] > 0
        prices[sold] = money[t, sold] / pieces[t, sold]
    return np.asarray(prices[codes])
