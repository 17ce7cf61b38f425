"""Answers in ordered categories: how often each category, and each pair of categories, was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, Finding
from spc.linalg import FloatArray
from spc.moments.columns import absent_columns, numeric_values

__all__ = ["Counts", "categories", "category_codes"]

MOST_CATEGORIES = 12
Codes = npt.NDArray[np.int8]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Counts:
    """Rows of ordered and continuous answers, and the counts of categories that they give.

    Attributes
    ----------
    names : tuple of str
        Variable names, p of them.
    levels : tuple of tuple
        The categories of each variable in their order; empty for continuous variables.
    codes : (n, p) int8 array
        Category of each answer, from 0; -1 where it is missing or the variable is continuous.
    values : (n, p) array
        Values of the continuous variables; NaN where missing, and in ordered columns.
    empty : int
        Rows without any answer, which are left out.
    group : str or None

    Examples
    --------
    >>> rows = pd.DataFrame({"a": [1, 1, 2, 3], "b": [1, 2, 2, None]})
    >>> counts = Counts.from_frame(rows, ["a", "b"], ["a", "b"])
    >>> counts.n, counts.once().tolist()
    (4, [[2.0, 1.0, 1.0], [1.0, 2.0, 0.0]])
    >>> counts.pairs()[0].tolist()
    [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """

    names: tuple[str, ...]
    levels: tuple[tuple[Any, ...], ...]
    codes: Codes = field(repr=False)
    values: FloatArray = field(repr=False)
    empty: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
        self.codes.flags.writeable = False
        self.values.flags.writeable = False

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        names: Sequence[str],
        ordered: Sequence[str],
        *,
        levels: Mapping[str, Sequence[Any]] | None = None,
        group: str | None = None,
    ) -> Counts:
        """Counts of the named columns.

        Parameters
        ----------
        frame : DataFrame
        names : sequence of str
        ordered : sequence of str
            Those of the names that are ordered categories; the others are continuous.
        levels : mapping, optional
            Categories of ordered columns, so that groups share them; else those that occur.
        group : str, optional

        Raises
        ------
        DataError
            A column is absent; an ordered one has fewer than two or more than twelve categories, values that are
            neither whole numbers nor an ordered categorical, or an empty category; a continuous one is not numeric.
        """
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise DataError(absent_columns("data", absent, list(frame.columns)))
        chosen = [name for name in names if name in set(ordered)]
        known = categories(frame, chosen) if levels is None else {name: tuple(levels[name]) for name in chosen}
        codes = category_codes(frame, names, known)
        values = np.full((len(frame), len(names)), np.nan)
        rest = [name for name in names if name not in known]
        if rest:
            values[:, [names.index(name) for name in rest]] = numeric_values(frame, rest)
        kept = (codes >= 0).any(axis=1) | ~np.isnan(values).all(axis=1)
        counts = cls(
            tuple(names), tuple(known.get(name, ()) for name in names), codes[kept], values[kept],
            int((~kept).sum()), group,
        )  # fmt: skip
        findings = _empty_categories(counts)
        if findings:
            raise DataError(findings)
        return counts

    @property
    def n(self) -> int:
        """Rows with at least one answer."""
        return len(self.codes)

    @cached_property
    def ordered(self) -> IntArray:
        """Positions of the ordered variables, k of them."""
        return np.flatnonzero([len(levels) > 0 for levels in self.levels])

    @cached_property
    def continuous(self) -> IntArray:
        """Positions of the continuous variables."""
        return np.flatnonzero([not levels for levels in self.levels])

    @cached_property
    def width(self) -> int:
        """The largest number of categories, c."""
        return max((len(levels) for levels in self.levels), default=0)

    @cached_property
    def _joint(self) -> FloatArray:
        """Cross-products of indicators of all categories, (k c, k c)."""
        codes = self.codes[:, self.ordered]
        whole = codes[:, :, None] == np.arange(self.width, dtype=np.int8)
        flat = whole.reshape(len(codes), -1).astype(np.float32)
        total = np.zeros((flat.shape[1], flat.shape[1]))
        for start in range(0, len(flat), _EXACT):
            part = flat[start : start + _EXACT]
            total += part.T @ part
        return total

    def once(self) -> FloatArray:
        """How often each category of each ordered variable was chosen, (k, c), padded with zeros."""
        return np.asarray(self._joint.diagonal().reshape(self.ordered.size, self.width))

    def pairs(self) -> FloatArray:
        """How often each pair of categories was chosen, (k(k-1)/2, c, c), among rows that answer both.

        Pairs are ordered (0, 1), (0, 2), ..., (1, 2), ...
        """
        k, c = self.ordered.size, self.width
        first, second = np.triu_indices(k, 1)
        return np.asarray(self._joint.reshape(k, c, k, c)[first, :, second, :])

    def answered(self) -> npt.NDArray[np.bool_]:
        """What each row answers, (n, p)."""
        return np.asarray((self.codes >= 0) | ~np.isnan(self.values))

    def complete(self) -> Counts:
        """Only the rows that answer everything.

        Raises
        ------
        DataError
            Then a category is empty.
        """
        kept = self.answered().all(axis=1)
        counts = Counts(self.names, self.levels, self.codes[kept], self.values[kept], self.empty, self.group)
        findings = _empty_categories(counts)
        if findings:
            raise DataError(findings)
        return counts

    def restrict(self, names: Sequence[str]) -> Counts:
        """Counts of some of the variables, in the given order."""
        absent = [name for name in names if name not in self.names]
        if absent:
            raise DataError(absent_columns("counts", absent, self.names))
        index = [self.names.index(name) for name in names]
        levels = tuple(self.levels[i] for i in index)
        return Counts(tuple(names), levels, self.codes[:, index], self.values[:, index], self.empty, self.group)


_EXACT = 1 << 24


def categories(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Categories of ordered columns, in their order: those that occur.

    Raises
    ------
    DataError
        See :meth:`Counts.from_frame`; all columns at once.

    Examples
    --------
    >>> categories(pd.DataFrame({"a": [3, 1, None, 3]}), ["a"])
    {'a': (1, 3)}
    """
    found: dict[str, tuple[Any, ...]] = {}
    findings: list[Finding] = []
    for name in names:
        column: pd.Series[Any] | pd.DataFrame = frame[name]
        if isinstance(column, pd.DataFrame):
            findings.append(_fault(name, "duplicate_column", f"{column.shape[1]} columns", "one", "Rename."))
            continue
        levels = _levels(column)
        finding = levels if isinstance(levels, Finding) else _level_fault(name, levels)
        if finding is not None:
            findings.append(finding)
        elif not isinstance(levels, Finding):
            found[name] = levels
    if findings:
        raise DataError(findings)
    return found


def _levels(column: pd.Series[Any]) -> tuple[Any, ...] | Finding:
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        if not column.cat.ordered:
            return _fault(
                name, "unordered", "categories without an order", "an ordered categorical, or whole numbers",
                "Give the order with .cat.set_categories([...], ordered=True).",
            )  # fmt: skip
        used = set(column.dropna().unique())
        return tuple(level for level in column.cat.categories if level in used)
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        return _fault(
            name, "not_numeric", f"values of type {column.dtype}", "whole numbers or an ordered categorical",
            "Number the answers, or give them an order with pandas.Categorical(..., ordered=True).",
        )  # fmt: skip
    values = np.unique(column.dropna().to_numpy(dtype=np.float64))
    if np.isinf(values).any():
        return _fault(name, "infinite", "infinite values", "whole numbers, one a category", "Set to missing.")
    if not np.array_equal(values, np.round(values)):
        off = values[values != np.round(values)][0]
        return _fault(
            name, "not_whole", f"values such as {off:g}", "whole numbers, one a category",
            "Leave it out of ordered= if it is continuous, or code its categories 1, 2, 3, ...",
        )  # fmt: skip
    return tuple(values.astype(np.int64).tolist())


def _level_fault(name: str, levels: tuple[Any, ...]) -> Finding | None:
    if len(levels) < 2:
        said = f"only the answer {levels[0]!r}" if levels else "no answers"
        return _fault(name, "one_category", said, "at least two categories", "Leave it out of the model.")
    if len(levels) > MOST_CATEGORIES:
        return _fault(
            name, "many_categories", f"{len(levels)} categories", f"at most {MOST_CATEGORIES}",
            "Leave it out of ordered=, so that it is continuous, or join categories.",
        )  # fmt: skip
    return None


def _fault(name: str, rule: str, found: str, expected: str, hint: str) -> Finding:
    return Finding("data", name, rule, found, expected, hint)


def category_codes(frame: pd.DataFrame, names: Sequence[str], known: Mapping[str, tuple[Any, ...]]) -> Codes:
    """Category of each answer (n, p), from 0; -1 where it is missing, no known category or not ordered.

    Parameters
    ----------
    frame : DataFrame
    names : sequence of str
        The columns of the result.
    known : mapping
        Categories of the ordered ones among them, in their order.

    Examples
    --------
    >>> category_codes(pd.DataFrame({"a": [3, 1, None, 2]}), ["a"], {"a": (1, 3)}).ravel().tolist()
    [1, 0, -1, -1]
    """
    codes = np.full((len(frame), len(names)), -1, dtype=np.int8)
    plain = [name for name in known if not isinstance(frame[name].dtype, pd.CategoricalDtype)]
    for name in known:
        if name not in plain:
            column = frame[name]
            number = {level: code for code, level in enumerate(known[name])}
            recode = np.array([*(number.get(level, -1) for level in column.cat.categories), -1], dtype=np.int8)
            codes[:, names.index(name)] = recode[column.cat.codes]
    if not plain:
        return codes
    answers = numeric_values(frame, plain)
    for at_column, name in enumerate(plain):
        answer, levels = answers[:, at_column], np.asarray(known[name], dtype=np.float64)
        at = np.minimum(np.searchsorted(levels, answer), levels.size - 1)
        codes[:, names.index(name)] = np.where(levels[at] == answer, at, -1)
    return codes


def _empty_categories(counts: Counts) -> list[Finding]:
    where = "" if counts.group is None else f" in group {counts.group}"
    findings = []
    for i in counts.ordered:
        chosen = np.bincount(counts.codes[:, i][counts.codes[:, i] >= 0], minlength=len(counts.levels[i]))
        none = [str(level) for level, number in zip(counts.levels[i], chosen, strict=True) if not number]
        if none:
            findings.append(
                _fault(
                    counts.names[i],
                    "empty_category",
                    f"no answer {', '.join(none)}{where}",
                    "at least one answer in every category",
                    "Join it with the category beside it, in all groups alike.",
                )
            )
    return findings
