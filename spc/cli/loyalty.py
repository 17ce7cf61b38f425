"""``spc loyalty STUDY``."""

from __future__ import annotations

from pathlib import Path

from spc.cli.app import app
from spc.cli.options import Force, Json, Output, Seed, StudyPath


@app.command(rich_help_panel="One part")
def loyalty(
    study: StudyPath, output: Output = None, force: Force = False, seed: Seed = None, json: Json = False
) -> None:
    """Say what loyalty is worth: retention by group, lifetime value, the firm's own figure, what answers move."""
    from spc.cli import show, show_loyalty
    from spc.disclosure import Gate
    from spc.economics import loyalty_results, loyalty_value
    from spc.report import write_tables
    from spc.study import read_study

    given = read_study(study)
    gate = Gate.of(given)
    value = loyalty_value(given, seed=given.seed if seed is None else seed)
    released = gate.model(value)
    parts = [gate.model(part) for part in loyalty_results(given, value)]
    written: list[Path] = [] if output is None else write_tables([released, *parts], output, force=force)
    if json:
        show.as_json(released.record() | {"parts": [part.record() for part in parts], "written": written})
        return
    show.loyalty(released)
    show_loyalty.parts(parts)
    show.written(written)
