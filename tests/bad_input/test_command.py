"""The whole corpus through the command line: our own error, its exit code, no traceback, no file changed."""

import json

import pytest

from spc.cli import main


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def run(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(list(words))
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_check_ends_in_the_stated_code(bad_study, bad_case, tmp_path, capsys):
    before = contents(tmp_path)
    code, out, err = run(capsys, "check", str(bad_study), "--json")
    assert code == bad_case.exit_code, out + err
    assert "Traceback" not in out + err
    document = json.loads(out)
    findings = document["findings"] if "findings" in document else document["error"]["findings"]
    assert any(finding["rule"] == bad_case.rule for finding in findings)
    assert contents(tmp_path) == before


def test_fit_refuses_what_check_refuses(bad_study, bad_case, tmp_path, capsys):
    if bad_case.exit_code == 0:
        pytest.skip("a warning only: the study may be fitted")
    before = contents(tmp_path)
    code, out, err = run(capsys, "run", str(bad_study), "--draws", "100")
    assert code in {2, 3, 4, 5}, err
    assert "Traceback" not in out + err
    assert "fault of spc" not in err
    assert contents(tmp_path) == before
