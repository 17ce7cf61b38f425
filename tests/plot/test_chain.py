import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from spc.errors import UsageError
from spc.plot import chain_diagram
from spc.plot.chain import _NARROW, _WIDE, _box_area, _spots
from spc.plot.layers import place
from spc.plot.lines import overlap


def strokes(svg):
    """Width, colour and dashes of the link lines in order."""
    lines = re.findall(r'<path d="M[^"]*C[^"]*" style="([^"]*)"', svg)
    return [dict(part.split(":", 1) for part in line.split(";") if part) for line in lines]


def test_a_raw_table_is_refused():
    with pytest.raises(UsageError, match="ReleasedTable, found a DataFrame"):
        chain_diagram(pd.DataFrame())


def test_both_drawings_are_well_formed_and_named(make, mobile):
    figure = chain_diagram(make("chain", mobile).tidy)
    for svg in (figure.svg, figure.narrow):
        root = ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
        assert root.get("role") == "img"
        names = {child.get("id"): child.text for child in root if child.get("id")}
        assert [names[key] for key in root.get("aria-labelledby").split()] == [figure.title, figure.alt]


def test_thickness_follows_the_standardised_effect(make, mobile):
    lines = strokes(chain_diagram(make("chain", mobile).tidy).svg)
    widths = [float(line["stroke-width"]) for line in lines]
    assert widths[3] > widths[1] > widths[0] > widths[2]


def test_verdicts_differ_in_colour_and_in_dashes(make, mobile):
    lines = strokes(chain_diagram(make("chain", mobile).tidy).svg)
    looks = {(line["stroke"], line.get("stroke-dasharray")) for line in lines}
    assert len(looks) == 3
    assert len({dash for _, dash in looks}) == 3


def test_numbers_and_intervals_are_printed(make, mobile):
    svg = chain_diagram(make("chain", mobile).tidy).svg
    for text in ("0.68", "[0.58, 0.78]", "−0.80", "[−0.90, −0.70]", "[−0.01, 0.49]"):
        assert f">{text}<" in svg


def test_links_that_must_not_be_interpreted_have_no_numbers(make, mobile):
    rows = [{**row, "label": "not interpretable"} for row in mobile]
    figure = chain_diagram(make("chain", rows).tidy)
    assert "0.68" not in figure.svg + figure.narrow + figure.alt
    assert {line["stroke"] for line in strokes(figure.svg)} == {"var(--spc-void, #8b93a0)"}
    assert "cannot be told apart" in figure.alt


def test_hostile_labels_are_escaped(make, mobile):
    figure = chain_diagram(make("chain", mobile).tidy, {"quality": "<script>alert(1)</script>"}, title="<b>&")
    for svg in (figure.svg, figure.narrow):
        assert "<script" not in svg
        assert "<b>" not in svg


def test_drawing_is_the_same_every_time(make, mobile):
    assert chain_diagram(make("chain", mobile).tidy).svg == chain_diagram(make("chain", mobile).tidy).svg


@pytest.mark.parametrize("style", [_WIDE, _NARROW])
@pytest.mark.parametrize(
    "links",
    [
        [("a", "b"), ("b", "c"), ("c", "a")],
        [("a", "b"), ("b", "a")],
        [("a", "a"), ("a", "b")],
        [(x, y) for i, x in enumerate("abcde") for y in "abcde"[i + 1 :]],
        [("a", "z"), ("b", "z"), ("c", "z"), ("d", "z")],
    ],
)
def test_any_graph_is_laid_out_without_boxes_on_boxes(links, style):
    placement = place(links)
    spots, width, height = _spots(placement, style)
    boxes = [_box_area(spots[slot], style) for slot in spots if isinstance(slot[1], str)]
    assert len(boxes) == len({name for link in links for name in link})
    for i, one in enumerate(boxes):
        assert min(one[:2]) >= 0
        assert one[2] <= width
        assert one[3] <= height
        assert not any(overlap(one, (*other, 1.0)) for other in boxes[i + 1 :])


def test_causes_come_before_effects_unless_they_loop():
    placement = place([("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")])
    layer = {slot: i for i, slots in enumerate(placement.layers) for slot in slots if isinstance(slot, str)}
    assert [layer[name] for name in "abcd"] == [0, 1, 2, 3]
    assert placement.routes["a", "c"] == ((0, "a"), (1, ("a", "c")), (2, "c"))


def test_no_links_is_a_figure_too(make):
    assert chain_diagram(make("chain", []).tidy).alt == "No link was fitted."


def graded(mobile, letters):
    return [
        {"lhs": row["lhs"], "op": "~", "rhs": row["rhs"], "kind": "grade", "label": letter}
        for row, letter in zip(mobile, letters, strict=True)
    ]


def test_colour_is_the_grade_of_evidence_where_there_are_grades(make, mobile):
    rows = make("evidence", graded(mobile, "ABDC"), pd.DataFrame({"sentence": []})).tidy
    figure = chain_diagram(make("chain", mobile).tidy, evidence=rows)
    lines = strokes(figure.svg)
    assert [line["stroke"].split(",")[0] for line in lines] == [f"var(--spc-grade-{letter}" for letter in "abdc"]
    plain = strokes(chain_diagram(make("chain", mobile).tidy).svg)
    assert [line.get("stroke-dasharray") for line in lines] == [line.get("stroke-dasharray") for line in plain]
    assert ">0.68 · A<" in figure.svg
    assert "Quality to Value: holds (0.68, [0.58, 0.78]), evidence grade A" in figure.alt
    for words in ("evidence A", "evidence D", "unclear", "runs the other way"):
        assert f">{words}<" in figure.svg


def test_grades_that_have_not_passed_the_gate_are_refused(make, mobile):
    with pytest.raises(UsageError, match="ReleasedTable"):
        chain_diagram(make("chain", mobile).tidy, evidence=pd.DataFrame(graded(mobile, "ABDC")))


@pytest.mark.parametrize("verdict", ["practically nil", "too small to matter"])
def test_links_that_do_not_matter_have_a_look_of_their_own(make, mobile, verdict):
    rows = [*mobile[1:], {**mobile[0], "label": verdict}]
    figure = chain_diagram(make("chain", rows).tidy)
    looks = {line.get("stroke-dasharray") for line in strokes(figure.svg)}
    assert len(looks) == 4
    assert verdict in figure.alt
    assert f">{verdict}<" in figure.svg
    assert ">0.68<" in figure.svg
