"""Effects: closed forms, lavaan's defined parameters, loops, draws and their intervals."""

from __future__ import annotations

import json
import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import SpcWarning, UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Replicates, Result
from spc.sem import Effects, SemFit, effects, fit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_ml.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}


def fitted(name: str) -> SemFit:
    case = CASES[name]
    m = case["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(model(case["model"], **case["options"]), Moments(m["names"], m["n"], m["means"], m["covariance"]))


def row(table: pd.DataFrame, kind: str, label: str) -> pd.Series:
    found = table[(table["kind"] == kind) & (table["label"] == label)]
    assert len(found) == 1, (kind, label, table[["kind", "label"]])
    return found.iloc[0]


def moments_under(paths: dict[tuple[str, str], float], names: list[str], n: int = 500) -> Moments:
    """Covariances of a system of equations with unit disturbances."""
    a = np.zeros((len(names), len(names)))
    for (outcome, cause), value in paths.items():
        a[names.index(outcome), names.index(cause)] = value
    reach = np.linalg.inv(np.eye(len(names)) - a)
    return Moments(names, n, None, reach @ reach.T)


# -- point estimates


def test_two_paths_in_closed_form() -> None:
    truth = {("m", "x"): 0.5, ("y", "m"): -0.4, ("y", "x"): 0.3, ("z", "y"): 2.0}
    table = effects(fit("m ~ x\ny ~ m + x\nz ~ y", moments_under(truth, ["x", "m", "y", "z"]))).tidy()
    estimate = {(r["kind"], r["label"]): r["estimate"] for _, r in table.iterrows()}
    assert estimate == pytest.approx({
        ("direct", "x -> m"): 0.5,
        ("direct", "m -> y"): -0.4,
        ("direct", "x -> y"): 0.3,
        ("direct", "y -> z"): 2.0,
        ("indirect", "x -> m -> y"): -0.2,
        ("indirect", "x -> m -> y -> z"): -0.4,
        ("indirect", "x -> y -> z"): 0.6,
        ("indirect", "m -> y -> z"): -0.8,
        ("total_indirect", "x -> y"): -0.2,
        ("total_indirect", "x -> z"): 0.2,
        ("total_indirect", "m -> z"): -0.8,
        ("total", "x -> m"): 0.5,
        ("total", "x -> y"): 0.1,
        ("total", "x -> z"): 0.2,
        ("total", "m -> y"): -0.4,
        ("total", "m -> z"): -0.8,
        ("total", "y -> z"): 2.0,
    })  # fmt: skip


@given(st.lists(st.floats(-0.9, 0.9), min_size=6, max_size=6))
@settings(max_examples=15, deadline=None)
def test_totals_are_direct_plus_all_paths(weights: list[float]) -> None:
    names = ["a", "b", "c", "d"]
    pairs = [("b", "a"), ("c", "a"), ("c", "b"), ("d", "a"), ("d", "b"), ("d", "c")]
    text = "b ~ a\nc ~ a + b\nd ~ a + b + c"
    found = effects(fit(text, moments_under(dict(zip(pairs, weights, strict=True)), names)), draws=50)
    table = found.tidy()
    for _, total in table[table["kind"] == "total"].iterrows():
        same = (table["lhs"] == total["lhs"]) & (table["rhs"] == total["rhs"])
        for values in (table["estimate"], table["std_all"], *map(pd.Series, found.draws[:3])):
            parts = values[(same & table["kind"].isin(["direct", "indirect"])).to_numpy()].sum()
            assert values[total.name] == pytest.approx(parts, abs=1e-10)


def test_standardised_effects_are_lavaans() -> None:
    case = CASES["pd_mediation"]
    table = effects(fitted("pd_mediation")).tidy()
    for theirs in case["standardized"]:
        if theirs["op"] == "~":
            ours = row(table, "direct", f"{theirs['rhs']} -> {theirs['lhs']}")
            assert ours["std_all"] == pytest.approx(theirs["est.std"], abs=1e-6)
        elif theirs["lhs"] == "indirect":
            ours = row(table, "indirect", "ind60 -> dem60 -> dem65")
            assert ours["std_all"] == pytest.approx(theirs["est.std"], abs=1e-6)


def test_standardised_effects_do_not_depend_on_units() -> None:
    m = CASES["attitude_path"]["moments"]
    unit = np.array([1e5 if name == "learning" else 1.0 for name in m["names"]])
    plain = effects(fitted("attitude_path")).standardized()
    scaled = Moments(m["names"], m["n"], None, np.array(m["covariance"]) * np.outer(unit, unit))
    other = effects(fit(CASES["attitude_path"]["model"], scaled)).standardized()
    np.testing.assert_allclose(other["estimate"], plain["estimate"], rtol=1e-8)
    np.testing.assert_allclose(other["std_error"], plain["std_error"], rtol=1e-6)


def test_paths_through_a_higher_order_latent_count() -> None:
    rng = np.random.default_rng(4)
    general = rng.standard_normal(900)
    parts = [0.8 * general + 0.6 * rng.standard_normal(900) for _ in range(3)]
    frame = pd.DataFrame({
        f"{'abc'[k]}{i}": part + 0.5 * rng.standard_normal(900) for k, part in enumerate(parts) for i in range(3)
    })  # fmt: skip
    frame["y"] = 0.5 * parts[0] + rng.standard_normal(900)
    text = "A =~ a0 + a1 + a2\nB =~ b0 + b1 + b2\nC =~ c0 + c1 + c2\nG =~ A + B + C\ny ~ A + G"
    table = effects(fit(text, frame)).tidy()
    product = row(table, "direct", "G -> A")["estimate"] * row(table, "direct", "A -> y")["estimate"]
    assert row(table, "indirect", "G -> A -> y")["estimate"] == pytest.approx(product)
    assert not table["label"].str.contains("a0").any()


def test_measurement_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="no regressions"):
        effects(fitted("hs_cfa"))


