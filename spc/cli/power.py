"""``spc power``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Json

if TYPE_CHECKING:
    from spc.chain import Plan

Links = Annotated[
    list[str] | None,
    typer.Option("--link", help="A link among units, such as effect~cause=0.25; repeat for more. "
                 "Replaces the size of a link of the chain."),
]  # fmt: skip
Shares = Annotated[
    list[str] | None,
    typer.Option("--icc", help="Share of variance between units, such as employee_satisfaction=0.10; repeat for more."),
]


@app.command(rich_help_panel="Plan")
def power(
    units: Annotated[int | None, typer.Option(min=5, help="Units; those of the pilot when left out.")] = None,
    employees: Annotated[
        float | None, typer.Option(min=1, help="Employees who answer, a unit; as in the pilot when left out.")
    ] = None,
    customers: Annotated[
        float | None, typer.Option(min=1, help="Customers who answer, a unit; as in the pilot when left out.")
    ] = None,
    pilot: Annotated[
        Path | None, typer.Option(help="A study whose fitted chain says links, shares and sizes of units.")
    ] = None,
    waves: Annotated[int, typer.Option(min=1, help="Waves of the survey.")] = 1,
    link: Links = None,
    icc: Shares = None,
    wanted: Annotated[float, typer.Option(min=0.01, max=0.99, help="Power that a study should have.")] = 0.8,
    firms: Annotated[int, typer.Option(min=20, help="Firms drawn.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the drawn firms.")] = 1,
    json: Json = False,
) -> None:
    """Say what a planned study can find: draws firms of known links, fits them, and counts.

    Links and shares are those of usual firms, or with --pilot those of a study that is there.
    """
    from dataclasses import asdict, replace

    from spc.chain.naming import called
    from spc.chain.power import needed_in_words
    from spc.chain.power import power as simulated
    from spc.cli import show
    from spc.cli.words import amounts

    respondents = {side: n for side, n in {"employee": employees, "customer": customers}.items() if n is not None}
    sizes, shares = amounts(link, "link"), amounts(icc, "icc")
    if pilot is None:
        plan = _usual(units, respondents)
        links = dict(plan.links) | {_link(name, plan.links): value for name, value in sizes.items()}
        plan = replace(plan, links=links, icc={**plan.icc, **{_known(name, plan.icc): v for name, v in shares.items()}})
    else:
        plan = _like(pilot, units, respondents, sizes, shares)
    found = simulated(replace(plan, waves=waves), firms=firms, wanted=wanted, seed=seed)
    if json:
        notes = [asdict(note) for note in found.notes()]
        show.as_json({"power": found.table, "needs": found.needs, "glance": found.glance(), "notes": notes})
        return
    people = " and ".join(f"{n:.3g} {called(side)}" for side, n in found.plan.respondents.items())
    show.power(found.table, f"{found.plan.units:,} units of {people}")
    for sentence in needed_in_words(found):
        show.say(sentence)
    show.notes(found.notes())


def _usual(units: int | None, respondents: dict[str, float]) -> Plan:
    """The preset chain with usual links."""
    from spc.chain.power import Plan
    from spc.errors import UsageError

    absent = [f"--{side}s" for side in ("employee", "customer") if side not in respondents]
    absent += ["--units"] if units is None else []
    if units is None or absent:
        raise UsageError(f"{', '.join(sorted(absent))}: say how large the study is to be, or name a --pilot.")
    return Plan(units, respondents)


def _like(
    pilot: Path, units: int | None, respondents: dict[str, float], sizes: dict[str, float], shares: dict[str, float]
) -> Plan:
    """A study like the pilot, whose numbers may leave."""
    from spc.chain import fit_chain, plan_from
    from spc.disclosure import Gate
    from spc.study import read_study

    study = read_study(pilot)
    gate = Gate.of(study)
    gate.check_people()
    chain = fit_chain(study, draws=100)
    gate.model(chain)
    links = {_parts(name): value for name, value in sizes.items()}
    return plan_from(chain, units=units, respondents=respondents, links=links, icc=shares)


def _link(name: str, known: Mapping[tuple[str, str], float]) -> tuple[str, str]:
    effect, cause = _parts(name)
    return (_known(effect, _names(known)), _known(cause, _names(known)))


def _parts(name: str) -> tuple[str, str]:
    effect, _, cause = (part.strip() for part in name.partition("~"))
    return effect, cause


def _names(links: Mapping[tuple[str, str], float]) -> dict[str, float]:
    return dict.fromkeys((name for link in links for name in link), 0.0)


def _known(name: str, known: Mapping[str, float]) -> str:
    from spc.errors import UsageError
    from spc.spec.check import nearest

    if name not in known:
        raise UsageError(f"{name!r} is no construct of the planned chain; {nearest(name, list(known))}")
    return name
