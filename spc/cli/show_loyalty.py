"""How the parts of loyalty read on a screen: groups of customers, leaving, the link from answers, the market."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from spc.cli import show
from spc.disclosure import ReleasedModel
from spc.plot.numbers import wording

__all__ = ["parts"]

_MOST = 12
"""Groups on a screen: the first and last of more; tables and JSON have all."""


def parts(given: Sequence[ReleasedModel]) -> None:
    """Print every part; what one has noted is not said again by the next."""
    said: set[str] = set()
    for released in given:
        _part(released)
        show.notes(note for note in released.notes if note.text not in said)
        said |= {note.text for note in released.notes}


def _part(released: ReleasedModel) -> None:
    printers: Mapping[str, Callable[[ReleasedModel], None]] = {
        "retention_groups": _groups,
        "buying_groups": _buyers,
        "hazard": _hazard,
        "beta_geometric": _differing,
        "retention_link": _link,
        "link_money": _money,
        "market": _market,
        "nps": _nps,
    }
    show.say()
    printers[released.kind](released)


def _share(value: float) -> str:
    """A chance in per cent; none that is not certain reads as 100 %."""
    if math.isnan(value):
        return ""
    text = f"{value:.1%}"
    return f"{min(value, 0.9999):.2%}" if text == "100.0%" and value < 1 else text


def _shares(frame: pd.DataFrame) -> list[str]:
    ends = zip(frame["conf_low"], frame["conf_high"], strict=True)
    return ["" if math.isnan(low) else f"{_share(low)} to {_share(high)}" for low, high in ends]


def _numbers(frame: pd.DataFrame, digits: int = 2) -> list[str]:
    ends = zip(frame["conf_low"], frame["conf_high"], strict=True)
    return [
        "" if math.isnan(low) else f"{show.number(low, digits)} to {show.number(high, digits)}" for low, high in ends
    ]


def _by(name: str) -> str:
    """What groups are, as a heading says it."""
    return "year of joining" if name == "joined" else wording(name).lower()


def _groups(released: ReleasedModel) -> None:
    frame, row = released.tidy.frame, released.glance.frame.iloc[0]
    by = str(frame["lhs"].iloc[0])
    if by == "unit":
        frame = frame.sort_values("estimate", ascending=False)
    left_out = max(len(frame) - _MOST, 0)
    if left_out:
        frame = pd.concat([frame.head(_MOST // 2), frame.tail(_MOST // 2)])
    frame = frame.assign(stay=[_share(x) for x in frame["estimate"]], interval=_shares(frame))
    headings = {"rhs": wording(by), "label": "of whom", "stay": "stay", "interval": "interval"}
    show.table(frame, headings, f"Retention by {_by(by)}", formats={"stay": str})
    differ = "" if math.isnan(row["p_value"]) else f"One rate for all of them: {show.probability(row['p_value'])}."
    rest = f" {left_out} between are in the tables." if left_out else ""
    show.say(f"{differ}{rest}".strip())


def _buyers(released: ReleasedModel) -> None:
    """One row a group, and the first and last groups of many."""
    frame, row = released.tidy.frame, released.glance.frame.iloc[0]
    by, stays = str(frame["lhs"].iloc[0]), frame[frame["kind"] == "retention"]
    shown = stays[["rhs", "label"]].assign(stay=[_share(x) for x in stays["estimate"]], interval=_shares(stays))
    for kind, write in (("active", _share), ("purchases", show.figure), ("spend", show.figure)):
        own = frame[frame["kind"] == kind].set_index("rhs")["estimate"]
        if len(own):
            shown[kind] = ["" if math.isnan(x) else write(x) for x in own.reindex(shown["rhs"])]
    left_out = max(len(shown) - _MOST, 0)
    if left_out:
        shown = pd.concat([shown.head(_MOST // 2), shown.tail(_MOST // 2)])
    shown["label"] = shown["label"].str.partition(",")[0]
    headings = {"rhs": wording(by), "label": "of whom", "stay": "stay active", "interval": "interval"}
    more = {"active": "active", "purchases": f"buy a {row['period']}", "spend": "a buy"}
    headings |= {kind: text for kind, text in more.items() if kind in shown}
    show.table(shown, headings, f"Customers without a contract by {_by(by)}", formats={"stay": str})
    if not math.isnan(row["p_value"]):
        show.say(f"One model for all of them: {show.probability(row['p_value'])}.")
    if left_out:
        show.say(f"{left_out} between are in the tables.")


def _hazard(released: ReleasedModel) -> None:
    frame = released.tidy.frame
    frame = frame[frame["kind"] == "coefficient"]
    odds = frame.assign(**{name: frame[name].map(math.exp) for name in ("estimate", "conf_low", "conf_high")})
    odds = odds.assign(interval=_numbers(odds), what=[f"{wording(a)}: {b}" for a, b in zip(odds["lhs"], odds["label"])])  # noqa: B905
    headings = {"what": "", "estimate": "odds of leaving", "interval": "interval", "p_value": "p"}
    formats = {"p_value": lambda p: show.probability(p).removeprefix("p ").removeprefix("= ")}
    show.table(odds, headings, "Who leaves sooner, at the same tenure", formats=formats)


def _differing(released: ReleasedModel) -> None:
    frame = released.tidy.frame
    stays = frame[frame["kind"] == "retention"]
    shown = stays.assign(stay=[_share(x) for x in stays["estimate"]], interval=_shares(stays))
    shown = shown.assign(what=[f"{wording(a)}: {b}" for a, b in zip(shown["lhs"], shown["label"], strict=True)])
    headings = {"what": "", "rhs": "through", "stay": "stay", "interval": "interval"}
    show.table(shown, headings, "Who stays, where customers differ", formats={"stay": str})
    tests = frame[(frame["kind"] == "test") & frame["p_value"].notna()]
    for name, p in zip(tests["lhs"], tests["p_value"], strict=True):
        show.say(f"{wording(name)} makes no difference: {show.probability(p)}.")


def _link(released: ReleasedModel) -> None:
    frame, row = released.tidy.frame, released.glance.frame.iloc[0]
    score = released.labels.get(str(frame["rhs"].iloc[0]), wording(str(frame["rhs"].iloc[0])))
    frame = frame[frame["kind"].isin(["link", "points"])]
    words = {
        ("retention", "link"): "log odds of staying",
        ("retention", "points"): "points of retention",
        ("margin", "link"): "margin a period",
        ("referral", "link"): "customers brought",
    }
    points = frame["kind"] == "points"
    what = [words[pair] for pair in zip(frame["lhs"], frame["kind"], strict=True)]
    shown = frame.assign(**{name: frame[name] * (1 + 99 * points) for name in ("estimate", "conf_low", "conf_high")})
    frame = frame.assign(what=what, figure=shown["estimate"].map(show.figure), interval=show.intervals(shown))
    title = f"One point more of {score.lower()}"
    show.table(frame, {"what": "", "figure": "moves by", "interval": "interval"}, title, formats={"figure": str})
    show.say(
        f"Over {row['nunits']:.0f} units and {row['customers']:,.0f} customers; reliability of a unit's score "
        f"{row['reliability']:.2f}."
    )


def _money(released: ReleasedModel) -> None:
    frame = released.tidy.frame
    frame = frame[frame["kind"] != "change"]
    change = float(released.tidy.frame.query("kind == 'change'")["estimate"].iloc[0])
    share = frame["kind"] == "retention"
    figure = [_share(x) if p else show.figure(x) for x, p in zip(frame["estimate"], share, strict=True)]
    both = zip(_shares(frame), show.intervals(frame), share, strict=True)
    frame = frame.assign(figure=figure, interval=[a if p else b for a, b, p in both], what=frame["lhs"])
    title = f"{change:g} points more of the score, in money"
    columns = {"what": "", "rhs": "on what terms", "figure": "figure", "interval": "interval"}
    show.table(frame, columns, title, formats={"figure": str})


def _market(released: ReleasedModel) -> None:
    frame = released.tidy.frame
    kinds = ["share", "retention", "leak", "inflow", "net", "loyalty_share", "steady_share"]
    wide = frame.pivot_table(index="lhs", columns="kind", values="estimate", sort=False).reset_index()
    headings = {"lhs": "brand", **{kind: wording(kind).lower() for kind in kinds}}
    show.table(wide, headings, "The quality of market share", formats=dict.fromkeys(kinds, _share))


def _nps(released: ReleasedModel) -> None:
    frame = released.tidy.frame
    frame = frame.assign(interval=_numbers(frame, 1), figure=[f"{x:+.1f}" for x in frame["estimate"]])
    columns = {"lhs": "", "figure": "net promoter score", "interval": "interval"}
    show.table(frame, columns, "Recommendation, own and rivals'", formats={"figure": str})
