"""One table against its schema: columns, types, limits, keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.compiled import limit_findings
from spc.contracts.rules import RowNumbers, did_you_mean, examples, make_finding, nearest_name
from spc.contracts.schema import Field, TableSchema
from spc.contracts.values import coerce, is_text
from spc.errors import Finding

__all__ = ["check_table"]

_TYPE_WORDS = {
    "integer": ("whole numbers", "Write 3, not 'three' or 3.5; list codes for no answer under `missing`."),
    "number": ("numbers", "Write 1234.5 without currency or unit; list codes for no answer under `missing`."),
    "boolean": ("yes/no, true/false or 1/0", "Use one of these spellings in every row."),
    "date": ("dates written 2026-01-31", "Write year, month and day in this order, so that no date has two readings."),
}


def check_table(
    frame: pd.DataFrame,
    schema: TableSchema,
    *,
    table: str,
    line_offset: RowNumbers = 2,
    items: Collection[str] = (),
) -> list[Finding]:
    """Find everything in which a table departs from its schema.

    Parameters
    ----------
    frame : DataFrame
        With canonical column names.
    schema : TableSchema
    table : str
        What to call the table in findings.
    line_offset : int or array of int
        Line of the first row in the file, or the line of every row.
    items : collection of str
        Columns that the codebook names; :func:`check_items` looks at their values.

    Returns
    -------
    list of Finding
        Columns first, then values, then keys. Empty when all is well.

    Examples
    --------
    >>> from spc.contracts import load_schema
    >>> frame = pd.DataFrame({"custmer": ["a", "b"], "tenure": [3, -1], "churned": ["yes", "no"]})
    >>> for finding in check_table(frame, load_schema("customers"), table="customers"):
    ...     print(finding.rule, finding.column, finding.rows)
    missing_column customer ()
    below_minimum tenure (3,)
    """
    findings = [*_column_findings(frame, schema, table, items)]
    if frame.empty:
        return [*findings, make_finding("no_rows", table, None, "no rows", "at least one row", "Check the export.")]
    typed: dict[str, pd.Series] = {}
    unread: dict[str, npt.NDArray[np.bool_]] = {}
    for field in schema.fields:
        if field.name in frame.columns:
            typed[field.name], bad = coerce(frame[field.name], field, schema.missing_values)
            if bad.any():
                unread[field.name] = bad
                findings.append(_type_finding(frame[field.name], field, bad, table, line_offset))
    known = pd.DataFrame(typed).reset_index(drop=True)
    findings += limit_findings(known, schema, table, line_offset, unread)
    findings += _order_findings(known, schema, table, line_offset)
    findings += _blank_ids(known, schema, table, line_offset)
    findings += _duplicates(known, schema, table, line_offset)
    findings += _idle_columns(frame, known, schema, table, items)
    return findings


def _column_findings(frame: pd.DataFrame, schema: TableSchema, table: str, items: Collection[str]) -> Iterator[Finding]:
    present = [str(name) for name in frame.columns]
    spare = [name for name in present if name not in schema.names and name not in items]
    absent = [name for name in schema.names if name not in present]
    named = set()
    for name in absent:
        near = nearest_name(name, spare, 0.8 if len(name) > 4 else 0.75)
        if name in schema.required or name in schema.recommended:
            yield _absent_column(name, near, spare, schema, table)
            named.add(near)
        elif near is not None and near not in named:
            yield make_finding(
                "misspelled_column",
                table,
                near,
                f"column {near!r}, and no column {name!r}",
                f"the heading {name!r} if that is what it is",
                f"Rename it, or write columns = {{ {name} = {near!r} }} in the study document.",
                severity="warning",
            )
            named.add(near)
    if not schema.complete(present):
        sets = " or ".join(" with ".join(names) for names in schema.one_of)
        near = "".join(did_you_mean(n, spare) for names in schema.one_of for n in names if n not in present)
        yield make_finding(
            "incomplete_set", table, None, f"columns {', '.join(present)}", sets, f"{near}Name them under `columns`."
        )


def _absent_column(name: str, near: str | None, spare: list[str], schema: TableSchema, table: str) -> Finding:
    usual = {s.casefold() for s in schema.synonyms.get(name, ())}
    guess = near or next((column for column in spare if column.casefold() in usual), None)
    found = "no such column" + ("" if guess is None else f", but one called {guess!r}")
    hint = f"Name it in the study document: columns = {{ {name} = {guess or 'heading in the file'!r} }}."
    title = schema.field(name).title.lower()
    if name in schema.required:
        return make_finding("missing_column", table, name, found, f"a column for the {title}", hint)
    expected = f"a column for the {title}, so that repeated rows and repeated people can be seen"
    return make_finding("recommended_column", table, name, found, expected, hint, severity="warning")


def _type_finding(
    column: pd.Series, field: Field, bad: npt.NDArray[np.bool_], table: str, line_offset: RowNumbers
) -> Finding:
    expected, hint = _TYPE_WORDS[field.type]
    shown = examples(column[bad].head(1000))
    return make_finding("wrong_type", table, field.name, f"{shown}", expected, hint, mask=bad, line_offset=line_offset)


def _order_findings(frame: pd.DataFrame, schema: TableSchema, table: str, line_offset: RowNumbers) -> Iterator[Finding]:
    for first, second in schema.ordered:
        if first in frame.columns and second in frame.columns:
            mask = (frame[first] > frame[second]).to_numpy(dtype=bool)
            if mask.any():
                yield make_finding(
                    "wrong_order",
                    table,
                    second,
                    f"{second} before {first}",
                    f"{first} on or before {second}",
                    "Correct the dates, or swap the columns.",
                    mask=mask,
                    line_offset=line_offset,
                )


def _blank_ids(frame: pd.DataFrame, schema: TableSchema, table: str, line_offset: RowNumbers) -> Iterator[Finding]:
    for name in schema.primary_key[:1]:
        if name not in frame.columns:
            continue
        mask = blank_cells(frame[name])
        if mask.any():
            yield make_finding(
                "blank_id",
                table,
                name,
                "blank cells",
                f"a code for the {schema.field(name).title.lower()} in every row",
                "Fill in the code or remove the rows.",
                mask=mask,
                line_offset=line_offset,
                severity="error" if name in schema.required else "warning",
            )


def blank_cells(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Cells that are missing, or text of nothing but spaces."""
    blank = column.isna().to_numpy()
    if not is_text(column):
        return blank
    codes, values = pd.factorize(column)
    empty = np.array([isinstance(value, str) and not value.strip() for value in values], dtype=bool)
    return blank | np.append(empty, False)[codes] if empty.any() else blank


