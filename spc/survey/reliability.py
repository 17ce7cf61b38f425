"""How reliable a scale score is: Cronbach's alpha, McDonald's omega, and Spearman-Brown for two items.

All take items that already run in one direction (see :func:`spc.survey.scoring.keyed_items`) and use complete rows.
A coefficient that cannot be had is NaN with a note that says why, never a quiet number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.results import Note, Shown, tidy_frame
from spc.survey.codebook import Construct
from spc.survey.factor import OneFactor, fit_one_factor, omega_gradient
from spc.survey.scoring import keyed_items
from spc.words import phrase

__all__ = ["Reliability", "alpha", "omega", "scale_reliability", "spearman_brown"]

Coefficient = Literal["alpha", "omega", "spearman_brown"]
LOW = 0.70
HIGH_SRMR = 0.08


@dataclass(frozen=True, repr=False)
class Reliability(Shown):
    """One reliability coefficient of one scale.

    Attributes
    ----------
    coefficient : {"alpha", "omega", "spearman_brown"}
    estimate, conf_low, conf_high : float
        NaN where there is none; the notes say why.
    n : int
        Complete rows it rests on.
    method : str
        How the number and its interval were had, in words a method section can use.
    name : str
        The scale.
    items : tuple of str
    n_dropped : int
        Rows left out because an answer was missing.
    level : float
        Level of the interval.
    std_error : float
        Standard error where the method has one.
    remarks : tuple of Note
    """

    coefficient: Coefficient
    estimate: float
    conf_low: float
    conf_high: float
    n: int
    method: str
    name: str = "scale"
    items: tuple[str, ...] = ()
    n_dropped: int = 0
    level: float = 0.95
    std_error: float = np.nan
    remarks: tuple[Note, ...] = ()

    @property
    def kind(self) -> str:
        """Always ``"reliability"``."""
        return "reliability"

    def tidy(self) -> pd.DataFrame:
        """One row: the scale, the coefficient as ``kind``, estimate and interval."""
        row = {"lhs": self.name, "kind": self.coefficient, "estimate": self.estimate, "std_error": self.std_error}
        return tidy_frame([{**row, "conf_low": self.conf_low, "conf_high": self.conf_high}])

    def glance(self) -> pd.DataFrame:
        """One row: coefficient, number of items, rows used and dropped, level, method."""
        row = (self.name, self.coefficient, len(self.items), self.n, self.n_dropped, self.level, self.method)
        columns = ["name", "coefficient", "nitems", "nobs", "ndropped", "level", "method"]
        return pd.DataFrame([row], columns=columns)

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the number."""
        return self.remarks


@dataclass(frozen=True)
class _Scale:
    """Items as given: complete rows, and their moments when there are at least three."""

    name: str
    items: tuple[str, ...]
    n: int
    n_dropped: int
    moments: Moments | None
    rows: FloatArray | None


def alpha(items: pd.DataFrame | Moments, level: float = 0.95, *, name: str = "scale") -> Reliability:
    """Cronbach's alpha of the raw items, with the interval of Feldt.

    Parameters
    ----------
    items : DataFrame or Moments
        One column an item, all running in one direction; rows with a missing answer are left out and counted.
    level : float
        Level of the interval.
    name : str
        Name of the scale, for notes.

    Returns
    -------
    Reliability
        NaN with a note for a single item, fewer than three complete rows, or items without variance.

    Raises
    ------
    DataError
        An item is not numeric, infinite, or there twice.
    UsageError
        The level is not between 0 and 1.

    References
    ----------
    Cronbach (1951), Psychometrika 16, 297-334. Interval: Feldt, Woodruff & Salih (1987), Applied Psychological
    Measurement 11, 93-103, exact for parallel normal items.

    Examples
    --------
    >>> m = Moments(["a", "b", "c"], 100, None, [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]])
    >>> a = alpha(m)
    >>> round(a.estimate, 3), round(a.conf_low, 3), round(a.conf_high, 3)
    (0.75, 0.651, 0.824)
    """
    scale = _read(items, level, name)
    method = "Cronbach's alpha of the raw items; interval after Feldt, Woodruff and Salih (1987)"
    blank = _blank(scale, "alpha", level, method)
    why = _obstacle(scale)
    if why is not None or scale.moments is None:
        return replace(blank, remarks=(*blank.remarks, *([why] if why else [])))
    value = _alpha(scale.moments.cov)
    low, high = _feldt(value, scale.n, len(scale.items), level)
    return _with_judgement(replace(blank, estimate=value, conf_low=low, conf_high=high), scale)


