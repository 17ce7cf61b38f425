"""Customers served by several units, in firms of known truth: shares against the unit with the largest share.

    python -m spc.chain.membership_simulation [--firms 300] [--workers 2]

Units follow the chain of :mod:`spc.chain.two_sided_simulation`. Customers are served by one to four units of their
region; where each counts for its largest unit alone, what other units do to it is taken for chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.two_sided_simulation import CHAIN, ICC, PATHS, SIDES, WITHIN, Cell, chain_model, summary, unit_values
from spc.chain.two_sided_simulation import estimated_links as links
from spc.errors import EstimationError
from spc.linalg import FloatArray, one_blas_thread
from spc.resample import in_order, replicate_rng
from spc.sem.twolevel.fit import fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.sem.twolevel.membership_moments import MemberMoments, member_moments
from spc.synthetic.chain import draw_within

__all__ = ["Shared", "draw_shared_firm", "simulate_shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """A design: units, employees and customers a unit, units that serve one customer at most, units a region."""

    units: int = 80
    employees: int = 20
    customers: int = 40
    most: int = 4
    region: int = 10


def draw_shared_firm(design: Shared, rng: np.random.Generator) -> tuple[MemberMoments, UnitMoments]:
    """Draw one firm: moments by shares, and by the largest share alone.

    Examples
    --------
    >>> shares, largest = draw_shared_firm(Shared(40, 8, 25), np.random.default_rng(1))
    >>> [round(float(units.counts[:, 1].sum())) for units in (shares, largest)]
    [1000, 1000]
    """
    from scipy.sparse import csr_array

    values = unit_values(Cell(design.units, design.employees, design.customers), rng)
    size, rest = np.sqrt(ICC), np.sqrt(1.0 - np.array(ICC))
    staff = np.repeat(np.arange(design.units), design.employees)
    answers = values[staff, :3] * size[:3] + draw_within(staff.size, 3, WITHIN, rng) * rest[:3]
    home = np.repeat(np.arange(design.units), design.customers)
    table = _table(home, design, rng)
    views = table @ (values[:, 3:6] * size[3:]) + draw_within(home.size, 3, WITHIN, rng) * rest[3:]
    mine = (SIDES[0], staff, answers)
    return (
        member_moments(CHAIN, [mine, (SIDES[1], csr_array(table), views)], values[:, 6:]),
        unit_moments(CHAIN, [mine, (SIDES[1], table.argmax(axis=1), views)], values[:, 6:]),
    )


def _table(home: npt.NDArray[np.intp], design: Shared, rng: np.random.Generator) -> FloatArray:
    """Shares (N, J) of up to ``most`` units of the region of each customer's home, which is one of them."""
    first = home // design.region * design.region
    width = np.minimum(design.region, design.units - first)
    table = np.zeros((home.size, design.units))
    number = np.minimum(rng.integers(1, design.most + 1, home.size), width)
    for row, start, among, own, n in zip(table, first, width, home, number, strict=True):
        others = rng.permutation(np.delete(np.arange(start, start + among), own - start))[: n - 1]
        row[[own, *others]] = rng.dirichlet(np.full(n, 2.0))
    return table


def simulate_shared(design: Shared, firms: int, seed: int = 1, *, workers: int = 1) -> pd.DataFrame:
    """Fit many firms of one design, by shares and by the largest share alone.

    Parameters
    ----------
    design : Shared
    firms : int
    seed : int
        Firm i uses ``SeedSequence(seed, spawn_key=(i,))``.
    workers : int

    Returns
    -------
    DataFrame
        One row a link, the last one from end to end, as :func:`spc.chain.two_sided_simulation.simulate_cell` has them;
        those of the largest share alone with ``largest_`` in front.
    """
    every = in_order(partial(_firm, design, seed), range(firms), f"{design.units} units", workers=workers)
    good = [found for found in every if found is not None]
    truth = np.append(PATHS, np.prod(PATHS))
    table = pd.DataFrame({"lhs": [*CHAIN[1:], CHAIN[-1]], "rhs": [*CHAIN[:-1], CHAIN[0]], "truth": truth})
    for k, prefix in enumerate(("", "largest_")):
        for column, numbers in summary(np.array([found[k] for found in good]), truth).items():
            table[prefix + column] = numbers
    return table.assign(firms=len(good), failed=firms - len(good))


def _firm(design: Shared, seed: int, i: int) -> list[FloatArray] | None:
    """Links of one firm by both ways, in standard deviations of units; None where one could not be fitted."""
    size = np.append(np.sqrt(ICC), 1.0)
    scale = np.append(size[:-1] / size[1:], size[0] / size[-1])
    try:
        with one_blas_thread():
            return [
                links(fit_two_level(chain_model(), units, test=False, boundary=True), design.units, i) * scale
                for units in draw_shared_firm(design, replicate_rng(seed, i))
            ]
    except EstimationError:
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="Customers of several units, by shares and by the largest share.")
    parser.add_argument("--firms", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--design", default="80,20,40,4,10", help="units,employees,customers,most,region")
    options = parser.parse_args(arguments)
    design = Shared(*map(int, options.design.split(",")))
    table = simulate_shared(design, options.firms, options.seed, workers=options.workers)
    for column in ("mean", "largest_mean"):
        table[column.replace("mean", "bias")] = table[column] / table["truth"] - 1.0
    shown = ["lhs", "rhs", "truth", "mean", "error", "bias", "coverage", "largest_mean", "largest_bias",
             "largest_coverage", "firms", "failed"]  # fmt: skip
    print(table[shown].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
