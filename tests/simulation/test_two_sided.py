"""Firms of known truth: the two-sided fit finds the links that unit means lose, with honest intervals."""

import numpy as np
import pytest

from spc.chain.two_sided_simulation import CELLS, ICC, PATHS, Cell, chain_model, draw_firm, main, simulate_cell
from spc.sem.twolevel.fit import fit_two_level


def crossing(table):
    return table[(table["lhs"] == "customer_value") & (table["rhs"] == "employee_loyalty")].iloc[0]


def test_thirty_firms_show_what_unit_means_lose():
    """Thirty firms: means to 4 Monte Carlo errors; coverage of 95 % intervals below 75 % once in 10,000."""
    table = simulate_cell(Cell(120, 10, 25), firms=30, seed=5)
    assert table["failed"].max() == 0
    links = table.iloc[:-1]
    assert (np.abs(links["mean"] - links["truth"]) < 4 * links["error"]).all()
    assert links["coverage"].min() > 0.75
    assert links["coverage"].mean() > 0.90
    lost = crossing(table)
    assert lost["unit_means_mean"] < 0.65 * lost["truth"]
    assert lost["unit_means_coverage"] < 0.6
    whole = table.iloc[-1]
    assert whole["unit_means_mean"] < 0.45 * whole["truth"]
    assert 0.6 * whole["truth"] < whole["median"] < 1.5 * whole["truth"]


def test_the_table_is_printed(capsys):
    main(["--firms", "3", "--cell", "30,6,10,0.4"])
    shown = capsys.readouterr().out
    assert "30 units" in shown
    assert "0 failed" in shown


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_three_designs(cell):
    """300 firms: the median within 6 %, means to 4 Monte Carlo errors or 6 %; coverage 91 to 98 % (three errors)."""
    table = simulate_cell(cell, firms=300, seed=1)
    links = table.iloc[:-1]
    assert table["failed"].max() <= 3
    assert (np.abs(links["median"] / links["truth"] - 1) < 0.06).all()
    room = np.maximum(4 * links["error"], 0.06 * links["truth"])
    assert (np.abs(links["mean"] - links["truth"]) < room).all()
    assert links["coverage"].between(0.91, 0.985).all()
    lost = crossing(table)
    assert lost["unit_means_mean"] / lost["truth"] - 1 < -0.25
    assert 0.90 < table.iloc[-1]["coverage"] < 0.995


@pytest.mark.slow
@pytest.mark.parametrize("cell", [Cell(20, 8, 25, 0.5), Cell(20, 20, 60, 0.5), Cell(40, 8, 25, 0.5)], ids=str)
def test_few_units_of_unequal_sizes(cell):
    """Coverage stays at 88 % or more at 20 units, 91 % at 40, and nothing fails."""
    table = simulate_cell(cell, firms=300, seed=1)
    assert table["failed"].max() <= 3
    assert table["coverage"].min() > (0.91 if cell.units >= 40 else 0.88)


def test_the_grid_is_a_table_in_markdown_whatever_the_workers(tmp_path):
    words = ["--grid", "--firms", "4", "--cell", "30,6,12,0.5", "25,6,12"]
    texts = []
    for workers in ("1", "2"):
        main([*words, "--workers", workers, "--output", str(tmp_path / workers)])
        texts.append((tmp_path / workers).read_text())
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("shape", ["straight", "curved", "skewed"])
def test_firms_of_every_shape_have_the_straight_links_of_the_chain(shape):
    """20,000 units of many respondents: least squares on their means, to 5 errors of 1/sqrt(n)."""
    firm = draw_firm(Cell(20_000, 60, 60, shape=shape), np.random.default_rng(3))
    size = np.append(np.sqrt(ICC), 1.0)
    cov = np.cov(firm.means.T) - np.diag(np.append((1 - np.array(ICC)) / 60, 0.0))
    slopes = np.array([cov[i, i + 1] / cov[i, i] * size[i] / size[i + 1] for i in range(len(PATHS))])
    between = [2, 5]  # links of two sides; those within a side carry the noise their constructs share
    np.testing.assert_allclose(slopes[between], np.array(PATHS)[between], atol=0.05)
    noise = firm.within.diagonal()[:6]
    np.testing.assert_allclose(noise, 1 - np.array(ICC), rtol=0.03)


def test_the_corrected_chi_square_is_smaller_by_the_reliability_of_the_means():
    firm = draw_firm(Cell(40, 8, 25), np.random.default_rng(2))
    fit = fit_two_level(chain_model(), firm, boundary=True)
    counts = np.array([8.0] * 3 + [25.0] * 3 + [np.inf])
    between = fit.sigma_b.diagonal()
    reliability = between / (between + fit.sigma_w.diagonal() / counts)
    assert fit.chisq_corrected == pytest.approx(fit.chisq * (1 - 25 / 6 * np.mean(reliability**2) / 40))
