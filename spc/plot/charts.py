"""Charts from released tables: effects, drivers, retention, the firm's own figure, quality of measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedTable, require_released
from spc.plot.figure import Chart, Figure, Series, drawing, finish, floats, standin
from spc.plot.numbers import bracket, count, estimate, money, number, percent, rate, shares, wording
from spc.words import say

__all__ = ["effects_plot", "five_points", "importance_performance", "in_time", "retention_curve", "unit_quality"]

Labels = Mapping[str, str] | None
_WIDTH = 420


def effects_plot(
    table: ReleasedTable, labels: Labels = None, *, end: str | None = None, title: str | None = None
) -> Figure:
    """Total effects on one construct as points with intervals.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows; those of kind ``total`` (``rhs`` on ``lhs``) are drawn.
    labels : mapping of str to str, optional
    end : str, optional
        Construct the effects are on; by default the one most effects are on.
    title : str, optional
    """
    rows = _rows(table, "effects_plot", ["total"])
    if end is None and not rows.empty:
        end = str(rows["lhs"].mode().iloc[-1])
    rows = rows[rows["lhs"] == end].sort_values("estimate", key=lambda v: v.abs(), ascending=False)
    names = [_word(name, labels) for name in rows["rhs"]]
    said = [
        say("plot.item_interval", name=name, value=estimate(e, lo, hi), interval=bracket(lo, hi))
        for name, e, lo, hi in zip(names, rows["estimate"], rows["conf_low"], rows["conf_high"], strict=True)
    ]
    reached = _word(end or "", labels)
    inside = reached.lower() if say("grammar.lower_inside") == "yes" else reached
    axis = say("plot.effects_axis", end=_short(inside, 36))
    alt = say("plot.effects_alt", end=inside, said=say("list.semicolon").join(said))
    return finish(title or say("plot.effects"), alt, _forest(names, rows, axis), chart=_intervals(names, rows, axis))


def importance_performance(table: ReleasedTable, labels: Labels = None, *, title: str | None = None) -> Figure:
    """Drivers by what they explain and how the firm does on them; the lower right-hand side is well in hand.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows of kinds ``importance`` (``std_all`` its share of what is explained) and ``performance`` (0–100),
        ``lhs`` the driver.
    """
    rows = _rows(table, "importance_performance", ["importance", "performance"])
    share = rows["std_all"].where((rows["kind"] == "importance") & rows["std_all"].notna())
    rows = rows.assign(estimate=share.fillna(rows["estimate"]))
    wide = rows.pivot_table(index="lhs", columns="kind", values="estimate", sort=False).reindex(
        columns=["importance", "performance"]
    )
    wide = wide.dropna()
    names = [_word(str(name), labels) for name in wide.index]
    data = pd.DataFrame({"x": wide["performance"].to_numpy(), "y": 100 * wide["importance"].to_numpy()})
    x_label, y_label = say("plot.drivers_x"), say("plot.drivers_y")
    with drawing(_WIDTH, 320) as (_, axes, out):
        axes.scatter(data["x"], data["y"], s=70, color=standin("holds"), linewidth=0)
        axes.axvline(float(data["x"].mean()) if len(data) else 50, color=standin("line"), linewidth=0.8, linestyle=":")
        axes.axhline(float(data["y"].mean()) if len(data) else 0, color=standin("line"), linewidth=0.8, linestyle=":")
        top = 1.2 * float(data["y"].max() if len(data) else 10)
        axes.set(xlim=(0, 100), ylim=(0, min(max(10.0, top), 104.0)))
        axes.set(xlabel=x_label, ylabel=y_label)
        _name_points(axes, data, names)
    said = [
        say("plot.drivers_item", name=name, share=percent(share, 1), level=number(level))
        for name, share, level in zip(names, wide["importance"], wide["performance"], strict=True)
    ]
    chart = Chart("scatter", tuple(names), (Series("", floats(data["y"]), x=tuple(map(float, data["x"]))),),
                  x_label, y_label, (0.0, 100.0))  # fmt: skip
    alt = say("plot.drivers_alt", said=say("list.semicolon").join(said))
    return finish(title or say("plot.drivers"), alt, out[0], chart=chart)


def retention_curve(table: ReleasedTable, *, period: str = "year", title: str | None = None) -> Figure:
    """Share of customers still there, by period, with its interval and what a constant rate would give.

    Parameters
    ----------
    table : ReleasedTable
        Columns ``period, survival, conf_low, conf_high`` and, if there, ``geometric`` and ``fitted`` (the
        model the figures rest on); hidden periods are left out.
    """
    frame = require_released(table, ReleasedTable, "retention_curve").frame.dropna(subset=["survival"])
    shares_of = [name for name in ("survival", "conf_low", "conf_high", "geometric", "fitted") if name in frame]
    start = pd.DataFrame({"period": [0.0], **{name: [1.0] for name in shares_of}})
    drawn = pd.concat([start, frame[["period", *shares_of]].astype(float)], ignore_index=True)
    x = drawn["period"]
    lines = [Series(say("plot.observed"), floats(100 * drawn["survival"]), floats(100 * drawn["conf_low"]),
                    floats(100 * drawn["conf_high"]), tuple(x))]  # fmt: skip
    x_label, y_label = say(f"plot.curve_x.{period}"), say("plot.curve_y")
    with drawing(_WIDTH, 270) as (_, axes, out):
        axes.fill_between(
            x, 100 * drawn["conf_low"], 100 * drawn["conf_high"],
            step="post", color=standin("band"), linewidth=0,
        )  # fmt: skip
        axes.step(x, 100 * drawn["survival"], where="post", color=standin("holds"), linewidth=2, label=lines[0].name)
        if "geometric" in drawn:
            lines.append(Series(say("plot.constant"), floats(100 * drawn["geometric"]), x=tuple(x)))
            axes.plot(
                x, 100 * drawn["geometric"], color=standin("muted"), linewidth=1.4, linestyle="--", label=lines[-1].name
            )
        if "fitted" in drawn and not (drawn["fitted"] - drawn["geometric"]).abs().max() < 1e-9:
            lines.append(Series(say("plot.fitted"), floats(100 * drawn["fitted"]), x=tuple(x)))
            axes.plot(x, 100 * drawn["fitted"], color=standin("unclear"), linewidth=1.4, label=lines[-1].name)
        axes.set(ylim=(0, 103), xlabel=x_label, ylabel=y_label)
        axes.legend(frameon=False, fontsize=10)
    title = title or say("plot.curve")
    if frame.empty:
        return finish(title, say("plot.curve_few"), out[0])
    last = frame.iloc[-1]
    alt = say("plot.curve_alt", time=in_time(float(last["period"]), period), share=percent(last["survival"]),
              low=percent(last["conf_low"]), high=percent(last["conf_high"]))  # fmt: skip
    return finish(title, alt, out[0], chart=Chart("line", (), tuple(lines), x_label, y_label))


def five_points(table: ReleasedTable, *, title: str | None = None, currency: str = "") -> Figure:
    """The firm's own figure, for points and for per cent of retention, beside the range usually quoted.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows of a loyalty result: kinds ``uplift_percent``, ``uplift_relative``, ``uplift_constant``,
        ``closed_form`` and ``claim``, all as per cent of customer value; ``claim_terms`` are written below them.
    currency : str
        Of what it would cost to win a customer.
    """
    rows = _rows(table, "five_points", ["uplift_percent", "uplift_relative", "uplift_constant", "closed_form", "claim"])
    terms = _claim_terms(table, currency)
    rows = rows[rows["lhs"] == "uplift_percent"]
    bars = [
        (say(f"plot.five.{words}"), rows[rows["kind"] == kind].iloc[0], colour)
        for kind, words, colour in (
            ("uplift_percent", "firm", "holds"),
            ("uplift_relative", "percent", "holds"),
            ("uplift_constant", "alike", "muted"),
            ("closed_form", "endless", "muted"),
            ("claim", "claim", "void"),
        )
        if (rows["kind"] == kind).any()
    ]
    with drawing(_WIDTH, 70 + 46 * max(len(bars), 1) + (56 if terms else 0)) as (_, axes, out):
        for at, (_, row, colour) in enumerate(bars):
            thin = row["kind"] != "claim"
            ends = [row["estimate"] if pd.isna(row[name]) else row[name] for name in ("conf_low", "conf_high")]
            axes.plot(
                [100 * end for end in ends], [at, at], color=standin(colour),
                linewidth=2.4 if thin else 11, solid_capstyle="round" if thin else "butt",
            )  # fmt: skip
            axes.plot([100 * row["estimate"]], [at], "o", color=standin(colour), markersize=8)
        axes.set_yticks(range(len(bars)), [fill(words, 14) for words, *_ in bars])
        below = [say("plot.five_x"), *([fill(terms, 58)] if terms else [])]
        axes.set(ylim=(len(bars) - 0.4, -0.6), xlabel="\n".join(below))
        lows = [100 * float(row["conf_low"]) for _, row, _ in bars if pd.notna(row["conf_low"])]
        axes.set_xlim(left=min(0.0, *lows) if lows else 0.0)
        axes.tick_params(axis="y", length=0)
    sentences = [*(_said_share(words, row) for words, row, _ in bars), *([terms] if terms else [])]
    said = say("list.semicolon").join(sentences)
    names = [words for words, *_ in bars]
    chart = _intervals(names, pd.DataFrame([row for _, row, _ in bars]), say("plot.five_x"), 100.0) if bars else None
    return finish(title or say("plot.five_title"), say("plot.five_alt", said=said), out[0], chart=chart)


def _claim_terms(table: ReleasedTable, currency: str) -> str:
    """Under which one assumption each end of the usual range would come out here, in words; empty for none."""
    rows = _rows(table, "five_points", ["claim_terms"]).dropna(subset=["estimate"])
    said = []
    for name, on, value in zip(rows["lhs"], rows["rhs"], rows["estimate"].astype(float), strict=True):
        words = "margin_fall" if name == "margin_growth" and value < 0 else name
        text = money(value, currency) if name == "acquisition_cost" else rate(abs(value))
        share = str(on).partition("worth ")[2].partition("%")[0]
        said.append(say(f"plot.five.{words}", value=text, share=percent(float(share) / 100)))
    return say("plot.five_terms", terms=say("list.or").join(said)) if said else ""


def unit_quality(table: ReleasedTable, labels: Labels = None, *, title: str | None = None) -> Figure:
    """Reliability of each construct with its interval.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows of a study; ``omega`` where there is one, else ``alpha``.
    """
    rows = _rows(table, "unit_quality", ["omega", "alpha"]).dropna(subset=["estimate"])
    rows = rows.sort_values("kind", ascending=False, kind="stable").drop_duplicates("lhs")
    names = [_word(name, labels) for name in rows["lhs"]]
    axis = say("plot.quality_axis")
    svg = _forest(names, rows, axis, zero=False, mark=0.7)
    said = [
        say("plot.item", name=name, value=number(value)) for name, value in zip(names, rows["estimate"], strict=True)
    ]
    alt = say("plot.quality_alt", said=say("list.semicolon").join(said))
    return finish(title or say("plot.quality"), alt, svg, chart=_intervals(names, rows, axis))


def in_time(value: float, unit: str) -> str:
    """A number of periods in words.

    Examples
    --------
    >>> in_time(1.0, "year"), in_time(6, "year")
    ('1 year', '6 years')
    """
    text = count(value) if float(value).is_integer() else number(value)
    return say(f"time.{unit}s", n=value, text=text)


def _rows(table: ReleasedTable, taker: str, kinds: Sequence[str]) -> pd.DataFrame:
    frame = require_released(table, ReleasedTable, taker).frame
    return frame[frame["kind"].isin(kinds)].reset_index(drop=True)


def _intervals(names: Sequence[str], rows: pd.DataFrame, axis: str, times: float = 1.0) -> Chart:
    ends = [floats(times * rows[name].astype(float)) for name in ("estimate", "conf_low", "conf_high")]
    return Chart("interval", tuple(names), (Series("", ends[0], ends[1], ends[2]),), axis)


def _word(name: str, labels: Labels) -> str:
    return (labels or {}).get(name) or wording(name)


def _short(text: str, most: int) -> str:
    """A name cut to what a figure has room for; tables have it whole."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _said_share(words: str, row: pd.Series) -> str:
    value, low, high = shares(row["estimate"], row["conf_low"], row["conf_high"])
    if pd.isna(row["conf_low"]):
        return say("plot.item", name=words, value=value)
    if pd.isna(row["estimate"]):
        return say("plot.five.item_range", name=words, low=low, high=high)
    return say("plot.five.item", name=words, value=value, low=low, high=high)


