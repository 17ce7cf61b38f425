"""Whether more revenue is more profit: elasticity of contribution to revenue, losses included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.errors import DataError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["contribution_elasticity", "slope_hc3"]

_FEWEST = 10


def slope_hc3(x: FloatArray, y: FloatArray) -> tuple[float, float, FloatArray]:
    """Slope of y on x, the intercept, and their covariance by HC3 (order: intercept, slope).

    References
    ----------
    MacKinnon & White (1985), Journal of Econometrics 29, 305-325.

    Examples
    --------
    >>> round(slope_hc3(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0, 7.0]))[0], 9)
    2.0
    """
    design = np.column_stack([np.ones_like(x), x])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ (design.T @ y)
    rest = y - design @ beta
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    weighted = design * (rest / np.maximum(1 - leverage, 1e-8))[:, None]
    cov = inverse @ (weighted.T @ weighted) @ inverse
    return float(beta[1]), float(beta[0]), np.asarray(cov)


def contribution_elasticity(study: Any, *, period: str | None = None, level: float = 0.95) -> AccountsTable:
    r"""Per cent more contribution that comes with one per cent more revenue, across customers.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    period : str, optional
        The latest when None.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``elasticity``. Rows: ``elasticity`` for all customers (``rhs`` "all"; losses included, at the
        revenue-weighted mean size) and for those with a profit (log on log), with the p value of proportionality, an
        elasticity of one;
        ``slope`` (points of contribution ratio per doubling of revenue); ``unprofitable_revenue`` (share of revenue
        that comes with a loss). ``augment()`` has customers by tenths of revenue.

    Raises
    ------
    DataError
        Fewer than ten customers with revenue, or all of one size.

    Notes
    -----
    Logarithms of losses do not exist, so all customers are taken by ratio = a + b log R, from which contribution is
    R (a + b log R) and its elasticity 1 + b / (a + b log R); errors by HC3 and the delta method.

    Examples
    --------
    >>> revenue = np.arange(1.0, 41.0) * 100
    >>> sales = pd.DataFrame({"customer": range(40), "date": "2026-01-01", "amount": revenue})
    >>> sales["product_cost"] = revenue / 2
    >>> contribution_elasticity(sales).tidy()["estimate"].round(3).tolist()[:2]
    [1.0, 1.0]
    """
    from scipy.special import ndtr, ndtri

    accounts = accounts_of(study)
    period = latest(accounts, period)
    accounts = accounts.at(period)
    has = accounts.net_revenue > 0
    revenue, result = accounts.money(accounts.net_revenue[has]), accounts.money(accounts.contribution[has])
    if len(revenue) < _FEWEST or np.ptp(revenue) == 0:
        found = f"{len(revenue)} customers with revenue" + (", all of one size" if len(revenue) >= _FEWEST else "")
        raise DataError.of("accounts", None, "few_customers", found, f"at least {_FEWEST} of different sizes",
                           "Choose another period.")  # fmt: skip
    z = float(ndtri((1 + level) / 2))
    size = np.log(revenue)
    slope, base, cov = slope_hc3(size, result / revenue)
    at = float(np.average(size, weights=revenue))
    ratio = base + slope * at
    gradient = np.array([-slope, base]) / ratio**2
    elastic, error = 1 + slope / ratio, float(np.sqrt(gradient @ cov @ gradient))
    rows = [_elastic("all", elastic, error, z, ndtr)]
    gain = result > 0
    if gain.sum() >= _FEWEST:
        power, _, own = slope_hc3(size[gain], np.log(result[gain]))
        rows.append(_elastic("with a profit", power, float(np.sqrt(own[1, 1])), z, ndtr))
    step, step_error = slope * np.log(2), float(np.sqrt(cov[1, 1])) * np.log(2)
    rows.append({"lhs": "contribution_ratio", "rhs": "doubling of revenue", "kind": "slope", "estimate": step,
                 "std_error": step_error, "conf_low": step - z * step_error,
                 "conf_high": step + z * step_error})  # fmt: skip
    share = float(revenue[result < 0].sum() / revenue.sum())
    rows.append({"lhs": "net_revenue", "rhs": "with a loss", "kind": "unprofitable_revenue", "estimate": share})
    tenth = np.minimum((pd.Series(revenue).rank(method="first", pct=True).to_numpy() * 10).astype(int), 9) + 1
    frame = pd.DataFrame({"tenth": tenth, "net_revenue": revenue, "contribution": result})
    table = frame.groupby("tenth", as_index=False)[["net_revenue", "contribution"]].sum()
    table["contribution_ratio"] = table["contribution"] / table["net_revenue"]
    notes = []
    if ratio <= 0:
        notes.append(Note.of("no_contribution", "serious", "elasticity", "elasticity"))
    summary = {"period": period, "with_revenue": len(revenue), "with_loss": int((result < 0).sum()), "level": level}
    return table_of("elasticity", accounts, rows, summary, table, notes, {"of_period": period})


def _elastic(whose: str, value: float, error: float, z: float, ndtr: Any) -> dict[str, Any]:
    statistic = (value - 1) / error if error > 0 else np.nan
    return {"lhs": "contribution", "op": "", "rhs": whose, "kind": "elasticity", "estimate": value, "std_error": error,
            "statistic": statistic, "p_value": 2 * float(ndtr(-abs(statistic))), "conf_low": value - z * error,
            "conf_high": value + z * error}  # fmt: skip
