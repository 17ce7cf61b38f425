"""Customers put together who have the same covariates: what a model of leaving needs to know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.joint import FEWEST_UNITS
from spc.economics.ledger import read_ledger
from spc.economics.lifetable import LifeTable, life_tables
from spc.economics.tenure import Window
from spc.errors import DataError, NonConvergenceError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, fingerprint

__all__ = ["Cells", "leaving_notes", "read_cells", "sandwich"]

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Cells:
    """Life tables of customers with equal covariates, and the covariates.

    Attributes
    ----------
    table : LifeTable
        (G, T).
    columns : (G, k) array
        Covariates: numbers as they are, other columns by value against their first one.
    names : tuple of (str, str)
        Covariate of each column, and for values ``"b against a"``.
    levels : mapping of str to tuple of str
        Values of covariates that are not numbers, the first of which is the reference.
    cluster : (G,) array of int or None
        What customers share; None where they count as independent.
    customers : int
    fingerprint : str
    """

    table: LifeTable
    columns: FloatArray
    names: tuple[tuple[str, str], ...]
    levels: Mapping[str, tuple[str, ...]]
    cluster: Codes | None
    customers: int
    fingerprint: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", frozen_array(self.columns))

    @property
    def clusters(self) -> int:
        """How many; 0 where customers count as independent."""
        return 0 if self.cluster is None else int(self.cluster.max()) + 1


def read_cells(
    customers: pd.DataFrame, covariates: Sequence[str], *, cluster: str | None = None, window: Window | None = None
) -> Cells:
    """Put the customers of a ledger together by covariates and cluster; those without a covariate are left out.

    Raises
    ------
    DataError
        Columns that are missing, or hold values that cannot be.
    UsageError
        Nobody left, or nobody stayed for a period; a covariate that is the same for all, or tells what others tell.
    NonConvergenceError
        A value of which nobody left, or nobody stayed: no model of leaving has a finite answer.

    Examples
    --------
    >>> ledger = pd.DataFrame({"tenure": [1, 2, 2, 3], "churned": [1, 0, 1, 1], "segment": ["b", "a", "b", "a"]})
    >>> cells = read_cells(ledger, ["segment"])
    >>> cells.names, cells.columns.ravel().tolist(), cells.table.events.tolist()
    ((('segment', 'b against a'),), [1.0, 0.0], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """
    shared = (cluster,) if cluster is not None and (cluster in customers or cluster != "unit") else ()
    wanted = list(dict.fromkeys((*covariates, *shared)))
    rows, _ = read_ledger(customers, window, keep=wanted)
    rows = rows[rows["tenure"] > rows.get("entry", 0)].dropna(subset=list(covariates)).reset_index(drop=True)
    codes: Codes = np.zeros(len(rows), dtype=np.intp)
    if wanted:
        keys = rows[wanted].astype(object).groupby(wanted, sort=False, dropna=False)
        codes = np.asarray(keys.ngroup(), dtype=np.intp)
    if not len(rows):
        raise UsageError("No customer has every covariate and was watched for a period: there is nothing to explain.")
    life = life_tables(rows["tenure"], rows["churned"], codes, rows.get("entry"))
    if not 0 < life.events.sum() < life.exposure.sum():
        raise UsageError("Nobody left, or nobody stayed for a period: there is nothing to explain.")
    first = rows.loc[np.unique(codes, return_index=True)[1]].reset_index(drop=True)
    known = list(dict.fromkeys(covariates))
    _left_and_stayed(first[[name for name in known if not _is_number(first[name], name)]], life)
    columns, names, levels = _columns(first, known)
    group = _clusters(first, cluster)
    return Cells(
        life, columns, names, MappingProxyType(levels), group, len(rows), fingerprint(rows[["tenure", "churned"]])
    )


def _is_number(column: pd.Series, name: str) -> bool:
    return pd.api.types.is_numeric_dtype(column) and name not in {"unit", "wave"}


def _left_and_stayed(first: pd.DataFrame, life: LifeTable) -> None:
    """Refuse values of which nobody left, or nobody stayed."""
    left, watched = (pd.Series(x.sum(axis=1)) for x in (life.events, life.exposure))
    for name, column in first.items():
        text = column.astype(str)
        events, exposure = (x.groupby(text).sum() for x in (left, watched))
        lacking = (events == 0) | ((events >= exposure) & life.whole)
        if lacking.any():
            raise NonConvergenceError(
                f"A model of leaving has no finite answer: of {name} {lacking.idxmax()!r}, nobody left or nobody "
                "stayed. Join small groups, or take the covariate out."
            )


def _columns(
    first: pd.DataFrame, covariates: list[str]
) -> tuple[FloatArray, tuple[tuple[str, str], ...], dict[str, tuple[str, ...]]]:
    columns: list[FloatArray] = []
    names: list[tuple[str, str]] = []
    levels: dict[str, tuple[str, ...]] = {}
    for name in covariates:
        column = first[name]
        if _is_number(column, name):
            columns.append(_numbers(column, name))
            names.append((name, ""))
            continue
        text = column.astype(str)
        levels[name] = tuple(sorted(text.unique()))
        for value in levels[name][1:]:
            columns.append(np.asarray(text == value, dtype=float))
            names.append((name, f"{value} against {levels[name][0]}"))
    design = np.column_stack(columns) if columns else np.empty((len(first), 0))
    _say_something(design, names)
    return design, tuple(names), levels


def _say_something(design: FloatArray, names: list[tuple[str, str]]) -> None:
    """Refuse columns that are the same for all customers, or that the others tell already."""
    basis = np.zeros((len(design), len(names) + 1))
    basis[:, 0] = 1.0 / np.sqrt(len(design))
    for i, (column, (name, label)) in enumerate(zip(design.T, names, strict=True)):
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)
        size = float(np.sqrt(left @ left))
        if size <= 1e-9 * float(np.sqrt(column @ column)):
            told = f"{name} ({label})" if label else name
            raise UsageError(f"{told} tells nothing that the covariates before it do not tell; leave one of them out.")
        basis[:, i + 1] = left / size


def _numbers(column: pd.Series, name: str) -> FloatArray:
    values = column.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise DataError.of("customers", name, "infinite", "infinite values", "finite numbers", "Check the column.")
    return np.asarray(values)


def _clusters(first: pd.DataFrame, cluster: str | None) -> Codes | None:
    if cluster is None or cluster not in first:
        return None
    codes = np.asarray(pd.factorize(first[cluster].astype(str))[0], dtype=np.intp)
    return codes if codes.max() + 1 >= FEWEST_UNITS else None


def sandwich(inverse: FloatArray, scores: FloatArray, cluster: Codes) -> FloatArray:
    """Covariance of estimates whose rows share clusters (Liang & Zeger 1986, *Biometrika* 73), times m / (m - 1).

    Parameters
    ----------
    inverse : (k, k) array
        Of the information.
    scores : (n, k) array
        What each row adds to the gradient.
    cluster : (n,) array of int
        0 to m - 1.

    Examples
    --------
    >>> float(sandwich(np.eye(1), np.array([[1.0], [2.0], [-3.0]]), np.array([0, 0, 1])).item())
    36.0
    """
    sums = np.zeros((int(cluster.max()) + 1, len(inverse)))
    np.add.at(sums, cluster, scores)
    return np.asarray(len(sums) / (len(sums) - 1) * inverse @ (sums.T @ sums) @ inverse)


def leaving_notes(events: int, coefficients: int) -> tuple[Note, ...]:
    """What a reader must know beside a regression of leaving: it is no cause, and leavers may be few for it."""
    notes = [Note.of("association", "info", "leaving", "leaving")]
    if events < 10 * coefficients:
        notes.append(Note.of("few_churn_events", "warning", "leaving", "leaving", events=events))
    return tuple(notes)
