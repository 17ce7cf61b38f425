"""The criteria by which the evidence for a link is graded, each with its rule.

============  ======================================================================================================
criterion     met
============  ======================================================================================================
estimate      the interval is clear of zero and of what is too small to matter, and nothing forbids reading it
source        cause and effect come from different people, or one of them from records; partly where answers of one
              side are separated from their unit (two-sided fit) or stand on split halves
time          the cause was measured at an earlier wave
level         estimated on the level of the claim: respondents within their units, or persons; partly on unit means
robustness    robustness value of its being clear of zero at least the bound; partly where only that of the link itself
              is, or where a hidden cause like the strongest other one would turn its sign; not checked for a link
              whose interval covers zero
method        still clear of zero with a method factor of 20 % (partly: 10 %) of item variance, or on split halves
replication   same sign in at least three quarters of waves and regions, none against, no more spread than chance;
              partly where most have the same sign
reliability   both scores at least the bound (alpha, and ICC(2) for unit means); partly from .50
invariance    loadings equal across waves (or groups given); partly where that is unclear
reverse       the reverse order is worse: in time where it was measured, else in fit; partly where not told apart
rivals        no other explanation fits or foresees better than the chain beyond doubt
shape         a straight line, as far as tests tell
============  ======================================================================================================
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from spc.chain.confounding import LinkRobustness
from spc.chain.method_factor import same_source
from spc.chain.naming import title_of
from spc.chain.replication import Replication
from spc.chain.result import ChainFit
from spc.chain.rivals import Rivals
from spc.chain.shape import LinkShapes
from spc.errors import SpcError, SpcWarning
from spc.sem.postestimation.invariance import Invariance, invariance
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, keyed_items
from spc.words import Phrase, phrase, verdict_form

__all__ = ["CRITERIA", "Criterion", "Gathered", "criteria"]

CRITERIA = (
    "estimate", "source", "time", "level", "robustness", "method", "replication", "reliability", "invariance",
    "reverse", "rivals", "shape",
)  # fmt: skip
"""Names of the criteria, in the order they are told."""

NOT_CHECKED = "not checked"
TOLD_APART = 2.0
_FEWEST_ANSWERS = 50
_OF_CAUSES = frozenset({"causes_alike", "variance_at_bound"})


@dataclass(frozen=True)
class Criterion:
    """One reason behind a grade.

    Attributes
    ----------
    name : str
    met : {"yes", "partly", "no", "not checked"}
    number : float
        What it was decided by; NaN where there is none.
    sentence : Phrase
        A whole sentence.
    short : Phrase, optional
        The same as a clause, for one-sentence summaries.
    """

    name: str
    met: str
    number: float
    sentence: Phrase
    short: Phrase | None = None


@dataclass(frozen=True, eq=False)
class Gathered:
    """What the criteria of all links are decided from; mappings are by (effect, cause)."""

    study: Study
    chain: ChainFit
    robustness: Mapping[tuple[str, str], LinkRobustness]
    method: pd.DataFrame
    replication: Mapping[tuple[str, str], Replication]
    rivals: Rivals | None
    shapes: LinkShapes | None
    invariance: Mapping[str, Invariance] | None
    robust: float
    reliable: float

    @cached_property
    def book(self) -> dict[str, Construct]:
        """Constructs by name."""
        return {construct.name: construct for construct in self.study.codebook}

    @property
    def two_sided(self) -> bool:
        """Whether links rest on the respondents themselves."""
        return self.chain.two_sided

    @cached_property
    def quality(self) -> pd.DataFrame:
        """Measures of reliability: rows of the study's own."""
        table = self.study.tidy()
        return table[table["kind"].isin(["alpha", "icc2_anova"])]

    @cached_property
    def held(self) -> dict[str, str]:
        """Construct to whether its loadings are equal: holds, unclear, fails."""
        names = {name for pair in self.robustness for name in pair}
        given = self.invariance
        found = {name: _across_waves(self.study, self.book[name]) for name in names} if given is None else given
        return {name: _loadings(result) for name, result in found.items() if result is not None}

    def word(self, name: str) -> str:
        """A construct in words."""
        return title_of(name, self.chain.labels)


def _of(name: str, met: str, number: float, said: str, short: str = "", /, **values: object) -> Criterion:
    """A criterion whose sentence and clause are the templates ``note.reason.<name>.<said>`` and ``<short>``."""
    clause = phrase(f"note.reason.{name}.{short}", **values) if short else None
    return Criterion(name, met, number, phrase(f"note.reason.{name}.{said}", **values), clause)


def criteria(row: Any, at: Gathered) -> tuple[Criterion, ...]:
    """All criteria of one link.

    Parameters
    ----------
    row : named tuple
        Row of the link in the chain's table.
    at : Gathered
    """
    judges = (
        _estimate, _source, _time, _level, _robustness, _method, _replication, _reliability, _invariance, _reverse,
        _rivals, _shape,
    )  # fmt: skip
    return tuple(judge(row, at) for judge in judges)


