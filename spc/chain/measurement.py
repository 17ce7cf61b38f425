"""How constructs are measured in a fit: by their score, by the scores of their facets, or by items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from spc.survey import Construct

__all__ = ["Measurement", "indicators", "loadings"]

Measurement = Literal["scores", "facets", "items"]


def indicators(construct: Construct, measurement: Measurement) -> dict[str, Construct]:
    """Columns that measure a construct, and what is scored in each; empty where its own score stands for it.

    Parameters
    ----------
    construct : Construct
    measurement : {"scores", "facets", "items"}

    Examples
    --------
    >>> service = Construct("service", ["q1", "q2", "q3"], 1, 7, facets={"tools": ["q1", "q2"], "pay": ["q3"]})
    >>> [list(indicators(service, how)) for how in ("scores", "facets", "items")]
    [[], ['tools', 'pay'], ['q1', 'q2', 'q3']]
    """
    if measurement == "facets":
        return {name: construct.part(name, items) for name, items in construct.facets}
    return {item: construct.part(item, [item]) for item in construct.items} if measurement == "items" else {}


def loadings(construct: Construct, columns: Mapping[str, str]) -> list[str]:
    r"""Text of one construct on its columns: on facets that rest on several items, where items measure it by facets.

    Parameters
    ----------
    construct : Construct
    columns : mapping of str to str
        Names in the fit of what :func:`indicators` gave.

    Examples
    --------
    >>> service = Construct("service", ["q1", "q2", "q3"], 1, 7, facets={"tools": ["q1", "q2"], "pay": ["q3"]})
    >>> print("\n".join(loadings(service, {"q1": "q1", "q2": "q2", "q3": "q3"})))
    `tools` =~ `q1` + `q2`
    `service` =~ `tools` + `q3`
    """
    lines, top = [], list(columns.values())
    if set(columns) == set(construct.items) and construct.facets:
        several = {facet: [columns[item] for item in items] for facet, items in construct.facets if len(items) > 1}
        lines = [_loads(facet, names) for facet, names in several.items()]
        top = [facet if facet in several else columns[items[0]] for facet, items in construct.facets]
    return [*lines, _loads(construct.name, top)]


def _loads(name: str, on: list[str]) -> str:
    return f"`{name}` =~ {' + '.join(f'`{one}`' for one in on)}"
