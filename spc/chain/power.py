"""What planned units and respondents can find: firms of known links drawn and fitted, before data are collected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import EstimationError, UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.resample import progress, replicate_rng
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.twolevel.draws import theta_draws
from spc.sem.twolevel.fit import TwoLevelFit, fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.spec import Model
from spc.spec import model as read_model
from spc.synthetic.chain import Structure, draw_waves, draw_within, structure

__all__ = ["Plan", "Power", "draw_units", "needed_in_words", "power"]

SIDES = {
    "internal_service_quality": "employee",
    "employee_satisfaction": "employee",
    "employee_loyalty": "employee",
    "customer_value": "customer",
    "customer_satisfaction": "customer",
    "customer_loyalty": "customer",
    "profitability": "",
}
LINKS = {
    ("employee_satisfaction", "internal_service_quality"): 0.60,
    ("employee_loyalty", "employee_satisfaction"): 0.60,
    ("customer_value", "employee_loyalty"): 0.35,
    ("customer_satisfaction", "customer_value"): 0.70,
    ("customer_loyalty", "customer_satisfaction"): 0.70,
    ("profitability", "customer_loyalty"): 0.42,
}
ICC = {
    "internal_service_quality": 0.20,
    "employee_satisfaction": 0.15,
    "employee_loyalty": 0.10,
    "customer_value": 0.10,
    "customer_satisfaction": 0.08,
    "customer_loyalty": 0.05,
}
_DRAWS = 400
_FEWEST_FITTED = 0.5
_MOST_UNITS = 100_000
Link = tuple[str, str]


def _frozen(mapping: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True)
class Plan:
    """A study that is planned.

    Attributes
    ----------
    units : int
    respondents : mapping of str to float
        Mean respondents a unit, for each side.
    links : mapping of (effect, cause) to float
        Standardised links among units; causes come before effects in ``sides``.
    sides : mapping of str to str
        Side of each construct, causes first; empty for results of units.
    icc : mapping of str to float
        Share of the variance of respondents' scores that lies between units.
    spread : float
        How much units differ in size: standard deviation of the logarithm of their respondents.
    within : float
        Correlation of the scores of one side within units.
    waves : int
        Waves, each with respondents of its own; the links are the same in all.
    stability : float
        Correlation of a unit with itself one wave later.

    Examples
    --------
    >>> plan = Plan(units=60, respondents={"employee": 8, "customer": 25})
    >>> plan.links[("customer_value", "employee_loyalty")]
    0.35
    """

    units: int
    respondents: Mapping[str, float]
    links: Mapping[Link, float] = field(default_factory=lambda: _frozen(LINKS))
    sides: Mapping[str, str] = field(default_factory=lambda: _frozen(SIDES))
    icc: Mapping[str, float] = field(default_factory=lambda: _frozen(ICC))
    spread: float = 0.5
    within: float = 0.5
    waves: int = 1
    stability: float = 0.7

    def __post_init__(self) -> None:
        for name in ("respondents", "links", "sides", "icc"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        wrong = _faults(self)
        if wrong:
            raise UsageError(" ".join(wrong))

    @property
    def ends(self) -> Link | None:
        """Last and first construct where a chain of links leads from one to the other; else None."""
        names = list(self.sides)
        whole = self.structure.total
        pairs = [(i, j) for j in range(len(names)) for i in range(len(names)) if abs(whole[i, j]) > 0]
        if not pairs:
            return None
        i, j = max(pairs, key=lambda pair: (pair[0] - pair[1], -pair[1]))
        return None if (names[i], names[j]) in self.links else (names[i], names[j])

    @property
    def structure(self) -> Structure:
        """The links as a path model of standardised constructs."""
        return structure(tuple(self.sides), dict(self.links))

    @property
    def model(self) -> Model:
        """The links as model text, read."""
        lines = [f"`{lhs}` ~ {' + '.join(f'`{b}`' for a, b in self.links if a == lhs)}"
                 for lhs in dict.fromkeys(a for a, _ in self.links)]  # fmt: skip
        return read_model("\n".join(lines), fixed_x=False)


def _faults(plan: Plan) -> list[str]:
    names, wrong = list(plan.sides), []
    if plan.units < 5 or plan.waves < 1:
        wrong.append(f"{plan.units} units and {plan.waves} waves: give at least 5 units and 1 wave.")
    unknown = [name for link in plan.links for name in link if name not in plan.sides]
    if unknown or not plan.links:
        wrong.append(f"Links name {', '.join(dict.fromkeys(unknown)) or 'nothing'}; constructs: {', '.join(names)}.")
    else:
        back = [f"{b} -> {a}" for a, b in plan.links if names.index(a) <= names.index(b)]
        if back:
            wrong.append(f"{', '.join(back)}: list causes before effects in `sides`.")
    for name, side in plan.sides.items():
        if side and not 0.0 < plan.icc.get(name, 0.0) < 1.0:
            wrong.append(f"icc of {name} is {plan.icc.get(name)}; give a share between 0 and 1.")
        if side and plan.respondents.get(side, 0.0) < 1.0:
            wrong.append(f"respondents of {side}: {plan.respondents.get(side)}; give at least 1 a unit.")
    if not (0.0 <= plan.within < 1.0 and 0.0 <= plan.stability < 1.0 and plan.spread >= 0.0):
        wrong.append("within and stability are shares below 1, spread is not negative.")
    return wrong


@dataclass(frozen=True, eq=False, repr=False)
class Power(Shown):
    """What a plan finds, and what to add to it.

    Attributes
    ----------
    plan : Plan
    table : DataFrame
        One row a link: ``lhs, rhs, truth, power, power_low, power_high, error, width, bias, coverage``; the last row,
        where links make a chain, is its effect from end to end.
    needs : DataFrame
        What each link needs to be found with the wanted power: ``lhs, rhs, units, respondents, waves``, one thing added
        at a time; respondents is a factor on all sides. Infinite where adding it can never be enough.
    wanted : float
        Wanted power.
    level : float
    firms, failed : int
    provenance : Provenance
    """

    plan: Plan
    table: pd.DataFrame
    needs: pd.DataFrame
    wanted: float
    level: float
    firms: int
    failed: int
    provenance: Provenance
    kind: str = "power"

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``power`` (with the interval that the number of firms leaves), ``width`` and ``needs``."""
        rows: list[dict[str, Any]] = []
        for row in self.table.to_dict("records"):
            key = {"lhs": row["lhs"], "op": "~", "rhs": row["rhs"], "std_all": row["truth"]}
            chance = {"estimate": row["power"], "conf_low": row["power_low"], "conf_high": row["power_high"]}
            rows.append({**key, "kind": "power", **chance})
            rows.append({**key, "kind": "width", "estimate": row["width"], "std_error": row["error"]})
        for row in self.needs.to_dict("records"):
            key = {"lhs": row["lhs"], "op": "~", "rhs": row["rhs"], "kind": "needs"}
            rows += [{**key, "label": what, "estimate": row[what]} for what in ("units", "respondents", "waves")]
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: the plan, and how many firms stand behind the numbers."""
        sides = {f"respondents_{side}": [value] for side, value in self.plan.respondents.items()}
        return pd.DataFrame({
            "units": [self.plan.units], **sides, "waves": [self.plan.waves], "firms": [self.firms],
            "failed": [self.failed], "wanted_power": [self.wanted], "level": [self.level],
        })  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        notes = [Note(
            "planned_truth", "info", "power", "These chances hold for links of the planned size. Take sizes from a "
            "pilot or from published studies, and look at smaller ones too.",
        )]  # fmt: skip
        weak = self.table[self.table["power"] < 0.5]
        if len(weak):
            named = ", ".join(f"{cause} -> {effect}" for effect, cause in zip(weak["lhs"], weak["rhs"], strict=True))
            notes.append(Note(
                "unlikely_to_be_found", "warning", named, f"{len(weak)} of {len(self.table)} effects are more likely "
                "missed than found: not finding them will not mean that they are absent.",
            ))  # fmt: skip
        if self.plan.waves > 1:
            notes.append(Note(
                "waves_share_units", "info", "power", "Waves of one unit are alike; widths take that from how "
                "estimates vary over the drawn firms. The analysis needs errors by unit too.",
            ))  # fmt: skip
        if self.failed:
            notes.append(Note(
                "failed_draws", "warning", "power", f"{self.failed} of {self.firms + self.failed} drawn firms could "
                "not be fitted.",
            ))  # fmt: skip
        return tuple(notes)


def power(
    plan: Plan, *, firms: int = 300, wanted: float = 0.8, level: float = 0.95, seed: int = 1, needs: bool = True
) -> Power:
    """Simulate what a planned study would find.

    Firms are drawn with the planned links, their employees' and customers' answers with the planned shares of variance
    between units, and each is fitted by the two-sided likelihood (:func:`spc.fit_two_sided`).

    Parameters
    ----------
    plan : Plan
    firms : int
        Firms drawn; the error of a chance near one half is ``0.5 / sqrt(firms)``.
    wanted : float
        Power behind ``needs``.
    level : float
        Level of the intervals; a link is found where its interval lies on its side of zero.
    seed : int
        Firm i uses ``SeedSequence(seed, spawn_key=(i,))``.
    needs : bool
        Work out what to add: this draws firms of two more designs, one with twice the respondents and one with two
        waves.

    Returns
    -------
    Power

    Raises
    ------
    UsageError
        Fewer than 20 firms, or shares outside 0 to 1.
    EstimationError
        Most of the drawn firms cannot be fitted: the plan has too few units or respondents for its chain.

    Examples
    --------
    >>> links = {("value", "mood"): 0.5, ("profit", "value"): 0.5}
    >>> sides = {"mood": "employee", "value": "customer", "profit": ""}
    >>> plan = Plan(80, {"employee": 10, "customer": 30}, links, sides, {"mood": 0.2, "value": 0.1})
    >>> found = power(plan, firms=40, needs=False)
    >>> found.table[["lhs", "rhs", "truth"]].values.tolist()
    [['value', 'mood', 0.5], ['profit', 'value', 0.5], ['profit', 'mood', 0.25]]
    """
    if firms < 20 or not (0.0 < wanted < 1.0 and 0.0 < level < 1.0):
        raise UsageError(f"firms={firms}, wanted={wanted}, level={level}: at least 20 firms, and shares in 0 to 1.")
    with one_blas_thread():
        found, failed = _simulated(plan, firms, level, seed, f"{plan.units} units")
        table = _table(plan, found, level)
        added = _needs(plan, table, firms, level, wanted, seed) if needs else _no_needs(table)
    options = {"plan": repr(plan), "firms": firms, "wanted": wanted, "level": level}
    return Power(plan, table, added, wanted, level, len(found), failed, Provenance.record(options, "none", seed))


def draw_units(plan: Plan, rng: np.random.Generator) -> UnitMoments:
    """Draw one firm of a plan; waves stand one below the other, each as units of its own."""
    names, rows = tuple(plan.sides), plan.units * plan.waves
    values = draw_waves(plan.structure, plan.units, plan.waves, plan.stability, rng).reshape(rows, len(names))
    blocks, order = [], []
    size = np.exp(plan.spread * rng.standard_normal((len(plan.respondents), plan.units)) - 0.5 * plan.spread**2)
    for s, (side, mean) in enumerate(plan.respondents.items()):
        own = [i for i, name in enumerate(names) if plan.sides[name] == side]
        if not own:
            continue
        sizes = np.maximum(np.rint(mean * np.tile(size[s], plan.waves)), 1).astype(int)
        code = np.repeat(np.arange(rows), sizes)
        share = np.array([plan.icc[names[i]] for i in own])
        noise = draw_within(code.size, len(own), plan.within, rng) * np.sqrt(1.0 - share)
        blocks.append((side, code, values[code][:, own] * np.sqrt(share) + noise))
        order += own
    last = [i for i, name in enumerate(names) if not plan.sides[name]]
    return unit_moments([names[i] for i in (*order, *last)], blocks, values[:, last])


def _simulated(plan: Plan, firms: int, level: float, seed: int, what: str) -> tuple[FloatArray, int]:
    """Estimates, errors and both ends of the intervals of all effects of the firms that could be fitted: (F, 4, e)."""
    model, found, failed = plan.model, [], 0
    for i in progress(range(firms), what, firms):
        rng = replicate_rng(seed, i)
        try:
            fit = fit_two_level(model, draw_units(plan, rng), test=False, boundary=True)
        except EstimationError:
            failed += 1
            continue
        found.append(_effects(plan, fit, level, int(rng.integers(2**31))))
    if len(found) < _FEWEST_FITTED * firms:
        raise EstimationError(
            f"{failed} of {firms} drawn firms could not be fitted: {plan.units} units with these respondents are too "
            "few for this chain. Plan more units or respondents, or fewer links."
        )
    return np.array(found), failed


def _effects(plan: Plan, fit: TwoLevelFit, level: float, seed: int) -> FloatArray:
    from scipy.special import stdtrit

    deviation = {name: math.sqrt(plan.icc[name]) if side else 1.0 for name, side in plan.sides.items()}
    place = {name: i for i, name in enumerate(fit.problem.place.names)}
    at = [place[f"{lhs}~{rhs}"] for lhs, rhs in plan.links]
    unit = np.array([deviation[rhs] / deviation[lhs] for lhs, rhs in plan.links])
    freedom = float(plan.units - 2)
    estimate, error = fit.solution.theta[at] * unit, np.sqrt(fit.vcov.diagonal()[at]) * unit
    half = float(stdtrit(freedom, 0.5 + level / 2.0)) * np.nan_to_num(error, nan=np.inf)
    columns = [estimate, error, estimate - half, estimate + half]
    if plan.ends is not None:
        drawn = theta_draws(fit, _DRAWS, seed, freedom)[:, at] * unit
        whole = _end_to_end(plan, drawn)
        ends = np.quantile(whole, [0.5 - level / 2.0, 0.5 + level / 2.0])
        one = [_end_to_end(plan, estimate[None])[0], whole.std(), *ends]
        columns = [np.append(column, value) for column, value in zip(columns, one, strict=True)]
    return np.stack(columns)


def _end_to_end(plan: Plan, links: FloatArray) -> FloatArray:
    """Total effect of the first on the last construct, for each row of links."""
    names = list(plan.sides)
    direct = np.zeros((len(links), len(names), len(names)))
    for k, (lhs, rhs) in enumerate(plan.links):
        direct[:, names.index(lhs), names.index(rhs)] = links[:, k]
    assert plan.ends is not None
    last, first = (names.index(name) for name in plan.ends)
    return np.asarray(np.linalg.inv(np.eye(len(names)) - direct)[:, last, first])


def _truth(plan: Plan) -> tuple[list[Link], FloatArray]:
    effects, truth = list(plan.links), np.array(list(plan.links.values()))
    if plan.ends is not None:
        effects, truth = [*effects, plan.ends], np.append(truth, _end_to_end(plan, truth[None])[0])
    return effects, truth


def _table(plan: Plan, found: FloatArray, level: float) -> pd.DataFrame:
    effects, truth = _truth(plan)
    estimate, error, low, high = (found[:, k] for k in range(4))
    if plan.waves > 1:
        low, high = _widened(estimate, low), _widened(estimate, high)
    side = np.sign(truth)
    hit = np.where(side >= 0, low > 0.0, high < 0.0)
    ends = [_wilson(int(column.sum()), len(column)) for column in hit.T]
    width = np.median(high - low, axis=0)
    middle = np.median(estimate, axis=0)
    return pd.DataFrame({
        "lhs": [a for a, _ in effects], "rhs": [b for _, b in effects], "truth": truth, "power": hit.mean(axis=0),
        "power_low": [a for a, _ in ends], "power_high": [b for _, b in ends], "error": np.median(error, axis=0),
        "width": width, "bias": middle - truth, "coverage": ((low <= truth) & (truth <= high)).mean(axis=0),
    })  # fmt: skip


def _widened(estimate: FloatArray, end: FloatArray) -> FloatArray:
    """Ends moved out where estimates vary more over firms than their errors say."""
    quarter = np.quantile(estimate, [0.25, 0.75], axis=0)
    said = np.median(np.abs(end - estimate), axis=0)
    seen = (quarter[1] - quarter[0]) / 1.349 * 1.96
    return np.asarray(estimate + (end - estimate) * np.maximum(seen / said, 1.0))


def _wilson(hits: int, n: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, n, method="wilson")
    return float(low), float(high)


def _no_needs(table: pd.DataFrame) -> pd.DataFrame:
    return table.loc[[], ["lhs", "rhs"]].assign(units=[], respondents=[], waves=[])


def _needs(plan: Plan, table: pd.DataFrame, firms: int, level: float, wanted: float, seed: int) -> pd.DataFrame:
    """What to add, one thing at a time, from how the error falls when it is doubled.

    The squared error falls as one over the units, and as ``a + b / m`` with m times the respondents or m waves: what
    respondents or waves cannot take away is ``a``.
    """
    from scipy.special import ndtri

    firms = max(20, firms // 2)
    more = replace(plan, respondents={side: 2.0 * mean for side, mean in plan.respondents.items()})
    twice = replace(plan, waves=2 * plan.waves)
    goal = (table["truth"].abs() / float(ndtri(0.5 + level / 2.0) + ndtri(wanted))).to_numpy(dtype=float) ** 2
    now = _squared_errors(table, level)
    errors = {
        what: _squared_errors(_table(other, _simulated(other, firms, level, seed + 1, words)[0], level), level)
        for what, other, words in (
            ("respondents", more, "Twice the respondents"), ("waves", twice, "Twice the waves")
        )
    }  # fmt: skip
    units = np.minimum(np.ceil(plan.units * now / goal), _MOST_UNITS)
    out = {"lhs": table["lhs"], "rhs": table["rhs"], "units": np.where(now <= goal, plan.units, units)}
    for what, half in errors.items():
        falling = np.maximum(2.0 * (now - half), 0.0)
        least = now - falling
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(goal > least, falling / (goal - least), np.inf)
        size = 1.0 if what == "respondents" else float(plan.waves)
        factor = np.where(now <= goal, size, size * np.maximum(factor, 1.0))
        out[what] = np.ceil(factor) if what == "waves" else np.round(factor, 1)
    return pd.DataFrame(out)


def _squared_errors(table: pd.DataFrame, level: float) -> FloatArray:
    from scipy.special import ndtri

    return np.asarray((table["width"] / (2.0 * ndtri(0.5 + level / 2.0))) ** 2, dtype=np.float64)


def needed_in_words(result: Power) -> tuple[str, ...]:
    """One sentence an effect that is not found often enough: what would find it.

    Examples
    --------
    >>> links = {("value", "mood"): 0.5}
    >>> plan = Plan(30, {"employee": 10, "customer": 30}, links, {"mood": "employee", "value": "customer"},
    ...             {"mood": 0.2, "value": 0.1})
    >>> sentences = needed_in_words(power(plan, firms=40))
    >>> sentences[0].startswith("mood -> value: found in")
    True
    """
    said = []
    for row, need in zip(result.table.to_dict("records"), result.needs.to_dict("records"), strict=True):
        if row["power"] >= result.wanted:
            continue
        ways = []
        if need["units"] < _MOST_UNITS:
            ways.append(f"{need['units']:,.0f} units in place of {result.plan.units:,}")
        if need["respondents"] < 20:
            ways.append(f"{need['respondents']:.1f} times the respondents")
        if need["waves"] <= 12:
            ways.append(f"{need['waves']:.0f} waves in place of {result.plan.waves}")
        how = ", or ".join(ways) or "more units, respondents or waves than firms have"
        said.append(
            f"{row['rhs']} -> {row['lhs']}: found in {row['power']:.0%} of such studies; {result.wanted:.0%} would "
            f"take {how}."
        )
    return tuple(said)
