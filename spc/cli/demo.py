"""``spc demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Draws, Force, Json


@app.command(rich_help_panel="Begin")
def demo(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder to fill; the first free of spc-demo, spc-demo-2, ... when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another firm.")] = 1,
    units: Annotated[int, typer.Option(min=20, help="Units of the firm.")] = 80,
    draws: Draws = 2000,
    force: Force = False,
    json: Json = False,
) -> None:
    """Make a synthetic firm with known truth, check it, fit it, write its report, and say how far off the fit is."""
    from spc.chain import ChainFit, fit_chain, recovery
    from spc.cli import show
    from spc.report import write_study
    from spc.scenario import fit_study
    from spc.study import read_study
    from spc.synthetic import make_firm

    place = _free_folder() if folder is None else folder
    firm = make_firm(seed=seed, units=units, name="Example firm", transactions=True)
    document = firm.write(place, force=force)
    study = read_study(document)
    if not json:
        show.say(f"Made a firm of {units} units with known truth in {place}; its tables pass every check.")
    results = fit_study(study, draws=draws)
    outcome = write_study(results, place / "results", force=force)
    chain = next(result for result in results if isinstance(result, ChainFit))
    truth = recovery(chain, firm.truth)
    means = recovery(fit_chain(study, draws=draws, method="unit_means"), firm.truth)
    if json:
        show.as_json(outcome.record() | {"study": document, "recovery": truth, "recovery_unit_means": means})
        return
    for released in outcome.models:
        show.model(released)
    show.recovery(truth, "How far the estimates are from the truth")
    show.say()
    show.recovery(means, "The same from regressions of unit means (spc fit --method unit_means)")
    show.say(outcome.headline, "bold")
    show.say(f"Report: {outcome.report.resolve()}", "bold green")


def _free_folder() -> Path:
    n = 1
    while (place := Path("spc-demo" if n == 1 else f"spc-demo-{n}")).exists():
        n += 1
    return place
