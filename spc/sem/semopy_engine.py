"""semopy as a second, independent engine for the one thing it does right: complete-data ML in one group.

Only its objective and its solver are used. The parameter table is written out for it in full, on the scale of the
correlations, so that none of its own defaults (markers, covariances, start values, variance bounds) takes part; fit
measures and standard errors come from our side.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import NonConvergenceError, UnsupportedError
from spc.linalg import FloatArray, one_blas_thread
from spc.moments import Moments
from spc.spec.table import Model, Parameter

__all__ = ["solve"]

Sample = Mapping[tuple[str, str], float]

_LOCK = threading.Lock()
_FLAT = 1e-5
_OPERATORS = ("=~", "~", "~~", "~1")


def solve(model: Model, moments: Moments, likelihood: str = "normal") -> FloatArray:
    """Estimate a model with semopy's maximum likelihood.

    Parameters
    ----------
    model : Model
        One group, one level, no mean structure, no constraints other than equal labels.
    moments : Moments
        Of at least the observed variables of the model.
    likelihood : {"normal", "wishart"}
        Divisor n or n - 1 of the sample covariances.

    Returns
    -------
    (q,) array
        Free parameters in the order of ``model.parameters.names``, on the scale of the data.

    Raises
    ------
    UnsupportedError
        The model asks for something semopy has no right answer to.
    NonConvergenceError
        Its solver stopped where the gradient is not zero.

    Examples
    --------
    >>> from spc.spec import model
    >>> moments = Moments(["x", "y"], 101, None, [[1.0, 0.3], [0.3, 1.0]])
    >>> solve(model("y ~ x"), moments, "wishart").round(3)
    array([0.3 , 0.91])
    """
    _refuse(model)
    names = list(model.observed)
    cov = np.array(moments.restrict(names).cov)
    if likelihood == "normal":
        cov *= (moments.n - 1) / moments.n
    sample = {(a, b): float(cov[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)}
    scale = _scales(model, sample)
    with one_blas_thread():
        theta = _minimise(model, sample, scale)
    return theta * _back_factors(model, scale)


def _refuse(model: Model) -> None:
    reasons = {
        "a mean structure": model.meanstructure,
        "constraints with ==, < or >": bool(model.constraints),
        "several groups": len(model.groups) > 1,
        "several levels": len(model.levels) > 1,
        "ordered items": bool(model.ordinal),
        "bounds on parameters": any(math.isfinite(row.lower) or math.isfinite(row.upper) for row in model.parameters),
        "operators other than =~, ~ and ~~": any(row.op not in _OPERATORS for row in model.parameters),
    }
    found = [what for what, present in reasons.items() if present]
    if found:
        raise UnsupportedError(
            f"engine='semopy' has no right answer for {', '.join(found)}. "
            "It fits covariance structures of complete data in one group, with equal labels. Use engine='spc'."
        )


def _ends(row: Parameter) -> tuple[str, str]:
    """Row and column in the RAM matrices: arrow from the second to the first."""
    return (row.rhs, row.lhs) if row.op == "=~" else (row.lhs, row.rhs)


def _scales(model: Model, sample: Sample) -> dict[str, float]:
    """Units in which the problem is well conditioned; all one where equal labels tie parameters of unlike units."""
    scale = {name: math.sqrt(sample[name, name]) for name in model.observed}
    for _ in model.latents:
        for row in model.parameters:
            if row.op == "=~" and row.lhs not in scale and row.rhs in scale and not row.free and row.fixed != 0:
                scale[row.lhs] = scale[row.rhs] / abs(row.fixed)
    scale = {name: scale.get(name, 1.0) for name in (*model.observed, *model.latents)}
    factors: dict[int, float] = {}
    for row in model.parameters:
        if row.free and not math.isclose(factors.setdefault(row.free, _factor(row, scale)), _factor(row, scale)):
            common = math.exp(np.mean([math.log(scale[name]) for name in model.observed]))
            return dict.fromkeys(scale, common)
    return scale


def _factor(row: Parameter, scale: Mapping[str, float]) -> float:
    """What a standardised parameter is multiplied with to be on the scale of the data."""
    i, j = _ends(row)
    return scale[i] * scale[j] if row.op == "~~" else scale[i] / scale[j]


def _back_factors(model: Model, scale: Mapping[str, float]) -> FloatArray:
    factors = np.ones(model.parameters.n_free)
    for row in model.parameters:
        if row.free:
            factors[row.free - 1] = _factor(row, scale)
    return factors


def _description(model: Model, sample: Sample, scale: Mapping[str, float], alias: Mapping[str, str]) -> str:
    """Write the whole parameter table in semopy's dialect; equal parameters share a name."""
    lines = []
    for row in model.parameters:
        if row.free:
            value = f"p{row.free}"
        else:
            fixed = sample[row.lhs, row.rhs] if row.given_by == "sample" else row.fixed
            value = f"{fixed / _factor(row, scale):.17g}"
        lines.append(f"{alias[row.lhs]} {row.op} {value}*{alias[row.rhs]}")
    return "\n".join([*lines, *_bridges(model, alias), *_absent_covariances(model, alias)])


