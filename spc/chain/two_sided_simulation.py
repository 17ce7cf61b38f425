"""What the two-sided fit finds in firms of known truth, beside the regression of unit means.

    python -m spc.chain.two_sided_simulation [--grid] [--firms 300] [--workers 2] [--output table.md]

Leadership of a side's own links is easy; the test is the link from employees to customers, which the averaging of
respondents to unit means shrinks. Units follow the chain of :data:`PATHS`; respondents vary around their unit with the
shares of variance :data:`ICC` between units and correlations of .5 within.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from spc.chain.two_sided_result import PROFILED
from spc.errors import EstimationError
from spc.linalg import FloatArray, one_blas_thread
from spc.resample import in_order, replicate_rng
from spc.sem.twolevel.draws import theta_draws
from spc.sem.twolevel.fit import TwoLevelFit, fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.sem.twolevel.profile import roots_at
from spc.spec import Model
from spc.spec import model as read_model
from spc.synthetic.chain import draw_within, structure

__all__ = ["CELLS", "GRID", "HEAD", "Cell", "draw_firm", "simulate_cell", "table_row"]

CHAIN = (
    "internal_service_quality",
    "employee_satisfaction",
    "employee_loyalty",
    "customer_value",
    "customer_satisfaction",
    "customer_loyalty",
    "profitability",
)
PATHS = (0.60, 0.60, 0.35, 0.70, 0.70, 0.42)
"""Standardised links from each construct to the next."""
CROSSING = 2
"""The link from employees to customers."""
ICC = (0.20, 0.15, 0.10, 0.10, 0.08, 0.05)
WITHIN = 0.5
SIDES = ("employee", "customer")
DRAWS = 1000
CURVE = 0.4
SKEW = 0.6
Shape = Literal["straight", "curved", "skewed"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A design: units, respondents a unit on each side, and how much these sizes vary (sd of their logarithm).

    ``"curved"`` bends the link between the sides: the square of the cause has a standardised effect of :data:`CURVE`
    beside the straight one. ``"skewed"`` answers pile up at the upper end: skewness -2.3 within units.
    """

    units: int
    employees: int
    customers: int
    spread: float = 0.0
    shape: Shape = "straight"


CELLS = (Cell(80, 8, 25), Cell(150, 8, 25), Cell(80, 20, 60))
GRID = (
    *(Cell(*sizes, spread=0.5) for sizes in product((20, 40, 80, 150), (4, 8, 20), (10, 25, 60))),
    Cell(80, 8, 25, 0.5, "curved"),
    Cell(80, 8, 25, 0.5, "skewed"),
)


def draw_firm(cell: Cell, rng: np.random.Generator) -> UnitMoments:
    """Draw one firm.

    Examples
    --------
    >>> draw_firm(Cell(40, 8, 25), np.random.default_rng(1)).counts.sum(axis=0).tolist()
    [320.0, 1000.0]
    """
    values = unit_values(cell, rng)
    share = np.array(ICC)
    sides = []
    for s, mean in enumerate((cell.employees, cell.customers)):
        sizes = np.full(cell.units, float(mean))
        if cell.spread:
            sizes *= np.exp(cell.spread * rng.standard_normal(cell.units) - 0.5 * cell.spread**2)
        code = np.repeat(np.arange(cell.units), np.maximum(np.rint(sizes), 1).astype(int))
        own = slice(3 * s, 3 * s + 3)
        noise = draw_within(code.size, 3, WITHIN, rng)
        if cell.shape == "skewed":
            noise = _piled_up(noise)
        sides.append((SIDES[s], code, values[code, own] * np.sqrt(share[own]) + noise * np.sqrt(1.0 - share[own])))
    return unit_moments(CHAIN, sides, values[:, 6:])


