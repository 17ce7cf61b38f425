"""Push changes through chain, retention and margin to money, draw by draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from warnings import warn

import numpy as np
import pandas as pd

from spc.chain.result import ChainFit
from spc.chain.shape import LinkShapes
from spc.disclosure import thick_quantile
from spc.economics import LoyaltyValue, RetentionLink
from spc.errors import ExtrapolationWarning, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance
from spc.scenario.bend import LinkBend
from spc.scenario.change import Change
from spc.scenario.outlook import Outlook
from spc.scenario.propagate import Links, moved
from spc.scenario.route import LedgerRoute, ResultRoute, RetentionSlope
from spc.words import phrase

__all__ = ["chain_links", "observed_range", "route_to_money", "simulate", "terms_of"]

RANGE = (0.05, 0.95)
Link = tuple[str, str]
Route = LedgerRoute | ResultRoute


def simulate(
    chain: ChainFit,
    loyalty: LoyaltyValue | None = None,
    changes: Sequence[Change] = (),
    *,
    retention: RetentionSlope | RetentionLink | None = None,
    result: ResultRoute | None = None,
    shapes: LinkShapes | None = None,
    lags: Mapping[Link, int] | None = None,
    periods: int | None = None,
    discount: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 1,
) -> Outlook:
    """Say what changes would bring, with the uncertainty of every step in one set of draws.

    Row i of every figure comes from row i of the chain's draws, of retention and of the mean margin. The ledger's own
    staying and margin are drawn together; chain, ledger and the link between them apart from each other.

    Parameters
    ----------
    chain : ChainFit
    loyalty : LoyaltyValue, optional
        For money by way of the customers who stay, together with ``retention``; gives horizon, discount and currency.
    changes : sequence of Change
        Levers; what several of them do to one construct adds up, opposite effects cancel.
    retention : RetentionLink or RetentionSlope, optional
        How retention follows a construct of the chain, estimated (:func:`spc.retention_link`) or stated.
    result : ResultRoute, optional
        Money by way of a result of the units, in place of the customers' margins: the two tell of the same money, so
        only one is counted.
    shapes : LinkShapes, optional
        Links that are not straight are followed along their shape.
    lags : mapping of (effect, cause) to int, optional
        Periods until a link works.
    periods : int, optional
        Periods looked ahead; the horizon of ``loyalty`` by default, else 5.
    discount : float, optional
        Per period; that of ``loyalty`` by default, else 0.10.
    level : float
        Level of the intervals.
    draws : int
    seed : int

    Returns
    -------
    Outlook

    Raises
    ------
    UsageError
        No change, an unknown construct, both ways to money, or numbers out of range.

    Warns
    -----
    ExtrapolationWarning
        A construct moves further than units differ today; also a note.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> chain = spc.fit_chain(study, draws=500, method="unit_means")
    >>> lever = Change("internal_service_quality", 0.2, cost=1e5)
    >>> outlook = simulate(chain, changes=[lever], result=ResultRoute("profitability", 60.0), periods=3)
    >>> outlook.tidy().query("kind == 'moved' and lhs == 'internal_service_quality'")["estimate"].round(2).tolist()
    [0.2, 0.2, 0.2]
    >>> folder.cleanup()
    """
    ahead, rate = terms_of(loyalty, periods, discount)
    if not 0.0 < level < 1.0 or draws < 100:
        raise UsageError(f"level={level}, draws={draws}: give a share between 0 and 1, and at least 100 draws.")
    if isinstance(retention, RetentionLink):
        retention = RetentionSlope.of_link(retention, draws, seed)
    links = chain_links(chain, draws, seed, lags or {}, shapes)
    _require_known(changes, links, retention, result)
    paths: dict[str, FloatArray] = {}
    for change in changes:
        paths[change.node] = paths.get(change.node, np.zeros(ahead)) + change.path(ahead)
    everywhere = moved(links, paths)
    route = route_to_money(loyalty, retention, result, draws, seed)
    money = None if route is None else route.money(everywhere)
    spending = np.sum([change.spending(ahead) for change in changes], axis=0)
    notes = (*_far(everywhere, observed_range(chain), chain.labels), *_bend_notes(links, shapes),
             *_route_notes(route, chain))  # fmt: skip
    for note in notes:
        if note.code == "extrapolation":
            warn(note.text, ExtrapolationWarning, stacklevel=2)
    options = {"changes": [repr(change) for change in changes], "periods": ahead, "discount": rate, "draws": draws}
    return Outlook(
        changes=tuple(changes), moved=everywhere, money=money, spending=spending, discount=rate, level=level,
        period="period" if loyalty is None else loyalty.terms.period,
        currency="" if loyalty is None else loyalty.terms.currency, words="" if route is None else route.words,
        labels=chain.labels, nobs=len(chain.scores), messages=notes,
        provenance=Provenance.record(options, chain.provenance.data_fingerprint, seed),
    )  # fmt: skip


def terms_of(
    loyalty: LoyaltyValue | None, periods: int | None = None, discount: float | None = None
) -> tuple[int, float]:
    """Periods looked ahead and discount a period: those given, else those of the ledger, else 5 and 0.10.

    Raises
    ------
    UsageError
        No period, or a discount that is no share.
    """
    if periods is None:
        horizon = 5.0 if loyalty is None else loyalty.terms.horizon
        periods = int(horizon) if np.isfinite(horizon) else 10
    if discount is None:
        discount = 0.10 if loyalty is None else loyalty.terms.discount
    if periods < 1 or not 0.0 <= discount < 1.0:
        raise UsageError(f"periods={periods}, discount={discount}: give 1 or more periods and a share from 0 below 1.")
    return periods, discount


def chain_links(
    chain: ChainFit, draws: int, seed: int, lags: Mapping[Link, int] | None = None, shapes: LinkShapes | None = None
) -> Links:
    """The links of a fitted chain on the scale of the data, with their draws.

    Raises
    ------
    UsageError
        Lags of links that the chain does not have.
    """
    table = chain.effects.tidy()
    direct = np.flatnonzero((table["kind"] == "direct").to_numpy())
    known = chain.effects.draws
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    rows = np.arange(draws) if len(known) == draws else rng.integers(len(known), size=draws)
    slopes = {(str(table["lhs"].iloc[i]), str(table["rhs"].iloc[i])): known[rows, i] for i in direct}
    unknown = [f"{cause} -> {effect}" for effect, cause in lags or {} if (effect, cause) not in slopes]
    if unknown or any(lag < 0 for lag in (lags or {}).values()):
        raise UsageError(f"Lags of {', '.join(unknown) or 'links'}: name links of the chain, and periods of 0 or more.")
    bends = {
        (shape.lhs, shape.rhs): (LinkBend.of(shape), shape.shapes.straight.slope)
        for shape in (() if shapes is None else shapes.links)
        if shape.name != "straight" and (shape.lhs, shape.rhs) in slopes
    }
    return Links(slopes, dict(lags or {}), bends)


def observed_range(chain: ChainFit) -> pd.DataFrame:
    """How far units (or persons) differ today: ``low, mean, high`` of each construct, low and high cutting off 5 %.

    The ends are means of a few units each (:func:`spc.disclosure.thick_quantile`), so that they tell of no single one.
    """
    scores = chain.scores.astype(float)
    low, high = (scores.apply(lambda each, end=end: thick_quantile(each.to_numpy(), end)) for end in RANGE)
    return pd.DataFrame({"low": low, "mean": scores.mean(), "high": high})


def _require_known(
    changes: Sequence[Change], links: Links, retention: RetentionSlope | None, result: ResultRoute | None
) -> None:
    if not changes:
        raise UsageError("No change given; name a construct and how far it moves, such as Change(name, +0.3).")
    if retention is not None and result is not None:
        raise UsageError("Money goes by way of the customers who stay or of a result of the units, not of both.")
    names = [*(c.node for c in changes), *(r.node for r in (retention, result) if r is not None)]
    unknown = [name for name in dict.fromkeys(names) if name not in links.order]
    if unknown:
        from spc.spec.check import nearest

        known = list(links.order)
        raise UsageError(
            f"{', '.join(unknown)}: no construct of the chain; {nearest(unknown[0], known)} It has: {', '.join(known)}."
        )


def route_to_money(
    loyalty: LoyaltyValue | None, retention: RetentionSlope | None, result: ResultRoute | None, draws: int, seed: int
) -> Route | None:
    """Way from the chain to money, with its draws; None where there is none."""
    if result is not None:
        return result
    if loyalty is None or retention is None or loyalty.margin is None or loyalty.joint.margin is None:
        return None
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    known = len(loyalty.joint.margin)
    rows = np.arange(draws) if known == draws else rng.integers(known, size=draws)
    slope = retention
    if len(slope.slopes) != draws:
        pick = rng.integers(len(slope.slopes), size=draws)
        margins = None if slope.margins is None else slope.margins[pick]
        slope = RetentionSlope(slope.node, slope.slopes[pick], slope.source, margins)
    base = loyalty.model.base(loyalty.joint.parameters[rows], loyalty.ages, loyalty.shares, ())
    return LedgerRoute(slope, base, loyalty.joint.margin[rows], float(loyalty.present))


def _far(everywhere: Mapping[str, FloatArray], today: pd.DataFrame, labels: Mapping[str, str]) -> list[Note]:
    notes = []
    for name, values in everywhere.items():
        if name not in today.index:
            continue
        low, mean, high = today.loc[[name], ["low", "mean", "high"]].to_numpy(dtype=float)[0]
        middle = mean + np.median(values, axis=0)
        far = float(middle[np.argmax(np.abs(middle - mean))])
        if far > high or far < low:
            title = labels.get(name, name)
            notes.append(Note.of("extrapolation", "warning", title, name=title, far=far, low=low, high=high))
    return notes


def _bend_notes(links: Links, shapes: LinkShapes | None) -> list[Note]:
    notes = [] if shapes is None else list(shapes.notes())
    if links.bends:
        named = ", ".join(f"{cause} -> {effect}" for effect, cause in links.bends)
        told = [phrase("table.from_to", cause=cause, effect=effect) for effect, cause in links.bends]
        notes.append(Note.of("bent_links", "info", named, links=told))
    return notes


def _route_notes(route: Route | None, chain: ChainFit) -> list[Note]:
    notes = []
    if route is None:
        notes.append(Note.of("no_money", "info", "scenario"))
    if isinstance(route, LedgerRoute):
        notes.append(Note.of("drawn_apart", "info", "scenario"))
    if not chain.interpretable:
        notes.append(Note.of("chain_not_interpretable", "serious", "scenario"))
    notes.append(Note.of("causes_assumed", "info", "scenario"))
    return notes
