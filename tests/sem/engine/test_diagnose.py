"""What is said of doubtful solutions: the right things, by name, and nothing of good ones."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from spc.errors import (
    ImproperSolutionWarning,
    NonConvergenceError,
    NotIdentifiedError,
    NotPositiveDefiniteError,
    SingularInformationError,
)
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.results import Note
from spc.sem import SemFit, fit
from spc.sem.engine.diagnose import beyond_one, dropped_rows, n_moments, small_sample
from spc.sem.engine.ram import structure
from spc.spec import model

NAMES = [f"x{i}" for i in range(1, 7)]
TWO = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6"


def two_factors(correlation: float, loading: float = 0.8) -> FloatArray:
    """Correlations of six items on two factors, exactly."""
    phi = np.array([[1.0, correlation], [correlation, 1.0]])
    loadings = np.kron(np.eye(2), np.full((3, 1), loading))
    matrix = loadings @ phi @ loadings.T
    np.fill_diagonal(matrix, 1.0)
    return matrix


def quiet(text: str, cov: FloatArray, n: int = 500) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImproperSolutionWarning)
        return fit(text, Moments(NAMES[: len(cov)], n, None, cov), likelihood="wishart")


def codes(notes: tuple[Note, ...]) -> list[str]:
    return [note.code for note in notes]


@pytest.mark.parametrize(
    ("text", "means", "expected"), [("y ~ x + z", False, 3), ("y ~ x + z", True, 4), ("f =~ a + b + c + d", True, 14)]
)
def test_moments_of_covariates_do_not_count(text: str, means: bool, expected: int) -> None:
    assert n_moments(structure(model(text, meanstructure=means))) == expected


def test_collinear_latents_are_named_with_their_correlation() -> None:
    note = quiet(TWO, two_factors(0.99)).notes()[0]
    assert (note.code, note.severity, note.subject) == ("collinear_latents", "serious", "f, g")
    assert "f and g (0.990)" in note.text


def test_latents_correlated_below_the_line_are_fine() -> None:
    assert quiet(TWO, two_factors(0.97)).notes() == ()


def test_a_variance_fixed_below_zero_is_named() -> None:
    with pytest.raises(NotPositiveDefiniteError, match=r"what is a variance: x2~~x2 at -1[.] Free it"):
        quiet("f =~ x1 + x2 + x3 + x4\nx2 ~~ -1*x2\nx3 ~~ 0.2*x3", two_factors(0.5)[:4, :4])


def test_a_correlation_beyond_one_is_improper() -> None:
    with pytest.warns(ImproperSolutionWarning, match="latent variables is not positive definite"):
        fitted = fit(TWO, Moments(NAMES, 500, None, two_factors(1.04, 0.7)), likelihood="wishart")
    assert codes(fitted.notes()) == ["latent_covariance", "collinear_latents"]
    assert all(note.severity == "serious" for note in fitted.notes())


def test_a_factor_and_its_own_factors_are_not_collinear() -> None:
    made = model("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ 1*f + 1*g\nf ~~ 0*f")
    fitted = quiet("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ 1*f + 1*g\nf ~~ 0*f", two_factors(0.6))
    assert fitted.model.latents == made.latents
    assert "collinear_latents" not in codes(fitted.notes())


def test_paths_beyond_one_are_named() -> None:
    place = structure(model("y ~ x + z"))
    rows = np.zeros(place.part.size)
    rows[0] = -1.2
    (note,) = beyond_one(place, rows)
    assert (note.subject, note.severity) == ("y~x", "warning")
    assert "y~x −1.20." in note.text


def test_small_samples() -> None:
    assert small_sample(500, 21) == ()
    assert codes(small_sample(99, 5)) == ["small_sample"]
    assert codes(small_sample(100, 21)) == ["small_sample"]


def test_dropped_rows() -> None:
    assert dropped_rows(100, 100) == ()
    assert "10 of 100 rows (10\N{NO-BREAK SPACE}%)" in dropped_rows(100, 90)[0].text


@pytest.mark.parametrize(
    ("text", "involved", "free_of"),
    [
        ("f =~ NA*x1 + x2 + x3 + x4", {"f=~x1", "f=~x4", "f~~f"}, {"x1~~x1"}),
        ("f =~ x1 + x2 + x3\ng =~ x4 + x5\nf ~~ 0*g", {"x4~~x4", "g=~x5", "g~~g"}, {"x1~~x1", "f=~x2"}),
        ("x1 ~ x2 + x3\nx2 ~ x1 + x3\nx1 ~~ 0*x2", {"x1~x2", "x2~x1"}, set()),
    ],
)
def test_unidentified_parameters_are_named_and_no_others(text: str, involved: set[str], free_of: set[str]) -> None:
    with pytest.raises(NotIdentifiedError) as caught:
        quiet(text, two_factors(0.5) + 0.05 * np.diag(np.arange(6)))
    assert involved <= set(caught.value.parameters)
    assert not free_of & set(caught.value.parameters)


def test_identified_in_general_but_not_by_these_data() -> None:
    """Two items a factor lean on the correlation of the factors, which is exactly zero here."""
    cov = two_factors(0.0)[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])]
    with pytest.raises(SingularInformationError, match="identified in general") as caught:
        quiet("f =~ x1 + x2\ng =~ x3 + x4", cov)
    assert caught.value.parameters
    assert caught.value.solution.converged


def test_loadings_that_grow_without_bound_are_named() -> None:
    """The marker of g hardly correlates with anything, so the other loadings have no end."""
    rng = np.random.default_rng(2)
    f = rng.standard_normal(300)
    g = 0.3 * f + rng.standard_normal(300)
    first = 0.8 * f[:, None] + 0.6 * rng.standard_normal((300, 3))
    second = np.array([0.03, 0.7, 0.03]) * g[:, None] + 0.8 * rng.standard_normal((300, 3))
    answers = pd.DataFrame(np.digitize(np.hstack([first, second]), [-0.7, 0.5]), columns=NAMES)
    with pytest.raises(NonConvergenceError, match="without bound: g=~x5, g=~x6; the marker") as caught:
        fit(TWO, answers, ordered=NAMES)
    assert caught.value.solution is not None and caught.value.solution.iterations < 100
