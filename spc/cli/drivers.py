"""``spc drivers STUDY``."""

from __future__ import annotations

from spc.cli.app import app
from spc.cli.options import Draws, Json, Seed, StudyPath


@app.command(rich_help_panel="One part")
def drivers(study: StudyPath, draws: Draws = 1000, seed: Seed = None, json: Json = False) -> None:
    """Rank the key drivers of the last construct of each survey side."""
    from spc.cli import show
    from spc.disclosure import Gate
    from spc.drivers import study_drivers
    from spc.study import read_study

    given = read_study(study)
    gate = Gate.of(given)
    released = [gate.model(result) for result in study_drivers(given, draws=draws, seed=seed)]
    if json:
        show.as_json({"drivers": [model.record() for model in released]})
        return
    for model in released:
        show.drivers(model)
        show.say()
    if not released:
        show.say("No side of this study has three constructs or more, so there is nothing to rank.")
