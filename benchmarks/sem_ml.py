"""Time an ordinary maximum-likelihood fit against semopy and, where R has it, lavaan.

    python benchmarks/sem_ml.py [--estimator MLR] [--repeats 21] [--n 2000] [--profile]

Seven latent variables in a chain, 29 items, n = 2,000. Each program does what its user waits for: estimates,
standard errors and fit measures. Medians of one run on one machine; read the ratios. Two of them: processor time with
every program held to one BLAS thread, and the wall clock with each program as it installs itself (``spc`` holds itself
to one thread, semopy takes all there are and loses by it; R's BLAS has one).
A text that was read before is not read again by ``spc``; the others have no such memory and read it in every fit.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from statistics import median

import pandas as pd
from common import (
    LATENTS,
    NO_LAVAAN,
    Rows,
    by_row,
    chain_answers,
    chain_items,
    chain_text,
    furthest,
    in_lavaan,
    processor_seconds,
    profiled,
)
from rich.console import Console
from rich.table import Table

import spc
from spc.sem.options import Estimator

ITEMS = chain_items(five="prof")
MODEL = chain_text(ITEMS)
ROUNDS = 3

LAVAAN = """
once <- function() {
  fit <- sem(model, data, estimator = words[2])
  list(parameterEstimates(fit), fitMeasures(fit))
}
found <- once()
seconds <- replicate(as.integer(words[1]), seconds_of(once()))
out <- list(seconds = seconds, rows = found[[1]][c("lhs", "op", "rhs", "est")])
"""


def simulate(n: int, seed: int) -> pd.DataFrame:
    return 4.0 + chain_answers(ITEMS, n, seed)


def median_wall(task: Callable[[], object], repeats: int) -> float:
    """Median seconds on the wall clock, threads as they come."""
    task()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        task()
        times.append(time.perf_counter() - begin)
    return median(times)


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


def semopy_estimates(frame: pd.DataFrame) -> Rows:
    table = semopys(frame)
    found = {}
    for left, op, right, value in zip(table["lval"], table["op"], table["rval"], table["Estimate"], strict=True):
        loading = op == "~" and left not in LATENTS
        found[(right, "=~", left) if loading else (left, op, right)] = float(value)
    return found


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

    mine = by_row(mine_once().to_dict("records"), "estimate")
    tasks: dict[str, Callable[[], object]] = {"spc": mine_once}
    if estimator == "ML":
        tasks["semopy"] = lambda: semopys(frame)
    # in turns, so that all meet the same load
    rounds = [{name: processor_seconds(task, options.repeats) for name, task in tasks.items()} for _ in range(ROUNDS)]
    seconds = {name: median(one[name] for one in rounds) for name in tasks}
    wall = {name: median_wall(task, (3 if name == "spc" else 1) * options.repeats) for name, task in tasks.items()}
    results: list[tuple[str, float, Rows | None]] = [("spc", seconds["spc"], None)]
    if "semopy" in tasks:
        results.append(("semopy", seconds["semopy"], semopy_estimates(frame)))
    referee = in_lavaan(LAVAAN, frame, MODEL, options.repeats, estimator)
    if referee is not None:
        wall["lavaan"] = median(referee["seconds"])
        results.append(("lavaan", wall["lavaan"], by_row(referee["rows"], "est")))

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
        console.print(NO_LAVAAN)
    if options.profile:
        profiled(mine_once, 50)


if __name__ == "__main__":
    main()
