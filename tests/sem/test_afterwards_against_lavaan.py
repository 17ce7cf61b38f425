"""After fits that are not plain maximum likelihood for complete rows: lavaan's and semTools' numbers."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning
from spc.sem import SemFit, fit, implied_moments, misfit, reliability
from spc.sem.postestimation.compare import compare
from spc.sem.postestimation.modification import modification_indices
from spc.sem.postestimation.release import release_test
from spc.spec import model

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = json.loads((FOLDER / "lavaan_afterwards.json").read_text())


@cache
def frames() -> dict[str, pd.DataFrame]:
    stored = json.loads((FOLDER / "lavaan_fiml.json").read_text())["frames"]
    return {name: pd.DataFrame(np.array(f["rows"], dtype=np.float64), columns=f["names"]) for name, f in stored.items()}


def fitted(text: str, case: dict[str, Any]) -> SemFit:
    options = dict(case["options"])
    ways = {name: options.pop(name) for name in ("meanstructure",) if name in options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(model(text, **ways), frames()[case["data"]], **options)


def shrunken(result: SemFit) -> float:
    """lavaan takes (N - 1)/N of least-squares indices."""
    return 1.0 if result.weight is None else result.problem.divisor / result.problem.n


@pytest.mark.parametrize("case", REFERENCE["modification"], ids=lambda case: case["name"])
def test_modification_indices(case: dict[str, Any]) -> None:
    result = fitted(case["model"], case)
    table = modification_indices(result, sort=False)
    ours = {(row.lhs, row.op, row.rhs): row for row in table.itertuples()}
    ours |= {(rhs, op, lhs): row for (lhs, op, rhs), row in ours.items() if op == "~~"}
    held, part, seen = set(result.model.exogenous), shrunken(result), 0
    for row in case["rows"]:
        if row["lhs"] in held:
            continue
        mine = ours[row["lhs"], row["op"], row["rhs"]]
        assert part * mine.mi == pytest.approx(row["mi"], rel=1e-5, abs=1e-6)
        assert part * mine.epc == pytest.approx(row["epc"], rel=1e-5, abs=1e-7)
        assert part * mine.sepc_all == pytest.approx(row["sepc.all"], rel=1e-5, abs=1e-7)
        seen += 1
    assert seen == len(table)


@pytest.mark.parametrize("case", REFERENCE["scores"], ids=lambda case: case["name"])
def test_score_tests_of_equalities(case: dict[str, Any]) -> None:
    result = fitted(case["model"], case)
    found, part = release_test(result), shrunken(result)
    assert found.df == case["total"]["df"]
    assert part * found.statistic == pytest.approx(case["total"]["x2"], rel=1e-6)
    assert (part * found.tidy()["statistic"]).to_numpy() == pytest.approx(case["x2"], rel=1e-6)


@pytest.mark.parametrize("case", REFERENCE["differences"], ids=lambda case: case["name"])
def test_difference_tests(case: dict[str, Any]) -> None:
    found = compare(fitted(case["strict"], case), fitted(case["free"], case))
    table = found.augment()
    assert found.notes() == ()
    assert table["df_diff"][1] == case["df_diff"]
    assert table["chisq_diff"][1] == pytest.approx(case["chisq_diff"], rel=1e-5)
    assert table["pvalue"][1] == pytest.approx(case["pvalue"], rel=1e-4)
    for (_, mine), theirs in zip(table.iterrows(), case["measures"], strict=True):
        assert mine["chisq"] == pytest.approx(theirs["chisq"], rel=1e-7)
        for name in ("aic", "bic"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-8)
        for name in ("cfi", "rmsea"):
            assert mine[name] == pytest.approx(theirs[f"{name}.robust"], rel=1e-6)


@pytest.mark.parametrize("case", REFERENCE["second_order"], ids=lambda case: case["name"])
def test_reliability_of_a_factor_of_factors(case: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        result = fit(model(case["model"], std_lv=case["std_lv"]), frames()["hs"])
    ours = reliability(result).tidy().query("lhs == 'ability'").set_index("kind")["estimate"]
    theirs = {name: value[0] for name, value in case["values"].items()}
    implied = implied_moments(result)
    assert not isinstance(implied, dict)
    assert ours["omega_l1"] == pytest.approx(
        theirs["omegaL1"] * implied.cov.sum() / result.observed.cov.sum(), rel=1e-6
    )
    assert ours["omega_l2"] == pytest.approx(theirs["omegaL2"], rel=1e-5)
    assert ours["omega_partial"] == pytest.approx(theirs["partialOmegaL1"], rel=1e-6)


@pytest.mark.parametrize("case", REFERENCE["residuals"], ids=lambda case: case["name"])
def test_residuals_with_missing_answers(case: dict[str, Any]) -> None:
    found = misfit(fitted(case["model"], case))
    for kind in ("bentler", "standardized", "normalized"):
        ours = found.matrix(kind).loc[case["names"], case["names"]].to_numpy()
        theirs = np.array(case[kind], dtype=np.float64)
        apart = ~np.eye(len(theirs), dtype=bool)
        np.testing.assert_allclose(ours[apart], theirs[apart], rtol=1e-3, atol=1e-4)
    means = found.table.query("op == '~1'").set_index("lhs")["standardized"]
    assert means[case["names"]].to_numpy() == pytest.approx(np.array(case["mean_standardized"]), rel=2e-3, abs=1e-3)
    assert found.glance()["srmr"].iloc[0] == pytest.approx(case["srmr"], rel=1e-4)
