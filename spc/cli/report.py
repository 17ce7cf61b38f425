"""``spc report STUDY``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Draws, Force, Json, Seed, StudyPath


@app.command(rich_help_panel="Everything a study allows")
def report(
    study: StudyPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .html, .pdf, .pptx or .xlsx.")] = Path(
        "report.html"
    ),
    force: Force = False,
    draws: Draws = 2000,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Fit everything a study allows and write the report that leadership reads."""
    from spc.cli import show
    from spc.disclosure import Gate
    from spc.report import compose_report, targets
    from spc.scenario import fit_study
    from spc.study import read_study

    targets(output, force=force)
    given = read_study(study)
    Gate.of(given).check_people()
    page = compose_report(fit_study(given, draws=draws, seed=seed))
    path = page.save(output, force=force)
    if json:
        show.as_json({"report": str(path), "headline": page.headline})
        return
    show.say(page.headline, "bold")
    show.written([path])
