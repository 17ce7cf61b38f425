"""The Python of every document runs, top to bottom, and its tables have as many cells in each row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_blocks_of_python_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {"__name__": path.stem}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, str(path), "exec"), found)


def test_blocks_of_the_readme_with_data_of_their_own_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "import numpy" in block]
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert "Structural equation model" in capsys.readouterr().out


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_tables_are_rectangular_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1, table
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        there = (path.parent / link).exists() or (
            path.parents[1] / link
        ).exists()  # notebooks are copied beside the page
        assert there or link.startswith("https://"), link
