"""Several groups: who they are, what does not change anything, and whose fault a fault is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError, NotIdentifiedError, NotPositiveDefiniteError, SpecError, UnsupportedError, UsageError
from spc.moments import Moments, Patterns
from spc.sem import effects, factor_scores, fit, fit_measures, implied_moments, predict, r_square, refit, residuals
from spc.sem.engine.groups import split
from spc.sem.engine.joint import Joint, join, look
from spc.sem.engine.optimise import derivatives, observed_information
from spc.sem.engine.start import start_values
from spc.spec import model
from spc.spec.table import blocks

TEXT = "f =~ a + b + c\ng =~ d + e + h\ng ~ f\n"
NAMES = list("abcdeh")
EQUAL = ("loadings", "intercepts")


def rows(n: int, seed: int, shift: float = 0.0, unequal: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    f = shift + rng.normal(size=n)
    g = 0.5 * f + rng.normal(size=n)
    loads = (1.0, 0.8, 0.7)
    values = [load * f + 0.7 * rng.normal(size=n) for load in loads]
    values += [unequal * load * g + 0.8 * rng.normal(size=n) for load in loads]
    return pd.DataFrame(np.array(values).T + 3.0, columns=NAMES)


def sites(**sizes: int) -> pd.DataFrame:
    parts = [rows(n, 10 + i, 0.3 * i, 1.0 + 0.1 * i).assign(site=name) for i, (name, n) in enumerate(sizes.items())]
    return pd.concat(parts, ignore_index=True)


TWO = sites(north=150, south=200)


def estimates(frame: pd.DataFrame) -> pd.Series:
    return frame.set_index(["group", "lhs", "op", "rhs"])["estimate"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["b", "a", "b"], ["b", "a"]),
        ([2.0, 1.0, 2.0], ["2", "1"]),
        ([True, False, True], ["True", "False"]),
        (pd.Categorical(["y", "x", "y"], categories=["x", "y", "z"]), ["y", "x"]),
        (pd.to_datetime(["2026-01-02", "2026-01-01", "2026-01-02"]).date, ["2026-01-02", "2026-01-01"]),
        (pd.array([5, 4, 5], dtype="Int64"), ["5", "4"]),
    ],
)
def test_groups_follow_their_first_appearance(values: Any, labels: list[str]) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "of": values}, index=[7, 7, 8])
    found = split(frame, "of")
    assert [part.label for part in found] == labels
    assert [part.data["x"].tolist() for part in found] == [[1.0, 3.0], [2.0]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a", None, "b"], "1 rows without a group"),
        (["a"] * 3, "at least two groups"),
        (["1", 1, "a"], "read alike: 1"),
    ],
)
def test_columns_that_tell_no_groups(values: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        split(pd.DataFrame({"of": pd.Series(values, dtype=object)}), "of")


def test_a_group_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="Did you mean 'site'"):
        fit(TEXT, TWO, group="sites")


def test_groups_may_come_as_moments() -> None:
    pieces = [Moments.from_frame(part, NAMES, group=str(name)) for name, part in TWO.groupby("site", sort=False)]
    whole = fit(TEXT, TWO, group="site", group_equal=EQUAL)
    listed = fit(TEXT, pieces, group_equal=EQUAL)
    mapped = fit(TEXT, {piece.group: piece for piece in pieces}, group_equal=EQUAL)
    for other in (listed, mapped):
        np.testing.assert_allclose(other.solution.theta, whole.solution.theta, rtol=1e-9)
        assert other.groups == ("north", "south")
    nameless = fit(TEXT, [Moments(one.names, one.n, one.mean, one.cov) for one in pieces])
    assert nameless.groups == ("1", "2")


def test_published_covariances_of_groups_need_no_means() -> None:
    cov = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]])
    found = fit("f =~ x + y + z", {"a": Moments("xyz", 90, None, cov), "b": Moments("xyz", 120, None, cov)})
    assert not found.model.meanstructure
    assert found.df == 0


@pytest.mark.parametrize("options", [{}, {"estimator": "MLR"}, {"estimator": "GLS"}, {"missing": "fiml"}])
def test_the_order_of_rows_changes_nothing(options: dict[str, Any]) -> None:
    mixed = TWO.sample(frac=1.0, random_state=1)
    mixed = pd.concat([mixed[mixed["site"] == "north"].iloc[:1], mixed]).iloc[1:]
    first = fit(TEXT, TWO, group="site", group_equal=EQUAL, **options)
    second = fit(TEXT, mixed, group="site", group_equal=EQUAL, **options)
    ours, other = estimates(first.tidy()), estimates(second.tidy())
    if first.groups == second.groups:
        np.testing.assert_allclose(other, ours, atol=1e-8)
        np.testing.assert_allclose(second.vcov, first.vcov, atol=1e-9)
    assert second.chisq == pytest.approx(first.chisq, abs=1e-7)


@pytest.mark.parametrize("options", [{}, {"estimator": "MLR"}, {"estimator": "ULS"}, {"likelihood": "wishart"}])
def test_one_group_twice_has_twice_the_chi_square(options: dict[str, Any]) -> None:
    one = rows(200, 3)
    alone = fit(model(TEXT, meanstructure=True), one, **options)
    twice = pd.concat([one.assign(of="p"), one.assign(of="q")])
    for equal in ((), ("loadings", "intercepts", "residuals", "regressions", "lv_variances", "means")):
        both = fit(TEXT, twice, group="of", group_equal=equal, **options)
        assert both.chisq == pytest.approx(2.0 * alone.chisq, rel=1e-9)
        for view in both.views:
            np.testing.assert_allclose(view.values, alone.values, atol=1e-6)
            assert view.chisq == pytest.approx(alone.chisq, rel=1e-6)


def test_groups_that_share_nothing_are_fits_of_their_own() -> None:
    both = fit(TEXT, TWO, group="site")
    for name, view in zip(both.groups, both.views, strict=True):
        alone = fit(model(TEXT, meanstructure=True), TWO[TWO["site"] == name])
        np.testing.assert_allclose(view.values, alone.values, atol=1e-8)
        np.testing.assert_allclose(view.tidy()["std_error"], alone.tidy()["std_error"], rtol=1e-6)
        np.testing.assert_allclose(view.std_all, alone.std_all, atol=1e-8)
        assert view.chisq == pytest.approx(alone.chisq, rel=1e-8)
    parts = [fit(model(TEXT, meanstructure=True), TWO[TWO["site"] == name]) for name in both.groups]
    assert both.chisq == pytest.approx(sum(part.chisq for part in parts), rel=1e-9)
    assert fit_measures(both)["logl"] == pytest.approx(sum(fit_measures(part)["logl"] for part in parts), rel=1e-12)


def test_other_names_for_the_groups_only_name_them() -> None:
    first = fit(TEXT, TWO, group="site", group_equal=EQUAL)
    swapped = TWO.assign(site=TWO["site"].map({"north": "south", "south": "north"}))
    second = fit(TEXT, swapped, group="site", group_equal=EQUAL)
    assert second.groups == ("south", "north")
    np.testing.assert_allclose(second.solution.theta, first.solution.theta, atol=1e-9)
    backwards = fit(TEXT, pd.concat([TWO[TWO["site"] == "south"], TWO[TWO["site"] == "north"]]), group="site")
    free = fit(TEXT, TWO, group="site")
    np.testing.assert_allclose(
        estimates(backwards.tidy())[free.tidy().pipe(estimates).index], estimates(free.tidy()), atol=1e-7
    )


@settings(max_examples=12, deadline=None)
@given(power=st.integers(-6, 6), name=st.sampled_from(NAMES), fiml=st.booleans())
def test_units_change_nothing_but_units(power: int, name: str, fiml: bool) -> None:
    missing = "fiml" if fiml else "listwise"
    scaled = TWO.assign(**{name: TWO[name] * 10.0**power})
    first = fit(TEXT, TWO, group="site", group_equal=EQUAL, missing=missing)
    second = fit(TEXT, scaled, group="site", group_equal=EQUAL, missing=missing)
    assert second.chisq == pytest.approx(first.chisq, rel=1e-7)
    np.testing.assert_allclose(second.std_all, first.std_all, atol=1e-6)
    first_z, second_z = (found.tidy()["statistic"] for found in (first, second))
    np.testing.assert_allclose(second_z, first_z, rtol=1e-5, atol=1e-6)


def joint(equal: tuple[str, ...] = EQUAL) -> Joint:
    made = model(TEXT, groups=("north", "south"), group_equal=equal, meanstructure=True)
    moments = [Moments.from_frame(TWO[TWO["site"] == name], NAMES) for name in made.groups]
    parts = [block.model for block in blocks(made)]
    found = join(made, parts, [one.restrict(part.observed) for one, part in zip(moments, parts, strict=True)], "normal")
    assert isinstance(found, Joint)
    return found


def test_score_and_information_are_derivatives() -> None:
    system = joint()
    x = start_values(system) * 1.05 + 0.02
    state = look(system, x)
    assert state is not None
    step = 1e-5

    def value(z: np.ndarray) -> float:
        found = look(system, z)
        assert found is not None
        return found.value

    def score(z: np.ndarray) -> np.ndarray:
        found = look(system, z)
        assert found is not None
        return derivatives(system, found)[0]

    unit = np.eye(x.size) * step
    numeric = np.array([(value(x + one) - value(x - one)) / (2 * step) for one in unit])
    np.testing.assert_allclose(-2.0 * score(x), numeric, atol=1e-7)
    bent = np.array([(score(x - one) - score(x + one)) / (2 * step) for one in unit])
    np.testing.assert_allclose(observed_information(system, state), bent, atol=1e-6)


def test_the_blocks_of_the_joint_problem() -> None:
    system = joint()
    assert system.n == 350
    np.testing.assert_allclose(system.shares, [150 / 350, 200 / 350])
    theta = system.theta(start_values(system))
    np.testing.assert_allclose(system.theta(system.coordinates(theta)), theta, atol=1e-10)
    for problem in system.problems:
        values = problem.values(start_values(system))
        np.testing.assert_allclose(values / problem.multiplier, problem.row_values(theta), atol=1e-10)


def test_a_constant_column_names_its_group() -> None:
    flat = TWO.copy()
    flat.loc[flat["site"] == "south", "c"] = 4.0
    with pytest.raises(DataError, match=r"group south.*c: the same value"):
        fit(TEXT, flat, group="site")


def test_too_few_rows_name_their_group() -> None:
    few = sites(north=150, south=5)
    with pytest.raises(DataError, match=r"group south.*5 rows"):
        fit(TEXT, few, group="site")
    with pytest.raises(DataError, match=r"group south.*5 rows"):
        fit(TEXT, few, group="site", missing="fiml")


def test_dependent_columns_name_their_group() -> None:
    copied = TWO.copy()
    south = copied["site"] == "south"
    copied.loc[south, "b"] = 2.0 * copied.loc[south, "a"]
    with pytest.raises(NotPositiveDefiniteError, match="Group south"):
        fit(TEXT, copied, group="site")


def test_what_is_not_identified_is_named_with_its_group() -> None:
    with pytest.raises(NotIdentifiedError) as caught:
        fit("f =~ c(1, NA)*a + b + c\ng =~ d + e + h\n", TWO, group="site")
    assert caught.value.parameters
    assert all(name.endswith(".g2") for name in caught.value.parameters)


def test_an_improper_group_is_named() -> None:
    improper = np.array([
        [1.00, 0.80, 0.78, 0.72], [0.80, 1.00, 0.48, 0.45], [0.78, 0.48, 1.00, 0.46], [0.72, 0.45, 0.46, 1.00]
    ])  # fmt: skip
    proper = 0.5 * np.eye(4) + 0.5
    data = {"good": Moments("abcd", 150, None, proper), "bad": Moments("abcd", 150, None, improper)}
    with pytest.warns(UserWarning, match="Group bad"):
        found = fit("f =~ a + b + c + d", data)
    said = [note for note in found.notes() if note.code == "heywood"]
    assert [note.subject for note in said] == ["a~~a (group bad)"]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"engine": "semopy"}, UnsupportedError, "several groups"),
        ({"group_equal": ("loading",)}, SpecError, "loadings"),
    ],
)
def test_options_that_do_not_go_with_groups(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        fit(TEXT, TWO, group="site", **options)


def test_equality_without_groups() -> None:
    with pytest.raises(UsageError, match="need groups"):
        fit(TEXT, TWO, group_equal=EQUAL)
    with pytest.raises(UsageError, match="names a column"):
        fit(TEXT, [Moments.from_frame(TWO, NAMES)] * 2, group="site")


def test_what_has_no_method_for_groups_says_so() -> None:
    found = fit(TEXT, TWO, group="site")
    with pytest.raises(UnsupportedError, match="north, south"):
        _ = found.problem


def test_tables_of_groups() -> None:
    found = fit(TEXT, TWO, group="site", group_equal=EQUAL)
    assert set(found.tidy()["group"]) == {"north", "south"}
    assert list(r_square(found).index.get_level_values(0).unique()) == ["north", "south"]
    implied = implied_moments(found)
    assert isinstance(implied, dict)
    assert [one.n for one in implied.values()] == [150, 200]
    left = residuals(found).loc["south"]
    south = TWO.loc[TWO["site"] == "south", NAMES]
    np.testing.assert_allclose(left + implied["south"].cov * (199 / 200), south.cov() * (199 / 200), atol=1e-10)
    assert found.glance()["ngroups"].iloc[0] == 2


def test_refit_to_the_same_moments() -> None:
    for options, form in (({}, Moments), ({"estimator": "GLS"}, Moments), ({"missing": "fiml"}, Patterns)):
        found = fit(TEXT, TWO, group="site", group_equal=EQUAL, **options)
        again = [form.from_frame(part, NAMES) for _, part in TWO.groupby("site", sort=False)]
        np.testing.assert_allclose(refit(found, again).theta, found.solution.theta, atol=1e-7)
    with pytest.raises(UsageError, match="one a group"):
        refit(found, again[:1])


def test_missing_answers_of_none_are_complete_answers() -> None:
    complete = fit(TEXT, TWO, group="site", group_equal=EQUAL, information="observed")
    incomplete = fit(TEXT, TWO, group="site", group_equal=EQUAL, missing="fiml")
    np.testing.assert_allclose(incomplete.solution.theta, complete.solution.theta, atol=1e-7)
    np.testing.assert_allclose(incomplete.vcov, complete.vcov, rtol=1e-5, atol=1e-9)
    assert incomplete.chisq == pytest.approx(complete.chisq, abs=1e-6)


def test_a_model_that_knows_its_groups_takes_them_in_its_own_order() -> None:
    made = model(TEXT, groups=("south", "north"), group_equal=EQUAL, meanstructure=True)
    found = fit(made, TWO, group="site")
    assert found.groups == ("south", "north")
    assert [part.observed.n for part in found.parts] == [200, 150]
    with pytest.raises(DataError, match="north, south"):
        fit(model(TEXT, groups=("east", "west")), TWO, group="site")


def test_effects_scores_and_predictions_of_groups() -> None:
    found = fit(TEXT, TWO, group="site")
    mixed = TWO.sample(frac=1.0, random_state=3)
    scores, said, told = factor_scores(found, mixed), effects(found, draws=400), predict(found, mixed, given=["a", "b"])
    assert list(scores.index) == list(mixed.index) == list(told.index)
    for view in found.views:
        own = mixed["site"] == view.parts[0].group
        np.testing.assert_allclose(scores[own], factor_scores(view, mixed[own]), atol=1e-12)
        np.testing.assert_allclose(told[own], predict(view, mixed[own], given=["a", "b"]), atol=1e-12)
        path = view.tidy().query("op == '~'")["estimate"].to_numpy()
        table = said.tidy().query("kind == 'direct' and group == @view.parts[0].group")
        np.testing.assert_allclose(table["estimate"], path)
    assert said.names[0] == "north: direct: f -> g"
    assert said.draws.shape == (400, len(said.tidy()))
    with pytest.raises(DataError, match="'east'"):
        factor_scores(found, mixed.assign(site="east"))
