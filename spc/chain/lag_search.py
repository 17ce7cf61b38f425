"""How many waves a link takes: every lag within units, with a correction for having looked at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.panel_rows import KEY, WAVE, given_waves, over_waves, waves_of
from spc.chain.two_way import TwoWay, two_way
from spc.errors import DataError, UnsupportedError, UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.regression.wild import cluster_weights
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame
from spc.study import Study

__all__ = ["LagSearch", "lag_search"]

IntArray = npt.NDArray[np.intp]
Control = Literal["fixed_effects", "differences"]
Row = dict[str, Any]
FEWEST_UNITS = 6
FEW_UNITS = 20
BATCH = 2_000_000
"""Numbers drawn at once."""


@dataclass(frozen=True, eq=False, repr=False)
class LagSearch(Shown):
    """A link at every lag.

    Attributes
    ----------
    table : DataFrame
        Tidy rows.
    best : int
        The lag, in waves, whose t value is largest in size.
    p_value : float
        That no lag has a link, corrected for the search.
    nunits : int
    waves : tuple
    messages : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    best: int
    p_value: float
    nunits: int
    waves: tuple[Any, ...]
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "lags"

    def tidy(self) -> pd.DataFrame:
        """Rows of each lag, ``label`` telling it.

        ``kind`` is ``lag`` (effect on cause, ``p_value`` of this lag alone), ``lag_corrected`` (``p_value`` allowing
        for all lags searched), ``best_lag`` (``estimate`` in waves, ``p_value`` corrected), and ``reverse_lag``,
        ``reverse_lag_corrected`` and ``best_reverse_lag`` of the cause on the effect, from one wave on.
        """
        return self.table

    def glance(self) -> pd.DataFrame:
        """One row: best lag, its corrected p-value, lags searched, units, waves."""
        lags = int((self.table["kind"] == "lag").sum())
        return pd.DataFrame([{
            "best_lag": self.best, "p_value": self.p_value, "lags": lags, "nobs": self.nunits,
            "nunits": self.nunits, "waves": len(self.waves),
        }])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        return self.messages


