"""What every result answers, and the values results are made of.

A result is frozen and has four methods: ``tidy()`` (long table with :data:`TIDY_COLUMNS`), ``glance()`` (one row),
``notes()`` and, where rows make sense, ``augment()``. Everything else is a function of the result.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from textwrap import wrap
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.linalg import FloatArray, frozen_array, with_covariance
from spc.words import Phrase, phrase

__all__ = [
    "GLANCE_COLUMNS",
    "TIDY_COLUMNS",
    "Estimates",
    "Note",
    "Provenance",
    "Replicates",
    "Result",
    "Shown",
    "assembled",
    "fingerprint",
    "package_version",
    "tidy_frame",
]

TIDY_COLUMNS = (
    "lhs",
    "op",
    "rhs",
    "level",
    "group",
    "label",
    "kind",
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
    "std_all",
)
_TEXT = ("lhs", "op", "rhs", "level", "group", "label", "kind")

GLANCE_COLUMNS = (
    "npar",
    "chisq",
    "df",
    "pvalue",
    "chisq_scaled",
    "df_scaled",
    "pvalue_scaled",
    "chisq_scaling_factor",
    "baseline_chisq",
    "baseline_df",
    "cfi",
    "tli",
    "nfi",
    "cfi_robust",
    "tli_robust",
    "rmsea",
    "rmsea_ci_lower",
    "rmsea_ci_upper",
    "rmsea_pvalue",
    "rmsea_robust",
    "srmr",
    "gfi",
    "logl",
    "unrestricted_logl",
    "aic",
    "bic",
    "nobs",
    "nobs_min",
    "ngroups",
    "estimator",
    "converged",
)

Severity = Literal["info", "warning", "serious"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader must know beside a number.

    Attributes
    ----------
    code : str
        Stable short code, for instance ``"heywood"``.
    severity : {"info", "warning", "serious"}
        ``serious`` means that the numbers it concerns must not be read as findings.
    subject : str
        What it is about: a parameter, a construct, a table.
    said : Phrase or str
        One or two whole sentences in plain words.

    Examples
    --------
    >>> print(Note.of("rows_dropped", "info", "customers", "ledger", customers=1200))
    info: 1,200 customers were left out because tenure or churn was missing.
    """

    code: str
    severity: Severity
    subject: str
    said: Phrase | str

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"

    def __repr__(self) -> str:
        return f"Note({self.code!r}, {self.severity!r}, {self.subject!r}, {self.text!r})"

    @classmethod
    def of(cls, code: str, severity: Severity, subject: str, form: str = "", /, **values: object) -> Note:
        """Note whose sentence is the template ``note.<code>``, or ``note.<code>.<form>`` where a code has several."""
        return cls(code, severity, subject, phrase(".".join(filter(None, ("note", code, form))), **values))

    @property
    def text(self) -> str:
        """The sentence in the language in force, see :func:`spc.words.speaking`."""
        return str(self.said)

    def each(self, change: Callable[[str], str]) -> Note:
        """The same with every text that it speaks of changed."""
        said = self.said.each(change) if isinstance(self.said, Phrase) else change(self.said)
        return replace(self, said=said)


@cache
def package_version() -> str:
    """Version of the installed package."""
    try:
        return version("service-profit-chain")
    except PackageNotFoundError:
        return "0+unknown"


def fingerprint(*tables: pd.DataFrame | FloatArray) -> str:
    """Short hash of the values, column names and order of the given tables.

    Examples
    --------
    >>> fingerprint(pd.DataFrame({"a": [1, 2]})) == fingerprint(pd.DataFrame({"a": [1, 2]}))
    True
    """
    digest = hashlib.sha256()
    for table in tables:
        if isinstance(table, pd.DataFrame):
            digest.update("\x1f".join(map(str, table.columns)).encode())
            digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        else:
            digest.update(np.ascontiguousarray(table).data)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Provenance:
    """Where a result came from: enough to make it again."""

    package_version: str
    options: Mapping[str, Any]
    data_fingerprint: str
    seed: int | None
    time: str

    @classmethod
    def record(
        cls, options: Mapping[str, Any], data_fingerprint: str, seed: int | None = None, *, at: float | None = None
    ) -> Provenance:
        """Stamp the given options with version and time: now, or at that many seconds since the epoch."""
        moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
        made = moment.isoformat(timespec="seconds")
        return cls(package_version(), MappingProxyType(dict(options)), data_fingerprint, seed, made)