def _estimate(row: Any, at: Gathered) -> Criterion:
    serious = [
        note.said
        for note in at.chain.notes()
        if note.severity == "serious"
        and note.code not in _OF_CAUSES
        and (note.subject in (row.lhs, row.rhs) or note.subject not in at.book)
    ]
    clear = row.label in ("holds", "opposite") and not serious
    found = _of("estimate", "yes" if clear else "no", float(row.std_all), verdict_form(row.label, row.std_all), "short")
    said = [text for text in serious if isinstance(text, Phrase)]
    return replace(found, sentence=said[0]) if said else found


def _source(row: Any, at: Gathered) -> Criterion:
    if not same_source(at.study, row.lhs, row.rhs):
        tables = {at.book[row.lhs].table, at.book[row.rhs].table}
        if tables <= set(SIDES.values()):
            return _of("source", "yes", 1.0, "people", "people_short")
        same = "records" if len(tables) == 1 else "differ"
        return _of("source", "yes", 1.0, same, f"{same}_short")
    if at.two_sided or _stands(row, at).get("split halves", False):
        return _of("source", "partly", 0.5, "taken_out" if at.two_sided else "halves", "same_short")
    return _of("source", "no", 0.0, "same", "same_short")


def _time(row: Any, at: Gathered) -> Criterion:
    waves = at.chain.waves
    if row.lhs not in waves or row.rhs not in waves:
        return _of("time", "no", 0.0, "unknown", "unknown_short")
    known = sorted(
        {w for table in at.study.tables.values() if "wave" in table for w in table["wave"].dropna().unique()}
    )
    lag = known.index(waves[row.lhs]) - known.index(waves[row.rhs])
    if lag > 0:
        sentence, short = phrase("note.reason.time.earlier", n=lag), phrase("note.reason.time.earlier_short")
        return Criterion("time", "yes", float(lag), sentence, short)
    return _of("time", "no", 0.0, "same", "same_short")


def _level(row: Any, at: Gathered) -> Criterion:
    if at.chain.level == "person":
        return _of("level", "yes", math.nan, "persons", "persons_short")
    asked = [name for name in (row.rhs, row.lhs) if at.book[name].table in SIDES.values()]
    if at.two_sided or not asked:
        return _of("level", "yes", math.nan, "units", "units_short")
    return _of("level", "partly", _least(at, [row.rhs], ("icc2_anova",)), "means", "means_short")


def _robustness(row: Any, at: Gathered) -> Criterion:
    found = at.robustness[row.lhs, row.rhs]
    if row.conf_low <= 0.0 <= row.conf_high:
        return _of("robustness", NOT_CHECKED, found.value, "nothing")
    sentence = found.sentence(at.word(found.other) if found.other else "")
    turned = found.remains < 0.0
    met = "no" if found.value < at.robust else "partly" if found.value_alpha < at.robust or turned else "yes"
    value = {"value": found.value} if met == "yes" else {}
    return Criterion("robustness", met, found.value, sentence, phrase(f"note.reason.robustness.{met}", **value))


def _method(row: Any, at: Gathered) -> Criterion:
    if not same_source(at.study, row.lhs, row.rhs):
        return _of("method", "yes", math.nan, "other_people", "other_people_short")
    stands, table = _stands(row, at), _tried(row, at)
    last = table["std_all"].iloc[-1] if len(table) else math.nan
    if "split halves" in stands:
        ok = stands["split halves"]
        how = "stand" if ok else "fall"
        return _of("method", "yes" if ok else "no", last, f"halves_{how}", f"{how}s_short")
    tried = [label for label in ("method 20 %", "method 10 %") if label in stands]
    if not tried:
        return _of("method", NOT_CHECKED, math.nan, "untried")
    met = "yes" if stands.get("method 20 %", False) else "partly" if stands.get("method 10 %", False) else "no"
    shares = {"yes": {"much": 0.2}, "partly": {"little": 0.1, "much": 0.2}, "no": {"little": 0.1}}[met]
    clause = phrase(f"note.reason.method.{'falls' if met == 'no' else 'stands'}_short")
    return Criterion("method", met, last, phrase(f"note.reason.method.{met}", **shares), clause)


def _tried(row: Any, at: Gathered) -> pd.DataFrame:
    found: pd.DataFrame = at.method[(at.method["lhs"] == row.lhs) & (at.method["rhs"] == row.rhs)]
    return found


def _stands(row: Any, at: Gathered) -> dict[str, bool]:
    """Whether a link is clear of zero, on its own side of it, in each way that allows for how people answer."""
    each: list[Any] = list(_tried(row, at).itertuples())
    return {way.label: bool(way.conf_low * way.conf_high > 0 and way.estimate * row.estimate > 0) for way in each}


def _replication(row: Any, at: Gathered) -> Criterion:
    found = at.replication[row.lhs, row.rhs]
    kinds = [kind for kind in ("wave", "region") if (found.parts["kind"] == kind).any()]
    if found.met == NOT_CHECKED:
        return _of("replication", NOT_CHECKED, math.nan, "once", "once_short")
    where = [phrase(f"note.reason.where.{kind}s") for kind in kinds]
    agreeing = round(found.agreeing * len(found.parts))
    how = "contradicted" if found.contradicted else "differs" if found.heterogeneity < 0.05 else "same"
    sentence = phrase(f"note.reason.replication.{how}", agreeing=agreeing, parts=len(found.parts), where=where)
    clause = found.met if found.met in ("yes", "partly") else "no"
    short = phrase(f"note.reason.replication.{clause}", where=where)
    return Criterion("replication", found.met, found.agreeing, sentence, short)


