r"""From what customers say to what they do: retention, margin and referral as functions of a score of their unit.

Retention is a discrete hazard: the log odds of staying through a period of tenure are a constant of that period plus
:math:`\gamma` times the score. A unit's score rests on a few answers, so it is replaced by what it is expected to be
given its measurement, :math:`E[\xi_j | w_j] = \mu + \tau^2 / (\tau^2 + v_j) (w_j - \mu)` (regression calibration), and
slopes do not shrink towards nought. Margin and referral are straight lines on the same score.

Errors come from leaving out one unit at a time, the calibration included, so that customers of a unit may share its
fate; Student's t on units less one. All slopes are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.ledger import ledger_of, read_ledger
from spc.economics.lifetable import LifeTable, life_tables
from spc.economics.models import spans_of
from spc.economics.tenure import Window, numeric_column
from spc.errors import DataError, EstimationError, NonConvergenceError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame
from spc.survey.intraclass import expected_values

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["LINKED", "OUTCOMES", "RetentionLink", "nearest_link", "retention_link"]

LINKED = ("customer_loyalty", "customer_satisfaction", "customer_value")
"""Constructs through which customers' answers may lead to their staying, the nearest first."""
OUTCOMES = ("retention", "margin", "referral")
FEWEST_UNITS = 8

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False, repr=False)
class RetentionLink(Shown):
    """How retention, margin and referral move with a score.

    Attributes
    ----------
    construct : str
        What the score measures.
    names : tuple of str
        Outcomes, of :data:`OUTCOMES`.
    estimate : (k,) array
        Slope of each outcome on one point of the score: log odds of staying, money, referrals.
    deviations : (J, k) array
        How the slopes move when each unit is left out.
    naive : (k,) array
        Slopes on the scores as measured, without the correction for their error.
    rate : float
        Share of customers that stays for a period, at the mean score.
    reliability : float
        Of the mean unit's score.
    spread : float
        Standard deviation of the true scores over units.
    customers : int
    level : float
    note_list : tuple of Note
    provenance : Provenance
    """

    construct: str
    names: tuple[str, ...]
    estimate: FloatArray
    deviations: FloatArray
    naive: FloatArray
    rate: float
    reliability: float
    spread: float
    customers: int
    level: float
    note_list: tuple[Note, ...]
    provenance: Provenance
    kind: str = "retention_link"

    def __post_init__(self) -> None:
        for name in ("estimate", "deviations", "naive"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def units(self) -> int:
        """How many units the slopes rest on."""
        return len(self.deviations)

    @property
    def vcov(self) -> FloatArray:
        """Jackknife covariance of the slopes, (k, k)."""
        return np.asarray((self.units - 1) / self.units * self.deviations.T @ self.deviations)

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw the slopes from Student's distribution on units less one, (n, k)."""
        df = self.units - 1
        noise = rng.standard_normal((n, self.units)) * np.sqrt(df / rng.chisquare(df, size=(n, 1)))
        return np.asarray(self.estimate + math.sqrt(df / self.units) * noise @ self.deviations)

    def tidy(self) -> pd.DataFrame:
        """Rows ``link`` (one an outcome; ``std_all`` per standard deviation of the score), ``naive`` and ``points``.

        ``points`` is how many points of retention one point of the score moves, from the mean.
        """
        from scipy.special import stdtr, stdtrit

        df, error = self.units - 1, np.sqrt(self.vcov.diagonal())
        width = float(stdtrit(df, (1 + self.level) / 2)) * error
        rows: list[dict[str, Any]] = []
        for i, name in enumerate(self.names):
            about = {"lhs": name, "op": "~", "rhs": self.construct}
            slope, spread = float(self.estimate[i]), float(error[i])
            t = slope / spread if spread > 0 else math.nan
            rows.append(
                {
                    **about,
                    "kind": "link",
                    "estimate": slope,
                    "std_error": spread,
                    "statistic": t,
                    "p_value": 2 * float(stdtr(df, -abs(t))),
                    "conf_low": slope - width[i],
                    "conf_high": slope + width[i],
                    "std_all": slope * self.spread,
                }
            )
            rows.append({**about, "kind": "naive", "estimate": float(self.naive[i])})
            if name == "retention":
                ends = [self._points(x) for x in (slope, slope - width[i], slope + width[i])]
                scale = self.rate * (1 - self.rate)
                rows.append(
                    {
                        **about,
                        "kind": "points",
                        "estimate": ends[0],
                        "std_error": scale * spread,
                        "conf_low": ends[1],
                        "conf_high": ends[2],
                    }
                )
        return tidy_frame(rows)

    def _points(self, slope: float) -> float:
        odds = math.log(self.rate / (1 - self.rate)) + slope
        return 1 / (1 + math.exp(-odds)) - self.rate

    def glance(self) -> pd.DataFrame:
        """One row: units, customers, reliability and spread of the score, retention at its mean."""
        row = {
            "nunits": self.units,
            "customers": self.customers,
            "reliability": self.reliability,
            "spread": self.spread,
            "retention": self.rate,
            "level": self.level,
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the slopes."""
        return self.note_list


def retention_link(
    data: Study | pd.DataFrame,
    scores: pd.DataFrame | None = None,
    *,
    construct: str = "customer_loyalty",
    by: str = "unit",
    outcomes: Sequence[str] = ("retention", "margin", "referral"),
    period: str | None = None,
    since: object = None,
    until: object = None,
    level: float = 0.95,
) -> RetentionLink:
    """How much retention, margin and referral move with what customers say.

    Parameters
    ----------
    data : Study or DataFrame
        A study with a customer ledger and answers, or the ledger: ``tenure, churned`` (or ``start, end``), ``unit``,
        and where known ``margin`` per period and ``referrals`` (how many others a customer has brought).
    scores : DataFrame, optional
        ``unit`` and ``score``, and its sampling ``variance`` (taken as nought when left out); a ledger alone needs
        them, a study has its own from the answers.
    construct : str
        Without scores, which construct of the study's codebook; else what the score is called.
    by : {"unit", "customer"}
        Whose score it is. With ``"customer"`` the answers of the customers in the ledger themselves are used, and
        errors are still by unit where there are units.
    outcomes : sequence of str
        Of ``retention, margin, referral``; those the ledger cannot tell are left out.
    period, since, until
        What the dates of a ledger cover, see :func:`tenure_between`; a study says it under ``[money]``.
    level : float

    Returns
    -------
    RetentionLink

    Raises
    ------
    DataError
        Columns that are missing.
    UsageError
        Fewer than eight units with a score, scores that do not differ, or an unknown construct or outcome.

    Notes
    -----
    An association in one ledger: units whose customers are more loyal may differ in other ways. With ``by="customer"``
    only those who answered are in, so answers must have been given before the periods they are held against.

    References
    ----------
    Carroll, Ruppert, Stefanski & Crainiceanu (2006), *Measurement Error in Nonlinear Models*, chapter 4; Paule & Mandel
    (1982), *Journal of Research of the National Bureau of Standards* 87.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> mood = rng.normal(5, 1, 40)
    >>> unit = np.repeat(np.arange(40), 100)
    >>> life = rng.geometric(1 / (1 + np.exp(1 + 0.4 * (mood[unit] - 5))))
    >>> ledger = pd.DataFrame({"unit": unit, "tenure": np.minimum(life, 4), "churned": life <= 4})
    >>> link = retention_link(ledger, pd.DataFrame({"unit": np.arange(40), "score": mood}))
    >>> bool(0.3 < link.estimate[0] < 0.5)
    True
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    unknown = [name for name in outcomes if name not in OUTCOMES]
    if unknown or not outcomes:
        raise UsageError(f"The outcomes are {', '.join(outcomes) or 'none'}; expected some of {', '.join(OUTCOMES)}.")
    if by not in {"unit", "customer"}:
        raise UsageError(f"by is {by!r}; expected 'unit' or 'customer'.")
    if scores is None:
        if isinstance(data, pd.DataFrame):
            raise UsageError("A ledger alone has no scores; give scores with the columns unit and score, or a study.")
        scores = _scores_of(data, construct, by)
    customers, window = ledger_of(data, period=period, since=since, until=until)
    rows = _rows(customers, scores, by, window)
    if rows.groups < FEWEST_UNITS:
        raise UsageError(f"{rows.groups} units have a score and customers; expected at least {FEWEST_UNITS}.")
    names = tuple(name for name in outcomes if name == "retention" or name in rows.sums)
    full = _slopes(rows, names, np.ones(rows.groups))
    each = [_slopes(rows, names, np.arange(rows.groups) != j) for j in range(rows.groups)]
    deviations = np.array([found.slopes for found in each]) - full.slopes
    provenance = Provenance.record(
        {"construct": construct, "by": by, "outcomes": names, "level": level}, fingerprint(customers, scores)
    )
    return RetentionLink(
        construct,
        names,
        full.slopes,
        deviations,
        full.naive,
        full.rate,
        full.reliability,
        full.spread,
        rows.customers,
        level,
        tuple(_notes(full, rows, by)),
        provenance,
    )


def nearest_link(study: Study, known: Collection[str]) -> tuple[RetentionLink | None, tuple[Note, ...]]:
    """The link of a study's ledger with the nearest of :data:`LINKED` that is ``known``, and why nearer ones have none.

    Parameters
    ----------
    study : Study
    known : collection of str
        Constructs that may lead to retention.
    """
    notes: list[Note] = []
    labels = {c.name: c.title for c in study.codebook}
    for construct in LINKED:
        if construct in known:
            try:
                return retention_link(study, construct=construct), tuple(notes)
            except (DataError, EstimationError, UsageError) as problem:
                notes.append(Note.of("no_retention_link", "warning", construct, label=labels.get(construct, construct),
                                     problem=str(problem)))  # fmt: skip
    return None, tuple(notes)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Cells of customers with equal score: their life tables, sums, and the group they belong to."""

    score: FloatArray
    variance: FloatArray
    codes: Codes
    table: LifeTable
    sums: Mapping[str, tuple[FloatArray, FloatArray]]
    groups: int
    customers: int
    unmatched: int
    spans: npt.NDArray[np.intp]


def _rows(customers: pd.DataFrame, scores: pd.DataFrame, by: str, window: Window) -> _Rows:
    for column in (by, "score"):
        if column not in scores:
            expected = f"a column {column}"
            raise DataError.of("scores", column, "missing_column", "no such column", expected, "Name it so.")
    also = [name for name in ("referrals",) if name in customers]
    ledger, _ = read_ledger(customers, window, keep=(by, *also))
    if also:
        ledger["referral"] = numeric_column(ledger["referrals"], "referrals", "numbers")
    table = scores.dropna(subset=["score"]).drop_duplicates(by)
    place = pd.Series(np.arange(len(table)), index=table[by].astype(object))
    at = ledger[by].astype(object).map(place)
    there = at.notna() & (ledger["tenure"] > 0)
    matched, cell = ledger[there].reset_index(drop=True), at[there].to_numpy(dtype=np.intp)
    kept, codes = np.unique(cell, return_inverse=True)
    if not kept.size:
        raise UsageError(f"No customer of the ledger has a score: the values of {by} in the two tables do not meet.")
    own = matched["unit"] if by == "customer" and "unit" in matched else pd.Series(codes)
    group = pd.Series(pd.factorize(own)[0]).groupby(codes).first().to_numpy(dtype=np.intp)
    life = life_tables(matched["tenure"], matched["churned"], codes, matched.get("entry"))
    variance = table["variance"].fillna(0.0).to_numpy(dtype=float) if "variance" in table else np.zeros(len(table))
    return _Rows(
        table["score"].to_numpy(dtype=float)[kept],
        variance[kept],
        group,
        life,
        MappingProxyType(_sums(matched, codes, kept.size)),
        int(group.max()) + 1,
        len(matched),
        len(ledger) - len(matched),
        _few_spans(life),
    )


def _sums(matched: pd.DataFrame, codes: Codes, cells: int) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Count and sum of what present customers leave, and of whom all have brought, by cell."""
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    for name, rows in (("margin", matched["present"]), ("referral", pd.Series(True, index=matched.index))):
        if name in matched:
            known = (rows & matched[name].notna()).to_numpy()
            values = matched[name].to_numpy(dtype=float)[known]
            count = np.bincount(codes[known], minlength=cells).astype(float)
            if count.sum() > 1 and values.std() > 0:
                found[name] = (count, np.bincount(codes[known], values, minlength=cells).astype(float))
    return found


def _few_spans(table: LifeTable) -> npt.NDArray[np.intp]:
    """At most eight spans of tenure with a hazard of their own."""
    return spans_of(table.total(), max(5.0, float(table.events.sum()) / 8.0))


@dataclass(frozen=True, eq=False)
class _Found:
    slopes: FloatArray
    naive: FloatArray
    rate: float
    reliability: float
    spread: float


def _slopes(rows: _Rows, names: tuple[str, ...], kept: npt.ArrayLike) -> _Found:
    """Slopes over the groups that are kept."""
    cells = np.asarray(kept, dtype=bool)[rows.codes]
    w, v = rows.score[cells], rows.variance[cells]
    mean, between = _spread(w, v)
    if cells.all() and not between > 1e-12 * max(1.0, mean**2):
        raise UsageError(
            "The units' scores do not differ beyond their sampling error, so nothing can be said of what follows them."
        )
    between = max(between, 0.05 * float(w.var()))
    believed, unsure = expected_values(w, v, mean, between)
    slopes, naive, rate = [], [], math.nan
    for name in names:
        if name == "retention":
            found, rate = _hazard(rows, cells, believed - mean)
            slopes.append(found)
            naive.append(_hazard(rows, cells, w - mean)[0])
        else:
            count, total = (x[cells] for x in rows.sums[name])
            slopes.append(_line(believed, count, total))
            naive.append(_line(w, count, total))
    reliability = 1.0 - float(unsure.mean()) / between
    return _Found(np.array(slopes), np.array(naive), rate, reliability, math.sqrt(between))


def _spread(w: FloatArray, v: FloatArray) -> tuple[float, float]:
    """Mean and variance of the true scores (Paule & Mandel)."""
    between = max(float(w.var(ddof=1) - v.mean()), 0.0) if w.size > 1 else 0.0
    mean = float(w.mean())
    for _ in range(100):
        weight = 1.0 / np.maximum(between + v, 1e-300)
        mean = float(weight @ w / weight.sum())
        gap = float(weight @ (w - mean) ** 2) - (w.size - 1)
        slope = float(weight**2 @ (w - mean) ** 2)
        step = gap / slope if slope > 0 else 0.0
        between = max(between + step, 0.0)
        if abs(step) <= 1e-12 * max(between, 1e-12) or (between == 0.0 and gap < 0):
            break
    return mean, between


def _line(x: FloatArray, count: FloatArray, total: FloatArray) -> float:
    middle = float(count @ x / count.sum())
    return float((x - middle) @ total / ((x - middle) ** 2 @ count))


def _hazard(rows: _Rows, cells: npt.NDArray[np.bool_], x: FloatArray) -> tuple[float, float]:
    """Slope of the log odds of staying on x, with a constant for each span of tenure, and the rate at x = 0."""
    start = np.flatnonzero(np.diff(rows.spans, prepend=-1))
    n, e = (np.add.reduceat(a[cells], start, axis=1) for a in (rows.table.exposure, rows.table.events))
    n = np.maximum(n, e)
    stay, scale = n - e, float(x.std()) or 1.0
    z = x / scale
    odds = np.log((stay.sum(axis=0) + 0.5) / (e.sum(axis=0) + 0.5))
    slope = 0.0
    for _ in range(60):
        p = 1.0 / (1.0 + np.exp(-(odds + slope * z[:, None])))
        rest, weight = stay - n * p, n * p * (1 - p)
        own = weight.sum(axis=0) + 1e-12
        cross = z @ weight
        gradient, across = float(z @ rest.sum(axis=1)), rest.sum(axis=0)
        information = float(z**2 @ weight.sum(axis=1)) - float((cross**2 / own).sum())
        step = (gradient - float((cross / own) @ across)) / max(information, 1e-300)
        step = max(min(step, 2.0), -2.0)
        odds = odds + np.clip((across - cross * step) / own, -2.0, 2.0)
        slope += step
        if abs(step) < 1e-11:
            rate = float((n.sum(axis=0) / n.sum()) @ (1.0 / (1.0 + np.exp(-odds))))
            return slope / scale, rate
    raise NonConvergenceError(
        "The link of retention with the score found no maximum: in some score nobody, or everybody, stays. Bring more "
        "customers together."
    )


def _notes(found: _Found, rows: _Rows, by: str) -> list[Note]:
    notes = [Note.of("association", "info", "retention", "units", units=rows.groups)]
    if found.reliability < 0.5:
        notes.append(Note.of("low_reliability", "warning", "score", "scores", reliability=found.reliability))
    if rows.unmatched:
        notes.append(Note.of("customers_without_score", "info", "customers", by, customers=rows.unmatched))
    if by == "customer":
        notes.append(Note.of("answers_before_leaving", "warning", "score"))
    return notes


def _scores_of(study: Study, construct: str, by: str) -> pd.DataFrame:
    """Scores of a construct of a study."""
    from spc.study import Study

    if not isinstance(study, Study):
        raise UsageError(f"retention_link takes a study or a customer ledger, found a {type(study).__name__}.")
    known = {c.name: c for c in study.codebook}
    if construct not in known:
        raise UsageError(f"The study has no construct {construct!r}; it has: {', '.join(known) or 'none'}.")
    found = known[construct]
    if "customers" not in study.tables or found.table not in study.tables:
        raise UsageError(
            "The study needs a customer table and the answers behind the score, for how the two go together."
        )
    return _scores(study.tables[found.table], found, by)


def _scores(answers: pd.DataFrame, construct: Any, by: str) -> pd.DataFrame:
    """Mean score of each unit or customer, with its sampling variance from what people of one differ."""
    from spc.survey import score

    if by not in answers:
        expected = f"a column {by}"
        raise DataError.of(construct.table, by, "missing_column", "no such column", expected, "Add it, or choose by.")
    table = pd.DataFrame({by: answers[by], "score": score(answers, construct)}).dropna()
    grouped = table.groupby(by)["score"]
    means = grouped.agg(["mean", "size"])
    within = float(((table["score"] - grouped.transform("mean")) ** 2).sum()) / max(len(table) - len(means), 1)
    return pd.DataFrame(
        {by: means.index, "score": means["mean"].to_numpy(), "variance": within / means["size"].to_numpy()}
    )
