"""Time full-information maximum likelihood against lavaan and, on request, semopy.

    python benchmarks/sem_fiml.py [--repeats 5] [--n 2000] [--missing 0.08] [--lavaan] [--semopy] [--profile]

Seven latent variables in a chain, 29 items, n = 2,000, 8 % of the answers missing at random places (some 1,100
patterns), one BLAS thread. Estimates, standard errors and fit measures, from a frame of rows. The others take from
half a minute to minutes and run once.
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
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import spc
from spc.linalg import one_blas_thread

LATENTS = ("isq", "esat", "eloy", "val", "csat", "cloy", "prof")
ITEMS = {name: [f"{name}{i}" for i in range(1, 6 if name == "prof" else 5)] for name in LATENTS}
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
seconds <- sum(system.time({
  fit <- sem(model, data, missing = "ml")
  found <- parameterEstimates(fit)
  measures <- fitMeasures(fit)
}, gcFirst = FALSE)[1:2])
out <- list(seconds = seconds, rows = found[c("lhs", "op", "rhs", "est", "se")], chisq = unname(measures["chisq"]))
write_json(out, arguments[3], digits = NA, auto_unbox = TRUE)
"""


def simulate(n: int, missing: float, seed: int) -> pd.DataFrame:
    """Answers to 29 items under a chain of seven latent variables, with holes."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    columns: dict[str, np.ndarray] = {}
    for k, items in enumerate(ITEMS.values()):
        level = level if k == 0 else 0.5 * level + np.sqrt(0.75) * rng.standard_normal(n)
        for item, loading in zip(items, (0.8, 0.75, 0.7, 0.65, 0.6), strict=False):
            columns[item] = 4.0 + loading * level + np.sqrt(1 - loading**2) * rng.standard_normal(n)
    frame = pd.DataFrame(columns)
    return frame.mask(rng.random(frame.shape) < missing)


def ours(frame: pd.DataFrame) -> tuple[dict[Row, float], dict[Row, float], float]:
    fit = spc.fit(MODEL, frame, missing="fiml")
    chisq = float(fit.glance()["chisq"].iloc[0])
    table = fit.tidy()
    keys = list(zip(table["lhs"], table["op"], table["rhs"], strict=True))
    return dict(zip(keys, table["estimate"], strict=True)), dict(zip(keys, table["std_error"], strict=True)), chisq


def lavaans(frame: pd.DataFrame) -> tuple[float, dict[Row, float], dict[Row, float], float] | None:
    """Processor seconds of one fit as measured inside R, and what it found; None where there is no R with lavaan."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("data.csv", "model.txt", "out.json", "run.R")]
        frame.to_csv(paths[0], index=False, na_rep="NA")
        paths[1].write_text(MODEL)
        paths[3].write_text(LAVAAN)
        command = [rscript, str(paths[3]), *map(str, paths[:3])]
        if subprocess.run(command, check=False, capture_output=True, text=True).returncode:
            return None
        out = json.loads(paths[2].read_text())
    keys = [(row["lhs"], row["op"], row["rhs"]) for row in out["rows"]]
    estimates = {key: float(row["est"]) for key, row in zip(keys, out["rows"], strict=True)}
    errors = {key: float(row["se"]) for key, row in zip(keys, out["rows"], strict=True) if row["se"]}
    return float(out["seconds"]), estimates, errors, float(out["chisq"])


def semopys(frame: pd.DataFrame) -> float:
    """Processor seconds of one fit."""
    import semopy

    begin = time.process_time()
    peer = semopy.ModelMeans(MODEL)
    peer.fit(frame, obj="FIML")
    peer.inspect()
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--missing", type=float, default=0.08)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lavaan", action="store_true", help="fit once with lavaan as well: minutes")
    parser.add_argument("--semopy", action="store_true", help="fit once with semopy as well: minutes")
    parser.add_argument("--profile", action="store_true", help="show where our own time goes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    frame = simulate(options.n, options.missing, options.seed)
    patterns = len(spc.Patterns.from_frame(frame).n)

    taken = []
    with one_blas_thread():
        estimates, errors, chisq = ours(frame)
        for _ in range(options.repeats):
            begin = time.process_time()
            ours(frame)
            taken.append(time.process_time() - begin)
    base = statistics.median(taken)
    console = Console()
    console.print(f"{frame.shape[1]} items, n = {len(frame)}, {patterns} patterns, estimates + errors + fit")
    shown = Table("program", "processor seconds", "times as long", "estimates differ by", "errors by", "chi-square by")
    shown.add_row("spc", f"{base:.3f}", "1", "", "", "")
    if options.lavaan and (referee := lavaans(frame)) is not None:
        seconds, theirs, their_errors, their_chisq = referee
        far = max(abs(value - theirs[row]) for row, value in estimates.items() if row in theirs)
        wide = max(abs(errors[row] / value - 1) for row, value in their_errors.items() if row in errors)
        off = f"{abs(chisq - their_chisq):.1e}"
        shown.add_row("lavaan", f"{seconds:.1f}", f"{seconds / base:.0f}", f"{far:.1e}", f"{wide:.1e}", off)
    if options.semopy:
        seconds = semopys(frame)
        shown.add_row("semopy", f"{seconds:.1f}", f"{seconds / base:.0f}", "", "", "")
    console.print(shown)
    if options.profile:
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(5):
            ours(frame)
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
