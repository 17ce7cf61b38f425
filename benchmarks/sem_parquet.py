"""Time a maximum-likelihood fit to rows in Parquet against one scan of their columns.

    python benchmarks/sem_parquet.py [--rows 20000000] [--columns 30] [--whole-numbers] [--one-file] [--repeats 5]

Six latent variables, five items each, as 4-byte numbers, or as answers from 1 to 7 in one byte. The scan is DuckDB's
own sum of every column on all processors. Each run is a process of its own that has its libraries loaded before the
clock starts, so that peak memory is that of one run; runs take turns. Without ``--rows`` there are 1,000,000.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import in_own_process

LATENTS = 6
CHUNK = 1_000_000

SCAN = """
import duckdb
duckdb.sql("SELECT sum(x1) FROM read_parquet(?)", params=[warm + "/*.parquet"]).fetchall()
columns = ", ".join(f"sum({name})" for name in names)
def task():
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        return connection.execute(f"SELECT {columns} FROM read_parquet(?)", [files]).fetchall()[0][0]
"""
MOMENTS = """
import spc
spc.open_source(warm).moments(names)
def task():
    return spc.open_source(path).moments(names).n
"""
FIT = """
import spc
spc.fit(model, spc.open_source(warm)).glance()
def task():
    fit = spc.fit(model, spc.open_source(path))
    return len(fit.tidy()) + len(fit.glance())
"""


def write(folder: Path, rows: int, columns: int, *, whole: bool, one: bool) -> None:
    """Simulate answers and store them, a file a million rows or all in one."""
    import duckdb
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for k, begin in enumerate(range(0, rows, CHUNK)):
            n = min(CHUNK, rows - begin)
            level = rng.standard_normal((LATENTS, n), dtype=np.float32)
            frame = {}
            for i in range(columns):
                own = rng.standard_normal(n, dtype=np.float32)
                value = np.float32(0.7) * level[i * LATENTS // columns] + np.float32(0.7) * own
                frame[f"x{i + 1}"] = np.clip(np.rint(4 + 1.2 * value), 1, 7).astype(np.int8) if whole else value
            connection.register("frame", pd.DataFrame(frame, copy=False))
            connection.execute(f"COPY frame TO '{folder / f'part{k:04d}.parquet'}' (FORMAT parquet)")
            connection.unregister("frame")
        if one:
            connection.execute(f"COPY (SELECT * FROM '{folder}/part*.parquet') TO '{folder}/one.parquet'")  # noqa: S608
            for path in folder.glob("part*.parquet"):
                path.unlink()


def model(columns: int) -> str:
    items: list[list[str]] = [[] for _ in range(LATENTS)]
    for i in range(columns):
        items[i * LATENTS // columns].append(f"x{i + 1}")
    return "\n".join(f"f{k} =~ {' + '.join(own)}" for k, own in enumerate(items))


def run(body: str, folder: Path, warm: Path, columns: int) -> list[float]:
    """Wall seconds, processor seconds and peak megabytes of a task in a process of its own."""
    given = {
        "path": str(folder),
        "files": sorted(map(str, folder.glob("*.parquet"))),
        "names": [f"x{i + 1}" for i in range(columns)],
        "model": model(columns),
        "warm": str(warm),
    }
    return list(in_own_process(body, given)[:3])


def versions() -> str:
    import duckdb
    import numpy as np

    import spc

    found = spc.Provenance.record({}, "").package_version
    return f"spc {found}, duckdb {duckdb.__version__}, numpy {np.__version__}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--whole-numbers", action="store_true", help="answers from 1 to 7 in one byte")
    parser.add_argument("--one-file", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the rows here, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, warm = options.folder or Path(name, "rows"), Path(name, "warm")
        kinds = {"whole": options.whole_numbers, "one": options.one_file}
        for place, rows in ((folder, options.rows), (warm, 2_000)):
            place.mkdir(parents=True, exist_ok=True)
            if not any(place.glob("*.parquet")):
                # a child's peak begins with its parent's, so the parent stays small
                arguments = f"Path({str(place)!r}), {rows}, {options.columns}, **{kinds!r}"
                code = f"from pathlib import Path\nfrom sem_parquet import write\nwrite({arguments})"
                subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
        size = sum(path.stat().st_size for path in folder.glob("*.parquet")) / 2**20
        tasks = {"one scan (sum of every column)": SCAN, "moments": MOMENTS, "fit, errors, fit measures": FIT}
        times: dict[str, list[list[float]]] = {label: [] for label in tasks}
        for _ in range(options.repeats):
            for label, body in tasks.items():
                times[label].append(run(body, folder, warm, options.columns))
                time.sleep(0.2)
        print(f"{options.rows:,} rows x {options.columns} columns, {size:,.0f} MB of Parquet; medians of ", end="")
        print(f"{options.repeats}, best in brackets\n{versions()}")
        print(f"{'':32}{'wall s':>16}{'ratio':>14}{'processor s':>16}{'ratio':>7}{'peak MB':>9}")
        base = None
        for label, runs in times.items():
            wall, used, peak = (statistics.median(column) for column in zip(*runs, strict=True))
            best = min(seconds for seconds, _, _ in runs)
            base = base or (wall, best, used)
            print(
                f"{label:32}{wall:8.2f} ({best:5.2f}){wall / base[0]:6.2f} ({best / base[1]:4.2f}) "
                f"{used:15.2f}{used / base[2]:7.2f}{peak:9.0f}"
            )


if __name__ == "__main__":
    main()
