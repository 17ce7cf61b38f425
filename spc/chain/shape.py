"""The shape of each link of a study's chain: straight, curved, steeper for loss than for gain, or with a threshold.

Units' scores, or persons', carry error; each cause is replaced by what it is expected to be given its score
(:mod:`spc.regression.shape`). Where cause and effect come from the same people of a unit, the two are taken from two
random halves of them, each way round: what chance did to one half says nothing about the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.links import outcomes, required_chain
from spc.chain.rows import AnalysisRows, analysis_rows, at_wave
from spc.chain.served import served_units
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.regression.shape import FEWEST_ROWS, Bend, Cause, Line, Shapes, link_shape
from spc.resample import replicate_rng
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.spec import model
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, alpha, keyed_items, score
from spc.survey.intraclass import random_intercept, unit_sums

__all__ = ["LinkShape", "LinkShapes", "link_shapes"]

Codes = npt.NDArray[np.intp]
Half = npt.NDArray[np.bool_]
SHAPES = ("straight", "curved", "asymmetric", "threshold")
_GRID = 25


@dataclass(frozen=True, eq=False)
class LinkShape:
    """The shape of one link.

    Attributes
    ----------
    lhs, rhs : str
        Outcome and cause.
    shapes : Shapes
    name : {"straight", "curved", "asymmetric", "threshold"}
        The departure from a straight line that stands after correcting for all that were tried; else straight.
    p_values : mapping of str to float
        Of each departure, corrected (Holm) over all departures of all links.
    low, high : float
        Least and greatest expected value of the cause: the range that was observed.
    rows : int
        Units, or persons.
    """

    lhs: str
    rhs: str
    shapes: Shapes
    name: str
    p_values: Mapping[str, float]
    low: float
    high: float
    rows: int

    def response(self, x: FloatArray) -> FloatArray:
        """Change of the outcome when the cause moves from its mean to ``x``, along the shape that stands.

        Outside the observed range the outcome stays where the range ends.

        Parameters
        ----------
        x : (n,) array
            Values of the cause in its own units.
        """
        x = np.clip(np.asarray(x, dtype=np.float64), self.low, self.high)
        return _response(self.shapes, self.name, x)

    def change(self, by: FloatArray) -> FloatArray:
        """Change of the outcome when the cause moves from its mean by so much; see :meth:`response`."""
        return self.response(self.shapes.middle + by)


def _response(shapes: Shapes, name: str, x: FloatArray) -> FloatArray:
    far = x - shapes.middle
    if name == "curved":
        return np.asarray(shapes.straight.slope * far + shapes.square.slope * far**2)
    if name in ("asymmetric", "threshold"):
        bend: Bend = getattr(shapes, name)

        def height(at: FloatArray) -> FloatArray:
            return np.where(at < bend.point, bend.below.slope, bend.above.slope) * (at - bend.point)

        return np.asarray(height(x) - height(np.array(shapes.middle)))
    return np.asarray(shapes.straight.slope * far)


@dataclass(frozen=True, eq=False, repr=False)
class LinkShapes(Shown):
    """Shapes of all links of a chain.

    Attributes
    ----------
    links : tuple of LinkShape
    level : float
    messages : tuple of Note
    provenance : Provenance
    """

    links: tuple[LinkShape, ...]
    level: float
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "shapes"

    def tidy(self) -> pd.DataFrame:
        """Rows of each link.

        ``kind`` is ``shape`` (``label`` the shape that stands, ``p_value`` the least corrected one), ``slope``,
        ``square`` (per squared unit), ``loss`` and ``gain`` (slopes below and above the mean), ``asymmetry`` (their
        difference), ``threshold`` (where it would be; its p-value allows for the search), ``slope_below`` and
        ``slope_above`` it.
        """
        return tidy_frame([row for link in self.links for row in _rows(link, self.level)])

    def glance(self) -> pd.DataFrame:
        """One row: links, how many of them are not straight, fewest rows behind one."""
        bent = sum(link.name != "straight" for link in self.links)
        fewest = min((link.rows for link in self.links), default=0)
        return pd.DataFrame({"links": [len(self.links)], "bent": [bent], "nobs_min": [fewest]})

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the shapes."""
        return self.messages

    def augment(self) -> pd.DataFrame:
        """Curves over the observed range: ``lhs, rhs, x, change`` of the outcome against the cause at its mean."""
        parts = []
        for link in self.links:
            x = np.linspace(link.low, link.high, _GRID)
            parts.append(pd.DataFrame({"lhs": link.lhs, "rhs": link.rhs, "x": x, "change": link.response(x)}))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["lhs", "rhs", "x", "change"])


