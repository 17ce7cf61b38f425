"""The service menu: which level of which service each group of customers gets, for what it costs and brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["best_choices", "service_menu"]


def best_choices(value: FloatArray, cost: FloatArray, choice: npt.NDArray[np.intp], budget: float) -> FloatArray:
    """Which offers to make: at most one a choice, most value, and no more cost than the budget.

    Parameters
    ----------
    value, cost : (n,) arrays
        Of each offer.
    choice : (n,) int array
        Offers of which one at most is made.
    budget : float
        May be infinite.

    Returns
    -------
    (n,) array
        One where the offer is made, else zero; the best of all, by branch and bound.

    Examples
    --------
    >>> best_choices(np.array([5.0, 8.0, 4.0]), np.array([1.0, 4.0, 2.0]), np.array([0, 0, 1]), 4.0).tolist()
    [1.0, 0.0, 1.0]
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    each = (np.arange(choice.max(initial=-1) + 1)[:, None] == choice).astype(float)
    limits = [LinearConstraint(each, -np.inf, 1.0)]
    if np.isfinite(budget):
        limits.append(LinearConstraint(cost[None, :], -np.inf, budget))
    found = milp(-value, constraints=limits, integrality=np.ones(len(value)), bounds=Bounds(0, 1))
    if found.x is None:
        raise UsageError(f"No choice of services costs at most {budget:,.2f}; is the budget negative?")
    return np.asarray(np.rint(found.x))


def service_menu(
    study: Any,
    services: pd.DataFrame,
    *,
    worth_of_point: float | Mapping[str, float],
    by: str = "segment",
    groups: pd.DataFrame | None = None,
    lines: tuple[str, ...] = (),
    budget: float | None = None,
    period: str | None = None,
    level: float = 0.95,
) -> AccountsTable:
    """Set what each level of a service costs beside what it is expected to bring, by group, and choose.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    services : DataFrame
        ``service, level, cost`` (money a customer and period) and ``effect`` (points of satisfaction it adds);
        optionally ``group`` (offers for that group alone; for all where blank) and ``std_error`` of the effect.
    worth_of_point : float or mapping of str to float
        Money a customer and period that one point of satisfaction is worth; one a group, or for all. From
        :func:`spc.money_of_link`, or an experiment.
    by : str
        Property of customers that makes the groups, unless ``groups`` says.
    groups : DataFrame, optional
        ``customer`` and ``group``, such as :func:`customer_groups` gives for one period.
    lines : tuple of str
        Lines of the accounts that are cost to serve, to be set beside the menu; all costs when empty.
    budget : float, optional
        Most that all customers together may cost in a period; no limit when None.
    period : str, optional
        The latest when None.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``menu``. Rows: ``cost_to_serve`` (a customer and period, by group, now; ``statistic`` customers),
        ``offer`` (``lhs`` service and level, ``rhs`` group, ``estimate`` what it brings a period less its cost, with
        the interval of the effect) and ``choice`` (offers that are made under the budget). ``augment()`` has a row an
        offer.

    Raises
    ------
    DataError
        A column is absent, a number is missing or not finite, an offer is there twice or for an unknown group.
    UsageError
        An unknown line or property; no worth for a group.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": list("abc"), "date": "2026-01-01", "amount": [900.0, 40.0, 60.0]})
    >>> people = pd.DataFrame({"customer": list("abc"), "segment": ["key", "small", "small"]})
    >>> offers = pd.DataFrame({"service": "visits", "level": ["monthly", "yearly"], "cost": [120.0, 10.0],
    ...                        "effect": [0.8, 0.3]})
    >>> menu = service_menu({"transactions": sales, "customers": people}, offers,
    ...                     worth_of_point={"key": 400.0, "small": 50.0}, budget=200.0)
    >>> menu.tidy().query("kind == 'choice'")[["lhs", "rhs", "estimate"]]
                   lhs    rhs  estimate
    6  visits: monthly    key     200.0
    7   visits: yearly  small      10.0
    """
    from scipy.special import ndtri

    accounts = accounts_of(study)
    period = latest(accounts, period)
    accounts = accounts.at(period)
    unknown = [line for line in lines if line not in accounts.lines]
    if unknown:
        raise UsageError(f"There is no line {unknown[0]!r}; the lines are {', '.join(accounts.lines)}.")
    own = _groups(accounts.customers, accounts.attribute(by) if groups is None else None, groups)
    sizes = {str(name): int(n) for name, n in own.value_counts().sort_index().items()}
    offers = _offers(services, list(sizes))
    worth = _worth(worth_of_point, list(sizes))
    many = offers["group"].map(sizes).to_numpy(float)
    each = offers["group"].map(worth).to_numpy(float)
    offers["brings"] = many * each * offers["effect"]
    offers["costs"] = many * offers["cost"]
    offers["net"] = offers["brings"] - offers["costs"]
    half = float(ndtri((1 + level) / 2)) * many * np.abs(each) * offers["std_error"].to_numpy(float)
    offers["conf_low"], offers["conf_high"] = offers["net"] - half, offers["net"] + half
    choice = offers.groupby(["group", "service"]).ngroup().to_numpy()
    limit = np.inf if budget is None else float(budget)
    chosen = (
        best_choices(offers["net"].to_numpy(), offers["costs"].to_numpy(), np.asarray(choice, dtype=np.intp), limit) > 0
    )
    offers["chosen"] = chosen & (offers["net"].to_numpy() > 0)
    costs = [k for k, d in enumerate(accounts.spec.drivers) if (d.name in lines if lines else d.side == "cost")]
    served = pd.Series(accounts.money(accounts.cents[:, costs].sum(axis=1)))
    means = {name: float(served[own == name].mean()) for name in sizes}
    rows: list[dict[str, Any]] = [
        {"lhs": "cost_to_serve", "rhs": name, "group": period, "kind": "cost_to_serve", "estimate": means[name],
         "statistic": float(n)} for name, n in sizes.items()]  # fmt: skip
    for kind, part in (("offer", offers), ("choice", offers[offers["chosen"]])):
        rows += [{"lhs": f"{o['service']}: {o['level']}", "rhs": o["group"], "group": period, "kind": kind,
                  "estimate": o["net"], "conf_low": o["conf_low"], "conf_high": o["conf_high"], "std_all": o["cost"]}
                 for o in part.to_dict("records")]  # fmt: skip
    made = offers[offers["chosen"]]
    summary = {"period": period, "by": by if groups is None else "group", "offers": len(offers), "chosen": len(made),
               "cost": float(made["costs"].sum()), "net": float(made["net"].sum()),
               "budget": float("nan") if budget is None else limit, "level": level}  # fmt: skip
    text = "What a service adds to satisfaction is as given; where nobody has tried it, try it on some customers first."
    options = {"by": by, "budget": budget, "of_period": period}
    return table_of("menu", accounts, rows, summary, offers, [Note("as_given", "warning", "menu", text)], options)


