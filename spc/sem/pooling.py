r"""Correlation matrices of several studies as one, and a path model on it: two-stage meta-analytic SEM.

Stage one takes the correlations ``r_i`` of study i as ``N(rho, V_i + T)``: ``V_i`` is their sampling covariance, worked
out at the mean correlations over all studies (a study's own are too unstable where it is small), and ``T`` is diagonal,
how much each correlation differs between studies. Studies may lack variables. Stage two fits a path model to ``rho`` by
weighted least squares with the sampling covariance of stage one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, EstimationError, UnsupportedError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, Shown, tidy_frame
from spc.sem.engine.ram import COVARIANCE, DIRECTED, Structure, matrices, structure
from spc.spec import Model
from spc.spec import model as read_model

__all__ = ["PooledCorrelations", "PooledPaths", "StudyCorrelations", "pool_correlations", "pooled_paths"]

BoolArray = npt.NDArray[np.bool_]
Pair = tuple[int, int]

_LEAST = 1e-8
_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class StudyCorrelations:
    """One study's correlations.

    Attributes
    ----------
    name : str
    n : int
        Sample size.
    names : tuple of str
        Variables, p of them.
    correlation : (p, p) array
        NaN where a correlation was not reported.
    reliability : mapping of str to float
        Reliability of each variable, for the correction for attenuation; variables that are absent count as 1.
    """

    name: str
    n: int
    names: tuple[str, ...]
    correlation: FloatArray
    reliability: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrix = np.asarray(self.correlation, dtype=np.float64)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "correlation", frozen_array(matrix))
        _require_correlations(self)


def _require_correlations(study: StudyCorrelations) -> None:
    p, matrix = len(study.names), study.correlation
    known = ~np.isnan(matrix)
    off = matrix[known & ~np.eye(p, dtype=bool)] if matrix.shape == (p, p) else np.empty(0)
    faults = [
        (matrix.shape != (p, p), "shape", f"a matrix of {matrix.shape}", f"{p} x {p}, one row a variable"),
        (study.n < 4, "too_few_rows", f"n = {study.n}", "at least 4"),
        (not np.allclose(matrix, matrix.T, atol=1e-6, equal_nan=True) if matrix.shape == (p, p) else False,
         "not_symmetric", "a matrix that is not symmetric", "symmetry"),
        (bool((np.abs(off) >= 1.0).any()), "not_a_correlation", f"a value of {off[np.abs(off) >= 1.0][:1]}",
         "correlations between -1 and 1"),
        (any(not 0.0 < value <= 1.0 for value in study.reliability.values()), "reliability",
         f"reliabilities {dict(study.reliability)}", "shares above 0 and up to 1"),
    ]  # fmt: skip
    for wrong, rule, found, expected in faults:
        if wrong:
            raise DataError.of(study.name, None, rule, found, expected, "Correct this study's matrix, or leave it out.")


@dataclass(frozen=True, eq=False, repr=False)
class PooledCorrelations(Shown):
    """Stage one: correlations pooled over studies.

    Attributes
    ----------
    names : tuple of str
    pairs : tuple of pairs of int
        Places in ``names`` of each pooled correlation.
    estimate : (q,) array
    vcov : (q, q) array
        Sampling covariances, from the observed information.
    tau2 : (q,) array
        Variance of each correlation between studies.
    q, q_df : float, int
        Test that all studies share one set of correlations.
    k, n : (q,) arrays
        Studies and persons behind each correlation.
    level : float
    random : bool
    """

    names: tuple[str, ...]
    pairs: tuple[Pair, ...]
    estimate: FloatArray
    vcov: FloatArray
    tau2: FloatArray
    q: float
    q_df: int
    k: FloatArray
    n: FloatArray
    level: float
    random: bool
    messages: tuple[Note, ...] = ()
    kind: str = "pooled"

    @property
    def correlation(self) -> FloatArray:
        """The pooled matrix (p, p); NaN where no study reports a pair."""
        return _matrix(self.estimate, self.pairs, len(self.names))

    def tidy(self) -> pd.DataFrame:
        """One row a correlation; ``std_all`` is the correlation itself. See :func:`prediction` for a new study."""
        from scipy.special import ndtr, ndtri

        error = np.sqrt(self.vcov.diagonal())
        half = ndtri(0.5 + self.level / 2.0) * error
        statistic = self.estimate / error
        return tidy_frame([
            {"lhs": self.names[i], "op": "~~", "rhs": self.names[j], "kind": "pooled_correlation", "estimate": r,
             "label": f"{self.k[m]:.0f} studies, {self.n[m]:,.0f} persons", "std_error": error[m],
             "statistic": statistic[m], "p_value": 2.0 * ndtr(-abs(statistic[m])), "conf_low": r - half[m],
             "conf_high": r + half[m], "std_all": r}
            for m, ((i, j), r) in enumerate(zip(self.pairs, self.estimate, strict=True))
        ])  # fmt: skip

    def prediction(self) -> pd.DataFrame:
        """Where the correlation of a new study is expected: ``lhs, rhs, tau, low, high``."""
        from scipy.special import ndtri

        half = ndtri(0.5 + self.level / 2.0) * np.sqrt(self.vcov.diagonal() + self.tau2)
        return pd.DataFrame({
            "lhs": [self.names[i] for i, _ in self.pairs], "rhs": [self.names[j] for _, j in self.pairs],
            "tau": np.sqrt(self.tau2), "low": np.maximum(self.estimate - half, -1.0),
            "high": np.minimum(self.estimate + half, 1.0),
        })  # fmt: skip

    def glance(self) -> pd.DataFrame:
        """One row: studies, persons, and the test of sameness."""
        from scipy.special import chdtrc

        value = float(chdtrc(self.q_df, self.q)) if self.q_df else float("nan")
        return pd.DataFrame({
            "correlations": [len(self.pairs)], "studies": [int(self.k.max())], "persons": [float(self.n.max())],
            "q": [self.q], "q_df": [self.q_df], "q_pvalue": [value],
        })  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the correlations."""
        return self.messages


