"""Rows with missing answers in which a model holds exactly, and the Bollen-Stine test on them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from spc.errors import EstimationError, SpcWarning
from spc.sem import SemFit, bootstrap, fit
from spc.sem.resampling.boot_rows import rows_of
from spc.sem.resampling.redraw import like_model
from spc.sem.resampling.turned_answers import turned_answers

TEXT = "f =~ a + b + c\nf ~ x"


def rows(n: int = 250, cross: float = 0.0, seed: int = 5) -> pd.DataFrame:
    """Answers lost at random; ``cross`` is what makes the model wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    f = 0.5 * x + rng.normal(size=n)
    items = pd.DataFrame({name: f + rng.normal(size=n) for name in "abc"})
    items["c"] += cross * x
    return items.mask(rng.random((n, 3)) < 0.15).assign(x=x, g=np.arange(n) % 2)


def fitted(data: pd.DataFrame, **options: str) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(TEXT, data, missing="fiml", **options)  # type: ignore[arg-type]


def turned(result: SemFit, data: pd.DataFrame) -> list[pd.DataFrame]:
    found = []
    for part, own in zip(result.parts, rows_of(result, data, None).values, strict=True):
        p, at = part.problem.place.n_observed, part.point.at
        values = turned_answers(own, part.problem, at.mean[:p], at.covariance[:p, :p])
        assert np.array_equal(np.isnan(values), np.isnan(own))
        found.append(pd.DataFrame(values, columns=list(part.model.observed)))
    return found


def test_the_model_holds_exactly_in_turned_rows() -> None:
    data = rows(cross=1.0)
    result = fitted(data)
    assert result.chisq > 10.0
    again = fitted(turned(result, data)[0])
    assert again.chisq == pytest.approx(0.0, abs=1e-8)
    np.testing.assert_allclose(again.solution.theta, result.solution.theta, atol=1e-5)


def test_groups_are_turned_each_to_its_own_moments() -> None:
    data = rows(400, cross=1.0)
    result = fitted(data, group="g")
    parts = turned(result, data)
    whole = pd.concat([part.assign(g=part_of.group) for part, part_of in zip(parts, result.parts, strict=True)])
    assert fitted(whole, group="g").chisq == pytest.approx(0.0, abs=1e-8)


def test_complete_rows_are_bollen_and_stines() -> None:
    data = rows().dropna().reset_index(drop=True)
    result = fitted(data)
    part = result.parts[0]
    at, p, scale = part.point.at, 4, part.problem.scale[:4]
    own = data[list(part.model.observed)].to_numpy() / scale
    np.testing.assert_allclose(
        turned(result, data)[0] / scale, like_model(own, at.covariance[:p, :p], at.mean[:p]), atol=1e-6
    )


def test_a_wrong_model_is_rejected_and_a_true_one_kept() -> None:
    data = rows()
    kept = bootstrap(fitted(data), data, draws=60, kind="bollen_stine")
    assert kept.p_value == pytest.approx(float(fitted(data).glance()["pvalue"].iloc[0]), abs=0.2)
    assert kept.chisq.mean() == pytest.approx(fitted(data).df, rel=0.45)
    wrong = rows(cross=1.0)
    assert bootstrap(fitted(wrong), wrong, draws=60, kind="bollen_stine").p_value < 0.05


def test_rows_that_cannot_be_turned_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spc.sem.resampling.turned_answers._ROUNDS", 1)
    data = rows(cross=1.0)
    with pytest.raises(EstimationError, match="could not be turned"):
        turned(fitted(data), data)