# -- errors and intervals


@pytest.mark.parametrize(
    ("name", "defined", "kind", "label"),
    [
        ("pd_mediation", "indirect", "indirect", "ind60 -> dem60 -> dem65"),
        ("pd_mediation", "total", "total", "ind60 -> dem65"),
        ("attitude_indirect", "ab", "indirect", "complaints -> learning -> rating"),
        ("attitude_indirect", "abd", "indirect", "complaints -> learning -> rating -> raises"),
    ],
)
def test_defined_parameters_of_lavaan(name: str, defined: str, kind: str, label: str) -> None:
    """Point estimates to 1e-6; errors from draws within 3 % of the delta method plus its second-order part."""
    case = CASES[name]
    theirs = next(r for r in case["estimates"] if r["lhs"] == defined)
    ours = row(effects(fitted(name)).tidy(), kind, label)
    assert ours["estimate"] == pytest.approx(theirs["est"], rel=1e-6)
    labelled = {r["label"]: r for r in case["estimates"] if r["label"] and r["op"] == "~"}
    second = 0.0
    if defined in ("indirect", "ab"):
        second = (labelled["a"]["se"] * labelled["b"]["se"]) ** 2
    if defined == "abd":
        a, b, d = (labelled[k] for k in "abd")
        second = (a["se"] * b["se"] * d["est"]) ** 2 + (a["se"] * b["est"] * d["se"]) ** 2
        second += (a["est"] * b["se"] * d["se"]) ** 2 + (a["se"] * b["se"] * d["se"]) ** 2
    assert ours["std_error"] == pytest.approx(np.sqrt(theirs["se"] ** 2 + second), rel=0.03)


