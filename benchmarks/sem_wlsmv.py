"""Time a fit of ordered items (WLSMV) against lavaan, where R has it.

    python benchmarks/sem_wlsmv.py [--repeats 7] [--n 2000] [--profile]

Seven latent variables in a chain, 29 items of five categories, n = 2,000. Each program does what its user waits for:
thresholds and polychoric correlations with their covariances, estimates, errors, scaled tests and fit measures. Medians
of one run on one machine, processor time with every program held to one BLAS thread; read the ratio. semopy does not
run with ordered items.
"""

from __future__ import annotations

import argparse
import warnings
from statistics import median

import numpy as np
import pandas as pd
from common import (
    NO_LAVAAN,
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

ITEMS = chain_items(five="isq")
MODEL = chain_text(ITEMS)

LAVAAN = """
once <- function() {
  fit <- sem(model, data, ordered = names(data), estimator = "WLSMV")
  list(parameterEstimates(fit), fitMeasures(fit))
}
found <- once()
seconds <- replicate(as.integer(words[1]), seconds_of(once()))
rows <- found[[1]][c("lhs", "op", "rhs", "est", "se")]
out <- list(seconds = seconds, rows = rows, chisq = unname(found[[2]]["chisq.scaled"]))
"""


def simulate(n: int, seed: int) -> pd.DataFrame:
    """The answers in five categories."""
    return chain_answers(ITEMS, n, seed).apply(np.digitize, bins=[-1.4, -0.6, 0.3, 1.2]) + 1


def ours(frame: pd.DataFrame) -> spc.SemFit:
    fit = spc.fit(MODEL, frame, ordered=list(frame.columns))
    fit.glance()
    fit.tidy()
    return fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="show where our own time goes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    frame = simulate(options.n, options.seed)
    seconds, fit = processor_seconds(lambda: ours(frame), options.repeats), ours(frame)
    console = Console()
    console.print(
        f"{frame.shape[1]} items of five categories, n = {len(frame)}, {fit.system.size} parameters: estimates + "
        "errors + scaled test + fit"
    )
    shown = Table(
        "program", "ms", "times as long", "estimates\ndiffer by", "errors differ\n(relative)", "scaled chi-square"
    )
    shown.add_row("spc", f"{1000 * seconds:.0f}", "1.0", "", "", f"{fit.glance()['chisq_scaled'][0]:.4f}")
    referee = in_lavaan(LAVAAN, frame, MODEL, max(options.repeats // 2, 1))
    if referee is not None:
        theirs, taken = median(referee["seconds"]), fit.tidy().to_dict("records")
        far = furthest(by_row(taken, "estimate"), by_row(referee["rows"], "est"))
        wide = furthest(by_row(taken, "std_error"), by_row(referee["rows"], "se"), relative=True)
        shown.add_row(
            "lavaan", f"{1000 * theirs:.0f}", f"{theirs / seconds:.1f}", f"{far:.1e}", f"{wide:.1e}",
            f"{referee['chisq'][0]:.4f}",
        )  # fmt: skip
    console.print(shown)
    if referee is None:
        console.print(NO_LAVAAN)
    if options.profile:
        profiled(lambda: ours(frame), 10)


if __name__ == "__main__":
    main()