def pool_correlations(
    studies: Sequence[StudyCorrelations], *, random: bool = True, level: float = 0.95, correct: bool = True
) -> PooledCorrelations:
    """Pool the correlations of several studies.

    Parameters
    ----------
    studies : sequence of StudyCorrelations
        Variables are matched by name; any study may lack some.
    random : bool
        Let correlations differ between studies, each by its own variance (maximum likelihood); else they are one.
    level : float
        Level of the intervals.
    correct : bool
        Divide by the square roots of the reliabilities where studies state them.

    Returns
    -------
    PooledCorrelations

    Raises
    ------
    DataError
        Fewer than two studies, or no correlation at all.
    EstimationError
        The mean correlations are not those of any variables.

    References
    ----------
    Cheung & Chan (2005), Psychological Methods 10, 40-64; Cheung (2014), Behavior Research Methods 46, 29-40;
    Olkin & Siotani (1976) for the sampling covariances of correlations; Hunter & Schmidt (2004) for the correction.

    Examples
    --------
    >>> studies = [StudyCorrelations(f"study {i}", n, ("x", "y"), np.array([[1, r], [r, 1]]))
    ...            for i, (n, r) in enumerate([(100, 0.30), (200, 0.50), (150, 0.42)])]
    >>> pooled = pool_correlations(studies)
    >>> pooled.tidy()[["lhs", "rhs", "estimate", "conf_low", "conf_high"]].round(3)
      lhs rhs  estimate  conf_low  conf_high
    0   y   x     0.424     0.334      0.515
    """
    if len(studies) < 2:
        raise DataError.of("studies", None, "too_few_studies", f"{len(studies)}", "at least 2", "Add studies.")
    names = tuple(dict.fromkeys(name for study in studies for name in study.names))
    pairs, values, known, shrink = _stacked(studies, names, correct=correct)
    sizes = np.array([float(study.n) for study in studies])
    spread = _sampling(values * shrink, known, sizes, pairs, len(names)) / (shrink[:, :, None] * shrink[:, None, :])
    tau2 = _between(values, known, spread) if random else np.zeros(len(pairs))
    estimate, vcov = _pooled(values, known, spread, tau2, free=random)
    fixed, _ = _pooled(values, known, spread, np.zeros(len(pairs)), free=False)
    q = sum(
        float(apart @ np.linalg.solve(spread[s][np.ix_(here, here)], apart))
        for s, here in enumerate(known)
        for apart in [values[s, here] - fixed[here]]
    )
    k = known.sum(axis=0).astype(float)
    return PooledCorrelations(
        names, pairs, frozen_array(estimate), frozen_array(vcov), frozen_array(tau2), q, int(known.sum()) - len(pairs),
        frozen_array(k), frozen_array(known.T @ sizes), level, random,
        _notes(names, pairs, k, studies, correct=correct),
    )  # fmt: skip