def test_in_large_samples_the_errors_are_the_delta_methods() -> None:
    truth = {("m", "x"): 0.5, ("y", "m"): 0.4}
    result = fit("m ~ a*x\ny ~ b*m\nab := a*b", moments_under(truth, ["x", "m", "y"], n=20_000))
    ours = row(effects(result).tidy(), "indirect", "x -> m -> y")
    delta = result.tidy().query("op == ':='").iloc[0]
    assert ours["estimate"] == pytest.approx(delta["estimate"])
    assert ours["std_error"] == pytest.approx(delta["std_error"], rel=0.03)
    assert ours["conf_low"] == pytest.approx(delta["conf_low"], abs=0.1 * delta["std_error"])
    assert ours["conf_high"] == pytest.approx(delta["conf_high"], abs=0.1 * delta["std_error"])


def test_direct_effects_have_the_errors_of_the_fit() -> None:
    """The draws are matched to the estimates and their covariances, so nothing is reported twice with two values."""
    result = fitted("attitude_path")
    found = effects(result)
    table = result.tidy()
    for _, theirs in table[table["op"] == "~"].iterrows():
        ours = row(found.tidy(), "direct", f"{theirs['rhs']} -> {theirs['lhs']}")
        assert ours["std_error"] == pytest.approx(theirs["std_error"], rel=1e-10)
    mean = found.draws[:, (found.tidy()["kind"] == "direct").to_numpy()].mean(axis=0)
    np.testing.assert_allclose(mean, found.tidy().query("kind == 'direct'")["estimate"], rtol=1e-10)


def test_p_values_agree_with_intervals() -> None:
    for level in (0.90, 0.95, 0.99):
        table = effects(fitted("attitude_path"), level=level).tidy()
        outside = (table["conf_low"] > 0) | (table["conf_high"] < 0)
        assert (outside == (table["p_value"] < 1 - level + 1e-3)).all()


def test_a_fixed_path_has_no_error() -> None:
    result = fit("m ~ 0.5*x\ny ~ m", moments_under({("m", "x"): 0.5, ("y", "m"): 0.4}, ["x", "m", "y"]))
    table = effects(result).tidy()
    fixed = row(table, "direct", "x -> m")
    assert fixed["estimate"] == 0.5
    assert fixed[["std_error", "p_value", "conf_low", "conf_high"]].isna().all()
    assert row(table, "indirect", "x -> m -> y")["std_error"] > 0


def test_a_path_fixed_at_zero_is_no_path() -> None:
    result = fit("m ~ x\ny ~ m + 0*x", moments_under({("m", "x"): 0.5, ("y", "m"): 0.4}, ["x", "m", "y"]))
    assert not ((effects(result).tidy()["kind"] == "direct") & (effects(result).tidy()["label"] == "x -> y")).any()


def test_the_seed_decides_and_the_caller_keeps_his_state() -> None:
    result = fitted("attitude_path")
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = effects(result, seed=7), effects(result, seed=7), effects(result, seed=8)
    np.testing.assert_array_equal(one.draws, same.draws)
    assert not np.array_equal(one.draws, other.draws)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_replicates_take_the_place_of_normal_draws() -> None:
    result = fitted("attitude_indirect")
    names = result.model.parameters.names
    rng = np.random.default_rng(2)
    values = result.solution.theta + rng.standard_normal((500, len(names))) * 0.01
    shuffled = rng.permutation(len(names))
    replicates = Replicates(values[:, shuffled], tuple(names[i] for i in shuffled), seed=2)
    found = effects(result, replicates=replicates)
    column = found.names.index("indirect: complaints -> learning -> rating")
    expected = values[:, names.index("a")] * values[:, names.index("b")]
    np.testing.assert_allclose(found.draws[:, column], expected)
    assert "replicates" in found.method


def test_replicates_of_another_model_are_refused() -> None:
    replicates = Replicates(np.zeros((10, 1)), ("a~b",), seed=1)
    with pytest.raises(UsageError, match="rating~"):
        effects(fitted("attitude_path"), replicates=replicates)


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"level": 95}, {"draws": 3}])
def test_options_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        effects(fitted("attitude_path"), **wrong)


