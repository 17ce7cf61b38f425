"""Tables that stay where they are, as data of a fit: their moments or patterns take the place of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from spc.errors import DataError, UnsupportedError
from spc.moments import Moments, Patterns
from spc.sem.engine.diagnose import dropped_rows
from spc.sem.engine.groups import Group, split
from spc.sem.options import Options
from spc.sources import Source
from spc.spec.table import Model

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["groups_in_place", "reduced", "require_in_place", "with_dropped_rows"]

_FOURTH = ("MLM", "MLR", "ULS", "WLS")


def require_in_place(options: Options, *, ordinal: bool, levels: bool) -> None:
    """Raise UnsupportedError where a fit needs the rows themselves."""
    asked = {"ordered=": ordinal, "level:": levels, "cluster=": options.cluster is not None}
    asked["missing='fiml' with robust errors"] = options.missing == "fiml" and options.estimator != "ML"
    for what, wanted in asked.items():
        if wanted:
            raise UnsupportedError(
                f"{what} needs the rows themselves, and a Source leaves them where they are. Give a frame of the "
                "model's columns (spc.read_table, or toPandas() of one of Spark); ML, MLM, MLR, GLS, ULS, WLS, and "
                "missing='fiml' with ML, work from a Source."
            )


def groups_in_place(source: Source, options: Options) -> tuple[Group, ...]:
    """Groups of the table in the order of their first appearance, with a frame of no variables as data.

    Raises
    ------
    DataError
        The column is absent, has missing values or a single group.
    """
    if options.group is None:
        return (Group("", pd.DataFrame()),)
    found = source.tally(options.group)
    if None in found:
        raise DataError.of(
            source.label, options.group, "missing_group", f"{found[None]} rows without a group", "a group in every row",
            "Fill in the group, or leave these rows out.",
        )  # fmt: skip
    return split(pd.DataFrame({options.group: list(found)}), options.group)


def reduced(source: Source, groups: Sequence[Group], model: Model, options: Options) -> tuple[Group, ...]:
    """Groups with the moments, or patterns, of the model's variables."""
    names = model.observed
    data: list[Moments | Patterns]
    if options.missing == "fiml":
        found = [source.patterns(names)] if options.group is None else source.patterns_by(options.group, names).values()
        data = list(found)
    else:
        higher = options.estimator in _FOURTH
        data = (
            [source.moments(names, higher=higher)]
            if options.group is None
            else list(source.moments_by(options.group, names, higher=higher))
        )
    return tuple(replace(group, data=one) for group, one in zip(groups, data, strict=True))


def with_dropped_rows(result: SemFit, source: Source) -> SemFit:
    """The result with a note on rows that were left out."""
    if result.options.missing == "fiml":
        return result
    notes = dropped_rows(source.count(), sum(part.observed.n for part in result.parts))
    return replace(result, found=(*result.found, *notes))
