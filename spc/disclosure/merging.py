"""Small units put together with others of the same parent or region, so that they are shown and not hidden."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from spc.disclosure.rows import Parts

__all__ = ["merged_rows", "merged_units"]

_NAMED = 3


def merged_units(sizes: pd.Series, outer: Mapping[str, str], minimum: int) -> Parts:
    """Which units go together: the small ones of a parent, and its next smallest where they are too few.

    Parameters
    ----------
    sizes : Series
        People by unit.
    outer : mapping of str to str
        Unit to its parent or region; units without one stay alone.
    minimum : int

    Returns
    -------
    mapping of str to frozenset of str
        Name of each group that was made, and its units.

    Examples
    --------
    >>> sizes = pd.Series({"a": 2, "b": 2, "c": 9, "d": 30, "e": 3})
    >>> found = merged_units(sizes, {"a": "N", "b": "N", "c": "N", "d": "N", "e": "S"}, 5)
    >>> {name: sorted(units) for name, units in found.items()}
    {'a + b + c': ['a', 'b', 'c']}
    """
    found: dict[str, frozenset[str]] = {}
    homes = pd.Series({unit: outer.get(unit) for unit in sizes.index}, dtype=object)
    for home, units in homes.dropna().groupby(homes, sort=True):
        ordered = sizes[units.index].sort_values(kind="stable")
        small = int((ordered < minimum).sum())
        while 0 < small < len(ordered) and ordered.iloc[:small].sum() < minimum:
            small += 1
        if small > 1:
            chosen = sorted(map(str, ordered.index[:small]))
            found[" + ".join(chosen) if small <= _NAMED else f"{home}: {small} small units"] = frozenset(chosen)
    return found


def merged_rows(
    frame: pd.DataFrame, parts: Parts, *, keys: list[str], unit: str, sides: Mapping[str, str]
) -> pd.DataFrame:
    """Rows of a table of groups with units put together: counts added up, values as means over people.

    Parameters
    ----------
    frame : DataFrame
    parts : mapping of str to frozenset of str
    keys : list of str
    unit : str
        The key that names units.
    sides : mapping of str to str
        Value to the column of its counts.
    """
    name_of = {each: name for name, units in parts.items() for each in units}
    renamed = frame.assign(**{unit: [name_of.get(str(u), u) if pd.notna(u) else u for u in frame[unit]]})
    counts = list(dict.fromkeys(sides.values()))
    weighted = {value: (frame[value] * frame[count]).where(frame[count] > 0, 0.0) for value, count in sides.items()}
    summed = renamed.assign(**weighted).groupby(keys, sort=False, dropna=False)[[*sides, *counts]].sum().reset_index()
    means = {value: summed[value] / summed[count].where(summed[count] > 0) for value, count in sides.items()}
    return summed.assign(**means)