def test_intervals_cover() -> None:
    """200 samples of n = 150, truth 0.15: coverage of the 95 % interval of the indirect effect near 95 %."""
    rng = np.random.default_rng(9)
    spec, hits = model("m ~ x\ny ~ m"), 0
    for _ in range(200):
        x, e, u = rng.standard_normal((3, 150))
        m = 0.3 * x + e
        frame = pd.DataFrame({"x": x, "m": m, "y": 0.5 * m + u})
        found = row(effects(fit(spec, frame), draws=400).tidy(), "indirect", "x -> m -> y")
        hits += found["conf_low"] <= 0.15 <= found["conf_high"]
    assert 0.90 <= hits / 200 <= 0.99


# -- loops


def test_totals_of_a_loop_in_closed_form() -> None:
    result = fitted("swiss_nonrecursive")
    found = effects(result)
    path = {(r["lhs"], r["rhs"]): r["estimate"] for _, r in found.tidy().query("kind == 'direct'").iterrows()}
    a, b = path["Fertility", "Education"], path["Education", "Fertility"]
    whole = row(found.tidy(), "total", "Catholic -> Education")["estimate"]
    assert abs(a * b) < 1
    assert whole == pytest.approx(path["Fertility", "Catholic"] * b / (1 - a * b))
    assert not (found.tidy()["kind"] == "indirect").any()
    assert {"loops"} <= {note.code for note in found.notes()}


def test_a_loop_that_grows_has_no_totals() -> None:
    truth = {("y", "z"): 1.6, ("z", "y"): 1.5, ("y", "x"): 0.7, ("z", "w"): 0.8}
    result = fit(
        "y ~ start(1.6)*z + x\nz ~ start(1.5)*y + w\ny ~~ 0*z", moments_under(truth, ["x", "w", "y", "z"], n=2000)
    )
    found = effects(result)
    path = found.tidy().query("kind == 'direct'").set_index("label")["estimate"]
    assert path["z -> y"] * path["y -> z"] > 1
    assert found.tidy().query("kind == 'total'")["estimate"].isna().all()
    assert next(note for note in found.notes() if note.code == "unstable_loop").severity == "serious"


# -- the result


def test_it_is_a_result_and_frozen() -> None:
    found = effects(fitted("pd_mediation"))
    assert isinstance(found, Result)
    assert found.kind == "effects"
    assert tuple(found.tidy().columns) == TIDY_COLUMNS == tuple(found.standardized().columns)
    assert found.draws.shape == found.standardized_draws.shape == (4000, len(found.tidy())) == (4000, len(found.names))
    assert len(set(found.names)) == len(found.names)
    assert len(found.glance()) == 1
    with pytest.raises(FrozenInstanceError):
        found.level = 0.9  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        found.draws[0, 0] = 1.0
    table = found.tidy()
    table["estimate"] = 0.0
    assert (found.tidy()["estimate"] != 0).all()


def test_many_paths_are_cut_with_a_note_and_totals_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list("abcdef")
    text = "\n".join(f"{y} ~ {' + '.join(names[:k])}" for k, y in enumerate(names) if k)
    truth = {(y, x): 0.2 for k, y in enumerate(names) for x in names[:k]}
    result = fit(text, moments_under(truth, names))
    whole = effects(result, draws=50)
    monkeypatch.setattr("spc.sem.postestimation.effect_graph.MAX_PATHS", 5)
    cut: Effects = effects(result, draws=50)
    assert (cut.tidy()["kind"] == "indirect").sum() == 5 < (whole.tidy()["kind"] == "indirect").sum()
    assert [note.code for note in cut.notes()] == ["many_paths"]
    pd.testing.assert_series_equal(
        cut.tidy().query("kind == 'total'")["estimate"].reset_index(drop=True),
        whole.tidy().query("kind == 'total'")["estimate"].reset_index(drop=True),
    )
