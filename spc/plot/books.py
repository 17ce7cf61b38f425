"""Charts of the firm's books: the whale curve, and the bridge between two periods."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from spc.disclosure import ReleasedTable, require_released
from spc.plot.figure import Chart, Figure, Series, drawing, finish, floats, standin
from spc.plot.numbers import money, percent
from spc.words import say

__all__ = ["bridge_plot", "whale_plot"]

_WIDTH = 420


def whale_plot(table: ReleasedTable, *, title: str | None = None) -> Figure:
    """Share of all contribution that the best customers have earned, customers from best to worst.

    Parameters
    ----------
    table : ReleasedTable
        Columns ``share_of_customers, share_of_contribution, conf_low, conf_high``.
    """
    frame = require_released(table, ReleasedTable, "whale_plot").frame.dropna(subset=["share_of_contribution"])
    x, y = 100 * frame["share_of_customers"], 100 * frame["share_of_contribution"]
    low, high = 100 * frame["conf_low"], 100 * frame["conf_high"]
    with drawing(_WIDTH, 270) as (_, axes, out):
        axes.fill_between(x, low, high, color=standin("band"), linewidth=0)
        axes.plot(x, y, color=standin("holds"), linewidth=2)
        axes.axhline(100, color=standin("line"), linewidth=0.8, linestyle=":")
        axes.set(xlim=(0, 100), ylim=(min(0.0, float(y.min())), None))
        axes.set(xlabel=say("plot.whale_x"), ylabel=say("plot.whale_y"))
    at = (frame["share_of_customers"] - 0.2).abs().argmin()
    row = frame.iloc[at]
    alt = say(
        "plot.whale_alt", share=percent(row["share_of_customers"]), value=percent(row["share_of_contribution"], 1),
        low=percent(row["conf_low"], 1), high=percent(row["conf_high"], 1),
    )  # fmt: skip
    series = Series("", floats(y), floats(low), floats(high), tuple(map(float, x)))
    chart = Chart("line", (), (series,), say("plot.whale_x"), say("plot.whale_y"))
    return finish(title or say("plot.whale"), alt, out[0], chart=chart)


def bridge_plot(table: ReleasedTable, names: Sequence[str], *, currency: str = "", title: str | None = None) -> Figure:
    """From one period's contribution to the next: what was added and what was taken.

    Parameters
    ----------
    table : ReleasedTable
        Tidy rows of kinds ``start``, ``part`` and ``end``, in order, of one group.
    names : sequence of str
        Of the rows, in words.
    """
    frame = require_released(table, ReleasedTable, "bridge_plot").frame
    rows = frame[frame["kind"].isin(["start", "part", "end"])].reset_index(drop=True)
    values = rows["estimate"].astype(float)
    ends = values.where(rows["kind"] == "part", 0.0).cumsum() + float(values.iloc[0])
    starts = (ends - values).where(rows["kind"] == "part", 0.0)
    ends = ends.where(rows["kind"] == "part", values)
    with drawing(_WIDTH, 60 + 27 * len(rows)) as (_, axes, out):
        for i, kind in enumerate(rows["kind"]):
            colour = "muted" if kind != "part" else "holds" if values[i] >= 0 else "opposite"
            axes.barh(i, ends[i] - starts[i], left=starts[i], height=0.62, color=standin(colour), linewidth=0)
        axes.axvline(0, color=standin("line"), linewidth=1)
        axes.set_yticks(range(len(rows)), [fill(name, 22) for name in names])
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=currency)
        axes.xaxis.set_major_locator(_few_ticks())
        axes.xaxis.set_major_formatter(lambda value, _: money(value))
        axes.tick_params(axis="y", length=0)
    said = [
        say("plot.item", name=name, value=money(value, currency)) for name, value in zip(names, values, strict=True)
    ]
    chart = Chart("bridge", tuple(names), (Series("", floats(values), floats(starts), floats(ends)),), currency)
    return finish(
        title or say("plot.bridge"), say("plot.bridge_alt", said=say("list.semicolon").join(said)), out[0], chart=chart
    )


def _few_ticks() -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
