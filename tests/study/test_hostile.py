"""Documents and tables from strangers: paths stay in the folder, long documents are not read, odd names show."""

from __future__ import annotations

import os
import resource

import pytest

import spc
from spc.study import check_study, init_study
from spc.study.toml import LIMIT

ESCAPES = "\x1b[31m\u202egnp.exe\u2066"


@pytest.fixture
def folder(tmp_path):
    return init_study(tmp_path / "study").parent


def found(folder, file):
    """Rules that a study breaks whose employees are in another file."""
    document = folder / "study.toml"
    text = document.read_text()
    assert '"employees.csv"' in text
    document.write_text(text.replace('"employees.csv"', f"'{file}'"))
    return {finding.rule for finding in check_study(folder).findings if finding.severity == "error"}


def test_a_path_that_climbs_out(folder):
    (folder.parent / "secret.csv").write_text("a\n1\n")
    assert "file_outside" in found(folder, "../secret.csv")


def test_a_path_that_climbs_out_and_back(folder):
    assert not found(folder, f"../{folder.name}/employees.csv")


@pytest.mark.parametrize("file", ["/etc/passwd", "/dev/zero", "/proc/self/environ", "C:\\secret.csv", "~/secret.csv"])
def test_a_path_of_the_machine(folder, file):
    assert found(folder, file) & {"file_outside", "file_missing"}


def test_a_link_that_leads_out(folder):
    (folder.parent / "secret.csv").write_text("a\n1\n")
    (folder / "inside.csv").symlink_to("../secret.csv")
    assert "file_outside" in found(folder, "inside.csv")


def test_a_folder_that_leads_out(folder):
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "secret.csv").write_text("a\n1\n")
    (folder / "data").symlink_to("../elsewhere", target_is_directory=True)
    assert "file_outside" in found(folder, "data/secret.csv")


def test_a_link_that_stays_inside(folder):
    (folder / "same.csv").symlink_to("employees.csv")
    assert not found(folder, "same.csv")


def test_links_that_go_round(folder):
    (folder / "a.csv").symlink_to("b.csv")
    (folder / "b.csv").symlink_to("a.csv")
    assert found(folder, "a.csv") & {"file_outside", "file_missing", "file_unreadable"}


def test_a_pipe_is_no_file(folder):
    os.mkfifo(folder / "pipe.csv")
    assert "file_missing" in found(folder, "pipe.csv")


def test_the_document_may_allow_it(folder):
    (folder / "employees.csv").rename(folder.parent / "employees.csv")
    document = folder / "study.toml"
    document.write_text(document.read_text().replace("[study]", "[study]\nallow_outside = true", 1))
    assert not found(folder, "../employees.csv")


def test_the_logo_stays_in_the_folder(folder):
    document = folder / "study.toml"
    document.write_text(document.read_text().replace("[report]", '[report]\nlogo = "/etc/passwd"', 1))
    rules = {finding.rule for finding in check_study(folder).findings}
    assert rules & {"file_outside", "unknown_key"}


def test_a_document_of_a_hundred_megabytes_is_not_read(folder):
    with (folder / "study.toml").open("r+b") as file:
        file.truncate(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rules = [finding.rule for finding in check_study(folder).findings]
    assert rules == ["document_too_long"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "a" + ".a" * 100_000 + " = 1", "a = " + "9" * (LIMIT - 10), 'a = "' + "y" * (LIMIT - 10)],
    ids=["nested lists", "nested keys", "digits", "a text without end"],
)
def test_a_document_that_strains_the_parser(tmp_path, text):
    (tmp_path / "study.toml").write_text(text)
    findings = check_study(tmp_path).findings
    assert findings
    assert all(finding.severity == "error" for finding in findings)


def test_names_with_marks_that_cannot_be_seen_are_told_with_a_sign(folder):
    """What leaves has no control characters, and nothing that turns the line around."""
    for path in folder.glob("*.csv"):
        head, *rows = path.read_text().splitlines()
        place = head.split(",").index("unit")
        cells = [row.split(",") for row in rows]
        first = min(row[place] for row in cells)
        for row in cells:
            row[place] = f"{first}{ESCAPES}" if row[place] == first else row[place]
        path.write_text("\n".join([head, *(",".join(row) for row in cells)]) + "\n")
    study = spc.read_study(folder)
    assert any(ESCAPES in unit for unit in study.units)
    released = spc.Gate.of(study).model(study)
    told = released.curve.frame.to_csv() + str(released.record())
    assert "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}gnp.exe\N{REPLACEMENT CHARACTER}" in told
    assert not set(told) & set("\x1b\u202e\u2066\x00")


def test_a_null_in_a_table_is_refused(folder):
    path = folder / "employees.csv"
    path.write_bytes(path.read_bytes().replace(b"U", b"U\0", 1))
    assert "null_byte" in {finding.rule for finding in check_study(folder).findings}
