"""Line of sight: which figures sellers can move, by what they say and by what the figures show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.result import AccountsTable
from spc.errors import DataError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, fingerprint, tidy_frame

__all__ = ["line_of_sight", "seller_share"]


def seller_share(values: FloatArray, seller: Sequence[Any]) -> tuple[float, int]:
    """Share of a figure's variance that lies between sellers, ICC(1) of the analysis of variance, and how many sellers.

    Examples
    --------
    >>> seller_share(np.array([1.0, 1.0, 5.0, 5.0]), ["a", "a", "b", "b"])
    (1.0, 2)
    """
    codes, names = pd.factorize(np.asarray(seller, dtype=object))
    n, k = len(codes), len(names)
    if k < 2 or n <= k:
        return float("nan"), k
    sizes, sums = np.bincount(codes), np.bincount(codes, values)
    means = sums / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (n - k)
    typical = (n - float((sizes**2).sum()) / n) / (k - 1)
    spread = between + (typical - 1) * within
    return (float((between - within) / spread) if spread > 0 else float("nan")), k


def line_of_sight(
    figures: pd.DataFrame, ratings: pd.DataFrame, *, low: float = 1, high: float = 5, fewest: int = 5
) -> AccountsTable:
    """Compare how far sellers say they can move each figure with how far figures differ between sellers.

    Parameters
    ----------
    figures : DataFrame
        ``seller``, ``kpi``, ``value``, several values a seller and figure (periods or customers).
    ratings : DataFrame
        ``kpi`` and ``influence`` from ``low`` to ``high``, one row a seller and figure; who rated stays out of the
        result.
    low, high : float
        Ends of the rating scale.
    fewest : int
        Figures that fewer people rated are left without a rating.

    Returns
    -------
    AccountsTable
        Kind ``sight``. Rows: ``influence`` (mean rating from 0 to 1), ``seller_share`` (ICC(1)) and ``flag``: *in
        sight* (both
        say so), *believed* (rated high, no difference between sellers), *overlooked* (differs, rated low), *out of
        reach*.

    Raises
    ------
    DataError
        A column is absent, or a rating outside the scale.
    """
    for name, frame, wanted in (
        ("figures", figures, ("seller", "kpi", "value")),
        ("ratings", ratings, ("kpi", "influence")),
    ):
        absent = [column for column in wanted if column not in frame]
        if absent:
            raise DataError.of(name, absent[0], "missing_column", "no such column", ", ".join(wanted), "Add it.")
    if not ratings["influence"].between(low, high).all():
        raise DataError.of(
            "ratings", "influence", "outside_scale", "ratings outside the scale", f"{low:g} to {high:g}", "Check."
        )
    rows: list[dict[str, Any]] = []
    table, rated = [], []
    for kpi in sorted({*figures["kpi"].astype(str), *ratings["kpi"].astype(str)}):
        own = figures[figures["kpi"].astype(str) == kpi].dropna(subset=["value", "seller"])
        share, sellers = seller_share(own["value"].to_numpy(float), list(own["seller"])) if len(own) else (np.nan, 0)
        said = ratings.loc[ratings["kpi"].astype(str) == kpi, "influence"]
        mean = count = float("nan")
        if len(said) >= fewest:
            mean, count = float((said.mean() - low) / (high - low)), float(len(said))
            rated.append(len(said))
        flag = _flag(mean, share)
        rows += [{"lhs": kpi, "kind": "influence", "estimate": mean, "statistic": count},
                 {"lhs": kpi, "kind": "seller_share", "estimate": share, "statistic": float(sellers)},
                 {"lhs": kpi, "kind": "flag", "label": flag}]  # fmt: skip
        table.append({"kpi": kpi, "influence": mean, "seller_share": share, "flag": flag})
    lost = [row["kpi"] for row in table if row["flag"] == "out of reach"]
    notes = (
        [Note("out_of_reach", "warning", "kpi", f"Nobody can move {', '.join(lost)}; do not pay by it.")]
        if lost
        else []
    )
    sellers = int(figures["seller"].nunique())
    summary = pd.DataFrame([{"kpis": len(table), "ratings": len(ratings), "sellers": sellers,
                             "respondents": min(rated, default=sellers)}])  # fmt: skip
    made = Provenance.record({"low": low, "high": high}, fingerprint(figures[["kpi", "value"]]))
    return AccountsTable("sight", tidy_frame(rows), summary, pd.DataFrame(table), tuple(notes), "", made)


def _flag(influence: float, share: float) -> str:
    if np.isnan(influence) or np.isnan(share):
        return "not known"
    said, seen = influence >= 0.5, share >= 0.05
    return {(True, True): "in sight", (True, False): "believed", (False, True): "overlooked"}.get(
        (said, seen), "out of reach"
    )
