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
