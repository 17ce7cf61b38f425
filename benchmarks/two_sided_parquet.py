"""Time a two-sided fit to respondents in Parquet, without loading their rows.

    python benchmarks/two_sided_parquet.py [--units 20000] [--respondents 200] [--folder DIR]

Two constructs a side and one outcome of units. The scan is DuckDB's own mean of every score by unit. Each run is a
process of its own, so that peak memory is that of one run. Without options there are 2,000 units.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from common import in_own_process

SCAN = """
import duckdb
def task():
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for path in (staff, guests):
            connection.execute("SELECT unit, avg(a), avg(b) FROM read_parquet(?) GROUP BY unit", [path]).fetchall()
"""
SUMS = """
import spc
def task():
    for path in (staff, guests):
        spc.open_source(path).unit_moments("unit", ["a", "b"])
"""
FIT = """
import duckdb, spc
def task():
    sides = {"staff": spc.open_source(staff), "guests": spc.open_source(guests)}
    text = "mood ~ quality\\nvalue ~ mood\\nloyal ~ value\\ngrowth ~ loyal"
    table = duckdb.sql("SELECT * FROM read_parquet(?)", params=[units]).df()
    fit = spc.fit_two_sided(text, sides=sides, units=table, unit="unit", draws=1000)
    links = fit.tidy().query("kind == 'link'")
    return len(links) + len(fit.glance())
"""


def write(folder: Path, units: int, respondents: int) -> None:
    """Simulate both sides, about as many respondents in every unit, in random order."""
    import duckdb
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    level = [rng.standard_normal(units)]
    for _ in range(4):
        level.append(0.5 * level[-1] + 0.5 * rng.standard_normal(units))
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for k, (side, names) in enumerate({"staff": ("quality", "mood"), "guests": ("value", "loyal")}.items()):
            at = rng.integers(0, units, units * respondents)
            scores = {
                name: np.float32(level[2 * k + i][at] + 2.0 * rng.standard_normal(at.size))
                for i, name in enumerate(names)
            }
            frame = pd.DataFrame({"unit": at, **scores})
            connection.register("frame", frame)
            connection.execute(f"COPY frame TO '{folder / side}.parquet'")
            renamed = ", ".join(f"{name} AS {short}" for name, short in zip(names, "ab", strict=True))
            text = f"COPY (SELECT unit, {renamed} FROM frame) TO '{folder / side}_ab.parquet'"  # noqa: S608 - our own
            connection.execute(text)
        connection.register("outcome", pd.DataFrame({"unit": np.arange(units), "growth": level[4]}))
        connection.execute(f"COPY outcome TO '{folder / 'units'}.parquet'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=2_000)
    parser.add_argument("--respondents", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="keep the rows here, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "units.parquet").exists():
            arguments = f"Path({str(folder)!r}), {options.units}, {options.respondents}"
            code = f"from pathlib import Path\nfrom two_sided_parquet import write\nwrite({arguments})"
            subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
        short = {side: str(folder / f"{side}_ab.parquet") for side in ("staff", "guests")}
        full = {side: str(folder / f"{side}.parquet") for side in ("staff", "guests", "units")}
        print(f"{options.units:,} units x {options.respondents} respondents on each of two sides")
        print(f"{'':40}{'wall s':>8}{'processor s':>13}{'peak MB':>9}")
        tasks = [("means by unit in DuckDB", SCAN, short), ("unit sums", SUMS, short), ("two-sided fit", FIT, full)]
        for label, body, given in tasks:
            wall, used, peak, _ = in_own_process(body, given)
            print(f"{label:40}{wall:8.2f}{used:13.2f}{peak:9.0f}")


if __name__ == "__main__":
    main()