def _reliability(row: Any, at: Gathered) -> Criterion:
    kinds = ("alpha",) if at.chain.level == "person" or at.two_sided else ("alpha", "icc2_anova")
    least = _least(at, [row.lhs, row.rhs], kinds)
    if math.isnan(least):
        return _of("reliability", NOT_CHECKED, least, "unknown")
    met = "yes" if least >= at.reliable else "partly" if least >= 0.5 else "no"
    return _of("reliability", met, least, "least", "short", least=least)


def _least(at: Gathered, names: list[str], kinds: tuple[str, ...]) -> float:
    table = at.quality[at.quality["lhs"].isin(names) & at.quality["kind"].isin(kinds)]
    return float(table["estimate"].min()) if len(table) else math.nan


def _invariance(row: Any, at: Gathered) -> Criterion:
    found = [at.held[name] for name in (row.rhs, row.lhs) if name in at.held]
    where = phrase("note.reason.where.waves" if at.invariance is None else "note.reason.where.groups")
    if not found:
        return _of("invariance", NOT_CHECKED, math.nan, "nowhere", where=where)
    worst = "fails" if "fails" in found else "unclear" if "unclear" in found else "holds"
    met = {"holds": "yes", "unclear": "partly", "fails": "no"}[worst]
    return _of("invariance", met, math.nan, met, f"{met}_short", where=where)


def _loadings(result: Invariance) -> str:
    table = result.augment()
    steps = table[table["step"] == "metric"]
    first = str(table["verdict"].iloc[0])
    return "fails" if first == "fails" else str((steps if len(steps) else table)["verdict"].iloc[0])


def _across_waves(study: Study, construct: Construct) -> Invariance | None:
    """Loadings of a construct of at least three items over the waves; None where there is nothing to do."""
    table = study.tables[construct.table]
    if "wave" not in table or len(construct.items) < 3:
        return None
    frame = keyed_items(table, construct).assign(wave_of_answers=table["wave"].astype(str)).dropna()
    sizes = frame["wave_of_answers"].value_counts()
    frame = frame[frame["wave_of_answers"].isin(sizes[sizes >= _FEWEST_ANSWERS].index)]
    if frame["wave_of_answers"].nunique() < 2:
        return None
    text = f"`{construct.name}` =~ {' + '.join(f'`{item}`' for item in construct.items)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            return invariance(text, frame, group="wave_of_answers")
    except SpcError:
        return None


def _reverse(row: Any, at: Gathered) -> Criterion:
    if at.rivals is None:
        return _of("reverse", NOT_CHECKED, math.nan, "unseen")
    table = at.rivals.tidy()
    timed = table[(table["kind"] == "time_order") & (table["lhs"] == row.lhs) & (table["rhs"] == row.rhs)]
    if len(timed) and timed["label"].iloc[0] in ("forward", "backward"):
        ahead = timed["label"].iloc[0] == "forward"
        way = "forward" if ahead else "backward"
        return _of("reverse", "yes" if ahead else "no", float(timed["estimate"].iloc[0]), way, f"{way}_short")
    ahead_by = table[table["kind"] == "bic_difference"].set_index("lhs")["estimate"]
    if "reverse" not in ahead_by.index:
        met, said = ("partly", "open") if len(timed) else (NOT_CHECKED, "unseen")
        return _of("reverse", met, math.nan, said, "open_short")
    lead = float(ahead_by["reverse"] - ahead_by["chain"])
    met = "yes" if lead >= TOLD_APART else "no" if lead <= -TOLD_APART else "partly"
    return _of("reverse", met, lead, met, f"{met}_short")


def _rivals(_: Any, at: Gathered) -> Criterion:
    if at.rivals is None:
        return _of("rivals", NOT_CHECKED, math.nan, "unseen")
    table = at.rivals.tidy()
    behind = float(table[(table["kind"] == "bic_difference") & (table["lhs"] == "chain")]["estimate"].iloc[0])
    serious = [note for note in at.rivals.notes() if note.severity == "serious"]
    ranks = table[(table["lhs"] == "chain") & table["kind"].isin(["rank_fit", "rank_prediction"])]["estimate"]
    met = "no" if serious else "yes" if (ranks == 1.0).all() else "partly"
    return _of("rivals", met, behind, met, "short")


def _shape(row: Any, at: Gathered) -> Criterion:
    link = next(
        (link for link in at.shapes.links if (link.lhs, link.rhs) == (row.lhs, row.rhs)), None
    ) if at.shapes is not None else None  # fmt: skip
    if link is None:
        return _of("shape", NOT_CHECKED, math.nan, "untested")
    least = min(link.p_values.values())
    return _of("shape", "yes" if link.name == "straight" else "no", least, link.name, f"{link.name}_short")