def _stacked(
    studies: Sequence[StudyCorrelations], names: tuple[str, ...], *, correct: bool
) -> tuple[tuple[Pair, ...], FloatArray, BoolArray, FloatArray]:
    """Pairs that any study reports, their correlations, who reports them, and the roots of the reliabilities."""
    p = len(names)
    every = [(i, j) for j in range(p) for i in range(j + 1, p)]
    values, shrink = np.full((len(studies), len(every)), np.nan), np.ones((len(studies), len(every)))
    for s, study in enumerate(studies):
        place = {name: i for i, name in enumerate(study.names)}
        for m, (i, j) in enumerate(every):
            if names[i] in place and names[j] in place:
                values[s, m] = study.correlation[place[names[i]], place[names[j]]]
            if correct:
                shrink[s, m] = np.sqrt(study.reliability.get(names[i], 1.0) * study.reliability.get(names[j], 1.0))
    used = ~np.isnan(values).all(axis=0)
    if not used.any():
        raise DataError.of(
            "studies", None, "no_correlation", "no correlation in any study", "at least one", "Check the names."
        )
    pairs = tuple(pair for pair, use in zip(every, used, strict=True) if use)
    known = ~np.isnan(values[:, used])
    return pairs, np.where(known, values[:, used] / shrink[:, used], 0.0), known, shrink[:, used]


