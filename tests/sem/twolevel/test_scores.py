import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import UnsupportedError
from spc.sem import factor_scores, fit
from spc.sem.twolevel.scores import cluster_scores, icc

FIXTURE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_twolevel_scores.json").read_text())
DATA = pd.DataFrame(FIXTURE["data"])


def fitted(frame=DATA, text=FIXTURE["text"], **options):
    return fit(text, frame, cluster="unit", **options)


def test_scores_of_clusters_equal_lavaans():
    scores = cluster_scores(fitted())
    np.testing.assert_allclose(scores["g"], FIXTURE["scores"], atol=2e-4)
    assert scores.index.tolist() == sorted(DATA["unit"].unique())


def test_scores_are_what_the_normal_distribution_expects_given_all_values_of_a_cluster():
    found = fitted(text=FIXTURE["text"] + "\ng ~ climate")
    rows = found.tidy().set_index(["level", "lhs", "op", "rhs"])["estimate"]
    names = ["a", "b", "c"]
    far, near = (np.array([rows[str(2 - k), f, "=~", one] for one in names]) for k, f in enumerate("gf"))
    path, spread = rows["2", "g", "~", "climate"], rows["2", "climate", "~~", "climate"]
    psi = rows["2", "g", "~~", "g"] + path**2 * spread
    own = np.diag([rows["2", one, "~~", one] for one in names]) + psi * np.outer(far, far)
    inside = np.diag([rows["1", one, "~~", one] for one in names])
    inside = inside + rows["1", "f", "~~", "f"] * np.outer(near, near)
    scores = cluster_scores(found)
    for unit, part in list(DATA.groupby("unit"))[:5]:
        n = len(part)
        sigma = np.kron(np.ones((n, n)), own) + np.kron(np.eye(n), inside)
        toward = np.tile(far * path * spread, n)
        joint = np.block([[sigma, toward[:, None]], [toward, spread]])
        cross = np.append(np.tile(psi * far, n), path * spread)
        means = [
            rows["2", one, "~1", ""] + far[i] * path * rows["2", "climate", "~1", ""] for i, one in enumerate(names)
        ]
        apart = np.append(
            part[names].to_numpy().ravel() - np.tile(means, n), part["climate"].iloc[0] - rows["2", "climate", "~1", ""]
        )
        expected = path * rows["2", "climate", "~1", ""] + cross @ np.linalg.solve(joint, apart)
        assert scores.loc[unit, "g"] == pytest.approx(expected, abs=1e-8)
        assert scores.loc[unit, "g_error"] ** 2 == pytest.approx(psi - cross @ np.linalg.solve(joint, cross), rel=1e-6)


def test_scores_of_larger_clusters_are_surer():
    errors = cluster_scores(fitted())["g_error"]
    size = DATA.groupby("unit").size()
    assert errors.groupby(size).mean().is_monotonic_decreasing


def test_without_holes_answers_give_the_scores_of_complete_rows():
    holed = DATA.copy()
    holed.loc[0, "a"] = np.nan
    whole, other = cluster_scores(fitted()), cluster_scores(fitted(holed, missing="fiml"))
    assert np.corrcoef(whole["g"], other["g"])[0, 1] > 0.999
    assert other.loc[1, "g_error"] > whole.loc[1, "g_error"] * 0.98


def test_shares_between_clusters_equal_lavaans():
    """lavaan's free moments come from EM that stops early."""
    found = icc(fitted())
    for name, share in FIXTURE["icc"].items():
        assert found[name] == pytest.approx(share, abs=2e-3)


def test_one_level_has_neither():
    one = fit("f =~ a + b + c", DATA)
    for ask in (icc, cluster_scores):
        with pytest.raises(UnsupportedError, match="level: 1"):
            ask(one)


def test_without_latent_variables_of_clusters_there_is_nothing_to_score():
    path = fitted(text="level: 1\nb ~ a\nlevel: 2\nb ~ a")
    with pytest.raises(UnsupportedError, match="no latent"):
        cluster_scores(path)


def test_a_level_alone_has_no_scores() -> None:
    found = fitted()
    for view in found.views:
        with pytest.raises(UnsupportedError, match="give the fit itself"):
            factor_scores(view, pd.DataFrame())
