"""How each link moves when part of the answers is only the way the same people answer.

People who answer everything a little more kindly make every two of their answers go together. Where cause and effect
come from the same respondents, each link is fitted again with that allowed for: on persons, with an unmeasured factor
that explains a stated share of the variance of every item alike, on top of what is to be measured (Podsakoff et al.
2003); on units, with the cause from one random half of the respondents of each unit and the effect from the other half,
so that nothing but the unit is shared. No test tells how large the share is; the rows show at which share a link would
go.

References
----------
Podsakoff, MacKenzie, Lee & Podsakoff (2003), Journal of Applied Psychology 88, 879-903.
Ostroff, Kinicki & Clark (2002), Journal of Applied Psychology 87, 355-368 (split halves of the respondents of units).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.fit import measurement_text, measuring
from spc.chain.links import outcomes, required_chain
from spc.chain.result import ChainFit
from spc.chain.rows import AnalysisRows, analysis_rows, at_wave
from spc.errors import EstimationError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem import fit
from spc.spec import model
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, score
from spc.survey.intraclass import random_intercept, unit_sums

__all__ = ["METHOD_SHARES", "MethodFactor", "method_factor", "same_source"]

METHOD_SHARES = (0.0, 0.05, 0.10, 0.20)
_FEWEST_UNITS = 10
_FACTOR = "method_factor"
Rows = list[dict[str, Any]]


def same_source(study: Study, lhs: str, rhs: str) -> bool:
    """Whether two constructs come from answers of the same people."""
    book = {construct.name: construct for construct in study.codebook}
    return book[lhs].table == book[rhs].table and book[lhs].table in SIDES.values()


@dataclass(frozen=True, eq=False, repr=False)
class MethodFactor(Shown):
    """Links of one source, with the way people answer allowed for.

    Attributes
    ----------
    table : DataFrame
        Tidy rows of kind ``method_factor``.
    shares : tuple of float
        Shares of item variance tried, for persons.
    rows : int
        Units, or persons.
    messages : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    shares: tuple[float, ...]
    rows: int
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "method_factor"

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``method_factor``.

        ``label`` is ``method 10 %`` and so on (persons), or ``all respondents`` and ``split halves`` (units).
        ``std_all`` is in standard deviations of effect and cause.
        """
        return self.table

    def glance(self) -> pd.DataFrame:
        """One row: links looked at, rows behind them."""
        return pd.DataFrame({"links": [len(self.table[["lhs", "rhs"]].drop_duplicates())], "nobs": [self.rows]})

    def notes(self) -> tuple[Note, ...]:
        """What could not be fitted, and why."""
        return self.messages


def method_factor(
    study: Study,
    chain: ChainFit | None = None,
    *,
    shares: Sequence[float] = METHOD_SHARES,
    splits: int = 10,
    seed: int | None = None,
    level: float = 0.95,
) -> MethodFactor:
    """Refit the links whose cause and effect come from the same respondents, with the way they answer allowed for.

    Parameters
    ----------
    study : Study
        With a ``[chain]``.
    chain : ChainFit, optional
        The study's fitted chain; only its number of rows is taken from it.
    shares : sequence of float
        Shares of the variance of every item that a method factor explains, for chains of persons.
    splits : int
        Random halves of the respondents of each unit, for chains of units; each is used both ways round.
    seed : int, optional
        Of the halves; the study's own when not given.
    level : float
        Level of the intervals.

    Returns
    -------
    MethodFactor
        Without rows where no link has both ends from the same people.

    Raises
    ------
    DataError
        The study has no chain.
    UsageError
        A share outside 0 to 1.

    Notes
    -----
    On persons the factor counts for all waves alike: a way of answering that stays. Its loadings are fixed, equal in
    standard deviations of the items. On units causes are drawn toward the mean of units by their reliability, so that
    halves do not make links look weaker only for being halves; errors are clustered by unit. The row of all respondents
    is the plain regression of unit means.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> found = method_factor(study).tidy()
    >>> found.query("lhs == 'employee_satisfaction'")["label"].tolist()
    ['all respondents', 'split halves']
    >>> folder.cleanup()
    """
    asked = required_chain(study)
    if not (shares and all(0.0 <= share < 1.0 for share in shares) and splits >= 1 and 0.0 < level < 1.0):
        raise UsageError(f"shares={tuple(shares)}, splits={splits}, level={level}: give shares between 0 and 1.")
    seed = study.seed if seed is None else seed
    links = outcomes(model(asked.model))
    rows = analysis_rows(study, links, asked.lags)
    if rows.level == "person":
        found, notes = _of_persons(study, rows, links, shares, level)
    else:
        found, notes = _of_units(study, rows, links, splits, np.random.default_rng(seed), level)
    options = {"shares": tuple(shares), "splits": splits, "level": level, "model": asked.model}
    size = len(rows.scores.dropna()) if chain is None else int(chain.glance()["nobs"].iloc[0])
    return MethodFactor(
        tidy_frame(found), tuple(shares), size, tuple(notes), Provenance.record(options, study.fingerprint, seed)
    )


def _of_persons(
    study: Study, rows: AnalysisRows, links: Mapping[str, Sequence[str]], shares: Sequence[float], level: float
) -> tuple[Rows, list[Note]]:
    assert study.chain is not None
    frame, text, items = _measured(study, rows)
    frame = frame[items].dropna()
    spread = frame.std(ddof=0)
    causes_only = [name for name in map(str, rows.scores) if name not in links]
    found: Rows = []
    notes: list[Note] = []
    for share in shares:
        label = f"method {share:.0%}".replace("%", " %")
        factor = _factor_text(share, spread, causes_only) if share > 0.0 else []
        try:
            solved = fit(model("\n".join([*text, study.chain.model, *factor])), frame, level=level)
        except EstimationError as error:
            notes.append(Note.of("method_not_fitted", "warning", label, share=share, problem=str(error)))
            continue
        table = solved.tidy()
        table = table[(table["op"] == "~") & table["lhs"].isin(links)].assign(kind="method_factor", label=label)
        found += [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    order = {pair: i for i, pair in enumerate((lhs, rhs) for lhs, names in links.items() for rhs in names)}
    return sorted(found, key=lambda row: order[row["lhs"], row["rhs"]]), notes


def _measured(study: Study, rows: AnalysisRows) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows, text of the measurement model and its items; scores stand for their constructs where there are no items."""
    if not rows.items.empty:
        found = measuring(study, rows)
        columns = [column for name in map(str, rows.scores) for column in found.get(name, (name,))]
        return rows.frame, measurement_text(study, rows), list(dict.fromkeys(columns))
    names = {str(name): f"{name}_score" for name in rows.scores}
    text = [f"`{name}` =~ 1*`{item}`\n`{item}` ~~ 0*`{item}`" for name, item in names.items()]
    return rows.scores.rename(columns=names), text, list(names.values())


