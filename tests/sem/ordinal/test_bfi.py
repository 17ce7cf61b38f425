"""Ten items of six categories of the bfi data, from stored thresholds, polychorics and their covariances alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spc.linalg import frozen_array
from spc.sem.ordinal.moments import OrdinalMoments
from spc.sem.ordinal.problem import ordinal_system
from spc.sem.ordinal.search import ordinal_problems, ordinal_solve, spread
from spc.spec import model

BFI = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_ordinal_bfi.json").read_text())


def test_estimates_errors_and_test_from_stored_statistics() -> None:
    p = len(BFI["items"])
    sampled = OrdinalMoments(
        tuple(BFI["items"]), np.arange(p), np.empty(0, dtype=np.intp), np.full(p, 6), BFI["n"],
        frozen_array(BFI["thresholds"]), np.repeat(np.arange(p), 5), frozen_array(np.zeros(p)),
        frozen_array(BFI["correlations"]), frozen_array(BFI["gamma"]),
    )  # fmt: skip
    made = model(BFI["model"], ordered=dict.fromkeys(BFI["items"], 6))
    system = ordinal_system(made, [made], [sampled], "DWLS")
    end = ordinal_solve(system)
    found = spread(system, end)
    (problem,) = ordinal_problems(system)
    values = dict(zip(problem.place.names, system.theta(end.x), strict=True))
    errors = dict(zip(problem.place.names, np.sqrt(system.spread(found.robust).diagonal()), strict=True))
    for row in BFI["rows"]:
        name = row["lhs"] + row["op"] + row["rhs"]
        if name in values:
            assert values[name] == pytest.approx(row["est"], abs=1e-5)
            assert errors[name] == pytest.approx(row["se"], rel=1e-4)
    measures = BFI["measures"]
    chisq, df = system.divisor * end.value, measures["df"]
    stretch = np.sqrt(df / found.square)
    assert chisq == pytest.approx(measures["chisq"], rel=1e-6)
    assert chisq * stretch + df - stretch * found.trace == pytest.approx(measures["chisq_scaled"], rel=1e-5)
    assert found.base == pytest.approx(measures["baseline_chisq"], rel=1e-6)
