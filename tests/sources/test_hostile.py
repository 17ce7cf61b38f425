"""Small files that would fill the memory: refused in time, in a process of their own whose memory is measured."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile

import pytest

from spc.errors import DataError
from spc.sources import read_table

pytest.importorskip("python_calamine")

TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
LINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
LINKS = '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
BOOK = (
    '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    f'xmlns:r="{LINK}"><sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
SHEET = (
    '<?xml version="1.0"?>{dtd}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>{rows}</sheetData></worksheet>"
)
FIRST = '<row r="1"><c r="A1" t="inlineStr"><is><t>q1</t></is></c></row>'


def workbook(path, rows, dtd="", strings=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        office = f'<Relationship Id="rId1" Type="{LINK}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr("_rels/.rels", LINKS.format(office))
        archive.writestr("xl/workbook.xml", BOOK)
        parts = f'<Relationship Id="rId1" Type="{LINK}/worksheet" Target="worksheets/sheet1.xml"/>'
        if strings is not None:
            parts += f'<Relationship Id="rId2" Type="{LINK}/sharedStrings" Target="sharedStrings.xml"/>'
            archive.writestr("xl/sharedStrings.xml", strings)
        archive.writestr("xl/_rels/workbook.xml.rels", LINKS.format(parts))
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            start, end = SHEET.format(dtd=dtd, rows="\0").split("\0")
            part.write(start.encode())
            for piece in [rows] if isinstance(rows, str) else rows:
                part.write(piece.encode())
            part.write(end.encode())
    return path


def cell(place, text):
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def read_apart(path, limit_mib=1200):
    """Read a file in a process with a bound on its memory: the rule that refused it, and the most memory it took."""
    code = f"""
import json, resource
resource.setrlimit(resource.RLIMIT_AS, ({limit_mib} * 2**20, {limit_mib} * 2**20))
from spc.errors import DataError
from spc.sources import read_table
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    frame = read_table({str(path)!r}).frame
    said = ["read", list(frame.shape), frame.astype(str).values.tolist()[:3]]
except DataError as error:
    said = [error.findings[0].rule, str(error)]
