import pytest

from spc.cli import main


@pytest.fixture
def run(capsys):
    """Call of a verb: its exit code, what it printed, and its errors."""

    def call(*words):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return call


@pytest.fixture
def screen(monkeypatch):
    """A plain terminal of so many columns."""

    def columns(n):
        for name, value in {"COLUMNS": str(n), "LINES": "50", "TTY_COMPATIBLE": "1", "TERM": "dumb"}.items():
            monkeypatch.setenv(name, value)

    return columns
