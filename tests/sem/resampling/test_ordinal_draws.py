"""Draws of ordered items: the spread of refits is what the sandwich says, whoever does the work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, UnsupportedError
from spc.sem import fit
from spc.sem.options import Estimator
from spc.sem.resampling.bootstrap import bootstrap
from spc.sem.resampling.influence import ordinal_influences
from spc.sem.resampling.ordinal_draws import ordinal_draws
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


def varied(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    x = rng.normal(size=n)
    f = 0.4 * x + rng.normal(size=n)
    made = {name: np.digitize(0.8 * f + 0.7 * rng.normal(size=n), [-0.9, 0.4]) + 1 for name in "abc"}
    rows = pd.DataFrame(made).assign(d=30.0 * f + 20.0 * rng.normal(size=n), x=x, site=np.arange(n) % 2)
    rows["unit"] = np.arange(n) // 4
    return rows


KINDS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "ordered": ("f =~ a + b + c", list("abc"), {}),
    "mixed": ("f =~ a + b + c + d", list("abc"), {"parameterization": "theta"}),
    "covariate": ("f =~ a + b + c + d\nf ~ x", list("abc"), {}),
    "groups": ("f =~ a + b + c + d", list("abc"), {"group": "site", "group_equal": ["loadings", "thresholds"]}),
}


@pytest.mark.parametrize("name", KINDS)
def test_influences_of_rows_are_what_leaving_them_out_does(name: str) -> None:
    """To first order in one over the rows, the weights of DWLS held; their squares sum to the sandwich."""
    text, ordered, options = KINDS[name]
    rows = varied()
    fitted = fit(text, rows, ordered=ordered, **options)
    counts = ordinal_draws(fitted, rows, None, 1).counts
    found = np.concatenate(ordinal_influences(fitted, counts))
    np.testing.assert_allclose((found**2).sum(axis=0), fitted.vcov.diagonal(), rtol=0.02)
    order = np.argsort(rows["site"], kind="stable") if name == "groups" else np.arange(300)
    scale, both = np.sqrt(fitted.vcov.diagonal()), []
    for at in (3, 120):
        left = fit(text, rows.drop(index=order[at]), ordered=ordered, **options)
        both.append(((fitted.solution.theta - left.solution.theta) / scale, found[at] / scale))
    change, influence = np.concatenate([one for one, _ in both]), np.concatenate([one for _, one in both])
    np.testing.assert_allclose(change, influence, atol=0.05)
    assert np.corrcoef(change, influence)[0, 1] > 0.95


@pytest.mark.parametrize("cluster", [None, "unit"])
def test_bca_intervals_are_moved_by_the_skewness_of_influences(cluster: str | None) -> None:
    rows = varied()
    text = "f =~ a + b + c + d\nload := sqrt(l)\nf ~~ l*f"
    fitted = fit(text, rows, ordered=list("abc"))
    drawn = bootstrap(fitted, rows, draws=60, seed=2, interval="bca", cluster=cluster)
    assert np.isfinite(drawn.acceleration).all()
    assert (np.abs(drawn.acceleration) > 1e-4).all()
    assert (np.abs(drawn.acceleration) < 0.2).all()
    table = drawn.tidy()
    own = table["std_error"].notna()
    assert (table["conf_low"] < table["conf_high"])[own].mean() > 0.9
    assert not np.allclose(table["conf_low"][own], drawn.intervals("percentile")["conf_low"][own])


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
