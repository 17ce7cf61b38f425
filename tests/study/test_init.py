"""A study to start from."""

from __future__ import annotations

import tomllib

import pytest

from spc.errors import UsageError
from spc.study import check_study, init_study, read_study
from spc.study.template import TEMPLATE
from spc.synthetic import make_firm


def test_what_is_written_has_nothing_wrong(tmp_path):
    path = init_study(tmp_path / "new" / "folder")
    assert path.name == "study.toml"
    report = check_study(path)
    assert report.findings == ()
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "accounts.csv", "customers.csv", "employees.csv", "study.toml", "units.csv",
    ]  # fmt: skip


def test_the_template_describes_the_made_up_firm():
    document, made = tomllib.loads(TEMPLATE), tomllib.loads(make_firm(seed=1, units=10).document())
    assert document["tables"] == made["tables"]
    for key in ("items", "scale", "reverse", "table"):
        assert {n: c.get(key) for n, c in document["constructs"].items()} == {
            n: c.get(key) for n, c in made["constructs"].items()
        }


def test_every_remark_that_is_a_setting_is_a_valid_one(tmp_path):
    text = TEMPLATE.replace("# wave = 2026   ", "wave = 2026 #").replace("# table =", "table =")
    text = text.replace("# encoding =", "encoding =").replace("# missing =", "missing =")
    text = text.replace("# columns =", "columns =").replace("# [[chain.lags]]", "[[chain.lags]]")
    for key in ("from", "to", "waves"):
        text = text.replace(f"# {key} =", f"{key} =")
    path = init_study(tmp_path)
    path.write_text(text)
    rules = {finding.rule for finding in check_study(path).errors}
    assert not rules & {"toml_syntax", "unknown_key", "wrong_type", "unknown_encoding", "bad_name"}
    assert "missing_column" in rules


@pytest.mark.parametrize("there", ["study.toml", "units.csv"])
def test_nothing_is_written_over(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=there):
        init_study(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_force_writes_over(tmp_path):
    (tmp_path / "study.toml").write_text("mine")
    assert read_study(init_study(tmp_path, force=True)).name == "Example study"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        init_study(tmp_path / "x")


def test_the_remarks_on_accounts_are_a_valid_part():
    from spc.study.consistency import AccountsSpec, CostDriver

    start = TEMPLATE.index("# [accounts]")
    lines = TEMPLATE[start : TEMPLATE.index("# ---- Confidentiality")].splitlines()
    given = tomllib.loads("\n".join(line.removeprefix("#") for line in lines))["accounts"]
    drivers = tuple(CostDriver(**driver) for driver in given["drivers"])
    assert AccountsSpec(drivers, control=given["control"]).lines == ("gross_revenue", "service", "warehouse")
