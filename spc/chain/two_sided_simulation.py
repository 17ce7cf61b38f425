"""What the two-sided fit finds in firms of known truth, beside the regression of unit means.

    python -m spc.chain.two_sided_simulation [--firms 300]

Leadership of a side's own links is easy; the test is the link from employees to customers, which the averaging of
respondents to unit means shrinks. Units follow the chain of :data:`PATHS`; respondents vary around their unit with the
shares of variance :data:`ICC` between units and correlations of .5 within.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spc.errors import EstimationError
from spc.linalg import FloatArray, one_blas_thread
from spc.resample import progress, replicate_rng
from spc.sem.twolevel import UnitMoments, unit_moments
from spc.sem.twolevel_draws import theta_draws
from spc.sem.twolevel_fit import TwoLevelFit, fit_two_level
from spc.spec import Model
from spc.spec import model as read_model
from spc.synthetic.chain import structure

__all__ = ["CELLS", "Cell", "draw_firm", "simulate_cell"]

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
ICC = (0.20, 0.15, 0.10, 0.10, 0.08, 0.05)
WITHIN = 0.5
SIDES = ("employee", "customer")
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Cell:
    """A design: units, respondents a unit on each side, and how much these sizes vary (sd of their logarithm)."""

    units: int
    employees: int
    customers: int
    spread: float = 0.0


CELLS = (Cell(80, 8, 25), Cell(150, 8, 25), Cell(80, 20, 60))


def draw_firm(cell: Cell, rng: np.random.Generator) -> UnitMoments:
    """Draw one firm.

    Examples
    --------
    >>> draw_firm(Cell(40, 8, 25), np.random.default_rng(1)).counts.sum(axis=0).tolist()
    [320.0, 1000.0]
    """
    truth = structure(CHAIN, {(CHAIN[i + 1], CHAIN[i]): path for i, path in enumerate(PATHS)})
    values = rng.standard_normal((cell.units, len(CHAIN))) * np.sqrt(truth.disturbance)
    values = values @ (np.eye(len(CHAIN)) + truth.total).T
    share = np.array(ICC)
    inner = np.linalg.cholesky(np.full((3, 3), WITHIN) + (1.0 - WITHIN) * np.eye(3))
    sides = []
    for s, mean in enumerate((cell.employees, cell.customers)):
        sizes = np.full(cell.units, float(mean))
        if cell.spread:
            sizes *= np.exp(cell.spread * rng.standard_normal(cell.units) - 0.5 * cell.spread**2)
        code = np.repeat(np.arange(cell.units), np.maximum(np.rint(sizes), 1).astype(int))
        own = slice(3 * s, 3 * s + 3)
        noise = rng.standard_normal((code.size, 3)) @ inner.T * np.sqrt(1.0 - share[own])
        sides.append((SIDES[s], code, values[code, own] * np.sqrt(share[own]) + noise))
    return unit_moments(CHAIN, sides, values[:, 6:])


def chain_model() -> Model:
    """The chain as a model."""
    return read_model("\n".join(f"{CHAIN[i + 1]} ~ {CHAIN[i]}" for i in range(len(PATHS))), fixed_x=False)


def simulate_cell(cell: Cell, firms: int, seed: int = 1) -> pd.DataFrame:
    """Fit many firms of one design, by the two-sided likelihood and by unit means.

    Parameters
    ----------
    cell : Cell
    firms : int
    seed : int
        Firm i uses ``SeedSequence(seed, spawn_key=(i,))``.

    Returns
    -------
    DataFrame
        One row a link, the last one from end to end: ``lhs, rhs, truth``; ``mean, median, coverage`` and ``error`` (of
        the mean over firms) of the two-sided fit; the same with ``unit_means_`` in front; ``firms`` that were fitted,
        and ``failed``. Truth and estimates are in standard deviations of units; coverage is of 95 % intervals.
    """
    model = chain_model()
    size = np.append(np.sqrt(ICC), 1.0)
    unit = np.append(size[:-1] / size[1:], size[0] / size[-1])
    found, plain = [], []
    with one_blas_thread():
        for i in progress(range(firms), f"{cell.units} units", firms):
            firm = draw_firm(cell, replicate_rng(seed, i))
            try:
                found.append(_links(fit_two_level(model, firm, test=False), cell.units, i) * unit)
            except EstimationError:
                continue
            plain.append(_regressions(firm.means) * unit)
    two_sided, means = np.array(found), np.array(plain)
    truth = np.append(PATHS, np.prod(PATHS))
    table = pd.DataFrame({"lhs": [*CHAIN[1:], CHAIN[-1]], "rhs": [*CHAIN[:-1], CHAIN[0]], "truth": truth})
    for prefix, estimates in (("", two_sided), ("unit_means_", means)):
        for column, numbers in _summary(estimates, truth).items():
            table[prefix + column] = numbers
    return table.assign(firms=len(found), failed=firms - len(found))


def _links(fit: TwoLevelFit, units: int, seed: int) -> FloatArray:
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


def _summary(estimates: FloatArray, truth: FloatArray) -> dict[str, FloatArray]:
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table a design."""
    parser = argparse.ArgumentParser(description="Two-sided fit and unit means in firms of known truth.")
    parser.add_argument("--firms", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cell", nargs="*", help="units,employees,customers[,spread]", default=None)
    options = parser.parse_args(arguments)
    cells: tuple[Cell, ...] = CELLS
    if options.cell:
        parts = [text.split(",") for text in options.cell]
        cells = tuple(Cell(*map(int, part[:3]), *map(float, part[3:])) for part in parts)
    for cell in cells:
        _show(cell, simulate_cell(cell, options.firms, options.seed))


if __name__ == "__main__":
    main()
