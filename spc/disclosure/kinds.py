"""What each kind of result rests on, and which of its tables may leave."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from spc.disclosure.checks import names_staff
from spc.disclosure.rule import DisclosureRule
from spc.errors import DataError

__all__ = ["CURVES", "MATRICES", "OF_NO_ANSWERS", "OF_THE_BOOKS", "check_size", "refuse_persons", "refuse_staff"]

OF_THE_BOOKS = frozenset(
    {
        "accounts",
        "waterfall",
        "bridge",
        "price_quantity",
        "whale",
        "groups",
        "peers",
        "elasticity",
        "profile",
        "sellers",
        "targets",
        "effort",
        "visits",
        "clusters",
        "kpis",
        "menu",
        "at_risk",
        "rates",
    }
)
"""Kinds of results that rest on invoices and costs alone; nothing in them was answered in confidence."""

OF_NO_ANSWERS = frozenset({"power", "published", "pooled", "pooled_paths"})
"""Kinds of results that rest on simulated firms or on what others have published."""

CURVES: Mapping[str, str] = MappingProxyType(
    {
        "comparison": "models",
        "evidence": "reasons",
        "invariance": "models",
        "levers": "draws",
        "loyalty": "periods",
        "scenario": "periods",
        "study": "units",
    }
)
"""Kinds of results on answers whose ``augment()`` may leave, and what its rows are; rows of people never do."""

MATRICES = frozenset({"refit"})
"""Kinds whose rows are the matrix of the answers."""

_SIZES = MappingProxyType(
    {
        "nobs": "rows",
        "nobs_min": "rows in its smallest part",
        "responses": "responses",
        "respondents": "respondents",
        "employee_responses": "employee responses",
        "customer_responses": "customer responses",
        "customers": "customers",
        "margins": "margins",
    }
)
"""Columns of ``glance()`` that say on how many a result rests."""

_PERSON_KINDS = frozenset(
    {"score", "factor_score", "residual", "respondent", "person", "unit_mean", "unit_effect", "seller"}
)


def check_size(kind: str, glance: pd.DataFrame, rule: DisclosureRule) -> None:
    """Refuse a result that rests on too few, or does not say on how many.

    Raises
    ------
    DataError
        Says which number is too small, not how small.
    """
    if kind in OF_THE_BOOKS | OF_NO_ANSWERS:
        return
    sizes = {name: float(glance[name].min()) for name in _SIZES if name in glance}
    few = [_SIZES[name] for name, n in sizes.items() if n > 0 and rule.hides(n)]
    if few:
        found, expected = f"a result on fewer than {rule.minimum_group} {few[0]}", f"at least {rule.minimum_group}"
    elif any(n > 0 for n in sizes.values()) or kind == "study":
        return
    else:
        found = "a result that does not say on how many it rests"
        expected = f"at least {rule.minimum_group} in glance(), as {' or '.join(_SIZES)}"
    hint = "Nothing of it can be shown. Bring more answers together, or fewer, larger groups."
    raise DataError.of(kind, None, "below_minimum_group", found, expected, hint)


def refuse_persons(kind: str, tidy: pd.DataFrame) -> None:
    """Refuse tidy tables with rows of persons or single units.

    Raises
    ------
    DataError
        Names the kinds of rows.
    """
    found = sorted(_PERSON_KINDS & set(tidy["kind"]))
    if found:
        raise DataError.of(
            kind,
            "kind",
            "single_rows",
            f"rows of kind {', '.join(found)}",
            "numbers about all people together",
            "Numbers of persons never leave; release numbers of units with Gate.groups and their counts.",
        )


def refuse_staff(kind: str, glance: pd.DataFrame, table: pd.DataFrame) -> None:
    """Refuse results of named employees: a seller's portfolio is shown under a number.

    Parameters
    ----------
    kind : str
    glance : DataFrame
        ``by`` says whose the rows are.
    table : DataFrame
        What ``augment()`` gives.

    Raises
    ------
    DataError
        The rows are one an employee, or a column names employees.

    Examples
    --------
    >>> refuse_staff("accounts", pd.DataFrame({"customers": [2]}), pd.DataFrame({"customer": ["a", "b"]}))
    """
    found = [str(name) for name in (*glance.get("by", ()), *table.columns) if names_staff(name)]
    if found:
        raise DataError.of(
            kind, found[0], "personal", "figures by employee", "customers, groups or numbered portfolios",
            "Figures of a named person never leave; add them up by unit or segment, or use seller_portfolios.",
        )  # fmt: skip