def _on_repeats(key: str, schema: TableSchema) -> str:
    if key != "unit":
        again = f'if numbering starts again in each unit, write columns = {{ {key} = ["unit column", "{key} column"] }}'
        return f"Remove the repeated rows; {again}."
    waves = " or, if the rows are of several waves, name the wave column" if "wave" in schema.names else ""
    return f"Remove the repeated rows{waves}."


def _duplicates(frame: pd.DataFrame, schema: TableSchema, table: str, line_offset: RowNumbers) -> Iterator[Finding]:
    keys = [name for name in schema.primary_key if name in frame.columns]
    if not keys or keys[0] != schema.primary_key[0]:
        return
    repeated = frame.duplicated(keys, keep=False).to_numpy()
    if not repeated.any():
        return
    repeated = repeated & ~blank_cells(frame[keys[0]])
    if repeated.any():
        rows = frame.loc[repeated, keys].drop_duplicates().head(4)
        shown = examples([" / ".join(_shown(value) for value in row) for row in rows.itertuples(index=False)])
        yield make_finding(
            "duplicate_key",
            table,
            keys[0],
            f"{shown} more than once",
            f"one row for each {' and '.join(keys)}",
            _on_repeats(keys[0], schema),
            mask=repeated,
            line_offset=line_offset,
        )


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _idle_columns(
    frame: pd.DataFrame, known: pd.DataFrame, schema: TableSchema, table: str, items: Collection[str]
) -> Iterator[Finding]:
    measures = {f.name for f in schema.fields if f.type in ("number", "integer", "boolean")}
    for name in map(str, frame.columns):
        if name in items:
            continue
        column = known[name] if name in known.columns else frame[name].reset_index(drop=True)
        required = name in schema.required
        if blank_cells(column).all():
            if not blank_cells(frame[name]).all():
                continue  # what stands there was found to be of another type
            yield make_finding(
                "empty_column",
                table,
                name,
                "no value in any row",
                "values, or no such column",
                "Fill it or leave the column out.",
                severity="error" if required else "warning",
            )
        elif len(column) > 1 and (name in measures or name not in schema.names) and is_constant(column):
            yield make_finding(
                "constant_column",
                table,
                name,
                f"{examples([column.dropna().iloc[0]])} in every row",
                "values that differ",
                "Nothing can be learnt from it; check the export.",
                severity="warning",
            )


def is_constant(column: pd.Series) -> bool:
    """Whether all present values are the same; False where there are none.

    Examples
    --------
    >>> is_constant(pd.Series([3.0, None, 3.0])), is_constant(pd.Series([1, 2]))
    (True, False)
    """
    present = column.notna().to_numpy()
    if not present.any():
        return False
    value = column.iloc[int(present.argmax())]
    for part in (slice(100), slice(None)):  # a look at the head settles nearly all
        if ((column.iloc[part] != value).fillna(False).to_numpy(dtype=bool) & present[part]).any():
            return False
    return True