def _groups(customers: Any, known: Any, groups: pd.DataFrame | None) -> pd.Series:
    """Group of each account."""
    if groups is None:
        return pd.Series(["(not known)" if pd.isna(value) else str(value) for value in known])
    for name in ("customer", "group"):
        if name not in groups:
            raise DataError.of("groups", name, "missing_column", "no such column", "customer and group", "Add it.")
    if groups["customer"].duplicated().any():
        raise DataError.of("groups", "customer", "duplicate_key", "customers with several groups", "one group each",
                           "Give the groups of one period.")  # fmt: skip
    found = groups.set_index(groups["customer"].astype(str))["group"].reindex(customers)
    return pd.Series(found.fillna("(not known)").astype(str).to_numpy())


def _offers(services: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """One row an offer and group."""
    absent = [name for name in ("service", "level", "cost", "effect") if name not in services]
    if absent:
        raise DataError.of("services", absent[0], "missing_column", "no such column", "service, level, cost, effect",
                           "Add it.")  # fmt: skip
    known = services["std_error"].fillna(0.0) if "std_error" in services else 0.0  # taken as sure where nobody knows
    given = services.assign(std_error=known, group=services.get("group", None))
    for name in ("cost", "effect", "std_error"):
        if not np.isfinite(pd.to_numeric(given[name], errors="coerce").to_numpy(float)).all():
            raise DataError.of("services", name, "not_finite", "cells that are no numbers", "numbers", "Fill them in.")
    strange = sorted(set(given["group"].dropna().astype(str)) - set(names))
    if strange:
        raise DataError.of("services", "group", "unknown_key", f"{strange[0]!r}", f"one of {', '.join(names)}",
                           "Correct the group.")  # fmt: skip
    own = [given[given["group"].isna() | (given["group"].astype(str) == name)].assign(group=name) for name in names]
    table = pd.concat(own, ignore_index=True)
    table[["cost", "effect", "std_error"]] = table[["cost", "effect", "std_error"]].astype(float)
    if table.duplicated(["group", "service", "level"]).any():
        twice = table[table.duplicated(["group", "service", "level"])].iloc[0]
        found = f"{twice['service']}: {twice['level']} twice for {twice['group']}"
        raise DataError.of("services", "level", "duplicate_key", found, "each offer once", "Remove one.")
    return table[["group", "service", "level", "cost", "effect", "std_error"]]


def _worth(given: float | Mapping[str, float], names: list[str]) -> dict[str, float]:
    worth = dict(given) if isinstance(given, Mapping) else dict.fromkeys(names, float(given))
    absent = [name for name in names if not np.isfinite(worth.get(name, np.nan))]
    if absent:
        raise UsageError(f"worth_of_point says nothing of the group {absent[0]!r}.")
    return worth
