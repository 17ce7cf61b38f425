"""Time a fit of ordered items (WLSMV) against lavaan, where R has it.

    python benchmarks/sem_wlsmv.py [--repeats 7] [--n 2000] [--profile]

Seven latent variables in a chain, 29 items of five categories, n = 2,000. Each program does what its user waits for:
thresholds and polychoric correlations with their covariances, estimates, errors, scaled tests and fit measures. Medians
of one run on one machine, processor time with every program held to one BLAS thread; read the ratio. semopy does not
run with ordered items.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import spc
from spc.linalg import one_blas_thread

LATENTS = ("isq", "esat", "eloy", "val", "csat", "cloy", "prof")
SIZES = (5, 4, 4, 4, 4, 4, 4)
ITEMS = {name: [f"{name}{i}" for i in range(1, size + 1)] for name, size in zip(LATENTS, SIZES, strict=True)}
MODEL = "\n".join(
    [f"{name} =~ {' + '.join(items)}" for name, items in ITEMS.items()]
    + [f"{outcome} ~ {cause}" for cause, outcome in pairwise(LATENTS)]
)
Row = tuple[str, str, str]

LAVAAN = """
suppressPackageStartupMessages({library(lavaan); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
model <- paste(readLines(arguments[2]), collapse = "\\n")
once <- function() {
  fit <- sem(model, data, ordered = names(data), estimator = "WLSMV")
  list(parameterEstimates(fit), fitMeasures(fit))
}
found <- once()
seconds <- replicate(as.integer(arguments[3]), sum(system.time(once(), gcFirst = FALSE)[1:2]))
rows <- found[[1]][c("lhs", "op", "rhs", "est", "se")]
write_json(list(seconds = seconds, rows = rows, chisq = unname(found[[2]]["chisq.scaled"])), arguments[4], digits = NA)
"""


def simulate(n: int, seed: int) -> pd.DataFrame:
    """Answers on five points to 29 items of a chain of seven latent variables with paths of 0.5."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    columns: dict[str, np.ndarray] = {}
    for k, name in enumerate(LATENTS):
        level = level if k == 0 else 0.5 * level + np.sqrt(0.75) * rng.standard_normal(n)
        for item, loading in zip(ITEMS[name], (0.8, 0.75, 0.7, 0.65, 0.6), strict=False):
            response = loading * level + np.sqrt(1 - loading**2) * rng.standard_normal(n)
            columns[item] = np.digitize(response, [-1.4, -0.6, 0.3, 1.2]) + 1
    return pd.DataFrame(columns)


def ours(frame: pd.DataFrame) -> spc.SemFit:
    fit = spc.fit(MODEL, frame, ordered=list(frame.columns))
    fit.glance()
    fit.tidy()
    return fit


def median_seconds(frame: pd.DataFrame, repeats: int) -> float:
    times = []
    with one_blas_thread():
        ours(frame)
        for _ in range(repeats):
            begin = time.process_time()
            ours(frame)
            times.append(time.process_time() - begin)
    return statistics.median(times)


def lavaans(frame: pd.DataFrame, repeats: int) -> tuple[float, dict[Row, tuple[float, float]], float] | None:
    """Processor seconds a fit as measured inside R, estimates and errors, and the scaled statistic; None without R."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("data.csv", "model.txt", "out.json", "run.R")]
        frame.to_csv(paths[0], index=False)
        paths[1].write_text(MODEL)
        paths[3].write_text(LAVAAN)
        command = [rscript, str(paths[3]), str(paths[0]), str(paths[1]), str(repeats), str(paths[2])]
        if subprocess.run(command, check=False, capture_output=True, text=True).returncode:
            return None
        out = json.loads(paths[2].read_text())
    rows = {(row["lhs"], row["op"], row["rhs"]): (float(row["est"]), float(row["se"])) for row in out["rows"]}
    return statistics.median(out["seconds"]), rows, float(out["chisq"][0])


def furthest(table: pd.DataFrame, theirs: Mapping[Row, tuple[float, float]]) -> tuple[float, float]:
    """Largest difference in an estimate, and largest relative one in a standard error."""
    keys = zip(table["lhs"], table["op"], table["rhs"], strict=True)
    both = [(row, theirs[key]) for row, key in zip(table.itertuples(), keys, strict=True) if key in theirs]
    estimates = max(abs(row.estimate - other[0]) for row, other in both)
    errors = max(abs(row.std_error / other[1] - 1.0) for row, other in both if other[1] > 0.0)
    return float(estimates), float(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="show where our own time goes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    frame = simulate(options.n, options.seed)
    seconds, fit = median_seconds(frame, options.repeats), ours(frame)
    console = Console()
    console.print(
        f"{frame.shape[1]} items of five categories, n = {len(frame)}, {fit.system.size} parameters: estimates + "
        "errors + scaled test + fit"
    )
    shown = Table(
        "program", "ms", "times as long", "estimates\ndiffer by", "errors differ\n(relative)", "scaled chi-square"
    )
    shown.add_row("spc", f"{1000 * seconds:.0f}", "1.0", "", "", f"{fit.glance()['chisq_scaled'][0]:.4f}")
    referee = lavaans(frame, max(options.repeats // 2, 1))
    if referee is not None:
        far = furthest(fit.tidy(), referee[1])
        shown.add_row(
            "lavaan", f"{1000 * referee[0]:.0f}", f"{referee[0] / seconds:.1f}", f"{far[0]:.1e}", f"{far[1]:.1e}",
            f"{referee[2]:.4f}",
        )  # fmt: skip
    console.print(shown)
    if referee is None:
        console.print("Without Rscript and its packages lavaan and jsonlite there is no second row.")
    if options.profile:
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(10):
            ours(frame)
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
