"""Each link of a chain by several regressions beside the chain's own estimate: what correction changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spc.chain.fit import fit_chain
from spc.chain.links import outcomes, required_chain
from spc.chain.result import ChainFit
from spc.chain.rows import AnalysisRows, analysis_rows, at_wave
from spc.chain.served import served_units
from spc.regression import link_regressions
from spc.regression.methods import fixed_rows, mixed_rows, quantile_rows, wild_rows
from spc.resample import progress
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.spec import model
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, score

__all__ = ["LinkMethods", "link_methods"]

QUANTILES = (0.25, 0.5, 0.75)
OWN = "chain"


@dataclass(frozen=True, eq=False, repr=False)
class LinkMethods(Shown):
    """Estimates of the links of a chain, method by method.

    Attributes
    ----------
    table : DataFrame
        Tidy rows of kind ``"link_method"``; ``label`` names the method.
    rows : int
        Fewest rows behind a link.
    messages : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    rows: int
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "methods"

    def tidy(self) -> pd.DataFrame:
        """One row a link and method, the chain's own first."""
        return self.table

    def compared(self) -> pd.DataFrame:
        """One row a link, one column a method: the slopes, in units of outcome and cause."""
        wide = self.table.pivot_table(index=["lhs", "rhs"], columns="label", values="estimate", sort=False)
        return wide.reset_index().rename_axis(columns=None)

    def glance(self) -> pd.DataFrame:
        """One row: links, methods, and the fewest rows behind a link."""
        links = self.table[["lhs", "rhs"]].drop_duplicates()
        return pd.DataFrame({"links": [len(links)], "methods": [self.table["label"].nunique()],
                             "nobs_min": [self.rows]})  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        return self.messages


def link_methods(
    study: Study, chain: ChainFit | None = None, *, draws: int = 999, level: float = 0.95, seed: int | None = None
) -> LinkMethods:
    """Estimate each link by several regressions, beside the chain's own.

    On units: least squares of unit means with HC3 errors and with a wild bootstrap, quantile regressions, a mixed model
    of the respondents of the outcome on unit means of the causes, and, for links within a side, fixed effects of units
    on the respondents. On persons: the same, by unit where persons have units. With at least three waves, fixed effects
    of units over the waves.

    Parameters
    ----------
    study : Study
        With a ``[chain]``.
    chain : ChainFit, optional
        The study's fitted chain; fitted here by default.
    draws : int
        Of the wild bootstrap.
    level : float
        Level of the intervals.
    seed : int, optional
        The study's own when not given.

    Returns
    -------
    LinkMethods

    Raises
    ------
    DataError
        The study has no chain.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=40).write(folder.name))
    >>> found = link_methods(study, spc.fit_chain(study, draws=200), draws=99)
    >>> found.table.query("lhs == 'customer_satisfaction'")["label"].tolist()[:3]
    ['chain, two-sided', 'OLS, HC3', 'least squares, wild bootstrap']
    >>> folder.cleanup()
    """
    study = served_units(study)
    asked = required_chain(study)
    seed = study.seed if seed is None else seed
    chain = fit_chain(study, level=level) if chain is None else chain
    links = outcomes(model(asked.model))
    rows = analysis_rows(study, links, asked.lags)
    book = {construct.name: construct for construct in study.codebook}
    found, notes = _own(chain), list[Note]()
    for lhs, causes in progress(list(links.items()), "Estimating links by several methods"):
        made = _of_link(study, rows, book, lhs, causes, level, draws, seed)
        found += [row for row in made if not isinstance(row, Note)]
        notes += [row for row in made if isinstance(row, Note)]
    order = {(lhs, rhs): i for i, (lhs, rhs) in enumerate((a, b) for a, causes in links.items() for b in causes)}
    found.sort(key=lambda row: order[row["lhs"], row["rhs"]])
    options = {"draws": draws, "level": level, "model": asked.model}
    fewest = min(len(rows.scores[[lhs, *causes]].dropna()) for lhs, causes in links.items())
    return LinkMethods(tidy_frame(found), fewest, tuple(notes), Provenance.record(options, study.fingerprint, seed))


