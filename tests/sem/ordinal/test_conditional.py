from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from spc.errors import NonConvergenceError, NotPositiveDefiniteError
from spc.moments import Counts
from spc.sem.ordinal.conditional import conditional_moments
from spc.sem.ordinal.moments import OrdinalMoments, ordinal_moments


def rows(n: int = 300, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(50.0, 8.0, n), rng.integers(0, 2, n).astype(float)
    common = rng.normal(size=n)
    a = 0.05 * (x - 50.0) + 0.7 * common + rng.normal(size=n)
    b = 0.6 * w - 0.6 * common + rng.normal(size=n)
    y = 100.0 + 2.0 * x + 10.0 * (common + rng.normal(size=n))
    codes = {"a": np.digitize(a, [-1.0, 0.0, 1.2]), "b": np.digitize(b, [0.3])}
    return pd.DataFrame({**codes, "y": y, "x": x, "w": w})


NAMES = ["a", "b", "y", "x", "w"]


def found(frame: pd.DataFrame) -> OrdinalMoments:
    return conditional_moments(Counts.from_frame(frame, NAMES, ["a", "b"]), ("x", "w"))


def test_regressions_are_those_of_statsmodels() -> None:
    from statsmodels.miscmodels.ordinal_model import OrderedModel
    from statsmodels.regression.linear_model import OLS

    frame, mine = rows(), found(rows())
    for at, name in enumerate(["a", "b"]):
        fitted = OrderedModel(frame[name], frame[["x", "w"]], distr="probit").fit(method="newton", disp=False)
        np.testing.assert_allclose(mine.slope[at], fitted.params[:2], rtol=1e-5)
        cut = fitted.model.transform_threshold_params(fitted.params.to_numpy())[1:-1]
        np.testing.assert_allclose(mine.threshold[mine.owner == at], cut, rtol=1e-5)
    line = OLS(frame["y"], frame[["x", "w"]].assign(one=1.0)).fit()
    np.testing.assert_allclose(mine.slope[2], line.params[:2], rtol=1e-8)
    assert mine.mean[2] == pytest.approx(line.params["one"])
    assert mine.cov[2, 2] == pytest.approx(line.resid.var(ddof=0))


def test_correlations_are_the_maximum_of_the_likelihood_given_the_regressions() -> None:
    frame, mine = rows(), found(rows())
    both = frame[["x", "w"]].to_numpy()
    z = (frame["y"] - mine.mean[2] - both @ mine.slope[2]) / np.sqrt(mine.cov[2, 2])
    edges = np.concatenate([[-np.inf], mine.threshold[mine.owner == 0], [np.inf]])
    code, shift = frame["a"].to_numpy(), both @ mine.slope[0]

    def lost(r: float) -> float:
        root = np.sqrt(1.0 - r * r)
        upper, lower = edges[code + 1] - shift, edges[code] - shift
        return -float(np.log(ndtr((upper - r * z) / root) - ndtr((lower - r * z) / root)).sum())

    best = minimize_scalar(lost, bounds=(-0.99, 0.99), method="bounded", options={"xatol": 1e-10})
    assert mine.cov[0, 2] / np.sqrt(mine.cov[2, 2]) == pytest.approx(best.x, abs=1e-6)


def test_covariances_are_near_those_of_the_jackknife() -> None:
    frame = rows(160)
    mine = found(frame)
    each = np.array([found(frame.drop(index=i)).statistics for i in frame.index])
    jackknife = np.cov(each, rowvar=False) * (len(frame) - 1) ** 2 / len(frame)
    ratio = np.sqrt(mine.gamma.diagonal() / len(frame) / jackknife.diagonal())
    np.testing.assert_allclose(ratio, 1.0, atol=0.3)


def test_units_and_origins_of_covariates_do_not_matter() -> None:
    one = found(rows())
    other = found(rows().assign(x=lambda d: 1e5 * d["x"], w=lambda d: d["w"] + 3.0))
    np.testing.assert_allclose(one.cov, other.cov, rtol=1e-7)
    np.testing.assert_allclose(one.slope[:, 0], 1e5 * other.slope[:, 0], rtol=1e-7)
    t = one.threshold.size
    np.testing.assert_allclose(one.threshold, other.threshold - 3.0 * one.slope[one.owner, 1], atol=1e-7)
    np.testing.assert_allclose(one.gamma[-1, -1], other.gamma[-1, -1], rtol=1e-6)
    assert t == 4


def test_a_covariate_of_noise_changes_little() -> None:
    frame = rows(4000).assign(noise=np.random.default_rng(1).normal(size=4000))
    plain = ordinal_moments(Counts.from_frame(frame, ["a", "b", "y"], ["a", "b"]))
    given = conditional_moments(Counts.from_frame(frame, ["a", "b", "y", "noise"], ["a", "b"]), ("noise",))
    np.testing.assert_allclose(given.cov, plain.cov, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(given.threshold, plain.threshold, atol=0.01)


def test_rows_without_a_covariate_are_left_out() -> None:
    frame = rows()
    frame.loc[:9, "x"] = np.nan
    assert found(frame).n == 290


def test_a_covariate_that_tells_categories_apart() -> None:
    frame = rows().assign(w=lambda d: d["b"].astype(float))
    with pytest.raises(NonConvergenceError, match="b: the probit regression"):
        found(frame)


def test_covariates_that_depend_on_one_another() -> None:
    with pytest.raises(NotPositiveDefiniteError, match="x, w"):
        found(rows().assign(w=lambda d: 2.0 * d["x"]))
