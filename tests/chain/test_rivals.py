"""Rivals: the texts of each, the same likelihoods by hand, and truth found in simulated studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.links import outcomes
from spc.chain.rival_models import rival_texts
from spc.chain.rival_prediction import Expected, Seen, explained, held_out, held_out_folds
from spc.chain.rivals import rivals
from spc.errors import UnsupportedError, UsageError
from spc.spec import model

STRAIGHT = {"b": ["a"], "c": ["b"]}


def study_of(folder: Path, frame: pd.DataFrame, chain: str, extra: str = "") -> spc.Study:
    """A study of unit results alone, one column a construct."""
    names = [name for name in frame if name not in {"unit", "wave"}]
    frame.to_csv(folder / "units.csv", index=False)
    constructs = "".join(f'[constructs.{n}]\ntable = "units"\nitems = ["{n}"]\n' for n in names)
    text = f'[study]\nname = "Units"\n[tables.units]\nfile = "units.csv"\n{constructs}[chain]\nmodel = """{chain}"""\n'
    (folder / "study.toml").write_text(text + extra)
    return spc.read_study(folder / "study.toml")


def straight_rows(n: int, rng: np.random.Generator) -> pd.DataFrame:
    a = rng.normal(size=n)
    b = 0.7 * a + 0.7 * rng.normal(size=n)
    c = 0.7 * b + 0.7 * rng.normal(size=n)
    return pd.DataFrame({"unit": range(n), "a": a, "b": b, "c": c})


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> spc.Rivals:
    frame = straight_rows(150, np.random.default_rng(1))
    return rivals(study_of(tmp_path_factory.mktemp("straight"), frame, "b ~ a\nc ~ b"))


def test_links_turn_round_within_a_wave_and_keep_their_order_over_time() -> None:
    tables = dict.fromkeys("abc", "x")
    assert outcomes(model(rival_texts(STRAIGHT, tables, {})["reverse"])) == {"a": ["b"], "b": ["c"]}
    over = rival_texts(STRAIGHT, tables, {"a": 0, "b": 1, "c": 1})["reverse"]
    assert outcomes(model(over)) == {"b": ["a", "c"]}
    assert "reverse" not in rival_texts(STRAIGHT, tables, {"a": 0, "b": 1, "c": 2})


def test_sides_are_apart_where_there_is_no_chain() -> None:
    tables = {"a": "staff", "b": "staff", "c": "guests", "d": "guests"}
    links = {"b": ["a"], "c": ["b"], "d": ["c"]}
    rows = model(rival_texts(links, tables, {})["no_chain"], fixed_x=False).parameters
    free = {frozenset((row.lhs, row.rhs)) for row in rows if row.op == "~~" and row.free and row.lhs != row.rhs}
    assert free == {frozenset("ab"), frozenset("cd")}
    direct = model(rival_texts(links, tables, {})["direct_only"], fixed_x=False)
    assert outcomes(direct) == {"d": ["a", "b", "c"]}


def test_likelihoods_are_those_of_all_variables(straight: spc.Rivals) -> None:
    """No chain is independence: its likelihood is a sum of three; free covariances are the determinant."""
    frame = straight_rows(150, np.random.default_rng(1))[["a", "b", "c"]]
    cov = np.cov(frame.T, bias=True)
    alone = -0.5 * 150 * (3 * np.log(2 * np.pi) + np.log(cov.diagonal()).sum() + 3)
    full = -0.5 * 150 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(cov)[1] + 3)
    wide = straight.compared().set_index("rival")
    np.testing.assert_allclose(wide.loc["no_chain", "logl"], alone, rtol=1e-9)
    np.testing.assert_allclose(wide.loc["common_cause", "logl"], full, rtol=1e-7)
    np.testing.assert_allclose(wide.loc["chain", "logl"] + wide.loc["chain", "chisq"] / 2, full, rtol=1e-9)


def test_a_straight_chain_and_its_reverse_are_told_to_be_the_same(straight: spc.Rivals) -> None:
    assert ("chain", "reverse") in straight.alike
    assert any(note.code == "same_fit" and "reverse" in note.subject for note in straight.notes())
    ranks = straight.compared().set_index("rival")
    assert ranks.loc["chain", "rank_fit"] == ranks.loc["reverse", "rank_fit"] == 1
    assert ranks.loc["chain", "rank_prediction"] == ranks.loc["reverse", "rank_prediction"] == 1
    assert ranks.loc["no_chain", "rank_fit"] == 5
    assert ranks.loc["no_chain", "rank_prediction"] > 1
    np.testing.assert_allclose(ranks.loc["chain", "held_out"], ranks.loc["reverse", "held_out"], atol=1e-3)


def test_held_out_r2_is_that_of_the_truth(straight: spc.Rivals) -> None:
    """c on b explains .49 * var(b) / var(c) with var(b) = .98, var(c) = .97."""
    r2 = straight.compared().set_index("rival")["r2 c"]
    assert abs(r2["chain"] - 0.49 * 0.98 / 0.97) < 0.12
    assert abs(r2["no_chain"]) < 1e-9


def test_a_common_cause_is_found_where_it_is_the_truth(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    factor = rng.normal(size=200)
    frame = pd.DataFrame({"unit": range(200)} | {n: 0.8 * factor + 0.6 * rng.normal(size=200) for n in "abcd"})
    found = rivals(study_of(tmp_path, frame, "b ~ a\nc ~ b\nd ~ c"))
    assert found.glance()["best_fit"].iloc[0] == "common_cause"
    assert "common_cause" in found.glance()["best_prediction"].iloc[0]
    codes = {note.code: note.severity for note in found.notes()}
    assert codes["chain_behind_fit"] == "serious"


def test_two_sided_rivals_of_a_firm(tmp_path: Path) -> None:
    study = spc.read_study(spc.make_firm(seed=3, units=60, employees=10, customers=20).write(tmp_path))
    found = rivals(study, folds=4)
    table = found.compared().set_index("rival")
    assert found.nunits == 60
    assert table.loc["chain", "bic_difference"] < 6
    assert table.loc["no_chain", "bic_difference"] > 10
    assert table.loc["chain", "held_out"] > table.loc["no_chain", "held_out"]
    again = rivals(study, folds=4)
    pd.testing.assert_frame_equal(found.tidy(), again.tidy())
    other = rivals(study, folds=4, seed=9)
    assert other.compared()["held_out"].ne(table["held_out"].to_numpy()).all()
    assert table["bic"].to_numpy() == pytest.approx(other.compared()["bic"].to_numpy())


def test_time_order_is_found_where_it_is_the_truth(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 150))
    parts = []
    for wave in range(4):
        parts.append(pd.DataFrame({"unit": range(150), "wave": wave, "a": a, "b": b}))
        a, b = 0.5 * a + 0.8 * rng.normal(size=150), 0.5 * b + 0.5 * a + 0.7 * rng.normal(size=150)
    study = study_of(tmp_path, pd.concat(parts), "b ~ a")
    found = rivals(study)
    order = found.tidy().query("kind == 'time_order'").iloc[0]
    assert (order["lhs"], order["rhs"], order["label"]) == ("b", "a", "forward")
    backward = found.tidy().query("kind == 'time_backward'").iloc[0]
    assert backward["conf_low"] < 0 < backward["conf_high"]
    turned = rivals(study_of(tmp_path, pd.concat(parts), "a ~ b"))
    assert turned.glance()["backward_links"].iloc[0] == 1
    assert any(note.code == "time_runs_backward" for note in turned.notes())


def test_persons_with_items_keep_their_units_together(tmp_path: Path) -> None:
    study = spc.read_study(spc.make_firm(seed=2, units=12, employees=15, sides=("employee",)).write(tmp_path))
    found = rivals(study, folds=3)
    assert found.level == "person"
    assert found.nunits == 12
    assert found.compared().set_index("rival").loc["chain", "rank_fit"] == 1


def test_what_is_foreseen_is_the_conditional_normal() -> None:
    sigma, noise = np.array([[1.0, 0.5], [0.5, 2.0]]), np.array([[4.0, 0.0], [0.0, 0.0]])
    seen = Seen(
        np.array([[1.0, 2.0], [0.0, np.nan], [3.0, 4.0]]), np.array([[4.0], [2.0], [1.0]]), np.array([0, -1]),
        np.array([[0.0, 1.0]]), np.array([True, False]),
    )  # fmt: skip
    found = held_out(seen, np.array([0, 0, 1]), lambda _: Expected(np.array([0.5, 1.0]), sigma, noise), "Testing")
    v = np.array([[2.0, 0.5], [0.5, 2.0]])
    apart = np.array([0.5, 1.0])
    expected = -0.5 * (apart @ np.linalg.solve(v, apart) + np.log(np.linalg.det(v)) + 2 * np.log(2 * np.pi))
    assert found.density[0] == pytest.approx(expected)
    assert found.density[1] == pytest.approx(-0.5 * (0.25 / 3.0 + np.log(3.0) + np.log(2 * np.pi)))
    assert found.predicted[:2, 0].tolist() == pytest.approx([1.0 + 0.5 / 2.0 * 0.5, 1.0 - 0.5 / 3.0 * 0.5])


def test_prediction_takes_away_nothing_when_it_is_the_mean() -> None:
    seen = Seen(
        np.arange(8.0).reshape(4, 2), np.empty((4, 0)), np.array([-1, -1]), np.eye(2)[:1], np.array([False, True])
    )
    found = held_out(seen, np.array([0, 0, 1, 1]), lambda _: Expected(np.zeros(2), np.eye(2), np.zeros((2, 2))), "x")
    flat = type(found)(found.density, found.guessed, found.guessed, 0)
    assert explained(seen, flat).tolist() == [0.0]


def test_folds_keep_clusters_together() -> None:
    cluster = np.repeat(np.arange(6), 3)
    fold = held_out_folds(18, 3, np.random.default_rng(1), cluster)
    assert all(len(set(fold[cluster == c])) == 1 for c in range(6))
    assert np.bincount(fold).tolist() == [6, 6, 6]


def test_refusals(tmp_path: Path) -> None:
    study = study_of(tmp_path, straight_rows(30, np.random.default_rng(1)), "b ~ a\nc ~ b")
    with pytest.raises(UsageError, match="from 2 to 30"):
        rivals(study, folds=31)
    with pytest.raises(UnsupportedError, match="two_sided"):
        rivals(study, method="bayes")  # type: ignore[arg-type]
