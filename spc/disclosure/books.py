"""Results made from the firm's own books: customers' accounts may be shown to the firm, names of staff may not."""

from __future__ import annotations

import pandas as pd

from spc.errors import DataError

__all__ = ["OF_THE_BOOKS", "refuse_staff"]

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
        "sight",
    }
)
"""Kinds of results that rest on invoices and costs alone; nothing in them was answered in confidence."""

_STAFF = frozenset({"respondent", "employee", "employee_id", "staff", "staff_id", "seller", "seller_id", "person"})


def refuse_staff(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The table, unless a column names employees: a seller's portfolio is shown under a number.

    Raises
    ------
    DataError
        A column names employees.

    Examples
    --------
    >>> refuse_staff(pd.DataFrame({"customer": ["a"]}), "accounts").shape
    (1, 1)
    """
    found = [str(name) for name in frame.columns if str(name).strip().lower() in _STAFF]
    if found:
        raise DataError.of(
            kind, found[0], "personal", "a column that names employees", "customers, groups or numbered portfolios",
            "Figures of a named person never leave; add them up by unit or segment.",
        )  # fmt: skip
    return frame
