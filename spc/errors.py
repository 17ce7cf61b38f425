"""One tree of errors, one of warnings, and the findings that a data error carries.

Every message says what was found, what was expected and what to do. ``exit_code`` is what the command line
returns for the error: 2 usage, 3 data, 4 model, 5 estimation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = [
    "DataError",
    "DroppedRowsWarning",
    "EstimationError",
    "ExtrapolationWarning",
    "Finding",
    "ImproperSolutionWarning",
    "MissingExtraError",
    "NonConvergenceError",
    "NotIdentifiedError",
    "NotPositiveDefiniteError",
    "SingularInformationError",
    "SmallSampleWarning",
    "SpcError",
    "SpcWarning",
    "SpecError",
    "UnsupportedError",
    "UsageError",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or odd, about given data.

    Attributes
    ----------
    table : str
        Table (or document) the finding is about.
    column : str or None
        Column (or key of a document); None when it concerns the whole table.
    rule : str
        Short code of the rule, for instance ``"outside_scale"``.
    found, expected, hint : str
        What was there, what should be, and what to do about it.
    rows : tuple of int
        Line numbers as an editor shows the file (the header is line 1), at most the first few.
    n_rows : int
        How many rows are concerned in all.
    severity : {"error", "warning"}
        An error stops a study; a warning is shown and becomes a note.
    """

    table: str
    column: str | None
    rule: str
    found: str
    expected: str
    hint: str
    rows: tuple[int, ...] = ()
    n_rows: int = 0
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = self.table if self.column is None else f"{self.table}.{self.column}"
        rows = ""
        if self.rows:
            shown = ", ".join(map(str, self.rows))
            more = self.n_rows - len(self.rows)
            rows = f" (line{'s' if self.n_rows > 1 else ''} {shown}{f' and {more} more' if more > 0 else ''})"
        return f"{place}: {self.found}{rows}; expected {self.expected}. {self.hint}"


class SpcError(Exception):
    """Any fault this package reports; its own faults are plain exceptions."""

    exit_code: ClassVar[int] = 1


class UsageError(SpcError):
    """A call or command that cannot be carried out as given."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{purpose} needs {package}, which is not installed. "
            f"Install it with: pip install 'service-profit-chain[{extra}]'"
        )


class UnsupportedError(UsageError):
    """A combination of options without a method; the message says which work."""


class DataError(SpcError):
    """Data or a document break their contract; carries every finding.

    Parameters
    ----------
    findings : iterable of Finding
        All of them, warnings included.
    """

    exit_code = 3

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        wrong = [f for f in self.findings if f.severity == "error"]
        lines = "\n".join(f"  - {finding}" for finding in wrong)
        super().__init__(f"{len(wrong)} thing{'s' if len(wrong) != 1 else ''} to put right:\n{lines}")

    @classmethod
    def of(cls, table: str, column: str | None, rule: str, found: str, expected: str, hint: str) -> DataError:
        """Build an error of a single finding."""
        return cls([Finding(table, column, rule, found, expected, hint)])


class SpecError(SpcError):
    """A model text cannot be read; carries where.

    Parameters
    ----------
    message : str
        What was found, what was expected, what to do.
    line, column : int, optional
        1-based place in the model text.
    text : str, optional
        The model text, to show the line with a caret.
    """

    exit_code = 4

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None, text: str = "") -> None:
        self.line, self.column = line, column
        where = "" if line is None else f"line {line}, column {column}: "
        lines = text.splitlines()
        if line is not None and column is not None and line <= len(lines):
            message = f"{message}\n    {lines[line - 1]}\n    {' ' * (column - 1)}^"
        super().__init__(where + message)


class NotIdentifiedError(SpecError):
    """The model has parameters that no data could tell apart.

    Parameters
    ----------
    message : str
        What was found and what to do.
    parameters : sequence of str
        Names of the parameters involved, such as ``"visual=~x2"``.
    """

    def __init__(self, message: str, parameters: Sequence[str] = ()) -> None:
        self.parameters = tuple(parameters)
        super().__init__(message)


class EstimationError(SpcError):
    """A fit could not be brought to an end; carries the partial solution.

    Parameters
    ----------
    message : str
        What was found and what to do.
    solution : object, optional
        The ``Solution`` reached so far.
    parameters : sequence of str
        Names of the parameters involved.
    """

    exit_code = 5

    def __init__(self, message: str, solution: Any = None, parameters: Sequence[str] = ()) -> None:
        self.solution = solution
        self.parameters = tuple(parameters)
        super().__init__(message)


class NonConvergenceError(EstimationError):
    """The optimiser stopped before the gradient was zero."""


class NotPositiveDefiniteError(EstimationError):
    """A covariance matrix has no inverse, or a variance is negative where it must not be."""


class SingularInformationError(EstimationError):
    """The information matrix has no inverse, so there are no standard errors."""


class SpcWarning(UserWarning):
    """Any warning of this package."""


class ImproperSolutionWarning(SpcWarning):
    """Estimates outside their range: negative variances, correlations beyond one."""


class SmallSampleWarning(SpcWarning):
    """So few rows or units that large-sample results are doubtful."""


class DroppedRowsWarning(SpcWarning):
    """Rows were left out of an analysis."""


class ExtrapolationWarning(SpcWarning):
    """A result reaches past the observed range."""