def lag_search(
    data: Study | pd.DataFrame,
    cause: str,
    effect: str,
    *,
    max_lag: int | None = None,
    unit: str = "unit",
    wave: str = "wave",
    rows: Literal["unit", "person"] = "unit",
    control: Control = "fixed_effects",
    joint: bool = True,
    draws: int = 1999,
    level: float = 0.95,
    seed: int | None = None,
) -> LagSearch:
    """Estimate a link at each lag from none to ``max_lag``, and the reverse beside it.

    All lags are estimated on the same rows, with effects of units and of waves taken out: what is stable about a unit
    and what a wave does to all units say nothing.

    Parameters
    ----------
    data : Study or DataFrame
        A frame has one row a unit and wave.
    cause, effect : str
    max_lag : int, optional
        In waves; by default as many as leave two waves of the effect, at most 6.
    unit, wave : str
        Columns of the frame.
    rows : {"unit", "person"}
        What a row of a study is.
    control : {"fixed_effects", "differences"}
        How what is stable about units is taken out: deviations from their means, or changes from wave to wave.
    joint : bool
        Each lag given the others. Apart, a link at one lag shows at its neighbours too, and with few waves with the
        opposite sign, for a unit's waves cannot all be above their mean.
    draws : int
        Of the wild bootstrap by unit.
    level : float
        Level of the intervals.
    seed : int, optional
        The study's own, or 1, when not given.

    Returns
    -------
    LagSearch

    Raises
    ------
    DataError
        Columns or constructs that are absent, too few waves for the lags, or too few units.
    UsageError
        Lags, draws or a level out of range.

    Notes
    -----
    The p-value is that of the largest t value among the lags: residuals of the effect are turned over at random, unit
    by unit, all lags are estimated again, and the largest t value is kept. Single lags are corrected against the same
    draws (single-step maxT; Westfall & Young 1993, *Resampling-Based Multiple Testing*). Errors are clustered by unit.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> mood = rng.normal(size=(60, 9))
    >>> sales = rng.normal(size=(60, 9)) + rng.normal(size=(60, 1))
    >>> sales[:, 2:] += 0.5 * mood[:, :-2]
    >>> frame = pd.DataFrame({"unit": np.repeat(range(60), 9), "wave": np.tile(range(9), 60),
    ...                       "mood": mood.ravel(), "sales": sales.ravel()})
    >>> found = lag_search(frame, "mood", "sales", max_lag=4, draws=499)
    >>> found.best, found.p_value < 0.01
    (2, True)
    """
    if not 0.0 < level < 1.0 or draws < 99:
        raise UsageError(f"level={level}, draws={draws}: give a share between 0 and 1, and at least 99 draws.")
    if control not in get_args(Control):
        raise UnsupportedError(f"control={control!r}; use one of {', '.join(map(repr, get_args(Control)))}.")
    if cause == effect:
        raise UsageError(f"cause and effect are both {cause!r}; name two.")
    if isinstance(data, Study):
        seed = data.seed if seed is None else seed
        long, mark = over_waves(data, [cause, effect], rows), data.fingerprint
    else:
        long, mark = given_waves(data, [cause, effect], unit, wave), fingerprint(data)
    seed = 1 if seed is None else seed
    waves = waves_of(long, [cause, effect])
    longest = _longest(len(waves), max_lag)
    grids = {name: _grid(long, name, waves) for name in (cause, effect)}
    if control == "differences":
        grids = {name: np.diff(grid, axis=1) for name, grid in grids.items()}
    rng = np.random.default_rng(seed)
    with one_blas_thread():
        forward = _searched(grids[effect], grids[cause], longest, 0, control, draws, rng, joint=joint)
        backward = _searched(grids[cause], grids[effect], longest, 1, control, draws, rng, joint=joint)
    if forward is None:
        raise DataError.of(
            "data", KEY, "too_few_units", f"fewer than {FEWEST_UNITS} units, or a cause that does not vary in them",
            f"at least {FEWEST_UNITS} units seen at {longest + 2} waves in a row", "Try a smaller max_lag.",
        )  # fmt: skip
    reverse = _rows(backward, cause, effect, "reverse_", level) if backward else []
    table = tidy_frame([*_rows(forward, effect, cause, "", level), *reverse])
    notes = tuple(_notes(data, cause, effect, waves, forward, backward, 1.0 - level))
    options = {"cause": cause, "effect": effect, "max_lag": longest, "control": control, "draws": draws,
               "level": level, "joint": joint}  # fmt: skip
    return LagSearch(
        table, forward.best, forward.p_value, forward.units, tuple(waves), notes, Provenance.record(options, mark, seed)
    )


def _longest(waves: int, asked: int | None) -> int:
    most = waves - 2
    if most < 1:
        raise DataError.of(
            "data", WAVE, "too_few_waves", f"{waves} waves", "at least three", "Two waves have a single lag.",
        )  # fmt: skip
    if asked is None:
        return min(most, 6)
    if not 0 <= asked <= most:
        raise UsageError(f"max_lag={asked}; with {waves} waves give a number from 0 to {most}.")
    return asked


def _grid(long: pd.DataFrame, name: str, waves: Sequence[Any]) -> FloatArray:
    """(J, T): units by waves, NaN where absent."""
    wide = long.pivot_table(index=KEY, columns=WAVE, values=name, dropna=False)
    units = pd.Index(sorted(long[KEY].unique(), key=str))
    return wide.reindex(index=units, columns=list(waves)).to_numpy(dtype=float)


@dataclass(frozen=True, eq=False)
class _Found:
    """One direction: slopes at each lag, and what the search found."""

    lags: tuple[int, ...]
    slope: FloatArray
    error: FloatArray
    std: FloatArray
    corrected: FloatArray
    units: int

    @property
    def t(self) -> FloatArray:
        return self.slope / self.error

    @property
    def at(self) -> int:
        return int(np.abs(self.t).argmax())

    @property
    def best(self) -> int:
        return self.lags[self.at]

    @property
    def p_value(self) -> float:
        return float(self.corrected[self.at])


