"""Malformed studies: documents and tables, each with the rule that must catch it and the exit code it must end in."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Content = str | bytes | Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """One malformed study.

    ``rule`` is the rule of a finding that must be among those reported, ``says`` a phrase of that finding,
    ``exit_code`` what ``spc check`` must return (0: a warning is enough).
    """

    name: str
    files: Mapping[str, Content]
    rule: str
    says: str = ""
    exit_code: int = 3
    document: str = "study.toml"


def write(case: Case, folder: Path) -> Path:
    """Write the files of a case and return the path of its document."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_bytes(content.encode())
    return folder / case.document


DOCUMENT = """\
[study]
name = "Harbour"

[tables.customer_responses]
file = "answers.csv"

[constructs.satisfaction]
table = "customer_responses"
items = ["s1", "s2"]
scale = [1, 5]

[constructs.loyalty]
table = "customer_responses"
items = ["l1", "l2"]
scale = [1, 5]

[chain]
model = "loyalty ~ satisfaction"
"""


def _likes(i: int, k: int) -> int:
    """Answer 1 to 5 of person i to question k: mostly the person, a little the question."""
    return min(5, max(1, 1 + i % 5 + (i * (k + 2) // 5 + k) % 3 - 1))


ANSWERS = "respondent,s1,s2,l1,l2\n" + "".join(
    f"r{i},{','.join(str(_likes(i, k)) for k in range(4))}\n" for i in range(24)
)
UNITS_DOCUMENT = """\
[study]
name = "Harbour"

[tables.employee_responses]
file = "employees.csv"

[tables.units]
file = "units.csv"

[constructs.satisfaction]
table = "employee_responses"
items = ["s1", "s2"]
scale = [1, 5]
"""
EMPLOYEES = "respondent,unit,s1,s2\n" + "".join(f"e{i},U{i % 12},{_likes(i, 0)},{_likes(i, 1)}\n" for i in range(60))
UNITS = "unit,name\nU0,North\nU1,South\nU2,West\nU3,East\nU4,Hill\nU5,Dale\n" + "".join(
    f"U{i},Town {i}\n" for i in range(6, 12)
)
LEDGER_DOCUMENT = DOCUMENT + '\n[tables.customers]\nfile = "accounts.csv"\n\n[money]\nhorizon = 5\ndiscount = 0.1\n'
LEDGER = "customer,tenure,churned,margin\n" + "".join(f"c{i},{1 + i % 6},{i % 4 == 0},{100 + i}\n" for i in range(24))


def _document(name: str, text: str, rule: str, says: str = "", **more: object) -> Case:
    """A document at fault beside a sound table."""
    return Case(name, {"study.toml": text, "answers.csv": ANSWERS}, rule, says, **more)  # type: ignore[arg-type]


def _changed(name: str, old: str, new: str, rule: str, says: str = "", **more: object) -> Case:
    """The sound document with one thing changed."""
    assert old in DOCUMENT, (name, old)
    return _document(name, DOCUMENT.replace(old, new, 1), rule, says, **more)


def _table(name: str, answers: Content, rule: str, says: str = "", file: str = "answers.csv", **more: object) -> Case:
    """The sound document beside a table at fault."""
    text = DOCUMENT.replace("answers.csv", file)
    return Case(name, {"study.toml": text, file: answers}, rule, says, **more)  # type: ignore[arg-type]


def _units(name: str, rule: str, says: str = "", *, employees: str = EMPLOYEES, units: str = UNITS, exit_code: int = 3,
           document: str = UNITS_DOCUMENT) -> Case:  # fmt: skip
    """Employees in units, one of the two tables at fault."""
    return Case(name, {"study.toml": document, "employees.csv": employees, "units.csv": units}, rule, says, exit_code)


def _ledger(name: str, accounts: str, rule: str, says: str = "", exit_code: int = 3) -> Case:
    files = {"study.toml": LEDGER_DOCUMENT, "answers.csv": ANSWERS, "accounts.csv": accounts}
    return Case(name, files, rule, says, exit_code)


def _answer(line: int, old: str, new: str, text: str = ANSWERS) -> str:
    """The sound table with one line (header is 1) changed."""
    lines = text.splitlines(keepends=True)
    assert old in lines[line - 1], (line, old, lines[line - 1])
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "".join(lines)


def _cell(line: int, column: int, value: str, text: str = ANSWERS) -> str:
    """The sound table with one cell changed."""
    lines = text.splitlines()
    cells = lines[line - 1].split(",")
    cells[column] = value
    lines[line - 1] = ",".join(cells)
    return "\n".join(lines) + "\n"


def _column(column: int, values: Callable[[int], str], text: str = ANSWERS) -> str:
    """The sound table with one column replaced below its heading."""
    head, *lines = text.splitlines()
    rows = [line.split(",") for line in lines]
    for i, row in enumerate(rows):
        row[column] = values(i)
    return "\n".join([head, *(",".join(row) for row in rows)]) + "\n"


def _other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not a workbook")


def _parquet(path: Path) -> None:
    import duckdb

    with duckdb.connect() as base:
        columns = "i::VARCHAR AS respondent, 1 + i % 5 AS s1, 1 + i % 4 AS s2, 1 + i % 5 AS l1, 1 + i % 3 AS l2"
        base.execute(f"COPY (SELECT {columns} FROM range(500) t(i)) TO '{path}' (FORMAT parquet)")


def _truncated_parquet(path: Path) -> None:
    _parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


def _database(path: Path) -> None:
    import duckdb

    with duckdb.connect(str(path)) as base:
        base.execute("CREATE TABLE answers AS SELECT 'r' || i AS respondent, 1 + i % 5 AS s1 FROM range(9) t(i)")


def _symlink(target: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.symlink_to(target)

    return make


def _chain(model: str) -> str:
    return DOCUMENT.replace('model = "loyalty ~ satisfaction"', f'model = """\n{model}\n"""')


def _lags(*lags: tuple[str, str, object]) -> str:
    return DOCUMENT + "".join(f'[[chain.lags]]\nfrom = "{a}"\nto = "{b}"\nwaves = {w}\n' for a, b, w in lags)


DUCKDB_DOCUMENT = DOCUMENT.replace('file = "answers.csv"', 'file = "base.duckdb"\ntable = "{}"')

DOCUMENTS = [
    _document("document_empty", "", "document_empty"),
    _document("document_blank", "\ufeff  \n\n", "document_empty"),
    _document("document_binary", bytes(range(128, 256)) * 20, "document_not_utf8"),  # type: ignore[arg-type]
    _document("document_utf16", DOCUMENT.encode("utf-16"), "document_not_utf8"),  # type: ignore[arg-type]
    _document("document_latin1", DOCUMENT.replace("Harbour", "Tromsø").encode("latin-1"), "document_not_utf8", "UTF-8"),  # type: ignore[arg-type]
    _document("document_huge", "# " + "x" * 1_000_001, "document_too_long"),
    Case("document_missing", {"answers.csv": ANSWERS}, "document_missing", "spc init"),
    Case("document_folder", {"study.toml/answers.csv": ANSWERS}, "document_is_folder"),
    _changed("toml_unclosed_text", '"Harbour"', '"Harbour', "toml_syntax", "line 2"),
    _changed("toml_no_quotes", '"Harbour"', "Harbour", "toml_syntax", "line 2, column 8"),
    _changed("toml_key_twice", 'name = "Harbour"', 'name = "a"\nname = "b"', "toml_syntax", "line 3"),
    _changed("toml_part_twice", "[chain]", "[study]\nseed = 1\n[chain]", "toml_syntax"),
    _changed("toml_unclosed_list", '["s1", "s2"]', '["s1", "s2"', "toml_syntax"),
    _changed("toml_nested", "[chain]", "[report]\ntitle = " + "[" * 20_000 + "\n[chain]", "toml_syntax"),
    _changed("toml_digits", "[chain]", "[money]\nhorizon = " + "9" * 9_999 + "\n[chain]", "toml_syntax", "digits"),
    _changed("toml_injected_part", '"Harbour"', '"Harbour"\n[secrets]\nkey = "x"', "unknown_key", "secrets"),
    _changed("toml_is_json", DOCUMENT, '{"study": {"name": "Harbour"}}', "toml_syntax"),
    _changed("unknown_key", "items", "itms", "unknown_key", "'items'"),
    _changed(
        "unknown_table",
        "[tables.customer_responses]",
        "[tables.customer_response]",
        "unknown_key",
        "'customer_responses'",
    ),
    _changed("unknown_section", "[chain]", "[chian]", "unknown_key", "'chain'"),
    _changed("no_name", 'name = "Harbour"', "seed = 1", "missing_key", "name"),
    _changed("name_is_number", '"Harbour"', "7", "wrong_type", "a text in quotes"),
    _changed("items_is_text", '["s1", "s2"]', '"s1, s2"', "wrong_type", "a list"),
    _changed("items_empty", '["s1", "s2"]', "[]", "too_few"),
    _changed("items_numbers", '["s1", "s2"]', "[1, 2]", "wrong_type"),
    _changed("items_twice", '["s1", "s2"]', '["s1", "s1"]', "listed_twice"),
    _changed("items_absent", '["s1", "s2"]', '["s1", "s22"]', "missing_item", "s2"),
    _changed("seed_huge", 'name = "Harbour"', 'name = "a"\nseed = 99999999999999999999999', "outside_range"),
    _changed("seed_negative", 'name = "Harbour"', 'name = "a"\nseed = -1', "outside_range"),
    _changed("no_constructs", DOCUMENT[DOCUMENT.index("[constructs.sat") :], "", "missing_key", "constructs"),
    _changed("no_tables", '[tables.customer_responses]\nfile = "answers.csv"\n', "", "missing_key", "tables"),
    _changed("table_undeclared", 'table = "customer_responses"', 'table = "units"', "undeclared_table", "units"),
    _changed(
        "table_unknown",
        'table = "customer_responses"',
        'table = "customers_response"',
        "unknown_value",
        "customer_responses",
    ),
    _changed("scale_reversed", "scale = [1, 5]", "scale = [5, 1]", "scale_order", "low end"),
    _changed("scale_one_end", "scale = [1, 5]", "scale = [5]", "too_few"),
    _changed("scale_nan", "scale = [1, 5]", "scale = [nan, 5]", "not_finite"),
    _changed("scale_infinite", "scale = [1, 5]", "scale = [1, inf]", "not_finite"),
    _changed("reverse_stranger", "scale = [1, 5]", 'scale = [1, 5]\nreverse = ["s3"]', "reverse_unknown", "'s"),
    _changed("reverse_without_scale", "scale = [1, 5]", 'reverse = ["s2"]', "reverse_without_scale"),
    _changed("minimum_share", "scale = [1, 5]", "scale = [1, 5]\nminimum_share = 50", "outside_range", "0.5"),
    _changed("construct_spaces", "[constructs.satisfaction]", '[constructs."very satisfied"]', "bad_name"),
    _changed("construct_operator", "[constructs.satisfaction]", '[constructs."a =~ b"]', "bad_name"),
    _changed("construct_unicode", "[constructs.satisfaction]", '[constructs."zufriedenheit_ü"]', "bad_name"),
    _changed("construct_empty_name", "[constructs.satisfaction]", '[constructs.""]', "bad_name"),
    _changed("shared_item", 'items = ["l1", "l2"]', 'items = ["l1", "s2"]', "shared_item", "s2", exit_code=0),
    _changed("file_absent", "answers.csv", "answer.csv", "file_missing", "'answers.csv'"),
    _changed("file_absolute", "answers.csv", "/etc/passwd", "file_outside"),
    _changed("file_parent", "answers.csv", "../../../../etc/passwd", "file_outside", "allow_outside"),
    _changed("file_hidden_parent", "answers.csv", "data/../../answers.csv", "file_outside"),
    _changed("file_drive", '"answers.csv"', "'C:\\data\\answers.csv'", "file_outside"),
    _changed("file_address", "answers.csv", "https://example.org/answers.csv", "file_is_address"),
    _changed("file_remote", "answers.csv", "s3://bucket/answers.parquet", "file_is_address"),
    _changed("file_folder", "answers.csv", ".", "file_is_folder"),
    _changed("file_nul", "answers.csv", "ans\\u0000wers.csv", "file_name"),
    _changed("file_very_long", "answers.csv", "a" * 5000 + ".csv", "file_unreadable"),
    _changed("file_glob", "answers.csv", "*.csv", "file_missing"),
    Case(
        "file_symlink_out",
        {"outside.csv": ANSWERS, "s/answers.csv": _symlink("../outside.csv"), "s/study.toml": DOCUMENT},
        "file_outside",
        document="s/study.toml",
    ),
    Case("file_symlink_loop", {"study.toml": DOCUMENT, "answers.csv": _symlink("answers.csv")}, "file_outside"),
    _changed("columns_number", '"answers.csv"', '"answers.csv"\ncolumns = { unit = 3 }', "wrong_type"),
    _changed("columns_absent", '"answers.csv"', '"answers.csv"\ncolumns = { unit = "BTN" }', "missing_column", "BTN"),
    _changed("columns_unknown", '"answers.csv"', '"answers.csv"\ncolumns = { untit = "s1" }', "unknown_column", "unit"),
    _changed("encoding_unknown", '"answers.csv"', '"answers.csv"\nencoding = "utf-9"', "unknown_encoding", "utf-9"),
    _document("model_syntax", _chain("loyalty ~~~ satisfaction"), "model_text", "line"),
    _document("model_unclosed", _chain("loyalty ~ satisfaction +"), "model_text"),
    _document("model_unknown_name", _chain("loyalty ~ satisfacton"), "unknown_construct", "'satisfaction'"),
    _document("model_circular", _chain("loyalty ~ satisfaction\nsatisfaction ~ loyalty"), "circular_chain", "circle"),
    _document("model_no_links", _chain("loyalty ~~ satisfaction"), "no_links"),
    _document("model_measurement", _chain("loyalty =~ l1 + l2\nloyalty ~ satisfaction"), "not_a_link"),
    _changed("model_is_code", "loyalty ~ satisfaction", "__import__('os').system('id')", "model_text"),
    _changed("model_empty", '"loyalty ~ satisfaction"', '""', "empty_text"),
    _changed(
        "preset_unknown",
        'model = "loyalty ~ satisfaction"',
        'preset = "service-profit-chan"',
        "unknown_value",
        "Did you mean",
    ),
    _changed(
        "preset_no_match", 'model = "loyalty ~ satisfaction"', 'preset = "service-profit-chain"', "preset_without_links"
    ),
    _changed("preset_and_model", "[chain]", '[chain]\npreset = "service-profit-chain"', "preset_and_model"),
    _changed("chain_empty", 'model = "loyalty ~ satisfaction"', 'level = "auto"', "no_links"),
    _changed("level_unknown", "[chain]", '[chain]\nlevel = "team"', "unknown_value", "unit"),
    _document("lag_without_link", _lags(("loyalty", "satisfaction", 1)), "lag_without_link"),
    _document("lag_negative", _lags(("satisfaction", "loyalty", -1)), "outside_range"),
    _document("lag_fraction", _lags(("satisfaction", "loyalty", 0.5)), "wrong_type", "whole number"),
    _document(
        "lag_contradicts", _lags(("satisfaction", "loyalty", 1), ("satisfaction", "loyalty", 2)), "contradicting_lags"
    ),
    _document("lag_without_waves", _lags(("satisfaction", "loyalty", 1)), "lag_without_waves"),
    _document("wave_without_waves", DOCUMENT + "wave = 3\n", "unknown_wave"),
    _document("money_without_ledger", DOCUMENT + "[money]\nhorizon = 5\n", "money_without_customers"),
    _document("discount_minus_one", LEDGER_DOCUMENT.replace("0.1", "-1"), "outside_range"),
    _document("discount_nan", LEDGER_DOCUMENT.replace("0.1", "nan"), "not_finite"),
    _document("discount_percent", LEDGER_DOCUMENT.replace("0.1", "12"), "outside_range", "0.12"),
    _document("horizon_zero", LEDGER_DOCUMENT.replace("= 5\n", "= 0\n"), "outside_range"),
    _document("horizon_negative", LEDGER_DOCUMENT.replace("= 5\n", "= -3\n"), "outside_range"),
    _document("horizon_text", LEDGER_DOCUMENT.replace("= 5\n", '= "five"\n'), "wrong_type"),
    _document("points_percent", LEDGER_DOCUMENT + "points = 5\n", "outside_range", "0.05"),
    _document("group_of_one", DOCUMENT + "[disclosure]\nminimum_group = 1\n", "outside_range"),
    _document("group_true", DOCUMENT + "[disclosure]\nminimum_group = true\n", "wrong_type"),
    _document("comments_looser", DOCUMENT + "[disclosure]\nminimum_group = 20\n", "below_minimum_group"),
    _document("report_stranger", DOCUMENT + "[report]\ntemplate = '../x.html'\n", "unknown_key"),
]

TABLES = [
    _table("table_empty", "", "empty_file"),
    _table("table_blank_lines", "\n\n\n", "empty_file"),
    _table("table_header_only", "respondent,s1,s2,l1,l2\n", "empty_file"),
    _table("table_garbage", bytes(range(256)) * 40, "null_byte"),
    _table("table_is_png", b"\x89PNG\r\n\x1a\n" + bytes(500), "null_byte"),
    _table("table_ragged", _answer(6, "\n", ",9,9\n"), "ragged_row", "6"),
    _table("table_duplicate_headings", ANSWERS.replace("l2", "s1", 1), "duplicate_column", "s1"),
    _table("table_unclosed_quote", _cell(5, 1, '"3'), "open_quote"),
    _table("table_no_heading", ANSWERS.split("\n", 1)[1], "missing_item"),
    _table("table_heading_case", ANSWERS.replace("s2", "S2", 1), "missing_item", "S2"),
    _table("table_one_row", "".join(ANSWERS.splitlines(keepends=True)[:2]), "too_few_rows"),
    _table("text_in_items", _cell(4, 2, "often"), "not_a_number", "often"),
    _table("formula_in_items", _cell(4, 2, "=cmd|' /C calc'!A0"), "not_a_number", "=cmd"),
    _table("outside_scale", _cell(7, 3, "9"), "outside_scale", "9"),
    _table("missing_code_left", _column(3, lambda i: "-99" if i % 4 == 0 else str(1 + i % 5)), "outside_scale", "-99"),
    _table("infinite_answer", _cell(7, 3, "inf"), "outside_scale"),
    _table("dates_as_answers", _column(2, lambda i: f"2026-01-{i + 1:02d}"), "not_a_number", "2026-01-01"),
    _table("decimal_commas", _column(2, lambda i: f'"{1 + i % 4},5"'), "decimal_comma", ",", exit_code=0),
    _table(
        "decimal_commas_mixed",
        _column(2, lambda i: f'"{1 + i % 4},5"' if i % 2 else f"{1 + i % 4}.5"),
        "mixed_decimals",
    ),
    _table("nan_words", _column(2, lambda i: "NaN"), "empty_item", "s2"),
    _table("item_blank", _column(2, lambda i: ""), "empty_item", "s2"),
    _table("item_constant", _column(2, lambda i: "4"), "constant_item", "s2"),
    _table("huge_cell", _cell(5, 2, "9" * 200_000), "huge_cell"),
    _table("huge_text", _cell(5, 2, "x" * 300_000), "huge_cell"),
    _table("respondent_twice", _answer(9, "r7", "r6"), "duplicate_key", "r6"),
    _table(
        "mixed_encodings",
        _cell(3, 0, "Åse").encode() + "Øyvind,1,2,3,4\n".encode("latin-1"),
        "mixed_encoding",
        exit_code=3,
    ),
    _table("workbook_is_zip", _other_zip, "damaged_file", file="answers.xlsx"),
    _table("workbook_garbage", b"PK\x03\x04" + bytes(300), "damaged_file", file="answers.xlsx"),
    _table("workbook_is_csv", ANSWERS, "damaged_file", file="answers.xlsx"),
    _table("parquet_truncated", _truncated_parquet, "damaged_file", file="answers.parquet"),
    _table("parquet_garbage", b"PAR1" + bytes(100) + b"PAR1", "damaged_file", file="answers.parquet"),
    _table("parquet_named_csv", _parquet, "null_byte"),
    _table("sav_garbage", b"$FL2" + bytes(range(200)), "damaged_file", file="answers.sav"),
    _table("sav_empty", b"", "empty_file", file="answers.sav"),
    _table("database_garbage", b"DUCK" * 900, "damaged_file", file="answers.duckdb"),
    _table("unknown_suffix", ANSWERS, "unknown_format", ".docx", file="answers.docx"),
    _table("pickle", b"\x80\x04cos\nsystem\n.", "unknown_format", file="answers.pkl"),
    *(
        Case(f"database_{name}", {"study.toml": DUCKDB_DOCUMENT.format(table), "base.duckdb": _database}, rule, says)
        for name, table, rule, says in [
            ("no_such_table", "answer", "unknown_table", "answers"),
            ("injection", "answers; DROP TABLE answers; --", "unknown_table", "answers"),
            ("quote_injection", "answers' UNION SELECT 1 --", "unknown_table", "answers"),
            ("function_call", "read_csv('/etc/passwd')", "unknown_table", "answers"),
        ]
    ),
    _units("unit_case", "key_spelling", "u4", employees=_cell(6, 1, "u4", EMPLOYEES), exit_code=3),
    _units("unit_unknown", "unknown_key", "U77", employees=_cell(6, 1, "U77", EMPLOYEES)),
    _units("unit_without_people", "unused_key", "U99", units=UNITS + "U99,East\n", exit_code=0),
    _units("unit_blank", "no_unit", employees=_cell(6, 1, "", EMPLOYEES), exit_code=0),
    _units("unit_twice", "duplicate_key", "U2", units=UNITS + "U2,East\n"),
    _units("unit_column_absent", "missing_column", "unit", units=UNITS.replace("unit", "untit")),
    _units(
        "wave_text_and_number",
        "wave_types",
        employees=EMPLOYEES.replace("respondent,", "wave,respondent,").replace("\ne", "\n2026,e"),
        units="unit,wave\n" + "".join(f"U{i},first\n" for i in range(12)),
    ),
    _ledger("customer_twice", LEDGER + "c3,1,False,5\n", "duplicate_key", "c3"),
    _ledger("customer_blank", _cell(4, 0, "", LEDGER), "blank_id"),
    _ledger("tenure_negative", _cell(4, 1, "-2", LEDGER), "below_minimum"),
    _ledger("tenure_text", _cell(4, 1, "two years", LEDGER), "wrong_type"),
    _ledger("churned_maybe", _cell(4, 2, "maybe", LEDGER), "wrong_type", "maybe"),
    _ledger("margin_text", _cell(4, 3, "EUR 100", LEDGER), "wrong_type"),
    _ledger("no_retention", "customer,margin\nc1,5\nc2,6\n", "incomplete_set"),
]

CASES = [*DOCUMENTS, *TABLES]

SOUND: Mapping[str, Mapping[str, Content]] = {
    "answers": {"study.toml": DOCUMENT, "answers.csv": ANSWERS},
    "units": {"study.toml": UNITS_DOCUMENT, "employees.csv": EMPLOYEES, "units.csv": UNITS},
    "ledger": {"study.toml": LEDGER_DOCUMENT, "answers.csv": ANSWERS, "accounts.csv": LEDGER},
    "parquet": {"study.toml": DOCUMENT.replace(".csv", ".parquet"), "answers.parquet": _parquet},
}
"""What the cases are made from: studies with nothing wrong."""
