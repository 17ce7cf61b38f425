"""What the gate reads off a study and a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from spc.disclosure.people import People, answered
from spc.disclosure.text import plain_text
from spc.results import Result

__all__ = ["facts_of", "hierarchy_of", "labels_of", "outer_groups", "people_of", "scales_of", "table_of", "unit_sizes"]

_OUTER = ("region", "parent")
_ANSWERED = ("employee_responses", "customer_responses")


def table_of(result: Result) -> pd.DataFrame:
    """What ``augment()`` gives; empty where there is none."""
    augment = getattr(result, "augment", None)
    return pd.DataFrame() if augment is None else pd.DataFrame(augment()).reset_index(drop=True)


def unit_sizes(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, int]:
    """Smallest number of people that any survey side has in each unit.

    Examples
    --------
    >>> dict(unit_sizes({"employee_responses": pd.DataFrame({"unit": ["a", "a", "b"]})}))
    {'a': 2, 'b': 1}
    """
    sizes: dict[str, int] = {}
    for name in _ANSWERED:
        table = tables.get(name)
        if table is None or "unit" not in table:
            continue
        by = ["unit", "wave"] if "wave" in table else ["unit"]
        smallest = table.groupby(by, dropna=True).size().groupby(level=0).min()
        for unit, n in smallest.items():
            sizes[str(unit)] = min(int(n), sizes.get(str(unit), int(n)))
    return MappingProxyType(sizes)


def hierarchy_of(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, Mapping[str, str]]:
    """Region and parent of each unit, where the units table names them and a unit has one only.

    Examples
    --------
    >>> units = pd.DataFrame({"unit": ["a", "b"], "region": ["N", None]})
    >>> {unit: dict(outer) for unit, outer in hierarchy_of({"units": units}).items()}
    {'a': {'region': 'N'}, 'b': {}}
    """
    units = tables.get("units")
    if units is None or "unit" not in units:
        return MappingProxyType({})
    outer = [name for name in _OUTER if name in units and units[name].notna().any()]
    found: dict[str, Mapping[str, str]] = {}
    for unit, rows in units.groupby("unit", sort=False):
        homes = {name: rows[name].dropna().unique() for name in outer}
        found[str(unit)] = MappingProxyType({name: str(own[0]) for name, own in homes.items() if len(own) == 1})
    return MappingProxyType(found) if outer else MappingProxyType({})


def facts_of(result: Result) -> dict[str, Any]:
    """Version, options, fingerprint, seed and time of a result, and how its study is called."""
    provenance = getattr(result, "provenance", None)
    facts: dict[str, Any] = {}
    if provenance is not None:
        facts = {
            "package_version": provenance.package_version,
            "options": dict(provenance.options),
            "data_fingerprint": provenance.data_fingerprint,
            "seed": provenance.seed,
            "time": provenance.time,
        }
    title = getattr(getattr(result, "report", None), "title", "")
    if isinstance(title, str) and title:
        facts["title"] = plain_text(title)
    facts |= _asked(result)
    for name in ("name", "currency", "seed"):
        if isinstance(getattr(result, name, None), (str, int)):
            facts.setdefault(name, plain_text(getattr(result, name)))
    return facts


def outer_groups(
    units: pd.DataFrame, hierarchy: Mapping[str, Mapping[str, str]], values: Sequence[str]
) -> tuple[str, pd.DataFrame]:
    """Units added up to their regions, or their parents where no unit has a region.

    Parameters
    ----------
    units : DataFrame
        Means of the values by ``unit``, with the people behind each as ``n_<value>``.
    hierarchy : mapping
        See :func:`hierarchy_of`.
    values : sequence of str

    Returns
    -------
    str, DataFrame
        Name of the key, and one row a region: means over its people and ``n_<value>``. Units that belong nowhere are
        left out; empty where there are fewer than two regions.

    Examples
    --------
    >>> units = pd.DataFrame({"unit": list("abc"), "x": [2.0, 4.0, 5.0], "n_x": [10, 30, 8]})
    >>> homes = {"a": {"region": "N"}, "b": {"region": "N"}, "c": {"region": "S"}}
    >>> outer_groups(units, homes, ["x"])[1].to_dict("list")
    {'region': ['N', 'S'], 'x': [3.5, 5.0], 'n_x': [40, 8]}
    """
    key = next((name for name in _OUTER if any(name in home for home in hierarchy.values())), "")
    counts = [f"n_{value}" for value in values]
    homes = pd.Series([hierarchy.get(str(unit), {}).get(key) for unit in units["unit"]], dtype=object)
    if not key or homes.nunique() < 2:
        return key, pd.DataFrame()
    pairs = list(zip(values, counts, strict=True))
    totals = {value: (units[value] * units[n]).where(units[n] > 0, 0.0) for value, n in pairs}
    added = units.assign(**totals, **{key: homes.to_numpy()}).groupby(key)[[*values, *counts]].sum().reset_index()
    return key, added.assign(**{value: added[value] / added[n].where(added[n] > 0) for value, n in pairs})


def _asked(study: Any) -> dict[str, Any]:
    """How much a study asked, and which effect it says would matter."""
    scales = [c for c in getattr(study, "codebook", ()) if c.table in _ANSWERED]
    if not scales:
        return {}
    chain = getattr(study, "chain", None)
    return {
        "questions": sum(len(c.items) for c in scales), "reversed": sum(len(c.reverse) for c in scales),
        "smallest_effect": getattr(chain, "smallest_effect", None),
        "smallest_effect_money": getattr(chain, "smallest_effect_money", None),
    }  # fmt: skip


def labels_of(result: Result) -> dict[str, str]:
    """Names of constructs in words."""
    given = getattr(result, "labels", None)
    if not isinstance(given, Mapping):
        given = {c.name: getattr(c, "label", "") for c in getattr(result, "codebook", ())}
    return {str(key): str(plain_text(str(value))) for key, value in given.items() if value}


def scales_of(study: Any) -> dict[str, tuple[float, float] | None]:
    """Ends of the scale of each construct of a study that people answered; None where it has none."""
    asked = [c for c in study.codebook if c.table in _ANSWERED]
    return {c.name: None if c.low is None or c.high is None else (c.low, c.high) for c in asked}


def people_of(study: Any) -> People:
    """Who answered each question of a study; nothing where it is no study."""
    items: dict[str, list[str]] = {name: [] for name in _ANSWERED}
    for construct in getattr(study, "codebook", ()):
        if construct.table in items:
            items[construct.table] += construct.items
    return answered(getattr(study, "tables", {}), items)
