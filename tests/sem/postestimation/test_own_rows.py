"""Functions that need the rows of a fit again take no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError
from spc.sem import compare, fit, misfit, structural_fit

TEXT = "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\ng ~ f"


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    f = rng.normal(size=300)
    g = 0.5 * f + rng.normal(size=300)
    return pd.DataFrame({f"y{i}": (f if i < 4 else g) + rng.normal(size=300) for i in range(1, 7)})


def changed() -> dict[str, pd.DataFrame]:
    data = rows()
    return {"fewer": data.iloc[:100], "other values": data.assign(y1=data["y1"].to_numpy()[::-1])}


@pytest.mark.parametrize("which", ["fewer", "other values"])
def test_other_rows_than_those_of_the_fit_are_refused(which: str) -> None:
    robust, strict = (fit(text, rows(), estimator="MLR") for text in (TEXT, TEXT.replace("g ~ f", "g ~ 0*f")))
    other = changed()[which]
    for work in (
        lambda: misfit(robust, other),
        lambda: structural_fit(robust, other),
        lambda: compare(robust, strict, method="2010", data=other),
    ):
        with pytest.raises(DataError, match="the 300 rows that the model was fitted to"):
            work()


def test_the_rows_of_the_fit_in_another_order_will_do() -> None:
    robust, strict = (fit(text, rows(), estimator="MLR") for text in (TEXT, TEXT.replace("g ~ f", "g ~ 0*f")))
    turned = rows().iloc[::-1]
    assert misfit(robust, turned).n == structural_fit(robust, turned).n == 300
    found = [compare(robust, strict, method="2010", data=data).augment()["pvalue"].iloc[1] for data in (rows(), turned)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_group_that_is_left_out_is_named() -> None:
    data = rows().assign(site=np.repeat(["a", "b", "c"], 100))
    free = fit(TEXT, data, estimator="MLR", group="site")
    strict = fit(TEXT, data, estimator="MLR", group="site", group_equal=["loadings"])
    left = data[data["site"] != "c"]
    for work in (lambda: misfit(free, left), lambda: compare(free, strict, method="2010", data=left)):
        with pytest.raises(DataError, match="no rows of group c"):
            work()


def test_other_rows_with_missing_answers_are_refused() -> None:
    data = rows()
    data.iloc[::7, 0] = np.nan
    robust = fit(TEXT, data, estimator="MLR", missing="fiml")
    with pytest.raises(DataError, match="the 300 rows that the model was fitted to"):
        misfit(robust, data.iloc[:100])
    assert misfit(robust, data.iloc[::-1]).n == 300
