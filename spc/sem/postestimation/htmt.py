"""Heterotrait-monotrait ratios: are two constructs two, judged from the correlations of their items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal

import numpy as np
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.resample import Rows, bootstrap
from spc.results import Note, Provenance, Replicates, Shown, fingerprint, tidy_frame
from spc.sem.engine.diagnose import of_group, of_level
from spc.sem.postestimation.item_correlations import Sample, Way, level_sample, samples_of
from spc.sem.resampling.level_draws import check_clusters
from spc.sem.result import SemFit
from spc.spec import model as read_model
from spc.spec.table import Model, blocks

__all__ = ["Htmt", "htmt"]

LIBERAL = 0.90
"""Above this two constructs are hardly two (Henseler, Ringle & Sarstedt 2015)."""

Constructs = Mapping[str, tuple[str, ...]]
Spot = tuple[int, str]
"""A construct of a level."""
Spots = Mapping[Spot, slice]
Pairs = Sequence[tuple[Spot, Spot]]


@dataclass(frozen=True, eq=False, repr=False)
class Htmt(Shown):
    """Ratios of all pairs of constructs.

    Attributes
    ----------
    table : DataFrame
        One row a group, level, pair and ratio: ``lhs`` and ``rhs`` the constructs, ``kind`` ``htmt`` or ``htmt2``.
    replicates : Replicates or None
        Bootstrap draws, of several groups side by side; None from moments alone.
    n : int
        Rows that were used.
    level : float
    remarks : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    replicates: Replicates | None
    n: int
    level: float
    remarks: tuple[Note, ...]
    provenance: Provenance
    kind: str = "htmt"

    def tidy(self) -> pd.DataFrame:
        """One row a pair and ratio; intervals are percentiles of the bootstrap."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: pairs, rows, draws, and the largest of each ratio."""
        most = self.table.groupby("kind")["estimate"].max()
        draws = 0 if self.replicates is None else len(self.replicates.values)
        pairs = len(self.table[["lhs", "rhs", "level"]].drop_duplicates())
        row = {"npairs": pairs, "nobs": self.n, "draws": draws, "level": self.level}
        return pd.DataFrame([{**row, "largest_htmt": most["htmt"], "largest_htmt2": most["htmt2"]}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the ratios."""
        return self.remarks


def htmt(
    model: SemFit | Model | str | Mapping[str, Sequence[str]],
    data: pd.DataFrame | Moments | None = None,
    *,
    group: str | None = None,
    ordered: Sequence[str] = (),
    missing: Literal["listwise", "fiml"] | None = None,
    cluster: str | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 1,
) -> Htmt:
    r"""Heterotrait-monotrait ratio of correlations of every pair of constructs, with bootstrap intervals.

    The mean absolute correlation between the items of two constructs, over the geometric mean of the mean absolute
    correlations within each (Henseler, Ringle & Sarstedt 2015, Journal of the Academy of Marketing Science 43,
    115-135). HTMT2 takes geometric means of the correlations throughout, which lifts the assumption of equal loadings
    (Roemer, Schuberth & Henseler 2021, Industrial Management & Data Systems 121, 2637-2650). Values up to .85 speak
    for two constructs, values above .90 against it; look at the upper end of the interval.

    Parameters
    ----------
    model : SemFit, Model, str or mapping
        A fit, or a model whose ``=~`` rows say which items belong to which construct, its text, or a mapping from
        constructs to items. Constructs measured by constructs are left out. A fit brings its ``group``, ``ordered``,
        ``missing`` and ``cluster``, unless these are given; one of two levels has ratios within clusters and between
        them, from the free covariances of each level.
    data : DataFrame or Moments, optional
        Rows; or moments, without intervals. A fit of two levels keeps what is needed of its rows.
    group : str, optional
        Column of groups, each of which has ratios of its own.
    ordered : sequence of str
        Items whose polychoric (and polyserial) correlations are taken, from all rows that answer a pair.
    missing : {"listwise", "fiml"}, optional
        Complete rows, or the correlations that are most likely given all answers.
    cluster : str, optional
        Column of clusters, which are drawn whole.
    level : float
    draws : int
        Bootstrap draws of whole rows, or clusters; 0 for no intervals. Draws with ordered items, with missing answers
        and of two levels take some hundredths of a second each, of two levels with missing answers some tenths.
    seed : int

    Returns
    -------
    Htmt

    Raises
    ------
    DataError
        Columns are absent, not numeric or constant.
    UsageError
        Fewer than two constructs, a construct of a single item (its items have no correlations among them), an item of
        two constructs, ``level`` or ``draws`` out of range, groups, clusters or ordered items of moments; a model of
        two levels that is not fitted, or a fit of one level without data.

    Notes
    -----
    Equal to ``htmt`` of semTools, which has neither groups nor intervals. Between clusters the ratio asks whether
    clusters that are high on one construct are high on another; items that hardly vary between clusters (reliability of
    their means below .01) have no correlations there, and ratios that rest on them are missing, with a note.

    Examples
    --------
    >>> r = [[1.0, 0.6, 0.3, 0.3], [0.6, 1.0, 0.3, 0.3], [0.3, 0.3, 1.0, 0.6], [0.3, 0.3, 0.6, 1.0]]
    >>> ratios = htmt({"mood": ["a", "b"], "skill": ["c", "d"]}, Moments(list("abcd"), 100, None, r))
    >>> ratios.tidy()[["lhs", "rhs", "kind", "estimate"]]
        lhs    rhs   kind  estimate
    0  mood  skill   htmt       0.5
    1  mood  skill  htmt2       0.5
    """
    if not 0.0 < level < 1.0 or draws < 0:
        raise UsageError(f"level={level!r}, draws={draws!r}: expected a share such as 0.95, and 0 or more draws.")
    constructs = _levels(model)
    spots = _spots(constructs)
    pairs = [pair for at in constructs for pair in combinations([spot for spot in spots if spot[0] == at], 2)]
    columns = [f"{kind}: {_pair_name(pair)}" for kind in ("htmt", "htmt2") for pair in pairs]
    samples = _samples(model, data, constructs, (group, ordered, missing, cluster))
    found = [_of_sample(sample, spots, pairs, columns, draws, seed) for sample in samples]
    table = pd.concat([_table(point, made, pairs, level, one.label) for one, point, made in found], ignore_index=True)
    replicates = _together([(one.label, made) for one, _, made in found])
    digest = fingerprint(*(one.correlations for one, _, _ in found))
    provenance = Provenance.record({"level": level, "draws": draws}, digest, seed)
    notes = tuple(_notes(table, found, spots, replicates))
    return Htmt(table, replicates, sum(one.n for one, _, _ in found), level, notes, provenance)


_Asked = tuple[str | None, Sequence[str], Literal["listwise", "fiml"] | None, str | None]


def _samples(
    model: SemFit | Model | str | Mapping[str, Sequence[str]],
    data: pd.DataFrame | Moments | None,
    constructs: Mapping[int, Constructs],
    asked: _Asked,
) -> Sequence[Sample]:
    """Each group with the correlations of its items."""
    items = [[item for own in constructs.get(at, {}).values() for item in own] for at in (1, 2)]
    if isinstance(model, SemFit) and model.levels is not None:
        if any(asked):
            raise UsageError("A fit of two levels has its groups, items and clusters: leave these out.")
        if isinstance(data, Moments):
            raise UsageError("A fit of two levels keeps what is needed of its rows: leave the moments out.")
        check_clusters(model, data)
        return [level_sample(group, (items[0], items[1])) for group in model.levels.groups]
    if data is None:
        raise UsageError("Give the rows as a DataFrame, or Moments; a fit of two levels alone keeps them.")
    return list(samples_of(data, items[0], _way(model, data, items[0], *asked)))


def _pair_name(pair: tuple[Spot, Spot]) -> str:
    (at, one), (_, other) = pair
    return f"{one} ~~ {other}" + (".l2" if at == 2 else "")


def _way(
    model: SemFit | Model | str | Mapping[str, Sequence[str]],
    data: pd.DataFrame | Moments,
    names: Sequence[str],
    group: str | None,
    ordered: Sequence[str],
    missing: Literal["listwise", "fiml"] | None,
    cluster: str | None,
) -> Way:
    """How correlations are had: as asked for, else as a fit had them."""
    if isinstance(data, Moments):
        if group is not None or ordered or cluster is not None:
            raise UsageError("Groups, clusters and ordered items need rows: give a DataFrame.")
        return Way(None, (), "listwise")
    if isinstance(model, SemFit):
        options = model.options
        group = options.group if group is None else group
        cluster = options.cluster if cluster is None else cluster
        ordered = ordered or model.model.ordinal
        missing = ("fiml" if options.missing == "fiml" else "listwise") if missing is None else missing
    wanted = (ordered,) if isinstance(ordered, str) else tuple(ordered)
    return Way(group, tuple(name for name in names if name in wanted), missing or "listwise", cluster)


_Found = tuple[Sample, FloatArray, Replicates | None]


def _of_sample(sample: Sample, spots: Spots, pairs: Pairs, columns: Sequence[str], draws: int, seed: int) -> _Found:
    """Ratios of one group, and their draws."""
    point = _ratios(sample.correlations, spots, pairs)
    if not draws or sample.redrawn is None:
        return sample, point, None
    redrawn = sample.redrawn

    def statistic(rows: Rows) -> FloatArray:
        return _ratios(redrawn(rows), spots, pairs)

    made = bootstrap(statistic, columns, n=sample.drawable, draws=draws, seed=seed, cluster=sample.cluster, what="HTMT")
    return sample, point, made


def _together(each: Sequence[tuple[str, Replicates | None]]) -> Replicates | None:
    """Draws of several groups side by side, as many as the fewest that succeeded."""
    made = [(label, one) for label, one in each if one is not None]
    if len(made) < 2:
        return made[0][1] if made else None
    most = min(len(one.values) for _, one in made)
    failures: dict[str, int] = {}
    for _, one in made:
        for reason, count in one.failures.items():
            failures[reason] = failures.get(reason, 0) + count
    names = tuple(f"{label}: {name}" for label, one in made for name in one.names)
    values = np.concatenate([one.values[:most] for _, one in made], axis=1)
    return replace(made[0][1], values=values, names=names, failures=failures)


def _levels(model: SemFit | Model | str | Mapping[str, Sequence[str]]) -> dict[int, Constructs]:
    """Constructs with their items, by level."""
    fitted = isinstance(model, SemFit)
    if isinstance(model, SemFit):
        model = model.model
    if isinstance(model, str):
        model = read_model(model)
    if not isinstance(model, Model):
        given = {str(name): tuple(items) for name, items in model.items()}
        _check_constructs(given)
        return {1: given}
    if len(model.levels) < 2:
        own = _constructs(model)
        _check_constructs(own)
        return {1: own}
    if not fitted:
        raise UsageError("A model of two levels has ratios on both once it is fitted: give the fit.")
    every = {block.level: _constructs(block.model) for block in blocks(model)[:2]}
    found = {at: own for at, own in every.items() if len(own) > 1}
    for own in found.values() or every.values():
        _check_constructs(own)
    return found


def _constructs(model: Model) -> Constructs:
    latents, given = set(model.latents), dict[str, tuple[str, ...]]()
    for name in model.latents:
        rows = [row.rhs for row in model.parameters if row.op == "=~" and row.lhs == name and row.fixed != 0.0]
        given[name] = tuple(dict.fromkeys(item for item in rows if item not in latents))
        if any(item in latents for item in rows) and not given[name]:
            del given[name]
    return given


def _check_constructs(given: Constructs) -> None:
    if len(given) < 2:
        raise UsageError(f"Found {len(given)} constructs with items; a ratio needs two or more.")
    single = [name for name, items in given.items() if len(items) < 2]
    if single:
        raise UsageError(
            f"{', '.join(single)}: a construct of a single item has no correlations within it to compare with. Leave "
            "it out, or give it a second item."
        )
    every = [item for items in given.values() for item in items]
    twice = sorted({item for item in every if every.count(item) > 1})
    if twice:
        raise UsageError(
            f"{', '.join(twice)}: an item of two constructs cannot tell them apart. Give it to one of them."
        )


def _spots(constructs: Mapping[int, Constructs]) -> dict[Spot, slice]:
    spots, start = {}, 0
    for level, own in constructs.items():
        for name, items in own.items():
            spots[level, name] = slice(start, start + len(items))
            start += len(items)
    return spots


def _ratios(correlations: FloatArray, spots: Spots, pairs: Pairs) -> FloatArray:
    """HTMT of all pairs, then HTMT2 of all pairs."""
    size = np.abs(correlations)
    with np.errstate(divide="ignore"):
        log = np.log(size)
    within = {name: np.triu_indices(spot.stop - spot.start, 1) for name, spot in spots.items()}
    mean = {name: float(size[spots[name], spots[name]][at].mean()) for name, at in within.items()}
    geometric = {name: float(log[spots[name], spots[name]][at].mean()) for name, at in within.items()}
    plain = [float(size[spots[a], spots[b]].mean()) / np.sqrt(mean[a] * mean[b]) for a, b in pairs]
    second = [np.exp(float(log[spots[a], spots[b]].mean()) - 0.5 * (geometric[a] + geometric[b])) for a, b in pairs]
    return np.array([*plain, *second])


def _table(point: FloatArray, replicates: Replicates | None, pairs: Pairs, level: float, group: str) -> pd.DataFrame:
    error = low = high = np.full(point.size, np.nan)
    if replicates is not None:
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(replicates.values, [tail, 1.0 - tail], axis=0)
        error = replicates.values.std(axis=0, ddof=1) if len(replicates.values) > 1 else error
    kinds = [kind for kind in ("htmt", "htmt2") for _ in pairs]
    rows = zip((*pairs, *pairs), kinds, point, error, low, high, strict=True)
    return tidy_frame([
        {"lhs": one, "op": "~~", "rhs": other, "level": str(at), "group": group or "1", "kind": kind, "estimate": value,
         "std_error": error, "conf_low": low, "conf_high": high}
        for ((at, one), (_, other)), kind, value, error, low, high in rows
    ])  # fmt: skip


def _notes(table: pd.DataFrame, found: Sequence[_Found], spots: Spots, replicates: Replicates | None) -> Iterator[Note]:
    if replicates is None:
        yield Note("no_interval", "info", "all pairs", "There are no intervals: these need rows and bootstrap draws.")
    elif replicates.failures:
        yield Note(
            "failed_draws", "warning", "all pairs",
            f"{sum(replicates.failures.values())} bootstrap draws failed, because an item did not vary in them.",
        )  # fmt: skip
    levels = sorted({at for at, _ in spots})
    for (sample, _, _), at in product(found, levels):
        own = table[(table["group"] == (sample.label or "1")) & (table["level"] == str(at))]
        here = {name: spot for (level, name), spot in spots.items() if level == at}
        notes = of_level([*_close(own), *_items(sample, here)], at if levels != [1] else 0)
        yield from of_group(notes, sample.label)


def _close(table: pd.DataFrame) -> Iterator[Note]:
    upper = table["conf_high"].fillna(table["estimate"])
    for row in table[(table["kind"] == "htmt") & (upper > LIBERAL)].itertuples(index=False):
        yield Note(
            "not_distinct", "warning", f"{row.lhs} and {row.rhs}",
            f"The ratio of {row.lhs} and {row.rhs} may be above {LIBERAL:.2f}: they can hardly be told apart by these "
            "items. Merge them, or look for items that say the same.",
        )  # fmt: skip


def _items(sample: Sample, spots: Mapping[str, slice]) -> Iterator[Note]:
    for name, spot in spots.items():
        if np.isnan(sample.correlations[spot, spot].diagonal()).any():
            yield Note.of("no_variation_between", "serious", name, name=name)
        if (sample.correlations[spot, spot] < 0.0).any():
            yield Note(
                "mixed_signs", "serious", name,
                f"Items of {name} correlate negatively with one another; the ratio takes sizes only. Reverse the items "
                "that run the other way.",
            )  # fmt: skip