def unit_values(cell: Cell, rng: np.random.Generator) -> FloatArray:
    """Standardised values of units (J, 7)."""
    truth = structure(CHAIN, {(CHAIN[i + 1], CHAIN[i]): path for i, path in enumerate(PATHS)})
    chance = rng.standard_normal((cell.units, len(CHAIN))) * np.sqrt(truth.disturbance)
    if cell.shape != "curved":
        return np.asarray(chance @ (np.eye(len(CHAIN)) + truth.total).T)
    values = chance.copy()
    for i, path in enumerate(PATHS):
        values[:, i + 1] += path * values[:, i]
        if i == CROSSING:
            rest = truth.disturbance[i + 1]
            bent = CURVE * (values[:, i] ** 2 - 1.0) / np.sqrt(2.0)
            values[:, i + 1] += chance[:, i + 1] * (np.sqrt(1.0 - CURVE**2 / rest) - 1.0) + bent
    return values


def _piled_up(noise: FloatArray) -> FloatArray:
    """Standard normal numbers made long-tailed toward low values, mean 0 and variance 1 again."""
    square = np.exp(SKEW**2)
    return np.asarray((np.sqrt(square) - np.exp(-SKEW * noise)) / np.sqrt(square * (square - 1.0)))


def chain_model() -> Model:
    """The chain as a model."""
    return read_model("\n".join(f"{CHAIN[i + 1]} ~ {CHAIN[i]}" for i in range(len(PATHS))), fixed_x=False)


def simulate_cell(
    cell: Cell, firms: int, seed: int = 1, *, workers: int = 1, boundary: bool = True, test: bool = False
) -> pd.DataFrame:
    """Fit many firms of one design, by the two-sided likelihood and by unit means.

    Parameters
    ----------
    cell : Cell
    firms : int
    seed : int
        Firm i uses ``SeedSequence(seed, spawn_key=(i,))``.
    workers : int
        Processes; the numbers do not depend on it.
    boundary : bool
        As for :func:`spc.fit_two_sided`.
    test : bool
        Test each fit by its chi-square too.

    Returns
    -------
    DataFrame
        One row a link, the last one from end to end: ``lhs, rhs, truth``; ``mean, median, coverage`` and ``error`` (of
        the mean over firms) of the two-sided fit; the same with ``unit_means_`` in front; ``firms`` that were fitted,
        and ``failed``; ``rejected`` and ``rejected_corrected``, the share of firms whose chain, true here, the
        chi-square test rejects at 5 %. Truth and estimates are in standard deviations of units; coverage is of 95 %
        intervals, of links those that :class:`spc.TwoSidedFit` gives.
    """
    work = partial(_firm, cell, seed, boundary, test)
    every = in_order(work, range(firms), f"{cell.units} units", workers=workers)
    good = [found for found in every if found is not None]
    two_sided, means, pvalues, inside = (np.array(part) for part in zip(*good, strict=True))
    truth = np.append(PATHS, np.prod(PATHS))
    table = pd.DataFrame({"lhs": [*CHAIN[1:], CHAIN[-1]], "rhs": [*CHAIN[:-1], CHAIN[0]], "truth": truth})
    for prefix, estimates in (("", two_sided), ("unit_means_", means)):
        for column, numbers in summary(estimates, truth).items():
            table[prefix + column] = numbers
    if cell.units < PROFILED:
        table.loc[: len(PATHS) - 1, "coverage"] = inside.mean(axis=0)
    rejected = (pvalues < 0.05).mean(axis=0) if test else (np.nan, np.nan)
    return table.assign(firms=len(good), failed=firms - len(good), rejected=rejected[0], rejected_corrected=rejected[1])


Found = tuple[FloatArray, FloatArray, tuple[float, float], FloatArray]


def _firm(cell: Cell, seed: int, boundary: bool, test: bool, i: int) -> Found | None:
    """One firm: links by both ways, and p-values; None where it could not be fitted."""
    size = np.append(np.sqrt(ICC), 1.0)
    unit = np.append(size[:-1] / size[1:], size[0] / size[-1])
    firm = draw_firm(cell, replicate_rng(seed, i))
    try:
        with one_blas_thread():
            fit = fit_two_level(chain_model(), firm, test=test, boundary=boundary)
            inside = _profiled(fit, cell.units) if cell.units < PROFILED else np.full(len(PATHS), np.nan)
            return estimated_links(fit, cell.units, i) * unit, _regressions(firm.means) * unit, _pvalues(fit), inside
    except EstimationError:
        return None


