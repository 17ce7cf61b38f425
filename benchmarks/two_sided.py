"""Time a two-sided fit, and a one-sided one against lavaan's two-level fit where R has it.

    python benchmarks/two_sided.py [--repeats 11] [--units 150] [--employees 20] [--customers 60]

From rows of scale scores to estimates, standard errors and chi-square, in frames; sizes of units differ. lavaan knows
one side at a time, so it fits the customers and the unit outcome, all covariances free within units. Medians of
processor time in one run on one machine; read the ratios. What the fit finds, beside unit means:

    python -m spc.chain.two_sided_simulation [--firms 300]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from spc.chain.two_sided import fit_two_sided
from spc.linalg import one_blas_thread

EMPLOYEE = ("quality", "satisfaction", "loyalty")
CUSTOMER = ("value", "csat", "cloyalty")
CHAIN = "\n".join(f"{effect} ~ {cause}" for cause, effect in pairwise((*EMPLOYEE, *CUSTOMER, "profit")))
ONE_SIDE = "\n".join(f"{effect} ~ {cause}" for cause, effect in pairwise((*CUSTOMER, "profit")))

LAVAAN = """
suppressPackageStartupMessages({library(lavaan); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
model <- paste(readLines(arguments[2]), collapse = "\\n")
once <- function() {
  fit <- sem(model, data, cluster = "unit", fixed.x = FALSE, baseline = FALSE)
  list(parameterEstimates(fit), fitMeasures(fit, c("chisq", "logl")))
}
found <- once()
seconds <- replicate(as.integer(arguments[3]), sum(system.time(once(), gcFirst = FALSE)[1:2]))
rows <- found[[1]][c("lhs", "op", "rhs", "level", "est")]
write_json(list(seconds = seconds, rows = rows, logl = unname(found[[2]]["logl"])), arguments[4], digits = NA)
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


def median_seconds(task: Callable[[], object], repeats: int) -> float:
    times = []
    with one_blas_thread():
        task()
        for _ in range(repeats):
            begin = time.process_time()
            task()
            times.append(time.process_time() - begin)
    return statistics.median(times)


def lavaans(frame: pd.DataFrame, repeats: int) -> tuple[float, dict[tuple[str, str], float]] | None:
    """Seconds a fit and the links; None where there is no R with lavaan."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    inside = [f"{CUSTOMER[j]} ~~ {CUSTOMER[i]}" for i in range(3) for j in range(i + 1)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("data.csv", "model.txt", "out.json", "run.R")]
        frame.to_csv(paths[0], index=False)
        paths[1].write_text("\n".join(["level: 1", *inside, "level: 2", ONE_SIDE]))
        paths[3].write_text(LAVAAN)
        command = [rscript, str(paths[3]), str(paths[0]), str(paths[1]), str(repeats), str(paths[2])]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return None
        out = json.loads(paths[2].read_text())
    links = {(row["lhs"], row["rhs"]): float(row["est"]) for row in out["rows"] if row["op"] == "~"}
    return statistics.median(out["seconds"]), links


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("repeats", 11), ("units", 150), ("employees", 20), ("customers", 60), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    sides, outcomes = simulate(options.units, options.employees, options.customers, options.seed)
    one = {"customer": sides["customer"]}

    def both() -> object:
        return fit_two_sided(CHAIN, sides=sides, units=outcomes, unit="unit").core.chisq

    def single() -> pd.DataFrame:
        fit = fit_two_sided(ONE_SIDE, sides=one, units=outcomes, unit="unit", boundary=False)
        return fit.tidy().query("kind == 'link'")

    shown = Table("fit", "processor seconds", "times as long", "largest difference in a link")
    shown.add_row("two sides and an outcome", f"{median_seconds(both, options.repeats):.4f}", "", "")
    ours = median_seconds(single, options.repeats)
    shown.add_row("one side and an outcome", f"{ours:.4f}", "1.0", "")
    referee = lavaans(sides["customer"].merge(outcomes, on="unit"), options.repeats)
    if referee is not None:
        links = single().set_index(["lhs", "rhs"])["estimate"]
        far = max(abs(value - links[pair]) for pair, value in referee[1].items())
        shown.add_row("the same in lavaan", f"{referee[0]:.4f}", f"{referee[0] / ours:.1f}", f"{far:.1e}")
    console = Console()
    rows = ", ".join(f"{len(table):,} {side} rows" for side, table in sides.items())
    console.print(f"{options.units} units, {rows}, sizes of units differ")
    console.print(shown)
    if referee is None:
        console.print("Without Rscript and its packages lavaan and jsonlite there is no third row.")


if __name__ == "__main__":
    main()