def omega(items: pd.DataFrame | Moments, level: float = 0.95, *, name: str = "scale") -> Reliability:
    """McDonald's omega (total) of the sum or mean of the raw items, from a one-factor model by maximum likelihood.

    With loadings λ and residual variances ψ, omega is (Σλ)² / ((Σλ)² + Σψ): the share of the score's model-implied
    variance that the common factor makes. Its interval comes from the delta method on the logit of omega, with the
    distribution-free sampling covariance of the observed covariances when rows are given, so that skewed or coarse
    answers do not spoil it, and with that of normal data when only moments are given. The large-sample interval is
    too short in small samples (92 % coverage of 95 % for fifty people and skewed five-point answers), so the interval,
    not ``std_error``, is widened by n / (n - k) in the variance and Student's t with n - k degrees of freedom: a device
    that simulation supports and no theorem gives. Coverage is that of samples whose factor solution is proper.

    Parameters
    ----------
    items : DataFrame or Moments
        One column an item, all running in one direction; rows with a missing answer are left out and counted.
    level : float
        Level of the interval.
    name : str
        Name of the scale, for notes.

    Returns
    -------
    Reliability
        NaN with a note for fewer than three items (two do not identify a factor), fewer than three complete rows,
        constant or linearly dependent items, or a factor solution that is improper or not reached.

    Raises
    ------
    DataError
        An item is not numeric, infinite, or there twice.
    UsageError
        The level is not between 0 and 1.

    References
    ----------
    McDonald (1999), *Test Theory*, chapter 6. Sampling covariance: Browne (1984), British Journal of Mathematical
    and Statistical Psychology 37, 62-83; Satorra & Bentler (1994).

    Examples
    --------
    >>> load = np.array([0.9, 0.8, 0.7, 0.6])
    >>> m = Moments(["a", "b", "c", "d"], 200, None, np.outer(load, load) + np.diag(1 - load**2))
    >>> round(omega(m).estimate, 4)          # 9 / (9 + 1.7)
    0.8411
    """
    scale = _read(items, level, name)
    how = "robust to non-normal answers" if scale.rows is not None else "for normal data"
    method = f"McDonald's omega of the raw items from a one-factor model (ML); delta interval on the logit, {how}"
    blank = _blank(scale, "omega", level, method)
    why = _obstacle(scale, factor=True)
    if why is not None or scale.moments is None:
        return replace(blank, remarks=(*blank.remarks, *([why] if why else [])))
    fit = fit_one_factor(scale.moments.cov, scale.n)
    if isinstance(fit, str):
        note = _no_factor(scale, fit)
        return replace(blank, remarks=(*blank.remarks, note))
    return _with_judgement(_omega_of(blank, fit, scale), scale, fit)


