"""A report as PowerPoint slides: a slide a finding, native tables and charts, the method in the speaker notes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from spc.files import safe_cell
from spc.plot import Chart, Series
from spc.report.archive import without_dates
from spc.report.blocks import (
    Block,
    EquationsBlock,
    FactsBlock,
    FigureBlock,
    FindingBlock,
    ListBlock,
    NotesBlock,
    Prose,
    Report,
    Section,
    StatsBlock,
    TableBlock,
)  # fmt: skip
from spc.report.extras import extra
from spc.words import say

if TYPE_CHECKING:
    from pptx.chart.data import CategoryChartData, XyChartData
    from pptx.slide import Slide

__all__ = ["slides"]

ROWS, LINES = 10, 7
"""Rows of a table and lines of a list that a slide holds."""
_LETTERS = 420
_MARGIN = 3
"""Of a cell, in letters."""
"""Letters of text that a slide holds in a readable size."""
_INK, _MUTED, _CAUTION = "1F2933", "6B7280", "A16207"
_ACCENT = "0F6F8C"
_ADDRESS = re.compile(r"(https?|ftps?|mailto|internal|external|file):", re.IGNORECASE)


def slides(report: Report) -> bytes:
    """The report as a ``.pptx`` file.

    Returns
    -------
    bytes
        The same for the same report.

    Raises
    ------
    MissingExtraError
        python-pptx is not installed.
    """
    deck = _Deck(report)
    deck.opening(report)
    for section in report.sections:
        deck.section(section)
    return deck.bytes()


class _Deck:
    """Slides under construction; what is said before a slide that shows it waits in ``said``."""

    def __init__(self, report: Report) -> None:
        pptx = extra("pptx")
        self.pages: Any = pptx.Presentation()
        self.pages.slide_width, self.pages.slide_height = pptx.util.Inches(13.333), pptx.util.Inches(7.5)
        facts = self.pages.core_properties
        facts.title, facts.author, facts.last_modified_by, facts.comments = report.title, "spc", "spc", report.subtitle
        facts.language = report.language
        self.accent = report.look.accent.lstrip("#").upper() or _ACCENT
        self.title = ""
        self.said: list[Prose] = []
        self.last: Any = None

    def bytes(self) -> bytes:
        from io import BytesIO

        written = BytesIO()
        self.pages.save(written)
        return without_dates(written.getvalue())

    def opening(self, report: Report) -> None:
        """Title, what it is about, and the one sentence."""
        slide = self.slide(report.title, size=36, top=2.0)
        self.text(slide, [report.subtitle], top=3.1, size=20, colour=_MUTED)
        if report.headline:
            self.text(slide, [report.headline], top=4.0, size=22)

    def section(self, section: Section) -> None:
        """Each block where it fits; text that stands before a figure or table goes into its notes."""
        self.title, self.said, self.last = section.title, [], None
        for block in section.blocks:
            write = _WAYS.get(type(block))
            if write is not None:
                write(self, block)
        if self.last is not None and all(one.tone == "small" for one in self.said):
            _note(self.last, self.notes_said())
        self.flush()

    def flush(self) -> None:
        """Sentences that wait, on slides of their own."""
        for some in _portions([one.text for one in self.said]):
            self.text(self.slide(self.title), some, size=18)
        self.said = []

    def notes_said(self) -> str:
        """Sentences that wait, for the notes of the slide that shows what they say; cautions are shown themselves."""
        cautions = [one for one in self.said if one.tone == "caution"]
        text = "\n".join(one.text for one in self.said if one.tone != "caution")
        self.said = cautions
        self.flush()
        return text

    def slide(self, title: str, *, size: float = 26, top: float = 0.45, notes: str = "") -> Slide:
        from pptx.util import Inches, Pt

        slide = self.pages.slides.add_slide(self.pages.slide_layouts[5])
        head = slide.shapes.title
        head.left, head.top, head.width, head.height = Inches(0.6), Inches(top), Inches(12.1), Inches(0.9)
        head.text_frame.text, head.text_frame.word_wrap = title, True
        paragraph = head.text_frame.paragraphs[0]
        paragraph.alignment = 1
        _ink(paragraph.runs[0].font if paragraph.runs else paragraph.font, Pt(size), self.accent, bold=True)
        _note(slide, notes)
        self.last = slide
        return slide

    def text(
        self, slide: Slide, paragraphs: Sequence[str], *, top: float = 1.6, size: float = 18, colour: str = _INK,
        height: float = 5.2,
    ) -> None:  # fmt: skip
        from pptx.util import Inches, Pt

        frame = slide.shapes.add_textbox(Inches(0.6), Inches(top), Inches(12.1), Inches(height)).text_frame
        frame.word_wrap = True
        for i, text in enumerate(paragraphs):
            paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
            paragraph.text, paragraph.space_after = text, Pt(8)
            _ink(paragraph.font, Pt(size), colour)

    def prose(self, block: Prose) -> None:
        if block.tone == "heading":
            self.flush()
            self.title = block.text
        elif block.tone != "code":
            self.said.append(block)

    def items(self, block: ListBlock) -> None:
        self.said += [Prose(f"• {item}") for item in block.items]

    def stats(self, block: StatsBlock) -> None:
        from pptx.util import Inches, Pt

        slide = self.slide(self.title, notes="\n".join(": ".join((name, value)) for name, value, _ in block.items))
        wide = 12.1 / max(len(block.items), 1)
        for i, (name, value, detail) in enumerate(block.items):
            box = slide.shapes.add_textbox(Inches(0.6 + i * wide), Inches(1.6), Inches(wide - 0.2), Inches(1.8))
            frame = box.text_frame
            frame.word_wrap = True
            for text, size, colour in ((value, 32, self.accent), (name, 16, _INK), (detail, 14, _MUTED)):
                paragraph = frame.paragraphs[0] if size == 32 else frame.add_paragraph()
                paragraph.text = text
                _ink(paragraph.font, Pt(size), colour, bold=size == 32)
        said, self.said = [one.text for one in self.said], []
        self.text(slide, said, top=3.6, size=16, height=3.4)

    def finding(self, block: FindingBlock) -> None:
        told = (self.notes_said(), block.mark, block.method, *block.caveats)
        slide = self.slide(block.title, notes="\n".join(text for text in told if text))
        self.text(slide, [block.text], size=26, height=2.6)
        if block.mark:
            self.text(slide, [block.mark], top=4.3, size=16, colour=self.accent, height=0.5)
        self.text(slide, [f"• {caveat}" for caveat in block.caveats], top=4.8, size=14, colour=_CAUTION, height=2.2)

    def facts(self, block: FactsBlock) -> None:
        self.grid(block.caption, (), block.pairs, (False, False), self.notes_said())

    def table(self, block: TableBlock) -> None:
        if block.folded:
            return
        heads = tuple(column.header for column in block.columns)
        numeric = tuple(column.numeric for column in block.columns)
        told = (self.notes_said(), block.note)
        self.grid(block.caption, heads, block.cells, numeric, "\n".join(text for text in told if text))

    def grid(
        self, caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool],
        notes: str = "",
    ) -> None:  # fmt: skip
        from pptx.enum.text import PP_ALIGN
        from pptx.util import Inches, Pt

        wide = len(numeric)
        widths = _widths(heads, rows)
        for start in range(0, max(len(rows), 1), ROWS):
            some = [*([heads] if heads else []), *rows[start : start + ROWS]]
            slide = self.slide(caption if start == 0 else say("slides.continued", title=caption), size=22, notes=notes)
            height = Inches(0.42 * len(some))
            shape = slide.shapes.add_table(len(some), wide, Inches(0.6), Inches(1.5), Inches(12.1), height)
            shape.table.first_row = bool(heads)
            for j in range(wide):
                shape.table.columns[j].width = Inches(12.1 * widths[j])
            for i, cells in enumerate(some):
                for j, text in enumerate(cells):
                    paragraph = shape.table.cell(i, j).text_frame.paragraphs[0]
                    paragraph.text = str(text)
                    paragraph.font.size = Pt(11 if wide > 5 else 14)
                    paragraph.alignment = PP_ALIGN.RIGHT if numeric[j] else PP_ALIGN.LEFT

    def figure(self, block: FigureBlock) -> None:
        from pptx.util import Inches

        chart = block.figure.chart
        if chart is None or not chart.series:
            return
        notes = "\n".join(text for text in (block.figure.alt, self.notes_said()) if text)
        slide = self.slide(block.figure.title, size=22, notes=notes)
        sort, data = _data(chart)
        frame = slide.shapes.add_chart(sort, Inches(0.6), Inches(1.5), Inches(12.1), Inches(4.9), data)
        _dress(frame.chart, chart, self.accent)
        frame._element.nvGraphicFramePr.cNvPr.set("descr", block.figure.alt)
        caption = say("slides.links") if chart.sort == "links" else block.caption
        self.text(slide, [caption], top=6.5, size=12, colour=_MUTED, height=0.8)

    def equations(self, block: EquationsBlock) -> None:
        self.flush()
        self.said = [Prose(plain) for _, _, plain in block.rows]
        title, self.title = self.title, block.caption or self.title
        self.flush()
        self.title = title

    def remarks(self, block: NotesBlock) -> None:
        self.said += [Prose(f"• {note.text}") for note in block.notes]


_WAYS: dict[type[Block], Callable[[_Deck, Any], None]] = {
    Prose: _Deck.prose,
    ListBlock: _Deck.items,
    StatsBlock: _Deck.stats,
    FindingBlock: _Deck.finding,
    FactsBlock: _Deck.facts,
    TableBlock: _Deck.table,
    FigureBlock: _Deck.figure,
    EquationsBlock: _Deck.equations,
    NotesBlock: _Deck.remarks,
}
"""Levers that move have no place on a slide: the table beside them does."""


def _widths(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
    """Shares of the width for columns: their longest cell on one line, headings a word a line."""
    columns = list(zip(*rows, strict=True)) or [()] * len(heads)
    words = [max(map(len, head.split()), default=0) for head in heads] or [0] * len(columns)
    needed = [min(max(4, word, *map(len, column)), 34) + _MARGIN for word, column in zip(words, columns, strict=True)]
    return [one / sum(needed) for one in needed]


def _note(slide: Slide, text: str) -> None:
    """Add to the speaker notes of a slide."""
    if text:
        frame = slide.notes_slide.notes_text_frame
        frame.text = "\n".join(part for part in (frame.text, text) if part)


def _portions(texts: Sequence[str]) -> Iterator[list[str]]:
    """As many paragraphs at a time as a slide holds."""
    some: list[str] = []
    for text in texts:
        if some and (len(some) == LINES or sum(map(len, some)) + len(text) > 2 * _LETTERS):
            yield some
            some = []
        some.append(text)
    if some:
        yield some


def _ink(font: Any, size: Any, colour: str, *, bold: bool = False) -> None:
    from pptx.dml.color import RGBColor

    font.size, font.bold = size, bold
    font.color.rgb = RGBColor.from_string(colour)


def _data(chart: Chart) -> tuple[Any, CategoryChartData | XyChartData]:
    from pptx.chart.data import CategoryChartData, XyChartData
    from pptx.enum.chart import XL_CHART_TYPE

    if chart.sort in {"line", "scatter"}:
        points = XyChartData()
        for series in chart.series:
            line = points.add_series(_label(series.name or chart.y_label))
            for x, y in zip(series.x, series.values, strict=True):
                if y is not None:
                    line.add_data_point(x, y)
        lines = chart.sort == "line"
        return XL_CHART_TYPE.XY_SCATTER_LINES_NO_MARKERS if lines else XL_CHART_TYPE.XY_SCATTER, points
    bars = CategoryChartData()
    bars.categories = [_label(name) for name in chart.categories]
    if chart.sort == "bridge":
        for name, values in _steps(chart.series[0]):
            bars.add_series(name, values)
        return XL_CHART_TYPE.COLUMN_STACKED, bars
    for series in chart.series:
        bars.add_series(_label(series.name or chart.y_label), _heights(series))
    return XL_CHART_TYPE.BAR_CLUSTERED, bars


def _heights(series: Series) -> list[float | None]:
    """Estimates; the upper end of what is an interval alone, whose bar is not filled."""
    ends = series.high or (None,) * len(series.values)
    return [high if value is None else value for value, high in zip(series.values, ends, strict=True)]


def _label(text: str) -> str:
    """A name in a chart's workbook: no formula, and no address that the workbook's writer would link to."""
    return f"'{text}" if _ADDRESS.match(text) else str(safe_cell(text))


def _steps(series: Series) -> Iterator[tuple[str, list[float]]]:
    """A bridge as stacked columns: what lies under each step unseen, then what it adds or takes away."""
    spans = [(low or 0.0, high or 0.0) for low, high in zip(series.low, series.high, strict=True)]
    ends = [tuple(sorted(span)) for span in spans]
    rises = [(value or 0.0) >= 0 for value in series.values]
    yield say("slides.under"), [low for low, _ in ends]
    yield say("slides.rise"), [high - low if up else 0.0 for (low, high), up in zip(ends, rises, strict=True)]
    yield say("slides.fall"), [0.0 if up else high - low for (low, high), up in zip(ends, rises, strict=True)]


def _dress(drawn: Any, chart: Chart, accent: str) -> None:
    """Colours, axis titles, and the ends of intervals."""
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_TICK_LABEL_POSITION
    from pptx.util import Pt

    drawn.has_title = False
    drawn.has_legend = chart.sort in {"line", "scatter"} and len(chart.series) > 1
    drawn.font.size = Pt(12)
    for axis, text in ((drawn.category_axis, chart.x_label), (drawn.value_axis, chart.y_label)):
        axis.has_major_gridlines = False
        if text and chart.sort in {"line", "scatter"}:
            axis.has_title = True
            axis.axis_title.text_frame.text = text
    plot = drawn.plots[0]
    if chart.x_span is not None:
        drawn.category_axis.minimum_scale, drawn.category_axis.maximum_scale = chart.x_span
    if chart.sort == "scatter":
        drawn.value_axis.minimum_scale = 0
        _named_points(plot, chart, accent)
    if chart.sort in {"line", "scatter"}:
        return
    plot.gap_width = 60
    colours = ["", accent, "B4432A"] if chart.sort == "bridge" else [accent] * len(plot.series)
    for series, colour in zip(plot.series, colours, strict=True):
        if colour:
            series.format.fill.solid()
            series.format.fill.fore_color.rgb = RGBColor.from_string(colour)
        else:
            series.format.fill.background()
    if chart.sort != "bridge":
        drawn.category_axis.reverse_order = True
        drawn.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
        axis = drawn.value_axis
        axis.minimum_scale, axis.maximum_scale, axis.major_unit = _whole_span(chart)
        for series, given in zip(plot.series, chart.series, strict=True):
            for i, value in enumerate(given.values):
                if value is None:
                    series.points[i].format.fill.background()
            if given.low:
                _whiskers(series, given)


def _whole_span(chart: Chart) -> tuple[float, float, float]:
    """Ends of an axis that shows zero and every interval from end to end, and its step: all round, zero a step."""
    given = [value for series in chart.series for some in (series.values, series.low, series.high) for value in some]
    known = [0.0, *(value for value in given if value is not None and math.isfinite(value))]
    reach = max(known) - min(known) or 1.0
    step = 10.0 ** math.floor(math.log10(reach)) / 2.0
    step *= 1 if reach <= 8 * step else 2 if reach <= 16 * step else 4
    return math.floor(min(known) / step) * step, math.ceil(max(known) / step) * step, step


def _named_points(plot: Any, chart: Chart, accent: str) -> None:
    """Each point of a map as a dot with its name."""
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_LABEL_POSITION, XL_MARKER_STYLE

    for series, given in zip(plot.series, chart.series, strict=True):
        series.format.line.fill.background()
        series.marker.style, series.marker.size = XL_MARKER_STYLE.CIRCLE, 9
        series.marker.format.fill.solid()
        series.marker.format.fill.fore_color.rgb = RGBColor.from_string(accent)
        shown = [name for name, value in zip(chart.categories, given.values, strict=True) if value is not None]
        for i, name in enumerate(shown):
            label = series.points[i].data_label
            label.text_frame.text, label.position = name, XL_LABEL_POSITION.ABOVE


def _whiskers(series: Any, given: Series) -> None:
    """Ends of intervals as error bars of the chart's own, so that they can be edited with it."""
    from lxml import etree

    space = "http://schemas.openxmlformats.org/drawingml/2006/chart"
    bars = etree.SubElement(series._element, f"{{{space}}}errBars")
    for name, value in (("errBarType", "both"), ("errValType", "cust"), ("noEndCap", "0")):
        etree.SubElement(bars, f"{{{space}}}{name}", val=value)
    reach = {
        "plus": [_span(value, high) for value, high in zip(_heights(given), given.high, strict=True)],
        "minus": [_span(low, value) for value, low in zip(_heights(given), given.low, strict=True)],
    }
    for name, values in reach.items():
        numbers = etree.SubElement(etree.SubElement(bars, f"{{{space}}}{name}"), f"{{{space}}}numLit")
        etree.SubElement(numbers, f"{{{space}}}formatCode").text = "General"
        etree.SubElement(numbers, f"{{{space}}}ptCount", val=str(len(values)))
        for i, length in enumerate(values):
            point = etree.SubElement(numbers, f"{{{space}}}pt", idx=str(i))
            etree.SubElement(point, f"{{{space}}}v").text = repr(length)
    series._element.insert_element_before(bars, "c:cat", "c:val", "c:shape", "c:extLst")


def _span(low: float | None, high: float | None) -> float:
    return 0.0 if low is None or high is None else max(float(high) - float(low), 0.0)
