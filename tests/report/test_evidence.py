"""Grades of evidence in the report: beside the links, in the drawing, with every reason."""

from dataclasses import dataclass, field

import pandas as pd
import pytest

from spc.report import compose_report
from spc.report.blocks import ListBlock, TableBlock
from spc.report.words import links_sentence
from spc.results import Provenance, tidy_frame

GRADES = {
    ("employee_satisfaction", "service"): "C",
    ("value", "employee_satisfaction"): "D",
    ("customer_loyalty", "value"): "C",
    ("profitability", "customer_loyalty"): "A",
}


@dataclass(frozen=True)
class Found:
    kind: str = "evidence"
    labels: dict = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance.record({}, "0" * 16))

    def tidy(self):
        return tidy_frame(
            [{"lhs": y, "op": "~", "rhs": x, "kind": "grade", "label": letter} for (y, x), letter in GRADES.items()]
        )

    def glance(self):
        return pd.DataFrame([{"links": len(GRADES), "nobs": 60}])

    def notes(self):
        return ()

    def augment(self):
        rows = [(y, x, "summary", letter, 0.4, f"Grade {letter}: so it is.") for (y, x), letter in GRADES.items()]
        rows += [(y, x, "robustness", "yes", 0.23, "A hidden cause would have to explain 23 %.") for y, x in GRADES]
        rows += [(y, x, "time", "no", 0.0, "Nothing says which came first.") for y, x in GRADES]
        return pd.DataFrame(rows, columns=["lhs", "rhs", "criterion", "met", "number", "sentence"])


@pytest.fixture
def report(chain):
    return compose_report([chain, Found()])


def section(report, anchor):
    return next(part for part in report.sections if part.anchor == anchor)


def test_a_grade_stands_beside_each_link(report, chain):
    table = next(b for b in section(report, "chain").blocks if isinstance(b, TableBlock))
    assert [column.header for column in table.columns][:3] == ["Link", "Here", "Evidence"]
    assert [row[2] for row in table.cells] == list(GRADES.values())
    plain = next(b for b in section(compose_report(chain), "chain").blocks if isinstance(b, TableBlock))
    assert "Evidence" not in [column.header for column in plain.columns]


def test_every_reason_is_there_on_request(report):
    blocks = section(report, "chain").blocks
    sentences = next(block for block in blocks if isinstance(block, ListBlock))
    assert sentences.items[0] == "Grade C: so it is."
    tables = [block for block in blocks if isinstance(block, TableBlock) and block.caption[1:2] == ":"]
    assert [table.folded for table in tables] == [True] * 4
    assert tables[0].caption == "C: Service → Employee satisfaction"
    assert tables[0].cells[0] == (
        "Robust to a hidden cause", "yes", "A hidden cause would have to explain 23 %.",
    )  # fmt: skip


def test_the_drawing_says_what_its_colours_are(report):
    page = report.html()
    assert "Colour and letter are the grade of the evidence" in page
    assert "--spc-grade-a" in page
    assert "evidence grade A" in page


def test_without_evidence_nothing_is_said_of_it(chain):
    blocks = section(compose_report(chain), "chain").blocks
    assert not any(getattr(block, "text", "") == "Evidence" for block in blocks)


def test_links_that_do_not_matter_are_told():
    rows = [{"lhs": "b", "rhs": "a", "label": "holds"}, {"lhs": "c", "rhs": "b", "label": "practically nil"}]
    assert links_sentence(pd.DataFrame(rows), {}) == (
        "One of the two links of the chain holds here; b to c is practically nil."
    )
    assert links_sentence(pd.DataFrame(rows[1:]), {}) == ("The one link of the chain, b to c, is practically nil here.")
