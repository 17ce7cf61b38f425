"""A plan from a pilot study: its links, shares, respondents and how they vary, as far as it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from spc.chain.links import outcomes
from spc.chain.power import Plan
from spc.chain.result import ChainFit
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import UnsupportedError, UsageError

__all__ = ["plan_from"]

LARGEST_WITHIN = 0.95
Key = TypeVar("Key")


def plan_from(
    pilot: ChainFit | TwoSidedFit,
    *,
    units: int | None = None,
    respondents: Mapping[str, float] | None = None,
    links: Mapping[tuple[str, str], float] | None = None,
    icc: Mapping[str, float] | None = None,
    waves: int = 1,
) -> Plan:
    """Plan a study like one that is there.

    Few units find only links that chance made large, so links of a pilot tend to be too large: plan with smaller ones
    too.

    Parameters
    ----------
    pilot : ChainFit or TwoSidedFit
        Of scores of respondents of both sides.
    units, waves : int
        The pilot's units, and one wave, when not given.
    respondents : mapping of side to float
        Mean respondents a unit, of the sides that are to differ from the pilot; of each wave that the pilot takes a
        side at.
    links : mapping of (effect, cause) to float
        Standardised links in place of the pilot's.
    icc : mapping of str to float
        Shares of variance between units in place of the pilot's.

    Returns
    -------
    Plan

    Raises
    ------
    UnsupportedError
        The pilot is not fitted to the respondents of its sides, or has items.
    UsageError
        Units do not differ in a construct, a link could not be estimated, or a side or construct is not the pilot's.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> chain = spc.fit_chain(spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name)), draws=50)
    >>> plan = plan_from(chain, units=100, respondents={"employee": 15})
    >>> plan.units, plan.respondents["employee"], len(plan.links)
    (100, 15.0, 9)
    >>> folder.cleanup()
    """
    fit = pilot.sem if isinstance(pilot, ChainFit) else pilot
    if not isinstance(fit, TwoSidedFit) or fit.model.latents:
        raise UnsupportedError("A plan comes from a chain of scores that is fitted to the respondents of its sides.")
    moments, table = fit.core.units, fit.tidy()
    chain, called = outcomes(fit.model), _planned_sides(moments.sides)
    sides = {name: "" if s < 0 else called[s] for name, s in zip(moments.names, moments.side, strict=True)}
    own, rows = (table[table["kind"] == kind] for kind in ("link", "icc1"))
    pairs = zip(own["lhs"].astype(str), own["rhs"].astype(str), strict=True)
    links_found = dict(zip(pairs, own["std_all"].astype(float), strict=True))
    shares = dict(zip(rows["lhs"].astype(str), rows["estimate"].astype(float), strict=True))
    planned = links_found | dict(_known(links or {}, links_found, "link"))
    between = shares | dict(_known(icc or {}, shares, "share"))
    unread = [f"{cause} -> {effect}" for (effect, cause), size in planned.items() if not np.isfinite(size)]
    unread += [name for name in fit.core.bounded if name in between and name not in (icc or {})]
    if unread:
        raise UsageError(
            f"The pilot says nothing of {', '.join(unread)}: units hardly differ there. Give links= and icc= for "
            "it (--link and --icc of spc power)."
        )
    counts = {side: moments.counts[moments.counts[:, s] > 0.0, s] for s, side in enumerate(called)}
    means = {side: float(own.mean()) for side, own in counts.items()}
    return Plan(
        len(fit.keys) if units is None else units,
        means | {side: float(n) for side, n in _known(_each_wave(respondents or {}, called), means, "side").items()},
        planned,
        {name: sides[name] for name in _causes_first(chain)},
        between,
        spread=float(np.mean([np.log(own).std() for own in counts.values()])),
        within=_within(fit),
        waves=waves,
    )


def _planned_sides(sides: Sequence[str]) -> list[str]:
    """Sides without the wave they were asked at, where it is one wave."""
    bases = [side.partition("_wave_")[0] for side in sides]
    return [base if bases.count(base) == 1 else side for side, base in zip(sides, bases, strict=True)]


def _each_wave(respondents: Mapping[str, float], sides: Sequence[str]) -> dict[str, float]:
    """Numbers of a side go to each of its waves."""
    found: dict[str, float] = {}
    for name, n in respondents.items():
        waves = [side for side in sides if side.partition("_wave_")[0] == name]
        found |= dict.fromkeys([name] if name in sides or not waves else waves, n)
    return found


def _known(given: Mapping[Key, float], own: Mapping[Key, float], what: str) -> Mapping[Key, float]:
    odd = [key for key in given if key not in own]
    if odd:
        raise UsageError(f"{_told(odd[0])} is no {what} of the pilot, which has {', '.join(map(_told, own))}.")
    return given


def _told(key: object) -> str:
    return " ~ ".join(key) if isinstance(key, tuple) else str(key)


def _causes_first(chain: Mapping[str, list[str]]) -> list[str]:
    order: dict[str, None] = {}

    def place(name: str) -> None:
        for cause in chain.get(name, ()):
            place(cause)
        order[name] = None

    for effect in chain:
        place(effect)
    return list(order)


def _within(fit: TwoSidedFit) -> float:
    """Mean correlation of the scores of a side within units."""
    own, sigma = np.tril(fit.core.units.own, -1), fit.core.sigma_w
    if not own.any():
        return 0.0
    root = np.sqrt(np.maximum(sigma.diagonal(), 1e-300))
    return float(np.clip((sigma / np.outer(root, root))[own].mean(), 0.0, LARGEST_WITHIN))
