import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError
from spc.regression import link_regressions
from spc.results import TIDY_COLUMNS


def rows(n=200, seed=3):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    y = 0.5 * x - 0.2 * z + rng.normal(size=n) * (1 + np.abs(x))
    return pd.DataFrame({"x": x, "z": z, "y": y, "unit": np.repeat(np.arange(n // 10), 10)})


def hc3_by_hand(frame):
    X = np.column_stack([frame["x"], frame["z"], np.ones(len(frame))])
    y = frame["y"].to_numpy()
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, bread, X)
    omega = ((y - X @ beta) / (1 - leverage)) ** 2
    vcov = bread @ (X.T * omega) @ X @ bread
    return beta, np.sqrt(np.diag(vcov))


def test_slopes_and_hc3_errors_equal_the_formula():
    frame = rows()
    tidy = link_regressions(frame, {"y": ["x", "z"]}).tidy()
    beta, errors = hc3_by_hand(frame)
    assert list(tidy.columns) == list(TIDY_COLUMNS)
    np.testing.assert_allclose(tidy["estimate"], beta[:2], rtol=1e-10)
    np.testing.assert_allclose(tidy["std_error"], errors[:2], rtol=1e-10)
    assert (tidy["label"] == "OLS, HC3").all()


def test_clustered_errors_equal_the_formula():
    frame = rows()
    tidy = link_regressions(frame, {"y": ["x", "z"]}, cluster=frame["unit"]).tidy()
    X = np.column_stack([frame["x"], frame["z"], np.ones(len(frame))])
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ frame["y"].to_numpy()
    residual = frame["y"].to_numpy() - X @ beta
    scores = np.array([X[frame["unit"] == u].T @ residual[frame["unit"] == u] for u in frame["unit"].unique()])
    n, k, g = len(frame), 3, len(scores)
    vcov = bread @ (scores.T @ scores) @ bread * g / (g - 1) * (n - 1) / (n - k)
    np.testing.assert_allclose(tidy["std_error"], np.sqrt(np.diag(vcov))[:2], rtol=1e-10)


def test_standardised_slope_of_one_predictor_is_the_correlation():
    frame = rows()
    tidy = link_regressions(frame, {"y": ["x"]}).tidy()
    assert tidy["std_all"].item() == pytest.approx(frame["y"].corr(frame["x"]), rel=1e-12)


def test_missing_rows_leave_only_their_own_regression():
    frame = rows()
    frame.loc[:49, "z"] = np.nan
    result = link_regressions(frame, {"y": ["x"], "x": ["z"]})
    assert result.fits.set_index("lhs")["nobs"].to_dict() == {"y": 200, "x": 150}


def test_few_units_are_said():
    frame = rows()
    notes = link_regressions(frame, {"y": ["x"]}, cluster=frame["unit"]).notes()
    assert [note.code for note in notes] == ["few_clusters"]
    assert link_regressions(frame, {"y": ["x"]}).notes() == ()


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"x": 1.0}, "never changes"),
        ({"z": "x"}, "linearly dependent"),
    ],
)
def test_what_cannot_be_estimated_is_an_error(change, phrase):
    frame = rows()
    for column, value in change.items():
        frame[column] = frame[value] if isinstance(value, str) else value
    with pytest.raises(DataError, match=phrase):
        link_regressions(frame, {"y": ["x", "z"]})


def test_too_few_rows():
    with pytest.raises(DataError, match="4 complete rows"):
        link_regressions(rows().head(4), {"y": ["x", "z"]})
