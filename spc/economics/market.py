"""The quality of market share: how loyal own and rivals' customers are, what leaks, what flows in; relative NPS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.tenure import numeric_column
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame

__all__ = ["MarketQuality", "market_quality", "relative_nps"]


@dataclass(frozen=True, eq=False, repr=False)
class MarketQuality(Shown):
    """Figures on own and rivals' customers.

    Attributes
    ----------
    table : DataFrame
        Tidy rows.
    answers : int
        Customers, or answers, behind it.
    note_list : tuple of Note
    provenance : Provenance
    kind : str
        ``"market"`` or ``"nps"``.
    """

    table: pd.DataFrame
    answers: int
    note_list: tuple[Note, ...]
    provenance: Provenance
    kind: str = "market"

    def tidy(self) -> pd.DataFrame:
        """One row a figure and brand (``lhs``)."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([{"nobs": self.answers}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the figures."""
        return self.note_list


def market_quality(switching: pd.DataFrame, *, level: float = 0.95, draws: int = 4000, seed: int = 1) -> MarketQuality:
    """Loyalty-weighted share, leak and inflow of every brand, from who bought what before and now.

    Parameters
    ----------
    switching : DataFrame
        Square table of customers: rows the brand before, columns the brand now, in the same order.
    level : float
    draws : int
        Of the rows' shares, each from its Dirichlet distribution (Jeffreys).
    seed : int

    Returns
    -------
    MarketQuality
        Kinds, all as shares: ``share`` (now), ``retention``, ``leak`` (customers of before that went, of all before),
        ``inflow`` (customers that came, of all before), ``net`` (inflow less leak), ``loyalty_share`` (share now,
        weighted by retention) and ``steady_share`` (where shares go if customers keep moving like this).

    Raises
    ------
    DataError
        A table that is not square, or holds what are no counts.

    Examples
    --------
    >>> table = pd.DataFrame([[80, 20], [10, 90]], index=["own", "rival"], columns=["own", "rival"])
    >>> market_quality(table).tidy().query("lhs == 'own'").set_index("kind")["estimate"].round(3).to_dict()
    {'share': 0.45, 'retention': 0.8, 'leak': 0.1, 'inflow': 0.05, 'net': -0.05, 'loyalty_share': 0.421,
     'steady_share': 0.333}
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    counts = switching.to_numpy(dtype=float)
    if list(switching.index) != list(switching.columns) or len(switching) < 2:
        found = f"{counts.shape[0]} rows and {counts.shape[1]} columns"
        expected = "at least two brands, the same down and across"
        raise DataError.of("switching", None, "not_square", found, expected, "Order rows and columns alike.")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts.sum(axis=1) > 0).all()):
        expected = "counts, with somebody in every row"
        raise DataError.of("switching", None, "impossible_value", "values that are no counts", expected, "Check them.")
    rng = np.random.default_rng(seed)
    before = counts.sum(axis=1) / counts.sum()
    gamma = rng.standard_gamma(counts + 1.0 / len(counts), size=(draws, *counts.shape))
    drawn = _quality(gamma / gamma.sum(axis=2, keepdims=True), before)
    point = _quality((counts / counts.sum(axis=1, keepdims=True))[None], before)
    tail = (1 - level) / 2
    rows: list[dict[str, Any]] = []
    for i, brand in enumerate(switching.index):
        for kind, values in drawn.items():
            low, high = np.quantile(values[:, i], [tail, 1 - tail])
            about = {"lhs": str(brand), "kind": kind, "estimate": float(point[kind][0, i])}
            error = float(values[:, i].std(ddof=1))
            rows.append({**about, "std_error": error, "conf_low": float(low), "conf_high": float(high)})
    notes = (Note.of("sample_of_market", "info", "share"),)
    provenance = Provenance.record({"level": level, "draws": draws}, fingerprint(switching), seed)
    return MarketQuality(tidy_frame(rows), int(counts.sum()), notes, provenance)


def _quality(moves: FloatArray, before: FloatArray) -> dict[str, FloatArray]:
    """Figures from draws of the moves (n, k, k) and the shares before (k,)."""
    stays = np.diagonal(moves, axis1=1, axis2=2)
    now = np.einsum("i,nij->nj", before, moves)
    leak, inflow = before * (1 - stays), now - before * stays
    weight = now * stays
    k = before.size
    system = np.swapaxes(moves, 1, 2) - np.eye(k)
    system[:, -1, :] = 1.0
    right = np.zeros((len(moves), k, 1))
    right[:, -1] = 1.0
    lifted = system + 1e-12 * np.eye(k)
    return {
        "share": now,
        "retention": stays,
        "leak": leak,
        "inflow": inflow,
        "net": inflow - leak,
        "loyalty_share": weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300),
        "steady_share": np.linalg.solve(lifted, right)[..., 0],
    }


def relative_nps(
    own: npt.ArrayLike, rivals: npt.ArrayLike, *, cluster: npt.ArrayLike | None = None, level: float = 0.95
) -> MarketQuality:
    """Net promoter score of own and rivals' customers, and their difference, with intervals.

    A promoter answers 9 or 10, a detractor 0 to 6. The intervals add three made-up answers to each side (adjusted Wald:
    one of each kind), which keeps them honest for few answers.

    Parameters
    ----------
    own, rivals : array-like of int
        Answers from 0 to 10; missing ones are left out.
    cluster : array-like, optional
        Who gave each own answer and then each rival's; who rates both is then counted as one person.
    level : float

    Returns
    -------
    MarketQuality
        Kind ``"nps"``: rows ``nps`` (own, rivals) and ``difference``, in points from -100 to 100.

    Raises
    ------
    DataError
        Answers that are not whole numbers from 0 to 10, or none on one side.

    References
    ----------
    Rocks (2016), "Interval estimation for the Net Promoter Score", *The American Statistician* 70.

    Examples
    --------
    >>> found = relative_nps([10] * 50 + [7] * 30 + [3] * 20, [9] * 40 + [8] * 30 + [0] * 30)
    >>> found.tidy()[["lhs", "estimate"]].to_numpy().tolist()
    [['own', 30.0], ['rivals', 10.0], ['own less rivals', 20.0]]
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    sides = [_thirds(own, "own"), _thirds(rivals, "rivals")]
    z = float(ndtri((1 + level) / 2))
    kept = [side[~np.isnan(side)] for side in sides]
    if not all(side.size for side in kept):
        raise DataError.of("answers", None, "missing", "one side without answers", "answers of both", "Add them.")
    means = [float(side.mean()) for side in kept]
    sizes = [side.size + 3.0 for side in kept]
    shrunken = [float(side.sum()) / n for side, n in zip(kept, sizes, strict=True)]
    squares = [(float((side**2).sum()) + 2.0) / n for side, n in zip(kept, sizes, strict=True)]
    variances = [(q - m**2) / n for m, q, n in zip(shrunken, squares, sizes, strict=True)]
    joint = variances[0] + variances[1] - 2.0 * _shared(sides, cluster)
    rows = []
    centres = [*shrunken, shrunken[0] - shrunken[1]]
    for lhs, kind, value, centre, variance in zip(
        ("own", "rivals", "own less rivals"),
        ("nps", "nps", "difference"),
        (*means, means[0] - means[1]),
        centres,
        (*variances, max(joint, 0.0)),
        strict=True,
    ):
        error = 100 * math.sqrt(variance)
        low, high = 100 * centre - z * error, 100 * centre + z * error
        figures = {"estimate": 100 * value, "std_error": error, "conf_low": low, "conf_high": high}
        rows.append({"lhs": lhs, "kind": kind, **figures})
    answers = np.concatenate(kept)
    provenance = Provenance.record({"level": level}, fingerprint(answers))
    notes = (Note.of("weak_prediction", "info", "nps"),)
    return MarketQuality(tidy_frame(rows), int(answers.size), notes, provenance, "nps")


