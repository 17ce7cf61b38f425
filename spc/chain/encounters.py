"""A chain whose meeting point is the employee: customers meet several, and each answers the survey once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pandas as pd

from spc.chain.membership import AssignmentWeights, assignment_weights
from spc.chain.two_sided import fit_two_sided
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import DataError, UsageError
from spc.results import Note
from spc.spec import model as read_model
from spc.words import phrase

__all__ = ["fit_encounters"]

EMPLOYEE = "employee"


def fit_encounters(
    text: str,
    *,
    employees: pd.DataFrame,
    customers: pd.DataFrame,
    assignments: pd.DataFrame | AssignmentWeights,
    reliability: Mapping[str, float],
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 1,
    boundary: bool = True,
    negative: Collection[tuple[str, str]] = (),
) -> TwoSidedFit:
    """Fit a chain in which employees, not units, differ, and customers are served by one or several of them.

    What a customer says is the sum of what its employees bring about, by their shares, and what is its own (multiple
    membership). An employee answers once, so nothing tells the error of the answer from the employee: the error
    variance of each score is taken as known, ``(1 - reliability)`` times the variance of the scores, and links are
    corrected for it.

    Parameters
    ----------
    text : str
        Links among constructs of employees and customers as lavaan regressions.
    employees : DataFrame
        One row an employee: ``respondent`` and a score a construct; holes allowed. Outcomes of employees, such as
        sales, may stand beside them.
    customers : DataFrame
        One row an answer: ``customer`` and a score a construct.
    assignments : DataFrame or AssignmentWeights
        Who serves whom, with a column ``respondent`` (:func:`spc.assignment_weights`, ``target="respondent"``).
    reliability : mapping of str to float
        Of the scores of employees, such as their alpha; what is not named counts as free of error.
    level, draws, seed, boundary, negative
        As for :func:`spc.fit_two_sided`.

    Returns
    -------
    TwoSidedFit
        Its units are employees; ``loading`` rows tie each construct to its score.

    Raises
    ------
    DataError
        A column is absent, an employee is there twice, or the tables share no employee.
    UsageError
        A reliability that is not between 0 and 1, or is of no construct of employees.
    SpecError, EstimationError

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> mood = rng.normal(size=90)
    >>> staff = pd.DataFrame({"respondent": range(90), "mood": mood + rng.normal(0, 0.5, 90)})
    >>> rows = pd.DataFrame({"customer": np.repeat(range(900), 2), "respondent": rng.integers(0, 90, 1800)})
    >>> part = mood[rows["respondent"]].reshape(900, 2).mean(axis=1)
    >>> guests = pd.DataFrame({"customer": range(900), "value": 0.5 * part + rng.normal(size=900)})
    >>> fit = fit_encounters("value ~ mood", employees=staff, customers=guests, assignments=rows, draws=200,
    ...                      reliability={"mood": 0.8})
    >>> fit.tidy().loc[0, ["lhs", "rhs", "kind", "label"]].tolist()
    ['value', 'mood', 'link', 'holds']
    """
    weights = _weights(assignments)
    staff = _staff(employees)
    names = [name for name in read_model(text, fixed_x=False).observed if name in staff]
    known = _reliabilities(reliability, names)
    scores = {name: f"{name}_score" for name in known}
    taken = [score for score in scores.values() if score in staff or score in customers]
    if taken:
        raise DataError.of(EMPLOYEE, taken[0], "name_clash", f"a column {taken[0]!r}", "that name for the score",
                           "Rename the column.")  # fmt: skip
    lines = [text, *(_measured(name, scores[name], staff[name], value) for name, value in known.items())]
    wanted = [name for name in read_model(text, fixed_x=False).observed if name in customers]
    fit = fit_two_sided(
        "\n".join(lines),
        sides={"customer": customers[["customer", *wanted]]},
        units=staff[[EMPLOYEE, *names]].rename(columns=scores),
        unit=EMPLOYEE, level=level, draws=draws, seed=seed, boundary=boundary, assignments={"customer": weights},
        negative=negative,
    )  # fmt: skip
    return replace(fit, messages=(*_notes(known, names), *fit.messages))


def _weights(assignments: pd.DataFrame | AssignmentWeights) -> AssignmentWeights:
    found = (
        assignments
        if isinstance(assignments, AssignmentWeights)
        else assignment_weights(assignments, target="respondent")
    )
    if found.target != "respondent":
        raise UsageError('The assignments are those of units; make them with assignment_weights(target="respondent").')
    return found


def _staff(employees: pd.DataFrame) -> pd.DataFrame:
    if "respondent" not in employees:
        raise DataError.of("employees", "respondent", "missing_column", "no such column", "the code of each employee",
                           "Assignments name employees by it.")  # fmt: skip
    twice = employees["respondent"].dropna()[lambda codes: codes.duplicated()]
    if len(twice):
        raise DataError.of("employees", "respondent", "duplicate_key", f"{len(twice)} rows of an employee who is there "
                           "before", "one row an employee", "Keep one wave.")  # fmt: skip
    return employees.rename(columns={"respondent": EMPLOYEE})


def _reliabilities(reliability: Mapping[str, float], names: list[str]) -> dict[str, float]:
    for name, value in reliability.items():
        if name not in names:
            raise UsageError(f"reliability of {name!r}, which is no construct of employees; these are "
                             f"{', '.join(names) or 'none'}.")  # fmt: skip
        if not 0.0 < value <= 1.0:
            raise UsageError(f"The reliability of {name} is {value}; give a share above 0 and up to 1.")
    return {name: float(value) for name, value in reliability.items() if value < 1.0}


def _measured(name: str, score: str, values: pd.Series, reliability: float) -> str:
    """The construct behind its score, whose error variance is known."""
    error = (1.0 - reliability) * float(values.var())
    return f"`{name}` =~ 1*`{score}`\n`{score}` ~~ {error!r}*`{score}`"


def _notes(known: Mapping[str, float], names: list[str]) -> list[Note]:
    told = [phrase("note.named_value", name=name, value=value) for name, value in known.items()]
    notes = [Note.of("meet_employee", "warning", EMPLOYEE)]
    if known:
        notes.append(Note.of("known_error", "info", EMPLOYEE, reliabilities=told))
    exact = [name for name in names if name not in known]
    if exact:
        notes.append(Note.of("no_known_error", "warning", EMPLOYEE, names=exact))
    return notes
