"""Time a two-sided fit, and a one-sided one against lavaan's two-level fit where R has it.

    python benchmarks/two_sided.py [--repeats 11] [--units 150] [--employees 20] [--customers 60]

From rows of scale scores to estimates, standard errors and chi-square, in frames; sizes of units differ. lavaan knows
one side at a time, so it fits the customers and the unit outcome, all covariances free within units. Medians of
processor time in one run on one machine; read the ratios. What the fit finds, beside unit means:

    python -m spc.chain.two_sided_simulation [--firms 300]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from statistics import median

import numpy as np
import pandas as pd
from common import NO_LAVAAN, by_row, furthest, in_lavaan, processor_seconds
from rich.console import Console
from rich.table import Table

import spc

EMPLOYEE = ("quality", "satisfaction", "loyalty")
CUSTOMER = ("value", "csat", "cloyalty")
CHAIN = "\n".join(f"{effect} ~ {cause}" for cause, effect in pairwise((*EMPLOYEE, *CUSTOMER, "profit")))
ONE_SIDE = "\n".join(f"{effect} ~ {cause}" for cause, effect in pairwise((*CUSTOMER, "profit")))

LAVAAN = """
once <- function() {
  fit <- sem(model, data, cluster = "unit", fixed.x = FALSE, baseline = FALSE)
  list(parameterEstimates(fit), fitMeasures(fit, c("chisq", "logl")))
}
rows <- once()[[1]]
seconds <- replicate(as.integer(words[1]), seconds_of(once()))
out <- list(seconds = seconds, rows = rows[rows$op == "~", c("lhs", "rhs", "est")])
"""


def simulate(units: int, employees: int, customers: int, seed: int) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Scores of both sides and the outcome of units."""
    rng = np.random.default_rng(seed)
    level, values = rng.standard_normal(units), {}
    for name in (*EMPLOYEE, *CUSTOMER, "profit"):
        values[name] = level
        level = 0.6 * level + 0.8 * rng.standard_normal(units)
    sides = {}
    for side, names, mean in (("employee", EMPLOYEE, employees), ("customer", CUSTOMER, customers)):
        code = np.repeat(np.arange(units), np.maximum(rng.poisson(mean, units), 1))
        common = rng.standard_normal(code.size)
        scores = {n: 0.35 * values[n][code] + 0.6 * common + 0.7 * rng.standard_normal(code.size) for n in names}
        sides[side] = pd.DataFrame({"unit": code, **scores})
    return sides, pd.DataFrame({"unit": range(units), "profit": values["profit"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("repeats", 11), ("units", 150), ("employees", 20), ("customers", 60), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    sides, outcomes = simulate(options.units, options.employees, options.customers, options.seed)
    one = {"customer": sides["customer"]}

    def both() -> object:
        return spc.fit_two_sided(CHAIN, sides=sides, units=outcomes, unit="unit").core.chisq

    def single() -> pd.DataFrame:
        fit = spc.fit_two_sided(ONE_SIDE, sides=one, units=outcomes, unit="unit", boundary=False)
        return fit.tidy().query("kind == 'link'")

    shown = Table("fit", "processor seconds", "times as long", "largest difference in a link")
    shown.add_row("two sides and an outcome", f"{processor_seconds(both, options.repeats):.4f}", "", "")
    ours = processor_seconds(single, options.repeats)
    shown.add_row("one side and an outcome", f"{ours:.4f}", "1.0", "")
    inside = [f"{CUSTOMER[j]} ~~ {CUSTOMER[i]}" for i in range(3) for j in range(i + 1)]
    text = "\n".join(["level: 1", *inside, "level: 2", ONE_SIDE])
    referee = in_lavaan(LAVAAN, sides["customer"].merge(outcomes, on="unit"), text, options.repeats)
    if referee is not None:
        links = by_row(single().to_dict("records"), "estimate", "lhs", "rhs")
        far, theirs = furthest(links, by_row(referee["rows"], "est", "lhs", "rhs")), median(referee["seconds"])
        shown.add_row("the same in lavaan", f"{theirs:.4f}", f"{theirs / ours:.1f}", f"{far:.1e}")
    console = Console()
    rows = ", ".join(f"{len(table):,} {side} rows" for side, table in sides.items())
    console.print(f"{options.units} units, {rows}, sizes of units differ")
    console.print(shown)
    if referee is None:
        console.print(NO_LAVAAN)


if __name__ == "__main__":
    main()
