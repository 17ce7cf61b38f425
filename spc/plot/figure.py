"""A finished figure: SVG that fits any page, says its finding in words, and shares no name with its neighbours."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any, Final

from spc.errors import UsageError
from spc.files import write_all
from spc.words import say

__all__ = ["PALETTE", "Chart", "Figure", "Series", "drawing", "finish", "floats", "paint", "standin"]

_SEAL: Final = object()

PALETTE: Final = {
    "ink": "currentColor",
    "muted": "#6b7280",
    "line": "#9aa3af",
    "holds": "#0f6f8c",
    "unclear": "#a16207",
    "opposite": "#b4432a",
    "void": "#8b93a0",
    "grade-a": "#0f6f8c",
    "grade-b": "#6f7fd1",
    "grade-c": "#a16207",
    "grade-d": "#8b93a0",
    "box": "transparent",
    "band": "#0f6f8c33",
}
"""Colours by meaning. A page may override each as the CSS variable ``--spc-<name>``; a bare SVG shows these."""

_STANDIN: Final = {"ink": "#010203", "muted": "#010204", "line": "#010205", "holds": "#010206", "unclear": "#010207",
                   "opposite": "#010208", "void": "#010209", "band": "#01020a"}  # fmt: skip
"""What the drawing library is told, exchanged for :func:`paint` afterwards."""


@dataclass(frozen=True)
class Series:
    """Numbers of a chart, one a category or point; None where there is none.

    Attributes
    ----------
    name : str
    values : tuple of float or None
    low, high : tuple of float or None
        Ends of intervals; empty without.
    x : tuple of float
        Places of points on the axis across; empty where categories say it.
    """

    name: str
    values: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    x: tuple[float, ...] = ()


@dataclass(frozen=True)
class Chart:
    """What a figure shows, as plain numbers, for programs that draw it themselves.

    Attributes
    ----------
    sort : {"interval", "line", "scatter", "bridge", "links"}
    categories : tuple of str
    series : tuple of Series
    x_label, y_label : str
    x_span : pair of float, optional
        Ends of the horizontal axis.
    """

    sort: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    x_label: str = ""
    y_label: str = ""
    x_span: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure made from released tables.

    Attributes
    ----------
    title : str
    alt : str
        The finding in words, for those who do not see the figure.
    svg : str
        The drawing, with ``role="img"``, title and description inside.
    narrow : str
        The same for narrow pages; empty when ``svg`` fits those too.
    chart : Chart or None
        The numbers drawn.
    """

    title: str
    alt: str
    svg: str = field(repr=False)
    narrow: str = field(default="", repr=False)
    chart: Chart | None = field(default=None, repr=False)
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise UsageError(
                "Figure cannot be made directly; draw it from released tables with the functions of spc.plot."
            )

    def save(self, path: Path | str, *, force: bool = False) -> Path:
        """Write the drawing as an SVG file of its own, which browsers, word processors and drawing programs open.

        Parameters
        ----------
        path : Path or str
            Ending in ``.svg``.
        force : bool
            Write over a file that is there.

        Raises
        ------
        UsageError
            Another ending, or a file that is there already.
        """
        target = Path(path)
        if target.suffix.lower() != ".svg":
            raise UsageError(f"{target.name}: a figure is saved as SVG; expected a name such as diagram.svg.")
        plain = re.sub(r"var\(--[\w-]+, ([^()]*)\)", r"\1", self.svg).replace("currentColor", "#000000")
        alone = plain.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        return write_all(target.parent, {target.name: alone}, force=force)[0]


def paint(name: str) -> str:
    """CSS colour of a meaning, overridable by the page.

    Examples
    --------
    >>> paint("holds")
    'var(--spc-holds, #0f6f8c)'
    """
    return f"var(--spc-{name}, {PALETTE[name]})"


def finish(title: str, alt: str, svg: str, narrow: str = "", *, chart: Chart | None = None) -> Figure:
    """Make a figure of raw drawings: name it for screen readers and make its ids its own."""
    return Figure(title, alt, _named(svg, title, alt), _named(narrow, title, alt), chart, seal=_SEAL)


def floats(values: Iterable[Any]) -> tuple[float | None, ...]:
    """Numbers of a series; missing ones are None.

    Examples
    --------
    >>> floats([1, float("nan")])
    (1.0, None)
    """
    numbers = (float(value) for value in values)
    return tuple(None if math.isnan(value) else value for value in numbers)


def _named(svg: str, title: str, alt: str) -> str:
    if not svg:
        return ""
    key = "f" + hashlib.sha256((title + alt + svg).encode()).hexdigest()[:8]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{key}-", svg)
    head = f'<svg role="img" aria-labelledby="{key}-t {key}-d" '
    words = f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(alt)}</desc>'
    return re.sub(r"<svg ([^>]*)>", lambda found: head + found.group(1) + ">" + words, svg, count=1)


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Any, Any, list[str]]]:
    """Give a figure and axes of ``width`` by ``height`` CSS pixels; on leaving, put the SVG into the list.

    Settings of the drawing library are changed inside only, and no window or global figure is made.
    """
    import seaborn as sns
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    out: list[str] = []
    with rc_context({**sns.axes_style("ticks"), **_settings()}):
        canvas = Canvas(figsize=(width / 72, height / 72), layout="constrained")
        FigureCanvasSVG(canvas)
        axes = canvas.add_subplot()
        sns.despine(ax=axes)
        yield canvas, axes, out
        _mark_decimals(axes)
        buffer = StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    out.append(_clean(buffer.getvalue(), width, height))


def _mark_decimals(axes: Any) -> None:
    """Numbers at the ticks with the decimal mark of the language in force."""
    from matplotlib.ticker import ScalarFormatter

    class Marked(ScalarFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return str(super().__call__(x, pos)).replace(".", say("number.decimal"))

    for axis in (axes.xaxis, axes.yaxis):
        if type(axis.get_major_formatter()) is ScalarFormatter:
            axis.set_major_formatter(Marked())


def _settings() -> dict[str, Any]:
    ink, muted, line = _STANDIN["ink"], _STANDIN["muted"], _STANDIN["line"]
    return {
        "svg.hashsalt": "spc",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 11,
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 11,
        "axes.titlesize": 11,
        "axes.edgecolor": line,
        "axes.labelcolor": muted,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": ink,
        "text.color": ink,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
    }


def standin(name: str) -> str:
    """Colour to draw a meaning with inside :func:`drawing`."""
    return _STANDIN[name]


def _clean(svg: str, width: float, height: float) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(
        r"<svg [^>]*>",
        f'<svg viewBox="0 0 {width:g} {height:g}" style="width:100%;max-width:{1.25 * width:g}px">',
        body,
        count=1,
    )
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", body)
    for name, colour in _STANDIN.items():
        body = body.replace(colour, paint(name))
    return body.replace("xlink:href", "href").strip()
