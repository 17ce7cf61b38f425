"""Figures by which people are led, as a tree: one owner each, a place in the chain, and what does not fit together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable
from spc.errors import UsageError
from spc.results import Note, Provenance, fingerprint, tidy_frame
from spc.spec import CHAIN_CONSTRUCTS
from spc.study.accounts import TOTALS, CostDriver
from spc.study.plans import Kpi

__all__ = ["kpi_tree", "kpi_tree_faults"]


def kpi_tree(
    study: CustomerAccounts | None = None, kpis: Sequence[Kpi] | Mapping[str, Mapping[str, Any]] | None = None
) -> AccountsTable:
    """Lay out who owns which figure, where in the chain it stands, which line of the accounts it moves, what is amiss.

    Parameters
    ----------
    study : CustomerAccounts, optional
        Whose lines must each have one owner; without accounts only the tree is looked at.
    kpis : sequence of Kpi, or mapping of str to mapping, optional
        Figure to ``owner``, ``parent``, ``construct`` and ``line``; the study's ``[[accounts.kpis]]`` when None.

    Returns
    -------
    AccountsTable
        Kind ``kpis``. Rows: ``kpi`` (``lhs`` figure, ``rhs`` its parent, ``group`` its construct, ``statistic`` how far
        up the chain that is, from 1, ``estimate`` how deep in the tree, ``label`` its owner), ``line`` (``lhs`` line of
        the accounts, ``rhs`` the figure that moves it, ``label`` its owner; ``estimate`` owners) and ``fault`` (``lhs``
        figure or line, ``rhs`` what is amiss). ``augment()`` has a row a figure. The faults are also notes.

    Raises
    ------
    UsageError
        There are no figures.

    Examples
    --------
    >>> tree = kpi_tree(kpis=[
    ...     Kpi("contribution", "sales director", construct="profitability", line="contribution"),
    ...     Kpi("freight share", "logistics", "contribution", line="freight"),
    ...     Kpi("complaints", "service", "contribution", construct="customer_satisfaction")])
    >>> tree.augment()[["kpi", "owner", "construct", "position", "depth"]]
                 kpi           owner              construct  position  depth
    0   contribution  sales director          profitability       9.0      0
    1  freight share       logistics          profitability       9.0      1
    2     complaints         service  customer_satisfaction       6.0      1
    """
    given = kpis if kpis is not None else study.spec.plans.kpis if study is not None else ()
    tree = dict(given) if isinstance(given, Mapping) else {kpi.name: _plain(kpi) for kpi in given}
    twice = [] if isinstance(given, Mapping) else [kpi.name for kpi in given]
    if not tree:
        raise UsageError("There are no figures: name them under [[accounts.kpis]] with their owners, or give kpis=.")
    drivers = () if study is None else study.spec.drivers
    faults = [*_repeated(twice), *kpi_tree_faults(tree, drivers=drivers)]
    records = [_record(name, tree, drivers) for name in tree]
    rows: list[dict[str, Any]] = [
        {"lhs": r["kpi"], "rhs": r["parent"], "group": r["construct"], "kind": "kpi", "estimate": float(r["depth"]),
         "statistic": r["position"], "label": r["owner"]} for r in records]  # fmt: skip
    for driver in drivers:
        own = [r for r in records if r["line"] == driver.name]
        owners = sorted({r["owner"] for r in own} - {""})
        rows.append({"lhs": driver.name, "rhs": ", ".join(r["kpi"] for r in own), "kind": "line",
                     "label": ", ".join(owners), "estimate": float(len(owners))})  # fmt: skip
    rows += [{"lhs": note.subject, "rhs": note.code, "kind": "fault"} for note in faults]
    table = pd.DataFrame(records)
    summary = {"kpis": len(tree), "owners": len(set(table["owner"]) - {""}), "faults": len(faults)}
    made = Provenance.record({"kpis": list(tree)}, fingerprint(table[["depth"]].astype(float)))
    return AccountsTable("kpis", tidy_frame(rows), pd.DataFrame([summary]), table, tuple(faults), "", made)


def _plain(kpi: Kpi) -> dict[str, str]:
    return {"owner": kpi.owner, "parent": kpi.parent, "construct": kpi.construct, "line": kpi.line}


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key, "") or ""
    return value if isinstance(value, str) else ", ".join(map(str, value))


def _construct(given: Mapping[str, Any], drivers: Sequence[CostDriver]) -> str:
    """Where a figure stands: as it says, else where its line does, with net revenue or with profit."""
    line = _text(given, "line")
    of_revenue = {TOTALS[0], *(driver.name for driver in drivers if driver.side != "cost")}
    return _text(given, "construct") or ("revenue_growth" if line in of_revenue else "profitability" if line else "")


def _record(name: str, tree: Mapping[str, Mapping[str, Any]], drivers: Sequence[CostDriver]) -> dict[str, Any]:
    given, construct = tree[name], _construct(tree[name], drivers)
    place = CHAIN_CONSTRUCTS.index(construct) if construct in CHAIN_CONSTRUCTS else float("nan")
    return {"kpi": name, "owner": _text(given, "owner"), "parent": _text(given, "parent"), "construct": construct,
            "position": float(place), "line": _text(given, "line"), "depth": len(_above(name, tree))}  # fmt: skip


def _above(name: str, tree: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Figures above one, nearest first; up to the root, or to where a circle closes."""
    found: list[str] = []
    here = _text(tree[name], "parent")
    while here in tree and here not in found and here != name:
        found.append(here)
        here = _text(tree[here], "parent")
    return found