def _searched(
    effect: FloatArray,
    cause: FloatArray,
    longest: int,
    first: int,
    control: Control,
    draws: int,
    rng: np.random.Generator,
    *,
    joint: bool,
) -> _Found | None:
    """Lags from ``first`` on, estimated with the shorter ones, on the rows that have every one of them."""
    if longest < first:
        return None
    lags, waves = range(longest + 1), effect.shape[1]
    later = effect[:, longest:]
    earlier = np.stack([cause[:, longest - lag : waves - lag] for lag in lags])
    complete = ~np.isnan(later) & ~np.isnan(earlier).any(axis=0)
    if control == "fixed_effects":
        complete &= complete.sum(axis=1, keepdims=True) > 1
    unit, wave = np.nonzero(complete)
    codes = np.unique(unit, return_inverse=True)[1].astype(np.intp)
    if codes.size == 0 or codes.max() + 1 < FEWEST_UNITS:
        return None
    effects = _effects(codes, wave, control)
    y, x = effects.without(later[complete]), effects.without(earlier[:, complete])
    given = _given_others(x) if joint else x
    if ((given**2).sum(axis=1) <= 1e-10 * (earlier[:, complete].var(axis=1) * codes.size)).any():
        return None
    lines = _Lines(x, given, codes, effects.waves.shape[1], joint)
    slope, error = lines.estimates(y[None])
    turned = _turned(y, effects, codes, draws, rng)
    greatest = np.concatenate([np.abs(np.divide(*lines.estimates(d)))[:, first:].max(axis=1) for d in turned])
    t = np.abs(slope[0] / error[0])
    corrected = (1.0 + (greatest[:, None] >= t - 1e-10).sum(axis=0)) / (1.0 + draws)
    std = slope[0] * np.sqrt((x**2).sum(axis=1) / (y @ y))
    kept = slice(first, None)
    units = int(codes.max()) + 1
    return _Found(tuple(lags[kept]), slope[0, kept], error[0, kept], std[kept], corrected[kept], units)


def _given_others(x: FloatArray) -> FloatArray:
    """What is left of each lag (k, n) once the others are taken out."""
    left = np.empty_like(x)
    for k in range(len(x)):
        others = np.delete(x, k, axis=0)
        q, _ = np.linalg.qr(others.T)
        left[k] = x[k] - q @ (q.T @ x[k])
    return left


def _effects(codes: IntArray, wave: IntArray, control: Control) -> TwoWay:
    """Effects of units and waves; of waves alone where changes have no unit effects left."""
    return two_way(codes if control == "fixed_effects" else np.zeros_like(codes), wave)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Least squares on all lags: (k, n) lags, what is left of each given the others, and the units."""

    x: FloatArray
    given: FloatArray
    codes: IntArray
    spent: int
    joint: bool

    def estimates(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Slopes and their errors by unit, of (draws, n) outcomes: (draws, k) each."""
        size = (self.given**2).sum(axis=1)
        slope = y @ self.given.T / size
        starts = np.flatnonzero(np.diff(self.codes, prepend=-1))
        units, n, k = starts.size, self.codes.size, len(size)
        factor = units / (units - 1.0) * (n - 1.0) / max(n - self.spent - (k if self.joint else 1), 1)
        whole = y - slope @ self.x if self.joint else y
        errors = []
        for i in range(k):
            left = whole if self.joint else y - slope[:, i, None] * self.x[i]
            pieces = np.add.reduceat(left * self.given[i], starts, axis=1)
            errors.append(np.sqrt(factor * (pieces**2).sum(axis=1)) / size[i])
        return slope, np.maximum(np.stack(errors, axis=1), 1e-300)