def spearman_brown(items: pd.DataFrame | Moments, level: float = 0.95, *, name: str = "scale") -> Reliability:
    """Spearman-Brown reliability of two items, 2r / (1 + r), with the interval from Fisher's z of r.

    Raises
    ------
    UsageError
        There are not two items, or the level is not between 0 and 1.
    DataError
        An item is not numeric, infinite, or there twice.

    References
    ----------
    Eisinga, te Grotenhuis & Pelzer (2013), International Journal of Public Health 58, 637-642.

    Examples
    --------
    >>> round(spearman_brown(Moments(["a", "b"], 100, None, [[1, 0.6], [0.6, 1]])).estimate, 3)
    0.75
    """
    from scipy.special import ndtri

    scale = _read(items, level, name)
    if len(scale.items) != 2:
        raise UsageError(f"Spearman-Brown here is for two items; got {len(scale.items)}. Use alpha or omega.")
    method = "Spearman-Brown reliability of two items, 2r/(1 + r); interval from Fisher's z of r"
    blank = _blank(scale, "spearman_brown", level, method)
    why = _obstacle(scale, factor=True, least=2)
    if why is not None or scale.moments is None:
        return replace(blank, remarks=(*blank.remarks, *([why] if why else [])))
    cov = scale.moments.cov
    r = float(np.clip(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]), -1 + 1e-12, 1 - 1e-12))
    half = float(ndtri(0.5 + level / 2)) / np.sqrt(scale.n - 3) if scale.n > 3 else np.nan
    ends = np.tanh(np.arctanh(r) + half * np.array([-1.0, 0.0, 1.0])) if np.isfinite(half) else [np.nan, r, np.nan]
    low, value, high = (float(2 * end / (1 + end)) for end in ends)
    return _with_judgement(replace(blank, estimate=value, conf_low=low, conf_high=high), scale)


def scale_reliability(frame: pd.DataFrame, construct: Construct, level: float = 0.95) -> tuple[Reliability, ...]:
    """Every coefficient that fits the number of items of a construct, reverse keys turned round first.

    Three items or more: alpha and omega. Two: alpha and Spearman-Brown, for two do not identify a factor.
    One: alpha as NaN, with the note that a single item has no internal consistency.

    Raises
    ------
    DataError
        As :func:`spc.survey.scoring.keyed_items`.

    Examples
    --------
    >>> answers = pd.DataFrame({"v1": [1, 2, 3, 4, 5, 4], "v2": [2, 2, 3, 5, 5, 3]})
    >>> [(r.coefficient, round(r.estimate, 2)) for r in scale_reliability(answers, Construct("value", ["v1", "v2"]))]
    [('alpha', 0.92), ('spearman_brown', 0.93)]
    """
    items = keyed_items(frame, construct)
    if len(construct.items) == 1:
        return (alpha(items, level, name=construct.name),)
    second = spearman_brown if len(construct.items) == 2 else omega
    return (alpha(items, level, name=construct.name), second(items, level, name=construct.name))


def _read(items: pd.DataFrame | Moments, level: float, name: str) -> _Scale:
    if not 0 < level < 1:
        raise UsageError(f"level = {level!r} is not a level; give a number between 0 and 1, such as 0.95.")
    if isinstance(items, Moments):
        return _Scale(name, items.names, items.n, 0, items, None)
    names = tuple(str(column) for column in items.columns)
    complete = items[items.notna().all(axis=1)] if names else items.iloc[:0]
    dropped = len(items) - len(complete)
    if len(complete) < 3:
        return _Scale(name, names, len(complete), dropped, None, None)
    moments = Moments.from_frame(complete)
    rows = complete.to_numpy(dtype=np.float64) - (0 if moments.mean is None else moments.mean)
    return _Scale(name, names, len(complete), dropped, moments, rows)


def _blank(scale: _Scale, coefficient: Coefficient, level: float, method: str) -> Reliability:
    remarks: tuple[Note, ...] = ()
    if scale.n_dropped:
        people = scale.n + scale.n_dropped
        remarks = (Note.of("incomplete_rows", "info", scale.name, scale=scale.name, dropped=scale.n_dropped,
                           people=people, complete=scale.n),)  # fmt: skip
    nan = float("nan")
    return Reliability(
        coefficient, nan, nan, nan, scale.n, method, scale.name, scale.items, scale.n_dropped, level, nan, remarks
    )


