"""``spc loyalty STUDY``."""

from __future__ import annotations

from pathlib import Path

from spc.cli.app import app
from spc.cli.options import Force, Json, Output, Seed, StudyPath


@app.command()
def loyalty(
    study: StudyPath, output: Output = None, force: Force = False, seed: Seed = None, json: Json = False
) -> None:
    """Say what loyalty is worth: retention, lifetime value, the firm's own figure for five more points."""
    from spc.cli import show
    from spc.disclosure import Gate
    from spc.economics import loyalty_value
    from spc.report import write_tables
    from spc.study import read_study

    given = read_study(study)
    released = Gate.of(given).model(loyalty_value(given, seed=given.seed if seed is None else seed))
    written: list[Path] = [] if output is None else write_tables([released], output, force=force)
    if json:
        show.as_json(released.record() | {"written": written})
        return
    show.loyalty(released)
    show.written(written)
