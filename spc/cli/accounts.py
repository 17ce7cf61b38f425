"""``spc accounts STUDY``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Force, Json, Output, StudyPath


@app.command(rich_help_panel="One part")
def accounts(
    study: StudyPath,
    output: Output = None,
    force: Force = False,
    by: Annotated[
        str | None, typer.Option(help="Property of customers to compare and make peers of, such as unit or segment.")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Show the account of one customer only.")] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Show this beside the accounts, as often as wanted: waterfall, whale, elasticity, groups, clusters, "
            "risk, bridge, price, peers, sellers, profile, effort, visits, menu, kpis, targets, involvement. The usual "
            "ones when left out."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Keep an account for every customer: from gross revenue to contribution, to the cent, and what changed."""
    from spc.accounts import customer_accounts, ledger_results, waterfall
    from spc.cli import show, show_accounts
    from spc.disclosure import Gate
    from spc.report import write_tables
    from spc.results import Result
    from spc.study import read_study

    given = read_study(study)
    ledger = customer_accounts(given)
    results: list[Result] = (
        [ledger, waterfall(ledger, customer=customer)]
        if customer is not None
        else [*ledger_results(ledger, by=by, parts=part, study=given)]
    )
    gate = Gate.of(given)
    released = [gate.model(result) for result in results]
    written: list[Path] = [] if output is None else write_tables(released, output, force=force)
    if json:
        show.as_json({"accounts": [model.record() for model in released], "written": written})
        return
    for model in released[1:] if customer else released:
        show_accounts.model(model)
    show.written(written)