def _profiled(fit: TwoLevelFit, units: int) -> FloatArray:
    """Whether the profile interval of each link covers its truth; that of the curvature where it cannot be told."""
    from scipy.special import stdtrit

    size = np.append(np.sqrt(ICC), 1.0)
    truth = np.array(PATHS) * size[1:] / size[:-1]
    reach, links = float(stdtrit(units - 2.0, 0.975)), len(PATHS)
    roots = np.array(list(roots_at(fit, dict(enumerate(truth.tolist()))).values()))
    plain = (truth - fit.solution.theta[:links]) / np.sqrt(fit.vcov.diagonal()[:links])
    return np.asarray(np.abs(np.where(np.isnan(roots), plain, roots)) <= reach, dtype=np.float64)


def _pvalues(fit: TwoLevelFit) -> tuple[float, float]:
    """Of the chi-square, plain and corrected for few units."""
    from scipy.special import chdtrc

    return float(chdtrc(fit.df, fit.chisq)), float(chdtrc(fit.df, fit.chisq_corrected))


def estimated_links(fit: TwoLevelFit, units: int, seed: int) -> FloatArray:
    """Estimates, lower and upper ends of the intervals of all links, then of their product: (3, 7)."""
    from scipy.special import stdtrit

    links, freedom = len(PATHS), units - 2.0
    width = stdtrit(freedom, 0.975) * np.sqrt(fit.vcov.diagonal()[:links])
    estimate = fit.solution.theta[:links]
    drawn = theta_draws(fit, DRAWS, seed, freedom)[:, :links].prod(axis=1)
    ends = np.quantile(drawn, [0.025, 0.975])
    return np.stack([
        np.append(estimate, estimate.prod()), np.append(estimate - width, ends[0]), np.append(estimate + width, ends[1])
    ])  # fmt: skip


def _regressions(means: FloatArray) -> FloatArray:
    """The same from least squares on unit means, one link after the other; no interval for the product."""
    from scipy.special import stdtrit

    apart = means - means.mean(axis=0)
    square = (apart**2).sum(axis=0)
    cross = (apart[:, :-1] * apart[:, 1:]).sum(axis=0)
    slope = cross / square[:-1]
    error = np.sqrt((square[1:] - slope * cross) / (len(means) - 2) / square[:-1])
    width = stdtrit(len(means) - 2.0, 0.975) * error
    whole = np.append(slope, slope.prod())
    return np.stack([whole, whole - np.append(width, np.nan), whole + np.append(width, np.nan)])


def summary(estimates: FloatArray, truth: FloatArray) -> dict[str, FloatArray]:
    """Mean, median, error of the mean and coverage of every column; coverage is empty where there is no interval."""
    value, low, high = estimates[:, 0], estimates[:, 1], estimates[:, 2]
    covered = np.where(np.isnan(low), np.nan, (low <= truth) & (truth <= high))
    return {
        "mean": value.mean(axis=0),
        "median": np.median(value, axis=0),
        "error": value.std(axis=0, ddof=1) / np.sqrt(len(value)),
        "coverage": covered.mean(axis=0),
    }


