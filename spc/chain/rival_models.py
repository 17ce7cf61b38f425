"""Rival explanations of the same constructs, written as models of the same variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

__all__ = ["RIVALS", "last_effects", "rival_texts"]

RIVALS: Mapping[str, str] = {
    "chain": "the chain as stated",
    "reverse": "the reverse order",
    "common_cause": "a common cause",
    "direct_only": "direct links only",
    "no_chain": "no chain",
}
"""Names of the rivals, and what they are called in a sentence."""

COMMON = "common_cause"
Links = Mapping[str, Sequence[str]]


def last_effects(links: Links) -> list[str]:
    """Outcomes that cause nothing: the ends of the chain.

    Examples
    --------
    >>> last_effects({"b": ["a"], "c": ["b"]})
    ['c']
    """
    causes = {cause for names in links.values() for cause in names}
    return [effect for effect in links if effect not in causes]


def rival_texts(links: Links, tables: Mapping[str, str], waves: Mapping[str, int]) -> dict[str, str]:
    r"""Model text of each rival but the chain itself; rivals that the order in time forbids are left out.

    Parameters
    ----------
    links : mapping of outcome to predictors
    tables : mapping of construct to table
        Constructs of one table share their people.
    waves : mapping of construct to number
        When each was taken; those absent have no order in time.

    Returns
    -------
    dict
        ``reverse``: links within one wave turned round, links over time kept. ``common_cause``: one latent factor and
        no links. ``direct_only``: every earlier construct leads to the ends of the chain; earlier ones covary within
        a table, and across tables not at all, unless all come from one table. ``no_chain``: constructs covary
        within a table, across tables not at all; nothing covaries where all come from one table.

    Examples
    --------
    >>> links = {"b": ["a"], "c": ["b"]}
    >>> for name, text in rival_texts(links, {"a": "x", "b": "y", "c": "z"}, {}).items():
    ...     print(name, "|", text.replace("\n", "; "))
    reverse | `a` ~ `b`; `b` ~ `c`
    common_cause | `common_cause` =~ `a` + `b` + `c`
    direct_only | `c` ~ `a` + `b`; `a` ~~ 0*`b`
    no_chain | `a` ~~ 0*`b`; `a` ~~ 0*`c`; `b` ~~ 0*`c`
    """
    names = list(dict.fromkeys(name for effect, causes in links.items() for name in (*causes, effect)))
    found = {COMMON: _common_cause(names), "direct_only": _direct(names, links, tables), "no_chain": ""}
    several = len({tables[name] for name in names}) > 1
    found["no_chain"] = "\n".join(
        _covariance(a, b, free=several and tables[a] == tables[b]) for a, b in combinations(names, 2)
    )
    turned = _reverse(links, waves)
    order = {"reverse": turned} if turned else {}
    return {**order, **found}


def _common_cause(names: Sequence[str]) -> str:
    """Two constructs do not tell a common cause from a covariance."""
    if len(names) == 2:
        return _covariance(names[0], names[1], free=True)
    factor = COMMON
    while factor in names:
        factor += "_"
    return f"`{factor}` =~ {' + '.join(f'`{name}`' for name in names)}"


def _direct(names: Sequence[str], links: Links, tables: Mapping[str, str]) -> str:
    ends = last_effects(links)
    earlier = [name for name in names if name not in ends]
    several = len({tables[name] for name in names}) > 1
    lines = [f"`{end}` ~ {' + '.join(f'`{name}`' for name in earlier)}" for end in ends]
    lines += [_covariance(a, b, free=not several or tables[a] == tables[b]) for a, b in combinations(earlier, 2)]
    return "\n".join(lines)


def _reverse(links: Links, waves: Mapping[str, int]) -> str | None:
    """Links turned round where cause and effect were taken at the same time; None where none was."""
    turned: dict[str, list[str]] = {}
    changed = False
    for effect, causes in links.items():
        for cause in causes:
            fixed = cause in waves and effect in waves and waves[cause] != waves[effect]
            changed |= not fixed
            to, source = (effect, cause) if fixed else (cause, effect)
            turned.setdefault(to, []).append(source)
    if not changed:
        return None
    return "\n".join(f"`{to}` ~ {' + '.join(f'`{name}`' for name in sources)}" for to, sources in turned.items())


def _covariance(first: str, second: str, *, free: bool) -> str:
    return f"`{first}` ~~ {'' if free else '0*'}`{second}`"
