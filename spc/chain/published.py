"""Published correlations of links of the chain, to read a firm's own beside: numbers and sources, no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.results import Note, Shown, tidy_frame
from spc.sem.pooling import PooledCorrelations, StudyCorrelations, pool_correlations
from spc.spec import CHAIN_CONSTRUCTS

if TYPE_CHECKING:
    from spc.chain.result import ChainFit

__all__ = ["PublishedLinks", "PublishedStudy", "published_links", "published_standing"]


@dataclass(frozen=True, eq=False)
class PublishedStudy:
    """One published correlation matrix.

    Attributes
    ----------
    name, citation : str
    unit : {"person", "organisation"}
        What a row of the study was.
    design : {"study", "meta-analysis", "teaching data"}
    n : int
        Rows, or for a meta-analysis the persons or firms behind a typical cell.
    constructs : tuple of str
    correlation : (c, c) array
        Of the constructs' unit-weighted sums of items.
    reliability : (c,) array
        Standardised alpha of the items, where there are several; else NaN.
    pairs : mapping of (cause, effect) to mapping
        For meta-analyses that print them: studies ``k``, persons ``n`` and variance between studies ``tau2`` of a link.
    note : str
    """

    name: str
    citation: str
    unit: str
    design: str
    n: int
    constructs: tuple[str, ...]
    correlation: FloatArray
    reliability: FloatArray
    pairs: dict[tuple[str, str], dict[str, float]]
    note: str

    def matrix(self) -> StudyCorrelations:
        """The study as :func:`spc.pool_correlations` takes it."""
        known = {name: float(a) for name, a in zip(self.constructs, self.reliability, strict=True) if not np.isnan(a)}
        return StudyCorrelations(self.name, self.n, self.constructs, self.correlation, known)


@dataclass(frozen=True, eq=False, repr=False)
class PublishedLinks(Shown):
    """Links of the chain in published studies.

    Attributes
    ----------
    studies : tuple of PublishedStudy
    level : float
        Level of the intervals.
    """

    studies: tuple[PublishedStudy, ...]
    level: float
    kind: str = "published"

    def tidy(self) -> pd.DataFrame:
        """One row a study and link: ``estimate`` as observed, ``std_all`` corrected for the reliability of the items.

        ``label`` names the study. The interval is Fisher's, of the observed correlation; where a meta-analysis states
        how far its studies differ, error and interval are those of the mean over studies, which that widens.
        """
        rows = [row for study in self.studies for row in _links(study, self.level)]
        order = {name: i for i, name in enumerate(CHAIN_CONSTRUCTS)}
        return tidy_frame(sorted(rows, key=lambda row: (order[row["rhs"]], order[row["lhs"]])))

    def sources(self) -> pd.DataFrame:
        """One row a study: ``study, citation, design, unit, n, note``."""
        return pd.DataFrame(
            [[s.name, s.citation, s.design, s.unit, s.n, s.note] for s in self.studies],
            columns=["study", "citation", "design", "unit", "n", "note"],
        )

    def glance(self) -> pd.DataFrame:
        """One row: studies, and links that any of them has."""
        table = self.tidy()
        return pd.DataFrame({"studies": [len(self.studies)], "links": [len(table.groupby(["lhs", "rhs"]))]})

    def notes(self) -> tuple[Note, ...]:
        """What these numbers are not."""
        return (
            Note.of("persons_not_units", "warning", "published links"),
            Note.of("no_crossing_link", "warning", "published links"),
        )

    def pool(self, constructs: Sequence[str], *, correct: bool = True) -> PooledCorrelations:
        """Pool the studies' correlations among some constructs; see :func:`spc.pool_correlations`.

        Raises
        ------
        DataError
            Fewer than two studies have two of the constructs.
        """
        chosen = [_restricted(study, constructs) for study in self.studies]
        return pool_correlations([study for study in chosen if study is not None], level=self.level, correct=correct)


def published_links(level: float = 0.95) -> PublishedLinks:
    """Published correlations of the links of the chain.

    Parameters
    ----------
    level : float
        Level of the intervals.

    Returns
    -------
    PublishedLinks

    Examples
    --------
    >>> table = published_links().tidy()
    >>> of = table[(table["rhs"] == "employee_satisfaction") & (table["lhs"] == "employee_loyalty")]
    >>> of[["label", "estimate", "std_all"]].round(2).values.tolist()
    [['Boer et al. 2016', 0.56, 0.56], ['Williams & Anderson 1994', 0.54, 0.61], ['Marks 2024', 0.64, 0.64]]
    """
    return PublishedLinks(_library(), level)


@cache
def _library() -> tuple[PublishedStudy, ...]:
    text = files("spc.chain").joinpath("published.json").read_text(encoding="utf-8")
    return tuple(_study(entry) for entry in json.loads(text))


def _study(entry: dict[str, Any]) -> PublishedStudy:
    blocks: dict[str, list[str]] = entry["constructs"]
    p = sum(len(items) for items in blocks.values())
    matrix = np.eye(p)
    for i, row in enumerate(entry["lower"], start=1):
        matrix[i, :i] = matrix[:i, i] = row
    owner = np.repeat(np.arange(len(blocks)), [len(items) for items in blocks.values()])
    pick = (owner[:, None] == np.arange(len(blocks))).astype(float)
    sums = pick.T @ matrix @ pick
    root = np.sqrt(sums.diagonal())
    size = pick.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.where(size > 1, size / (size - 1) * (1.0 - size / sums.diagonal()), np.nan)
    pairs = {
        (pair["cause"], pair["effect"]): {key: float(pair[key]) for key in ("k", "n", "tau2")}
        for pair in entry.get("pairs", ())
    }
    return PublishedStudy(
        entry["name"], entry["citation"], entry["unit"], entry["design"], entry["n"], tuple(blocks),
        sums / np.outer(root, root), alpha, pairs, entry.get("note", ""),
    )  # fmt: skip


def _links(study: PublishedStudy, level: float) -> list[dict[str, Any]]:
    from scipy.special import ndtri

    order = [name for name in CHAIN_CONSTRUCTS if name in study.constructs]
    rows = []
    for place, cause in enumerate(order):
        for effect in order[place + 1 :]:
            i, j = study.constructs.index(cause), study.constructs.index(effect)
            r, known = float(study.correlation[i, j]), study.pairs.get((cause, effect), {})
            n = known.get("n", float(study.n))
            between = np.sqrt(known.get("tau2", 0.0) / known.get("k", 1.0))
            error = np.hypot((1.0 - r**2) / np.sqrt(n - 1.0), between)
            half = ndtri(0.5 + level / 2.0) * np.hypot(1.0 / np.sqrt(n - 3.0), between / (1.0 - r**2))
            alpha = np.nan_to_num(study.reliability[[i, j]], nan=1.0)
            rows.append({
                "lhs": effect, "op": "~", "rhs": cause, "label": study.name, "kind": "published", "estimate": r,
                "std_error": error, "conf_low": np.tanh(np.arctanh(r) - half),
                "conf_high": np.tanh(np.arctanh(r) + half), "std_all": r / np.sqrt(alpha.prod()),
            })  # fmt: skip
    return rows


def _restricted(study: PublishedStudy, constructs: Sequence[str]) -> StudyCorrelations | None:
    kept = [name for name in constructs if name in study.constructs]
    if len(kept) < 2:
        return None
    whole = study.matrix()
    place = [study.constructs.index(name) for name in kept]
    known = {name: whole.reliability[name] for name in kept if name in whole.reliability}
    return StudyCorrelations(study.name, study.n, tuple(kept), whole.correlation[np.ix_(place, place)], known)


def published_standing(links: ChainFit | pd.DataFrame, published: PublishedLinks | None = None) -> pd.DataFrame:
    """Where a firm's own links stand among the published ones.

    Parameters
    ----------
    links : ChainFit or DataFrame
        A chain, or its ``tidy()``: standardised values of the rows of kind ``"link"`` are compared.
    published : PublishedLinks, optional

    Returns
    -------
    DataFrame
        One row a link: ``lhs, rhs, own, studies, least, median, most, weaker`` (studies whose link is weaker than the
        firm's) and ``standing``: ``"below all"``, ``"within"``, ``"above all"``, or ``"no published link"``.

    Raises
    ------
    DataError
        The table lacks the columns of a tidy table.

    Examples
    --------
    >>> own = pd.DataFrame({"lhs": ["employee_loyalty"], "rhs": ["employee_satisfaction"], "std_all": [0.4]})
    >>> published_standing(own)[["studies", "least", "most", "standing"]].round(2).values.tolist()
    [[3, 0.56, 0.64, 'below all']]
    """
    links = links if isinstance(links, pd.DataFrame) else links.tidy()
    links = links[links["kind"] == "link"] if "kind" in links else links
    absent = [column for column in ("lhs", "rhs", "std_all") if column not in links]
    if absent:
        raise DataError.of(
            "links", ", ".join(absent), "missing_column", "no such column", "the links of a chain's tidy()",
            "Pass the chain, or its tidy().",
        )  # fmt: skip
    known = (published or published_links()).tidy()
    rows = []
    for lhs, rhs, own in links[["lhs", "rhs", "std_all"]].itertuples(index=False):
        values = np.sort(known.loc[(known["lhs"] == lhs) & (known["rhs"] == rhs), "std_all"].to_numpy(dtype=float))
        if not values.size:
            rows.append([lhs, rhs, own, 0, np.nan, np.nan, np.nan, 0, "no published link"])
            continue
        weaker = int((values < own).sum())
        standing = "below all" if weaker == 0 else "above all" if weaker == values.size else "within"
        rows.append([lhs, rhs, own, values.size, values[0], float(np.median(values)), values[-1], weaker, standing])
    return pd.DataFrame(rows, columns=["lhs", "rhs", "own", "studies", "least", "median", "most", "weaker", "standing"])
