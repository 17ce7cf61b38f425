"""Every objective, written out plainly from its definition: flat at the estimates, and curved as their errors say.

Nothing of the engine is used but its results: moments are implied by dense matrices built from the rows of ``tidy()``,
and all derivatives are finite differences.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning
from spc.linalg import FloatArray, vech
from spc.moments import Moments
from spc.sem import fit
from spc.sem.fit import SemFit
from spc.spec import model

FACTORS = "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\ng ~ f + x\na1 ~~ b1"
EQUAL = "f =~ a1 + k*a2 + k*a3\ng =~ b1 + m*b2 + l*b3\ng ~ f\nm + l == 1.9"
HIGHER = "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\nh =~ 1*f + 1*g\nf ~~ e*f\ng ~~ e*g"
LOOP = "a1 ~ x + b1\nb1 ~ a1 + z"
ONE = "f =~ a1 + k*a2 + l*a3 + b3\nk + l == 1.6"
CURVE = "i =~ 1*a1 + 1*a2 + 1*a3\ns =~ 0*a1 + 1*a2 + 2*a3\ni ~ x + 1\ns ~ x + 1\na1 ~ 0*1\na2 ~ 0*1\na3 ~ 0*1"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n, unit = 240, 30
    shift = 0.4 * rng.normal(size=unit)[np.arange(n) % unit]
    x, z = rng.normal(size=(2, n))
    f = 0.7 * x + shift + rng.exponential(size=n)
    g = 0.6 * f + 0.1 * x + 0.7 * z + rng.normal(size=n)
    columns = {"x": x, "z": z, "unit": np.arange(n) % unit, "half": np.arange(n) % 2}
    columns |= {f"a{k}": 2 + f * (1.1 - 0.1 * k) + 0.7 * rng.normal(size=n) for k in (1, 2, 3)}
    columns |= {f"b{k}": 1 + g * (1.1 - 0.1 * k) + 0.7 * rng.normal(size=n) for k in (1, 2, 3)}
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Plain:
    """Implied moments of a fitted model as a function of its free parameters, one block a group."""

    result: SemFit
    estimates: FloatArray
    theta: FloatArray

    @classmethod
    def of(cls, result: SemFit) -> Plain:
        rows = len(result.model.parameters)
        return cls(result, result.tidy()["estimate"].to_numpy(dtype=float)[:rows], np.array(result.solution.theta))

    def implied(self, theta: FloatArray, group: int = 1) -> tuple[FloatArray, FloatArray]:
        made = self.result.model
        names = [*made.observed, *made.latents]
        index = {name: k for k, name in enumerate(names)}
        a, s, m = np.zeros((len(names), len(names))), np.zeros((len(names), len(names))), np.zeros(len(names))
        for row, estimate in zip(made.parameters, self.estimates, strict=True):
            value = theta[row.free - 1] if row.free else estimate
            if row.group != group:
                continue
            if row.op == "=~":
                a[index[row.rhs], index[row.lhs]] = value
            elif row.op == "~":
                a[index[row.lhs], index[row.rhs]] = value
            elif row.op == "~~":
                s[index[row.lhs], index[row.rhs]] = s[index[row.rhs], index[row.lhs]] = value
            elif row.op == "~1":
                m[index[row.lhs]] = value
        total = np.linalg.inv(np.eye(len(names)) - a)[: len(made.observed)]
        return total @ m, total @ s @ total.T

    def moments(self, theta: FloatArray) -> FloatArray:
        mean, cov = self.implied(theta)
        return np.concatenate([mean, vech(cov)]) if self.result.model.meanstructure else vech(cov)


def slopes(function: Callable[[FloatArray], Any], at: FloatArray, h: float = 1e-4) -> FloatArray:
    """Derivatives by central differences of fourth order, parameters first."""
    found = [
        (8.0 * (function(at + d) - function(at - d)) - (function(at + 2 * d) - function(at - 2 * d))) / (12.0 * h)
        for d in h * np.eye(at.size)
    ]
    return np.array(found)


def hessian(function: Callable[[FloatArray], float], at: FloatArray) -> FloatArray:
    """Second derivatives by differences of second order, extrapolated once."""

    def differences(h: float) -> FloatArray:
        size = range(at.size)
        step = h * np.eye(at.size)
        found = np.zeros((at.size, at.size))
        for i in size:
            for j in range(i + 1):
                apart = function(at + step[i] - step[j]) + function(at - step[i] + step[j])
                alike = function(at + step[i] + step[j]) + function(at - step[i] - step[j])
                found[i, j] = found[j, i] = (alike - apart) / (4.0 * h * h)
        return found

    return np.asarray((4.0 * differences(1e-3) - differences(2e-3)) / 3.0)


def within(information: FloatArray, vcov: FloatArray) -> FloatArray:
    """Inverse of the information on the parameters that constraints leave free: the range of ``vcov``."""
    size, axes = np.linalg.eigh(vcov)
    free = axes[:, size > 1e-9 * size.max()]
    return np.asarray(free @ np.linalg.inv(free.T @ information @ free) @ free.T)


def flat(gradient: FloatArray, vcov: FloatArray, size: float) -> bool:
    """Whether no step that constraints allow lowers F by more than rounding; one standard error counts as one."""
    return bool(np.abs(gradient @ vcov / np.sqrt(vcov.diagonal())).max() * size < 1e-4)


def normal_weight(cov: FloatArray, *, means: bool) -> FloatArray:
    p = len(cov)
    first, second = np.triu_indices(p)
    w = np.linalg.inv(cov)
    double = np.where(first == second, 1.0, 2.0)
    inner = w[np.ix_(first, first)] * w[np.ix_(second, second)] + w[np.ix_(first, second)] * w[np.ix_(second, first)]
    inner = inner * np.outer(double, double) / 4.0
    if not means:
        return np.asarray(inner)
    whole = np.zeros((p + len(inner), p + len(inner)))
    whole[:p, :p], whole[p:, p:] = w, inner
    return whole


def normal_logl(rows: FloatArray, mean: FloatArray, cov: FloatArray) -> FloatArray:
    """Log-likelihood of each row, whatever it answers."""
    answered, values = ~np.isnan(rows), np.zeros(len(rows))
    for pattern in np.unique(answered, axis=0):
        own = (answered == pattern).all(axis=1)
        r, c = rows[np.ix_(own, pattern)] - mean[pattern], cov[np.ix_(pattern, pattern)]
        squares = np.einsum("ij,ij->i", r, np.linalg.solve(c, r.T).T)
        values[own] = -0.5 * (pattern.sum() * np.log(2 * np.pi) + np.linalg.slogdet(c)[1] + squares)
    return values


def quiet(text: str, data: pd.DataFrame, **options: Any) -> SemFit:
    settings = {name: options.pop(name) for name in ("meanstructure", "fixed_x") if name in options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(model(text, **settings), data, **options)


def fit_function(moments: Moments, divisor: int, *, means: bool) -> Callable[[FloatArray, FloatArray], float]:
    s = moments.cov * (moments.n - 1) / divisor

    def value(mean: FloatArray, cov: FloatArray) -> float:
        r = moments.mean - mean if means else np.zeros(len(s))
        inverse = np.linalg.inv(cov)
        logs = np.linalg.slogdet(cov)[1] - np.linalg.slogdet(s)[1]
        return float(logs + np.sum(s * inverse) - len(s) + r @ inverse @ r)

    return value


@pytest.mark.parametrize("likelihood", ["normal", "wishart"])
@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("fixed_x", [False, True])
@pytest.mark.parametrize("text", [FACTORS, EQUAL, HIGHER, LOOP], ids=["factors", "equal", "higher", "loop"])
def test_maximum_likelihood(data: pd.DataFrame, text: str, fixed_x: bool, means: bool, likelihood: Any) -> None:
    result = quiet(text, data, meanstructure=means, fixed_x=fixed_x, likelihood=likelihood)
    plain, moments = Plain.of(result), Moments.from_frame(data, result.model.observed)
    divisor = moments.n if likelihood == "normal" else moments.n - 1
    value = fit_function(moments, divisor, means=means)

    def discrepancy(theta: FloatArray) -> float:
        return value(*plain.implied(theta))

    vcov = np.array(result.vcov)
    assert divisor * discrepancy(plain.theta) == pytest.approx(result.glance()["chisq"].iloc[0], rel=1e-8, abs=1e-8)
    assert flat(slopes(discrepancy, plain.theta), vcov, divisor)
    jacobian = slopes(plain.moments, plain.theta)
    weight = normal_weight(plain.implied(plain.theta)[1], means=means)
    information = divisor * jacobian @ weight @ jacobian.T
    np.testing.assert_allclose(vcov, within(information, vcov), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("method", ["GLS", "ULS", "WLS"])
@pytest.mark.parametrize("text", [FACTORS, EQUAL, LOOP], ids=["factors", "equal", "loop"])
def test_least_squares(data: pd.DataFrame, text: str, method: Any, means: bool) -> None:
    result = quiet(text, data, meanstructure=means, fixed_x=False, estimator=method)
    plain, moments = Plain.of(result), Moments.from_frame(data, result.model.observed, higher=True)
    p, n = len(moments.names), moments.n
    assert moments.higher is not None
    gamma = moments.higher if means else moments.higher[p:, p:]
    sample = np.concatenate([moments.mean, vech(moments.cov)]) if means else vech(moments.cov)
    weight = {
        "GLS": normal_weight(moments.cov, means=means),
        "ULS": np.eye(len(gamma)),
        "WLS": np.linalg.inv(gamma),
    }[method]

    def discrepancy(theta: FloatArray) -> float:
        gap = sample - plain.moments(theta)
        return float(gap @ weight @ gap)

    vcov = np.array(result.vcov)
    assert (n - 1) * discrepancy(plain.theta) == pytest.approx(result.glance()["chisq"].iloc[0], rel=1e-7, abs=1e-8)
    assert flat(slopes(discrepancy, plain.theta), vcov, n)
    jacobian = slopes(plain.moments, plain.theta)
    bread = within(jacobian @ weight @ jacobian.T, vcov)
    if method == "ULS":
        bread = bread @ jacobian @ gamma @ jacobian.T @ bread
    np.testing.assert_allclose((n - 1) * vcov, bread, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("estimator", ["ML", "MLR", "cluster"])
@pytest.mark.parametrize("text", [ONE, CURVE], ids=["one", "curve"])
def test_likelihood_of_rows(data: pd.DataFrame, text: str, estimator: str, holes: bool) -> None:
    """FIML, its sandwich and that of clusters, from the log-likelihood of each row."""
    rows = data.copy()
    rows.loc[::4, ["a2", "b3"]] = np.nan if holes else rows.loc[::4, ["a2", "b3"]]
    rows.loc[1::7, "a1"] = np.nan if holes else rows.loc[1::7, "a1"]
    options = {"cluster": "unit"} if estimator == "cluster" else {"estimator": estimator}
    result = quiet(text, rows, fixed_x=False, missing="fiml", **options)
    plain = Plain.of(result)
    values = rows[list(result.model.observed)].to_numpy()
    values = values[~np.isnan(values).all(axis=1)]

    def logl(theta: FloatArray) -> FloatArray:
        return normal_logl(values, *plain.implied(theta))

    vcov = np.array(result.vcov)
    assert logl(plain.theta).sum() == pytest.approx(result.glance()["logl"].iloc[0], rel=1e-10)
    scores = slopes(logl, plain.theta, 1e-3)
    assert flat(scores.sum(axis=1), vcov, 1.0)
    information = -hessian(lambda theta: float(logl(theta).sum()), plain.theta)
    expected = within(information, vcov)
    if estimator == "cluster":
        units = rows.loc[~rows[list(result.model.observed)].isna().all(axis=1), "unit"].to_numpy()
        scores = np.stack([scores[:, units == unit].sum(axis=1) for unit in np.unique(units)], axis=1)
        scores = scores * np.sqrt(scores.shape[1] / (scores.shape[1] - 1))
    if estimator != "ML":
        expected = expected @ (scores @ scores.T) @ expected
    np.testing.assert_allclose(vcov, expected, rtol=1e-4, atol=1e-7)


def test_groups(data: pd.DataFrame) -> None:
    """Equal loadings and intercepts, free latent means in the second group."""
    result = quiet_groups(EQUAL.replace("\nm + l == 1.9", ""), data)
    plain = Plain.of(result)
    parts = [data[data["half"] == half] for half in (0, 1)]
    moments = [Moments.from_frame(part, result.model.observed) for part in parts]
    values = [fit_function(one, one.n, means=True) for one in moments]

    def discrepancy(theta: FloatArray) -> float:
        each = zip((1, 2), moments, values, strict=True)
        return sum(one.n / len(data) * value(*plain.implied(theta, group)) for group, one, value in each)

    vcov = np.array(result.vcov)
    assert len(data) * discrepancy(plain.theta) == pytest.approx(result.glance()["chisq"].iloc[0], rel=1e-8)
    assert flat(slopes(discrepancy, plain.theta), vcov, len(data))
    information = np.zeros_like(vcov)
    for group, one in zip((1, 2), moments, strict=True):
        mean_and_cov = slopes(lambda theta, g=group: joined(*plain.implied(theta, g)), plain.theta)
        weight = normal_weight(plain.implied(plain.theta, group)[1], means=True)
        information += one.n * mean_and_cov @ weight @ mean_and_cov.T
    np.testing.assert_allclose(vcov, within(information, vcov), rtol=1e-5, atol=1e-8)


def joined(mean: FloatArray, cov: FloatArray) -> FloatArray:
    return np.concatenate([mean, vech(cov)])


def quiet_groups(text: str, data: pd.DataFrame) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(text, data, group="half", group_equal=("loadings", "intercepts"))


def clusters() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    unit = np.repeat(np.arange(50), rng.integers(2, 7, 50))
    z, x = rng.normal(size=50), rng.normal(size=unit.size)
    b, w = 0.5 * z + 0.7 * rng.normal(size=50), 0.4 * x + rng.normal(size=unit.size)
    columns = {"unit": unit, "x": x, "z": z[unit]}
    for item, load in (("y1", 1.0), ("y2", 0.8), ("y3", 0.9)):
        between = load * b + 0.4 * rng.normal(size=50)
        columns[item] = load * w + between[unit] + 0.8 * rng.normal(size=unit.size)
    return pd.DataFrame(columns).sample(frac=1.0, random_state=1)


@pytest.mark.parametrize("holes", [False, True])
def test_two_levels(holes: bool) -> None:
    """The normal density of each cluster's rows together, or of their answers, covariates at both levels given."""
    rows = clusters()
    if holes:
        rows = rows[rows["unit"] < 25].reset_index(drop=True)
        rows.loc[rows.index[::5], "y2"] = np.nan
        rows.loc[rows.index[1::7], ["y1", "y3"]] = np.nan
    text = "level: 1\nw =~ y1 + k*y2 + y3\nw ~ x\nlevel: 2\nb =~ y1 + k*y2 + y3\nb ~ z"
    result = fit(text, rows, cluster="unit", missing="fiml" if holes else "listwise")
    free = {row.own_name: row.free - 1 for row in result.model.parameters if row.free}
    units = [part[["y1", "y2", "y3", "x", "z"]].to_numpy() for _, part in rows.groupby("unit")]
    stacks = {size: np.stack([part for part in units if len(part) == size]) for size in {len(part) for part in units}}

    def logl(theta: FloatArray) -> float:
        def at(name: str) -> float:
            return float(theta[free[name]])

        inner = np.array([1.0, at("w=~y2"), at("w=~y3")])
        outer = np.array([1.0, at("b=~y2.l2"), at("b=~y3.l2")])
        within = at("w~~w") * np.outer(inner, inner) + np.diag([at(f"y{k}~~y{k}") for k in (1, 2, 3)])
        between = at("b~~b.l2") * np.outer(outer, outer) + np.diag([at(f"y{k}~~y{k}.l2") for k in (1, 2, 3)])
        start = np.array([at(f"y{k}~1.l2") for k in (1, 2, 3)])
        total = 0.0
        for size, part in stacks.items():
            mean = start + part[:, :, 3, None] * at("w~x") * inner + part[:, :, 4, None] * at("b~z.l2") * outer
            cov = np.kron(np.eye(size), within) + np.kron(np.ones((size, size)), between)
            total += normal_logl((part[:, :, :3] - mean).reshape(len(part), -1), np.zeros(3 * size), cov).sum()
        return total

    theta, vcov = np.array(result.solution.theta), np.array(result.vcov)
    assert flat(slopes(logl, theta, 1e-3), vcov, 1.0)
    np.testing.assert_allclose(vcov, within(-hessian(logl, theta), vcov), rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("way", ["delta", "theta"])
def test_ordered_items(data: pd.DataFrame, way: Any) -> None:
    """DWLS: thresholds and polychorics less their models, each by its own variance; divisor n - 1, as lavaan has it."""
    from spc.moments import Counts
    from spc.sem.ordinal.moments import ordinal_moments

    items = ["a1", "a2", "a3", "b1"]
    rows = data[items].apply(lambda column: pd.qcut(column, [0, 0.3, 0.6, 1], labels=False))
    result = fit("f =~ a1 + k*a2 + k*a3 + b1", rows, ordered=items, parameterization=way)
    known = ordinal_moments(Counts.from_frame(rows, items, items))
    first, second = np.tril_indices(4, -1)
    free = {row.own_name: row.free - 1 for row in result.model.parameters if row.free}

    def model_of(theta: FloatArray) -> FloatArray:
        load = np.array([1.0, *(theta[free[f"f=~{item}"]] for item in items[1:])])
        own = 1.0 / np.sqrt(1.0 + theta[free["f~~f"]] * load**2) if way == "theta" else np.ones(4)
        correlations = theta[free["f~~f"]] * np.outer(load * own, load * own)[first, second]
        cuts = [theta[free[f"{item}|t{k}"]] * scale for item, scale in zip(items, own, strict=True) for k in (1, 2)]
        return np.concatenate([cuts, correlations])

    names, theta = list(known.statistic_names), np.array(result.solution.theta)
    wanted = [f"{item}|t{k}" for item in items for k in (1, 2)]
    order = [names.index(name) for name in wanted]
    for i, j in zip(first, second, strict=True):
        order.append(next(k for k, name in enumerate(names) if set(name.split("~~")) == {items[i], items[j]}))
    sample = known.statistics[order]
    gamma = known.gamma[np.ix_(order, order)]

    def discrepancy(theta: FloatArray) -> float:
        return float((sample - model_of(theta)) ** 2 @ (1.0 / gamma.diagonal()))

    vcov = np.array(result.vcov)
    assert (len(rows) - 1) * discrepancy(theta) == pytest.approx(result.glance()["chisq"].iloc[0], rel=1e-5)
    assert flat(slopes(discrepancy, theta), vcov, len(rows) - 1)
    jacobian = slopes(model_of, theta) / gamma.diagonal()
    bread = np.linalg.inv(jacobian @ np.diag(gamma.diagonal()) @ jacobian.T)
    np.testing.assert_allclose(
        (len(rows) - 1) * vcov, bread @ jacobian @ gamma @ jacobian.T @ bread, rtol=1e-5, atol=1e-7
    )
