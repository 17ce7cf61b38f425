"""A scenario of a study: its chain, its ledger, and the link between them, brought together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from spc.chain import ChainFit, LinkShapes, fit_chain, link_shapes
from spc.economics import LoyaltyValue, RetentionLink, loyalty_value, nearest_link
from spc.errors import DataError, EstimationError, UnsupportedError
from spc.results import Note
from spc.scenario.change import Change
from spc.scenario.outlook import Outlook
from spc.scenario.simulate import Link, simulate
from spc.study import Study

__all__ = ["Parts", "simulate_study", "study_parts"]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a scenario of a study is made of.

    Attributes
    ----------
    chain : ChainFit
    loyalty : LoyaltyValue or None
    retention : RetentionLink or None
    shapes : LinkShapes or None
    messages : tuple of Note
        What could not be had, and why.
    """

    chain: ChainFit
    loyalty: LoyaltyValue | None
    retention: RetentionLink | None
    shapes: LinkShapes | None
    messages: tuple[Note, ...]


def study_parts(
    study: Study,
    *,
    chain: ChainFit | None = None,
    loyalty: LoyaltyValue | None = None,
    shapes: LinkShapes | Literal[False] | None = None,
    draws: int = 2000,
    seed: int | None = None,
    level: float = 0.95,
) -> Parts:
    """Fit what a scenario of a study needs and was not given: chain, shapes, ledger and retention.

    Raises
    ------
    DataError
        The study has no chain.
    """
    seed = study.seed if seed is None else seed
    chain = fit_chain(study, draws=draws, seed=seed, level=level) if chain is None else chain
    notes: list[Note] = []
    if loyalty is None and study.money is not None:
        loyalty = loyalty_value(study, seed=seed)
    retention, why = _link(study, chain, loyalty)
    notes.extend(why)
    found = _shapes(study, seed, notes) if shapes is None else shapes
    return Parts(chain, loyalty, retention, found or None, tuple(notes))


def simulate_study(
    study: Study,
    changes: Sequence[Change],
    *,
    chain: ChainFit | None = None,
    loyalty: LoyaltyValue | None = None,
    shapes: LinkShapes | Literal[False] | None = None,
    lags: Mapping[Link, int] | None = None,
    periods: int | None = None,
    draws: int = 2000,
    seed: int | None = None,
    level: float = 0.95,
) -> Outlook:
    """Say what changes would bring in a study: chain, shapes, ledger and retention are fitted where not given.

    Parameters
    ----------
    study : Study
    changes : sequence of Change
    chain : ChainFit, optional
    loyalty : LoyaltyValue, optional
    shapes : LinkShapes or False, optional
        Links that bend are followed along their shape; tested here by default, all taken as straight when False.
    lags : mapping of (effect, cause) to int, optional
        Periods until a link works.
    periods : int, optional
        Periods looked ahead; the study's horizon by default.
    draws : int
    seed : int, optional
        The study's own when not given.
    level : float

    Returns
    -------
    Outlook
        Without money, and with a note why, where the study has no ledger or its answers do not reach it.

    Raises
    ------
    DataError
        The study has no chain.
    UsageError
        See :func:`simulate`.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=40).write(folder.name))
    >>> outlook = simulate_study(study, [Change("customer_satisfaction", 0.1)], draws=200)
    >>> outlook.money is not None
    True
    >>> folder.cleanup()
    """
    seed = study.seed if seed is None else seed
    parts = study_parts(study, chain=chain, loyalty=loyalty, shapes=shapes, draws=draws, seed=seed, level=level)
    found = simulate(
        parts.chain, parts.loyalty, changes, retention=parts.retention, shapes=parts.shapes, lags=lags,
        periods=periods, draws=draws, seed=seed, level=level,
    )  # fmt: skip
    return replace(found, messages=(*parts.messages, *found.messages)) if parts.messages else found


def _link(study: Study, chain: ChainFit, loyalty: LoyaltyValue | None) -> tuple[RetentionLink | None, tuple[Note, ...]]:
    """From customers' answers to their staying, where anybody is seen to leave."""
    if loyalty is None:
        return None, ()
    if loyalty.model.name == "bg-nbd":
        return None, (Note.of("not_contractual", "info", "retention"),)
    return nearest_link(study, list(map(str, chain.scores)))


def _shapes(study: Study, seed: int, notes: list[Note]) -> LinkShapes | None:
    try:
        return link_shapes(study, seed=seed)
    except (DataError, EstimationError, UnsupportedError) as problem:
        notes.append(Note.of("shapes_not_tested", "warning", "links", problem=str(problem)))
    return None
