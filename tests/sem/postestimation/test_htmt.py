"""Heterotrait-monotrait ratios against semTools, and their bootstrap."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.errors import DataError, SpcWarning, UsageError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.postestimation.htmt import htmt
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
RATED = [name for name, case in CASES.items() if case["htmt"]]


def moments_of(name: str) -> Moments:
    m = CASES[name]["moments"]
    return Moments(m["names"], m["n"], m["means"], m["covariance"])


def two_scales(n: int = 400, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cov = np.array([[1.0, 0.6], [0.6, 1.0]])
    traits = rng.multivariate_normal([0, 0], cov, n)
    items = {f"Stimmung {i}": traits[:, 0] + rng.standard_normal(n) for i in range(3)}
    return pd.DataFrame(items | {f"能力{i}": traits[:, 1] + rng.standard_normal(n) for i in range(3)})


SCALES = {"Stimmung im Team": [f"Stimmung {i}" for i in range(3)], "能力": [f"能力{i}" for i in range(3)]}


@pytest.mark.parametrize("kind", ["htmt", "htmt2"])
@pytest.mark.parametrize("name", RATED)
def test_ratios_are_those_of_semtools(name: str, kind: str) -> None:
    theirs, latents = np.array(CASES[name]["htmt"][kind]), model(CASES[name]["model"]).latents
    ours = htmt(CASES[name]["model"], moments_of(name)).tidy().query("kind == @kind")
    assert len(ours) == len(latents) * (len(latents) - 1) // 2
    for row in ours.itertuples():
        i, j = latents.index(row.lhs), latents.index(row.rhs)
        assert row.estimate == pytest.approx(theirs[i, j], rel=1e-9)


def test_intervals_hold_the_latent_correlation_and_shrink_with_rows() -> None:
    small, large = (htmt(SCALES, two_scales(n), draws=400).tidy() for n in (200, 1800))
    assert ((small["conf_low"] < 0.6) & (small["conf_high"] > 0.6)).all()
    ratio = (small["conf_high"] - small["conf_low"]) / (large["conf_high"] - large["conf_low"])
    assert ratio.between(2.3, 4.0).all()


def test_draws_are_those_of_the_seed_and_do_not_move_the_estimate() -> None:
    data = two_scales()
    one, two, other = (htmt(SCALES, data, draws=60, seed=s).tidy() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert (one["estimate"] == other["estimate"]).all()
    assert (one["conf_low"] != other["conf_low"]).all()


def test_row_order_and_units_change_nothing() -> None:
    data = two_scales()
    moved = data.sample(frac=1, random_state=1) * [1e6, 1, 1, 1, 1e-6, 1] + 5.0
    np.testing.assert_allclose(
        htmt(SCALES, data, draws=0).tidy()["estimate"], htmt(SCALES, moved, draws=0).tidy()["estimate"], rtol=1e-9
    )


def test_rows_with_holes_are_left_out() -> None:
    data = two_scales()
    holes = pd.concat([data, data.head(3).assign(**{"Stimmung 0": np.nan})])
    assert htmt(SCALES, holes, draws=0).n == len(data)


def test_constructs_that_are_one_are_noted() -> None:
    data = two_scales()
    same = {"a": ["Stimmung 0", "Stimmung 1"], "b": ["Stimmung 2", "能力0"], "c": ["能力1", "能力2"]}
    rng = np.random.default_rng(1)
    trait = rng.standard_normal(len(data))
    one = pd.DataFrame({name: trait + rng.standard_normal(len(data)) for name in data.columns})
    assert {note.code for note in htmt(same, one, draws=100).notes()} == {"not_distinct"}
    moments = Moments.from_frame(data)
    assert [note.code for note in htmt(SCALES, moments).notes()] == ["no_interval"]
    turned = data.assign(**{"Stimmung 0": -data["Stimmung 0"]})
    assert {note.code for note in htmt(SCALES, turned, draws=0).notes()} == {"no_interval", "mixed_signs"}


def test_factors_of_factors_are_left_out() -> None:
    table = htmt(CASES["hs_second_order"]["model"], moments_of("hs_second_order")).tidy()
    assert set(table["lhs"]) | set(table["rhs"]) == {"visual", "textual", "speed"}


def test_a_fit_does_for_its_model() -> None:
    text, moments = CASES["hs_second_order"]["model"], moments_of("hs_second_order")
    pd.testing.assert_frame_equal(htmt(fit(text, moments), moments).tidy(), htmt(text, moments).tidy())


def test_refusals_say_why() -> None:
    data = two_scales()
    with pytest.raises(UsageError, match="single item"):
        htmt({"a": ["Stimmung 0"], "b": ["能力0", "能力1"]}, data)
    with pytest.raises(UsageError, match="two constructs"):
        htmt({"a": ["Stimmung 0", "能力0"], "b": ["能力0", "能力1"]}, data)
    with pytest.raises(UsageError, match="two or more"):
        htmt("f =~ `Stimmung 0` + `Stimmung 1`", data)
    with pytest.raises(UsageError, match="level"):
        htmt(SCALES, data, level=95)
    with pytest.raises(DataError, match="Did you mean '能力0'"):
        htmt({"a": ["Stimmung 0", "Stimmung 1"], "b": ["能力00", "能力1"]}, data)
    with pytest.raises(DataError, match="same value"):
        htmt(SCALES, data.assign(能力0=3.0))
    holes = data.mask(np.arange(data.shape[1]) == np.arange(len(data))[:, None] % data.shape[1])
    with pytest.raises(DataError, match=r"0 complete rows.*missing='fiml'"):
        htmt(SCALES, holes)


def test_the_result_passes_the_gate() -> None:
    assert Gate().model(htmt(SCALES, two_scales(), draws=20)).tidy.frame.shape[0] == 2


FOLDER = Path(__file__).parents[2] / "reference"
OTHERS = json.loads((FOLDER / "semtools_htmt.json").read_text())["cases"]
THREE = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
ORDERED = {"ordered": 9, "mixed": 6, "groups": 9}


def rows_of(name: str) -> pd.DataFrame:
    schools = json.loads((FOLDER / "lavaan_invariance.json").read_text())["frames"]
    ordered = json.loads((FOLDER / "lavaan_ordinal.json").read_text())["data"]
    return pd.DataFrame({key: pd.Series(values) for key, values in (schools | ordered)[name].items()}).astype(
        {"school": str}
    )


@pytest.mark.parametrize("name", OTHERS)
def test_ratios_of_other_correlations_are_semtools(name: str) -> None:
    case, rows = OTHERS[name], rows_of(OTHERS[name]["data"])
    ordered = [f"x{i}" for i in range(1, ORDERED.get(name, 0) + 1)]
    group = "school" if name == "groups" else None
    found = htmt(
        THREE, rows, ordered=ordered, group=group, missing="fiml" if name == "fiml" else "listwise", draws=0
    ).tidy()
    for label, ratios in zip(case["groups"], case["ratios"], strict=True):
        own = found[found["group"] == label]
        for kind in ("htmt", "htmt2"):
            ours = own[own["kind"] == kind]["estimate"]
            assert ours.tolist() == pytest.approx(ratios[kind], rel=2e-5)


def test_a_fit_brings_its_groups_and_categories() -> None:
    rows = rows_of("hs4")
    items = [f"x{i}" for i in range(1, 10)]
    both = fit(THREE, rows, ordered=items, group="school", missing="listwise")
    found = htmt(both, rows, draws=25, seed=2)
    assert found.tidy()["group"].unique().tolist() == ["Pasteur", "Grant-White"]
    assert found.tidy()["conf_low"].lt(found.tidy()["conf_high"]).all()
    assert found.replicates is not None
    assert found.replicates.names[0] == "Pasteur: htmt: visual ~~ textual"
    assert found.replicates.values.shape[1] == 12
    assert found.glance()["npairs"].iloc[0] == 3
    assert found.n == len(rows)


def test_draws_with_holes_differ_and_groups_of_moments_are_refused() -> None:
    rows = rows_of("hs_holes")
    found = htmt(THREE, rows, missing="fiml", draws=20)
    assert found.n == len(rows)
    assert found.tidy()["std_error"].gt(0).all()
    with pytest.raises(UsageError, match="need rows"):
        htmt(SCALES, Moments.from_frame(two_scales()), group="g")


BOTH = "level: 1\nf =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\nlevel: 2\nf =~ a1 + a2 + a3\ng =~ b1 + b2 + b3"
ITEMS = {"f": ["a1", "a2", "a3"], "g": ["b1", "b2", "b3"]}


def teams(count: int = 60, size: int = 6, seed: int = 8) -> pd.DataFrame:
    """Two constructs that correlate .3 within teams and .7 between them."""
    rng = np.random.default_rng(seed)
    team = np.repeat(np.arange(count), size)
    inner, outer = (rng.multivariate_normal([0, 0], [[1, r], [r, 1]], n) for r, n in ((0.3, team.size), (0.7, count)))
    items = {
        f"{letter}{k}": inner[:, at] + (outer[:, at] + 0.7 * rng.normal(size=count))[team] + rng.normal(size=team.size)
        for at, letter in enumerate("ab")
        for k in (1, 2, 3)
    }
    return pd.DataFrame(items | {"team": team}).sample(frac=1.0, random_state=1)


def closed_form(data: pd.DataFrame, size: int) -> dict[str, Moments]:
    """Free covariances of both levels where all teams are of one size: those of analysis of variance."""
    values = data.drop(columns="team")
    means = values.groupby(data["team"]).transform("mean")
    n, count = len(data), data["team"].nunique()
    apart = (values - means).to_numpy()
    within = apart.T @ apart / (n - count)
    between = np.cov(means.drop_duplicates().to_numpy().T, bias=True) - within / size
    return {str(at): Moments(list(values), n, None, cov) for at, cov in ((1, within), (2, between))}


def test_each_level_has_ratios_of_its_own() -> None:
    data = teams()
    found = htmt(fit(BOTH, data, cluster="team"), draws=0).tidy()
    assert found["level"].tolist() == ["1", "2"] * 2
    for level, moments in closed_form(data, 6).items():
        assert np.linalg.eigvalsh(moments.cov)[0] > 0
        theirs = htmt(ITEMS, moments).tidy()["estimate"]
        np.testing.assert_allclose(found[found["level"] == level]["estimate"], theirs, rtol=1e-6)


def test_draws_of_two_levels_are_of_clusters() -> None:
    """Between 60 teams the ratio is known less well than within; order of rows and data given again change nothing."""
    data = teams()
    both = fit(BOTH, data, cluster="team")
    found = htmt(both, draws=80)
    plain = found.tidy().query("kind == 'htmt'").set_index("level")
    assert plain["std_error"]["2"] > 1.2 * plain["std_error"]["1"]
    assert plain["conf_low"]["1"] < 0.3 < plain["conf_high"]["1"]
    assert plain["conf_low"]["2"] < 0.7 < plain["conf_high"]["2"]
    assert found.replicates is not None
    assert found.replicates.names == ("htmt: f ~~ g", "htmt: f ~~ g.l2", "htmt2: f ~~ g", "htmt2: f ~~ g.l2")
    shuffled = data.sample(frac=1.0, random_state=5)
    again = htmt(fit(BOTH, shuffled, cluster="team"), shuffled, draws=80).tidy()
    pd.testing.assert_frame_equal(again, found.tidy(), rtol=1e-6)


def test_two_levels_with_holes_and_in_groups() -> None:
    data = teams(80)
    holes = data.mask(np.random.default_rng(2).random(data.shape) < 0.05).assign(team=data["team"])
    found = htmt(fit(BOTH, holes, cluster="team", missing="fiml"), draws=4)
    assert found.replicates is not None
    assert not found.replicates.failures
    two = data.assign(country=np.where(data["team"] % 2, "NO", "SE"))
    each = htmt(fit(BOTH, two, cluster="team", group="country"), draws=0).tidy()
    assert each.groupby(["group", "level"]).size().tolist() == [2, 2, 2, 2]
    alone = fit(BOTH, two[two["country"] == "SE"], cluster="team")
    np.testing.assert_allclose(
        each.query("group == 'SE'")["estimate"], htmt(alone, draws=0).tidy()["estimate"], rtol=1e-6
    )


def test_items_that_do_not_vary_between_clusters_are_named() -> None:
    """Means of b2 differ far less than its rows make them, so that its variance between teams is next to nothing."""
    data = teams()
    chance = np.random.default_rng(1).normal(scale=0.1, size=60)[data["team"]]
    flat = data.assign(b2=data["b2"] - data.groupby("team")["b2"].transform("mean") + chance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        found = htmt(fit(BOTH, flat, cluster="team"), draws=3)
    own = found.tidy().set_index(["level", "kind"])["estimate"]
    assert own.loc["1"].notna().all()
    assert own.loc["2"].isna().all()
    note = next(note for note in found.notes() if note.code == "no_variation_between")
    assert (note.subject, note.severity) == ("g (level 2)", "serious")


def test_a_level_without_two_constructs_has_no_ratios() -> None:
    single = BOTH.partition("\nlevel: 2")[0] + "\nlevel: 2\nk =~ a1 + a2 + a3 + b1 + b2 + b3"
    assert set(htmt(fit(single, teams(), cluster="team"), draws=0).tidy()["level"]) == {"1"}


def test_clusters_of_one_level_are_drawn_whole() -> None:
    """People of a team answer alike, so that intervals from rows are too short; a fit brings its clusters."""
    data = teams(count=30, size=12)
    single = BOTH.partition("\nlevel: 2")[0].removeprefix("level: 1\n")
    rows, clusters = htmt(single, data, draws=150).tidy(), htmt(single, data, draws=150, cluster="team").tidy()
    assert (clusters["estimate"] == rows["estimate"]).all()
    assert (clusters["std_error"] > 1.5 * rows["std_error"]).all()
    pd.testing.assert_frame_equal(htmt(fit(single, data, cluster="team"), data, draws=150).tidy(), clusters)


def test_two_levels_are_refused_where_they_are_not_known() -> None:
    data = teams(30)
    both = fit(BOTH, data, cluster="team")
    with pytest.raises(UsageError, match="give the fit"):
        htmt(BOTH, data)
    with pytest.raises(UsageError, match="leave these out"):
        htmt(both, cluster="team")
    with pytest.raises(UsageError, match="leave the moments out"):
        htmt(both, Moments.from_frame(data))
    with pytest.raises(UsageError, match="Give the rows"):
        htmt(ITEMS)
    with pytest.raises(DataError):
        htmt(both, data.head(100), draws=0)
    with pytest.raises(UsageError, match="need rows"):
        htmt(ITEMS, Moments.from_frame(data), cluster="team")
