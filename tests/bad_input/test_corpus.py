"""Every malformed study ends in our own finding, never in a foreign error, and never in a changed file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spc.errors import DataError
from spc.study import Study, check_study, read_study


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_check_finds_what_is_wrong_and_changes_nothing(bad_case, bad_study, tmp_path):
    before = contents(tmp_path)
    report = check_study(bad_study)
    assert contents(tmp_path) == before
    named = [str(f) for f in report.findings if f.rule == bad_case.rule and bad_case.says in str(f)]
    assert named, [f"{f.rule}: {f}" for f in report.findings]
    assert report.ok == (bad_case.exit_code == 0), [f"{f.rule}: {f}" for f in report.errors]


def test_read_raises_everything_or_carries_the_warning(bad_case, bad_study):
    if bad_case.exit_code == 0:
        study = read_study(bad_study)
        assert isinstance(study, Study)
        assert bad_case.rule in [note.code for note in study.notes()]
        return
    with pytest.raises(DataError) as caught:
        read_study(bad_study)
    assert caught.value.exit_code == bad_case.exit_code
    assert bad_case.rule in [finding.rule for finding in caught.value.findings]


def test_no_finding_is_endless_or_half_said(bad_study):
    for finding in check_study(bad_study).findings:
        assert len(str(finding)) < 1000
        assert finding.found
        assert finding.expected
        assert finding.hint.endswith((".", "?"))


def test_the_corpus_is_large_and_its_names_differ(corpus):
    names = [case.name for case in corpus.CASES]
    assert len(names) == len(set(names)) >= 60
    assert {case.exit_code for case in corpus.CASES} == {0, 3}


def test_what_the_cases_start_from_is_sound(corpus, tmp_path):
    for name, files in corpus.SOUND.items():
        case = corpus.Case(name, files, "")
        report = check_study(corpus.write(case, tmp_path / name))
        assert report.findings == (), name
