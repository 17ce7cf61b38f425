"""Panels: lavaan's numbers, truth within units where stable differences mislead, and measurement error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.panel import MODELS, panel
from spc.chain.panel_rows import measurement_errors, over_waves
from spc.chain.two_way import slopes, two_way
from spc.errors import DataError, UnsupportedError, UsageError

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_panel.json").read_text())
PLAIN, INNER = MODELS["cross_lagged"], MODELS["random_intercept"]
FIXED, WITHIN = MODELS["fixed_effects"], MODELS["within"]


def long(values: np.ndarray, names: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    """(J, T, p) values as one row a unit and wave."""
    units, waves, _ = values.shape
    keys = pd.DataFrame({"unit": np.repeat(range(units), waves), "wave": np.tile(range(1, waves + 1), units)})
    return keys.join(pd.DataFrame(values.reshape(units * waves, -1), columns=list(names)))


def moving(units: int, waves: int, rng: np.random.Generator, cross: float, stable: float = 1.0) -> np.ndarray:
    """Stable parts that correlate .6, and change in which a goes before b by ``cross``."""
    for_good = stable * rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], units)
    now = rng.normal(size=(units, 2))
    values = []
    for _ in range(waves):
        values.append(for_good + now)
        now = now @ np.array([[0.3, cross], [0.0, 0.3]]) + 0.9 * rng.normal(size=(units, 2))
    return np.stack(values, axis=1)


def cross(found: spc.Panel, label: str, lhs: str, rhs: str) -> pd.Series:
    table = found.tidy()
    own = (table["kind"] == "cross_lag") & (table["label"] == label) & (table["lhs"] == lhs) & (table["rhs"] == rhs)
    return table[own].iloc[0]


@pytest.mark.parametrize("holes", ["complete", "holes"])
def test_lavaan_finds_the_same(holes: str) -> None:
    rows = REFERENCE["complete" if holes == "complete" else "rows"]
    values = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)
    found = panel(long(values.reshape(len(rows), 4, 2)), ["a", "b"])
    answers = REFERENCE["answers"][holes]
    names = {"a": "a", "b": "b"}
    for key, label in (("cross_lagged", PLAIN), ("random_intercept", INNER)):
        own = found.tidy()[found.tidy()["label"] == label].set_index("kind")
        lags = own[own["op"] == "~"].set_index(["lhs", "rhs"])
        for which, estimate, error in zip(*(answers[key][c] for c in ("label", "estimate", "error")), strict=True):
            row = lags.loc[(names[which[0]], names[which[1]])]
            np.testing.assert_allclose([row["estimate"], row["std_error"]], [estimate, error], rtol=2e-3, atol=2e-5)
        np.testing.assert_allclose(own.loc["chisq", "estimate"], answers[key]["chisq"], rtol=1e-4)
        assert own.loc["chisq", "rhs"] == f"{answers[key]['df']} df"
    expected = dict(zip(answers["fixed_effects"]["label"], answers["fixed_effects"]["estimate"], strict=True))
    np.testing.assert_allclose(cross(found, FIXED, "b", "a")["estimate"], expected["x"], rtol=2e-3)


def test_stable_differences_mislead_the_cross_lagged_panel_alone() -> None:
    """Nothing goes from a to b within units: the random-intercept panel and fixed effects say so."""
    values = moving(400, 5, np.random.default_rng(4), cross=0.0)
    found = panel(long(values), ["a", "b"])
    assert cross(found, PLAIN, "b", "a")["conf_low"] > 0.03
    for label in (INNER, FIXED):
        row = cross(found, label, "b", "a")
        assert row["conf_low"] < 0 < row["conf_high"]
    codes = {note.subject: note.code for note in found.notes()}
    assert codes["b ~ a"] == "between_not_within"
    share = found.tidy().query("kind == 'stable_share'")["estimate"]
    np.testing.assert_allclose(share, 0.5, atol=0.1)
    parts = found.tidy().query("kind == 'stable_parts'").iloc[0]
    assert parts["p_value"] < 1e-6
    together = found.tidy().query("kind == 'stable_covariance'").iloc[0]
    assert abs(together["std_all"] - 0.6) < 0.12


def test_change_within_units_is_found() -> None:
    """The truth is .3 from a to b, nothing back."""
    found = panel(long(moving(800, 5, np.random.default_rng(7), cross=0.3)), ["a", "b"])
    for label in (INNER, FIXED):
        row = cross(found, label, "b", "a")
        assert row["conf_low"] < 0.3 < row["conf_high"]
        assert row["conf_low"] > 0.1
    back = cross(found, INNER, "a", "b")
    assert back["conf_low"] < 0 < back["conf_high"]


def test_without_stable_differences_there_is_no_random_intercept() -> None:
    found = panel(long(moving(100, 4, np.random.default_rng(3), cross=0.3, stable=0.0)), ["a", "b"])
    row = cross(found, PLAIN, "b", "a")
    assert row["conf_low"] < 0.3 < row["conf_high"]
    assert "within_transformation" in {note.code for note in found.notes()}


def test_error_of_measurement_is_taken_out() -> None:
    """Error of .5 on variances near 1 shrinks the link; with its reliability said, the truth comes back."""
    rng = np.random.default_rng(5)
    values = moving(1500, 4, rng, cross=0.4, stable=0.0)
    noisy = values + np.sqrt(0.5) * rng.normal(size=values.shape)
    share = {name: float(1 - 0.5 / noisy[..., i].var()) for i, name in enumerate("ab")}
    plain = panel(long(noisy), ["a", "b"], models=["cross_lagged"])
    repaired = panel(long(noisy), ["a", "b"], models=["cross_lagged"], reliability=share)
    assert cross(plain, PLAIN, "b", "a")["conf_high"] < 0.36
    assert abs(cross(repaired, PLAIN, "b", "a")["estimate"] - 0.4) < 0.06


def test_coefficients_may_differ_by_wave() -> None:
    found = panel(long(moving(300, 4, np.random.default_rng(1), cross=0.3)), ["a", "b"], equal=False)
    groups = found.tidy().query("kind == 'cross_lag' and lhs == 'b'").groupby("label")["group"].apply(list)
    assert groups[INNER] == ["wave 2", "wave 3", "wave 4"]
    assert groups[FIXED] == [""]


def test_units_of_a_study_err_by_their_number_of_people(tmp_path: Path) -> None:
    study = spc.read_study(spc.make_firm(seed=3, units=30, waves=3, missing=0.0).write(tmp_path))
    names = ("customer_value", "customer_satisfaction")
    errors = measurement_errors(study, names, [1, 2, 3], "unit")
    rows = study.tables["customer_responses"].query("wave == 2")
    book = {c.name: c for c in study.codebook}
    from spc.survey import score

    scores = pd.DataFrame({n: score(rows, book[n]) for n in names})
    groups = scores.groupby(rows["unit"])
    within = sum((len(g) - 1) * g.cov() for _, g in groups) / (len(rows) - groups.ngroups)
    expected = within.loc[names[0], names[1]] * (1 / groups.size()).mean()
    assert errors[names[0], names[1], 2] == pytest.approx(expected)
    assert over_waves(study, names, "unit").shape == (90, 4)


def test_within_transformation_is_least_squares_on_dummies() -> None:
    rng = np.random.default_rng(2)
    unit, wave = np.repeat(np.arange(12), 4), np.tile(np.arange(4), 12)
    keep = rng.random(48) > 0.2
    unit, wave = unit[keep], wave[keep]
    x = rng.normal(size=keep.sum()) + unit
    y = 0.5 * x + 2 * unit + 3 * wave + rng.normal(size=keep.sum())
    dummies = np.column_stack([x, np.eye(12)[unit], np.eye(4)[wave][:, 1:]])
    expected = np.linalg.lstsq(dummies, y, rcond=None)[0]
    left = y - dummies @ expected
    own = np.linalg.lstsq(dummies[:, 1:], x, rcond=None)[0]
    own = x - dummies[:, 1:] @ own
    pieces = np.bincount(unit, own * left) ** 2
    factor = 12 / 11 * (keep.sum() - 1) / (keep.sum() - 1 - 3)
    found = slopes(y, x[:, None], two_way(unit, wave))
    assert found is not None
    assert found.slope[0] == pytest.approx(expected[0])
    assert found.error[0] == pytest.approx(np.sqrt(factor * pieces.sum()) / (own @ own))


def test_refusals() -> None:
    frame = long(moving(40, 3, np.random.default_rng(1), cross=0.3))
    with pytest.raises(DataError, match="three waves"):
        panel(frame[frame["wave"] < 3], ["a", "b"])
    with pytest.raises(DataError, match="twice"):
        panel(pd.concat([frame, frame]), ["a", "b"])
    with pytest.raises(DataError, match="no column"):
        panel(frame, ["a", "c"])
    with pytest.raises(UsageError, match="constructs="):
        panel(frame)
    with pytest.raises(UnsupportedError, match="random_intercept"):
        panel(frame, ["a", "b"], models=["growth"])  # type: ignore[list-item]


def test_a_link_at_once_is_no_lag_within_units() -> None:
    rng = np.random.default_rng(6)
    cause = rng.normal(size=(600, 3))
    values = np.stack([cause, 0.8 * cause + rng.normal(size=(600, 3))], axis=2)
    found = panel(long(values), ["a", "b"], models=["within"])
    assert abs(cross(found, WITHIN, "b", "a")["estimate"]) < 0.12
