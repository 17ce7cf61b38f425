"""What is wrong, or doubtful, about a solution: identification, improper values, small samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg.lapack import dpotrf

from spc.errors import NotIdentifiedError, NotPositiveDefiniteError, SingularInformationError
from spc.linalg import FloatArray, inverse_of_factor
from spc.results import Note
from spc.sem.engine.joint import System, look, problems_of
from spc.sem.engine.optimise import Search, Solution, derivatives
from spc.sem.engine.ram import DIRECTED, Implied, Structure
from spc.words import phrase

__all__ = [
    "better_than_unrestricted", "beyond_one", "check_count", "check_faint", "collinear_latents", "dropped_rows",
    "growing", "improper", "inverse_information", "inverse_of", "n_moments", "no_start", "not_identified",
    "null_parameters", "of_group", "of_level", "singular", "small_sample", "unidentified_nearby",
]  # fmt: skip

SMALLEST_PIVOT = 1e-10
COLLINEAR = 0.98
FAINTEST = 1e-13
BEYOND = 100.0
NAMED = 12


def n_moments(place: Structure) -> int:
    """Number of moments that a model explains: those of covariates held at their sample values do not count.

    Examples
    --------
    >>> from spc.spec import model
    >>> from spc.sem.engine.ram import structure
    >>> n_moments(structure(model("f =~ x1 + x2 + x3")))
    6
    """
    if place.ordered.size:
        return _n_ordinal(place)

    def count(p: int) -> int:
        return p * (p + 1) // 2 + (p if place.meanstructure else 0)

    return count(place.n_observed) - count(place.exogenous.size)


def _n_ordinal(place: Structure) -> int:
    """Thresholds, means and variances of continuous items, correlations, and slopes on covariates."""
    p = place.n_observed - place.exogenous.size
    continuous = p - place.ordered.size
    return place.threshold_rows.size + 2 * continuous + p * (p - 1) // 2 + p * place.exogenous.size


def check_count(system: System, spared: int = 0) -> None:
    """Raise ``NotIdentifiedError`` when there are more free parameters than moments.

    Parameters
    ----------
    system : Problem or Joint
    spared : int
        Equalities beside those that the coordinates carry.
    """
    problems = problems_of(system)
    moments = sum(n_moments(problem.place) for problem in problems)
    size = system.size - spared
    if size > moments:
        groups = f" in {len(problems)} groups" if len(problems) > 1 else ""
        names = problems[0].place.names
        listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        raise NotIdentifiedError(
            f"The model has {size} free parameters, but {problems[0].place.n_observed} variables{groups} give "
            f"only {moments} moments to estimate them from. Fix or equate at least {size - moments} of them: {listed}.",
            names,
        )


def inverse_of(information: FloatArray) -> FloatArray | None:
    """The inverse, None where a parameter is all but determined by the others."""
    if not information.size:
        return information
    factor, fault = dpotrf(information, lower=1)
    if fault or not float((factor.diagonal() ** 2 / information.diagonal()).min()) >= SMALLEST_PIVOT:
        return None
    return inverse_of_factor(factor)


def _scaled(information: FloatArray) -> tuple[FloatArray, FloatArray]:
    root = np.sqrt(np.maximum(information.diagonal(), 0.0))
    root[root == 0.0] = 1.0
    return information / np.outer(root, root), root


def null_parameters(system: System, information: FloatArray) -> tuple[str, ...]:
    """Names of the free parameters with weight in the directions that carry no information."""
    scaled, root = _scaled(information)
    values, vectors = np.linalg.eigh(scaled)
    null = vectors[:, values < max(1e-8, 2.0 * float(values[0]))] / root[:, None]
    problems = problems_of(system)
    rows = np.abs(np.concatenate([problem.map @ null for problem in problems]))
    free = np.concatenate([problem.place.free[problem.active] for problem in problems])
    rows = (rows / np.maximum(rows.max(axis=0), 1e-300)).max(axis=1)
    numbers = sorted({int(k) for k, weight in zip(free, rows, strict=True) if weight > 0.05})
    return tuple(problems[0].place.names[k] for k in numbers)


def growing(system: System, x: FloatArray) -> str:
    """A sentence on loadings and paths that a search drove out of all bounds; empty where there are none."""
    names: dict[str, None] = {}
    for problem in problems_of(system):
        place, active = problem.place, problem.active
        beyond = (np.abs(problem.offset + problem.map @ x) > BEYOND) & (place.part[active] == DIRECTED)
        names |= dict.fromkeys(place.names[k] for k in place.free[active[beyond]])
    if not names:
        return ""
    return (
        f" These grew without bound: {', '.join(names)}; the marker of their latent variable may measure nothing of "
        "it: take another one, or fix the latent variance in its place (std_lv=True)."
    )


def unidentified_nearby(system: System, x: FloatArray) -> FloatArray | None:
    """Information at a random point near ``x`` if it is singular there too, else None."""
    rng = np.random.default_rng(0)
    for spread in (0.1, 0.03, 0.01):
        near = x * (1.0 + spread * rng.standard_normal(x.size)) + spread * 0.1 * rng.standard_normal(x.size)
        state = look(system, near)
        if state is not None:
            information = derivatives(system, state)[1]
            return information if inverse_of(information) is None else None
    return None


def inverse_information(problem: System, end: Search, solution: Solution) -> FloatArray:
    """Inverse of the information at the solution.

    Raises
    ------
    NotIdentifiedError
        It is singular at a random point nearby as well: no data could tell the parameters apart.
    SingularInformationError
        It is singular at these estimates only: these data cannot.
    """
    inverse = inverse_of(end.information)
    if inverse is not None:
        return inverse
    nearby = unidentified_nearby(problem, end.x)
    if nearby is not None:
        raise not_identified(null_parameters(problem, nearby))
    raise singular(null_parameters(problem, end.information), solution)


def no_start(system: System) -> NotPositiveDefiniteError:
    """Error for a model that implies no covariance matrix at any start values; names variances fixed below zero."""
    found: dict[str, float] = {}
    for place in (problem.place for problem in problems_of(system)):
        for i in np.flatnonzero(place.diagonal & (place.free < 0) & (place.fixed < 0.0)):
            name = place.variables[place.row[i]]
            found[f"{name}~~{name}"] = float(place.fixed[i])
    why = "Check the fixed values and the start values of the model."
    if found:
        told = ", ".join(f"{name} at {value:g}" for name, value in found.items())
        why = f"It fixes below zero what is a variance: {told}. Free it, or fix it at zero or above."
    return NotPositiveDefiniteError(
        f"The covariance matrix that the model implies at its start values is not positive definite. {why}",
        parameters=tuple(found),
    )


def check_faint(system: System, end: Search, solution: Solution) -> None:
    """Raise SingularInformationError where a parameter moves nothing: the loadings of a latent without variance.

    Balanced units make the information of a row of data about one; for statistics in the data's own units (ULS) it
    says nothing.
    """
    faint = end.information.diagonal() < FAINTEST
    if faint.any():
        problems = problems_of(system)
        rows = np.abs(np.concatenate([problem.map[:, faint] for problem in problems])).max(axis=1)
        free = np.concatenate([problem.place.free[problem.active] for problem in problems])
        numbers = sorted({int(k) for k, weight in zip(free, rows, strict=True) if weight > 0.05 * rows.max()})
        raise singular(tuple(problems[0].place.names[k] for k in numbers), solution)


def singular(named: tuple[str, ...], solution: Solution) -> SingularInformationError:
    """Error for parameters that these data cannot tell apart, though others could."""
    return SingularInformationError(
        f"The information matrix is singular at the estimates, so there are no standard errors. Parameters involved: "
        f"{', '.join(named)}. The model is identified in general, but not by these data: look for latent variables "
        "that correlate perfectly or not at all, and simplify the model there.",
        solution,
        named,
    )


def not_identified(named: Sequence[str]) -> NotIdentifiedError:
    """Error for parameters that no data could tell apart."""
    return NotIdentifiedError(
        f"The model is not identified: these parameters can change together without changing anything that is "
        f"observed: {', '.join(named)}. Fix or equate one of them, give each latent variable a marker or a fixed "
        "variance, or give it more indicators.",
        named,
    )


def improper(place: Structure, values: FloatArray, at: Implied) -> tuple[Note, ...]:
    """Negative variances, covariance matrices that no variables could have, and paths beyond one.

    Parameters
    ----------
    place : Structure
    values : (R,) array
        Values of all rows in any units.
    at : Implied
        In the same units.
    """
    notes = [*_negative_variances(place, values)]
    p = place.n_observed
    if place.latents and not _positive(at.covariance[p:, p:]):
        notes.append(Note.of("latent_covariance", "serious", ", ".join(place.latents)))
    if not notes and place.residuals_correlate and not _positive(_residual_block(place, at)):
        notes.append(Note.of("residual_covariance", "serious", "residual covariances"))
    return tuple(notes)


def of_group(notes: Sequence[Note], group: str) -> list[Note]:
    """The same notes, said of a group."""
    if not group:
        return list(notes)
    return [
        replace(
            note, subject=f"{note.subject} (group {group})", said=phrase("note.in_group", group=group, said=note.said)
        )
        for note in notes
    ]


def of_level(notes: Sequence[Note], level: int) -> list[Note]:
    """The same notes, said of a level; 0 where there is one."""
    if not level:
        return list(notes)
    return [
        replace(one, subject=f"{one.subject} (level {level})", said=phrase("note.in_level", level=level, said=one.said))
        for one in notes
    ]


def _residual_block(place: Structure, at: Implied) -> FloatArray:
    block = at.residual[: place.n_observed, : place.n_observed]
    kept = np.flatnonzero(block.any(axis=1))
    return np.asarray(block[np.ix_(kept, kept)])


def _positive(matrix: FloatArray) -> bool:
    """Whether a covariance matrix has no negative eigenvalue beyond rounding, ignoring variables without variance."""
    if matrix.size and not dpotrf(matrix, lower=1)[1]:
        return True
    kept = np.flatnonzero(matrix.diagonal())
    matrix = matrix[np.ix_(kept, kept)]
    matrix.reshape(-1)[:: len(matrix) + 1] *= 1.0 + 1e-8
    return not matrix.size or not dpotrf(matrix, lower=1)[1]


def _negative_variances(place: Structure, values: FloatArray) -> list[Note]:
    notes = []
    rows = place.free_variances
    for i in rows[values[rows] < 0]:
        name = place.variables[place.row[i]]
        notes.append(Note.of("heywood", "serious", f"{name}~~{name}", name=name))
    return notes


def collinear_latents(place: Structure, at: Implied) -> tuple[Note, ...]:
    """Pairs of latent variables whose model-implied correlation is beyond .98, not counting a factor's own factors."""
    p, v = place.n_observed, len(place.variables)
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(at.covariance.diagonal()[p:])
        correlation = at.covariance[p:, p:] / np.outer(root, root)
    own = np.zeros((v, v), dtype=bool)
    own[place.row[place.loading], place.column[place.loading]] = True
    own = (own | own.T)[p:, p:]
    first, second = np.nonzero(np.triu(np.abs(correlation) > COLLINEAR, 1) & ~own)
    if not first.size:
        return ()
    pairs = [
        phrase("note.correlated_pair", one=place.latents[i], other=place.latents[j], correlation=correlation[i, j])
        for i, j in zip(first, second, strict=True)
    ]
    involved = dict.fromkeys(place.latents[k] for k in np.sort(np.concatenate([first, second])))
    return (Note.of("collinear_latents", "serious", ", ".join(involved), bar=COLLINEAR, pairs=pairs),)