def _matrix(values: FloatArray, pairs: Sequence[Pair], p: int) -> FloatArray:
    matrix = np.full((p, p), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for (i, j), value in zip(pairs, values, strict=True):
        matrix[i, j] = matrix[j, i] = value
    return matrix


def _sampling(raw: FloatArray, known: BoolArray, sizes: FloatArray, pairs: Sequence[Pair], p: int) -> FloatArray:
    """Sampling covariances (S, q, q) of each study's correlations, at the mean ones over all studies."""
    weight = known * sizes[:, None]
    mean = (weight * raw).sum(axis=0) / weight.sum(axis=0)
    r = np.nan_to_num(_matrix(mean, pairs, p))
    if np.linalg.eigvalsh(r)[0] <= 0.0:
        raise EstimationError(
            "The mean correlations over the studies are not those of any variables: their matrix is not positive "
            "definite. Studies that report different pairs contradict one another; leave pairs or studies out."
        )
    i, j = np.array(pairs).T
    k, m, i, j = i[None, :], j[None, :], i[:, None], j[:, None]
    unit = (
        0.5 * r[i, j] * r[k, m] * (r[i, k] ** 2 + r[i, m] ** 2 + r[j, k] ** 2 + r[j, m] ** 2)
        + r[i, k] * r[j, m] + r[i, m] * r[j, k]
        - r[i, j] * (r[i, k] * r[i, m] + r[j, k] * r[j, m]) - r[k, m] * (r[i, k] * r[j, k] + r[i, m] * r[j, m])
    )  # fmt: skip
    return np.asarray(unit / sizes[:, None, None])


def _weights(known: BoolArray, spread: FloatArray, tau2: FloatArray) -> tuple[FloatArray, float]:
    """Inverse covariances (S, q, q), zero where unknown, and the sum of the logarithms of their determinants."""
    weight, height = np.zeros_like(spread), 0.0
    for s, here in enumerate(known):
        part = spread[s][np.ix_(here, here)] + np.diag(tau2[here])
        weight[s][np.ix_(here, here)] = np.linalg.inv(part)
        height += float(np.linalg.slogdet(part)[1])
    return weight, height


def _centre(values: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    total = weight.sum(axis=0)
    mean = np.linalg.solve(total, np.einsum("sij,sj->i", weight, values))
    return mean, np.einsum("sij,sj->si", weight, values - mean)


def _between(values: FloatArray, known: BoolArray, spread: FloatArray) -> FloatArray:
    """Variances between studies by maximum likelihood, not below zero."""
    from scipy.optimize import minimize

    def objective(tau2: FloatArray) -> tuple[float, FloatArray]:
        weight, height = _weights(known, spread, tau2)
        mean, pull = _centre(values, weight)
        apart = np.where(known, values - mean, 0.0)
        slope = 0.5 * (np.einsum("sii->si", weight) - pull**2).sum(axis=0)
        return 0.5 * (height + float((apart * pull).sum())), slope

    start = np.maximum(np.where(known, values, np.nan).var(axis=0, where=known), 1e-3) * 0.5
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * start.size,
        options={"maxiter": 2000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-7},
    )  # fmt: skip
    return np.where(found.x < _LEAST, 0.0, found.x)


def _pooled(
    values: FloatArray, known: BoolArray, spread: FloatArray, tau2: FloatArray, *, free: bool
) -> tuple[FloatArray, FloatArray]:
    """Pooled correlations and their sampling covariances, from the information on them and on ``tau2`` above zero."""
    weight, _ = _weights(known, spread, tau2)
    mean, pull = _centre(values, weight)
    own = weight.sum(axis=0)
    inner = np.flatnonzero(tau2 > 0.0) if free else np.empty(0, dtype=np.intp)
    if not inner.size:
        return mean, np.linalg.inv(own)
    mixed = np.einsum("sij,sj->ij", weight, pull)[:, inner]
    square = (weight * (pull[:, :, None] * pull[:, None, :] - 0.5 * weight)).sum(axis=0)[np.ix_(inner, inner)]
    schur = own - mixed @ np.linalg.solve(square, mixed.T)
    return mean, np.linalg.inv(0.5 * (schur + schur.T))


def _notes(
    names: tuple[str, ...], pairs: Sequence[Pair], k: FloatArray, studies: Sequence[StudyCorrelations], *, correct: bool
) -> tuple[Note, ...]:
    notes = []
    alone = [f"{names[i]} with {names[j]}" for (i, j), count in zip(pairs, k, strict=True) if count < 2]
    if alone:
        notes.append(Note(
            "one_study", "warning", ", ".join(alone), f"{len(alone)} of {len(pairs)} correlations come from a single "
            "study; how they differ between studies is unknown.",
        ))  # fmt: skip
    absent = len(names) * (len(names) - 1) // 2 - len(pairs)
    if absent:
        notes.append(Note(
            "holes", "warning", "correlations", f"No study reports {absent} of the pairs; a path model on these "
            "variables needs all of them.",
        ))  # fmt: skip
    given = sum(bool(study.reliability) for study in studies)
    if correct and given:
        notes.append(Note(
            "attenuation", "info", "correlations", f"{given} of {len(studies)} studies state reliabilities; their "
            "correlations are corrected for them, and their errors widened.",
        ))  # fmt: skip
    return tuple(notes)


@dataclass(frozen=True, eq=False, repr=False)
class PooledPaths(Shown):
    """Stage two: a path model on pooled correlations.

    Attributes
    ----------
    model : Model
    pooled : PooledCorrelations
    theta : (t,) array
        Standardised paths and correlations of residuals.
    vcov : (t, t) array
    rows : (t,) int array
        Row of the model's table of each.
    chisq, df : float, int
    """

    model: Model
    pooled: PooledCorrelations
    theta: FloatArray
    vcov: FloatArray
    rows: npt.NDArray[np.intp]
    chisq: float
    df: int
    kind: str = "pooled_paths"

    def tidy(self) -> pd.DataFrame:
        """One row a path or correlation of residuals, all standardised."""
        from scipy.special import ndtr, ndtri

        error = np.sqrt(self.vcov.diagonal())
        half = ndtri(0.5 + self.pooled.level / 2.0) * error
        table = self.model.parameters.rows
        return tidy_frame([
            {"lhs": table[row].lhs, "op": table[row].op, "rhs": table[row].rhs, "label": table[row].label,
             "kind": "regression" if table[row].op == "~" else "covariance", "estimate": value, "std_error": error[m],
             "statistic": value / error[m], "p_value": 2.0 * ndtr(-abs(value / error[m])),
             "conf_low": value - half[m], "conf_high": value + half[m], "std_all": value}
            for m, (row, value) in enumerate(zip(self.rows, self.theta, strict=True))
        ])  # fmt: skip

    def glance(self) -> pd.DataFrame:
        """One row: the test of the path model."""
        from scipy.special import chdtrc

        value = float(chdtrc(self.df, self.chisq)) if self.df else float("nan")
        return pd.DataFrame({"chisq": [self.chisq], "df": [self.df], "pvalue": [value], "npar": [self.theta.size]})

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the paths."""
        return self.pooled.notes()


def pooled_paths(text: str, pooled: PooledCorrelations) -> PooledPaths:
    """Fit a path model to pooled correlations by weighted least squares.

    Parameters
    ----------
    text : str
        Regressions among variables of the pool, and residual covariances; recursive, without latent variables.
    pooled : PooledCorrelations

    Returns
    -------
    PooledPaths

    Raises
    ------
    DataError
        The pool lacks a variable or a correlation of the model.
    UnsupportedError
        Latent variables, feedback, labels or constraints.
    EstimationError
        The paths cannot be told apart.

    Examples
    --------
    >>> r = np.array([[1, 0.5, 0.3], [0.5, 1, 0.6], [0.3, 0.6, 1]])
    >>> studies = [StudyCorrelations("a", 200, ("x", "m", "y"), r), StudyCorrelations("b", 100, ("x", "m", "y"), r)]
    >>> pooled_paths("m ~ x; y ~ m", pool_correlations(studies)).tidy()[["lhs", "rhs", "estimate"]].round(3)
      lhs rhs  estimate
    0   m   x       0.5
    1   y   m       0.6
    """
    from scipy.optimize import least_squares

    model = read_model(text, fixed_x=False)
    place = structure(model)
    chosen = _require_paths(model, place, pooled)
    target, root = pooled.estimate[chosen], np.linalg.cholesky(np.linalg.inv(pooled.vcov[np.ix_(chosen, chosen)])).T
    free = place.active[~place.diagonal[place.active]]
    i, j = _model_pairs(model, pooled, chosen)
    order = _causal_order(place)

    def correlations(theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(_standardised(place, free, order, theta)[i, j])

    def slopes(theta: FloatArray) -> FloatArray:
        steps = theta + 1e-30j * np.eye(theta.size)
        return np.stack([correlations(step).imag / 1e-30 for step in steps], axis=1)

    start = np.full(free.size, 0.1)
    found = least_squares(
        lambda theta: root @ (correlations(theta) - target), start, lambda theta: root @ slopes(theta),
        xtol=_TOLERANCE, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    jacobian = root @ slopes(found.x)
    if not found.success or np.linalg.matrix_rank(jacobian) < free.size:
        raise EstimationError("The paths cannot be told apart on these correlations; leave one of them out.")
    information = jacobian.T @ jacobian
    return PooledPaths(
        model, pooled, frozen_array(found.x), frozen_array(np.linalg.inv(information)), free, 2.0 * float(found.cost),
        target.size - free.size,
    )  # fmt: skip


def _require_paths(model: Model, place: Structure, pooled: PooledCorrelations) -> npt.NDArray[np.intp]:
    """Places in the pool of all correlations among the model's variables."""
    labelled = any(row.label for row in model.parameters) or bool(model.constraints)
    if model.latents or not place.recursive or labelled:
        raise UnsupportedError(
            "Pooled correlations take recursive path models of observed variables, without labels or constraints."
        )
    absent = [name for name in model.observed if name not in pooled.names]
    if absent:
        raise DataError.of(
            "pooled correlations", ", ".join(absent), "missing_column", "no such variable", "variables of the pool",
            f"There are: {', '.join(pooled.names)}.",
        )  # fmt: skip
    at = {frozenset(pair): m for m, pair in enumerate(pooled.pairs)}
    number = [pooled.names.index(name) for name in model.observed]
    wanted = [(i, j) for b, j in enumerate(number) for i in number[b + 1 :]]
    holes = [f"{pooled.names[i]} with {pooled.names[j]}" for i, j in wanted if frozenset((i, j)) not in at]
    if holes:
        raise DataError.of(
            "pooled correlations", ", ".join(holes), "holes", "no study that reports them", "all pairs of the model",
            "Leave a variable out, or add a study that reports the pair.",
        )  # fmt: skip
    return np.array(sorted(at[frozenset(pair)] for pair in wanted), dtype=np.intp)


def _model_pairs(
    model: Model, pooled: PooledCorrelations, chosen: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    place = {name: i for i, name in enumerate(model.observed)}
    both = [[place[pooled.names[v]] for v in pooled.pairs[m]] for m in chosen]
    first, second = np.array(both, dtype=np.intp).T
    return first, second


def _causal_order(place: Structure) -> list[int]:
    """Variables, causes before effects."""
    rows = place.directed_rows
    waiting = {v: {int(c) for c, r in zip(place.column[rows], place.row[rows], strict=True) if r == v}
               for v in range(len(place.variables))}  # fmt: skip
    order: list[int] = []
    while waiting:
        ready = [v for v, causes in waiting.items() if not causes - set(order)]
        order += ready
        waiting = {v: causes for v, causes in waiting.items() if v not in ready}
    return order


def _standardised(
    place: Structure, free: npt.NDArray[np.intp], order: Sequence[int], theta: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Correlations that paths and residual correlations imply, every residual variance making its variable's one."""
    v = len(place.variables)
    values = np.where(np.isnan(place.fixed), 0.0, place.fixed)
    a, s, _ = matrices(place, values)
    a, s = a.astype(theta.dtype), s.astype(theta.dtype)
    for row, value in zip(free, theta, strict=True):
        i, j = place.row[row], place.column[row]
        if place.part[row] == DIRECTED:
            a[i, j] = value
        elif place.part[row] == COVARIANCE:
            s[i, j] = s[j, i] = value
    total = np.linalg.inv(np.eye(v) - a)
    for i in order:
        s[i, i] = 0.0
        s[i, i] = 1.0 - (total[i] @ s @ total[i])
    return np.asarray(total @ s @ total.T)
