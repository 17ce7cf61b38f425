"""How accounts read on a screen: the waterfall, who earns it, the groups, what changed, where to look."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pandas as pd

from spc.cli import show
from spc.disclosure import ReleasedModel
from spc.plot.numbers import wording

__all__ = ["model"]

_PERIODS = 3
"""How many periods stand beside each other on a screen; tables and JSON have all."""
_ROWS = 20
"""How many groups stand below each other on a screen."""


def model(released: ReleasedModel) -> None:
    """Print one result made from the books."""
    printers: Mapping[str, Callable[[ReleasedModel], None]] = {
        "accounts": _accounts,
        "waterfall": _waterfall,
        "whale": _whale,
        "groups": _groups,
        "bridge": _bridge,
        "price_quantity": _bridge,
        "peers": _peers,
        "at_risk": _at_risk,
        "sellers": _sellers,
        "profile": _profile,
        "elasticity": _elasticity,
        "visits": _visits,
        "clusters": _clusters,
        "kpis": _kpis,
        "targets": _targets,
    }
    printers.get(released.kind, _plain)(released)
    show.notes(released.notes)
    show.say()


def _money(value: float) -> str:
    return "" if math.isnan(value) else f"{value:z,.2f}"


def _whole(value: float) -> str:
    return "" if math.isnan(value) else f"{value:z,.0f}"


def _many(n: float, what: str) -> str:
    return f"{n:,.0f} {what}" if n == 1 else f"{n:,.0f} {what}s"


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:z.1%}"


def _range(low: float, high: float, form: Callable[[float], str]) -> str:
    return "" if math.isnan(low) else f"{form(low)} to {form(high)}"


def _accounts(released: ReleasedModel) -> None:
    """Lines by period, with what belongs to nobody, and the control totals."""
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    latest = sorted(rows.loc[rows["kind"] == "account", "group"].unique())[-_PERIODS:]
    rows = rows[rows["group"].isin(latest)]
    own = rows[rows["kind"] == "account"]
    lines = _ordered(own)
    wide = pd.DataFrame({"line": [wording(line) for line in lines]})
    headings: dict[str, str] = {"line": ""}
    formats: dict[str, Callable[[float], str]] = {}
    for period, part in own.groupby("group", sort=True):
        values = part.set_index("lhs")
        signed = values["estimate"].where(~values["rhs"].isin(["deduction", "cost"]), -values["estimate"])
        wide[f"m{period}"], wide[f"s{period}"] = signed[lines].to_numpy(), _of_revenue(values, lines)
        headings |= {f"m{period}": str(period), f"s{period}": "of net"}
        formats |= {f"m{period}": _money, f"s{period}": _share}
    show.table(wide, headings, f"All customers, {summary['currency']}".rstrip(", "), formats=formats)
    if summary["periods"] > len(latest):
        show.say(f"The latest {len(latest)} of {summary['periods']} periods; --output writes all.")
    show.say(
        f"{_many(summary['customers'], 'customer')}, {_many(summary['accounts'], 'account')}, "
        f"{summary['unprofitable']:,} of them with a loss."
    )
    for kind, name in (("unassigned", "of no customer"), ("unused_capacity", "unused capacity")):
        part = rows[(rows["kind"] == kind) & (rows["lhs"] == "contribution")]
        for period, value in zip(part["group"], part["estimate"], strict=True):
            show.say(f"  {name} in {period}: {_money(value)}")
    if summary["control_totals"]:
        n = int(summary["control_totals"])
        off = summary["control_difference"]
        said = "met to the cent" if off == 0 else f"met within {_money(off)}"
        show.say(f"{n} control total{'s' if n > 1 else ''} of the general ledger: {said}.", "green")


def _ordered(own: pd.DataFrame) -> list[str]:
    """Lines in the order of a waterfall: net revenue before costs, contribution last."""
    first = own.drop_duplicates("lhs")
    rank = first["rhs"].map({"revenue": 0, "deduction": 1, "cost": 3}).fillna(2)
    rank = rank.mask(first["lhs"] == "contribution", 4)
    return list(first.assign(rank=rank).sort_values("rank", kind="stable")["lhs"])


def _of_revenue(values: pd.DataFrame, lines: list[str]) -> list[float]:
    signed = values["std_all"].where(~values["rhs"].isin(["deduction", "cost"]), -values["std_all"])
    return [float(signed[line]) for line in lines]


def _waterfall(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    if summary["by"] == "all":
        rows = rows.assign(line=rows["lhs"].map(wording))
        whose = rows["rhs"].iloc[0]
        title = "Waterfall" if whose == "all" else f"Account of {whose}"
        show.table(rows, {"line": "", "estimate": "money", "std_all": "of net"}, title,
                   formats={"estimate": _money, "std_all": _share})  # fmt: skip
        return
    table = released.curve.frame if released.curve is not None else pd.DataFrame()
    table = table.assign(name=table[summary["by"]].astype(str))
    columns = {"name": summary["by"], "customers": "customers", "net_revenue": "net revenue",
               "contribution": "contribution", "contribution_ratio": "ratio"}  # fmt: skip
    formats = {"net_revenue": _money, "contribution": _money, "contribution_ratio": _share}
    nobody = table["customers"] == 0
    first = table[~nobody].sort_values("contribution", ascending=False, kind="stable").head(_ROWS)
    show.table(pd.concat([first, table[nobody]]), columns, f"By {summary['by']}", formats=formats)
    if (~nobody).sum() > _ROWS:
        show.say(f"The {_ROWS} of most contribution of {(~nobody).sum()}; --output writes all.")


def _whale(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    rows = rows[rows["estimate"].notna()]
    form = {"top": _share, "peak": _share, "unprofitable": _share, "loss": _money}
    words = {"top": "{} earn", "peak": "{} earn", "unprofitable": "customers {}", "loss": "{}",
             "dependence": "customers who {}"}  # fmt: skip
    said = [words.get(kind, "{} of " + wording(lhs).lower()).format(rhs)
            for kind, lhs, rhs in zip(rows["kind"], rows["lhs"], rows["rhs"], strict=True)]  # fmt: skip
    values, ranges = [], []
    for kind, value, low, high in zip(rows["kind"], rows["estimate"], rows["conf_low"], rows["conf_high"], strict=True):
        plain = form.get(kind, (lambda x: f"{x:,.0f}") if kind == "dependence" else (lambda x: f"{x:.2f}"))
        values.append("" if math.isnan(value) else plain(value))
        ranges.append(_range(low, high, plain))
    table = pd.DataFrame({"what": said, "figure": values, "range": ranges})
    text = f"Who earns the contribution of {summary['period']} ({_money(summary['contribution'])})"
    show.table(table, {"what": "", "figure": "figure", "range": "range"}, text, formats={"figure": str, "range": str})


def _groups(released: ReleasedModel) -> None:
    rows = released.tidy.frame
    own = rows[rows["kind"] == "group"]
    last = own[own["group"] == own["group"].max()]
    columns = {"lhs": "net revenue, ratio", "statistic": "customers", "estimate": "contribution", "std_all": "share"}
    formats = {"statistic": lambda n: f"{n:,.0f}", "estimate": _money, "std_all": _share}
    show.table(last, columns, f"Groups in {own['group'].max()}", formats=formats)
    cuts = rows[rows["kind"] == "cut"]
    money = " and ".join(_money(x) for x in cuts.loc[cuts["lhs"] == "net_revenue", "estimate"])
    show.say(f"Sizes are told apart at {money} of net revenue a period.")
    moves = rows[(rows["kind"] == "migration")]
    if len(moves):
        moves = moves[moves["group"] == moves["group"].max()]
        kept = moves[moves["lhs"] == moves["rhs"]].assign(
            range=lambda f: [_range(a, b, _share) for a, b in zip(f["conf_low"], f["conf_high"], strict=True)]
        )
        gone = moves[moves["rhs"] == "(gone)"].set_index("lhs")["estimate"]
        kept = kept.assign(gone=[float(gone.get(name, 0.0)) for name in kept["lhs"]])
        show.say()
        title = f"Who stays in the group, {moves['group'].iloc[0]}"
        columns = {"lhs": "group", "estimate": "stayed", "range": "interval", "gone": "gone"}
        if kept.empty:
            show.say(f"{title}: nobody did.")
        else:
            show.table(kept, columns, title, formats={"estimate": _share, "range": str, "gone": _share})
    for label in rows.loc[rows["kind"] == "override", "label"]:
        show.say(f"  set by hand: {label}")


def _bridge(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    rows = rows[rows["rhs"] == rows["rhs"].iloc[0]]
    start = rows["estimate"].iloc[0]
    share = [float("nan") if kind != "part" or start == 0 else x / abs(start)
             for kind, x in zip(rows["kind"], rows["estimate"], strict=True)]  # fmt: skip
    rows = rows.assign(what=rows["lhs"].map(wording), share=share)
    what = "contribution" if released.kind == "bridge" else "revenue"
    title = f"Why {what} changed by {_money(summary['change'])}, {summary['before']} to {summary['after']}"
    columns = {"what": "", "estimate": "money", "share": "of the start"}
    formats = {"estimate": _money, "share": lambda x: "" if math.isnan(x) else f"{x:+.1%}"}
    if released.kind == "price_quantity":
        columns = {"what": "", "estimate": "money", "statistic": "customers", "share": "of the start"}
        formats["statistic"] = lambda x: "" if math.isnan(x) else f"{x:,.0f}"
    show.table(rows, columns, title, formats=formats)


def _peers(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    gaps = rows[(rows["kind"] == "gap") & (rows["label"] == "beyond chance")].head(10)
    if gaps.empty:
        differ = "No customer's costs are above its peers' beyond chance in"
        untold = "Whether a customer's costs differ from its peers' beyond chance cannot be told in"
        show.say(f"{differ if summary['judged'] else untold} {summary['period']}.")
        return
    gaps = gaps.assign(
        line=gaps["rhs"].map(wording),
        points=[f"{100 * x:+.1f} points" for x in gaps["std_all"]],
        range=[_range(a, b, _money) for a, b in zip(gaps["conf_low"], gaps["conf_high"], strict=True)],
    )
    columns = {"lhs": "customer", "line": "line", "points": "above peers", "estimate": "worth", "range": "interval"}
    show.table(gaps, columns, f"Dearest gaps to peers in {summary['period']}",
               formats={"estimate": _money, "points": str, "range": str})  # fmt: skip


def _at_risk(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    leaving = rows[rows["kind"] == "leaving"].set_index("rhs")["estimate"]
    own = rows[rows["kind"] == "at_risk"]
    own = own.assign(
        leaving=[_share(leaving.get(name, math.nan)) for name in own["rhs"]],
        range=[_range(low, high, _money) for low, high in zip(own["conf_low"], own["conf_high"], strict=True)],
    )
    columns = {"rhs": "group", "leaving": "leave", "estimate": "at risk", "range": "interval", "std_all": "of profit"}
    show.table(own, columns, f"Profit of {summary['period']} that goes if customers leave as before",
               formats={"leaving": str, "estimate": _money, "range": str, "std_all": _share})  # fmt: skip


def _sellers(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    own = rows[rows["kind"] == "portfolio"]
    change = rows[(rows["kind"] == "change")].set_index("lhs")
    own = own.assign(
        range=[_range(low, high, _share) for low, high in zip(own["conf_low"], own["conf_high"], strict=True)],
        change=[change["estimate"].get(name, math.nan) for name in own["lhs"]],
        between=[_range(change["conf_low"].get(name, math.nan), change["conf_high"].get(name, math.nan), _whole)
                 for name in own["lhs"]],
    )  # fmt: skip
    columns = {"lhs": "", "statistic": "customers", "std_all": "ratio", "estimate": "shrunken", "range": "interval",
               "change": "change", "between": "its interval"}  # fmt: skip
    formats: dict[str, Callable[[float], str]]
    formats = {"statistic": "{:,.0f}".format, "std_all": _share, "estimate": _share, "range": str,
               "change": _whole, "between": str}  # fmt: skip
    title = f"Portfolios by net revenue: contribution ratio {summary['after']}, contribution since {summary['before']}"
    show.table(own.head(_ROWS), columns, title, formats=formats)
    show.say(f"How far a middle portfolio's ratio can be told from chance: {summary['reliability']:.0%}.")


def _profile(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    traits = rows[(rows["kind"] == "trait") & (rows["group"] == summary["before"])]
    later = rows[(rows["kind"] == "trait") & (rows["group"] == summary["after"])].set_index("lhs")["estimate"]
    weight = rows[rows["kind"] == "importance"].set_index("lhs")["estimate"]
    order = traits["estimate"].abs().sort_values(ascending=False).index
    traits = traits.loc[order].head(_ROWS)
    traits = traits.assign(
        what=traits["lhs"].map(wording), later=[later.get(name, math.nan) for name in traits["lhs"]],
        weight=[weight.get(name, math.nan) for name in traits["lhs"]],
        range=[_range(a, b, "{:.2f}".format) for a, b in zip(traits["conf_low"], traits["conf_high"], strict=True)],
    )  # fmt: skip
    columns = {"what": "trait", "estimate": summary["before"], "range": "interval", "later": summary["after"],
               "weight": "importance"}  # fmt: skip
    two = "{:.2f}".format
    show.table(traits, columns, f"Who is among the best {summary['share']:.0%} (log-odds a standard deviation)",
               formats={"estimate": two, "range": str, "later": two, "weight": "{:.3f}".format})  # fmt: skip
    checks = rows[rows["kind"].isin(["check", "stability"])]
    checks = checks.assign(what=checks["lhs"].map(wording))
    show.table(checks, {"what": f"on {summary['after']}", "estimate": "figure"}, formats={"estimate": two})


def _elasticity(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    two = "{:.2f}".format
    rows = rows.assign(
        what=[f"{wording(lhs)}, {rhs}" for lhs, rhs in zip(rows["lhs"], rows["rhs"], strict=True)],
        range=[_range(a, b, two) for a, b in zip(rows["conf_low"], rows["conf_high"], strict=True)],
    )
    title = f"Contribution for one per cent more revenue, {summary['period']} (1 where profit follows revenue)"
    show.table(rows, {"what": "", "estimate": "figure", "range": "interval"}, title,
               formats={"estimate": two, "range": str})  # fmt: skip


def _visits(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    own = rows[rows["kind"] == "visit"].head(_ROWS)
    own = own.assign(range=[_range(a, b, _whole) for a, b in zip(own["conf_low"], own["conf_high"], strict=True)])
    columns = {"statistic": "", "lhs": "customer", "rhs": "visit", "estimate": "an hour", "range": "interval"}
    title = f"Which visits come first: contribution expected of an hour, after {summary['period']}"
    show.table(own, columns, title, formats={"statistic": "{:.0f}".format, "estimate": _money, "range": str})
    if summary["visits"] > len(own):
        show.say(f"The first {len(own)} of {summary['visits']:,} visits; --output writes all.")
    hours = rows.loc[rows["kind"] == "hours", "estimate"].iloc[0]
    show.say(f"All of them take {hours:,.0f} hours and are expected to bring {_money(summary['expected'])}.")


def _clusters(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    own = rows[rows["kind"] == "cluster"].pivot_table(index="lhs", columns="rhs", values="estimate", sort=False)
    stay = rows[(rows["kind"] == "migration") & (rows["lhs"] == rows["rhs"])]
    stay = stay[stay["group"] == stay["group"].max()].set_index("lhs")
    own["stayed"] = [_share(float(stay["estimate"].get(name, math.nan))) for name in own.index]
    own["range"] = [_range(float(stay["conf_low"].get(name, math.nan)), float(stay["conf_high"].get(name, math.nan)),
                           _share) for name in own.index]  # fmt: skip
    columns = {"lhs": "", "customers": "customers", "net_revenue": "middle revenue", "contribution_ratio": "ratio",
               "share": "of profit", "stayed": "stayed", "range": "interval"}  # fmt: skip
    formats: dict[str, Callable[[float], str]]
    formats = {"customers": _whole, "net_revenue": _money, "contribution_ratio": _share, "share": _share,
               "stayed": str, "range": str}  # fmt: skip
    show.table(own.reset_index(), columns, f"Groups that customers form by themselves, {summary['period']}",
               formats=formats)  # fmt: skip
    for row in rows[rows["kind"] == "agreement"].to_dict("records"):
        band = _range(row["conf_low"], row["conf_high"], "{:.2f}".format)
        show.say(f"  {wording(row['rhs'])} with the rule's groups: {row['estimate']:.2f} ({band})")


def _kpis(released: ReleasedModel) -> None:
    rows = released.tidy.frame
    own = rows[rows["kind"] == "kpi"]
    own = own.assign(kpi=["  " * int(depth) + name for depth, name in zip(own["estimate"], own["lhs"], strict=True)],
                     place=[wording(name) if name else "" for name in own["group"]])  # fmt: skip
    show.table(own, {"kpi": "figure", "label": "owner", "place": "place in the chain"}, "Figures and their owners")
    lines = rows[rows["kind"] == "line"]
    if len(lines):
        lines = lines.assign(line=lines["lhs"].map(wording))
        show.table(lines, {"line": "line of the accounts", "rhs": "figure", "label": "owner"}, "Who owns which line")


def _targets(released: ReleasedModel) -> None:
    rows, summary = released.tidy.frame, released.glance.frame.iloc[0]
    rates = rows[rows["kind"] == "rate"]
    rates = rates.assign(label=rates["label"].fillna("").astype(str), range=[_range(a, b, _share) for a, b in
                                zip(rates["conf_low"], rates["conf_high"], strict=True)])  # fmt: skip
    columns = {"group": "", "rhs": "customers", "estimate": "rate", "range": "limits", "label": ""}
    title = f"{wording(summary['line'])} over net revenue, target since {summary['since']}"
    show.table(rates.tail(2 * _ROWS), columns, title, formats={"estimate": _share, "range": str})
    for kind, said, form in (
        ("effect", "Beyond the other customers", "{:+.2%}".format),
        ("worth", "Worth a period", _money),
    ):
        row = rows[rows["kind"] == kind].iloc[0]
        show.say(f"  {said}: {form(row['estimate'])} ({_range(row['conf_low'], row['conf_high'], form)})")


def _plain(released: ReleasedModel) -> None:
    rows = released.tidy.frame
    ranges = [_range(low, high, show.number) for low, high in zip(rows["conf_low"], rows["conf_high"], strict=True)]
    rows = rows.assign(kind=rows["kind"].map(wording), what=rows["lhs"].map(wording), of=rows["rhs"].map(wording),
                       range=ranges)  # fmt: skip
    columns = {"kind": "", "what": "what", "of": "of", "estimate": "figure", "range": "interval"}
    show.table(rows, columns, wording(released.kind), formats={"range": str})
