"""Options that several verbs share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyPath = Annotated[Path, typer.Argument(help="The study document (study.toml) or its folder.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Seed = Annotated[int | None, typer.Option(help="Seed of all random numbers; the study's own when left out.")]
Draws = Annotated[int, typer.Option(min=100, help="Draws behind the intervals.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for the tables as CSV; none are written when left out.")
]
