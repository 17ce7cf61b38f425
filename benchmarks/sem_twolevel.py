"""Time a two-level model against lavaan, where R has it.

    python benchmarks/sem_twolevel.py [--repeats 11] [--clusters 200]

lavaan's documented example: one factor on both levels, three covariates of rows and two of clusters, 2,500 rows in 200
clusters of 5 to 20. Each program does what its user waits for: estimates, standard errors, the chi-square against free
moments of both levels, and fit measures, for ML and for robust errors, and with a tenth of the answers missing. Medians
of processor time in one run on one machine, one BLAS thread; read the ratios.
"""

from __future__ import annotations

import argparse
import warnings
from statistics import median

import numpy as np
import pandas as pd
from common import NO_LAVAAN, Rows, by_row, furthest, in_lavaan, processor_seconds
from rich.console import Console
from rich.table import Table

import spc

MODEL = """level: 1
fw =~ y1 + y2 + y3
fw ~ x1 + x2 + x3
level: 2
fb =~ y1 + y2 + y3
fb ~ w1 + w2"""
JOBS = {"ML": ("ML", False), "MLR": ("MLR", False), "missing answers": ("ML", True)}

ROW = ("lhs", "op", "rhs", "level")

LAVAAN = """
missing <- if (words[2] == "True") "ml" else "listwise"
once <- function() {
  fit <- suppressWarnings(sem(model, data, cluster = "branch", estimator = words[1], missing = missing))
  suppressWarnings(list(parameterEstimates(fit), fitMeasures(fit)))
}
found <- once()
seconds <- replicate(as.integer(words[3]), seconds_of(once()))
out <- list(seconds = seconds, rows = found[[1]][c("lhs", "op", "rhs", "level", "est")])
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


def without_a_tenth(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A tenth of the answers to each item gone, but never all of a row."""
    rng = np.random.default_rng(seed)
    holed = frame.copy()
    gone = rng.random((len(frame), 3)) < 0.1
    gone[gone.all(axis=1), 0] = False
    for i in range(3):
        holed.loc[gone[:, i], f"y{i + 1}"] = np.nan
    return holed


def ours(frame: pd.DataFrame, estimator: str, holes: bool, repeats: int) -> tuple[float, Rows]:
    """Median seconds, and estimates by row."""

    def once() -> pd.DataFrame:
        fit = spc.fit(MODEL, frame, cluster="branch", estimator=estimator, missing="fiml" if holes else "listwise")  # type: ignore[arg-type]
        fit.glance()
        return fit.tidy()

    return processor_seconds(once, repeats), by_row(once().to_dict("records"), "estimate", *ROW)


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
        data, repeats = (without_a_tenth(frame, 2), 1) if holes else (frame, options.repeats)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds, mine = ours(data, estimator, holes, repeats)
        peer = in_lavaan(LAVAAN, data, MODEL, estimator, holes, 1 if holes else max(3, options.repeats // 3))
        if peer is None:
            table.add_row(name, f"{1e3 * seconds:.0f}", "", "", "")
            continue
        theirs, apart = median(peer["seconds"]), furthest(mine, by_row(peer["rows"], "est", *ROW))
        table.add_row(name, f"{1e3 * seconds:.0f}", f"{1e3 * theirs:.0f}", f"{theirs / seconds:.0f}", f"{apart:.1e}")
    console = Console()
    console.print(table)
    if peer is None:
        console.print(NO_LAVAAN)


if __name__ == "__main__":
    main()
