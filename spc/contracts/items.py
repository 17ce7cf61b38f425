"""Survey items against the codebook: scale, direction, blanks, straight lines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, did_you_mean, examples, make_finding
from spc.contracts.table import blank_cells, is_constant
from spc.contracts.values import numbers
from spc.errors import Finding

__all__ = ["check_items", "check_straight_lines"]

MANY_MISSING = 0.30
STRAIGHT_ITEMS = 8
STRAIGHT_SHARE = 0.10
DIRECTION_ROWS = 20_000
DIRECTION_LEAST_ROWS = 20
DIRECTION_WARNING, DIRECTION_ERROR = 0.10, 0.30


def check_items(
    frame: pd.DataFrame,
    *,
    table: str,
    items: Sequence[str],
    low: float | None = None,
    high: float | None = None,
    reverse: Collection[str] = (),
    line_offset: RowNumbers = 2,
    marks: Collection[str] = ("",),
) -> list[Finding]:
    """Find what is wrong with the items of one construct.

    An item's direction is judged on at most 20,000 evenly spaced rows: the items are given signs by the first
    eigenvector of their correlations, and an item whose sign contradicts the codebook is compared with the mean of the
    others, turned by those signs. Clear of chance (three standard errors) and beyond .10 it is a warning, beyond .30 an
    error.

    Parameters
    ----------
    frame : DataFrame
        Answers as read, before any is turned round.
    table : str
        What to call the table in findings.
    items : sequence of str
    low, high : float or None
        Ends of the scale; None for quantities, whose range and direction are not judged.
    reverse : collection of str
        Items declared as reversed.
    line_offset : int or array of int
        Line of the first row in the file, or the line of every row.
    marks : collection of str
        Texts that mean: no answer.

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> frame = pd.DataFrame({"q1": [1, 2, 9], "q2": ["4", "x", "5"]})
    >>> for finding in check_items(frame, table="staff", items=["q1", "q2", "q3"], low=1, high=5):
    ...     print(finding.rule, finding.column, finding.rows)
    missing_item q3 ()
    outside_scale q1 (4,)
    not_a_number q2 (3,)
    """
    findings = [_missing_item(name, frame, items, table) for name in items if name not in frame.columns]
    read: dict[str, pd.Series] = {}
    for name in items:
        if name in frame.columns and len(frame):
            values, bad = numbers(frame[name], marks)
            found = [*_answer_findings(frame[name], values, bad, table, name, low, high, line_offset)]
            findings += found
            if not {f.rule for f in found} & {"empty_item", "constant_item"}:
                read[name] = values
    if low is not None and high is not None:
        findings += _directions(read, reverse, low, high, table)
    return findings


def _missing_item(name: str, frame: pd.DataFrame, items: Sequence[str], table: str) -> Finding:
    spare = [str(column) for column in frame.columns if column not in items]
    hint = f"{did_you_mean(name, spare)}Correct the heading, or the item in the study document."
    return make_finding("missing_item", table, name, "no such column", f"the item {name!r} of the codebook", hint)


def _answer_findings(
    column: pd.Series,
    values: pd.Series,
    bad: npt.NDArray[np.bool_],
    table: str,
    name: str,
    low: float | None,
    high: float | None,
    line_offset: RowNumbers,
) -> Iterator[Finding]:
    if blank_cells(column).all():
        yield make_finding(
            "empty_item",
            table,
            name,
            "no answer in any row",
            "answers",
            "Check the export, or take the item out of the codebook.",
        )
        return
    if bad.any():
        yield make_finding(
            "not_a_number",
            table,
            name,
            examples(column[bad].head(1000)),
            "numbers",
            _on_texts(low),
            mask=bad,
            line_offset=line_offset,
        )
    outside = _outside(values, low, high)
    if outside is not None:
        yield _outside_finding(values, outside, table, name, low, high, line_offset)
    if is_constant(values) and len(values) > 1 and not bad.any():
        yield make_finding(
            "constant_item",
            table,
            name,
            f"{examples([values.dropna().iloc[0]])} in every row",
            "answers that differ",
            "An item without variance says nothing; take it out of the codebook or check the export.",
        )
    missing = float((values.isna().to_numpy() & ~bad).mean())
    if missing > MANY_MISSING:
        yield make_finding(
            "many_missing",
            table,
            name,
            f"{missing:.0%} of the answers missing",
            f"at most {MANY_MISSING:.0%}",
            "Say in the report why; was the question only put to some?",
            severity="warning",
        )


def _on_texts(low: float | None) -> str:
    if low is None:
        return "Write plain numbers, without % or currency; list codes for missing ones under `missing`."
    return "Export codes instead of answer texts; list codes for no answer under `missing`."


def _outside(values: pd.Series, low: float | None, high: float | None) -> npt.NDArray[np.bool_] | None:
    """Cells beyond the scale, or infinite; None where there are none."""
    least, most = values.min(), values.max()
    floor, ceiling = (-np.inf if low is None else low), (np.inf if high is None else high)
    infinite = values.dtype.kind == "f" and bool(np.isinf([least, most]).any())
    if not infinite and not least < floor and not most > ceiling:
        return None
    cells = values.to_numpy()
    with np.errstate(invalid="ignore"):
        return np.asarray((cells < floor) | (cells > ceiling) | np.isinf(cells.astype(float)))


def _outside_finding(
    values: pd.Series,
    outside: npt.NDArray[np.bool_],
    table: str,
    name: str,
    low: float | None,
    high: float | None,
    line_offset: RowNumbers,
) -> Finding:
    wrong = pd.unique(values[outside])
    expected = "finite numbers" if low is None else f"answers from {low:g} to {high:g}"
    hint = "Correct the answers, or the scale in the study document."
    if len(wrong) == 1 and np.isfinite(wrong[0]):
        hint = f"If {wrong[0]:g} means no answer, add it to `missing`; else correct the answers or the scale."
    return make_finding(
        "outside_scale", table, name, examples(wrong[:1000]), expected, hint, mask=outside, line_offset=line_offset
    )


def _directions(
    read: dict[str, pd.Series], reverse: Collection[str], low: float, high: float, table: str
) -> Iterator[Finding]:
    names = list(read)
    if len(names) < 2:
        return
    step = max(1, -(-len(read[names[0]]) // DIRECTION_ROWS))
    answers = np.column_stack([read[name].to_numpy()[::step].astype(float) for name in names])
    answers = answers[((answers >= low) & (answers <= high)).all(axis=1)]
    if len(answers) < DIRECTION_LEAST_ROWS or (answers.std(axis=0) == 0).any():
        return
    declared = np.array([-1.0 if name in reverse else 1.0 for name in names])
    signs = _empirical_signs(answers, declared)
    for place in np.flatnonzero(signs != declared):
        others = np.delete(answers * signs, place, axis=1).mean(axis=1)
        r = float(np.corrcoef(answers[:, place], others)[0, 1])
        if abs(r) > max(DIRECTION_WARNING, 3 / np.sqrt(len(answers))):
            yield _direction_finding(names[place], r, declared=bool(declared[place] < 0), table=table)


def _empirical_signs(answers: npt.NDArray[np.float64], declared: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Signs of the first eigenvector of the correlations, turned so that most of them agree with the declared ones.

    In a tie the items that are not declared as reversed are believed.
    """
    vector = np.linalg.eigh(np.corrcoef(answers, rowvar=False))[1][:, -1]
    signs = np.where(vector < 0, -1.0, 1.0)
    agreement = [(int((s == declared).sum()), int((s[declared > 0] > 0).sum()), s[0]) for s in (signs, -signs)]
    return signs if agreement[0] >= agreement[1] else -signs


