"""Every question to a fit, put to every kind of fit: an answer in numbers, or a refusal in words."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.errors import SpcWarning, UnsupportedError, UsageError
from spc.moments import Moments
from spc.plot.path_diagram import path_diagram
from spc.sem import (
    SemFit,
    bootstrap,
    cluster_scores,
    compare,
    effects,
    factor_scores,
    fit,
    fit_measures,
    htmt,
    icc,
    implied_moments,
    level_fit,
    misfit,
    modification_indices,
    predict,
    profile_likelihood,
    r_square,
    release_test,
    reliability,
    residuals,
    small_sample_test,
    standardized,
    structural_fit,
    to_lavaan,
    to_mplus,
    wald_test,
)
from spc.spec import model

ITEMS = [f"y{k}" for k in range(1, 10)]
FACTORS = "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\nh =~ y7 + y8 + y9\n"
CHAIN = FACTORS + "g ~ a*f\nh ~ b*g\nab := a*b"
APART = FACTORS + "g ~ c(a1, a2)*f\nh ~ g"
GIVEN = FACTORS + "f ~ x\ng ~ a*f\nh ~ g + x"
BOUND = CHAIN.replace("y2", "k*y2").replace("y3", "l*y3") + "\nk == l\na > 0.1"
LEVELS = "level: 1\n" + CHAIN.partition("\nab")[0] + "\nlevel: 2\n" + FACTORS + "g ~ f\nh ~ g"
GIVEN_LEVELS = "level: 1\n" + GIVEN + "\nlevel: 2\n" + FACTORS + "f ~ w\ng ~ f\nh ~ w"
GROWTH = "i =~ 1*y1 + 1*y4 + 1*y7\ns =~ 0*y1 + 1*y4 + 2*y7\ni ~ a*x"


@cache
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 360
    x = rng.normal(size=n)
    f = 0.4 * x + rng.normal(size=n)
    g = 0.6 * f + rng.normal(size=n)
    h = 0.6 * g + rng.normal(size=n)
    items = {f"y{3 * at + k}": load * trait + 0.8 * rng.normal(size=n) + 2.0
             for at, trait in enumerate((f, g, h)) for k, load in ((1, 1.0), (2, 0.8), (3, 0.9))}  # fmt: skip
    return pd.DataFrame(items | {"x": x, "unit": np.arange(n) % 45, "group": np.where(np.arange(n) % 2, "a", "b")})


@cache
def nested() -> pd.DataFrame:
    """The same rows with as much of their own in each of 60 units."""
    rng = np.random.default_rng(7)
    unit = np.arange(360) % 60
    w = rng.normal(size=60)
    f = 0.5 * w + 0.8 * rng.normal(size=60)
    g = 0.6 * f + 0.7 * rng.normal(size=60)
    h = 0.5 * g + 0.7 * rng.normal(size=60)
    own = {f"y{3 * at + k}": (load * trait + 0.4 * rng.normal(size=60))[unit]
           for at, trait in enumerate((f, g, h)) for k, load in ((1, 1.0), (2, 0.8), (3, 0.9))}  # fmt: skip
    made = rows().assign(unit=unit, w=w[unit], group=np.where(unit % 2, "a", "b"))
    return made.assign(**{name: made[name] + value for name, value in own.items()})


@cache
def cut() -> pd.DataFrame:
    return rows().assign(**{name: np.digitize(rows()[name], [1.0, 2.2, 3.4]) for name in ITEMS})


def holed(data: pd.DataFrame) -> pd.DataFrame:
    gone = np.random.default_rng(4).random((len(data), 9)) < 0.08
    return data.assign(**{name: data[name].astype(float).mask(gone[:, at]) for at, name in enumerate(ITEMS)})


@cache
def moments() -> Moments:
    return Moments.from_frame(rows()[ITEMS])


KINDS: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "ML": (CHAIN, rows, {}),
    "covariates": (GIVEN, rows, {}),
    "moments": (CHAIN, moments, {}),
    "MLM": (CHAIN, rows, {"estimator": "MLM"}),
    "MLR": (GIVEN, rows, {"estimator": "MLR"}),
    "cluster": (CHAIN, rows, {"cluster": "unit"}),
    "GLS": (CHAIN, rows, {"estimator": "GLS"}),
    "WLS": (CHAIN, rows, {"estimator": "WLS"}),
    "FIML": (CHAIN, lambda: holed(rows()), {"missing": "fiml"}),
    "FIML MLR": (GIVEN, lambda: holed(rows()), {"missing": "fiml", "estimator": "MLR"}),
    "groups": (APART, rows, {"group": "group", "group_equal": ["loadings", "intercepts"]}),
    "groups FIML": (APART, lambda: holed(rows()), {"group": "group", "group_equal": ["loadings"], "missing": "fiml"}),
    "ordered": (CHAIN, cut, {"ordered": ITEMS}),
    "mixed": (GIVEN, lambda: cut().assign(**rows()[ITEMS[6:]]), {"ordered": ITEMS[:6]}),
    "ordered holes": (CHAIN, lambda: holed(cut()), {"ordered": ITEMS}),
    "ordered groups": (APART, cut, {"ordered": ITEMS, "group": "group", "group_equal": ["thresholds", "loadings"]}),
    "theta": (CHAIN, cut, {"ordered": ITEMS, "parameterization": "theta"}),
    "theta mixed": (
        GIVEN,
        lambda: cut().assign(**rows()[ITEMS[6:]]),
        {"ordered": ITEMS[:6], "parameterization": "theta"},
    ),
    "theta groups": (
        APART,
        cut,
        {
            "ordered": ITEMS,
            "group": "group",
            "parameterization": "theta",
            "group_equal": ["thresholds", "loadings", "residuals"],
        },
    ),
    "constraints": (BOUND, rows, {}),
    "growth": (GROWTH, rows, {}),
    "levels": (LEVELS, nested, {"cluster": "unit"}),
    "levels MLR": (GIVEN_LEVELS, nested, {"cluster": "unit", "estimator": "MLR"}),
    "levels holes": (GIVEN_LEVELS, lambda: holed(nested()), {"cluster": "unit", "missing": "fiml"}),
    "levels groups": (
        LEVELS.replace("a*", ""),
        nested,
        {"cluster": "unit", "group": "group", "group_equal": ["loadings"]},
    ),
    "second order": (FACTORS + "k =~ f + a*g + h", rows, {}),
}


@cache
def fitted(kind: str) -> tuple[SemFit, Any]:
    text, source, options = KINDS[kind]
    data = source()
    made: Any = model(text, growth=True) if kind == "growth" else text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(made, data, **options), data


def frame(data: Any) -> pd.DataFrame | None:
    return data if isinstance(data, pd.DataFrame) else None


def label_of(result: SemFit) -> str:
    return next((row.label for row in result.model.parameters if row.label and row.free), "")


def people(data: Any) -> pd.DataFrame:
    return rows() if frame(data) is None else data


def pictured(result: SemFit) -> str:
    group = result.groups[0] if result.groups else None
    return path_diagram(Gate().model(result), group=group, level=1 if result.levels is None else 2).svg


QUESTIONS: dict[str, Callable[[SemFit, Any], Any]] = {
    "tidy": lambda f, d: f.tidy(),
    "glance": lambda f, d: f.glance(),
    "measures": lambda f, d: pd.Series(fit_measures(f)),
    "standardized": lambda f, d: standardized(f),
    "r square": lambda f, d: r_square(f),
    "implied": lambda f, d: implied_moments(f),
    "residuals": lambda f, d: residuals(f, "cor"),
    "misfit": lambda f, d: misfit(f, frame(d)).table,
    "effects": lambda f, d: effects(f, draws=120).tidy(),
    "scores": lambda f, d: factor_scores(f, people(d)),
    "bartlett": lambda f, d: factor_scores(f, people(d), method="bartlett"),
    "eap": lambda f, d: factor_scores(f, people(d), method="eap"),
    "predict": lambda f, d: predict(f, people(d), outcomes=["y4"], given=["y1", "y7"]),
    "reliability": lambda f, d: reliability(f).tidy(),
    "htmt": lambda f, d: htmt(f, d, draws=3).tidy(),
    "indices": lambda f, d: modification_indices(f),
    "release": lambda f, d: release_test(f).tidy()[["statistic"]],
    "wald": lambda f, d: wald_test(f, f"{label_of(f)} == 0.5").tidy(),
    "profile": lambda f, d: profile_likelihood(f, [f.model.parameters.names[0]]).tidy(),
    "compare": lambda f, d: compare(f, f).augment(),
    "structure": lambda f, d: structural_fit(f, frame(d)).tidy(),
    "few rows": lambda f, d: small_sample_test(f).tidy(),
    "lavaan": lambda f, d: to_lavaan(f),
    "mplus": lambda f, d: to_mplus(f),
    "bootstrap": lambda f, d: bootstrap(f, people(d), draws=4).tidy(),
    "bollen stine": lambda f, d: bootstrap(f, people(d), draws=4, kind="bollen_stine").tidy(),
    "diagram": lambda f, d: pictured(f),
    "parametric": lambda f, d: bootstrap(f, people(d), draws=4, kind="parametric").tidy(),
    "clusters": lambda f, d: cluster_scores(f),
    "clusters bartlett": lambda f, d: cluster_scores(f, method="bartlett"),
    "shares": lambda f, d: icc(f),
    "level fit": lambda f, d: level_fit(f).augment(),
}

LEVELLED = ("levels", "levels MLR", "levels holes", "levels groups")
ONE_LEVEL = tuple(kind for kind in KINDS if kind not in LEVELLED)
ROBUST = ("MLM", "MLR", "cluster", "GLS", "WLS", "FIML MLR", "levels MLR")
ORDERED = ("ordered", "mixed", "ordered holes", "ordered groups", "theta", "theta mixed", "theta groups")
TIED = ("groups", "groups FIML", "ordered groups", "theta groups", "constraints", "levels groups")
REFUSED: dict[str, dict[str, str]] = {
    "profile": dict.fromkeys((*ROBUST, *ORDERED), "rise of the statistic"),
    "few rows": dict.fromkeys(
        ("cluster", "GLS", "WLS", "FIML", "FIML MLR", "groups FIML", *ORDERED, *LEVELLED), "[Cc]orrections"
    ),
    "bollen stine": dict.fromkeys(ORDERED, "Ordered items")
    | dict.fromkeys(LEVELLED, "differ in size")
    | {"WLS": "weights come from rows"},
    "parametric": dict.fromkeys(ORDERED, "Ordered items") | {"WLS": "weights come from rows"},
    **dict.fromkeys(("clusters", "clusters bartlett", "shares", "level fit"), dict.fromkeys(ONE_LEVEL, "two levels")),
    "effects": {"second order": "no regressions"},
    "htmt": {"growth": "cannot tell them apart"},
    "release": dict.fromkeys(set(KINDS) - set(TIED), "nothing to release"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_question_has_an_answer_or_words(kind: str, question: str) -> None:
    result, data = fitted(kind)
    words = REFUSED.get(question, {}).get(kind)
    if words is not None:
        with pytest.raises((UnsupportedError, UsageError), match=words):
            QUESTIONS[question](result, data)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        found = QUESTIONS[question](result, data)
    if isinstance(found, pd.DataFrame | pd.Series):
        numbers = pd.DataFrame(found).select_dtypes("number")
        assert len(numbers)
        assert np.isfinite(numbers.to_numpy(dtype=float)).any()
        shared = (question, kind) == ("reliability", "growth")  # items of two factors have no cr and ave
        assert "estimate" not in numbers or numbers["estimate"].notna().all() or shared
    else:
        assert found