def _own(chain: ChainFit) -> list[dict[str, Any]]:
    how = "two-sided" if chain.two_sided else "unit means" if chain.level == "unit" else "persons"
    links = chain.tidy().query("kind == 'link'").assign(kind="link_method", label=f"{OWN}, {how}")
    return [{str(key): value for key, value in row.items()} for row in links.to_dict("records")]


def _of_link(
    study: Study,
    rows: AnalysisRows,
    book: Mapping[str, Construct],
    lhs: str,
    causes: Sequence[str],
    level: float,
    draws: int,
    seed: int,
) -> list[dict[str, Any] | Note]:
    whole = rows.scores[[lhs, *causes]].astype(float)
    frame = whole.dropna()
    cluster = None if rows.unit is None else rows.unit.loc[frame.index]
    if cluster is not None and cluster.isna().any():
        frame, cluster = frame[cluster.notna()], cluster.dropna()
    plain = link_regressions(whole, {lhs: causes}, cluster=rows.unit, level=level).tidy().assign(kind="link_method")
    found: list[dict[str, Any] | Note] = [{str(k): v for k, v in row.items()} for row in plain.to_dict("records")]
    found += wild_rows(frame, lhs, causes, cluster, level=level, draws=draws, seed=seed)
    for quantile in QUANTILES:
        found += quantile_rows(frame, lhs, causes, quantile, level=level)
    people = _respondents(study, rows, book, lhs, causes) if cluster is None else frame.assign(unit=cluster)
    if people is not None:
        mixed = mixed_rows(people, lhs, causes, people["unit"], level=level, method="mixed model of respondents")
        found += [mixed] if isinstance(mixed, Note) else mixed
    inside = people if cluster is not None else _within(study, rows, book, lhs, causes)
    if inside is not None:
        method = "fixed effects of units, respondents"
        found += fixed_rows(inside, lhs, causes, inside["unit"], level=level, method=method)
    panel = _panel(study, book, lhs, causes)
    if panel is not None:
        found += fixed_rows(panel, lhs, causes, panel["unit"], level=level, method="fixed effects of units, waves")
    return found


def _respondents(
    study: Study, rows: AnalysisRows, book: Mapping[str, Construct], lhs: str, causes: Sequence[str]
) -> pd.DataFrame | None:
    """Respondents of the outcome, each with the causes' means of the unit; None where the outcome has none."""
    if book[lhs].table not in SIDES.values():
        return None
    table = at_wave(study, book[lhs], rows.waves)
    frame = pd.DataFrame({"unit": table["unit"], lhs: score(table, book[lhs])}).dropna()
    return frame.join(rows.scores[list(causes)].astype(float), on="unit").dropna()


def _within(
    study: Study, rows: AnalysisRows, book: Mapping[str, Construct], lhs: str, causes: Sequence[str]
) -> pd.DataFrame | None:
    """Outcome and causes of the same respondents; None where they are not."""
    tables = {book[name].table for name in (lhs, *causes)}
    waves = {rows.waves.get(name) for name in (lhs, *causes)}
    if len(tables) != 1 or not tables <= set(SIDES.values()) or len(waves) != 1:
        return None
    table = at_wave(study, book[lhs], rows.waves)
    return pd.DataFrame({"unit": table["unit"]} | {name: score(table, book[name]) for name in (lhs, *causes)}).dropna()


def _panel(study: Study, book: Mapping[str, Construct], lhs: str, causes: Sequence[str]) -> pd.DataFrame | None:
    """Units at each of at least three waves; None where a construct has no waves or too few."""
    parts = []
    for name in (lhs, *causes):
        table = study.tables[book[name].table]
        if not {"unit", "wave"} <= set(table) or table["wave"].nunique() < 3:
            return None
        parts.append(score(table, book[name]).groupby([table["unit"], table["wave"]]).mean().rename(name))
    frame = pd.concat(parts, axis=1).dropna().reset_index()
    return frame if frame["wave"].nunique() >= 3 else None
