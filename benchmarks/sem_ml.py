"""Time an ordinary maximum-likelihood fit against semopy and, where R has it, lavaan.

    python benchmarks/sem_ml.py [--estimator MLR] [--repeats 21] [--n 2000] [--profile]

Seven latent variables in a chain, four items each, n = 2,000. Each program does what its user waits for: estimates,
standard errors and fit measures. Medians of one run on one machine; read the ratios. Two of them: processor time with
every program held to one BLAS thread, and the wall clock with each program as it installs itself (``spc`` holds itself
to one thread, semopy takes all there are and loses by it; R's BLAS has one).
A text that was read before is not read again by ``spc``; the others have no such memory and read it in every fit.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import pstats
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import spc
from spc.linalg import one_blas_thread
from spc.sem.options import Estimator

LATENTS = ("isq", "esat", "eloy", "val", "csat", "cloy", "prof")
MODEL = "\n".join(
    [f"{name} =~ {' + '.join(f'{name}{i}' for i in range(1, 5))}" for name in LATENTS]
    + [f"{outcome} ~ {cause}" for cause, outcome in pairwise(LATENTS)]
)
Row = tuple[str, str, str]
ROUNDS = 3

LAVAAN = """
suppressPackageStartupMessages({library(lavaan); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
model <- paste(readLines(arguments[2]), collapse = "\\n")
once <- function() {
  fit <- sem(model, data, estimator = arguments[5])
  list(parameterEstimates(fit), fitMeasures(fit))
}
found <- once()
seconds <- replicate(as.integer(arguments[3]), sum(system.time(once(), gcFirst = FALSE)[1:2]))
rows <- found[[1]][c("lhs", "op", "rhs", "est", "se")]
write_json(list(seconds = seconds, rows = rows, chisq = unname(found[[2]]["chisq"])), arguments[4], digits = NA)
"""


def simulate(n: int, seed: int) -> pd.DataFrame:
    """Answers to 28 items under a chain of seven latent variables with paths of 0.5."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    columns: dict[str, np.ndarray] = {}
    for k, name in enumerate(LATENTS):
        level = level if k == 0 else 0.5 * level + np.sqrt(0.75) * rng.standard_normal(n)
        for i, loading in enumerate((0.8, 0.75, 0.7, 0.65), start=1):
            columns[f"{name}{i}"] = 4.0 + loading * level + np.sqrt(1 - loading**2) * rng.standard_normal(n)
    return pd.DataFrame(columns)


def median_seconds(tasks: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each task, in blocks that take turns, so that all meet the same load."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    with one_blas_thread():
        for _ in range(ROUNDS):
            for name, task in tasks.items():
                task()
                for _ in range(repeats):
                    begin = time.process_time()
                    task()
                    times[name].append(time.process_time() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def median_wall(task: Callable[[], object], repeats: int) -> float:
    """Median seconds on the wall clock, threads as they come."""
    task()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        task()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def ours(frame: pd.DataFrame, estimator: Estimator) -> pd.DataFrame:
    fit = spc.fit(MODEL, frame, estimator=estimator)
    fit.glance()
    return fit.tidy()


def semopys(frame: pd.DataFrame) -> pd.DataFrame:
    import semopy

    peer = semopy.Model(MODEL)
    peer.fit(frame)
    semopy.calc_stats(peer)
    return peer.inspect()


def semopy_estimates(frame: pd.DataFrame) -> dict[Row, float]:
    table = semopys(frame)
    found = {}
    for left, op, right, value in zip(table["lval"], table["op"], table["rval"], table["Estimate"], strict=True):
        loading = op == "~" and left not in LATENTS
        found[(right, "=~", left) if loading else (left, op, right)] = float(value)
    return found


def lavaans(frame: pd.DataFrame, repeats: int, estimator: str) -> tuple[float, dict[Row, float]] | None:
    """Processor seconds a fit as measured inside R, and the estimates; None where there is no R with lavaan."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("data.csv", "model.txt", "out.json", "run.R")]
        frame.to_csv(paths[0], index=False)
        paths[1].write_text(MODEL)
        paths[3].write_text(LAVAAN)
        command = [rscript, str(paths[3]), str(paths[0]), str(paths[1]), str(repeats), str(paths[2]), estimator]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return None
        out = json.loads(paths[2].read_text())
    rows = {(row["lhs"], row["op"], row["rhs"]): float(row["est"]) for row in out["rows"]}
    return statistics.median(out["seconds"]), rows


def furthest(mine: Mapping[Row, float], theirs: Mapping[Row, float]) -> float:
    return max(abs(value - theirs[row]) for row, value in mine.items() if row in theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", choices=["ML", "MLM", "MLR"], default="ML")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="show where our own time goes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    frame = simulate(options.n, options.seed)

    estimator: Estimator = options.estimator

    def mine_once() -> pd.DataFrame:
        return ours(frame, estimator)

    table = mine_once()
    mine = dict(zip(zip(table["lhs"], table["op"], table["rhs"], strict=True), table["estimate"], strict=True))
    tasks: dict[str, Callable[[], object]] = {"spc": mine_once}
    if estimator == "ML":
        tasks["semopy"] = lambda: semopys(frame)
    seconds = median_seconds(tasks, options.repeats)
    rounds = {"spc": 3 * options.repeats, "semopy": options.repeats}
    wall = {name: median_wall(task, rounds[name]) for name, task in tasks.items()}
    results: list[tuple[str, float, dict[Row, float] | None]] = [("spc", seconds["spc"], None)]
    if "semopy" in tasks:
        results.append(("semopy", seconds["semopy"], semopy_estimates(frame)))
    referee = lavaans(frame, options.repeats, estimator)
    if referee is not None:
        results.append(("lavaan", *referee))
        wall["lavaan"] = referee[0]

    shown = Table(
        "program", "one thread,\nprocessor ms", "times\nas long", "as installed,\nwall ms", "times\nas long",
        "largest difference\nin an estimate",
    )  # fmt: skip
    for name, taken, estimates in results:
        far = "" if estimates is None else f"{furthest(mine, estimates):.1e}"
        shown.add_row(
            name,
            f"{1000 * taken:.1f}",
            f"{taken / seconds['spc']:.1f}",
            f"{1000 * wall[name]:.1f}",
            f"{wall[name] / wall['spc']:.1f}",
            far,
        )
    console = Console()
    console.print(
        f"{frame.shape[1]} items, {len(LATENTS)} latent variables, n = {len(frame)}, {estimator}, "
        "estimates + errors + fit"
    )
    console.print(shown)
    if referee is None:
        console.print("Without Rscript and its packages lavaan and jsonlite there is no third row.")
    if options.profile:
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(50):
            mine_once()
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
