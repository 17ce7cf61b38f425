"""Units as codes: identifiers of any type, in an order that does not depend on the rows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError

__all__ = ["unit_codes"]


def unit_codes(unit: pd.Series[Any]) -> tuple[npt.NDArray[np.intp], pd.Index[Any]]:
    """Number the units of rows.

    Parameters
    ----------
    unit : Series
        Identifiers of any hashable type, mixed ones included.

    Returns
    -------
    codes : (n,) array of int
        Position of each row's unit in ``units``; -1 where the unit is missing.
    units : Index
        The units, sorted; by type and text where they cannot be compared.

    Raises
    ------
    DataError
        An identifier cannot serve as one, such as a list.

    Examples
    --------
    >>> codes, units = unit_codes(pd.Series(["b", "a", None, "b"]))
    >>> codes.tolist(), units.tolist()
    ([1, 0, -1, 1], ['a', 'b'])
    """
    try:
        codes, found = pd.factorize(unit)
    except TypeError:
        raise DataError.of(
            "data", str(unit.name), "unit_type", "units that are lists or tables",
            "one plain value a row, such as text or a number", "Join the parts of the identifier into one text.",
        ) from None  # fmt: skip
    values = list(pd.Index(found, tupleize_cols=False))
    order = _order(values)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    renumbered = np.where(codes >= 0, rank[codes] if len(rank) else -1, -1)
    return renumbered.astype(np.intp), pd.Index([values[i] for i in order], name=unit.name, tupleize_cols=False)


def _order(values: list[Hashable]) -> list[int]:
    positions = range(len(values))
    try:
        return sorted(positions, key=values.__getitem__)  # type: ignore[arg-type]
    except TypeError:
        return sorted(positions, key=lambda i: (type(values[i]).__name__, str(values[i])))
