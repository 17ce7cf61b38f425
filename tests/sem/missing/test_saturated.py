from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, NonConvergenceError, NotPositiveDefiniteError
from spc.moments import Moments, Patterns
from spc.sem.missing import saturated as module
from spc.sem.missing.incomplete import lay_out, likelihood
from spc.sem.missing.saturated import saturated


def holed(n: int = 300, p: int = 5, share: float = 0.2, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, p)) @ (np.eye(p) + 0.4 * rng.normal(size=(p, p))) + 3.0
    values[rng.random(values.shape) < share] = np.nan
    return pd.DataFrame(values, columns=[f"v{i}" for i in range(p)])


def test_complete_rows_give_their_own_moments() -> None:
    data = holed(share=0.0)
    found, plain = saturated(Patterns.from_frame(data)).moments, Moments.from_frame(data)
    np.testing.assert_allclose(found.cov, plain.cov, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.mean, plain.mean, rtol=1e-12)


def test_one_sided_holes_have_a_closed_form() -> None:
    """With y missing for some, y's moments follow from the regression on x in complete rows (Anderson 1957)."""
    data = holed(p=2, share=0.0)
    data.loc[data["v0"] > data["v0"].median(), "v1"] = np.nan
    found = saturated(Patterns.from_frame(data)).moments
    both = data.dropna()
    b = both.cov().loc["v0", "v1"] / both["v0"].var()
    residual = both["v1"].var(ddof=0) - b**2 * both["v0"].var(ddof=0)
    variance = residual + b**2 * data["v0"].var(ddof=0)
    assert found.mean[1] == pytest.approx(both["v1"].mean() + b * (data["v0"].mean() - both["v0"].mean()), rel=1e-7)
    assert found.cov[1, 1] * (299 / 300) == pytest.approx(variance, rel=1e-7)


@pytest.mark.parametrize(("p", "share"), [(3, 0.05), (6, 0.3), (8, 0.4)])
def test_gradient_is_zero(p: int, share: float) -> None:
    patterns = Patterns.from_frame(holed(p=p, share=share))
    found = saturated(patterns)
    n = patterns.rows
    at = likelihood(lay_out(patterns, np.ones(p)), found.moments.mean, found.moments.cov * (n - 1) / n)
    assert max(abs(at.pull).max(), abs(at.tension).max()) < 1e-7


def test_many_variables_by_em_alone_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = Patterns.from_frame(holed())
    fast = saturated(patterns)
    monkeypatch.setattr(module, "_WIDEST", 0)
    slow = saturated(patterns)
    assert slow.information is None
    np.testing.assert_allclose(slow.moments.cov, fast.moments.cov, atol=1e-7)
    assert slow.logl == pytest.approx(fast.logl, abs=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_change_nothing_but_units(factor: float) -> None:
    data = holed()
    one, other = (
        saturated(Patterns.from_frame(data)),
        saturated(Patterns.from_frame(data.assign(v1=factor * data["v1"]))),
    )
    unit = np.array([1.0, factor, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(other.moments.cov, one.moments.cov * np.outer(unit, unit), rtol=1e-6)
    answers = data["v1"].notna().sum()
    assert other.logl == pytest.approx(one.logl - answers * np.log(factor), abs=1e-6)


def test_faults_are_named() -> None:
    data = holed()
    with pytest.raises(DataError, match=r"v1.*no answers"):
        saturated(Patterns.from_frame(data.assign(v1=np.nan)))
    with pytest.raises(DataError, match=r"v2.*same value"):
        saturated(Patterns.from_frame(data.assign(v2=data["v2"] * 0 + 1e6)))
    first = np.arange(len(data)) % 2 == 0
    apart = data.assign(v0=data["v0"].where(first), v1=data["v1"].where(~first))
    with pytest.raises(DataError, match=r"v0, v1.*both are answered"):
        saturated(Patterns.from_frame(apart))


def test_linear_dependence_is_an_error() -> None:
    data = holed(share=0.0)
    data["v4"] = data["v0"] + data["v1"]
    data.iloc[::3, 0] = np.nan
    with pytest.raises((NotPositiveDefiniteError, NonConvergenceError)):
        saturated(Patterns.from_frame(data))
