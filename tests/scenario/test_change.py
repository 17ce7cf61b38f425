"""Levers over time: ramps, ends, decay and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.errors import UsageError
from spc.scenario import Change


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (Change("a", 2.0), [2, 2, 2, 2]),
        (Change("a", 2.0, start=3), [0, 0, 2, 2]),
        (Change("a", 2.0, ramp=4), [0.5, 1, 1.5, 2]),
        (Change("a", -2.0, lasts=1, decay=0.5), [-2, -1, -0.5, -0.25]),
        (Change("a", 2.0, lasts=2, decay=1.0), [2, 2, 0, 0]),
        (Change("a", 2.0, lasts=2, decay=0.0), [2, 2, 2, 2]),
        (Change("a", 2.0, ramp=4, lasts=2, decay=0.5), [0.5, 1, 0.5, 0.25]),
    ],
)
def test_paths(change: Change, path: list[float]) -> None:
    np.testing.assert_allclose(change.path(4), path)


def test_spending_is_once_and_while_it_lasts() -> None:
    np.testing.assert_allclose(Change("a", 1, cost=5, running_cost=1, start=2, lasts=2).spending(4), [0, 6, 1, 0])
    np.testing.assert_allclose(Change("a", -1, running_cost=-3).spending(3), [-3, -3, -3])


@given(st.floats(-5, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))
def test_a_lever_never_moves_further_than_asked(by: float, start: int, ramp: int, lasts: int, decay: float) -> None:
    path = Change("a", by, start=start, ramp=ramp, lasts=lasts, decay=decay).path(12)
    assert (np.abs(path) <= abs(by) + 1e-12).all()
    assert (path[: start - 1] == 0).all()


@pytest.mark.parametrize(
    "wrong", [{"by": np.nan}, {"start": 0}, {"ramp": 0}, {"lasts": 0}, {"decay": 1.5}, {"cost": np.inf}]
)
def test_impossible_levers_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="change of a"):
        Change(**{"node": "a", "by": 1.0, **wrong})  # type: ignore[arg-type]
