"""``spc simulate STUDY``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Draws, Force, Json, Output, Seed, StudyPath

Named = list[str] | None


@app.command(rich_help_panel="Plan")
def simulate(
    study: StudyPath,
    change: Annotated[
        list[str],
        typer.Option("--change", help="What moves, and how far, such as employee_loyalty=+0.3; repeat for more."),
    ],
    cost: Annotated[Named, typer.Option("--cost", help="Spent once on a change, such as name=240000.")] = None,
    running_cost: Annotated[Named, typer.Option("--running-cost", help="Spent each period, such as name=5000.")] = None,
    ramp: Annotated[Named, typer.Option("--ramp", help="Periods until it works in full, such as name=3.")] = None,
    lasts: Annotated[Named, typer.Option("--lasts", help="Periods it is kept up, such as name=2.")] = None,
    decay: Annotated[Named, typer.Option("--decay", help="Share lost a period after that, such as name=0.5.")] = None,
    lag: Annotated[Named, typer.Option("--lag", help="Periods until a link works, such as effect~cause=1.")] = None,
    periods: Annotated[int | None, typer.Option(min=1, help="Periods looked ahead; the study's horizon.")] = None,
    output: Output = None,
    force: Force = False,
    draws: Draws = 2000,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Say what changes would bring: every construct, money, payback, and the chance of a loss."""
    from spc.cli import show
    from spc.cli.words import amounts, counts
    from spc.disclosure import Gate
    from spc.report import write_tables
    from spc.scenario import Change, simulate_study
    from spc.study import read_study

    moves = amounts(change, "change")
    once, running = amounts(cost, "cost", moves), amounts(running_cost, "running-cost", moves)
    ramps, kept, lost = counts(ramp, "ramp", moves), counts(lasts, "lasts", moves), amounts(decay, "decay", moves)
    levers = [
        Change(
            name, by, cost=once.get(name, 0.0), running_cost=running.get(name, 0.0), ramp=ramps.get(name, 1),
            lasts=kept.get(name), decay=lost.get(name, 0.0),
        )
        for name, by in moves.items()
    ]  # fmt: skip
    lags = {(name.partition("~")[0].strip(), name.partition("~")[2].strip()): value
            for name, value in counts(lag, "lag").items()}  # fmt: skip
    given = read_study(study)
    gate = Gate.of(given)
    gate.check_people()
    released = gate.model(simulate_study(given, levers, lags=lags, periods=periods, draws=draws, seed=seed))
    written: list[Path] = [] if output is None else write_tables([released], output, force=force)
    if json:
        show.as_json(released.record() | {"written": written})
        return
    show.scenario(released, {construct.name: construct.title for construct in given.codebook})
    show.written(written)
