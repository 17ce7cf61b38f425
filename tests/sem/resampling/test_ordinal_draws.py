"""Draws of ordered items: the spread of refits is what the sandwich says, whoever does the work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, UnsupportedError
from spc.sem import fit
from spc.sem.options import Estimator
from spc.sem.resampling.bootstrap import bootstrap
from spc.spec import model

TEXT = "f =~ a + b + c + d"


def answers(n: int = 400, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    latent = 0.8 * rng.standard_normal((n, 1)) + 0.6 * rng.standard_normal((n, 4))
    frame = pd.DataFrame(np.digitize(latent, [-0.8, 0.3]) + 1, columns=list("abcd"))
    return frame.assign(site=np.where(np.arange(n) % 3, "south", "north"))


def test_errors_of_draws_are_those_of_the_sandwich() -> None:
    rows = answers()
    fitted = fit(TEXT, rows, ordered=list("abcd"))
    drawn = bootstrap(fitted, rows, draws=150)
    spread = drawn.replicates.values.std(axis=0, ddof=1)
    np.testing.assert_allclose(spread, np.sqrt(fitted.vcov.diagonal()), rtol=0.3)
    table = drawn.tidy().set_index(["lhs", "op", "rhs"])
    low, high, value = (table.loc[("f", "=~", "b"), name] for name in ("conf_low", "conf_high", "estimate"))
    assert low < value < high


def test_any_number_of_workers_gives_the_same_draws() -> None:
    rows = answers()
    fitted = fit(TEXT, rows, ordered=list("abcd"), group="site", group_equal=["loadings", "thresholds"])
    alone, shared = (bootstrap(fitted, rows, draws=8, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(alone.replicates.values, shared.replicates.values)
    assert len(np.unique(alone.replicates.values[:, 0])) == 8


def test_a_draw_without_some_answer_is_counted() -> None:
    rows = answers(200)
    rows["d"] = np.where(np.arange(200) < 2, 3, np.minimum(rows["d"], 2))
    drawn = bootstrap(fit(TEXT, rows, ordered=list("abcd")), rows, draws=60)
    assert 0 < drawn.replicates.failures["EstimationError"] < 30


def test_what_has_no_method_or_other_rows_is_refused() -> None:
    rows = answers()
    fitted = fit(TEXT, rows, ordered=list("abcd"))
    with pytest.raises(UnsupportedError, match="kind='case'"):
        bootstrap(fitted, rows, kind="bollen_stine")
    with pytest.raises(UnsupportedError, match="percentile"):
        bootstrap(fitted, rows, interval="bca")
    with pytest.raises(DataError, match="expected the 400 rows"):
        bootstrap(fitted, rows[:300])
    with pytest.raises(DataError, match="other answers"):
        bootstrap(fitted, rows.assign(a=4 - rows["a"]))


@pytest.mark.parametrize("estimator", ["WLSMV", "WLS"])
def test_items_that_the_model_names_are_drawn_as_those_of_a_call(estimator: Estimator) -> None:
    rows = answers()
    named = model(TEXT, ordered=dict.fromkeys("abcd", 3))
    fits = fit(named, rows, estimator=estimator), fit(TEXT, rows, estimator=estimator, ordered=list("abcd"))
    first, second = (bootstrap(fitted, rows, draws=4).replicates.values for fitted in fits)
    np.testing.assert_array_equal(first, second)
