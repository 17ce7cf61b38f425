"""Text files: encodings, separators, numbers, ragged rows."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.contracts import check_items
from spc.errors import DataError, UsageError
from spc.sources import read_table
from spc.sources.scan import scan
from spc.sources.text import find_separator


@pytest.fixture
def read(tmp_path):
    def reader(content, suffix="csv", **kw):
        path = tmp_path / f"t.{suffix}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(path, **kw)

    return reader


def only(source):
    (finding,) = source.findings
    return finding


# encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_found_out(read, encoding):
    source = read("unit,q\nZürich,1\nŁódź,2\n".encode(encoding))
    assert source.findings == ()
    assert source.frame["unit"].tolist() == ["Zürich", "Łódź"]
    assert list(source.frame) == ["unit", "q"]


def test_windows_text_is_assumed_aloud(read):
    source = read("unit,q\nA,1\nZürich – 1,2\n".encode("cp1252"))
    finding = only(source)
    assert (finding.rule, finding.severity, finding.rows) == ("encoding_assumed", "warning", (3,))
    assert source.frame["unit"].tolist() == ["A", "Zürich – 1"]


def test_mixed_encodings_are_an_error_with_lines(read):
    lines = ["unit,q", "Zürich,1", "A,2", "Köln,3", "Genève,4"]
    source = read(b"\n".join(line.encode("cp1252" if i in (3, 4) else "utf-8") for i, line in enumerate(lines)))
    finding = only(source)
    assert (finding.rule, finding.severity, finding.rows) == ("mixed_encoding", "error", (4, 5))
    assert source.frame["unit"].tolist() == ["Zürich", "A", "Köln", "Genève"]


def test_a_stated_encoding(read):
    assert read("unit\nŁódź\n".encode("cp1250"), encoding="cp1250").frame["unit"][0] == "Łódź"
    with pytest.raises(DataError) as caught:
        read("unit\nA\nŁódź\n".encode("cp1250"), encoding="utf-8")
    assert (caught.value.findings[0].rule, caught.value.findings[0].rows) == ("wrong_encoding", (3,))
    with pytest.raises(UsageError, match="no encoding 'klingon'"):
        read("unit\n", encoding="klingon")


def test_null_bytes(read):
    with pytest.raises(DataError) as caught:
        read(b"unit,q\nA,1\nB\0,2\n")
    assert (caught.value.findings[0].rule, caught.value.findings[0].rows) == ("null_byte", (3,))


# separators


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found_out(read, separator):
    source = read(separator.join("abc") + "\n" + separator.join("123") + "\n")
    assert source.frame.iloc[0].tolist() == [1, 2, 3]


def test_one_column_alone(read):
    assert read("q1\n1\n2\n").frame["q1"].tolist() == [1, 2]


def test_one_column_with_decimal_commas(read):
    source = read("q1\n3,5\n4,0\n")
    assert only(source).rule == "decimal_comma"
    assert source.frame["q1"].tolist() == [3.5, 4.0]


def test_separators_in_text_do_not_confuse(read):
    source = read('name;note;q\n"a, b";"x, y, z";1\n"c, d";"u, v, w";2\n')
    assert list(source.frame) == ["name", "note", "q"]
    assert find_separator(b"") in ",;\t|"


def test_a_spreadsheets_separator_line(read):
    source = read("sep=;\na;b\n1;2\n3;9\n")
    assert source.frame["b"].tolist() == [2, 9]
    assert source.lines == 3


# numbers


def test_decimal_commas_are_read_with_a_warning(read):
    source = read("u;x;y\na;3,5;1\nb;4;2\nc;-1.234,25;3\n")
    finding = only(source)
    assert (finding.rule, finding.severity, finding.column, finding.rows) == ("decimal_comma", "warning", "x", (2, 4))
    assert source.frame["x"].tolist() == [3.5, 4.0, -1234.25]


def test_both_decimals_in_one_column_are_an_error(read):
    finding = only(read("u;x\na;3,5\nb;3.5\n"))
    assert (finding.rule, finding.severity, finding.rows) == ("mixed_decimals", "error", (2,))


def test_thousands_and_ambiguity(read):
    thousands = read('u,x\na,"1,234.50"\nb,7\n')
    assert only(thousands).rule == "thousands_separator"
    assert thousands.frame["x"].tolist() == [1234.5, 7.0]
    assert only(read('u,x\na,"1,234"\nb,7\n')).rule == "ambiguous_number"
    settled = read('u,x\na,"1,234"\nb,"7,5"\n')
    assert only(settled).rule == "decimal_comma"
    assert settled.frame["x"].tolist() == [1.234, 7.5]


def test_no_thousands_begin_with_a_zero(read):
    growth = read("u;x\na;0,087\nb;-0,022\nc;1,234\n")
    assert only(growth).rule == "decimal_comma"
    assert growth.frame["x"].tolist() == [0.087, -0.022, 1.234]


def test_lines_about_questions_are_left_out_as_qualtrics_writes_them(read):
    about = '"How glad,\nall in all?","Unit"\n"{""ImportId"":""QID1_1""}","{""ImportId"":""unit""}"\n'
    source = read(f"Q1_1,unit\n{about}5,a\n,b\nx7,c\n")
    assert (only(source).rule, only(source).rows, only(source).severity) == ("question_lines", (2, 4), "warning")
    assert source.frame["unit"].tolist() == ["a", "b", "c"]
    (wrong,) = [f for f in check_items(source.frame, table="t", items=["Q1_1"], low=1, high=7, line_offset=source.lines)
                if f.severity == "error"]  # fmt: skip
    assert wrong.rows == (7,)


def test_text_with_commas_stays_text(read):
    source = read('u,x\na,"1,2,3"\nb,"5 or 6"\n')
    assert source.findings == ()
    assert source.frame["x"].tolist() == ["1,2,3", "5 or 6"]


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["007", "012"], ["007", "012"]),
        (["007", "120"], ["007", "120"]),
        (["12E4", "13E5"], ["12E4", "13E5"]),
        (["1234567890123456", "2"], ["1234567890123456", "2"]),
        (["12345678901234567890123", "2"], ["12345678901234567890123", "2"]),
        (["0", "10"], [0, 10]),
        (["0.5", "1.5e-3"], [0.5, 0.0015]),
        (["True", "false"], [True, False]),
        (["yes", "no"], ["yes", "no"]),
        (["2026-01-31", "2026-02-01"], ["2026-01-31", "2026-02-01"]),
        ([" Oslo ", "Rome"], ["Oslo", "Rome"]),
        (["NA", "Asia"], ["NA", "Asia"]),
        (["1", "x"], ["1", "x"]),
    ],
)
def test_what_becomes_a_number(read, cells, kept):
    column = read("x,q\n" + "".join(f"{cell},1\n" for cell in cells)).frame["x"]
    assert column.tolist() == kept


def test_marks_of_no_answer_among_numbers(read):
    source = read("q1,q2\n1,5\nNA,6\n3,#N/A\n4,.\n")
    np.testing.assert_array_equal(source.frame["q1"], [1, np.nan, 3, 4])
    np.testing.assert_array_equal(source.frame["q2"], [5, 6, np.nan, np.nan])


def test_missing_codes_as_text_or_number(read):
    text = "q1,q2\n1,refused\n-99,4\n3,-99.0\n"
    for codes in ([-99, "refused"], ["-99", "refused"], [-99.0, "refused"]):
        frame = read(text, missing=codes).frame
        np.testing.assert_array_equal(frame["q1"], [1, np.nan, 3])
        np.testing.assert_array_equal(frame["q2"], [np.nan, 4, np.nan])


# shape


def test_ragged_rows_are_named_and_left_out(read):
    source = read("a,b,c\n1,2,3\n4,5\n6,7,8\n9,1,2,3\n")
    finding = only(source)
    assert (finding.rule, finding.rows, finding.severity) == ("ragged_row", (3, 5), "error")
    assert "2 or 4 values" in finding.found
    assert source.frame["a"].tolist() == [1, 6]


def test_a_column_of_row_names_without_heading(read):
    finding = only_ragged(read('a,b\n"1",2,3\n"2",5,6\n'))
    assert "Every row differs from the heading" in finding.hint


def only_ragged(source):
    return next(f for f in source.findings if f.rule == "ragged_row")


def test_lines_are_right_after_blank_lines_and_line_breaks_in_cells(read):
    source = read('note,q\n"two\nlines",1\n\nplain,9\n"x ""y"" z",2\n\n')
    assert source.frame["note"].tolist() == ["two\nlines", "plain", 'x "y" z']
    (finding,) = check_items(source.frame, table="t", items=["q"], low=1, high=7, line_offset=source.lines)
    assert finding.rows == (5,)


def test_quotation_marks_inside_a_value(read):
    source = read('note,q\n5" pipe,1\n3" pipe,9\nplain,2\n')
    assert source.frame["note"].tolist() == ['5" pipe', '3" pipe', "plain"]
    assert only_outside(source).rows == (3,)


def only_outside(source):
    (finding,) = check_items(source.frame, table="t", items=["q"], low=1, high=7, line_offset=source.lines)
    return finding


def test_an_open_quotation_mark(read):
    with pytest.raises(DataError) as caught:
        read('note,q\na,1\n"b,2\nc,3\n')
    assert (caught.value.findings[0].rule, caught.value.findings[0].rows) == ("open_quote", (3,))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system(read, newline):
    source = read(newline.join(["a,b", "1,2", "3,4"]))
    assert source.frame["b"].tolist() == [2, 4]


def test_headings(read):
    source = read(" a ,a,b,\n1,2,3,\n")
    assert [f.rule for f in source.findings] == ["duplicate_column"]
    assert list(source.frame) == ["a", "a (2)", "b"]
    assert only(read("a,,b\n1,2,3\n")).rule == "unnamed_column"


@pytest.mark.parametrize("content", ["\n\n", "  \n", "\ufeff"])
def test_nothing_in_it(read, content):
    with pytest.raises(DataError) as caught:
        read(content)
    assert caught.value.findings[0].rule == "empty_file"


def test_a_heading_alone(read):
    source = read("a,b\n")
    assert only(source).rule == "empty_file"
    assert list(source.frame) == ["a", "b"]


def test_a_huge_cell(read):
    with pytest.raises(DataError) as caught:
        read("a,b\n1,2\n3," + "x" * 2_000_000 + "\n")
    assert (caught.value.findings[0].rule, caught.value.findings[0].rows) == ("huge_cell", (3,))


CELLS = st.text(alphabet='ab1,;"\n é', max_size=6)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8))
def test_scanning_agrees_with_the_csv_module(rows):
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    records = scan(buffer.getvalue().encode(), ",", "t")
    assert records.widths.tolist() == [3] * len(rows)
    parsed = [next(csv.reader(io.StringIO(records.text(i), newline=""))) for i in range(records.n)]
    assert parsed == rows
    line = 1
    for row, begun in zip(rows, records.lines, strict=True):
        assert begun == line
        line += 1 + sum(cell.count("\n") for cell in row)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_table_or_our_own_error(raw):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_bytes(raw)
        try:
            source = read_table(path)
        except DataError as error:
            assert error.findings
        else:
            assert len(source.frame.columns) >= 1 or source.findings
