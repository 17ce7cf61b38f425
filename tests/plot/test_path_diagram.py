import math
import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pandas as pd
import pytest

from spc.errors import UsageError
from spc.plot import path_diagram
from spc.plot.path_places import ITEM, NODE, SHARE, in_a_column, in_layers, lay_out, read_model


def row(lhs, op, rhs, std, p=0.0001, kind=None, **more):
    kinds = {"=~": "loading", "~": "regression", "~~": "variance" if lhs == rhs else "covariance"}
    error = math.nan if p is None else 0.1
    p_value = math.nan if p is None else p
    return {
        "lhs": lhs, "op": op, "rhs": rhs, "kind": kind or kinds[op], "estimate": std, "std_error": error,
        "p_value": p_value, "std_all": std, "level": "1", "group": "1", **more,
    }  # fmt: skip


def factor(name, items, std=0.8):
    rows = [row(name, "=~", item, std, None if i == 0 else 0.0001) for i, item in enumerate(items)]
    return [*rows, *(row(item, "~~", item, 1 - std**2) for item in items), row(name, "~~", name, 1.0)]


@pytest.fixture
def chain():
    rows = [r for name in "abc" for r in factor(name, [f"{name}{i}" for i in range(1, 5)])]
    rows = [r for r in rows if (r["lhs"], r["rhs"]) not in {("b", "b"), ("c", "c")}]
    return [
        *rows, row("b", "~~", "b", 0.64), row("c", "~~", "c", 0.75), row("b", "~", "a", 0.6), row("c", "~", "b", 0.41),
        row("c", "~", "a", -0.07, 0.3), row("a1", "~~", "b1", 0.23, 0.02),
    ]  # fmt: skip


@pytest.fixture
def cfa():
    rows = [r for name in ("visual", "textual", "speed") for r in factor(name, [f"{name[0]}{i}" for i in range(3)])]
    return rows + [row(one, "~~", other, 0.4) for one, other in combinations(("visual", "textual", "speed"), 2)]


def parsed(svg):
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def shapes(svg, tag):
    return [e for e in parsed(svg).iter() if e.tag.endswith(tag) and "box" in e.get("style", "")]


def texts(svg):
    return re.findall(r">([^<>]+)<", svg)


def test_only_released_fits_are_drawn(make, mobile):
    with pytest.raises(UsageError, match="ReleasedModel, found a DataFrame"):
        path_diagram(pd.DataFrame())
    with pytest.raises(UsageError, match="kind 'chain'"):
        path_diagram(make("chain", mobile))


def test_both_drawings_are_well_formed_and_named(make, chain):
    figure = path_diagram(make("sem", chain))
    for svg in (figure.svg, figure.narrow):
        root = parsed(svg)
        assert root.get("role") == "img"
        names = {child.get("id"): child.text for child in root if child.get("id")}
        assert [names[key] for key in root.get("aria-labelledby").split()] == [figure.title, figure.alt]


def test_latents_are_ellipses_and_observed_variables_boxes(make, chain):
    figure = path_diagram(make("sem", [*chain, row("c", "~", "age", 0.2)]))
    for svg in (figure.svg, figure.narrow):
        assert len(shapes(svg, "ellipse")) == 3
        assert len(shapes(svg, "rect")) == 13


def test_numbers_are_standardised_with_stars_and_explained_shares(make, chain):
    svg = path_diagram(make("sem", chain)).svg
    for text in ("0.60***", "0.41***", "−0.07", "0.23*", "0.80***", "0.80", "R² = 0.36", "R² = 0.25", "R² 0.64"):
        assert text in texts(svg), text
    assert any("p &lt; .05" in text for text in texts(svg))


def test_what_is_not_significant_is_dashed_and_nothing_else(make, chain):
    svg = path_diagram(make("sem", chain)).svg
    dashed = re.findall(r'<path d="[^"]*" style="[^"]*dasharray[^"]*"', svg)
    assert len(dashed) == 1
    assert "unclear" in dashed[0]


def test_covariances_are_curves_with_two_heads(make, cfa):
    figure = path_diagram(make("sem", cfa))
    assert figure.narrow == ""
    curves = re.findall(r'<path d="M[^"]*C[^"]*" style="fill:none', figure.svg)
    heads = re.findall(r'<path d="M[^"]*Z"', figure.svg)
    assert len(curves) == 3
    assert len(heads) == 2 * 3 + 9


def test_covariates_held_at_the_sample_are_not_joined(make, chain):
    held = row("age", "~~", "tenure", 0.3, None)
    rows = [*chain, row("a", "~", "age", 0.2), row("a", "~", "tenure", 0.2), held]
    plain = path_diagram(make("sem", rows[:-1]))
    assert path_diagram(make("sem", rows)).svg == plain.svg


def test_the_alternative_text_says_every_number(make, chain):
    alt = path_diagram(make("sem", chain), {"a": "Führung", "a1": "Frage 1"}).alt
    assert "Führung is measured by Frage 1 (0.80), a2 (0.80)" in alt
    assert "Führung to C: −0.07, not significant." in alt
    assert "Frage 1 with b1: 0.23." in alt
    assert "Explained shares: B 0.36, C 0.25." in alt


