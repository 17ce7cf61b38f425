"""Wald tests of constraints on labelled parameters, linear or not."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spc.errors import SpecError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.defined import defined_slopes, defined_values, label_rows
from spc.sem.engine.problem import label_slopes
from spc.sem.fit import SemFit
from spc.sem.inference.fitmeasures import chisq_pvalue
from spc.spec.expressions import parse_expression
from spc.spec.table import Defined

__all__ = ["WaldTest", "wald_test"]

_DEPENDENT = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class WaldTest(Shown):
    """A joint test of constraints.

    Attributes
    ----------
    statistic : float
    df : int
        Number of constraints.
    p_value : float
    table : DataFrame
        ``TIDY_COLUMNS``: by how much each constraint misses (left less right side), with its delta-method error.
    method : str
        Where the sampling covariances come from.
    nobs : int
    provenance : Provenance
    """

    statistic: float
    df: int
    p_value: float
    table: pd.DataFrame
    method: str
    nobs: int
    provenance: Provenance
    kind: str = "wald"

    def tidy(self) -> pd.DataFrame:
        """One row a constraint: left less right side, its error and its own z test."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: the joint test."""
        row = {"chisq": self.statistic, "df": self.df, "pvalue": self.p_value, "method": self.method, "nobs": self.nobs}
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """Nothing beyond the notes of the fit."""
        return ()


def wald_test(fit: SemFit, constraints: str) -> WaldTest:
    r"""Test whether labelled or defined parameters meet constraints, without fitting the model again.

    Parameters
    ----------
    fit : SemFit
    constraints : str
        Equations in labels and numbers, separated by semicolons or lines: ``"a == b; c*d == 0.5"``. An expression
        without ``==`` is tested against zero.

    Returns
    -------
    WaldTest
        With ``g`` the left less the right sides and ``J`` their derivatives, ``g' (J V J')^-1 g``.

    Raises
    ------
    SpecError
        A constraint cannot be read, or uses a label that the model does not have.
    UsageError
        No constraint, one that repeats others, or one that nothing estimated enters.

    References
    ----------
    Wald (1943), Transactions of the American Mathematical Society 54, 426-482.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    >>> chain = fit("y ~ b*m\nm ~ a*x", Moments(["x", "m", "y"], 200, None, r))
    >>> test = wald_test(chain, "a*b == 0.3")
    >>> round(test.statistic, 3), test.df, round(test.p_value, 3)
    (1.333, 1, 0.248)
    """
    _require_labels(fit, constraints)
    texts = [part.strip() for part in constraints.replace("\n", ";").split(";") if part.strip()]
    if not texts:
        raise UsageError("No constraint to test. Write equations of labels, such as 'a == b; c == 0'.")
    gap, jacobian = _gaps(fit, texts)
    spread = jacobian @ fit.vcov @ jacobian.T
    _check_independent(spread, texts)
    statistic = float(gap @ np.linalg.solve(spread, gap))
    options = {"constraints": "; ".join(texts)}
    return WaldTest(
        statistic, len(texts), chisq_pvalue(statistic, len(texts)), _table(fit, texts, gap, spread),
        fit.estimates().method, fit.system.n, Provenance.record(options, fit.provenance.data_fingerprint),
    )  # fmt: skip


def _require_labels(fit: SemFit, constraints: str) -> None:
    """Raise where a parameter is named by what it joins, and say how it gets a label."""
    plain = "".join(constraints.split())
    named = {"".join(row.own_name.split()): row for row in fit.model.parameters if row.op in ("=~", "~", "~~", "|")}
    for name in sorted(named, key=len, reverse=True):
        if re.search(rf"(?<![\w=~]){re.escape(name)}(?!\w)", plain):
            row = named[name]
            if row.label:
                raise SpecError(
                    f"A Wald test takes labels: {name} has the label {row.label!r}; write that in its place."
                )
            several = "c(a1, a2)*" if len(fit.groups) > 1 else "a*"
            raise SpecError(
                f"A Wald test takes labels, and {name} has none. Give it one in the model, as in "
                f"'{row.lhs} {row.op} {several}{row.rhs}', fit it again, and test the label."
            )


def _gaps(fit: SemFit, texts: list[str]) -> tuple[FloatArray, FloatArray]:
    """Left less right side of each constraint (c,), and its derivatives on the free parameters (c, q)."""
    model = fit.model
    asked = [Defined(f"constraint {i}", _difference(text)) for i, text in enumerate(texts)]
    known = {*label_rows(model), *(item.name for item in model.defined)}
    for item, text in zip(asked, texts, strict=True):
        _check_labels(item.expression, text, known)
    everything = (*model.defined, *asked)
    values = {name: fit.values[i] for name, i in label_rows(model).items()}
    found = defined_values(everything, values)
    slopes = defined_slopes(everything, values, label_slopes(model))
    gap = np.array([float(found[item.name]) for item in asked])
    jacobian = np.array([slopes[item.name] for item in asked])
    unknown = [text for text, g, j in zip(texts, gap, jacobian, strict=True) if not np.isfinite([g, *j]).all()]
    if unknown:
        raise UsageError(f"{unknown[0]!r} has no value at the estimates, such as the log of a negative number.")
    return gap, jacobian


def _difference(text: str) -> str:
    sides = text.split("==")
    if len(sides) > 2 or any(mark in text for mark in "<>") or text.count("=") != 2 * (len(sides) - 1):
        raise SpecError(f"{text!r}: expected one equation 'left == right'. A Wald test has no inequalities.")
    for side in sides:
        parse_expression(side)
    return f"({sides[0]}) - ({sides[1]})" if len(sides) == 2 else text


def _check_labels(expression: str, text: str, known: set[str]) -> None:
    from difflib import get_close_matches

    for name in parse_expression(expression).names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            there = ", ".join(sorted(known)) or "none: give parameters labels in the model, as in y ~ a*x"
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise SpecError(f"{text!r} uses the label {name!r}, which the model does not have. {hint}Labels: {there}.")


def _check_independent(spread: FloatArray, texts: list[str]) -> None:
    deviation = np.sqrt(spread.diagonal())
    still = [text for text, size in zip(texts, deviation, strict=True) if not size > 0.0]
    if still:
        raise UsageError(f"{still[0]!r} holds no estimated parameter, so there is nothing to test.")
    values, vectors = np.linalg.eigh(spread / np.outer(deviation, deviation))
    if values[0] < _DEPENDENT:
        involved = [text for text, weight in zip(texts, vectors[:, 0], strict=True) if abs(weight) > 1e-6]
        raise UsageError(f"These constraints say the same thing twice: {'; '.join(involved)}. Leave one of them out.")


def _table(fit: SemFit, texts: list[str], gap: FloatArray, spread: FloatArray) -> pd.DataFrame:
    from scipy.special import ndtri

    error = np.sqrt(spread.diagonal())
    half = float(ndtri(0.5 + fit.options.level / 2.0)) * error
    columns = zip(texts, gap, error, half, strict=True)
    return tidy_frame([
        {
            "lhs": text, "op": "==", "rhs": "0", "kind": "constraint", "estimate": g, "std_error": e,
            "statistic": g / e, "p_value": chisq_pvalue(float((g / e) ** 2), 1), "conf_low": g - h, "conf_high": g + h,
        }
        for text, g, e, h in columns
    ])  # fmt: skip
