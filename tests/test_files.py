from pathlib import Path

import pytest

from spc.errors import UsageError
from spc.files import safe_cell, write_all


def test_nothing_is_written_over_without_force(tmp_path):
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"b\.txt"):
        write_all(tmp_path, {"a.txt": "1", "b.txt": "2"})
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]
    assert (tmp_path / "b.txt").read_text() == "mine"
    write_all(tmp_path, {"a.txt": "1", "b.txt": "2"}, force=True)
    assert (tmp_path / "b.txt").read_text() == "2"


def test_an_interruption_leaves_nothing_half_written(tmp_path, monkeypatch):
    def stop(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path, {"a.txt": "1", "b.txt": "2"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_our_error(tmp_path):
    (tmp_path / "here").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_all(tmp_path / "here", {"a.txt": "1"})


@pytest.mark.parametrize("begin", ["=", "{=", "+", "-", "@", "\t=", "\r", " =", "\u00a0=", "\ufeff=", "\uff1d", "\n="])
def test_no_text_begins_a_formula(begin):
    assert safe_cell(f"{begin}cmd|'/c calc'!A1") == f"'{begin}cmd|'/c calc'!A1"
    assert safe_cell(f"North {begin}") == f"North {begin}"