def _show(cell: Cell, table: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{cell.units} units, {cell.employees} employees and {cell.customers} customers a unit "
                  f"({table['firms'].iloc[0]} firms, {table['failed'].iloc[0]} failed)")  # fmt: skip
    for name in ("link", "truth", "two-sided", "bias", "median", "coverage", "unit means", "bias", "coverage"):
        shown.add_column(name, justify="left" if name == "link" else "right")
    for row in table.to_dict("records"):
        cover = [f"{row[c]:.0%}" if row[c] == row[c] else "" for c in ("coverage", "unit_means_coverage")]
        shown.add_row(
            f"{row['rhs']} -> {row['lhs']}", f"{row['truth']:.4f}", f"{row['mean']:.4f} ± {row['error']:.4f}",
            f"{row['mean'] / row['truth'] - 1:+.0%}", f"{row['median']:.4f}", cover[0], f"{row['unit_means_mean']:.4f}",
            f"{row['unit_means_mean'] / row['truth'] - 1:+.0%}", cover[1],
        )  # fmt: skip
    Console().print(shown)


HEAD = (
    "units", "employees", "customers", "links and answers", "firms", "not fitted", "crossing link: bias", "median",
    "coverage", "other links: bias", "coverage", "end to end: median", "coverage", "unit means, crossing link: bias",
    "coverage", "unit means, end to end: median",
)  # fmt: skip


def table_row(cell: Cell, table: pd.DataFrame) -> tuple[str, ...]:
    """One line of the table of all designs: words for :data:`HEAD`.

    Examples
    --------
    >>> row = table_row(Cell(30, 6, 12), simulate_cell(Cell(30, 6, 12), firms=5))
    >>> row[:6]
    ('30', '6', '12', 'straight', '5', '0')
    """
    bias, error = table["mean"] / table["truth"] - 1.0, table["error"] / table["truth"]
    middle, means = table["median"] / table["truth"] - 1.0, table["unit_means_mean"] / table["truth"] - 1.0
    others, end = [i for i in range(len(PATHS)) if i != CROSSING], len(PATHS)
    cover, plain = table["coverage"], table["unit_means_coverage"]
    return (
        str(cell.units), str(cell.employees), str(cell.customers), cell.shape, str(table["firms"].iloc[0]),
        str(table["failed"].iloc[0]), f"{bias[CROSSING]:+.0%} ± {error[CROSSING]:.0%}", f"{middle[CROSSING]:+.0%}",
        f"{cover[CROSSING]:.0%}", f"{bias[others].min():+.0%} to {bias[others].max():+.0%}",
        f"{cover[others].min():.0%} to {cover[others].max():.0%}", f"{middle[end]:+.0%}", f"{cover[end]:.0%}",
        f"{means[CROSSING]:+.0%}", f"{plain[CROSSING]:.0%}",
        f"{table['unit_means_median'][end] / table['truth'][end] - 1.0:+.0%}",
    )  # fmt: skip


def _write_grid(cells: Sequence[Cell], firms: int, seed: int, workers: int, path: Path | None) -> None:
    """One line a design as a table in Markdown, written as designs are done."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    for cell in cells:
        lines.append(f"| {' | '.join(table_row(cell, simulate_cell(cell, firms, seed, workers=workers)))} |")
        if path is None:
            print("\n".join(lines if len(lines) == 3 else lines[-1:]), flush=True)
        else:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read_cell(text: str) -> Cell:
    units, employees, customers, *rest = text.split(",")
    return Cell(int(units), int(employees), int(customers), float(rest[0]) if rest else 0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table a design."""
    parser = argparse.ArgumentParser(description="Two-sided fit and unit means in firms of known truth.")
    parser.add_argument("--firms", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--grid", action="store_true", help="all designs, one line each, in Markdown")
    parser.add_argument("--output", type=Path, default=None, help="file for the lines of --grid")
    parser.add_argument("--cell", nargs="*", help="units,employees,customers[,spread]", default=None)
    options = parser.parse_args(arguments)
    cells: tuple[Cell, ...] = CELLS
    if options.cell:
        cells = tuple(_read_cell(text) for text in options.cell)
    if options.grid:
        _write_grid(cells if options.cell else GRID, options.firms, options.seed, options.workers, options.output)
        return
    for cell in cells:
        _show(cell, simulate_cell(cell, options.firms, options.seed, workers=options.workers))


if __name__ == "__main__":
    main()