def _rows(link: LinkShape, level: float) -> list[dict[str, Any]]:
    found = link.shapes

    def row(kind: str, line: Line, p_value: float | None = None, label: str = "") -> dict[str, Any]:
        low, high = line.interval(level)
        return {
            "lhs": link.lhs, "op": "~", "rhs": link.rhs, "kind": kind, "label": label, "estimate": line.slope,
            "std_error": line.error, "statistic": line.slope / line.error,
            "p_value": line.p_value if p_value is None else p_value, "conf_low": low, "conf_high": high,
        }  # fmt: skip

    bend = found.threshold
    return [
        {"lhs": link.lhs, "op": "~", "rhs": link.rhs, "kind": "shape", "label": link.name,
         "p_value": min(link.p_values.values())},
        row("slope", found.straight),
        row("square", found.square),
        row("loss", found.asymmetric.below),
        row("gain", found.asymmetric.above),
        row("asymmetry", found.asymmetric.change),
        {"lhs": link.lhs, "op": "~", "rhs": link.rhs, "kind": "threshold", "estimate": bend.point,
         "p_value": found.threshold_p_value},
        row("slope_below", bend.below),
        row("slope_above", bend.above),
    ]  # fmt: skip


def link_shapes(study: Study, *, draws: int = 999, seed: int | None = None, level: float = 0.95) -> LinkShapes:
    """Test the shape of every link of a study's chain.

    Parameters
    ----------
    study : Study
        With a ``[chain]``.
    draws : int
        Draws behind the p-value of a threshold.
    seed : int, optional
        Seed of halves and draws; the study's own when not given.
    level : float
        Level of intervals; departures stand at ``1 - level`` after Holm's correction.

    Returns
    -------
    LinkShapes

    Raises
    ------
    DataError
        The study has no chain, or its constructs do not reach a common row.
    UsageError
        A level outside 0 to 1, or fewer than 99 draws.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> shapes = link_shapes(study, draws=99)
    >>> sorted(set(shapes.tidy().query("kind == 'shape'")["label"]))
    ['straight']
    >>> folder.cleanup()
    """
    if not 0.0 < level < 1.0 or draws < 99:
        raise UsageError(f"level={level}, draws={draws}: give a share between 0 and 1, and at least 99 draws.")
    study = served_units(study)
    asked = required_chain(study)
    seed = study.seed if seed is None else seed
    links = outcomes(model(asked.model))
    rows = analysis_rows(study, links, asked.lags)
    found, notes = [], []
    for i, (lhs, rhs) in enumerate((effect, cause) for effect, causes in links.items() for cause in causes):
        others = [name for name in links[lhs] if name != rhs]
        tested = _tested(study, rows, lhs, rhs, others, draws, replicate_rng(seed, i))
        if isinstance(tested, Note):
            notes.append(tested)
        else:
            found.append((lhs, rhs, *tested))
    options = {"draws": draws, "level": level, "model": asked.model}
    return LinkShapes(
        _corrected(found, 1.0 - level), level, tuple(notes), Provenance.record(options, study.fingerprint, seed)
    )


_Found = tuple[str, str, Shapes, FloatArray, int]


def _corrected(found: Sequence[_Found], size: float) -> tuple[LinkShape, ...]:
    """Holm's correction over all departures of all links; each link bends by its clearest, if any stands."""
    raw = {
        (lhs, rhs, name): value
        for lhs, rhs, shapes, _, _ in found
        for name, value in zip(
            SHAPES[1:],
            (shapes.square.p_value, shapes.asymmetric.change.p_value, shapes.threshold_p_value),
            strict=True,
        )
    }
    corrected, least = {}, 0.0
    for rank, key in enumerate(sorted(raw, key=raw.__getitem__)):
        least = max(least, min(1.0, raw[key] * (len(raw) - rank)))
        corrected[key] = least
    links = []
    for lhs, rhs, shapes, mean, rows in found:
        own = {name: corrected[lhs, rhs, name] for name in SHAPES[1:]}
        clearest = min(own, key=lambda name: (own[name], raw[lhs, rhs, name]))
        name = clearest if own[clearest] < size else SHAPES[0]
        links.append(LinkShape(lhs, rhs, shapes, name, own, float(mean.min()), float(mean.max()), rows))
    return tuple(links)


def _tested(
    study: Study,
    rows: AnalysisRows,
    lhs: str,
    rhs: str,
    others: Sequence[str],
    draws: int,
    rng: np.random.Generator,
) -> tuple[Shapes, FloatArray, int] | Note:
    book = {construct.name: construct for construct in study.codebook}
    outcome, causes, cluster = (
        _person_side(rows, lhs, [rhs, *others], _of_persons(study, rows, book))
        if rows.level == "person"
        else _unit_side(study, rows, book[lhs], [book[name] for name in (rhs, *others)], rng)
    )
    usable = ~np.isnan(outcome) & ~np.isnan(np.stack([cause.mean for cause in causes])).any(axis=0)
    kept = [Cause(cause.mean[usable], cause.variance[usable]) for cause in causes]
    shapes = None
    if usable.any():
        shapes = link_shape(outcome[usable], kept[0], kept[1:], cluster=cluster[usable], draws=draws, rng=rng)
    if shapes is None:
        return _untested(rows, book[lhs], book[rhs], [book[name] for name in others])
    return shapes, kept[0].mean, len(np.unique(cluster[usable])) if rows.level == "unit" else int(usable.sum())


