"""What a customer costs beside its peers, how much of the gap is more than chance, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.errors import DataError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["PeerRate", "peer_gaps", "peer_rate"]


@dataclass(frozen=True, slots=True)
class PeerRate:
    """How a rate lies among customers.

    Attributes
    ----------
    mean : float
        Cost over revenue of all together.
    between : float
        Variance of true rates between customers.
    noise : float
        Variance of a rate at a revenue of one: a customer's rate varies by ``noise / revenue`` by chance.
    n : int
    """

    mean: float
    between: float
    noise: float
    n: int

    def weight(self, revenue: FloatArray) -> FloatArray:
        """Share of a customer's gap that is its own and not chance."""
        if self.between <= 0:
            return np.zeros_like(revenue)
        return np.asarray(self.between / (self.between + self.noise / revenue))


def peer_rate(cost: FloatArray, revenue: FloatArray, noise: float | None = None) -> PeerRate:
    r"""Mean, true variance and chance variance of rates of customers of unequal size.

    Parameters
    ----------
    cost, revenue : (n,) arrays
        Revenue positive.
    noise : float, optional
        Chance variance at a revenue of one; from the shape of the funnel (deviations against 1/revenue) when None.

    Notes
    -----
    :math:`\operatorname{var}(r_i) = \tau^2 + \sigma^2/R_i`; :math:`\tau^2` by moments from
    :math:`\sum R_i (r_i - \bar r)^2`, whose expectation is :math:`(n-1)\sigma^2 + \tau^2 (R - \sum R_i^2 / R)`.

    References
    ----------
    DerSimonian & Laird (1986), Controlled Clinical Trials 7, 177-188; Efron & Morris (1975), JASA 70, 311-319.

    Examples
    --------
    >>> peer_rate(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]), noise=0.0).mean
    0.1
    """
    total = float(revenue.sum())
    mean = float(cost.sum()) / total
    apart = cost / revenue - mean
    if noise is None:
        noise = _funnel_noise(apart, revenue)
    spread = total - float((revenue**2).sum()) / total
    squares = float((revenue * apart**2).sum())
    between = max((squares - (len(revenue) - 1) * noise) / spread, 0.0) if spread > 0 else 0.0
    return PeerRate(mean, between, noise, len(revenue))


def _funnel_noise(apart: FloatArray, revenue: FloatArray) -> float:
    """Non-negative least squares of squared deviations on one and 1/revenue, small customers damped."""
    from scipy.optimize import nnls

    middle = float(np.median(revenue))
    weight = revenue / (revenue + middle)
    design = np.column_stack([np.ones_like(revenue), middle / revenue]) * weight[:, None]
    return float(nnls(design, apart**2 * weight)[0][1]) * middle


def period_noise(cost: FloatArray, revenue: FloatArray, owner: npt.NDArray[np.intp]) -> float | None:
    """Chance variance at a revenue of one, from how a customer's rate varies between periods; None without repeats."""
    n = int(owner.max(initial=-1)) + 1
    cost_of, revenue_of = np.bincount(owner, cost, n), np.bincount(owner, revenue, n)
    apart = cost / revenue - (cost_of / np.where(revenue_of > 0, revenue_of, 1.0))[owner]
    spare = len(owner) - int((np.bincount(owner, minlength=n) > 0).sum())
    return float((revenue * apart**2).sum()) / spare if spare >= 10 else None