def _factor_text(share: float, spread: pd.Series, causes_only: Sequence[str]) -> list[str]:
    """A factor of unit variance that explains the same share of every item, unrelated to what is measured."""
    loadings = [f"{float(np.sqrt(share)) * float(spread[item]):.12g}*`{item}`" for item in spread.index]
    return [
        f"{_FACTOR} =~ {' + '.join(loadings)}",
        f"{_FACTOR} ~~ 1*{_FACTOR}",
        *(f"{_FACTOR} ~~ 0*`{name}`" for name in causes_only),
    ]


def _of_units(
    study: Study,
    rows: AnalysisRows,
    links: Mapping[str, Sequence[str]],
    splits: int,
    rng: np.random.Generator,
    level: float,
) -> tuple[Rows, list[Note]]:
    book = {construct.name: construct for construct in study.codebook}
    halves = [_halves(study, rng) for _ in range(splits)]
    people = {str(name): _people(study, rows, book[str(name)]) for name in rows.scores}
    found: Rows = []
    notes: list[Note] = []
    for lhs, causes in links.items():
        shared = [rhs for rhs in causes if same_source(study, lhs, rhs)]
        if not shared:
            continue
        parts = [part for half in halves for part in _apart(rows, people, lhs, causes, half)]
        both = {
            "all respondents": _slopes([rows.scores[[lhs, *causes]].astype(float).dropna()], causes, level),
            "split halves": _slopes(parts, causes, level),
        }
        if any(slopes is None for slopes in both.values()):
            notes.append(Note.of("halves_not_fitted", "info", lhs, effect=book[lhs].title))
            continue
        scale = rows.scores[list(causes)].std() / rows.scores[lhs].std()
        for rhs in shared:
            found += [
                {"lhs": lhs, "op": "~", "rhs": rhs, "kind": "method_factor", "label": label, **slopes[rhs],
                 "std_all": slopes[rhs]["estimate"] * float(scale[rhs])}
                for label, slopes in both.items() if slopes is not None
            ]  # fmt: skip
    return found, notes


