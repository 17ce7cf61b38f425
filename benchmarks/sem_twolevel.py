"""Time a two-level model against lavaan, where R has it.

    python benchmarks/sem_twolevel.py [--repeats 11] [--clusters 200]

lavaan's documented example: one factor on both levels, three covariates of rows and two of clusters, 2,500 rows in 200
clusters of 5 to 20. Each program does what its user waits for: estimates, standard errors, the chi-square against free
moments of both levels, and fit measures, for ML and for robust errors, and with a tenth of the answers missing. Medians
of processor time in one run on one machine, one BLAS thread; read the ratios.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import spc
from spc.linalg import one_blas_thread

MODEL = """level: 1
fw =~ y1 + y2 + y3
fw ~ x1 + x2 + x3
level: 2
fb =~ y1 + y2 + y3
fb ~ w1 + w2"""
JOBS = {"ML": ("ML", False), "MLR": ("MLR", False), "missing answers": ("ML", True)}

LAVAAN = """
suppressPackageStartupMessages({library(lavaan); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
model <- paste(readLines(arguments[2]), collapse = "\\n")
missing <- if (arguments[4] == "TRUE") "ml" else "listwise"
once <- function() {
  fit <- suppressWarnings(sem(model, data, cluster = "branch", estimator = arguments[3], missing = missing))
  suppressWarnings(list(parameterEstimates(fit), fitMeasures(fit)))
}
found <- once()
seconds <- replicate(as.integer(arguments[5]), sum(system.time(once(), gcFirst = FALSE)[1:2]))
rows <- found[[1]][c("lhs", "op", "rhs", "level", "est")]
write_json(list(seconds = seconds, rows = rows, logl = unname(found[[2]]["logl"])), arguments[6], digits = NA)
"""


def simulate(clusters: int, seed: int) -> pd.DataFrame:
    """Rows of clusters of 5, 10, 15 and 20, as in lavaan's Demo.twolevel."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(clusters), np.resize([5, 10, 15, 20], clusters))
    covariates, traits = rng.standard_normal((code.size, 3)), rng.standard_normal((clusters, 2))
    inside = covariates @ [0.5, 0.4, 0.2] + np.sqrt(0.5) * rng.standard_normal(code.size)
    between = traits @ [0.2, 0.1] + rng.standard_normal(clusters)
    columns: dict[str, np.ndarray] = {"branch": code}
    for i, (load, far) in enumerate(((1.0, 1.0), (0.8, 0.7), (0.7, 0.6)), start=1):
        own = 0.3 * rng.standard_normal(clusters)
        columns[f"y{i}"] = load * inside + rng.standard_normal(code.size) + (far * between + own)[code]
    columns |= {f"x{i + 1}": covariates[:, i] for i in range(3)}
    columns |= {f"w{i + 1}": traits[code, i] for i in range(2)}
    return pd.DataFrame(columns)


def with_holes(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A tenth of the answers to each item gone, but never all of a row."""
    rng = np.random.default_rng(seed)
    holed = frame.copy()
    gone = rng.random((len(frame), 3)) < 0.1
    gone[gone.all(axis=1), 0] = False
    for i in range(3):
        holed.loc[gone[:, i], f"y{i + 1}"] = np.nan
    return holed


def ours(frame: pd.DataFrame, estimator: str, holes: bool, repeats: int) -> tuple[float, dict[tuple[str, ...], float]]:
    """Median seconds, and estimates by row."""
    times, fit = [], None
    with one_blas_thread():
        for _ in range(repeats + 1):
            begin = time.process_time()
            fit = spc.fit(MODEL, frame, cluster="branch", estimator=estimator, missing="fiml" if holes else "listwise")  # type: ignore[arg-type]
            table = fit.tidy()
            fit.glance()
            times.append(time.process_time() - begin)
    keys = zip(table["lhs"], table["op"], table["rhs"], table["level"], strict=True)
    return statistics.median(times[1:]), dict(zip(keys, table["estimate"], strict=True))


def lavaans(
    frame: pd.DataFrame, estimator: str, holes: bool, repeats: int
) -> tuple[float, dict[tuple[str, ...], float]] | None:
    """The same of lavaan; None where R lacks it."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        frame.to_csv(place / "data.csv", index=False)
        (place / "model.txt").write_text(MODEL)
        (place / "fit.R").write_text(LAVAAN)
        answer = place / "answer.json"
        words = [str(place / name) for name in ("fit.R", "data.csv", "model.txt")]
        command = ["Rscript", *words, estimator, str(holes).upper(), str(repeats), str(answer)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return None
        found = json.loads(answer.read_text())
    rows = {(row["lhs"], row["op"], row["rhs"], str(row["level"])): row["est"] for row in found["rows"]}
    return statistics.median(found["seconds"]), rows


def main() -> None:
    """Print one row a job."""
    parser = argparse.ArgumentParser(description="Two-level models, beside lavaan.")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--clusters", type=int, default=200)
    options = parser.parse_args()
    frame = simulate(options.clusters, 1)
    table = Table(title=f"{len(frame):,} rows in {options.clusters} clusters: milliseconds")
    for name in ("job", "spc", "lavaan", "ratio", "largest difference"):
        table.add_column(name, justify="left" if name == "job" else "right")
    for name, (estimator, holes) in JOBS.items():
        data, repeats = (with_holes(frame, 2), 1) if holes else (frame, options.repeats)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds, mine = ours(data, estimator, holes, repeats)
        peer = lavaans(data, estimator, holes, 1 if holes else max(3, options.repeats // 3))
        if peer is None:
            table.add_row(name, f"{1e3 * seconds:.0f}", "no lavaan here", "", "")
            continue
        apart = max(abs(value - mine[key]) for key, value in peer[1].items())
        table.add_row(name, f"{1e3 * seconds:.0f}", f"{1e3 * peer[0]:.0f}", f"{peer[0] / seconds:.0f}", f"{apart:.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