def _repeated(names: Collection[str]) -> list[Note]:
    many = sorted({name for name in names if list(names).count(name) > 1})
    return [Note("listed_twice", "serious", name, f"{name} is there twice; the later one counts.") for name in many]


def kpi_tree_faults(tree: Mapping[str, Mapping[str, Any]], *, drivers: Sequence[CostDriver] = ()) -> list[Note]:
    """What is wrong with a tree of figures.

    No owner or several; a parent that is not there, or a circle; a construct that is no link of the chain, or one that
    comes after its parent's; a line that is not in the accounts, that nobody owns, or that two people own.

    Parameters
    ----------
    tree : mapping of str to mapping
        Figure to ``owner`` and ``parent`` (empty for the root), and where known ``construct`` and ``line``.
    drivers : sequence of CostDriver
        Lines of the accounts; lines are not looked at without any.

    Examples
    --------
    >>> tree = {"contribution": {"owner": "CFO", "parent": ""}, "freight": {"owner": "", "parent": "contributon"}}
    >>> [(note.code, note.subject) for note in kpi_tree_faults(tree)]
    [('no_owner', 'freight'), ('unknown_parent', 'freight')]
    """
    notes = []
    for kpi, given in tree.items():
        owner, parent = given.get("owner", ""), _text(given, "parent")
        if not owner:
            notes.append(Note("no_owner", "warning", kpi, f"Nobody owns {kpi}."))
        elif not isinstance(owner, str):
            notes.append(Note("several_owners", "warning", kpi, f"{kpi} has {len(owner)} owners; name one."))
        if parent and parent not in tree:
            notes.append(
                Note("unknown_parent", "warning", kpi, f"{kpi} belongs to {parent}, which is not in the tree.")
            )
        if _closes(kpi, tree):
            notes.append(Note("circle", "serious", kpi, f"{kpi} is above itself."))
        notes += _place_faults(kpi, tree, drivers)
    return [*notes, *_line_faults(tree, drivers)]


def _closes(kpi: str, tree: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the way up from a figure comes back to it."""
    above = _above(kpi, tree)
    return _text(tree[above[-1] if above else kpi], "parent") == kpi


def _place_faults(kpi: str, tree: Mapping[str, Mapping[str, Any]], drivers: Sequence[CostDriver]) -> list[Note]:
    """A construct that the chain does not know, or that comes after that of the parent."""
    own, parent = _construct(tree[kpi], drivers), _text(tree[kpi], "parent")
    if own and own not in CHAIN_CONSTRUCTS:
        allowed = ", ".join(CHAIN_CONSTRUCTS)
        return [Note("unknown_construct", "warning", kpi, f"{kpi} stands at {own}, which is none of {allowed}.")]
    above = _construct(tree[parent], drivers) if parent in tree else ""
    if own and above in CHAIN_CONSTRUCTS and CHAIN_CONSTRUCTS.index(own) > CHAIN_CONSTRUCTS.index(above):
        text = f"{kpi} stands at {own}, which comes after {above} of {parent}; what feeds a figure comes before it."
        return [Note("against_the_chain", "warning", kpi, text)]
    return []


def _line_faults(tree: Mapping[str, Mapping[str, Any]], drivers: Sequence[CostDriver]) -> list[Note]:
    """Lines of the accounts that are unknown, nobody's or of several people."""
    if not drivers:
        return []
    notes, lines = [], [driver.name for driver in drivers]
    for kpi, given in tree.items():
        line = _text(given, "line")
        if line and line not in (*lines, *TOTALS):
            notes.append(Note("unknown_line", "warning", kpi, f"{kpi} moves {line}, which is no line of the accounts."))
    for line in lines:
        owners = sorted({_text(g, "owner") for g in tree.values() if _text(g, "line") == line} - {""})
        if not owners:
            notes.append(Note("line_without_owner", "warning", line, f"Nobody owns the line {line}."))
        elif len(owners) > 1:
            text = f"The line {line} has {len(owners)} owners, {' and '.join(owners)}; name one."
            notes.append(Note("line_of_several", "warning", line, text))
    return notes
