"""Scores and predictions from ordered items: lavaan's modes, integrals, and what holds for any.

lavaan searches the mode of each row by itself and stops at a relative change of 1e-8, so that single scores are up to
some 1e-3 short of it and the median of the differences is some 1e-5; where the likelihood alone is flat it may stop
far out (``bartlett`` below: nine in ten are compared)."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from spc.errors import DataError, UnsupportedError
from spc.sem import factor_scores, fit, predict
from spc.sem.result import SemFit

FOLDER = Path(__file__).parents[2] / "reference"
GIVEN = json.loads((FOLDER / "lavaan_ordinal.json").read_text())
SCORES = json.loads((FOLDER / "lavaan_ordinal_scores.json").read_text())["models"]
CUTS = np.array([-1.0, 0.0, 0.8])


def rows(name: str) -> pd.DataFrame:
    return pd.DataFrame(
        {key: pd.Series(values) for key, values in GIVEN["data"][GIVEN["models"][name]["data"]].items()}
    )


@cache
def fitted(name: str) -> SemFit:
    case, data = GIVEN["models"][name], rows(name)
    options: dict[str, Any] = {
        key: case["options"][key] for key in ("missing", "group") if key in (case["options"] or {})
    }
    options.setdefault("missing", "listwise")
    ordered = [item for item in case["ordered"] if item in data and item in case["model"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(case["model"], data, ordered=ordered, **options)


@cache
def made(n: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)
    f = 0.5 * x + rng.normal(size=n)
    data = {f"a{k}": np.digitize(0.8 * f + 0.6 * rng.normal(size=n), CUTS) for k in range(4)}
    return pd.DataFrame(data | {"x": x, "y": 3.0 + 2.0 * f + rng.normal(size=n)})


ITEMS = ("a0", "a1", "a2", "a3")
TEXT = "f =~ a0 + a1 + a2 + a3\n"


@pytest.mark.parametrize("method", ["regression", "bartlett"])
@pytest.mark.parametrize("name", SCORES)
def test_modes_are_lavaans(name: str, method: Any) -> None:
    case = SCORES[name]
    theirs = np.array(case[method], dtype=float)
    data = rows(name).iloc[case["rows"]]
    ours = factor_scores(fitted(name), data, method=method)[case["latents"]].to_numpy()
    apart = np.abs(ours - theirs)
    if method == "regression":
        assert float(apart.max()) < 3e-3
        assert float(np.median(apart)) < 1e-4
        return
    known = apart[np.isfinite(apart)]
    assert known.size > (0.3 if name in ("rare", "second_order") else 0.6) * theirs.size
    assert float(np.median(known)) < 1e-4
    assert float(np.quantile(known, 0.9)) < 2e-3


def test_one_factor_is_the_integral() -> None:
    mood, data = fit(TEXT, made(), ordered=ITEMS), made().iloc[:60]
    std = mood.tidy().query("op == '=~'")["std_all"].to_numpy(float)
    deviation = float(mood.tidy().query("lhs == 'f' and op == '~~'")["estimate"].iloc[0]) ** 0.5
    at, weight = np.polynomial.hermite_e.hermegauss(120)
    density = np.tile(weight, (60, 1))
    for item, loading in zip(ITEMS, std, strict=True):
        cut = mood.tidy().query("lhs == @item and op == '|'")["estimate"].to_numpy(float)
        ends = norm.cdf((np.array([-np.inf, *cut, np.inf])[:, None] - loading * at) / np.sqrt(1 - loading**2))
        code = data[item].to_numpy(int)
        density *= ends[code + 1] - ends[code]
    wanted = deviation * (density @ at) / density.sum(axis=1)
    np.testing.assert_allclose(factor_scores(mood, data, method="eap")["f"], wanted, atol=5e-3)


def test_means_of_scores_are_those_of_the_groups() -> None:
    data = made().assign(g=np.where(made()["x"] > 0, "up", "down"))
    both = fit(TEXT, data, ordered=ITEMS, group="g", group_equal=["thresholds", "loadings"])
    latent = {view.parts[0].group: float(view.point.at.mean[4]) for view in both.views}
    assert abs(latent["up"] - latent["down"]) > 0.5
    found = factor_scores(both, data, method="eap").groupby(data["g"])["f"].mean()
    for label, mean in latent.items():
        assert found[label] == pytest.approx(mean, abs=0.03)


def test_missing_answers_and_rows_in_any_order() -> None:
    mood, data = fit(TEXT + "f ~ x", made(), ordered=ITEMS), made().iloc[:40].astype(dict.fromkeys(ITEMS, float))
    data.loc[3, ["a0", "x"]] = np.nan
    data.loc[4, [*ITEMS, "x"]] = np.nan
    for method in ("regression", "eap"):
        scores = factor_scores(mood, data, method=method)  # type: ignore[arg-type]
        assert np.isnan(scores.loc[4, "f"])
        assert scores.drop(index=4).notna().all(axis=None)
        shuffled = data.sample(frac=1.0, random_state=1)
        pd.testing.assert_frame_equal(factor_scores(mood, shuffled, method=method).loc[data.index], scores)  # type: ignore[arg-type]
    alone = factor_scores(mood, data.loc[[5]].assign(a0=np.nan, a1=np.nan, a2=np.nan, a3=np.nan), method="eap")
    tidy = mood.tidy()
    slope = float(tidy.query("op == '~' and rhs == 'x'")["estimate"].iloc[0])
    assert alone["f"].iloc[0] == pytest.approx(slope * data.loc[5, "x"], abs=1e-8)


def test_extreme_answers_have_no_most_likely_value() -> None:
    mood = fit(TEXT, made(), ordered=ITEMS)
    data = pd.DataFrame([[3, 3, 3, 3], [0, 0, 0, 0], [3, 3, 3, 2]], columns=list(ITEMS))
    ml, prior = factor_scores(mood, data, method="bartlett")["f"], factor_scores(mood, data)["f"]
    assert ml.isna().tolist() == [True, True, False]
    assert prior[0] > prior[2] > prior[1]
    assert ml[2] > prior[2]


def test_residual_covariances_have_expected_values_only() -> None:
    mood = fit(TEXT + "a0 ~~ a1", made(), ordered=ITEMS)
    with pytest.raises(UnsupportedError, match="a0 with a1"):
        factor_scores(mood, made())
    scores = factor_scores(mood, made(), method="eap")["f"]
    assert scores.corr(factor_scores(fit(TEXT, made(), ordered=ITEMS), made())["f"]) > 0.97


def test_unknown_category_is_named() -> None:
    mood = fit(TEXT, made(), ordered=ITEMS)
    with pytest.raises(DataError, match="answer 7; expected one of 0, 1, 2, 3"):
        factor_scores(mood, made().assign(a1=7))
    with pytest.raises(DataError, match="a1"):
        factor_scores(mood, made().drop(columns="a1"))


def test_ordered_categoricals_are_scored_by_their_words() -> None:
    words = pd.CategoricalDtype(["no", "some", "much", "all"], ordered=True)
    spoken = made().assign(**{item: pd.Categorical.from_codes(made()[item], dtype=words) for item in ITEMS})
    one, other = fit(TEXT, made(), ordered=ITEMS), fit(TEXT, spoken)
    np.testing.assert_allclose(factor_scores(one, made()), factor_scores(other, spoken), atol=1e-9)


def test_eap_of_continuous_items_is_regression() -> None:
    plain = fit(TEXT, made())
    pd.testing.assert_frame_equal(factor_scores(plain, made(), method="eap"), factor_scores(plain, made()))


def test_probabilities_of_an_item_given_a_covariate_are_exact() -> None:
    mood = fit(TEXT + "f ~ x", made(), ordered=ITEMS)
    found = predict(mood, made().iloc[:9], outcomes=["a1"], given=["x"])
    assert found.columns.tolist() == ["a1=0", "a1=1", "a1=2", "a1=3"]
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    tidy = mood.tidy().set_index(["lhs", "op", "rhs"])["estimate"]
    middle = float(tidy["f", "=~", "a1"]) * float(tidy["f", "~", "x"]) * made()["x"].to_numpy()[:9]
    cuts = [float(tidy["a1", "|", f"t{k}"]) for k in (1, 2, 3)]
    ends = norm.cdf(np.array([-np.inf, *cuts, np.inf])[:, None] - middle)
    np.testing.assert_allclose(found.to_numpy().T, np.diff(ends, axis=0), atol=1e-8)


def test_predictions_are_as_often_true_as_they_say() -> None:
    data = made(3000)
    text = TEXT + "y ~ f\nf ~ x"
    chain = fit(text, data, ordered=ITEMS)
    share = predict(chain, data, outcomes=["a3"], given=["a0", "a1", "a2", "x"])
    for k in range(4):
        said, true = share[f"a3={k}"], data["a3"] == k
        for piece in np.array_split(np.argsort(said.to_numpy()), 4):
            assert float(true.iloc[piece].mean()) == pytest.approx(float(said.iloc[piece].mean()), abs=0.05)
    money = predict(chain, data, outcomes=["y"], given=[*ITEMS, "x"])["y"]
    slope = np.polyfit(money, data["y"], 1)[0]
    assert slope == pytest.approx(1.0, abs=0.06)
