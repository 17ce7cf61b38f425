"""Groups of customers by revenue and contribution: who is in which, who moves, and where people overrule the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, table_of
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["Agreement", "agreement", "cohens_kappa", "customer_groups", "moves", "share_interval"]

Texts = npt.NDArray[np.object_]
_SIZES = {1: ("small", "large"), 2: ("small", "medium", "large")}
GONE, NEW = "(gone)", "(new)"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two classifications of the same customers agree.

    Attributes
    ----------
    n : int
    observed : float
        Share classified alike.
    kappa, std_error, conf_low, conf_high : float
        Cohen's kappa: agreement beyond chance, over the most there could be.
    """

    n: int
    observed: float
    kappa: float
    std_error: float
    conf_low: float
    conf_high: float


def agreement(one: Sequence[Any], other: Sequence[Any], level: float = 0.95) -> Agreement:
    """Cohen's kappa of two classifications, with its large-sample interval.

    Raises
    ------
    UsageError
        They differ in length or are empty.

    References
    ----------
    Fleiss, Cohen & Everitt (1969), Psychological Bulletin 72, 323-327.

    Examples
    --------
    >>> both = agreement(["a"] * 25 + ["b"] * 25, ["a"] * 20 + ["b"] * 5 + ["a"] * 10 + ["b"] * 15)
    >>> round(both.kappa, 2), round(both.observed, 2)
    (0.4, 0.7)
    """
    from scipy.special import ndtri

    if len(one) != len(other) or not len(one):
        raise UsageError(
            f"Agreement is of two classifications of the same customers; found {len(one)} and {len(other)}."
        )
    codes, names = pd.factorize(np.concatenate([np.asarray(one, dtype=object), np.asarray(other, dtype=object)]))
    n, k = len(one), len(names)
    p = np.zeros((k, k))
    np.add.at(p, (codes[:n], codes[n:]), 1.0 / n)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance, kappa = cohens_kappa(p)
    if chance >= 1.0:
        return Agreement(n, observed, 1.0, float("nan"), float("nan"), float("nan"))
    same = p.diagonal() * (1 - (rows + columns) * (1 - kappa)) ** 2
    apart = (p * np.add.outer(columns, rows) ** 2).sum() - (p.diagonal() * (rows + columns) ** 2).sum()
    variance = same.sum() + (1 - kappa) ** 2 * apart - (kappa - chance * (1 - kappa)) ** 2
    error = float(np.sqrt(max(variance, 0.0) / n) / (1 - chance))
    z = float(ndtri((1 + level) / 2))
    return Agreement(n, observed, kappa, error, max(kappa - z * error, -1.0), min(kappa + z * error, 1.0))


def cohens_kappa(shares: FloatArray) -> tuple[float, float, float]:
    """Observed and chance agreement, and kappa, of a square table of shares; 1 where all are in one class.

    Examples
    --------
    >>> [round(x, 2) for x in cohens_kappa(np.array([[0.4, 0.1], [0.2, 0.3]]))]
    [0.7, 0.5, 0.4]
    """
    observed, chance = float(np.trace(shares)), float(shares.sum(axis=1) @ shares.sum(axis=0))
    return observed, chance, 1.0 if chance >= 1.0 else (observed - chance) / (1 - chance)


