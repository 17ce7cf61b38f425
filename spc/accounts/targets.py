"""Whether targets for a cost driver worked: targeted customers against the others, before and after."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.charts import p_chart
from spc.accounts.result import AccountsTable, accounts_of, table_of
from spc.errors import DataError, UsageError
from spc.results import Note

__all__ = ["driver_targets"]

_BASE, _ENOUGH = 4, 20


def driver_targets(
    study: Any, *, line: str, targeted: Collection[str], since: str, weights: bool = True, level: float = 0.95
) -> AccountsTable:
    r"""Say whether a driver rate (line over net revenue) moved beyond noise, and beyond that of other customers.

    Beyond noise: limits of a control chart from the periods before the target. Beyond others: difference in
    differences, targeted customers against the rest.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    line : str
        Line of deduction or cost whose rate was to fall.
    targeted : collection of str
        Customers.
    since : str
        First period of the target.
    weights : bool
        Weigh by net revenue, so that the effect is of money and not of customers.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``targets``. Rows: ``effect`` (change of the rate beyond that of the others, clustered by customer),
        ``worth``
        (money a period at the targeted customers' revenue since; negative is saved), ``before`` (difference of trends
        before the target, where there are at least two periods; far from zero, the comparison is not to be trusted) and
        ``rate`` by period (``rhs`` targeted or others) with the limits of the chart, where there are four periods
        before the target, and ``label`` *below*, *above* or *within*; ``run`` (periods at the end on one side of the
        centre, negative below it; eight are a signal). ``augment()`` has rates and limits by period.

    Raises
    ------
    UsageError
        An unknown line or period, or nothing before ``since``.
    DataError
        Fewer than five customers on either side.

    Notes
    -----
    Customer and period fixed effects; errors clustered by customer with the factor G/(G − 1), t with G − 1 degrees.
    Limits are those of :func:`spc.accounts.charts.p_chart`.

    References
    ----------
    Bertrand, Duflo & Mullainathan (2004), Quarterly Journal of Economics 119, 249-275; Laney (2002), Quality
    Engineering 14, 531-537.
    """
    from scipy.special import stdtr, stdtrit

    accounts = accounts_of(study)
    if line not in accounts.lines:
        raise UsageError(f"There is no line {line!r}; the lines are {', '.join(accounts.lines)}.")
    periods = accounts.all_periods
    if since not in periods or since == periods[0]:
        raise UsageError(f"since is {since!r}; expected one of {', '.join(periods[1:]) or 'several periods'}.")
    k = accounts.lines.index(line)
    has = accounts.net_revenue > 0
    revenue = accounts.money(accounts.net_revenue[has])
    frame = pd.DataFrame({"customer": accounts.customers[has], "period": accounts.periods[has], "revenue": revenue,
                          "rate": accounts.money(accounts.cents[has, k]) / revenue})  # fmt: skip
    frame["targeted"] = frame["customer"].isin({str(customer) for customer in targeted})
    frame["since"] = frame["period"] >= since
    sides = frame.groupby("customer")["targeted"].first()
    if min(int(sides.sum()), int((~sides).sum())) < 5:
        found = f"{int(sides.sum())} targeted and {int((~sides).sum())} other customers"
        raise DataError.of(
            "accounts", line, "few_customers", found, "at least 5 on either side", "Widen the comparison."
        )
    w = frame["revenue"].to_numpy() if weights else np.ones(len(frame))
    effect, error, groups = _did(frame, (frame["targeted"] & frame["since"]).to_numpy(float), w)
    half = float(stdtrit(groups - 1, (1 + level) / 2)) * error
    rows: list[dict[str, Any]]
    rows = [{"lhs": line, "rhs": "targeted", "kind": "effect", "estimate": effect, "std_error": error,
             "statistic": effect / error if error > 0 else np.nan,
             "p_value": 2 * float(stdtr(groups - 1, -abs(effect / error))) if error > 0 else np.nan,
             "conf_low": effect - half, "conf_high": effect + half}]  # fmt: skip
    after = frame[frame["targeted"] & frame["since"]]
    money = float(after["revenue"].sum()) / max(after["period"].nunique(), 1)
    rows.append({"lhs": line, "rhs": "a period", "kind": "worth", "estimate": effect * money,
                 "conf_low": (effect - half) * money, "conf_high": (effect + half) * money})  # fmt: skip
    early = frame[~frame["since"]]
    if early["period"].nunique() > 1:
        middle = sorted(early["period"].unique())[early["period"].nunique() // 2]
        treated = (early["targeted"] & (early["period"] >= middle)).to_numpy(float)
        lead, lead_error, n = _did(early, treated, w[~frame["since"].to_numpy()])
        wide = float(stdtrit(n - 1, (1 + level) / 2)) * lead_error
        rows.append({"lhs": line, "rhs": f"up to {since}", "kind": "before", "estimate": lead, "std_error": lead_error,
                     "conf_low": lead - wide, "conf_high": lead + wide})  # fmt: skip
    frame["cost"] = frame["rate"] * frame["revenue"]
    sums = frame.groupby(["period", "targeted"])[["cost", "revenue"]].sum()
    table, charted = _charts(sums, line, since)
    rows += charted
    text = ("Customers are targeted because their rates are high, and high rates fall by themselves; the effect is "
            "right only if the others' rates moved as the targeted ones' would have.")  # fmt: skip
    notes = [Note("parallel_trends", "warning", "effect", text), *_chart_notes(early["period"].nunique())]
    summary = {
        "line": line,
        "since": since,
        "targeted": int(sides.sum()),
        "others": int((~sides).sum()),
        "level": level,
    }
    return table_of(
        "targets", accounts, rows, summary, table, notes, {"line": line, "since": since, "weights": weights}
    )


def _charts(sums: pd.DataFrame, line: str, since: str) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Rates by period with the limits of a chart, for either side."""
    parts: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    for side, name in ((True, "targeted"), (False, "others")):
        own = sums.xs(side, level="targeted").sort_index()
        periods = [str(period) for period in own.index]
        base = sum(period < since for period in periods)
        chart = p_chart(own["cost"].to_numpy(float), own["revenue"].to_numpy(float), max(base, 1))
        known = base >= _BASE and np.isfinite(chart.widening)
        words = np.array(["below", "within", "above"])[chart.outside.astype(int) + 1]
        limits = {"conf_low": chart.low, "conf_high": chart.high, "label": words} if known else {}
        table = pd.DataFrame({"group": periods, "estimate": chart.rate, **limits})
        rows += [{"lhs": line, "rhs": name, "kind": "rate", **{str(k): v for k, v in row.items()}}
                 for row in table.to_dict("records")]  # fmt: skip
        if known:
            rows.append({"lhs": line, "rhs": name, "kind": "run", "estimate": chart.run, "std_all": chart.centre})
        parts.append(pd.DataFrame({"period": periods, "side": name, "rate": chart.rate,
                                   "low": chart.low if known else np.nan,
                                   "high": chart.high if known else np.nan}))  # fmt: skip
    return pd.concat(parts, ignore_index=True), rows