def peer_gaps(
    study: Any, *, by: str | None = None, period: str | None = None, top: int = 20, level: float = 0.95
) -> AccountsTable:
    r"""Compare every customer's costs per revenue with its peers', shrink what may be chance, and price the rest.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    by : str, optional
        Property that makes customers peers (``"segment"``, ``"unit"``); all are peers when None.
    period : str, optional
        Period whose rates are judged; the latest when None. Other periods tell how much a rate varies by chance.
    top : int
        How many gaps to list in ``tidy()``.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``peers``. Rows of kind ``peer_rate`` (``lhs`` line, ``rhs`` peers, ``estimate`` the peers' rate,
        ``std_error`` the spread of true rates), ``reliability`` (of a customer of middle size) and ``gap`` (``lhs``
        customer, ``rhs`` line: what the shrunken gap is worth a period, dearest first). ``augment()`` has every
        customer and line: rate, peer_rate, gap, shrunken_gap, worth, interval, ``beyond_chance``.

    Raises
    ------
    DataError
        There is no line of cost, or fewer than three customers with revenue.

    Notes
    -----
    The shrunken gap is :math:`B_i (r_i - \bar r)` with :math:`B_i = \tau^2 / (\tau^2 + \sigma^2/R_i)`, its variance
    :math:`B_i \sigma^2 / R_i` (empirical Bayes, the peers' mean and variances taken as known). ``beyond_chance`` says
    that the interval leaves out zero.

    Examples
    --------
    >>> n = 40
    >>> sales = pd.DataFrame({"customer": range(n), "date": "2026-01-01", "amount": 1000.0,
    ...                       "freight": [30.0 + i % 2 for i in range(n - 1)] + [80.0]})
    >>> peer_gaps(sales).tidy().query("kind == 'gap'").iloc[0][["lhs", "rhs"]].tolist()
    ['39', 'freight']
    """
    accounts = accounts_of(study)
    period = latest(accounts, period)
    lines = [k for k, d in enumerate(accounts.spec.drivers) if d.side != "revenue"]
    if not lines:
        raise DataError.of("accounts", "drivers", "no_cost", "no line of cost", "at least one", "Add its column.")
    whole = accounts.net_revenue > 0
    here = whole & (accounts.at(None).periods == period)
    if here.sum() < 3:
        found = f"{int(here.sum())} customers with revenue in {period}"
        raise DataError.of("accounts", None, "few_customers", found, "at least 3", "Choose another period.")
    known = np.full(len(whole), "all", dtype=object) if by is None else accounts.attribute(by)
    peers = np.where(pd.isna(known), "(not known)", known.astype(str).astype(object))
    parts, rows = [], []
    for name in sorted(set(peers[here])):
        own = peers == name
        for k in lines:
            table, rate, middle = _line_gaps(accounts, k, here & own, whole & own, level)
            line = accounts.lines[k]
            rows.append({"lhs": line, "rhs": name, "group": period, "kind": "peer_rate", "estimate": rate.mean,
                         "std_error": rate.between**0.5, "statistic": float(rate.n)})  # fmt: skip
            rows.append({"lhs": line, "rhs": name, "group": period, "kind": "reliability", "estimate": middle})
            parts.append(table.assign(line=line, peers=name))
    table = pd.concat(parts, ignore_index=True).sort_values(
        ["worth", "customer", "line"], ascending=[False, True, True]
    )
    table = table.reset_index(drop=True)
    dear = table[(table["worth"] > 0)].head(top)
    rows += [{"lhs": g.customer, "rhs": g.line, "group": period, "kind": "gap", "estimate": g.worth,
              "conf_low": g.conf_low, "conf_high": g.conf_high,
              "label": "beyond chance" if g.beyond_chance else "may be chance",
              "std_all": g.shrunken_gap} for g in dear.itertuples()]  # fmt: skip
    summary = {"period": period, "by": by or "all", "lines": len(lines), "level": level,
               "beyond_chance": int(table["beyond_chance"].sum()),
               "worth": float(table.loc[table["beyond_chance"] & (table["worth"] > 0), "worth"].sum())}  # fmt: skip
    return table_of("peers", accounts, rows, summary, table, _remarks(accounts), {"by": by, "of_period": period})


def _line_gaps(
    accounts: CustomerAccounts, k: int, here: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_], level: float
) -> tuple[pd.DataFrame, PeerRate, float]:
    from scipy.special import ndtri

    cost, revenue = accounts.money(accounts.cents[:, k]), accounts.money(accounts.net_revenue)
    noise = None
    if len(accounts.all_periods) > 1:
        noise = period_noise(cost[whole], revenue[whole], pd.factorize(accounts.customers[whole])[0])
    rate = peer_rate(cost[here], revenue[here], noise)
    own, size = cost[here] / revenue[here], revenue[here]
    weight = rate.weight(size)
    gap = weight * (own - rate.mean)
    half = float(ndtri((1 + level) / 2)) * np.sqrt(weight * rate.noise / size)
    table = pd.DataFrame(
        {
            "customer": accounts.customers[here],
            "net_revenue": size,
            "rate": own,
            "peer_rate": rate.mean,
            "gap": own - rate.mean,
            "shrunken_gap": gap,
            "worth": gap * size,
            "conf_low": (gap - half) * size,
            "conf_high": (gap + half) * size,
            "beyond_chance": (np.abs(gap) > half) & (weight > 0),
        }
    )
    return table, rate, float(rate.weight(np.array([np.median(size)]))[0])


def _remarks(accounts: CustomerAccounts) -> list[Note]:
    text = (
        "A gap to peers is where to look, not what can be had: the customer may buy other goods or live farther away."
    )
    notes = [Note("not_a_saving", "info", "gap", text)]
    if len(accounts.all_periods) < 2:
        text = "There is one period, so chance is judged from the spread of small customers against large ones."
        notes.append(Note("funnel", "info", "gap", text))
    return notes
