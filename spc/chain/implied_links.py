"""What a fitted chain implies about each link: spread of cause and effect, and what other causes leave of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spc.chain.links import outcomes
from spc.chain.two_sided_result import TwoSidedFit
from spc.linalg import FloatArray
from spc.sem import SemFit
from spc.sem.engine.ram import implied

__all__ = ["ImpliedLink", "implied_links"]


@dataclass(frozen=True)
class ImpliedLink:
    """One link in the covariances a fitted chain implies, free of whatever error the fit takes out.

    Attributes
    ----------
    lhs, rhs : str
        Effect and cause.
    effect_sd, cause_sd : float
        Standard deviations of the two.
    strength : float
        Cohen's f of the link: its partial correlation r, given the other causes, as ``|r| / sqrt(1 - r^2)``.
    others : tuple of (str, float, float)
        Other causes of the effect: name, its share of what the rest leaves of the cause, and its share of what cause
        and rest leave of the effect (partial R squares).
    df : float
        Rows less causes less one.
    rows : int
        Units, or persons.
    """

    lhs: str
    rhs: str
    effect_sd: float
    cause_sd: float
    strength: float
    others: tuple[tuple[str, float, float], ...]
    df: float
    rows: int


def implied_links(sem: SemFit | TwoSidedFit) -> tuple[ImpliedLink, ...]:
    """Every link of a structural model, in the order of its text.

    Parameters
    ----------
    sem : SemFit or TwoSidedFit

    Returns
    -------
    tuple of ImpliedLink

    Examples
    --------
    >>> import spc
    >>> cov = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    >>> first, second = implied_links(spc.fit("b ~ a; c ~ b", spc.Moments(["a", "b", "c"], 103, None, cov)))
    >>> first.rhs, first.lhs, round(first.strength, 3), first.df
    ('a', 'b', 0.577, 101.0)
    """
    frame = _covariance(sem)
    return tuple(_links(frame, _free_covariance(sem, frame), sem))


def _covariance(sem: SemFit | TwoSidedFit) -> pd.DataFrame:
    part = sem.core if isinstance(sem, TwoSidedFit) else sem
    place = part.problem.place
    names = list(place.variables)
    return pd.DataFrame(implied(place, part.values).covariance, names, names)


def _free_covariance(sem: SemFit | TwoSidedFit, frame: pd.DataFrame) -> pd.DataFrame:
    """Covariances that no link restricts, where all is observed: links are then those of regressions."""
    if isinstance(sem, TwoSidedFit) or sem.model.latents:
        return frame
    names = list(sem.observed.names)
    return pd.DataFrame(np.asarray(sem.observed.cov), names, names)


def _links(implied_cov: pd.DataFrame, frame: pd.DataFrame, sem: SemFit | TwoSidedFit) -> Iterator[ImpliedLink]:
    rows = len(sem.keys) if isinstance(sem, TwoSidedFit) else int(sem.observed.n)
    spread = pd.Series(np.sqrt(np.diag(implied_cov)), implied_cov.columns)
    for lhs, causes in outcomes(sem.model).items():
        for rhs in causes:
            rest = [name for name in causes if name != rhs]
            share = _shared(frame, lhs, rhs, rest)
            yield ImpliedLink(
                lhs, rhs, float(spread[lhs]), float(spread[rhs]),
                float(np.sqrt(share / (1.0 - share))) if share < 1.0 else float("inf"),
                tuple(_other(frame, lhs, rhs, rest, name) for name in rest),
                float(max(rows - len(causes) - 1, 1)), rows,
            )  # fmt: skip


def _other(frame: pd.DataFrame, lhs: str, rhs: str, rest: Sequence[str], name: str) -> tuple[str, float, float]:
    remaining = [other for other in rest if other != name]
    return name, _shared(frame, rhs, name, remaining), _shared(frame, lhs, name, [rhs, *remaining])


def _shared(frame: pd.DataFrame, one: str, other: str, given: Sequence[str]) -> float:
    """Partial R square of two variables, given others."""
    names = [one, other, *given]
    cov: FloatArray = frame.loc[names, names].to_numpy(dtype=float)
    left = cov[:2, :2] - cov[:2, 2:] @ np.linalg.solve(cov[2:, 2:], cov[2:, :2]) if given else cov
    if left[0, 0] <= 0.0 or left[1, 1] <= 0.0:
        return float("nan")
    return float(min(left[0, 1] ** 2 / (left[0, 0] * left[1, 1]), 1.0))