def _direction_finding(name: str, r: float, *, declared: bool, table: str) -> Finding:
    found = f"a correlation of {r:+.2f} with the other items as they stand in the file".replace("-", "−")
    if declared:
        rule, expected = "unreversed_item", "a negative one, since the codebook declares the item as reversed"
        hint = "If the file holds answers already turned round, take the item out of `reverse`."
    else:
        rule, expected = (
            "undeclared_reverse",
            "a positive one, since the codebook does not declare the item as reversed",
        )
        hint = "If the question is worded the other way round, add the item to `reverse`."
    severity = "error" if abs(r) > DIRECTION_ERROR else "warning"
    return make_finding(rule, table, name, found, expected, hint, severity=severity)  # type: ignore[arg-type]


def check_straight_lines(frame: pd.DataFrame, *, table: str, items: Sequence[str]) -> list[Finding]:
    """Warn when many respondents gave one and the same answer to all of at least eight items.

    Parameters
    ----------
    frame : DataFrame
        Answers as read.
    table : str
    items : sequence of str
        All items of the table that share one scale.

    Examples
    --------
    >>> frame = pd.DataFrame({f"q{i}": [3, 3, i % 5] for i in range(8)})
    >>> check_straight_lines(frame, table="staff", items=list(frame))[0].found
    '67% of the respondents gave the same answer to all 8 items'
    """
    columns = [numbers(frame[name])[0].to_numpy() for name in items if name in frame.columns]
    if len(columns) < STRAIGHT_ITEMS or not len(frame):
        return []
    straight = np.ones(len(frame), dtype=bool)
    for column in columns[1:]:
        straight &= column == columns[0]
    share = float(straight.mean())
    if share <= STRAIGHT_SHARE:
        return []
    found = f"{share:.0%} of the respondents gave the same answer to all {len(columns)} items"
    hint = (
        "They may not have read the questions; look at reversed items and answering times before trusting the scales."
    )
    expected = f"at most {STRAIGHT_SHARE:.0%}"
    return [make_finding("straight_lines", table, None, found, expected, hint, severity="warning")]
