"""The same report as PDF, slides and workbook: it opens, reads back, and runs nothing."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

import spc
from spc.errors import MissingExtraError, UnsupportedError
from spc.files import safe_cell
from spc.plot.figure import Chart, Series, finish
from spc.report.blocks import FigureBlock, FindingBlock, NotesBlock, Report, Section, TableBlock
from spc.report.extras import extra
from spc.report.formats import targets, written

pptx = pytest.importorskip("pptx")
openpyxl = pytest.importorskip("openpyxl")
LOW = pytest.importorskip("pptx.enum.chart").XL_TICK_LABEL_POSITION.LOW
UNFILLED = pytest.importorskip("pptx.enum.dml").MSO_FILL.BACKGROUND

HOSTILE = '=cmd|" /C calc"!A1'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("firm")
    document = spc.make_firm(seed=2, units=30, transactions=True).write(folder)
    text = document.read_text(encoding="utf-8").replace('label = "Customer value"', f"label = '{HOSTILE}'")
    document.write_text(text, encoding="utf-8")
    return spc.compose_report(spc.fit_study(spc.read_study(document), draws=200))


def blocks(report: Report, kind: type) -> list:
    return [block for section in report.sections for block in section.blocks if isinstance(block, kind)]


@pytest.fixture(scope="module")
def deck(report: Report):
    return pptx.Presentation(BytesIO(written(report, Path("board.pptx"))))


def shapes(deck) -> Iterator:
    return (shape for slide in deck.slides for shape in slide.shapes)


def test_slides_hold_a_slide_a_finding_with_its_method_in_the_notes(report, deck) -> None:
    titles = [slide.shapes.title.text_frame.text for slide in deck.slides]
    for finding in blocks(report, FindingBlock):
        slide = deck.slides[titles.index(finding.title)]
        shown = "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
        assert finding.text in shown
        assert all(caveat in shown for caveat in finding.caveats)
        assert finding.method in slide.notes_slide.notes_text_frame.text
    told = "\n".join(shape.text_frame.text for shape in shapes(deck) if shape.has_text_frame)
    assert all(note.text in told for block in blocks(report, NotesBlock) for note in block.notes)


def test_charts_of_slides_are_native_and_hold_the_numbers_drawn(report, deck) -> None:
    drawn = [shape for shape in shapes(deck) if shape.has_chart]
    figures = [block.figure for block in blocks(report, FigureBlock) if block.figure.chart is not None]
    assert len(drawn) == len(figures) > 3
    for shape, figure in zip(drawn, figures, strict=True):
        assert shape._element.nvGraphicFramePr.cNvPr.get("descr") == figure.alt
        if figure.chart.sort not in {"bridge", "line", "scatter"}:
            series = figure.chart.series[0]
            whole = [high if value is None else value for value, high in zip(series.values, series.high, strict=True)]
            assert tuple(shape.chart.plots[0].series[0].values) == pytest.approx(whole, nan_ok=True)
            assert b"errBars" in shape.chart.part.blob
        if figure.chart.sort == "bridge":
            under, more, less = (series.values for series in shape.chart.plots[0].series)
            spans = zip(figure.chart.series[0].low, figure.chart.series[0].high, strict=True)
            tops = [low + up + down for low, up, down in zip(under, more, less, strict=True)]
            assert tops == pytest.approx([max(span) for span in spans])


@pytest.mark.parametrize("sort", ["interval", "scatter"])
def test_charts_workbooks_hold_no_formula_and_no_link(sort) -> None:
    names = (HOSTILE, "{=1+1}", "https://a.b", "mailto:a@b.c", "external:c:/a", "<b>&amp;</b>")
    told = tuple(map(float, range(len(names))))
    figures = [finish("A", "", "", chart=Chart(sort, names, (Series(name, told, x=told),))) for name in names]
    blocks = tuple(FigureBlock(figure, "") for figure in figures)
    deck = pptx.Presentation(BytesIO(written(Report("A", "", (Section("a", "A", blocks),)), Path("a.pptx"))))
    drawn = [shape.chart for shape in shapes(deck) if shape.has_chart]
    assert len(drawn) == len(names)
    for chart, name in zip(drawn, names, strict=True):
        assert name in chart.plots[0].series[0].name
        book = chart.part.chart_workbook.xlsx_part.blob
        cells = [cell for sheet in openpyxl.load_workbook(BytesIO(book)) for row in sheet.iter_rows() for cell in row]
        assert any(name in str(cell.value) for cell in cells)
        assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]


def test_tables_of_slides_are_native_and_whole(report, deck) -> None:
    found = {
        tuple(shape.table.cell(i, j).text_frame.text for j in range(len(shape.table.columns)))
        for shape in shapes(deck)
        if shape.has_table
        for i in range(len(shape.table.rows))
    }
    for block in blocks(report, TableBlock):
        assert block.folded or set(block.cells) <= found


def test_workbook_holds_every_table_as_numbers_and_nothing_that_runs(report) -> None:
    book = openpyxl.load_workbook(BytesIO(written(report, Path("tables.xlsx"))))
    texts = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert any(text == "'" + HOSTILE for text in texts)
    captions = {sheet.cell(1, 1).value: sheet for sheet in book}
    for block in blocks(report, TableBlock):
        sheet = captions[safe_cell(block.caption)]
        for i, values in enumerate(block.values):
            for j, value in enumerate(values):
                if value is not None:
                    assert sheet.cell(4 + i, 1 + j).value == pytest.approx(value)
    numbers = {(block.caption, head.header) for block in blocks(report, TableBlock)
               for head, column in zip(block.columns, zip(*block.values, strict=True), strict=True)
               if any(value is not None for value in column)}  # fmt: skip
    assert {("One step of each lever", "Today"), ("One step of each lever", "Brings, less cost")} <= numbers
    assert ("Drivers of customer loyalty", "Performance, 0–100") in numbers
    for block in blocks(report, NotesBlock):
        assert all(safe_cell(note.text) in texts for note in block.notes)


@pytest.mark.parametrize("ending", ["pptx", "xlsx"])
def test_office_files_are_the_same_whenever_they_are_written(report, ending) -> None:
    first, again = (written(report, Path(f"report.{ending}")) for _ in range(2))
    assert first == again
    with ZipFile(BytesIO(first)) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
        assert b"1980-01-01" in archive.read("docProps/core.xml")
        assert not any("vbaProject" in name or "externalLink" in name for name in archive.namelist())


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""


def test_pdf_is_tagged_and_the_same_whenever_it_is_written(report) -> None:
    try:
        extra("weasyprint")
    except (MissingExtraError, UnsupportedError) as absent:
        pytest.skip(str(absent))
    small = Report(report.title, report.subtitle, report.sections[:1])
    level = logging.getLogger("weasyprint").level
    first, again = (written(small, Path("report.pdf")) for _ in range(2))
    assert logging.getLogger("weasyprint").level == level
    assert first.startswith(b"%PDF") and first == again
    inside = b"".join(inflated(stream) for stream in re.findall(rb"stream\r?\n(.*?)endstream", first, flags=re.DOTALL))
    assert b"/StructTreeRoot" in first + inside


def test_another_ending_is_refused_before_anything_is_written(report, tmp_path) -> None:
    with pytest.raises(UnsupportedError, match=r"\.html, \.htm, \.pdf, \.pptx or \.xlsx"):
        report.save(tmp_path / "report.docx")
    assert not list(tmp_path.iterdir())


def test_a_format_whose_extra_is_absent_names_it(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pptx", None)
    with pytest.raises(MissingExtraError, match=r"service-profit-chain\[slides\]"):
        targets(Path("a.pptx"), force=False)


@pytest.mark.parametrize("ending", ["pptx", "xlsx"])
def test_a_title_that_a_file_cannot_hold_is_made_harmless(ending) -> None:
    ledger = pd.DataFrame({"tenure": [5] * 16 + [2] * 10, "churned": [0] * 16 + [1] * 10, "margin": 100.0})
    small = spc.compose_report(spc.loyalty_value(ledger, horizon=5, discount=0.10), title="Bo\x07ard\u202e")
    assert small.title == "Bo\ufffdard\ufffd"
    assert written(small, Path(f"a.{ending}")).startswith(b"PK")


def test_a_report_without_charts_is_a_deck_too() -> None:
    ledger = pd.DataFrame({"tenure": [5] * 16 + [2] * 10, "churned": [0] * 16 + [1] * 10, "margin": 100.0})
    small = spc.compose_report(spc.loyalty_value(ledger, horizon=5, discount=0.10))
    deck = pptx.Presentation(BytesIO(written(small, Path("a.pptx"))))
    assert small.headline in "\n".join(shape.text_frame.text for shape in shapes(deck) if shape.has_text_frame)


def test_letters_on_the_lines_of_a_printed_drawing_are_seen(report: Report) -> None:
    """A halo is painted over its letters by what prints."""
    from spc.report.pdf import _painted

    page = report.html()
    assert "paint-order" in page
    printed = _painted(page)
    assert "paint-order" not in printed
    assert "var(--spc" not in "".join(re.findall(r"<svg.*?</svg>", printed, re.DOTALL))


def test_bars_show_their_intervals_from_end_to_end_and_maps_the_whole_scale(report: Report, deck) -> None:
    drawn = [shape.chart for slide in deck.slides for shape in slide.shapes if shape.has_chart]
    figures = [block.figure.chart for section in report.sections for block in section.blocks if block.kind == "figure"]
    pairs = list(zip(drawn, [chart for chart in figures if chart is not None and chart.series], strict=True))
    bars = [(axis.value_axis, given.series[0]) for axis, given in pairs if given.sort in {"interval", "links"}]
    assert len(bars) >= 3
    for axis, series in bars:
        low, high = (min(0, *filter(None, series.low)), max(0, *filter(None, series.high)))
        assert axis.minimum_scale <= low <= high <= axis.maximum_scale
        assert axis.maximum_scale - axis.minimum_scale < 2.1 * (high - low)
        assert axis.minimum_scale / axis.major_unit == pytest.approx(round(axis.minimum_scale / axis.major_unit))
    assert all(chart.category_axis.tick_label_position == LOW for chart, given in pairs if given.sort == "interval")
    maps = [axis.category_axis for axis, given in pairs if given.sort == "scatter"]
    assert maps
    assert {(axis.minimum_scale, axis.maximum_scale) for axis in maps} == {(0.0, 100.0)}


def test_what_is_a_range_alone_is_drawn_as_one_on_slides(report: Report, deck) -> None:
    drawn = [shape.chart for slide in deck.slides for shape in slide.shapes if shape.has_chart]
    (chart,) = [chart for chart in drawn if "Usually quoted" in chart.plots[0].categories]
    place = list(chart.plots[0].categories).index("Usually quoted")
    series = chart.plots[0].series[0]
    assert series.points[place].format.fill.type == UNFILLED
    (minus,) = series._element.xpath(f"c:errBars/c:minus/c:numLit/c:pt[@idx={place}]/c:v")
    assert (series.values[place], float(minus.text)) == pytest.approx((85.0, 60.0))