def _untested(rows: AnalysisRows, effect: Construct, cause: Construct, others: Sequence[Construct]) -> Note:
    """Too few rows with all of them, or causes that differ too little among these."""
    there = rows.scores[[effect.name, cause.name, *(other.name for other in others)]].notna().all(axis=1)
    count, about = int(there.sum()), {"cause": cause.title, "effect": effect.title}
    what = "units" if rows.level == "unit" else "persons"
    few = count - len(others) - 3 < FEWEST_ROWS
    return Note.of("shape_not_tested", "warning", f"{effect.name} ~ {cause.name}", what if few else f"{what}_alike",
                   rows=count, **about)  # fmt: skip


def _of_persons(study: Study, rows: AnalysisRows, book: Mapping[str, Construct]) -> dict[str, float]:
    """Reliability of each construct's score among persons: alpha, 1 for single items."""
    found = {}
    for name in map(str, rows.scores):
        construct = book[name]
        if len(construct.items) < 2:
            found[name] = 1.0
            continue
        items = keyed_items(at_wave(study, construct, rows.waves), construct).dropna()
        found[name] = float(np.clip(alpha(items).estimate, 0.05, 1.0))
    return found


def _person_side(
    rows: AnalysisRows, lhs: str, names: Sequence[str], reliability: Mapping[str, float]
) -> tuple[FloatArray, list[Cause], Codes]:
    causes = []
    for name in names:
        values = rows.scores[name].to_numpy(dtype=float)
        share, spread = reliability[name], float(np.nanvar(values, ddof=1))
        mean = np.nanmean(values)
        causes.append(Cause(mean + share * (values - mean), np.full(values.size, share * (1.0 - share) * spread)))
    alone = np.arange(len(rows.scores)) if rows.unit is None else pd.factorize(rows.unit)[0]
    codes = np.where(alone < 0, alone.max() + 1 + np.arange(alone.size), alone)
    return rows.scores[lhs].to_numpy(dtype=float), causes, codes


def _unit_side(
    study: Study, rows: AnalysisRows, effect: Construct, causes: Sequence[Construct], rng: np.random.Generator
) -> tuple[FloatArray, list[Cause], Codes]:
    """Outcome and causes of units; of two halves of the respondents where any cause shares them with the outcome."""
    units = rows.scores.index
    shared = [c.table == effect.table and c.table in SIDES.values() for c in causes]
    if not any(shared):
        outcome = rows.scores[effect.name].to_numpy(dtype=float)
        return outcome, [_cause(study, rows, construct, units, None) for construct in causes], np.arange(len(units))
    half = rng.integers(0, 2, len(study.tables[effect.table])).astype(bool)
    outcome_parts, cause_parts = [], []
    for turn in (half, ~half):
        outcome_parts.append(_unit_means(study, rows, effect, units, turn))
        cause_parts.append([
            _cause(study, rows, construct, units, ~turn if same else None)
            for construct, same in zip(causes, shared, strict=True)
        ])  # fmt: skip
    outcome = np.concatenate(outcome_parts)
    joined = [
        Cause(np.concatenate([one.mean, two.mean]), np.concatenate([one.variance, two.variance]))
        for one, two in zip(*cause_parts, strict=True)
    ]
    return outcome, joined, np.tile(np.arange(len(units)), 2)


def _scores(study: Study, rows: AnalysisRows, construct: Construct, half: Half | None) -> pd.DataFrame:
    table = study.tables[construct.table]
    frame = pd.DataFrame({"unit": table["unit"], "score": score(table, construct)})
    kept = frame.index.isin(at_wave(study, construct, rows.waves).index)
    return frame[kept & (True if half is None else half)].dropna()


def _unit_means(
    study: Study,
    rows: AnalysisRows,
    construct: Construct,
    units: pd.Index[Any],
    half: Half | None,
) -> FloatArray:
    return _scores(study, rows, construct, half).groupby("unit")["score"].mean().reindex(units).to_numpy(dtype=float)


def _cause(
    study: Study,
    rows: AnalysisRows,
    construct: Construct,
    units: pd.Index[Any],
    half: Half | None,
) -> Cause:
    """What units are expected to be: means drawn toward the mean over units, the more the fewer people answered."""
    if construct.table not in SIDES.values():
        values = rows.scores[construct.name].to_numpy(dtype=float)
        return Cause(values, np.zeros(values.size))
    frame = _scores(study, rows, construct, half)
    sums = unit_sums(frame["score"].to_numpy(dtype=float), pd.factorize(frame["unit"], sort=True)[0])
    if not sums.estimable:
        return Cause(np.full(len(units), np.nan), np.zeros(len(units)))
    means = frame.groupby("unit")["score"].agg(["mean", "size"]).reindex(units).to_numpy(dtype=float)
    return Cause(*random_intercept(sums, 0.95).expected(means[:, 0], means[:, 1]))