def _thirds(values: npt.ArrayLike, name: str) -> FloatArray:
    """1 for promoters, 0, and -1 for detractors."""
    x = numeric_column(values, name, "answers from 0 to 10")
    seen = ~np.isnan(x)
    if not np.all((x[seen] >= 0) & (x[seen] <= 10) & (x[seen] == np.floor(x[seen]))):
        expected = "whole numbers from 0 to 10"
        raise DataError.of("answers", name, "outside_range", "other answers", expected, "Check the scale.")
    return np.asarray(np.where(seen, (x >= 9).astype(float) - (x <= 6), np.nan))


def _shared(sides: list[FloatArray], cluster: npt.ArrayLike | None) -> float:
    """Covariance of the two means through people who rate both."""
    if cluster is None:
        return 0.0
    who = np.asarray(cluster)
    own, rivals = sides
    if who.size != own.size + rivals.size:
        raise UsageError(f"cluster has {who.size} values; expected {own.size} own and {rivals.size} rivals' answers.")
    sums = []
    for side, names in ((own, who[: own.size]), (rivals, who[own.size :])):
        seen = ~np.isnan(side)
        gap = pd.Series(side[seen] - side[seen].mean()).groupby(names[seen]).sum()
        sums.append(gap / seen.sum())
    both = pd.concat(sums, axis=1, join="inner")
    return float((both.iloc[:, 0] * both.iloc[:, 1]).sum())
