"""How long ``spc check`` takes for 1,000,000 survey rows in Parquet, beside the least one could do.

Run by hand: ``python benchmarks/check.py [rows]``. Every line is a process of its own, so that start-up and peak memory
are those of one run. The yardsticks read the same file in the same way: one only takes minimum, maximum and number of
missing answers of every item, the other lets pandera check the ranges and nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ITEMS, UNITS, CONSTRUCTS, LOW, HIGH = 20, 2_000, 5, 1, 7
ROUNDS = 3

READ = """
import duckdb, sys
arrays = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [sys.argv[1]]).fetchnumpy()
import pandas as pd
def plain(array):
    return array.astype(float).filled(float("nan")) if getattr(array, "mask", False) is not False else array
frame = pd.DataFrame({name: plain(array) for name, array in arrays.items()})
items = [name for name in frame if name.startswith("q")]
"""
LEAST = READ + "print(frame[items].agg(['min', 'max', 'count']).shape, frame.duplicated('respondent').sum())"
PANDERA = (
    READ
    + """
import pandera.pandas as pa
columns = {name: pa.Column(None, pa.Check.in_range(1, 7), nullable=True) for name in items}
print(pa.DataFrameSchema(columns, unique=["respondent"]).validate(frame, lazy=True).shape)
"""
)


def write_survey(folder: Path, rows: int) -> None:
    """Survey of a made-up firm: five constructs of four items, one of them reversed, 5 % of one item unanswered."""
    import duckdb
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    unit = rng.integers(0, UNITS, rows)
    columns: dict[str, object] = {
        "respondent": np.arange(rows),
        "unit": np.char.add("U", unit.astype(str)).astype(object),
    }
    for construct in range(CONSTRUCTS):
        factor = rng.standard_normal(UNITS)[unit] * 0.5 + rng.standard_normal(rows)
        for place in range(ITEMS // CONSTRUCTS):
            answer = np.clip(np.rint(4 + factor + rng.standard_normal(rows)), LOW, HIGH)
            reverse = place == 3
            columns[f"q{construct * 4 + place + 1}"] = ((LOW + HIGH - answer) if reverse else answer).astype(np.int8)
    frame = pd.DataFrame(columns)
    units = pd.DataFrame({"unit": [f"U{i}" for i in range(UNITS)], "revenue_growth": rng.normal(3, 1, UNITS)})
    gap = f"CASE WHEN respondent % 20 = 0 THEN NULL ELSE q{ITEMS} END AS q{ITEMS}"
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        connection.register("units", units)
        connection.execute(f"CREATE VIEW staff AS SELECT * REPLACE ({gap}) FROM frame")  # noqa: S608 - names of our own
        connection.execute(f"COPY staff TO '{folder / 'staff.parquet'}' (FORMAT parquet)")
        connection.execute(f"COPY units TO '{folder / 'units.parquet'}' (FORMAT parquet)")


def write_document(folder: Path) -> Path:
    """Study document of that survey."""
    text = '[study]\nname = "Benchmark"\n[tables.employee_responses]\nfile = "staff.parquet"\n'
    text += '[tables.units]\nfile = "units.parquet"\n'
    for construct in range(CONSTRUCTS):
        items = [f"q{construct * 4 + place + 1}" for place in range(4)]
        text += (
            f'[constructs.c{construct + 1}]\ntable = "employee_responses"\nitems = {items}\nscale = [{LOW}, {HIGH}]\n'
        )
        text += f'reverse = ["{items[-1]}"]\n'
    text += '[constructs.revenue_growth]\ntable = "units"\nitems = ["revenue_growth"]\n'
    path = folder / "study.toml"
    path.write_text(text.replace("'", '"'), encoding="utf-8")
    return path


def measure(arguments: list[str]) -> tuple[float, float, int]:
    """Seconds, peak megabytes and exit code of a child process."""
    begun = time.perf_counter()
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return time.perf_counter() - begun, usage.ru_maxrss / unit, child.returncode


def main() -> None:
    if len(sys.argv) > 2:
        write_survey(Path(sys.argv[2]), int(sys.argv[1]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # a child starts with the peak of its parent, so the parent stays small and lets another process write
        measure([sys.executable, __file__, str(rows), name])
        document, survey = write_document(folder), str(folder / "staff.parquet")
        runs = {
            "read, min, max, duplicates": [sys.executable, "-c", LEAST, survey],
            "read, pandera ranges and key": [sys.executable, "-c", PANDERA, survey],
            "spc check": [sys.executable, "-c", "from spc.cli import main; main()", "check", str(document)],
        }
        print(f"{rows:,} rows, {ITEMS} items, {UNITS:,} units, {Path(survey).stat().st_size / 2**20:.0f} MB of Parquet")
        print(f"best of {ROUNDS}:{'':21}{'seconds':>9}{'rows a second':>16}{'peak MB':>9}{'ratio':>8}")
        results = [{label: measure(arguments) for label, arguments in runs.items()} for _ in range(ROUNDS)]
        least = min(result[next(iter(runs))][0] for result in results)
        for label in runs:
            seconds, peak, code = min(result[label] for result in results)
            note = "" if code == 0 else f"   exit code {code}"
            print(f"{label:32}{seconds:9.2f}{rows / seconds:16,.0f}{peak:9.0f}{seconds / least:8.2f}{note}")


if __name__ == "__main__":
    main()
