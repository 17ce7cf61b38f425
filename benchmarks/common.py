"""What the benchmarks share: data of a chain, clocks, and running lavaan or any task in a process of its own.

Nothing large is imported at the top: a child's peak memory begins with its parent's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NO_LAVAAN = "Without Rscript and its packages lavaan and jsonlite there is no row of lavaan."

LATENTS = ("isq", "esat", "eloy", "val", "csat", "cloy", "prof")

Rows = Mapping[tuple[str, ...], float]

R_HEAD = """
suppressPackageStartupMessages({library(lavaan); library(jsonlite)})
words <- commandArgs(trailingOnly = TRUE)
data <- read.csv("data.csv")
model <- paste(readLines("model.txt"), collapse = "\\n")
seconds_of <- function(task) sum(system.time(task, gcFirst = FALSE)[1:2])
"""
R_TAIL = """
write_json(out, "out.json", digits = NA)
"""

CLOCK = """
import json, resource, sys, time
wall, processor = time.perf_counter(), time.process_time()
answer = task()
wall, processor = time.perf_counter() - wall, time.process_time() - processor
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(json.dumps([wall, processor, peak, answer]))
"""


def chain_items(five: str = "") -> dict[str, list[str]]:
    """Four items of each of seven latent variables, five of the one that is named."""
    return {name: [f"{name}{i}" for i in range(1, 6 if name == five else 5)] for name in LATENTS}


def chain_text(items: dict[str, list[str]]) -> str:
    """Model text of the chain from each latent variable to the next."""
    measured = [f"{name} =~ {' + '.join(own)}" for name, own in items.items()]
    return "\n".join(measured + [f"{effect} ~ {cause}" for cause, effect in pairwise(items)])


def chain_answers(items: dict[str, list[str]], n: int, seed: int) -> pd.DataFrame:
    """Standardised answers under a chain with paths of 0.5."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    columns = {}
    for k, own in enumerate(items.values()):
        level = level if k == 0 else 0.5 * level + np.sqrt(0.75) * rng.standard_normal(n)
        for item, loading in zip(own, (0.8, 0.75, 0.7, 0.65, 0.6), strict=False):
            columns[item] = loading * level + np.sqrt(1 - loading**2) * rng.standard_normal(n)
    return pd.DataFrame(columns)


def with_holes(frame: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The frame with a share of its answers gone."""
    import numpy as np

    return frame.mask(np.random.default_rng(seed).random(frame.shape) < share)


def processor_seconds(task: Callable[[], object], repeats: int) -> float:
    """Median processor seconds under one BLAS thread, after one run to warm up."""
    from spc.linalg import one_blas_thread

    times = []
    with one_blas_thread():
        task()
        for _ in range(repeats):
            begin = time.process_time()
            task()
            times.append(time.process_time() - begin)
    return median(times)


def profiled(task: Callable[[], object], times: int) -> None:
    """Show where the time of a task goes."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    for _ in range(times):
        task()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def in_lavaan(script: str, frame: pd.DataFrame, text: str, *words: object) -> dict[str, Any] | None:
    """What an R script leaves in ``out``; None where there is no R with lavaan.

    It finds ``data``, ``model``, ``words`` (text) and ``seconds_of(task)``, the processor seconds of a task.
    """
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(Path(folder, "data.csv"), index=False, na_rep="NA")
        Path(folder, "model.txt").write_text(text)
        Path(folder, "run.R").write_text(R_HEAD + script + R_TAIL)
        command = [rscript, "run.R", *map(str, words)]
        if subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode:
            return None
        found: dict[str, Any] = json.loads(Path(folder, "out.json").read_text())
    return found


def by_row(rows: Iterable[dict[str, Any]], value: str, *key: str) -> dict[tuple[str, ...], float]:
    """One column of lavaan's rows, or of ours, by what each row joins; none where there is no number."""
    names = key or ("lhs", "op", "rhs")
    return {tuple(str(row[name]) for name in names): float(row[value]) for row in rows if row.get(value) is not None}


def furthest(ours: Rows, theirs: Rows, *, relative: bool = False) -> float:
    """Largest difference in what both have, or largest one as a share of theirs."""
    both = [(value, theirs[row]) for row, value in ours.items() if theirs.get(row)]
    return max(abs(one / other - 1.0) if relative else abs(one - other) for one, other in both)


def in_own_process(body: str, given: dict[str, Any]) -> Sequence[Any]:
    """Wall seconds, processor seconds, peak megabytes and answer of ``task()`` in a process of its own.

    The code before ``def task`` is not timed; the values given are its globals.
    """
    code = f"import json\nglobals().update(json.loads({json.dumps(json.dumps(given))}))\n{body}{CLOCK}"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found
