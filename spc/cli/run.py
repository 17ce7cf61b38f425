"""``spc run STUDY``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Draws, Force, Json, Seed, StudyPath


@app.command(rich_help_panel="Everything a study allows")
def run(
    study: StudyPath,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; 'results' beside the study when left out.")
    ] = None,
    force: Force = False,
    draws: Draws = 2000,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Do all of it: check, fit, drivers, money; write the report and every table."""
    from spc.cli import show
    from spc.disclosure import Gate
    from spc.files import refuse_to_overwrite
    from spc.report import write_study
    from spc.scenario import fit_study
    from spc.study import read_study

    given = read_study(study)
    folder = given.folder / "results" if output is None else output
    refuse_to_overwrite([folder / "report.html"], force=force)
    Gate.of(given).check_people()
    results = fit_study(given, draws=draws, seed=seed)
    outcome = write_study(results, folder, force=force)
    if json:
        show.as_json(outcome.record())
        return
    for released in outcome.models:
        show.model(released)
    show.say(outcome.headline, "bold")
    show.written(outcome.paths)