def beyond_one(place: Structure, standardised: FloatArray) -> tuple[Note, ...]:
    """Standardised regressions beyond one, a sign of causes that overlap."""
    rows = np.flatnonzero((place.part == DIRECTED) & ~place.loading & (np.abs(standardised) > 1.0))
    if not rows.size:
        return ()
    names = [f"{place.variables[place.row[i]]}~{place.variables[place.column[i]]}" for i in rows]
    told = [phrase("note.named_value", name=name, value=standardised[i]) for name, i in zip(names, rows, strict=True)]
    return (Note.of("path_beyond_one", "warning", ", ".join(names), paths=told),)


def small_sample(n: int, npar: int) -> tuple[Note, ...]:
    """Fewer than five rows a free parameter, or fewer than 100 rows."""
    if n >= 100 and n >= 5 * npar:
        return ()
    return (Note.of("small_sample", "warning", "data", rows=n, parameters=npar, least=100),)


def better_than_unrestricted() -> tuple[Note, ...]:
    """A model of two levels whose likelihood is above that of its unrestricted moments, so that there is no test."""
    return (Note.of("no_test", "serious", "chi-square", "two_levels"),)


def dropped_rows(given: int, used: int) -> tuple[Note, ...]:
    """Rows left out because an answer is missing."""
    if given == used:
        return ()
    told = {"dropped": given - used, "rows": given, "share": (given - used) / given, "left": used}
    return (Note.of("dropped_rows", "warning", "data", "complete", **told),)
