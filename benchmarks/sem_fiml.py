"""Time full-information maximum likelihood against lavaan and, on request, semopy.

    python benchmarks/sem_fiml.py [--repeats 5] [--n 2000] [--missing 0.08] [--lavaan] [--semopy] [--profile]

Seven latent variables in a chain, 29 items, n = 2,000, 8 % of the answers missing at random places (some 1,100
patterns), one BLAS thread. Estimates, standard errors and fit measures, from a frame of rows. The others take from
half a minute to minutes and run once.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings

import pandas as pd
from common import (
    by_row,
    chain_answers,
    chain_items,
    chain_text,
    furthest,
    in_lavaan,
    processor_seconds,
    profiled,
    with_holes,
)
from rich.console import Console
from rich.table import Table

import spc

ITEMS = chain_items(five="prof")
MODEL = chain_text(ITEMS)

LAVAAN = """
seconds <- seconds_of({
  fit <- sem(model, data, missing = "ml")
  rows <- parameterEstimates(fit)
  measures <- fitMeasures(fit)
})
out <- list(seconds = seconds, rows = rows[c("lhs", "op", "rhs", "est", "se")], chisq = unname(measures["chisq"]))
"""


def ours(frame: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Estimates with errors, and chi-square."""
    fit = spc.fit(MODEL, frame, missing="fiml")
    return fit.tidy(), float(fit.glance()["chisq"].iloc[0])


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
    frame = with_holes(4.0 + chain_answers(ITEMS, options.n, options.seed), options.missing, options.seed + 1)
    patterns = len(spc.Patterns.from_frame(frame).n)

    base = processor_seconds(lambda: ours(frame), options.repeats)
    table, chisq = ours(frame)
    console = Console()
    console.print(f"{frame.shape[1]} items, n = {len(frame)}, {patterns} patterns, estimates + errors + fit")
    shown = Table("program", "processor seconds", "times as long", "estimates differ by", "errors by", "chi-square by")
    shown.add_row("spc", f"{base:.3f}", "1", "", "", "")
    if options.lavaan and (referee := in_lavaan(LAVAAN, frame, MODEL)) is not None:
        seconds, mine, theirs = referee["seconds"][0], table.to_dict("records"), referee["rows"]
        far = furthest(by_row(mine, "estimate"), by_row(theirs, "est"))
        wide = furthest(by_row(mine, "std_error"), by_row(theirs, "se"), relative=True)
        off = f"{abs(chisq - referee['chisq'][0]):.1e}"
        shown.add_row("lavaan", f"{seconds:.1f}", f"{seconds / base:.0f}", f"{far:.1e}", f"{wide:.1e}", off)
    if options.semopy:
        seconds = semopys(frame)
        shown.add_row("semopy", f"{seconds:.1f}", f"{seconds / base:.0f}", "", "", "")
    console.print(shown)
    if options.profile:
        profiled(lambda: ours(frame), 5)


if __name__ == "__main__":
    main()