def _turned(
    y: FloatArray, effects: TwoWay, codes: IntArray, draws: int, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """Outcomes without a link, turned over unit by unit, a batch at a time."""
    weights = cluster_weights(int(codes.max()) + 1, draws, rng)
    step = max(1, BATCH // y.size)
    for i in range(0, draws, step):
        yield effects.without(weights[i : i + step][:, codes] * y)


def _rows(found: _Found, lhs: str, rhs: str, prefix: str, level: float) -> list[Row]:
    from scipy.special import stdtr, stdtrit

    freedom = found.units - 1.0
    width = float(stdtrit(freedom, 0.5 + level / 2.0))
    rows: list[Row] = []
    for k, lag in enumerate(found.lags):
        b, e, t = float(found.slope[k]), float(found.error[k]), float(found.t[k])
        own = {
            "lhs": lhs, "op": "~", "rhs": rhs, "label": f"lag {lag}", "estimate": b, "std_error": e, "statistic": t,
            "conf_low": b - width * e, "conf_high": b + width * e, "std_all": float(found.std[k]),
        }  # fmt: skip
        rows.append({**own, "kind": f"{prefix}lag", "p_value": float(2.0 * stdtr(freedom, -abs(t)))})
        rows.append({**own, "kind": f"{prefix}lag_corrected", "p_value": float(found.corrected[k])})
    rows.append({
        "lhs": lhs, "op": "~", "rhs": rhs, "kind": f"best_{prefix}lag", "label": f"lag {found.best}",
        "estimate": found.best, "p_value": found.p_value,
    })  # fmt: skip
    return rows


def _notes(
    data: Study | pd.DataFrame,
    cause: str,
    effect: str,
    waves: Sequence[Any],
    forward: _Found,
    backward: _Found | None,
    size: float,
) -> list[Note]:
    notes = [_verdict(cause, effect, forward, size)]
    if backward is not None and backward.p_value < size:
        notes.append(Note(
            "reverse_lag", "warning", f"{cause} ~ {effect}", f"{effect} also goes before {cause}, clearest after "
            f"{backward.best} waves (corrected p = {backward.p_value:.3f}).",
        ))  # fmt: skip
    notes.append(Note(
        "season", "info", "waves", "What all units share at a wave, such as a season or the day of the survey, is "
        "taken out. A season that moves some units more than others is not, and shows at lags of its own; a lag "
        "shorter than the time between surveys shows at none or one wave.",
    ))  # fmt: skip
    if _uneven(waves):
        notes.append(Note(
            "uneven_waves", "warning", "waves", "Waves are not evenly spaced; lags count waves, not time.",
        ))  # fmt: skip
    notes.append(Note(
        "feedback", "info", "fixed effects", f"Where the effect acts back on the cause, slopes within units are off by "
        f"the order of 1 over the {len(waves) - max(forward.lags)} waves used.",
    ))  # fmt: skip
    if isinstance(data, Study):
        tables = {construct.name: construct.table for construct in data.codebook}
        if tables[cause] == tables[effect] and tables[cause] != "units" and 0 in forward.lags:
            notes.append(Note(
                "same_people", "warning", "lag 0", f"{cause} and {effect} come from the same answers, whose mood and "
                "chance they share: lag 0 is larger for it.",
            ))  # fmt: skip
    if forward.units < FEW_UNITS:
        notes.append(Note("few_units", "warning", "units", f"The search rests on {forward.units} units; only strong "
                          "links show."))  # fmt: skip
    return notes


def _verdict(cause: str, effect: str, found: _Found, size: float) -> Note:
    told = f"corrected for {len(found.lags)} lags, p = {found.p_value:.3f}"
    if found.p_value < size:
        way = "rises" if found.slope[found.at] > 0.0 else "falls"
        return Note("lag_found", "info", f"{effect} ~ {cause}", f"Within units, {effect} {way} with {cause}, clearest "
                    f"after {found.best} waves ({told}).")  # fmt: skip
    return Note("no_lag_found", "info", f"{effect} ~ {cause}", f"No lag stands out: the clearest, {found.best} waves, "
                f"may be chance ({told}).")  # fmt: skip


def _uneven(waves: Sequence[Any]) -> bool:
    column = pd.Series(list(waves))
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)):
        return False
    steps = column.diff().dropna()
    steps = steps.dt.days.astype(float) if pd.api.types.is_timedelta64_dtype(steps) else steps.astype(float)
    return bool(steps.max() > 1.2 * steps.min())
