"""Charts from released tables: effects, drivers, retention, the firm's own figure, quality of measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedTable, require_released
from spc.plot.figure import Figure, drawing, finish, standin
from spc.plot.numbers import bracket, estimate, number, percent, shares, wording

__all__ = ["effects_plot", "five_points", "importance_performance", "retention_curve", "unit_quality"]

Labels = Mapping[str, str] | None
_WIDTH = 420


def effects_plot(
    table: ReleasedTable, labels: Labels = None, *, end: str | None = None, title: str = "Effects"
) -> Figure:
    """Total effects on one construct as points with intervals.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows; those of kind ``total`` (``rhs`` on ``lhs``) are drawn.
    labels : mapping of str to str, optional
    end : str, optional
        Construct the effects are on; by default the one most effects are on.
    title : str
    """
    rows = _rows(table, "effects_plot", ["total"])
    if end is None and not rows.empty:
        end = str(rows["lhs"].mode().iloc[-1])
    rows = rows[rows["lhs"] == end].sort_values("estimate", key=lambda v: v.abs(), ascending=False)
    names = [_word(name, labels) for name in rows["rhs"]]
    said = "; ".join(
        f"{name} {estimate(e, lo, hi)}, {bracket(lo, hi)}"
        for name, e, lo, hi in zip(names, rows["estimate"], rows["conf_low"], rows["conf_high"], strict=True)
    )
    reached = _word(end or "", labels)
    svg = _forest(names, rows, f"Change in {_short(reached.lower(), 36)} per one point")
    return finish(title, f"Total effects on {reached.lower()}, largest first: {said}.", svg)


def importance_performance(
    table: ReleasedTable, labels: Labels = None, *, title: str = "Importance and performance"
) -> Figure:
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
    import seaborn as sns

    with drawing(_WIDTH, 320) as (_, axes, out):
        data = pd.DataFrame({"x": wide["performance"].to_numpy(), "y": 100 * wide["importance"].to_numpy()})
        sns.scatterplot(data=data, x="x", y="y", s=70, color=standin("holds"), linewidth=0, ax=axes, legend=False)
        axes.axvline(float(data["x"].mean()) if len(data) else 50, color=standin("line"), linewidth=0.8, linestyle=":")
        axes.axhline(float(data["y"].mean()) if len(data) else 0, color=standin("line"), linewidth=0.8, linestyle=":")
        top = 1.2 * float(data["y"].max() if len(data) else 10)
        axes.set(xlim=(0, 100), ylim=(0, min(max(10.0, top), 104.0)))
        axes.set(xlabel="Performance (0–100)", ylabel="Importance (share of what is explained, %)")
        _name_points(axes, data, [_word(str(name), labels) for name in wide.index])
    said = "; ".join(
        f"{_word(str(name), labels)}: importance {percent(share, 1)}, performance {number(level)}"
        for name, share, level in zip(wide.index, wide["importance"], wide["performance"], strict=True)
    )
    return finish(title, f"Drivers by importance and performance. {said}.", out[0])


def retention_curve(table: ReleasedTable, *, period: str = "year", title: str = "How long customers stay") -> Figure:
    """Share of customers still there, by period, with its interval and what a constant rate would give.

    Parameters
    ----------
    table : ReleasedTable
        Columns ``period, survival, conf_low, conf_high`` and, if there, ``geometric`` and ``fitted`` (the
        model the figures rest on); hidden periods are left out.
    """
    frame = require_released(table, ReleasedTable, "retention_curve").frame.dropna(subset=["survival"])
    import seaborn as sns

    shares_of = [name for name in ("survival", "conf_low", "conf_high", "geometric", "fitted") if name in frame]
    start = pd.DataFrame({"period": [0.0], **{name: [1.0] for name in shares_of}})
    drawn = pd.concat([start, frame[["period", *shares_of]].astype(float)], ignore_index=True)
    x = drawn["period"]
    with drawing(_WIDTH, 270) as (_, axes, out):
        axes.fill_between(
            x, 100 * drawn["conf_low"], 100 * drawn["conf_high"],
            step="post", color=standin("band"), linewidth=0,
        )  # fmt: skip
        sns.lineplot(
            x=x, y=100 * drawn["survival"], drawstyle="steps-post", color=standin("holds"),
            linewidth=2, ax=axes, label="Observed", errorbar=None,
        )  # fmt: skip
        if "geometric" in drawn:
            sns.lineplot(
                x=x, y=100 * drawn["geometric"], color=standin("muted"), linewidth=1.4, linestyle="--",
                ax=axes, label="At a constant rate", errorbar=None,
            )  # fmt: skip
        if "fitted" in drawn and not (drawn["fitted"] - drawn["geometric"]).abs().max() < 1e-9:
            sns.lineplot(
                x=x, y=100 * drawn["fitted"], color=standin("unclear"), linewidth=1.4,
                ax=axes, label="By the model", errorbar=None,
            )  # fmt: skip
        axes.set(ylim=(0, 103), xlabel=f"{wording(period)}s since joining", ylabel="Still customers, %")
        axes.legend(frameon=False, fontsize=10)
    if frame.empty:
        return finish(title, "Too few customers to show a curve.", out[0])
    last = frame.iloc[-1]
    low, high = percent(last["conf_low"]), percent(last["conf_high"])
    alt = (
        f"After {number_of(last['period'], period)} {percent(last['survival'])} are still customers ({low} to {high})."
    )
    return finish(title, alt, out[0])


def five_points(table: ReleasedTable, *, title: str = "What more retention is worth") -> Figure:
    """The firm's own figure beside the closed form and the range usually quoted, as per cent of customer value.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows of a loyalty result: kinds ``uplift_percent``, ``uplift_constant``, ``closed_form`` and ``claim``.
    """
    rows = _rows(table, "five_points", ["uplift_percent", "uplift_constant", "closed_form", "claim"])
    rows = rows[rows["lhs"] == "uplift_percent"]
    bars = [
        (words, rows[rows["kind"] == kind].iloc[0], colour)
        for kind, words, colour in (
            ("uplift_percent", "This firm", "holds"),
            ("uplift_constant", "If customers\nwere alike", "muted"),
            ("closed_form", "This firm,\nno horizon", "muted"),
            ("claim", "Usually\nquoted", "void"),
        )
        if (rows["kind"] == kind).any()
    ]
    with drawing(_WIDTH, 70 + 46 * max(len(bars), 1)) as (_, axes, out):
        for at, (_, row, colour) in enumerate(bars):
            thin = row["kind"] != "claim"
            ends = [row["estimate"] if pd.isna(row[name]) else row[name] for name in ("conf_low", "conf_high")]
            axes.plot(
                [100 * end for end in ends], [at, at], color=standin(colour),
                linewidth=2.4 if thin else 11, solid_capstyle="round" if thin else "butt",
            )  # fmt: skip
            axes.plot([100 * row["estimate"]], [at], "o", color=standin(colour), markersize=8)
        axes.set_yticks(range(len(bars)), [words for words, *_ in bars])
        axes.set(ylim=(len(bars) - 0.4, -0.6), xlabel="More customer value, %")
        axes.set_xlim(
            left=min(0.0, *(100 * float(row["conf_low"]) for _, row, _ in bars if pd.notna(row["conf_low"])))
            if bars
            else 0.0
        )
        axes.tick_params(axis="y", length=0)
    said = "; ".join(_said_share(words.replace("\n", " "), row) for words, row, _ in bars)
    return finish(title, f"Rise in customer value. {said}.", out[0])


def unit_quality(
    table: ReleasedTable, labels: Labels = None, *, title: str = "How well each construct is measured"
) -> Figure:
    """Reliability of each construct with its interval.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows of a study; ``omega`` where there is one, else ``alpha``.
    """
    rows = _rows(table, "unit_quality", ["omega", "alpha"]).dropna(subset=["estimate"])
    rows = rows.sort_values("kind", ascending=False, kind="stable").drop_duplicates("lhs")
    names = [_word(name, labels) for name in rows["lhs"]]
    svg = _forest(names, rows, "Reliability (omega)", zero=False, mark=0.7)
    said = "; ".join(f"{name} {number(value)}" for name, value in zip(names, rows["estimate"], strict=True))
    return finish(title, f"Reliability by construct: {said}.", svg)


def number_of(value: Any, unit: str) -> str:
    """A whole number of periods in words.

    Examples
    --------
    >>> number_of(1.0, "year"), number_of(6, "year")
    ('1 year', '6 years')
    """
    return f"{float(value):g} {unit}{'' if float(value) == 1 else 's'}"


def _rows(table: ReleasedTable, taker: str, kinds: Sequence[str]) -> pd.DataFrame:
    frame = require_released(table, ReleasedTable, taker).frame
    return frame[frame["kind"].isin(kinds)].reset_index(drop=True)


def _word(name: str, labels: Labels) -> str:
    return (labels or {}).get(name) or wording(name)


def _short(text: str, most: int) -> str:
    """A name cut to what a figure has room for; tables have it whole."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _said_share(words: str, row: pd.Series) -> str:
    value, low, high = shares(row["estimate"], row["conf_low"], row["conf_high"])
    return f"{words}: {low} to {high}" if pd.isna(row["estimate"]) else f"{words}: {value} ({low} to {high})"


def _forest(
    names: Sequence[str], rows: pd.DataFrame, axis: str, *, zero: bool = True, mark: float | None = None
) -> str:
    from textwrap import fill

    import seaborn as sns

    with drawing(_WIDTH, 66 + 34 * max(len(names), 1)) as (_, axes, out):
        colours = [
            standin(_colour(low, high, zero)) for low, high in zip(rows["conf_low"], rows["conf_high"], strict=True)
        ]
        for at, (low, high, colour) in enumerate(zip(rows["conf_low"], rows["conf_high"], colours, strict=True)):
            axes.plot([low, high], [at, at], color=colour, linewidth=2.2, solid_capstyle="round")
        sns.scatterplot(x=rows["estimate"].to_numpy(), y=list(range(len(names))), c=colours, s=60, linewidth=0, ax=axes)
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