def _forest(
    names: Sequence[str], rows: pd.DataFrame, axis: str, *, zero: bool = True, mark: float | None = None
) -> str:
    with drawing(_WIDTH, 66 + 34 * max(len(names), 1)) as (_, axes, out):
        colours = [
            standin(_colour(low, high, zero)) for low, high in zip(rows["conf_low"], rows["conf_high"], strict=True)
        ]
        for at, (low, high, colour) in enumerate(zip(rows["conf_low"], rows["conf_high"], colours, strict=True)):
            axes.plot([low, high], [at, at], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.scatter(rows["estimate"].to_numpy(), list(range(len(names))), c=colours, s=60, linewidth=0, zorder=3)
        if zero:
            axes.axvline(0, color=standin("line"), linewidth=1)
        if mark is not None:
            axes.axvline(mark, color=standin("line"), linewidth=1, linestyle="--")
        axes.set_yticks(range(len(names)), [fill(_short(name, 54), 20) for name in names])
        axes.set(ylim=(max(len(names), 1) - 0.5, -0.5), xlabel=axis, ylabel="")
        axes.tick_params(axis="y", length=0)
    return out[0]


def _colour(low: float, high: float, zero: bool) -> str:
    if not zero or low > 0:
        return "holds"
    return "opposite" if high < 0 else "unclear"


def _name_points(axes: Any, data: pd.DataFrame, names: Sequence[str]) -> None:
    """Names beside points, on the side and at the height where they cover least, with a hair line when moved."""
    step = 0.055 * (axes.get_ylim()[1] or 1)
    taken: list[tuple[bool, float]] = []
    for at in data["y"].sort_values(ascending=False).index:
        x, y = float(data["x"][at]), float(data["y"][at])
        sides = [left for left in (x > 55, x <= 55) if (x > 40 if left else x < 62)]
        tries = [(abs(k), left, y - k * step / 2) for left in sides for k in range(24)]
        _, left, place = min(t for t in tries if not any(side == t[1] and abs(t[2] - h) < step for side, h in taken))
        taken.append((left, place))
        hair = {"arrowstyle": "-", "color": standin("line"), "linewidth": 0.7, "shrinkB": 4}
        spot, side = (x - 4 if left else x + 4, place), "right" if left else "left"
        axes.annotate(_short(names[at], 28), (x, y), xytext=spot, va="center", ha=side, fontsize=10.5, arrowprops=hair)
