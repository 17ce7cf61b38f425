"""Time a bootstrap draw against semopy and, where R has it, lavaan.

    python benchmarks/sem_bootstrap.py [--draws 1000] [--peer-draws 20] [--n 2000]

The model and data of ``sem_ml.py``: seven latent variables in a chain, four items each, n = 2,000, one BLAS thread.
Processor time a draw, all included: resampling, refitting, intervals. lavaan runs its own ``bootstrapLavaan``; semopy,
which has no bootstrap of its own, is refitted in a loop. The peers get fewer draws, as their time a draw is constant.
A plain loop over our own single fits shows what fitting draws together gains, and a row of its own what draws cost
with 8 % of the answers missing, where each is fitted by itself. Read the ratios.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
from common import LATENTS, NO_LAVAAN, in_lavaan, processor_seconds, with_holes
from rich.console import Console
from rich.table import Table
from sem_ml import MODEL, simulate

import spc
from spc.resample import replicate_rng

ROUNDS = 3

LAVAAN = """
fit <- sem(model, data)
draws <- as.integer(words[1])
once <- function() suppressWarnings(bootstrapLavaan(fit, R = draws))
once()
out <- list(seconds = replicate(3, seconds_of(once())) / draws)
"""


def seconds_a_draw(task: Callable[[], object], draws: int) -> float:
    return processor_seconds(task, ROUNDS) / draws


def resampled(frame: pd.DataFrame, i: int) -> pd.DataFrame:
    return frame.iloc[replicate_rng(1, i).integers(len(frame), size=len(frame))]


def looped(frame: pd.DataFrame, draws: int) -> np.ndarray:
    return np.array([spc.fit(MODEL, resampled(frame, i)).solution.theta for i in range(draws)])


def semopys(frame: pd.DataFrame, draws: int) -> None:
    import semopy

    for i in range(draws):
        semopy.Model(MODEL).fit(resampled(frame, i))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--peer-draws", type=int, default=20)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    frame = simulate(options.n, options.seed)
    fit = spc.fit(MODEL, frame)
    few = options.peer_draws

    def ours() -> pd.DataFrame:
        return spc.bootstrap(fit, frame, draws=options.draws, interval="bca").tidy()

    base = seconds_a_draw(ours, options.draws)
    rows = [
        ("spc.bootstrap", options.draws, base),
        ("spc.fit in a loop", few, seconds_a_draw(lambda: looped(frame, few), few)),
        ("semopy in a loop", few, seconds_a_draw(lambda: semopys(frame, few), few)),
    ]
    holed = with_holes(frame, 0.08, options.seed)
    answered = spc.fit(MODEL, holed, missing="fiml")
    lost = seconds_a_draw(lambda: spc.bootstrap(answered, holed, draws=few).tidy(), few)
    rows.append(("spc.bootstrap, 8 % missing", few, lost))
    referee = in_lavaan(LAVAAN, frame, MODEL, few)
    if referee is not None:
        rows.append(("lavaan's bootstrapLavaan", few, median(referee["seconds"])))
    drawn = spc.bootstrap(fit, frame, draws=few).replicates.values
    error = np.sqrt(fit.vcov.diagonal())
    apart = float(np.abs((drawn - looped(frame, few)) / error).max())

    shown = Table("what", "draws", "milliseconds a draw", "times as long")
    for name, draws, taken in rows:
        shown.add_row(name, f"{draws:,}", f"{1000 * taken:.2f}", f"{taken / base:.1f}")
    console = Console()
    console.print(f"{frame.shape[1]} items, {len(LATENTS)} latent variables, n = {len(frame)}: one bootstrap draw")
    console.print(shown)
    console.print(f"Draws fitted together and one by one differ by at most {apart:.1e} standard errors.")
    if referee is None:
        console.print(NO_LAVAAN)


if __name__ == "__main__":
    main()