def share_interval(count: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Jeffreys interval of shares: quantiles of Beta(count + 1/2, n − count + 1/2), closed at 0 and 1.

    References
    ----------
    Brown, Cai & DasGupta (2001), Statistical Science 16, 101-133.

    Examples
    --------
    >>> [round(float(x), 3) for x in share_interval(2, 10)]
    [0.044, 0.503]
    """
    from scipy.special import betaincinv

    count, n = np.asarray(count, dtype=float), np.asarray(n, dtype=float)
    a, b, tail = count + 0.5, n - count + 0.5, (1 - level) / 2
    low = np.where(count == 0, 0.0, betaincinv(a, b, tail))
    high = np.where(count == n, 1.0, betaincinv(a, b, 1 - tail))
    return low, high


def customer_groups(
    study: Any,
    *,
    revenue_cuts: Sequence[float] | None = None,
    ratio_cuts: Sequence[float] | None = None,
    overrides: pd.DataFrame | Sequence[Mapping[str, str]] | None = None,
    level: float = 0.95,
) -> AccountsTable:
    """Cross revenue with contribution ratio, follow customers between periods, and log where people decide otherwise.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    revenue_cuts, ratio_cuts : sequence of float, optional
        Rising edges: net revenue of a period in money, and contribution ratio. Those of the study's
        ``[accounts.groups]`` when None, else the median and the 80th percentile of revenue, and zero and the ratio of
        all customers together.
    overrides : DataFrame or sequence of mappings, optional
        ``customer, group, by, reason`` and optionally ``period`` (the latest when left out); those of the study when
        None.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``groups``. Rows of kind ``group`` (``estimate`` contribution, ``std_all`` its share, ``statistic``
        customers), ``migration`` (``lhs`` from, ``rhs`` to, ``estimate`` share with Jeffreys interval, ``statistic``
        customers), ``cut``, ``override`` (one each, with who and why in ``label``) and ``agreement`` (Cohen's kappa of
        rule and people). ``augment()`` has a row an account: group, rule_group, overridden.

    Raises
    ------
    UsageError
        Cuts out of order, or an override of an unknown group, customer or period.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": list("abab"), "date": ["2025-01-01"] * 2 + ["2026-01-01"] * 2,
    ...                       "amount": [900.0, 100.0, 900.0, 100.0], "product_cost": [500.0, 95.0, 950.0, 20.0]})
    >>> groups = customer_groups(sales, revenue_cuts=[500], ratio_cuts=[0.2])
    >>> groups.tidy().query("kind == 'migration' and lhs != '(new)'")[["lhs", "rhs", "estimate"]]
                         lhs                    rhs  estimate
    4      small, below 20 %  small, 20 % and above       1.0
    5  large, 20 % and above      large, below 20 %       1.0
    """
    accounts = accounts_of(study)
    revenue, ratio = accounts.money(accounts.net_revenue), accounts.contribution_ratio
    sizes = _edges(revenue_cuts, accounts.spec.revenue_cuts, lambda: np.quantile(revenue, [0.5, 0.8]), "revenue_cuts")
    ratios = _edges(ratio_cuts, accounts.spec.ratio_cuts, lambda: _usual_ratios(accounts), "ratio_cuts")
    names = [f"{size}, {good}" for size in _size_names(sizes) for good in _ratio_names(ratios)]
    good = np.where(np.isnan(ratio), 0, np.digitize(np.nan_to_num(ratio, nan=-np.inf), ratios))
    codes = np.digitize(revenue, sizes) * (len(ratios) + 1) + good
    log = _log(overrides if overrides is not None else accounts.spec.overrides, accounts, names)
    final = codes.copy()
    for place, code, *_ in log:
        final[place] = code
    rows = [*_group_rows(accounts, final, names), *moves(accounts, final, names, level)]
    rows += [{"lhs": "net_revenue", "kind": "cut", "estimate": cut} for cut in sizes]
    rows += [{"lhs": "contribution_ratio", "kind": "cut", "estimate": cut} for cut in ratios]
    rows += [{"lhs": names[codes[place]], "rhs": names[code], "group": accounts.periods[place], "kind": "override",
              "label": f"{accounts.customers[place]}: {reason} ({by})"} for place, code, by, reason in log]  # fmt: skip
    if log:
        last = accounts.periods == accounts.all_periods[-1]
        both = agreement(codes[last], final[last], level)
        rows.append({"lhs": "rule", "rhs": "people", "kind": "agreement", "estimate": both.kappa,
                     "statistic": both.observed,
                     "std_error": both.std_error, "conf_low": both.conf_low, "conf_high": both.conf_high})  # fmt: skip
    listed = np.array(names, dtype=object)
    table = pd.DataFrame({"customer": accounts.customers, "period": accounts.periods, "group": listed[final],
                          "rule_group": listed[codes], "overridden": final != codes})  # fmt: skip
    summary = {"groups": len(names), "periods": len(accounts.all_periods), "overrides": len(log), "level": level}
    remarks = _remarks(accounts, len(log))
    return table_of("groups", accounts, rows, summary, table, remarks, {"revenue_cuts": sizes, "ratio_cuts": ratios})


def _edges(given: Sequence[float] | None, stated: Sequence[float], usual: Any, what: str) -> list[float]:
    cuts = [float(cut) for cut in (given if given is not None else stated or usual())]
    if cuts != sorted(set(cuts)):
        if given is None and not stated:
            return sorted(set(cuts))
        raise UsageError(f"{what} is {cuts}; expected rising edges.")
    return cuts


def _usual_ratios(accounts: CustomerAccounts) -> list[float]:
    revenue = float(accounts.net_revenue.sum())
    overall = float(accounts.contribution.sum()) / revenue if revenue > 0 else 0.0
    return [0.0, round(overall, 3)] if round(overall, 3) > 0 else [0.0]


def _size_names(cuts: Sequence[float]) -> list[str]:
    return list(_SIZES.get(len(cuts), [f"size {i + 1}" for i in range(len(cuts) + 1)]))


def _ratio_names(cuts: Sequence[float]) -> list[str]:
    said = [f"{100 * cut:.3g} %" for cut in cuts]
    if not said:
        return ["any ratio"]
    between = [f"{low[:-2]} to {high}" for low, high in pairwise(said)]
    return [f"below {said[0]}", *between, f"{said[-1]} and above"]


def _log(
    overrides: pd.DataFrame | Sequence[Mapping[str, str]], accounts: CustomerAccounts, names: Sequence[str]
) -> list[tuple[int, int, str, str]]:
    """Place of the account, group, who and why of each override."""
    given = overrides.to_dict("records") if isinstance(overrides, pd.DataFrame) else list(overrides)
    places = (
        {(c, p): i for i, (c, p) in enumerate(zip(accounts.customers, accounts.periods, strict=True))} if given else {}
    )
    log = []
    for one in given:
        absent = [key for key in ("customer", "group", "by", "reason") if not str(one.get(key, "") or "").strip()]
        if absent:
            raise UsageError(f"An override needs customer, group, by and reason, so that it can be understood later; "
                             f"{absent[0]} is missing in {dict(one)}.")  # fmt: skip
        period = str(one.get("period") or accounts.all_periods[-1])
        place = places.get((str(one["customer"]), period))
        if place is None:
            raise UsageError(f"An override names customer {one['customer']!r} in {period}, who has no account there.")
        if one["group"] not in names:
            raise UsageError(f"An override names the group {one['group']!r}; there are: {'; '.join(names)}.")
        log.append((place, list(names).index(str(one["group"])), str(one["by"]), str(one["reason"])))
    return log


def _group_rows(accounts: CustomerAccounts, codes: npt.NDArray[np.intp], names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for period in accounts.all_periods:
        here = accounts.periods == period
        total = int(accounts.contribution[here].sum())
        for code, name in enumerate(names):
            own = here & (codes == code)
            earned = int(accounts.contribution[own].sum())
            if own.any():
                rows.append({"lhs": name, "group": period, "kind": "group", "estimate": float(accounts.money(earned)),
                             "statistic": float(own.sum()),
                             "std_all": earned / total if total > 0 else np.nan})  # fmt: skip
    return rows


def moves(
    accounts: CustomerAccounts, codes: npt.NDArray[np.intp], names: Sequence[str], level: float
) -> list[dict[str, Any]]:
    """Rows of kind ``migration``: shares of each group's customers by their group in the next period.

    Parameters
    ----------
    accounts : CustomerAccounts
    codes : (n,) int array
        Place of each account's group among the names; an account with -1 is in none, as if it were not there.
    names : sequence of str
    level : float
        Of the Jeffreys intervals.
    """
    rows: list[dict[str, Any]] = []
    listed = [*names, GONE, NEW]
    for before, after in pairwise(accounts.all_periods):
        was, now = (_by_customer(accounts, codes, p) for p in (before, after))
        both = pd.concat([was.rename("was"), now.rename("now")], axis=1)
        both = both.fillna({"was": len(names) + 1, "now": len(names)}).astype(int)
        counts = both.groupby(["was", "now"]).size()
        sums = counts.groupby(level=0).transform("sum")
        low, high = share_interval(counts.to_numpy(), sums.to_numpy(), level)
        pairs = counts.index.to_frame().to_numpy(dtype=int)
        for i, count in enumerate(counts.to_numpy()):
            rows.append({"lhs": listed[pairs[i, 0]], "rhs": listed[pairs[i, 1]], "group": f"{before} to {after}",
                         "kind": "migration", "estimate": count / sums.iloc[i], "conf_low": low[i],
                         "conf_high": high[i], "statistic": float(count)})  # fmt: skip
    return rows


def _by_customer(accounts: CustomerAccounts, codes: npt.NDArray[np.intp], period: str) -> pd.Series:
    here = (accounts.periods == period) & (codes >= 0)
    return pd.Series(codes[here], index=pd.Index(accounts.customers[here]))


def _remarks(accounts: CustomerAccounts, overrides: int) -> list[Note]:
    notes = []
    if len(accounts.all_periods) < 2:
        text = "There is one period, so nobody has moved between groups yet."
        notes.append(Note("one_period", "info", "migration", text))
    else:
        text = ("Part of every move between groups is chance: customers near an edge cross it without having changed, "
                "and those far out in one period tend to come back.")  # fmt: skip
        notes.append(Note("regression_to_the_mean", "info", "migration", text))
    if overrides:
        text = f"{overrides} group{'s were' if overrides > 1 else ' was'} set by hand; each is listed with who and why."
        notes.append(Note("overrides", "info", "groups", text))
    return notes