@runtime_checkable
class Result(Protocol):
    """What every result answers. ``kind`` tells pages and pictures what they look at."""

    @property
    def kind(self) -> str:
        """A short word, such as ``sem`` or ``chain``; the title of a printed result is made of it."""

    def tidy(self) -> pd.DataFrame:
        """Long table with the columns of :data:`TIDY_COLUMNS`."""

    def glance(self) -> pd.DataFrame:
        """One row."""

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""


class Shown:
    """A result that prints as a page: what it is, its measures, its rows, its notes.

    For dataclasses with ``repr=False``. The tables of the result itself have all columns and all digits.
    """

    def __str__(self) -> str:
        result: Any = self
        title = _TITLES.get(result.kind, result.kind.replace("_", " ").capitalize())
        lines = [title, "", *_measures(result.glance()), ""]
        rows, most = self._rows_shown(), _ROWS_SHOWN.get(result.kind, _ROWS_ELSE)
        lines += printed(rows.head(most)).splitlines()
        kinds = _KINDS_SHOWN.get(result.kind)
        untold = 0 if kinds is None else int((~result.tidy()["kind"].isin(kinds)).sum())
        if more := max(len(rows) - most, 0) + untold:
            lines.append(f"... and {more} more in tidy()")
        for note in dict.fromkeys(result.notes()):
            lines += ["", *wrap(f"{note.severity}, {note.subject}: {note.text}", 100)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _rows_shown(self) -> pd.DataFrame:
        table: pd.DataFrame = self.tidy()  # type: ignore[attr-defined]
        table = table[table["kind"].isin(_KINDS_SHOWN.get(self.kind, set(table["kind"])))]  # type: ignore[attr-defined]
        table = table.assign(label=table["label"].astype(str).map(_clipped).where(table["kind"] != "total", ""))
        told = set(table["kind"]) <= _TOLD_BY_OPERATOR
        spare = [name for name in ("level", "group") if set(table[name]) <= {"", "1"}] + ["kind"] * told
        return table.drop(columns=spare).rename(columns=_SHORT)


_ROWS_SHOWN = {"sem": 200}
_ROWS_ELSE = 60
_LABEL = 60
_KINDS_SHOWN = {
    "study": ("alpha", "omega", "icc1_anova", "icc2_anova"), "chain": ("link", "total"), "evidence": ("grade",),
    "accounts": ("account", "unassigned", "control"),
}  # fmt: skip
_TITLES = {"sem": "Structural equation model", "htmt": "HTMT", "wald": "Wald test", "release": "Score tests"}
_TOLD_BY_OPERATOR = {"loading", "regression", "variance", "covariance", "intercept", "threshold", "scale", "defined"}
_SHORT = {
    "std_error": "error", "statistic": "stat", "p_value": "p", "conf_low": "low", "conf_high": "high", "std_all": "std"
}  # fmt: skip


def _clipped(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def printed(table: pd.DataFrame) -> str:
    """A table as text: three decimals, none for large numbers, no p value of zero, no columns that hold nothing.

    Examples
    --------
    >>> print(printed(pd.DataFrame({"lhs": ["a", "b"], "label": ["", ""], "estimate": [0.25, 3e5], "p": [0.0, None]})))
    lhs  estimate     p
      a     0.250 <.001
      b   300000
    """
    shown = {}
    for name, column in table.items():
        texts = [_cell(value, str(name) in ("p", "pvalue")) for value in column]
        if any(texts):
            shown[name] = texts
    lines = pd.DataFrame(shown).to_string(index=False).splitlines() if shown else []
    return "\n".join(map(str.rstrip, lines))


def _cell(value: Any, probability: bool) -> str:
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    if math.isnan(number):
        return ""
    if probability and number < 0.0005:
        return "<.001"
    if number == 0 or 0.0005 <= abs(number) < 1e5:
        return f"{number:.3f}"
    return f"{number:.0f}" if 1e5 <= abs(number) < 1e12 else f"{number:.3e}"


def _measures(row: pd.DataFrame) -> list[str]:
    found = {name: _cell(value, "pvalue" in str(name)) for name, (value,) in row.items()}
    joined = "; ".join(f"{name} {text}".replace(" ", "\N{NO-BREAK SPACE}") for name, text in found.items() if text)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrap(joined, 100)]


Columns = tuple[Any, npt.NDArray[np.intp]]


def assembled(blocks: Sequence[Columns], columns: pd.Index, rows: int) -> pd.DataFrame:
    """A table from blocks of columns, each of one type, without pandas' look at every column.

    Parameters
    ----------
    blocks : sequence of (array, positions)
        A (k, rows) array that nobody else holds, or an extension array of one column; and which columns these are.
    columns : Index
    rows : int

    Examples
    --------
    >>> assembled([(np.array([[0.5, 1.5]]), np.array([0]))], pd.Index(["x"]), 2)
         x
    0  0.5
    1  1.5
    """
    create, index = _block_builder(), _numbered(rows).view()
    if create is not None and all(array.ndim == 2 or isinstance(array.dtype, pd.StringDtype) for array, _ in blocks):
        return create(list(blocks), index=index, columns=columns.view())
    found: dict[int, Any] = {}
    for array, places in blocks:
        found |= dict(zip(places.tolist(), [array] if array.ndim == 1 else array, strict=True))
    return pd.DataFrame({name: found[i] for i, name in enumerate(columns)}, index=index)


_numbered = lru_cache(maxsize=64)(pd.RangeIndex)


@cache
def _block_builder() -> Callable[..., pd.DataFrame] | None:
    """What pandas 3 has for those who know their columns; None before."""
    try:
        from pandas.api.internals import create_dataframe_from_blocks  # type: ignore[import-not-found]
    except ImportError:
        return None
    found: Callable[..., pd.DataFrame] = create_dataframe_from_blocks
    return found


def tidy_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Build a tidy table: fixed columns, text where text, float where numeric.

    Examples
    --------
    >>> tidy_frame([{"lhs": "y", "op": "~", "rhs": "x", "estimate": 0.5}])[["lhs", "estimate", "p_value"]]
      lhs  estimate  p_value
    0   y       0.5      NaN
    """
    frame = pd.DataFrame(list(rows), columns=list(TIDY_COLUMNS))
    for column in TIDY_COLUMNS:
        if column in _TEXT:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
        else:
            frame[column] = frame[column].astype(float)
    return frame


@dataclass(frozen=True, eq=False)
class Estimates:
    """Point estimates with their joint uncertainty.

    Attributes
    ----------
    table : DataFrame
        :data:`TIDY_COLUMNS`; row i belongs to row and column i of ``vcov``.
    vcov : (k, k) array
        Sampling covariance of the estimates.
    level : float
        Level of the intervals.
    method : str
        How the uncertainty was had, in words a method section can use.
    """

    table: pd.DataFrame
    vcov: FloatArray
    level: float
    method: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "vcov", frozen_array(self.vcov))

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw ``n`` parameter vectors from their normal approximation, shape (n, k)."""
        return self.from_standard(rng.standard_normal((n, len(self.vcov))))

    def from_standard(self, standard: FloatArray) -> FloatArray:
        """Parameter vectors (n, k) from draws of independent standard variables, (n, k)."""
        mean = self.table["estimate"].to_numpy(dtype=float)
        return np.asarray(mean + with_covariance(standard, self.vcov))


@dataclass(frozen=True, eq=False)
class Replicates:
    """Estimates of resampled data.

    Attributes
    ----------
    values : (draws, k) array
        One row per draw that succeeded.
    names : tuple of str
        What the columns are.
    failures : mapping of str to int
        How many draws failed, by reason.
    seed : int
        Replicate i was drawn with ``SeedSequence(seed, spawn_key=(i,))``.
    """

    values: FloatArray
    names: tuple[str, ...]
    failures: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen_array(self.values))

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw ``n`` of the replicates: all of them in order when ``n`` is their number, else with replacement."""
        if n == len(self.values):
            return np.array(self.values)
        return np.array(self.values[rng.integers(len(self.values), size=n)])
