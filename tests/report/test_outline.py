"""Block trees as text: what a report says, from results that never change.

``SPC_SNAPSHOTS=write`` renews the texts; read the difference before keeping it.
"""

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from spc.report import compose_report

FOLDER = Path(__file__).parent / "outlines"


def outline(report):
    lines = [f"# {report.title}", report.subtitle]
    for section in report.sections:
        lines += ["", f"## {section.title} [{section.anchor}]"]
        for block in section.blocks:
            lines += TEXT[block.kind](block)
    return re.sub(r"\d{4}-\d\d-\d\dT\S+", "TIME", "\n".join(lines).replace("\u00a0", "~")) + "\n"


def _table(block):
    folded = ", folded" if block.folded else ""
    rows = [" | ".join(row) for row in ([head.header for head in block.columns], *block.cells)]
    note = [f"    ({block.note})"] if block.note else []
    return [f"table{folded}: {block.caption}", *(f"    {row}" for row in rows), *note]


TEXT = {
    "prose": lambda b: [f"{b.tone}: {b.text}"],
    "list": lambda b: [f"- {item}" for item in b.items],
    "stats": lambda b: [f"stat: {' | '.join(item)}" for item in b.items],
    "facts": lambda b: [f"facts: {b.caption}", *(f"    {term}: {x}" for term, x in b.pairs if term not in _LATER)],
    "finding": lambda b: [f"finding ({b.strength}): {b.title} [{b.mark}]", f"    {b.text}",
                          *(f"    ! {caveat}" for caveat in b.caveats)],
    "equations": lambda b: [f"equations: {b.caption}", *(f"    {plain}  ({words})" for _, words, plain in b.rows)],
    "table": _table,
    "figure": lambda b: [f"figure: {b.figure.title}", f"    {b.figure.alt}", f"    ({b.caption})"],
    "notes": lambda b: [f"note, {note.severity}: {note.text}" for note in b.notes],
}  # fmt: skip
_LATER = {"Software", "Software and versions"}


MONEY = (
    ("retention", "retention", "per year", 0.81, 0.80, 0.82),
    ("margin", "margin", "per customer, per year", 120.0, 115.0, 125.0),
    ("clv", "clv", "5 years ahead", 531.0, 513.0, 563.0),
    ("uplift_percent", "uplift_percent", "+5 points, 5 years ahead", 0.159, 0.156, 0.163),
    ("uplift_base", "uplift_base", "+5 points, 5 years ahead", 178000.0, 172000.0, 190000.0),
    ("uplift_percent", "uplift_constant", "one rate for all", 0.15, math.nan, math.nan),
    ("uplift_percent", "closed_form", "no horizon", 0.28, 0.26, 0.31),
    ("discount", "claim_terms", "+5 points worth 85%, no horizon", math.nan, math.nan, math.nan),
    ("uplift_percent", "claim", "+5 points, as usually quoted", math.nan, 0.25, 0.85),
)


@pytest.fixture
def ledger(chain):
    class Ledger(type(chain)):
        def augment(self):
            survival = [0.81, 0.66, 0.53, float("nan")]
            ends = {"conf_low": [v - 0.02 for v in survival], "conf_high": [v + 0.02 for v in survival]}
            constant = [0.81**t for t in (1, 2, 3, 4)]
            frame = {"period": [1, 2, 3, 4], "survival": survival, **ends, "geometric": constant, "fitted": constant}
            return pd.DataFrame({**frame, "at_risk": [900, 600, 400, 3]})

    rows = tuple(
        {"lhs": lhs, "kind": kind, "rhs": rhs, "estimate": e, "conf_low": low, "conf_high": high}
        for lhs, kind, rhs, e, low, high in MONEY
    )
    summary = {
        "points": 0.05, "horizon": 5.0, "period": "year", "discount": 0.1, "currency": "EUR", "customers": 2000,
        "active": 1500, "lost": 500, "retention_model": "constant", "calibration_pvalue": 0.6,
    }  # fmt: skip
    return Ledger("loyalty", rows, summary)


@pytest.mark.parametrize("name", ["whole", "board", "one_side", "ledger", "collinear"])
def test_the_tree_of_blocks_is_as_it_was(name, request, study, chain, drivers, ledger):
    given = {
        "whole": ([study, chain, drivers, ledger], {}),
        "board": ([study, chain, drivers, ledger], {"audience": "board"}),
        "one_side": ([study, replace(chain, summary={**chain.summary, "level": "person"})], {}),
        "ledger": ([ledger], {}),
        "collinear": ([study, request.getfixturevalue("collinear")], {"leave_out": ["method"]}),
    }
    results, wishes = given[name]
    found, kept = outline(compose_report(results, **wishes)), FOLDER / f"{name}.txt"
    if os.environ.get("SPC_SNAPSHOTS") == "write":
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(found, encoding="utf-8")
    assert found == kept.read_text(encoding="utf-8")
