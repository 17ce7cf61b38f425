"""Variables in other units, a millionth or a million times: every estimator says the same, and nothing else moves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning
from spc.sem import (
    SemFit,
    effects,
    fit,
    level_fit,
    misfit,
    modification_indices,
    reliability,
    standardized,
    structural_fit,
)
from spc.spec import model

ITEMS = [f"y{k}" for k in range(1, 10)]
FACTORS = "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\nh =~ y7 + y8 + y9\n"
CHAIN = FACTORS + "f ~ x\ng ~ f\nh ~ g + x"
LEVELS = "level: 1\n" + CHAIN + "\nlevel: 2\n" + FACTORS + "f ~ w\ng ~ f\nh ~ w"
GROWTH = "i =~ 1*y1 + 1*y4 + 1*y7\ns =~ 0*y1 + 1*y4 + 2*y7\ni ~ x\ns ~ x"
IN_UNITS = ("logl", "unrestricted_logl", "aic", "bic", "bic2")
"""Of a density, which has a unit."""


@cache
def rows() -> pd.DataFrame:
    """420 rows of 60 units in two countries, with constructs on both levels."""
    rng = np.random.default_rng(21)
    unit = np.arange(420) % 60
    w = rng.normal(size=60)
    x = rng.normal(size=420) + 0.3 * w[unit]
    data = {"unit": unit, "country": np.where(unit % 2, "NO", "SE"), "w": w[unit], "x": x}
    near, far = 0.4 * x, 0.5 * w
    for construct in range(3):
        near, far = near + rng.normal(size=420), far + 0.7 * rng.normal(size=60)
        for k, loading in enumerate((1.0, 0.8, 0.9), start=1):
            own = (loading * far + 0.4 * rng.normal(size=60))[unit]
            data[f"y{3 * construct + k}"] = 2.0 + loading * near + own + 0.8 * rng.normal(size=420)
        near, far = 0.6 * near, 0.6 * far
    return pd.DataFrame(data).sample(frac=1.0, random_state=1, ignore_index=True)


@cache
def holed() -> pd.DataFrame:
    gone = np.random.default_rng(4).random((420, 9)) < 0.08
    return rows().assign(**{name: rows()[name].mask(gone[:, at]) for at, name in enumerate(ITEMS)})


@cache
def cut() -> pd.DataFrame:
    return rows().assign(**{name: np.digitize(rows()[name], [1.0, 2.2, 3.4]) for name in ITEMS[:6]})


IN_COUNTRIES = {"group": "country", "group_equal": ["loadings", "intercepts"]}
KINDS: dict[str, tuple[str, Callable[[], pd.DataFrame], dict[str, Any]]] = {
    "ML": (CHAIN, rows, {}),
    "ML observed": (CHAIN, rows, {"information": "observed"}),
    "MLM": (CHAIN, rows, {"estimator": "MLM"}),
    "MLR": (CHAIN, rows, {"estimator": "MLR"}),
    "cluster": (CHAIN, rows, {"cluster": "unit"}),
    "GLS": (CHAIN, rows, {"estimator": "GLS"}),
    "WLS": (CHAIN, rows, {"estimator": "WLS"}),
    "FIML": (CHAIN, holed, {"missing": "fiml"}),
    "FIML MLR cluster": (CHAIN, holed, {"missing": "fiml", "estimator": "MLR", "cluster": "unit"}),
    "growth": (GROWTH, rows, {}),
    "groups": (CHAIN, rows, IN_COUNTRIES),
    "groups GLS": (CHAIN, rows, {"group": "country", "estimator": "GLS"}),
    "groups FIML": (CHAIN, holed, {**IN_COUNTRIES, "missing": "fiml", "estimator": "MLR"}),
    "WLSMV": (CHAIN, cut, {"ordered": ITEMS[:6]}),
    "theta": (CHAIN, cut, {"ordered": ITEMS[:6], "parameterization": "theta"}),
    "WLSMV groups": (CHAIN, cut, {"ordered": ITEMS[:6], "group": "country", "group_equal": ["loadings", "thresholds"]}),
    "levels": (LEVELS, rows, {"cluster": "unit"}),
    "levels MLR": (LEVELS, rows, {"cluster": "unit", "estimator": "MLR"}),
    "levels FIML": (LEVELS, holed, {"cluster": "unit", "missing": "fiml"}),
    "levels groups": (LEVELS, rows, {"cluster": "unit", "group": "country", "group_equal": ["loadings"]}),
}


def fitted(kind: str, units: dict[str, float]) -> tuple[SemFit, pd.DataFrame]:
    text, source, options = KINDS[kind]
    kept = set(options.get("ordered", ()))
    data = source().assign(**{name: source()[name] * unit for name, unit in units.items() if name not in kept})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(model(text, growth=True) if kind == "growth" else text, data, **options), data


def said(result: SemFit, data: pd.DataFrame) -> dict[str, np.ndarray]:
    """Every number of a fit that has no unit, and the codes of its notes."""
    table, measures = result.tidy(), result.glance().drop(columns=[*IN_UNITS, "estimator"], errors="ignore")
    found = {
        "z": table["statistic"],
        "std_all": table["std_all"],
        "std errors": standardized(result)["std_error"],
        "measures": measures.select_dtypes("number").iloc[0],
        "indices": modification_indices(result, sort=False)["mi"],
        "misfit": misfit(result, data).tidy()[["estimate", "statistic"]],
        "effects": effects(result, draws=120).tidy()["std_all"],
    }
    if result.levels is None:
        found["structure"] = structural_fit(result, data).tidy()["estimate"]
    else:
        found["levels"] = level_fit(result).augment().select_dtypes("number")
    if "i" not in result.model.latents:
        found["reliability"] = reliability(result, standardized=True).tidy()["estimate"]
    return {name: np.asarray(values, dtype=float).ravel() for name, values in found.items()}


UNITS = {
    "marker and covariates": {"y1": 1e6, "x": 1e6, "w": 1e-6},
    "each its own": dict(
        zip((*ITEMS, "x", "w"), (1e6, 1.0, 1e-6, 1e-6, 1e6, 1.0, 1e6, 1e-6, 1e3, 1e-6, 1e6), strict=True)
    ),
}
TOGETHER = {
    "each its own": dict.fromkeys(ITEMS, 1e6) | {"x": 1e-6},
    "marker and covariates": dict.fromkeys(ITEMS, 1e-6),
}


@cache
def plain(kind: str) -> tuple[SemFit, dict[str, np.ndarray]]:
    found = fitted(kind, {})
    return found[0], said(*found)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changes_but_units(kind: str, units: str) -> None:
    """Occasions of growth are one variable, so that they change their unit together."""
    scales = (TOGETHER if kind == "growth" else {}).get(units, UNITS[units])
    (before, expected), (other, moved) = plain(kind), fitted(kind, scales)
    assert [(note.code, note.subject) for note in other.notes()] == [
        (note.code, note.subject) for note in before.notes()
    ]
    found = said(other, moved)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, atol=2e-7, err_msg=f"{kind}, {units}: {name}")


def test_unweighted_least_squares_weighs_by_units() -> None:
    """The one estimator that units move, as ``docs/lavaan.md`` says: so the comparison above can fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        before, after = (
            fit(CHAIN, rows().assign(y4=rows()["y4"] * unit), estimator="ULS").tidy()["std_all"] for unit in (1.0, 3.0)
        )
    assert np.abs(before - after).max() > 0.005