print(json.dumps([*said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024]))
"""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": ""},
    )  # fmt: skip
    assert out.returncode == 0, out.stderr[-2000:]
    return json.loads(out.stdout.splitlines()[-1])


def test_an_ordinary_workbook_made_here_is_read(tmp_path):
    found = read_apart(workbook(tmp_path / "t.xlsx", FIRST + f'<row r="2">{cell("A2", 7)}</row>'))
    assert found[:3] == ["read", [1, 1], [["7"]]]


def test_one_cell_in_the_far_corner(tmp_path):
    rows = FIRST + f'<row r="1048576">{cell("XFD1048576", "x")}</row>'
    rule, said, grown = read_apart(workbook(tmp_path / "t.xlsx", rows))
    assert rule == "huge_file"
    assert "row 1,048,576 and column 16,384" in said
    assert grown < 200


def test_a_wide_row_and_many_rows_without_places(tmp_path):
    """Cells without a place stand one after the other: a row of many and many rows of one are a full sheet."""
    pieces = [FIRST, "<row>" + "<c><v>1</v></c>" * 16_000 + "</row>", *["<row><c><v>1</v></c></row>" * 1000] * 100]
    rule, said, grown = read_apart(workbook(tmp_path / "t.xlsx", pieces))
    assert (rule, "column 16,000" in said) == ("huge_file", True)
    assert grown < 200


def test_many_cells_without_places_that_fit_are_read(tmp_path):
    row = "<row>" + "".join(f"<c><v>{k}</v></c>" for k in range(20)) + "</row>"
    heading = "<row>" + "".join(f'<c t="inlineStr"><is><t>q{k}</t></is></c>' for k in range(20)) + "</row>"
    found = read_apart(workbook(tmp_path / "t.xlsx", [heading, *[row * 500] * 10]))
    assert found[:2] == ["read", [5000, 20]]


def test_parts_that_unpack_to_gigabytes(tmp_path):
    """Six hundred megabytes of spaces in less than one."""
    pieces = [FIRST, *[" " * 2**20] * 600]
    path = workbook(tmp_path / "t.xlsx", pieces)
    assert path.stat().st_size < 2**20
    rule, _, grown = read_apart(path)
    assert rule == "huge_file"
    assert grown < 100


def test_one_endless_cell(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [FIRST, '<row r="2"><c r="A2" t="inlineStr"><is><t>', *["y" * 2**20] * 100,
                                          "</t></is></c></row>"])  # fmt: skip
    rule, _, grown = read_apart(path)
    assert rule == "huge_cell"
    assert grown < 100


def test_a_part_that_says_less_than_it_holds(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [FIRST, *[f'<row r="2">{cell("A2", "y" * 1000)}</row>'] * 1000])
    with zipfile.ZipFile(path) as archive:
        true = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<I", true), struct.pack("<I", 500)).replace(
        struct.pack("<Q", true), struct.pack("<Q", 500)))  # fmt: skip
    rule, said, _ = read_apart(path)
    assert rule == "damaged_file", said


@pytest.mark.parametrize(
    "dtd",
    [
        '<!DOCTYPE z [<!ENTITY a "' + "ha" * 500 + '">'
        + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9)) + "]>",
        '<!DOCTYPE z [<!ENTITY j SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE z [<!ENTITY % p SYSTEM "http://localhost:1/x.dtd"> %p; <!ENTITY j "x">]>',
    ],
    ids=["a billion laughs", "a file of the machine", "an address"],
)  # fmt: skip
def test_entities_are_not_expanded(tmp_path, dtd):
    path = workbook(tmp_path / "t.xlsx", FIRST + f'<row r="2">{cell("A2", "&j;")}</row>', dtd)
    found = read_apart(path)
    assert found[0] == "damaged_file"
    assert found[-1] < 100
    assert "root:" not in found[1]


def test_a_list_of_parts_without_end(tmp_path):
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(15_000):
            archive.writestr(f"{number:060d}.xml", "")
    with pytest.raises(DataError, match="list of parts"):
        read_table(path)


def test_a_workbook_within_a_workbook_stays_closed(tmp_path):
    inner = workbook(tmp_path / "inner.xlsx", [FIRST, *[" " * 2**20] * 600])
    path = workbook(tmp_path / "t.xlsx", FIRST + f'<row r="2">{cell("A2", 7)}</row>')
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.write(inner, f"xl/embeddings/book{number}.xlsx")
    assert read_apart(path)[0] == "read"


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".sav"])
def test_files_too_long_to_be_read_whole(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # a hole: nothing is written
    rule, said, grown = read_apart(path)
    assert rule == "huge_file"
    assert "3,072 MiB" in said
    assert grown < 50


def test_a_parquet_file_of_any_number_of_rows(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "t.parquet"
    duckdb.sql("SELECT 1::TINYINT AS q1 FROM range(300000000)").write_parquet(str(path), compression="zstd")
    assert path.stat().st_size < 2**21
    rule, said, grown = read_apart(path, 4000)
    assert rule == "huge_file"
    assert "250,000,000" in said
    assert grown < 500


def test_a_parquet_file_of_one_long_text(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "t.parquet"
    duckdb.sql("SELECT repeat('y', 20000000) AS q1 FROM range(40)").write_parquet(str(path), compression="zstd")
    assert path.stat().st_size < 2**20
    assert read_apart(path, 4000)[0] == "huge_cell"


@pytest.mark.parametrize("length", [0, 4, 2**31 - 1, 2**32 - 1])
def test_a_parquet_file_with_absurd_metadata(tmp_path, length):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "t.parquet"
    duckdb.sql("SELECT 1 AS q1").write_parquet(str(path))
    raw = path.read_bytes()
    path.write_bytes(raw[:-8] + struct.pack("<I", length) + b"PAR1")
    found = read_apart(path, 4000)
    assert found[0] == "damaged_file"
    assert found[-1] < 300


@pytest.mark.parametrize("place", range(40))
def test_a_parquet_file_with_a_bad_byte_is_read_or_refused(tmp_path, place):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "t.parquet"
    duckdb.sql("SELECT i AS q1, 'unit ' || i AS unit FROM range(20) t(i)").write_parquet(str(path))
    raw = bytearray(path.read_bytes())
    raw[-9 - place * (len(raw) - 20) // 40] ^= 0xFF
    path.write_bytes(bytes(raw))
    try:
        read_table(path)
    except DataError as error:
        assert error.findings[0].rule in {"damaged_file", "huge_file", "nested_column"}
