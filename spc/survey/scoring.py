"""From answers to scale scores: reverse keys, the rule for unanswered items, one score a person and construct."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from spc.errors import DataError, Finding
from spc.linalg import FloatArray
from spc.survey.codebook import Codebook, Construct

__all__ = ["keyed_items", "score", "score_counts", "score_table", "scoring_rule"]


def keyed_items(frame: pd.DataFrame, construct: Construct) -> pd.DataFrame:
    """Answers of a construct as floats, with the items that run backwards turned round.

    Parameters
    ----------
    frame : DataFrame
        One row a person; holds the items of the construct.
    construct : Construct

    Returns
    -------
    DataFrame
        Same index, the items in the order of the construct, missing answers as NaN.

    Raises
    ------
    DataError
        An item is absent, there twice, not numeric, infinite, or outside the scale; carries every finding.

    Examples
    --------
    >>> c = Construct("value", ["v1", "v2"], low=1, high=5, reverse=["v2"])
    >>> keyed_items(pd.DataFrame({"v1": [5, 4], "v2": [1, None]}), c)
        v1   v2
    0  5.0  5.0
    1  4.0  NaN
    """
    findings = [finding for item in construct.items for finding in _faults(frame, construct, item)]
    if findings:
        raise DataError(findings)
    values = frame[list(construct.items)].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    if construct.reverse and construct.low is not None and construct.high is not None:
        backwards = [construct.items.index(item) for item in construct.reverse]
        values[:, backwards] = construct.low + construct.high - values[:, backwards]
    return pd.DataFrame(values, index=frame.index, columns=list(construct.items))


def score(frame: pd.DataFrame, construct: Construct) -> pd.Series[float]:
    """Mean of the answered items, for each person who answered enough of them.

    The mean of the answered items stands for the whole scale (the person's own mean takes the place of what is
    missing); below ``construct.needed`` answers the score is missing.

    Parameters
    ----------
    frame : DataFrame
        One row a person.
    construct : Construct

    Returns
    -------
    Series
        Scores named after the construct, on the scale of its items, NaN where too few were answered.

    Raises
    ------
    DataError
        As :func:`keyed_items`.

    Examples
    --------
    >>> c = Construct("value", ["v1", "v2", "v3"], low=1, high=5)
    >>> score(pd.DataFrame({"v1": [5, 4], "v2": [4, None], "v3": [None, None]}), c).tolist()
    [4.5, nan]
    """
    values = keyed_items(frame, construct).to_numpy()
    return pd.Series(_person_means(values, construct.needed), index=frame.index, name=construct.name)


def score_table(
    frame: pd.DataFrame,
    constructs: Iterable[Construct] | Codebook,
    keep: Sequence[str] = ("respondent", "unit", "wave"),
) -> pd.DataFrame:
    """Scores of several constructs beside the columns that say whose they are.

    Parameters
    ----------
    frame : DataFrame
        One row a person.
    constructs : iterable of Construct
    keep : sequence of str
        Columns to carry over; those the frame does not have are passed over.

    Returns
    -------
    DataFrame
        Same index; the kept columns, then one column a construct.

    Raises
    ------
    DataError
        An item is absent or faulty, or two columns of the result would bear one name; carries every finding.

    Examples
    --------
    >>> people = pd.DataFrame({"respondent": ["a", "b"], "v1": [4, 2], "v2": [5, None]})
    >>> score_table(people, [Construct("value", ["v1", "v2"], low=1, high=5)])
      respondent  value
    0          a    4.5
    1          b    2.0
    """
    book = Codebook(constructs)
    kept = [column for column in keep if column in frame.columns]
    findings = [_taken(name) for name in book.names if name in kept]
    findings += [f for construct in book for item in construct.items for f in _faults(frame, construct, item)]
    if findings:
        raise DataError(dict.fromkeys(findings))
    return pd.concat([frame[kept], *(score(frame, construct) for construct in book)], axis=1)


def score_counts(frame: pd.DataFrame, constructs: Iterable[Construct] | Codebook) -> pd.DataFrame:
    """How many people got a score, and why the others did not.

    Returns
    -------
    DataFrame
        One row a construct: ``construct, people, scored, unscored, no_answer, too_few``; ``unscored`` is
        ``no_answer`` (no item answered) plus ``too_few`` (some, but fewer than the rule asks for).

    Examples
    --------
    >>> c = Construct("value", ["v1", "v2", "v3"], low=1, high=5)
    >>> score_counts(pd.DataFrame({"v1": [5, 4, None], "v2": [4, None, None], "v3": [None] * 3}), [c])
      construct  people  scored  unscored  no_answer  too_few
    0     value       3       1         2          1        1
    """
    rows = []
    for construct in Codebook(constructs):
        answered = keyed_items(frame, construct).notna().sum(axis=1).to_numpy()
        scored, none = int((answered >= construct.needed).sum()), int((answered == 0).sum())
        unscored = len(answered) - scored
        rows.append((construct.name, len(answered), scored, unscored, none, unscored - none))
    columns = ["construct", "people", "scored", "unscored", "no_answer", "too_few"]
    return pd.DataFrame(rows, columns=columns)


def scoring_rule(construct: Construct) -> str:
    """The scoring rule in words, for a method section.

    Examples
    --------
    >>> scoring_rule(Construct("value", ["v1", "v2", "v3"], low=1, high=5, reverse=["v3"]))
    'Mean of the answered items among v1, v2, v3 (1 to 5; v3 reversed as 6 minus the answer) when at least 2 of the 3
    are answered, else missing.'
    """
    low, high, k = construct.low, construct.high, len(construct.items)
    inside = []
    if low is not None and high is not None:
        inside.append(f"{low:g} to {high:g}")
        if construct.reverse:
            inside.append(f"{', '.join(construct.reverse)} reversed as {low + high:g} minus the answer")
    scale = f" ({'; '.join(inside)})" if inside else ""
    if k == 1:
        return f"The answer to the single item {construct.items[0]}{scale}, else missing."
    needed = "all" if construct.needed == k else f"at least {construct.needed} of the {k}"
    items = ", ".join(construct.items)
    return f"Mean of the answered items among {items}{scale} when {needed} are answered, else missing."


def _person_means(values: FloatArray, needed: int) -> FloatArray:
    answered = np.isfinite(values).sum(axis=1)
    total = np.where(np.isnan(values), 0.0, values).sum(axis=1)
    enough = answered >= needed
    return np.where(enough, total / np.where(enough, answered, 1), np.nan)


def _taken(name: str) -> Finding:
    found = f"a construct named like the kept column {name!r}"
    return Finding("constructs", name, "name_taken", found, "a name of its own", "Rename the construct.")


def _faults(frame: pd.DataFrame, construct: Construct, item: str) -> list[Finding]:
    table = construct.table or "data"

    def fault(rule: str, found: str, expected: str, hint: str, rows: int = 0) -> list[Finding]:
        return [Finding(table, item, rule, found, expected, hint, n_rows=rows)]

    if item not in frame.columns:
        names = [str(column) for column in frame.columns]
        near = [name for name in names if name.lower() == item.lower()] or get_close_matches(item, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Construct {construct.name} needs it."
        return fault("missing_column", "no such column", f"a column {item!r}", hint)
    column: pd.Series | pd.DataFrame = frame[item]
    if isinstance(column, pd.DataFrame):
        return fault("duplicate_column", f"{column.shape[1]} columns of this name", "one", "Rename.")
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
    if not numeric and column.notna().any():
        hint = "Convert the answers to numbers, for instance with pandas.to_numeric."
        return fault("not_numeric", f"values of type {column.dtype}", "numbers", hint)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        return fault(
            "infinite", "infinite values", "finite numbers", "Set them to missing.", int(np.isinf(values).sum())
        )
    low, high = construct.low, construct.high
    if low is None or high is None:
        return []
    outside = (values < low) | (values > high)
    if not outside.any():
        return []
    seen = ", ".join(f"{value:g}" for value in np.unique(values[outside])[:3])
    hint = "Declare codes that mean no answer as missing, or correct the scale."
    return fault("outside_scale", f"values such as {seen}", f"{low:g} to {high:g}", hint, int(outside.sum()))
