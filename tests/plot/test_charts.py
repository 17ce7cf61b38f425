import xml.etree.ElementTree as ET

import matplotlib as mpl
import pandas as pd
import pytest

from spc.errors import UsageError
from spc.plot import Figure, effects_plot, five_points, importance_performance, retention_curve, unit_quality


def row(kind, lhs, estimate=float("nan"), low=float("nan"), high=float("nan"), rhs="loyalty", std=float("nan")):
    return {
        "kind": kind, "lhs": lhs, "rhs": rhs, "estimate": estimate, "conf_low": low, "conf_high": high, "std_all": std,
    }  # fmt: skip


@pytest.fixture
def figures(make):
    names = ["service", "price", "staff", "<script>x</script>", "cost $5 and $6"]
    effects = [
        {**row("total", "loyalty", 0.1 * i, 0.1 * i - 0.15, 0.1 * i + 0.15), "rhs": n} for i, n in enumerate(names)
    ]
    drivers = [row("importance", n, 0.05, 0.01, 0.1, std=0.2) for n in names]
    drivers += [row("performance", n, 60.0 + i) for i, n in enumerate(names)]
    money = [
        row("uplift_percent", "uplift_percent", 0.159, 0.12, 0.21),
        row("closed_form", "uplift_percent", 0.28, 0.24, 0.33),
        row("claim", "uplift_percent", low=0.25, high=0.85),
    ]
    curve = pd.DataFrame(
        {"period": [1, 2, 3], "at_risk": [90, 60, 4], "survival": [0.9, 0.7, 0.31], "conf_low": [0.85, 0.6, 0.1],
         "conf_high": [0.94, 0.79, 0.5], "geometric": [0.88, 0.77, 0.68]}
    )  # fmt: skip
    scales = [row("omega", n, 0.8, 0.75, 0.85) for n in names]
    loyalty = make("loyalty", money, curve)
    return {
        "effects": effects_plot(make("chain", effects).tidy),
        "drivers": importance_performance(make("drivers", drivers).tidy),
        "curve": retention_curve(loyalty.curve),
        "points": five_points(loyalty.tidy),
        "quality": unit_quality(make("study", scales).tidy),
    }


def test_each_is_a_named_well_formed_image_without_script(figures):
    for figure in figures.values():
        assert type(figure) is Figure
        root = ET.fromstring(figure.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
        assert root.get("role") == "img"
        assert len(figure.alt) > 20
        assert "<script" not in figure.svg
        assert "date" not in figure.svg.lower()
        assert "http" not in figure.svg.replace("http://www.w3.org", "")


def test_dollars_are_text_not_formulas(figures):
    assert "cost $5 and $6" in figures["drivers"].svg.lower()


def test_ids_do_not_clash_on_one_page(figures):
    ids = [found for f in figures.values() for found in ET.fromstring(
        f.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)).iter() if found.get("id")]  # fmt: skip
    assert len({e.get("id") for e in ids}) == len(ids)


def test_references_lead_to_ids_of_the_same_figure(figures):
    for figure in figures.values():
        root = ET.fromstring(figure.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
        ids = {e.get("id") for e in root.iter()}
        assert {e.get("href")[1:] for e in root.iter() if e.get("href")} <= ids


def test_bytes_are_the_same_every_time(make):
    rows = [row("omega", "a", 0.8, 0.7, 0.9)]
    assert unit_quality(make("study", rows).tidy).svg == unit_quality(make("study", rows).tidy).svg


def test_colours_are_left_to_the_page(figures):
    for figure in figures.values():
        assert "var(--spc-" in figure.svg
        assert "#0102" not in figure.svg
        assert "fill: #ffffff" not in figure.svg


def test_settings_outside_are_untouched(make):
    before = dict(mpl.rcParams)
    unit_quality(make("study", [row("omega", "a", 0.8, 0.7, 0.9)]).tidy)
    assert dict(mpl.rcParams) == before


def test_a_hidden_period_is_not_drawn(figures):
    assert "31" not in figures["curve"].alt
    assert figures["curve"].alt.startswith("After 2 years 70")


def test_the_own_figure_is_said_beside_the_claim(figures):
    plain = figures["points"].alt.replace("\u00a0", " ")
    assert "This firm: 15.9 % (12.0 % to 21.0 %)" in plain
    assert "Usually quoted: 25 % to 85 %" in plain


@pytest.mark.parametrize("draw", [effects_plot, importance_performance, retention_curve, five_points, unit_quality])
def test_raw_tables_are_refused(draw):
    with pytest.raises(UsageError, match=r"spc\.disclosure\.Gate"):
        draw(pd.DataFrame({"kind": []}))


@pytest.mark.parametrize("draw", [effects_plot, importance_performance, five_points, unit_quality])
def test_an_empty_table_gives_a_figure(draw, make):
    assert draw(make("chain", []).tidy).svg


def test_figures_cannot_be_made_elsewhere():
    with pytest.raises(UsageError, match=r"spc\.plot"):
        Figure("t", "a", "<svg></svg>")


def test_what_would_give_the_claim_is_said_in_its_currency_and_with_figures_that_matter():
    from spc.disclosure import Gate
    from spc.economics import loyalty_value

    loyal = pd.DataFrame(
        {"tenure": [60] * 9900 + [30] * 100, "churned": [0] * 9900 + [1] * 100, "margin": [9.0, 11.0] * 5000}
    )
    weekly = loyalty_value(loyal, horizon=52, discount=0.0001, period="week", retention_model="constant", draws=100)
    text = five_points(Gate().model(weekly).tidy, currency="EUR").svg
    assert "0.0 %" not in text.replace("\u00a0", " ")
    late = pd.DataFrame(
        {"tenure": [4] * 600 + [2] * 400, "churned": [0] * 600 + [1] * 400, "margin": [90.0, 110.0] * 500}
    )
    cheap = loyalty_value(late, horizon=5, discount=0.02, points=0.3, retention_model="constant", draws=100)
    figure = five_points(Gate().model(cheap).tidy, currency="EUR")
    assert "shrink" in figure.svg
    assert "grow \u2212" not in figure.svg
    dear = loyalty_value(late, horizon=5, discount=0.1, retention_model="constant", draws=100)
    assert "\u20ac" in five_points(Gate().model(dear).tidy, currency="EUR").svg
