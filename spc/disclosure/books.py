"""Results on no answers of people: of the firm's own books, where names of staff stay inside, and of published work."""

from __future__ import annotations

import pandas as pd

from spc.errors import DataError

__all__ = ["OF_NO_ANSWERS", "OF_THE_BOOKS", "names_staff", "refuse_staff"]

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
    }
)
"""Kinds of results that rest on invoices and costs alone; nothing in them was answered in confidence."""

OF_NO_ANSWERS = frozenset({"power", "published", "pooled", "pooled_paths"})
"""Kinds of results that rest on simulated firms or on what others have published."""

_STAFF = frozenset({"respondent", "employee", "employee_id", "staff", "staff_id", "seller", "seller_id", "person"})


def names_staff(column: object) -> bool:
    """Whether a column, by its name, holds names of employees.

    Examples
    --------
    >>> names_staff("Seller"), names_staff("segment")
    (True, False)
    """
    return str(column).strip().lower() in _STAFF


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