def _obstacle(scale: _Scale, *, factor: bool = False, least: int = 3) -> Note | None:
    k, name = len(scale.items), scale.name
    if k < 2:
        return Note.of("single_item", "warning", name, scale=name)
    if factor and k < least:
        return Note.of("two_items", "warning", name, scale=name)
    if scale.moments is None:
        return Note.of("too_few_rows", "warning", name, "items", scale=name, people=scale.n, least=3)
    variances = np.diag(scale.moments.cov)
    constant = [item for item, variance in zip(scale.items, variances, strict=True) if variance <= 0]
    if len(constant) == k or (factor and constant):
        return Note.of("no_variance", "warning", name, "alike", scale=name, items=constant)
    if scale.moments.cov.sum() <= 1e-12 * variances.sum():
        return Note.of("no_variance", "warning", name, "cancel", scale=name)
    return None


def _no_factor(scale: _Scale, why: str) -> Note:
    return Note.of("no_factor", "warning", scale.name, why, scale=scale.name)


def _alpha(cov: FloatArray) -> float:
    k = len(cov)
    return float(k / (k - 1) * (1 - np.trace(cov) / cov.sum()))


def _feldt(value: float, n: int, k: int, level: float) -> tuple[float, float]:
    from scipy.special import fdtri

    df = (n - 1, (n - 1) * (k - 1))
    tail = (1 - level) / 2
    return 1 - (1 - value) * float(fdtri(*df, 1 - tail)), 1 - (1 - value) * float(fdtri(*df, tail))


def _omega_of(blank: Reliability, fit: OneFactor, scale: _Scale) -> Reliability:
    from scipy.special import expit, logit, stdtrit

    value, df = fit.omega, scale.n - len(scale.items)
    error = float(np.sqrt(_omega_variance(fit, scale)))
    low = high = float("nan")
    if df > 0 and 0 < value < 1:
        half = float(stdtrit(df, 0.5 + blank.level / 2)) * error * np.sqrt(scale.n / df) / (value * (1 - value))
        low, high = (float(expit(logit(value) + sign * half)) for sign in (-1, 1))
    return replace(blank, estimate=value, std_error=error, conf_low=low, conf_high=high)


def _omega_variance(fit: OneFactor, scale: _Scale) -> float:
    gradient = omega_gradient(fit)
    if gradient is None:
        return float("nan")
    if scale.rows is None:
        return gradient.normal_variance / scale.n
    z = scale.rows / fit.scale
    influence = np.einsum("ij,jk,ik->i", z, gradient.weights, z)
    return float(influence.var(ddof=1)) / scale.n


def _with_judgement(found: Reliability, scale: _Scale, fit: OneFactor | None = None) -> Reliability:
    assert scale.moments is not None
    notes = [*found.remarks, *_value_notes(found), *_direction_notes(scale.moments.cov, scale.items, scale.name)]
    if fit is not None and fit.srmr > HIGH_SRMR:
        notes.append(Note.of("not_one_factor", "warning", scale.name, scale=scale.name, srmr=fit.srmr, bar=HIGH_SRMR))
    if fit is not None and not np.isfinite(found.std_error):
        notes.append(Note.of("no_interval", "warning", scale.name, "factor", scale=scale.name))
    return replace(found, remarks=tuple(notes))


def _value_notes(found: Reliability) -> list[Note]:
    what = phrase(f"note.coefficient.{found.coefficient}")
    about: dict[str, object] = {"coefficient": what, "scale": found.name, "value": found.estimate}
    if found.estimate < 0:
        negative = Note.of("negative_reliability", "serious", found.name, **about)
        return [replace(negative, code=f"negative_{found.coefficient}")]
    return [Note.of("low_reliability", "warning", found.name, "scale", bar=LOW, **about)] * (found.estimate < LOW)


def _direction_notes(cov: FloatArray, items: Sequence[str], name: str) -> list[Note]:
    rest = cov.sum(axis=0) - np.diag(cov)
    against = [item for item, value in zip(items, rest, strict=True) if value < 0]
    if not against:
        return []
    return [Note.of("item_against", "warning", name, n=len(against), items=against, scale=name)]