def _bridges(model: Model, alias: Mapping[str, str]) -> list[str]:
    """Arrows of weight zero out of variables that have none.

    semopy keeps such variables in another matrix, where their covariances with the rest do not pass on along arrows.
    """
    arrows = [_ends(row) for row in model.parameters if row.op != "~~"]
    heads, tails = {i for i, _ in arrows}, {j for _, j in arrows}
    tied = {
        name
        for row in model.parameters
        if row.op == "~~" and (row.lhs in tails) != (row.rhs in tails)
        for name in (row.lhs, row.rhs)
    }
    alone = {name for name in (*model.observed, *model.latents) if name not in heads | tails}
    lines = []
    for name in sorted((tied - tails) | alone):
        head = next((h for h in sorted(heads) if h != name and (h, name) not in arrows), None)
        if head is None:
            raise UnsupportedError("engine='semopy' needs at least one arrow to another variable. Use engine='spc'.")
        lines.append(f"{alias[head]} ~ 0*{alias[name]}")
    return lines


def _absent_covariances(model: Model, alias: Mapping[str, str]) -> list[str]:
    """Zeros between observed variables without causes: semopy would put sample covariances there."""
    heads = {_ends(row)[0] for row in model.parameters if row.op != "~~"}
    sources = [name for name in model.observed if name not in heads]
    present = {frozenset((row.lhs, row.rhs)) for row in model.parameters if row.op == "~~"}
    pairs = [(a, b) for k, a in enumerate(sources) for b in sources[:k]]
    return [f"{alias[a]} ~~ 0*{alias[b]}" for a, b in pairs if frozenset((a, b)) not in present]


def _starts(model: Model, sample: Sample, scale: Mapping[str, float]) -> dict[int, float]:
    """Start values on the standardised scale: the user's where given, else plain ones with signs from the data."""
    first: dict[str, str] = {}
    for row in model.parameters:
        if row.op == "=~" and (row.rhs, row.rhs) in sample:
            first.setdefault(row.lhs, row.rhs)
    starts: dict[int, float] = {}
    for row in model.parameters:
        if row.free and row.free not in starts:
            given = not math.isnan(row.start)
            starts[row.free] = row.start / _factor(row, scale) if given else _plain_start(row, sample, scale, first)
    return starts


def _plain_start(row: Parameter, sample: Sample, scale: Mapping[str, float], first: Mapping[str, str]) -> float:
    if row.op == "=~":
        known = (row.rhs, row.rhs) in sample and row.lhs in first
        return math.copysign(0.8, sample[row.rhs, first[row.lhs]] if known else 1.0)
    if row.op == "~" or row.lhs != row.rhs:
        return 0.0
    return 0.5 * sample.get((row.lhs, row.lhs), scale[row.lhs] ** 2) / scale[row.lhs] ** 2


def _minimise(model: Model, sample: Sample, scale: Mapping[str, float]) -> FloatArray:
    alias = {name: f"v{k}" for k, name in enumerate((*model.observed, *model.latents))}
    columns = [alias[name] for name in model.observed]
    scaled = pd.DataFrame(
        [[sample[a, b] / (scale[a] * scale[b]) for b in model.observed] for a in model.observed],
        index=columns,
        columns=columns,
    )
    text = _description(model, sample, scale, alias)
    with _LOCK, _silence():
        from semopy import Model as SemopyModel

        peer = SemopyModel(text, cov_diag=True)
        for number, start in _starts(model, sample, scale).items():
            parameter = peer.parameters[f"p{number}"]
            parameter.start, parameter.bound = start, (None, None)
        result = peer.fit(cov=scaled, n_samples=1, options={"ftol": 1e-15, "maxiter": 5000})
        gradient = float(np.abs(peer.grad_mlw(np.asarray(result.x))).max())
        active = [name for name, parameter in peer.parameters.items() if parameter.active]
    if not (np.all(np.isfinite(result.x)) and gradient < _FLAT):
        raise NonConvergenceError(
            f"semopy stopped after {result.n_it} steps with a gradient of {gradient:.1e} ({result.message}). "
            "Use engine='spc', or give start values.",
            solution=result.x,
        )
    theta = np.empty(model.parameters.n_free)
    for name, value in zip(active, result.x, strict=True):
        theta[int(name[1:]) - 1] = value
    return theta


@contextmanager
def _silence() -> Iterator[None]:
    """Keep semopy's warnings and log lines, and the handler its first log line would install, to itself."""
    root: Any = logging.getLogger()
    before, quiet = root.manager.disable, logging.NullHandler()
    root.addHandler(quiet)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                yield
    finally:
        logging.disable(before)
        root.removeHandler(quiet)
