"""Respondents in their units, and units in their waves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations, pairwise
from types import MappingProxyType

import numpy as np
import pandas as pd

from spc.contracts.rules import RowNumbers, examples, make_finding
from spc.contracts.values import key_text
from spc.errors import Finding

__all__ = ["check_units", "check_waves"]

FEW_UNITS = 10
Waves = list[int | float | str]


def check_units(
    frame: pd.DataFrame, *, table: str, minimum_group: int = 5, line_offset: RowNumbers = 2
) -> list[Finding]:
    """Find respondents without a unit and units with too few respondents.

    Parameters
    ----------
    frame : DataFrame
        Responses with a ``unit`` column, and ``wave`` where there are several; without ``unit`` nothing is found.
    table : str
        What to call the table in findings.
    minimum_group : int
        Fewest respondents of a unit and wave whose scores may be shown.
    line_offset : int or array of int
        Line of the first row in the file, or the line of every row.

    Examples
    --------
    >>> frame = pd.DataFrame({"unit": ["A"] * 6 + ["B", None]})
    >>> for finding in check_units(frame, table="staff"):
    ...     print(finding.rule, finding.found, finding.rows)
    no_unit 1 of 8 respondents (12%) (9,)
    small_unit 1 of 2 units: 'B' ()
    few_units 2 units ()
    """
    if "unit" not in frame.columns or frame.empty:
        return []
    units = key_text(frame["unit"])
    return [*_unit_findings(units, frame, table, minimum_group, line_offset)]


def _unit_findings(
    units: pd.Series, frame: pd.DataFrame, table: str, minimum_group: int, line_offset: RowNumbers
) -> Iterator[Finding]:
    homeless = units.isna().to_numpy()
    if homeless.any():
        yield make_finding(
            "no_unit",
            table,
            "unit",
            f"{homeless.sum()} of {len(units)} respondents ({homeless.mean():.0%})",
            "a unit for every respondent",
            "They are left out of all links between units; fill in the unit if it is known.",
            mask=homeless,
            line_offset=line_offset,
            severity="error" if homeless.all() else "warning",
        )
    if homeless.all():
        return
    by = [units] if "wave" not in frame.columns else [units, frame["wave"]]
    sizes = units.groupby(by, sort=False, observed=True).size()
    small = sizes[sizes < minimum_group]
    if len(small):
        what = "units" if len(by) == 1 else "units and waves"
        names = [" / ".join(map(str, name)) if isinstance(name, tuple) else name for name in small.index[:10]]
        yield make_finding(
            "small_unit",
            table,
            "unit",
            f"{len(small)} of {len(sizes)} {what}: {examples(names)}",
            f"at least {minimum_group} respondents in each",
            "Their scores are not shown; merge them with a neighbour or collect more answers.",
            severity="warning",
        )
    many = units.nunique()
    if many < FEW_UNITS:
        yield make_finding(
            "few_units",
            table,
            "unit",
            f"{many} unit{'s' if many > 1 else ''}",
            f"at least {FEW_UNITS}",
            'Links between units cannot be estimated from so few; study persons instead (level = "person").',
            severity="warning",
        )


def check_waves(
    tables: Mapping[str, pd.DataFrame],
    *,
    lagged: bool = False,
    line_offsets: Mapping[str, RowNumbers] = MappingProxyType({}),
) -> list[Finding]:
    """Find gaps in the waves, waves written in different ways, and sides that share no wave or no unit.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Tables with ``wave`` columns by canonical name; those without one are not judged.
    lagged : bool
        Whether the links of the study run between waves, so that sides need not share one.
    line_offsets : mapping of str to int or array of int
        Line of the first row in each file, or the line of every row; 2 where absent.

    Examples
    --------
    >>> frame = pd.DataFrame({"unit": ["A", "A", "B", "B", "B"], "wave": [1, 3, 1, 2, 3]})
    >>> for finding in check_waves({"employee_responses": frame}):
    ...     print(finding.rule, finding.table, finding.found)
    wave_gap employee_responses 1 of 2 units: 'A' lacks 2
    """
    shown = {name: frame for name, frame in tables.items() if name.endswith("_responses") or name == "units"}
    waves = {name: _waves(frame["wave"]) for name, frame in shown.items() if "wave" in frame.columns and len(frame)}
    findings = [f for name in waves for f in _gaps(tables[name], waves[name], name, line_offsets.get(name, 2))]
    for (one, first), (other, second) in combinations(waves.items(), 2):
        findings += _pair_findings(one, first, other, second, lagged=lagged)
    return findings + _common_units(tables)


def _waves(column: pd.Series) -> Waves:
    """Waves in order: numbers where all are, else text."""
    unique = column.dropna().unique()
    texts = [text for text in key_text(pd.Series(unique, dtype=object)) if isinstance(text, str)]
    values = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
    if values.isna().any():
        return sorted(set(texts))
    return [int(v) if float(v).is_integer() else float(v) for v in sorted(set(values))]


def _gaps(frame: pd.DataFrame, waves: Waves, table: str, line_offset: RowNumbers) -> Iterator[Finding]:
    blank = frame["wave"].isna().to_numpy()
    if blank.any():
        yield make_finding(
            "wave_gap",
            table,
            "wave",
            f"{blank.sum()} rows without a wave",
            "a wave in every row",
            "Fill it in, or leave the column out when there is only one wave.",
            mask=blank,
            line_offset=line_offset,
        )
    whole = [wave for wave in waves if isinstance(wave, int)]
    absent = _holes(whole) if len(whole) == len(waves) else []
    if absent:
        yield make_finding(
            "wave_gap",
            table,
            "wave",
            f"waves {', '.join(map(str, waves))}",
            f"{', '.join(map(str, absent[:5]))} as well",
            "If that survey took place, add its rows; lagged links step over the gap.",
            severity="warning",
        )
    if "unit" in frame.columns and len(waves) > 2:
        yield from _unit_gaps(frame, waves, table)


def _holes(waves: list[int]) -> list[int]:
    if len(waves) < 2:
        return []
    step = min(b - a for a, b in pairwise(waves))
    if (waves[-1] - waves[0]) // step > 1000:
        return []
    return sorted(set(range(waves[0], waves[-1] + 1, step)) - set(waves))


def _unit_gaps(frame: pd.DataFrame, waves: Waves, table: str) -> Iterator[Finding]:
    pairs = pd.DataFrame({"unit": frame["unit"], "wave": frame["wave"]}).drop_duplicates().dropna()
    unit_codes, units = pd.factorize(key_text(pairs["unit"]))
    order = {str(wave): place for place, wave in enumerate(waves)}
    places = [order.get(str(_waves(pd.Series([wave]))[0]), -1) for wave in pairs["wave"].unique()]
    wave_codes = np.array(places)[pd.factorize(pairs["wave"])[0]]
    present = np.zeros((len(units), len(waves)), dtype=bool)
    usable = (unit_codes >= 0) & (wave_codes >= 0)
    present[unit_codes[usable], wave_codes[usable]] = True
    begun = np.logical_or.accumulate(present, axis=1)
    not_over = np.logical_or.accumulate(present[:, ::-1], axis=1)[:, ::-1]
    holes = begun & not_over & ~present
    broken = np.flatnonzero(holes.any(axis=1))
    if broken.size:
        lacks = ", ".join(str(waves[place]) for place in np.flatnonzero(holes[broken[0]]))
        more = f"; also {examples(units[broken[1:11]])}" if broken.size > 1 else ""
        yield make_finding(
            "wave_gap",
            table,
            "wave",
            f"{broken.size} of {len(units)} units: {units[broken[0]]!r} lacks {lacks}{more}",
            "every wave between the first and the last of a unit",
            "Lagged links leave these units out; check whether a survey is missing.",
            severity="warning",
        )


def _pair_findings(one: str, first: Waves, other: str, second: Waves, *, lagged: bool) -> Iterator[Finding]:
    shown = f"{_listed(first)} here, {_listed(second)} in {other}"
    kinds = {isinstance(wave, str) for wave in first}, {isinstance(wave, str) for wave in second}
    if kinds[0] != kinds[1]:
        yield make_finding(
            "wave_types",
            one,
            "wave",
            f"waves {shown}",
            "waves written alike in all tables",
            "Write all of them as numbers, or all of them as the same kind of text.",
        )
    elif not set(first) & set(second) and not lagged:
        yield make_finding(
            "no_common_wave",
            one,
            "wave",
            f"waves {shown}",
            "at least one wave in both",
            "Declare a lag under [[chain.lags]], or correct the waves.",
        )


def _listed(waves: Collection[object]) -> str:
    return examples(waves, 4)


def _common_units(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    sides = [tables.get(f"{side}_responses") for side in ("employee", "customer")]
    codes = [
        set(key_text(pd.Series(f["unit"].unique())).dropna()) for f in sides if f is not None and "unit" in f.columns
    ]
    if len(codes) < 2 or not codes[0] or not codes[1] or codes[0] & codes[1]:
        return []
    found = f"units {examples(sorted(codes[0]))}, and {examples(sorted(codes[1]))} among the customers"
    hint = "Employees and customers meet in their units; write the codes alike in both tables."
    return [make_finding("no_common_unit", "employee_responses", "unit", found, "units that both sides have", hint)]
