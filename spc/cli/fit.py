"""``spc fit STUDY``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spc.cli.app import app
from spc.cli.options import Draws, Force, Json, Output, Seed, StudyPath


@app.command(rich_help_panel="One part")
def fit(
    study: StudyPath,
    output: Output = None,
    force: Force = False,
    draws: Draws = 2000,
    seed: Seed = None,
    engine: Annotated[Literal["spc", "semopy"], typer.Option(help="spc, or semopy as an independent check.")] = "spc",
    method: Annotated[
        Literal["auto", "two_sided", "unit_means"] | None,
        typer.Option(
            help="Where sides meet: the likelihood of the respondents of both sides, or regressions of unit means; "
            "what the study says when left out."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fit the chain of a study: links, effects, fit, and what to be careful about."""
    from spc.chain import fit_chain
    from spc.cli import show
    from spc.disclosure import Gate
    from spc.report import write_tables
    from spc.study import read_study

    given = read_study(study)
    gate = Gate.of(given)
    gate.check_people()
    chain = gate.model(fit_chain(given, draws=draws, seed=seed, engine=engine, method=method))
    written: list[Path] = [] if output is None else write_tables([chain], output, force=force)
    if json:
        show.as_json(chain.record() | {"written": written})
        return
    show.chain(chain)
    show.written(written)
