"""``spc power``."""

from __future__ import annotations

from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Json

Links = Annotated[
    list[str] | None,
    typer.Option("--link", help="A link among units, such as customer_value~employee_loyalty=0.25; repeat for more. "
                 "Replaces the size of a link of the preset chain."),
]  # fmt: skip
Shares = Annotated[
    list[str] | None,
    typer.Option("--icc", help="Share of variance between units, such as employee_satisfaction=0.10; repeat for more."),
]


@app.command()
def power(
    units: Annotated[int, typer.Option(min=5, help="Units.")],
    employees: Annotated[float, typer.Option(min=1, help="Employees who answer, a unit.")],
    customers: Annotated[float, typer.Option(min=1, help="Customers who answer, a unit.")],
    waves: Annotated[int, typer.Option(min=1, help="Waves of the survey.")] = 1,
    link: Links = None,
    icc: Shares = None,
    wanted: Annotated[float, typer.Option(min=0.01, max=0.99, help="Power that a study should have.")] = 0.8,
    firms: Annotated[int, typer.Option(min=20, help="Firms drawn.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the drawn firms.")] = 1,
    json: Json = False,
) -> None:
    """Say what a planned study can find: draws firms of known links, fits them, and counts."""
    from dataclasses import asdict

    from spc.chain.power import ICC, LINKS, Plan, needed_in_words
    from spc.chain.power import power as simulated
    from spc.cli import show
    from spc.cli.words import amounts

    links = LINKS | {_link(name, LINKS): value for name, value in amounts(link, "link").items()}
    shares = ICC | {_known(name, ICC): value for name, value in amounts(icc, "icc").items()}
    respondents = {"employee": employees, "customer": customers}
    found = simulated(Plan(units, respondents, links, icc=shares, waves=waves), firms=firms, wanted=wanted, seed=seed)
    if json:
        notes = [asdict(note) for note in found.notes()]
        show.as_json({"power": found.table, "needs": found.needs, "glance": found.glance(), "notes": notes})
        return
    show.power(found.table, f"{units:,} units of {employees:g} employees and {customers:g} customers")
    for sentence in needed_in_words(found):
        show.say(sentence)
    show.notes(found.notes())


def _link(name: str, known: dict[tuple[str, str], float]) -> tuple[str, str]:
    effect, _, cause = (part.strip() for part in name.partition("~"))
    return (_known(effect, _names(known)), _known(cause, _names(known)))


def _names(links: dict[tuple[str, str], float]) -> dict[str, float]:
    return dict.fromkeys((name for link in links for name in link), 0.0)


def _known(name: str, known: dict[str, float]) -> str:
    from spc.errors import UsageError
    from spc.spec.check import nearest

    if name not in known:
        raise UsageError(f"{name!r} is no construct of the planned chain; {nearest(name, list(known))} "
                         f"There are: {', '.join(known)}.")  # fmt: skip
    return name
