"""What a reader may move in a report: levers of a study, their reach, what each brings, and the draws behind it all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from spc.chain import ChainFit, LinkShapes
from spc.economics import LoyaltyValue
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.scenario.bend import grid_step
from spc.scenario.change import Change
from spc.scenario.outlook import Outlook
from spc.scenario.propagate import Links
from spc.scenario.route import LedgerRoute, RetentionSlope
from spc.scenario.simulate import chain_links, observed_range, route_to_money, simulate, terms_of
from spc.scenario.staying import StayingCurves, staying_curves
from spc.scenario.study import study_parts
from spc.study import Study

__all__ = ["Levers", "Reach", "study_levers"]

LONGEST = 20
"""Periods looked ahead at most: draws of more would not fit into a page."""
_MOST = 8


@dataclass(frozen=True)
class Reach:
    """Where units stand today on a construct, on the grid of its slider.

    Attributes
    ----------
    low, mean, high : float
        The ends lie inside what was observed and whole steps from the mean, so that they tell of no single unit.
    step : float
    """

    low: float
    mean: float
    high: float
    step: float

    @classmethod
    def of(cls, low: float, mean: float, high: float) -> Reach:
        """Reach of observed values."""
        step = grid_step(low, high)
        down, up = math.floor((mean - low) / step + 1e-9), math.floor((high - mean) / step + 1e-9)
        return cls(mean - step * down, mean, mean + step * up, step)

    @property
    def usual(self) -> float:
        """A quarter of the way from the mean to the upper end, one step at least."""
        return float(f"{self.step * max(round((self.high - self.mean) / self.step / 4.0), 1):.6g}")

    @property
    def furthest(self) -> float:
        """The longer way to an end."""
        return max(self.high - self.mean, self.mean - self.low)


@dataclass(frozen=True, eq=False, repr=False)
class Levers(Shown):
    """Levers of a study.

    Attributes
    ----------
    outlooks : tuple of Outlook
        Each lever on its own, moved by its usual step.
    reach : mapping of str to Reach
        Of each construct, in the order of the chain.
    links : Links
    route : LedgerRoute or None
        Way to money.
    curves : StayingCurves or None
        How the present customers stay when their log odds of staying move.
    discount, level : float
    nobs : int
        Units, or persons, behind the chain.
    labels : mapping of str to str
    messages : tuple of Note
    provenance : Provenance
    """

    outlooks: tuple[Outlook, ...]
    reach: Mapping[str, Reach]
    links: Links
    route: LedgerRoute | None
    curves: StayingCurves | None
    discount: float
    level: float
    nobs: int
    labels: Mapping[str, str]
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "levers"

    @property
    def target(self) -> str:
        """Construct that money hangs on, or the last of the chain."""
        return self.links.order[-1] if self.route is None else self.route.node

    def tidy(self) -> pd.DataFrame:
        """Long table.

        ``kind`` is ``today`` (a construct: ``estimate`` its mean, the interval its reach, ``std_all`` the step of its
        slider), ``bend`` (numbers of a link that is not straight, ``label`` says which) and, for each lever moved by
        its usual step, ``lever`` (how far, and at what cost once in ``std_error`` and a period in ``statistic``),
        ``spent`` (the cost over all periods, discounted), ``moves`` (``rhs`` what moves with it), ``brings`` (money
        over all periods, less cost), ``return`` (per cost) and ``chance_of_loss``.
        """
        return self._tidy.copy()

    @cached_property
    def _tidy(self) -> pd.DataFrame:
        rows: list[dict[str, Any]] = [
            {"kind": "today", "lhs": name, "estimate": found.mean, "conf_low": found.low, "conf_high": found.high,
             "std_all": found.step}
            for name, found in self.reach.items()
        ]  # fmt: skip
        for (effect, cause), (bend, straight) in self.links.bends.items():
            rows += [
                {"kind": "bend", "lhs": effect, "op": "~", "rhs": cause, "label": label, "estimate": value}
                for label, value in {**bend.numbers(), "straight": straight}.items()
            ]
        for outlook in self.outlooks:
            rows += _of_outlook(outlook, self.target)
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: what the levers rest on, and the terms of money."""
        first = self.outlooks[0]
        return pd.DataFrame({
            "levers": [len(self.outlooks)], "target": [self.target], "periods": [first.periods],
            "period": [first.period], "discount": [self.discount], "currency": [first.currency],
            "money": [self.route is not None], "words": [first.words],
            "present": [math.nan if self.route is None else self.route.customers], "draws": [self.links.draws],
            "nobs": [self.nobs], "level": [self.level],
        })  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the levers."""
        return self.messages

    def augment(self) -> pd.DataFrame:
        """Draws, one row each: every link, and of money ``retention``, ``margin``, ``margin_slope`` and staying.

        The columns of staying are ``reach`` and ``stay_t_k``, see :class:`spc.scenario.staying.StayingCurves`. None of
        them tells of a person or a unit: they are parameters of all of them together.
        """
        columns = {f"{effect}~{cause}": values for (effect, cause), values in self.links.slopes.items()}
        if self.route is not None and self.curves is not None:
            columns |= {"retention": self.route.slope.slopes, "margin": self.route.margin}
            if self.route.slope.margins is not None:
                columns["margin_slope"] = self.route.slope.margins
            columns["reach"] = self.curves.reach
            for t, k in np.ndindex(self.curves.coefficients.shape[1:]):
                columns[f"stay_{t + 1}_{k}"] = self.curves.coefficients[:, t, k]
        return pd.DataFrame(columns)


def _of_outlook(outlook: Outlook, target: str) -> list[dict[str, Any]]:
    change, frame = outlook.changes[0], outlook.tidy()
    last = frame[(frame["kind"] == "moved") & (frame["rhs"] == str(outlook.periods)) & (frame["lhs"] == target)]
    rows: list[dict[str, Any]] = [{"kind": "lever", "lhs": change.node, "label": change.name, "estimate": change.by,
                                   "std_error": change.cost, "statistic": change.running_cost}]  # fmt: skip
    rows.append({"kind": "spent", "lhs": change.node, "estimate": float(outlook.glance()["cost"].iloc[0])})
    rows += [_taken(row, "moves", change.node, target) for row in last.to_dict("records")]
    for kind, name in (("present_value", "brings"), ("return", "return"), ("chance_of_loss", "chance_of_loss")):
        found = frame[frame["kind"] == kind].to_dict("records")
        rows += [_taken(row, name, change.node) for row in found]
    return rows


def _taken(row: Mapping[Any, Any], kind: str, lever: str, of: str = "") -> dict[str, Any]:
    kept = {name: row[name] for name in ("estimate", "std_error", "conf_low", "conf_high")}
    return {"kind": kind, "lhs": lever, "rhs": of, **kept}


def study_levers(
    study: Study,
    *,
    chain: ChainFit | None = None,
    loyalty: LoyaltyValue | None = None,
    shapes: LinkShapes | None = None,
    draws: int = 2000,
    seed: int | None = None,
    level: float = 0.95,
) -> Levers:
    """Make the levers of a study ready for a report.

    The levers are those of the study document, else every construct on the way to money (on the way to the last
    construct, in a study without). Each is moved by about a quarter of the way from today's mean to the best units.

    Parameters
    ----------
    study : Study
    chain : ChainFit, optional
    loyalty : LoyaltyValue, optional
    shapes : LinkShapes, optional
        Fitted or tested here where not given.
    draws : int
    seed : int, optional
        The study's own when not given.
    level : float

    Returns
    -------
    Levers
        The same numbers that :func:`spc.simulate_study` gives with the same draws and seed.

    Raises
    ------
    DataError
        The study has no chain.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=40).write(folder.name))
    >>> levers = study_levers(study, draws=200)
    >>> levers.target, len(levers.augment())
    ('customer_loyalty', 200)
    >>> folder.cleanup()
    """
    seed = study.seed if seed is None else seed
    parts = study_parts(study, chain=chain, loyalty=loyalty, shapes=shapes, draws=draws, seed=seed, level=level)
    ahead, discount = terms_of(parts.loyalty)
    ahead = min(ahead, LONGEST)
    links = chain_links(parts.chain, draws, seed, {}, parts.shapes)
    slope = None if parts.retention is None else RetentionSlope.of_link(parts.retention, draws, seed)
    route = route_to_money(parts.loyalty, slope, None, draws, seed)
    route = route if isinstance(route, LedgerRoute) else None
    reach = _reach(observed_range(parts.chain), links.order)
    target = links.order[-1] if route is None else route.node
    before = _ancestors(links, target) - (set() if route is not None else {target})
    moves = _moves(study, links, before, reach)
    outlooks = tuple(
        simulate(parts.chain, parts.loyalty, [move], retention=parts.retention, shapes=parts.shapes, periods=ahead,
                 draws=draws, seed=seed, level=level)
        for move in moves
    )  # fmt: skip
    notes = dict.fromkeys([*_left_out(study, links), *(note for outlook in outlooks for note in outlook.notes())])
    return Levers(
        outlooks, reach, links, route, None if route is None else staying_curves(route, _furthest(links, reach), ahead),
        discount, level, len(parts.chain.scores), parts.chain.labels, (*parts.messages, *notes),
        Provenance.record({"draws": draws, "periods": ahead}, parts.chain.provenance.data_fingerprint, seed),
    )  # fmt: skip


def _reach(today: pd.DataFrame, order: Sequence[str]) -> dict[str, Reach]:
    ends = today.loc[list(order), ["low", "mean", "high"]].to_numpy(dtype=float)
    return {name: Reach.of(*map(float, row)) for name, row in zip(order, ends, strict=True)}


def _moves(study: Study, links: Links, before: Set[str], reach: Mapping[str, Reach]) -> list[Change]:
    stated = [
        Change(lever.construct, lever.by or reach[lever.construct].usual, cost=lever.cost,
               running_cost=lever.running_cost, name=lever.label)
        for lever in study.report.levers
        if lever.construct in links.order
    ]  # fmt: skip
    if stated:
        return stated
    return [Change(name, reach[name].usual) for name in links.order if name in before][:_MOST]


def _left_out(study: Study, links: Links) -> list[Note]:
    outside = [lever.construct for lever in study.report.levers if lever.construct not in links.order]
    return [Note.of("lever_left_out", "warning", name, name=name) for name in outside]


def _ancestors(links: Links, target: str) -> set[str]:
    """A construct and all that leads to it."""
    found, waiting = {target}, [target]
    while waiting:
        name = waiting.pop()
        more = {cause for effect, cause in links.slopes if effect == name} - found
        found |= more
        waiting += more
    return found


def _furthest(links: Links, reach: Mapping[str, Reach]) -> dict[str, FloatArray]:
    """How far each construct can move at most on each draw, when every lever stands at an end."""
    far: dict[str, FloatArray] = {}
    for name in links.order:
        total = np.full(links.draws, reach[name].furthest)
        for (effect, cause), slopes in links.slopes.items():
            if effect == name:
                bend = links.bends.get((effect, cause))
                total = total + (np.abs(slopes) * far[cause] if bend is None else _bent(bend, slopes, far[cause]))
        far[name] = total
    return far


def _bent(bend: tuple[Any, float], slopes: FloatArray, far: FloatArray) -> FloatArray:
    response, straight = bend
    grid = np.linspace(-1.0, 1.0, 41) * float(far.max())
    return np.asarray(np.abs(response(grid)).max() * np.abs(slopes / straight if straight else np.ones_like(slopes)))