def _chart_notes(base: int) -> list[Note]:
    if base < _BASE:
        text = f"Limits of chance need {_BASE} periods before the target; keep accounts by month or quarter for them."
        return [Note("no_limits", "info", "rate", text)]
    if base < _ENOUGH:
        text = f"The limits rest on {base} periods and are rough; {_ENOUGH} or more are usual."
        return [Note("rough_limits", "info", "rate", text)]
    return []


def _did(frame: pd.DataFrame, treated: Any, weights: Any) -> tuple[float, float, int]:
    """Coefficient of ``treated`` net of customer and period effects, its clustered error, number of clusters."""
    customer, names = pd.factorize(frame["customer"])
    period, _ = pd.factorize(frame["period"], sort=True)
    y, x = _within(frame["rate"].to_numpy(), customer, period, weights), _within(treated, customer, period, weights)
    power = float((weights * x * x).sum())
    if power <= 1e-12 * float(weights.sum()):
        raise DataError.of("accounts", "targets", "no_contrast", "no customer on both sides of the date", "some",
                           "Choose another date or other customers.")  # fmt: skip
    beta = float((weights * x * y).sum()) / power
    scores = np.bincount(customer, weights * x * (y - beta * x), len(names))
    g = len(names)
    return beta, float(np.sqrt((scores**2).sum() * g / (g - 1))) / power, g


def _within(values: Any, customer: Any, period: Any, weights: Any) -> Any:
    """Values less weighted customer and period means, by turns until they stand still."""
    rest = np.array(values, dtype=float)
    by_customer, by_period = np.bincount(customer, weights), np.bincount(period, weights)
    for _ in range(500):
        step = (np.bincount(customer, weights * rest, len(by_customer)) / by_customer)[customer]
        rest -= step
        other = (np.bincount(period, weights * rest, len(by_period)) / by_period)[period]
        rest -= other
        if max(np.abs(step).max(), np.abs(other).max()) < 1e-12:
            break
    return rest
