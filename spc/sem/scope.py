"""What a function of a fit asks of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spc.errors import DataError, UnsupportedError, UsageError
from spc.moments import Moments
from spc.sem.engine.groups import split

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = ["by_group", "require_one_level", "same_moments"]


def require_one_level(fit: SemFit, what: str) -> None:
    """Raise for a fit of two levels.

    Parameters
    ----------
    fit : SemFit
    what : str
        What was asked for, to begin the message: ``"Corrections for small samples"``.

    Raises
    ------
    UnsupportedError
    """
    if fit.levels is not None:
        raise UnsupportedError(
            f"{what} have no method for models of two levels. level_fit() tests each level by itself, misfit() gives "
            "what each leaves unexplained, modification_indices() says what to release."
        )


def same_moments(one: Moments, other: Moments) -> bool:
    """Whether moments of the same variables, in any order, come from the same rows."""
    matched = other if one.names == other.names else other.restrict(one.names)
    root = np.sqrt(one.cov.diagonal())
    return one.n == other.n and float((np.abs(one.cov - matched.cov) / np.outer(root, root)).max()) <= 1e-7


def by_group(fit: SemFit, data: pd.DataFrame, work: Callable[[SemFit, pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Work on the rows of each group with its view of a fit; the results in the order of the rows, none from none.

    Raises
    ------
    UsageError
        The fit was given its data group by group, so that no column tells them apart.
    DataError
        Rows without a group, or of a group that the fit does not have.
    """
    if fit.options.group is None:
        raise UsageError(
            "The fit was given its data group by group, so that no column tells the groups of new rows apart. Work on "
            "one group at a time, with its view: fit.views[0]."
        )
    if data.empty:
        return work(fit.views[0], data)
    views = {view.parts[0].group: view for view in fit.views}
    pieces = split(data.reset_index(drop=True), fit.options.group, several=False)
    unknown = [piece.label for piece in pieces if piece.label not in views]
    if unknown:
        raise DataError.of(
            "data", fit.options.group, "unknown_group", f"the group {unknown[0]!r}", f"one of {', '.join(views)}",
            "Leave these rows out, or fit the model to them as well.",
        )  # fmt: skip
    parts = [work(views[piece.label], piece.data) for piece in pieces if isinstance(piece.data, pd.DataFrame)]
    found: pd.DataFrame = pd.concat(parts).sort_index()
    found.index = data.index
    return found
