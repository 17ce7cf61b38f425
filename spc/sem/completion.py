"""A model as its data and its method need it: read once, with the groups of the data, in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spc.errors import DataError, UnsupportedError, UsageError
from spc.moments import Moments
from spc.sem.engine.groups import Data, Group
from spc.sem.options import WEIGHTED, Options
from spc.spec import model as read_model
from spc.spec.table import Model, blocks

__all__ = ["Piece", "completed", "has_levels", "models_of", "pieces_of", "read_once"]


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A block of the model and its data."""

    label: str
    model: Model
    data: Data


def has_levels(model: Model | str) -> bool:
    """Whether a model, or its text, has a part for units beside one for rows."""
    if isinstance(model, Model):
        return len(model.levels) > 1
    return "level" in model and any(_is_level(line) for line in model.splitlines())


def _is_level(line: str) -> bool:
    word, colon, _ = line.partition(":")
    return bool(colon) and word.strip() == "level"


def pieces_of(model: Model, groups: Sequence[Group]) -> tuple[Piece, ...]:
    """Blocks with their data, in the order of the model's groups."""
    if len(groups) == 1:
        return (Piece("", model, groups[0].data),)
    data = {group.label: group.data for group in groups}
    labels = [model.groups[block.group - 1] for block in blocks(model)]
    return tuple(Piece(label, block.model, data[label]) for label, block in zip(labels, blocks(model), strict=True))


def completed(model: Model | str, groups: Sequence[Group], options: Options) -> Model:
    """The model as data and method need it.

    Several groups need their labels; groups, missing answers and clusters need intercepts; least squares need random
    covariates.
    """
    wanted: dict[str, Any] = {}
    made = None if isinstance(model, str) else model
    labels = tuple(group.label for group in groups)
    if len(groups) > 1 and (made is None or set(made.groups) != set(labels)):
        _check_groups(made, labels)
        wanted["groups"] = labels
        wanted |= _equal_words(options)
        if made is not None and _means_known(groups):
            wanted["meanstructure"] = True
    elif made is not None and len(made.groups) > 1 and len(groups) > 1:
        wanted |= _equal_words(options)
    elif options.group_equal or options.group_partial:
        raise UsageError(
            "group_equal and group_partial need groups: name their column, group=..., or give a list of data."
        )
    if made is None:
        made = read_once(str(model)) if not wanted else _read_again(str(model), _sorted(wanted))
        if wanted and not _means_known(groups) and not _means_asked(made):
            made = _read_again(str(model), _sorted({**wanted, "meanstructure": False}))
        wanted = {}
    if len(groups) == 1 and len(made.groups) > 1:
        raise UsageError(f"The model has the groups {', '.join(made.groups)}; name their column: group=....")
    if (options.missing == "fiml" or options.cluster is not None) and not made.meanstructure:
        wanted["meanstructure"] = True
    if options.estimator in WEIGHTED and made.exogenous:
        wanted["fixed_x"] = False
    if not wanted:
        return made
    if not made.text:
        said = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise UnsupportedError(f"These options need a model read with {said}: build it so.")
    return _read_again(made.text, _sorted({**made.options, **wanted}))


def _equal_words(options: Options) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("group_equal", "group_partial") if getattr(options, name)}


def _means_known(groups: Sequence[Group]) -> bool:
    return all(not isinstance(group.data, Moments) or group.data.mean is not None for group in groups)


def _means_asked(model: Model) -> bool:
    return any(row.op == "~1" and row.given_by == "user" for row in model.parameters)


def _check_groups(model: Model | None, labels: tuple[str, ...]) -> None:
    if model is not None and len(model.groups) > 1:
        raise DataError.of(
            "data", None, "groups", f"the groups {', '.join(labels)}", f"those of the model, {', '.join(model.groups)}",
            "Read the model without groups=, and fit() takes them from the data.",
        )  # fmt: skip


def _sorted(wanted: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(wanted.items()))


@lru_cache(maxsize=64)
def read_once(text: str) -> Model:
    """Read a text once: the same text is the same model, and models do not change."""
    return read_model(text)


@lru_cache(maxsize=64)
def _read_again(text: str, options: tuple[tuple[str, Any], ...]) -> Model:
    return read_model(text, **dict(options))


def models_of(pieces: Sequence[Piece]) -> list[Model]:
    """Models of the blocks."""
    return [piece.model for piece in pieces]