Half = Mapping[str, npt.NDArray[np.bool_]]


def _halves(study: Study, rng: np.random.Generator) -> Half:
    """One random half of the people of each table, the same in all its waves."""
    found = {}
    for table in SIDES.values():
        if table not in study.tables:
            continue
        frame = study.tables[table]
        people = pd.factorize(frame["respondent"])[0] if "respondent" in frame else np.arange(len(frame))
        drawn = rng.integers(0, 2, int(people.max(initial=-1)) + 2).astype(bool)
        found[table] = drawn[people]
    return found


@dataclass(frozen=True, eq=False)
class _People:
    """Scores of a construct: row in its table, unit's place among the rows, score. Without a table for records."""

    table: str
    place: npt.NDArray[np.intp]
    unit: npt.NDArray[np.intp]
    score: npt.NDArray[np.floating[Any]]


def _people(study: Study, rows: AnalysisRows, construct: Construct) -> _People | None:
    if construct.table not in SIDES.values():
        return None
    table = study.tables[construct.table]
    values = score(table, construct).to_numpy(dtype=np.float64)
    unit = rows.scores.index.get_indexer(pd.Index(table["unit"]))
    here = np.asarray(table.index.isin(at_wave(study, construct, rows.waves).index))
    place = np.flatnonzero(here & ~np.isnan(values) & (unit >= 0))
    return _People(construct.table, place, unit[place], values[place])


def _apart(
    rows: AnalysisRows, people: Mapping[str, _People | None], lhs: str, causes: Sequence[str], half: Half
) -> list[pd.DataFrame]:
    """The effect of one half and the causes of the other, each way round; causes of other tables are whole."""
    effect = people[lhs]
    assert effect is not None
    found = []
    for turn in (half[effect.table], ~half[effect.table]):
        columns = {lhs: _means(effect, turn, len(rows.scores))[0]}
        for rhs in causes:
            side = people[rhs]
            if side is None:
                columns[rhs] = rows.scores[rhs].to_numpy(dtype=float)
                continue
            columns[rhs] = _drawn_in(side, ~turn if side.table == effect.table else None, len(rows.scores))
        found.append(pd.DataFrame(columns, index=rows.scores.index).dropna())
    return found


def _means(side: _People, kept: npt.NDArray[np.bool_] | None, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means and sizes of units, and the scores behind them with the unit of each."""
    chosen = np.ones(side.place.size, dtype=bool) if kept is None else kept[side.place]
    unit, values = side.unit[chosen], side.score[chosen]
    size = np.bincount(unit, minlength=n).astype(float)
    mean = np.divide(np.bincount(unit, values, minlength=n), size, out=np.full(n, np.nan), where=size > 0)
    return mean, size, np.column_stack([unit, values])


def _drawn_in(side: _People, kept: npt.NDArray[np.bool_] | None, n: int) -> FloatArray:
    """Means of units drawn toward the mean over units by their reliability; NaN where units do not differ."""
    mean, size, both = _means(side, kept, n)
    sums = unit_sums(both[:, 1], pd.factorize(both[:, 0].astype(int), sort=True)[0])
    if not sums.estimable:
        return mean
    return random_intercept(sums, 0.95).expected(mean, size)[0]


def _slopes(parts: Sequence[pd.DataFrame], causes: Sequence[str], level: float) -> dict[str, dict[str, float]] | None:
    from statsmodels.regression.linear_model import OLS

    frame = pd.concat([part - part.mean() for part in parts])
    codes = pd.factorize(frame.index)[0]
    spread = frame[list(causes)].std()
    if codes.max(initial=-1) + 1 < max(_FEWEST_UNITS, len(causes) + 3) or not (spread > 0.0).all():
        return None
    if np.linalg.matrix_rank((frame[list(causes)] / spread).to_numpy()) < len(causes):
        return None
    solved = OLS(frame.iloc[:, 0], frame[list(causes)]).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    ends = solved.conf_int(alpha=1.0 - level)
    return {
        rhs: {
            "estimate": float(solved.params[rhs]), "std_error": float(solved.bse[rhs]),
            "statistic": float(solved.tvalues[rhs]), "p_value": float(solved.pvalues[rhs]),
            "conf_low": float(ends.loc[rhs, 0]), "conf_high": float(ends.loc[rhs, 1]),
        }
        for rhs in causes
    }  # fmt: skip