def test_hostile_and_foreign_names_are_escaped_and_whole_in_the_tooltip(make):
    long = "`; drop <script>alert(1)</script> & 満足度に関するとても長い項目の名前 " * 2
    figure = path_diagram(make("sem", factor("満足", [long, "b", "c"])), title="<b>&")
    assert "<script" not in figure.svg
    assert long in [e.text for e in parsed(figure.svg).iter() if e.tag.endswith("title")]


def test_drawing_is_the_same_every_time(make, chain):
    assert path_diagram(make("sem", chain)).svg == path_diagram(make("sem", chain)).svg


def test_a_level_is_chosen_by_number(make, chain):
    clusters = [{**r, "level": "2", "std_all": 0.11} for r in chain]
    both = make("sem", [*chain, *clusters])
    assert "0.11***" in texts(path_diagram(both, level=2).svg)
    assert path_diagram(both).svg == path_diagram(make("sem", chain)).svg
    with pytest.raises(UsageError, match="level=3: there are 1, 2"):
        path_diagram(both, level=3)


def test_the_first_group_is_drawn_where_none_is_named(make, chain):
    named = [{**r, "group": "south"} for r in chain] + [{**r, "group": "north", "std_all": 0.11} for r in chain]
    assert path_diagram(make("sem", named)).svg == path_diagram(make("sem", chain)).svg


def test_a_group_is_chosen_by_name(make, chain):
    other = [{**r, "group": "2", "std_all": 0.11} for r in chain]
    assert "0.11***" in texts(path_diagram(make("sem", [*chain, *other]), group="2").svg)
    with pytest.raises(UsageError, match="group='3': there are 1, 2"):
        path_diagram(make("sem", [*chain, *other]), group="3")


def model_rows(kind):
    names = [f"f{i}" for i in range(7)]
    rows = [r for n in names for r in factor(n, [f"{n}_{j}" for j in range(4)])]
    links = {
        "chain": [(f"f{a}", f"f{b}") for a, b in ((0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5), (5, 6), (0, 6))],
        "all": list(combinations(names, 2)),
        "none": [],
        "loop": [("f0", "f1"), ("f1", "f0"), ("f1", "f2")],
        "star": [(n, "f6") for n in names[:6]],
        "second": [],
    }[kind]  # fmt: skip
    rows += [row(effect, "~", cause, 0.3) for cause, effect in links]
    if kind == "none":
        rows += [row(a, "~~", b, 0.2) for a, b in combinations(names, 2)]
    if kind == "second":
        rows += [row("g", "=~", n, 0.7) for n in names]
    return [*rows, row("f0_0", "~~", "f6_3", 0.2), row("f1", "=~", "f0_1", 0.3), row("f2_2", "~", "age", 0.1)]


@pytest.mark.parametrize("layout", [in_layers, in_a_column])
@pytest.mark.parametrize("kind", ["chain", "all", "none", "loop", "star", "second"])
def test_no_box_hides_another_and_all_are_on_the_page(make, kind, layout):
    released = make("sem", model_rows(kind))
    drawn = read_model(released.tidy.frame, "1")
    page = lay_out(drawn, layout(drawn), 10.0)
    assert len(page.items) == 28
    boxes = [(x, y, *NODE) for x, y in page.nodes.values()]
    boxes += [(x + SHARE / 2, y, ITEM[0] + SHARE, ITEM[1]) for x, y in page.items.values()]
    for x, y, w, h in boxes:
        assert x - w / 2 >= 0
        assert x + w / 2 <= page.width
        assert y - h / 2 >= 0
        assert y + h / 2 <= page.height
    for (xa, ya, wa, ha), (xb, yb, wb, hb) in combinations(boxes, 2):
        assert abs(xa - xb) >= (wa + wb) / 2 or abs(ya - yb) >= (ha + hb) / 2
    figure = path_diagram(released)
    assert len(shapes(figure.svg, "rect")) == 28 + 1
    for svg in filter(None, (figure.svg, figure.narrow)):
        assert "nan" not in svg


def test_every_number_is_on_the_page(make, chain, cfa):
    for rows in (chain, cfa, model_rows("all"), model_rows("chain")):
        figure = path_diagram(make("sem", rows))
        for svg in filter(None, (figure.svg, figure.narrow)):
            width, height = (float(v) for v in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
            for x, y in re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"', svg):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height


def test_a_model_of_observed_variables_has_no_ellipse(make):
    figure = path_diagram(make("sem", [row("y", "~", "x", 0.5), row("y", "~~", "y", 0.75)]))
    assert shapes(figure.svg, "ellipse") == []
    assert "x to y: 0.50." in figure.alt


def test_a_file_of_its_own_needs_no_page(make, chain, tmp_path):
    figure = path_diagram(make("sem", chain))
    written = figure.save(tmp_path / "diagram.svg").read_text(encoding="utf-8")
    root = ET.fromstring(written)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in written
    assert "currentColor" not in written
    assert "#0f6f8c" in written
    with pytest.raises(UsageError, match="There already"):
        figure.save(tmp_path / "diagram.svg")
    with pytest.raises(UsageError, match="saved as SVG"):
        figure.save(tmp_path / "diagram.png")
