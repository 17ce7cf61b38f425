"""Lags: the planted one is found, chance is not, and each slope is least squares on dummies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.lag_search import lag_search
from spc.errors import DataError, UnsupportedError, UsageError


def frame_of(cause: np.ndarray, effect: np.ndarray) -> pd.DataFrame:
    units, waves = cause.shape
    return pd.DataFrame({
        "unit": np.repeat(range(units), waves), "wave": np.tile(range(waves), units),
        "a": cause.ravel(), "b": effect.ravel(),
    })  # fmt: skip


def smooth(units: int, waves: int, rng: np.random.Generator, keep: float = 0.6) -> np.ndarray:
    """Serially correlated within units, around levels of their own and a season all share."""
    values = [rng.normal(size=units)]
    for _ in range(waves - 1):
        values.append(keep * values[-1] + np.sqrt(1 - keep**2) * rng.normal(size=units))
    return np.stack(values, axis=1) + 2 * rng.normal(size=(units, 1)) + 3 * rng.normal(size=waves)


def planted(rng: np.random.Generator, lag: int = 2) -> pd.DataFrame:
    cause, effect = smooth(50, 9, rng, 0.3), smooth(50, 9, rng)
    effect[:, lag:] += 0.5 * cause[:, :-lag]
    return frame_of(cause, effect)


@pytest.mark.parametrize("control", ["fixed_effects", "differences"])
def test_the_planted_lag_is_found(control: str) -> None:
    found = lag_search(planted(np.random.default_rng(3)), "a", "b", max_lag=4, control=control, draws=399)
    assert found.best == 2
    assert found.p_value < 0.01
    table = found.tidy()
    assert abs(table.query("kind == 'lag' and label == 'lag 2'")["estimate"].iloc[0] - 0.5) < 0.15
    assert "lag_found" in {note.code for note in found.notes()}
    assert table["kind"].value_counts().to_dict() == {
        "lag": 5, "lag_corrected": 5, "best_lag": 1, "reverse_lag": 4, "reverse_lag_corrected": 4,
        "best_reverse_lag": 1,
    }  # fmt: skip


@pytest.mark.parametrize("joint", [True, False])
def test_a_lag_is_least_squares_on_dummies(joint: bool) -> None:
    rng = np.random.default_rng(8)
    cause, effect = smooth(20, 6, rng), smooth(20, 6, rng)
    table = lag_search(frame_of(cause, effect), "a", "b", max_lag=2, joint=joint, draws=99).tidy()
    found = table[table["kind"] == "lag"].set_index("label")
    rows = [(j, t) for j in range(20) for t in range(2, 6)]
    unit, wave = np.array([j for j, _ in rows]), np.array([t for _, t in rows])
    y, rest = effect[unit, wave], np.column_stack([np.eye(20)[unit], np.eye(6)[wave][:, 3:]])
    for lag in range(3):
        others = [cause[unit, wave - other] for other in range(3) if joint and other != lag]
        x = np.column_stack([cause[unit, wave - lag], *others, rest])
        slope = np.linalg.lstsq(x, y, rcond=None)[0]
        left, given = y - x @ slope, x[:, 0] - x[:, 1:] @ np.linalg.lstsq(x[:, 1:], x[:, 0], rcond=None)[0]
        factor = 20 / 19 * 79 / (80 - 3 - 1 - len(others))
        error = np.sqrt(factor * (np.bincount(unit, left * given) ** 2).sum()) / (given @ given)
        row = found.loc[f"lag {lag}"]
        assert [row["estimate"], row["std_error"]] == pytest.approx([slope[0], error])


def test_neighbours_of_a_link_are_empty_given_the_link() -> None:
    """A link at once, three waves: apart, the lag after shows with the opposite sign; jointly it does not."""
    rng = np.random.default_rng(6)
    cause = rng.normal(size=(400, 3))
    frame = frame_of(cause, 0.8 * cause + rng.normal(size=(400, 3)))
    one, both = (lag_search(frame, "a", "b", joint=joint, draws=199).tidy() for joint in (False, True))
    apart, together = (t.query("kind == 'lag' and label == 'lag 1'").iloc[0] for t in (one, both))
    assert apart["conf_high"] < -0.2
    assert abs(together["estimate"]) < 0.15
    back = both.query("kind == 'reverse_lag'").iloc[0]
    assert abs(back["estimate"]) < 0.15


def test_correction_is_never_kinder_and_order_changes_nothing() -> None:
    frame = planted(np.random.default_rng(5))
    found = lag_search(frame, "a", "b", draws=999)
    again = lag_search(frame.sample(frac=1.0, random_state=1), "a", "b", draws=999)
    pd.testing.assert_frame_equal(found.tidy(), again.tidy())
    table = found.tidy()
    raw = table.query("kind == 'lag'")["p_value"].to_numpy()
    corrected = table.query("kind == 'lag_corrected'")["p_value"].to_numpy()
    assert (corrected >= raw - 0.02).all()
    assert found.p_value == corrected.min()


def size_of(firms: int, units: int, waves: int, draws: int) -> tuple[float, float]:
    """How often a search of nothing finds something, corrected and by the least p-value of all lags."""
    corrected = raw = 0
    for i in range(firms):
        rng = np.random.default_rng([17, i])
        found = lag_search(
            frame_of(smooth(units, waves, rng), smooth(units, waves, rng)), "a", "b", draws=draws, seed=i
        )
        corrected += found.p_value < 0.05
        raw += found.tidy().query("kind == 'lag'")["p_value"].min() < 0.05
    return corrected / firms, raw / firms


def test_chance_is_found_as_often_as_said() -> None:
    corrected, raw = size_of(120, 25, 7, 199)
    assert corrected <= 0.11
    assert raw > corrected + 0.04


@pytest.mark.slow
@pytest.mark.parametrize(("units", "waves"), [(15, 6), (30, 8), (80, 10)])
def test_chance_is_found_as_often_as_said_at_length(units: int, waves: int) -> None:
    corrected, _ = size_of(1000, units, waves, 399)
    assert 0.015 <= corrected <= 0.065


def test_a_link_the_other_way_shows_in_the_reverse_lags() -> None:
    frame = planted(np.random.default_rng(3)).rename(columns={"a": "b", "b": "a"})
    found = lag_search(frame, "a", "b", max_lag=4, draws=399)
    best = found.tidy().query("kind == 'best_reverse_lag'").iloc[0]
    assert best["estimate"] == 2
    assert best["p_value"] < 0.01
    assert "reverse_lag" in {note.code for note in found.notes()}


def test_holes_and_uneven_waves(tmp_path: Path) -> None:
    frame = planted(np.random.default_rng(3))
    frame.loc[np.random.default_rng(1).random(len(frame)) < 0.05, "a"] = np.nan
    frame["wave"] = frame["wave"].map(lambda k: 2 * k if k > 4 else k)
    found = lag_search(frame, "a", "b", max_lag=2, draws=199)
    assert found.best == 2
    assert "uneven_waves" in {note.code for note in found.notes()}


def test_constructs_of_a_study(tmp_path: Path) -> None:
    study = spc.read_study(spc.make_firm(seed=3, units=30, waves=4).write(tmp_path))
    found = lag_search(study, "employee_satisfaction", "employee_loyalty", draws=199)
    assert found.waves == (1, 2, 3, 4)
    assert found.best == 0
    assert "same_people" in {note.code for note in found.notes()}
    assert lag_search(study, "employee_satisfaction", "customer_value", draws=199).nunits == 30


def test_refusals() -> None:
    frame = planted(np.random.default_rng(1))
    with pytest.raises(UsageError, match="from 0 to 7"):
        lag_search(frame, "a", "b", max_lag=8)
    with pytest.raises(DataError, match="at least three"):
        lag_search(frame[frame["wave"] < 2], "a", "b")
    with pytest.raises(DataError, match="units"):
        lag_search(frame[frame["unit"] < 4], "a", "b")
    with pytest.raises(UsageError, match="name two"):
        lag_search(frame, "a", "a")
    with pytest.raises(UnsupportedError, match="differences"):
        lag_search(frame, "a", "b", control="none")  # type: ignore[arg-type]
