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
              is, or where a hidden cause like the strongest other one would turn its sign
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
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from spc.chain.confounding import LinkRobustness, in_sentence
from spc.chain.method_factor import same_source
from spc.chain.replication import Replication
from spc.chain.result import ChainFit
from spc.chain.rivals import Rivals
from spc.chain.shape import LinkShapes
from spc.errors import SpcError, SpcWarning
from spc.sem.postestimation.invariance import Invariance, invariance
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, keyed_items

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
    sentence : str
        A whole sentence.
    short : str
        The same as a clause, for one-sentence summaries.
    """

    name: str
    met: str
    number: float
    sentence: str
    short: str


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
        """A construct inside a sentence."""
        return in_sentence(name, self.chain.labels)


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
        note.text
        for note in at.chain.notes()
        if note.severity == "serious"
        and note.code not in _OF_CAUSES
        and (note.subject in (row.lhs, row.rhs) or note.subject not in at.book)
    ]
    clear = row.label in ("holds", "opposite") and not serious
    words = {
        "holds": "The interval lies above zero.",
        "opposite": "The interval lies below zero: the link runs the other way.",
        "unclear": "The interval covers zero: no link is shown, nor is it shown to be absent.",
        "practically nil": "The link is shown to be smaller than what would matter.",
        "too small to matter": "The link is clear of zero, and smaller than what would matter.",
    }
    sentence = serious[0] if serious else words.get(row.label, "The link cannot be told apart from others.")
    return Criterion("estimate", "yes" if clear else "no", float(row.std_all), sentence, "it is clear of zero")


def _source(row: Any, at: Gathered) -> Criterion:
    if not same_source(at.study, row.lhs, row.rhs):
        tables = {at.book[row.lhs].table, at.book[row.rhs].table}
        if tables <= set(SIDES.values()):
            return Criterion(
                "source", "yes", 1.0, "Cause and effect were answered by different people.", "different people answered"
            )
        same = len(tables) == 1
        sentence = "Both come from records." if same else "Cause and effect come from different sources."
        return Criterion("source", "yes", 1.0, sentence, "both come from records" if same else "the sources differ")
    halves = at.method[(at.method["lhs"] == row.lhs) & (at.method["rhs"] == row.rhs)]
    halves = halves[halves["label"] == "split halves"]
    stands = bool((halves["conf_low"] * halves["conf_high"] > 0).any())
    if at.two_sided or stands:
        how = (
            "what each person brings to both answers is taken out" if at.two_sided
            else "the link stands with cause and effect from different halves of them"
        )  # fmt: skip
        return Criterion(
            "source", "partly", 0.5, f"The same people answered both; {how}.", "the same people answered both"
        )
    return Criterion("source", "no", 0.0, "The same people answered both.", "the same people answered both")


def _time(row: Any, at: Gathered) -> Criterion:
    waves = at.chain.waves
    if row.lhs not in waves or row.rhs not in waves:
        return Criterion(
            "time", "no", 0.0, "Nothing says that the cause was measured before the effect.",
            "nothing says which came first",
        )  # fmt: skip
    known = sorted(
        {w for table in at.study.tables.values() if "wave" in table for w in table["wave"].dropna().unique()}
    )
    lag = known.index(waves[row.lhs]) - known.index(waves[row.rhs])
    if lag > 0:
        times = "one wave" if lag == 1 else f"{lag} waves"
        return Criterion(
            "time", "yes", float(lag), f"The cause was measured {times} before the effect.", "the cause came earlier"
        )
    return Criterion(
        "time", "no", 0.0, "Cause and effect were measured at the same time.", "both were measured at one time"
    )


def _level(row: Any, at: Gathered) -> Criterion:
    if at.chain.level == "person":
        return Criterion("level", "yes", math.nan, "Persons were asked, and the link is one of persons.", "persons")
    asked = [name for name in (row.rhs, row.lhs) if at.book[name].table in SIDES.values()]
    if at.two_sided or not asked:
        return Criterion(
            "level", "yes", math.nan, "The link is one of units, free of the sampling error of their means.", "units"
        )
    return Criterion(
        "level", "partly", _least(at, [row.rhs], ("icc2_anova",)),
        "The link is one of unit means, whose sampling error weakens it and can move it between causes.",
        "it rests on unit means",
    )  # fmt: skip


def _robustness(row: Any, at: Gathered) -> Criterion:
    found = at.robustness[row.lhs, row.rhs]
    sentence = found.sentence(at.word(found.other) if found.other else "")
    turned = found.remains < 0.0
    met = "no" if found.value < at.robust else "partly" if found.value_alpha < at.robust or turned else "yes"
    clause = {
        "yes": f"a hidden cause would have to explain {_percent(found.value)} of what is left in both",
        "partly": "a hidden cause of moderate strength could leave it open",
        "no": "a weak hidden cause could take it away",
    }[met]
    return Criterion("robustness", met, found.value, sentence, clause)


def _method(row: Any, at: Gathered) -> Criterion:
    if not same_source(at.study, row.lhs, row.rhs):
        return Criterion("method", "yes", math.nan, "The way people answer cannot make the link: different people, or "
                         "records.", "the way of answering cannot make it")  # fmt: skip
    table = at.method[(at.method["lhs"] == row.lhs) & (at.method["rhs"] == row.rhs)]
    stands = table.set_index("label")
    stands = (stands["conf_low"] * stands["conf_high"] > 0) & (stands["estimate"] * row.estimate > 0)
    last = table["std_all"].iloc[-1] if len(table) else math.nan
    if "split halves" in stands.index:
        ok = bool(stands["split halves"])
        sentence = (
            f"With the cause from one half of the respondents and the effect from the other it "
            f"{'stands' if ok else 'no longer stands clear of zero'}."
        )
        return Criterion("method", "yes" if ok else "no", last, sentence, _by_answering(ok))
    tried = [label for label in ("method 20 %", "method 10 %") if label in stands.index]
    if not tried:
        return Criterion("method", NOT_CHECKED, math.nan, "The way people answer was not allowed for.", "")
    met = "yes" if stands.get("method 20 %", False) else "partly" if stands.get("method 10 %", False) else "no"
    how = {
        "yes": "It stands clear of zero even when 20 % of what every item varies by is only the way people answer.",
        "partly": "It stands when 10 % of what every item varies by is only the way people answer, and not at 20 %.",
        "no": "It goes when 10 % of what every item varies by is only the way people answer.",
    }
    return Criterion("method", met, last, how[met], _by_answering(met != "no"))


def _by_answering(stands: bool) -> str:
    return "it stands beside the way people answer" if stands else "the way people answer could make it"


def _replication(row: Any, at: Gathered) -> Criterion:
    found = at.replication[row.lhs, row.rhs]
    kinds = [kind for kind in ("wave", "region") if (found.parts["kind"] == kind).any()]
    if found.met == NOT_CHECKED:
        return Criterion(
            "replication", NOT_CHECKED, math.nan, "There is one wave, and no regions to compare.", "it was seen once"
        )
    where = " and ".join(f"{kind}s" for kind in kinds)
    agreeing = round(found.agreeing * len(found.parts))
    said = f"The sign is the same in {agreeing} of {len(found.parts)} {where}"
    if found.contradicted:
        said += "; one of them says the opposite"
    elif found.heterogeneity < 0.05:
        said += ", and its size differs among them by more than chance"
    clause = {"yes": f"it shows again over {where}", "partly": f"its size differs over {where}"}
    return Criterion(
        "replication", found.met, found.agreeing, f"{said}.", clause.get(found.met, f"it does not show over {where}")
    )


def _reliability(row: Any, at: Gathered) -> Criterion:
    kinds = ("alpha",) if at.chain.level == "person" or at.two_sided else ("alpha", "icc2_anova")
    least = _least(at, [row.lhs, row.rhs], kinds)
    if math.isnan(least):
        return Criterion(
            "reliability", NOT_CHECKED, least, "Single questions, or records: their reliability is not known.", ""
        )
    met = "yes" if least >= at.reliable else "partly" if least >= 0.5 else "no"
    return Criterion(
        "reliability", met, least, f"The less reliable of the two scores has a reliability of {least:.2f}.",
        f"reliability is {least:.2f}",
    )  # fmt: skip


def _least(at: Gathered, names: list[str], kinds: tuple[str, ...]) -> float:
    table = at.quality[at.quality["lhs"].isin(names) & at.quality["kind"].isin(kinds)]
    return float(table["estimate"].min()) if len(table) else math.nan


def _invariance(row: Any, at: Gathered) -> Criterion:
    found = [at.held[name] for name in (row.rhs, row.lhs) if name in at.held]
    where = "waves" if at.invariance is None else "groups"
    if not found:
        return Criterion(
            "invariance", NOT_CHECKED, math.nan,
            f"There are no {where} over which several questions could be compared.", "",
        )  # fmt: skip
    worst = "fails" if "fails" in found else "unclear" if "unclear" in found else "holds"
    met = {"holds": "yes", "unclear": "partly", "fails": "no"}[worst]
    said = {
        "yes": f"The questions measure the same in all {where}.",
        "partly": f"Whether the questions measure the same in all {where} is not quite clear.",
        "no": f"The questions do not measure the same in all {where}.",
    }[met]
    return Criterion("invariance", met, math.nan, said, said[:1].lower() + said[1:-1])


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
        return Criterion("reverse", NOT_CHECKED, math.nan, "The reverse order was not looked at.", "")
    table = at.rivals.tidy()
    timed = table[(table["kind"] == "time_order") & (table["lhs"] == row.lhs) & (table["rhs"] == row.rhs)]
    if len(timed) and timed["label"].iloc[0] in ("forward", "backward"):
        ahead = timed["label"].iloc[0] == "forward"
        sentence = (
            "The earlier cause foresees the later effect better than the other way round." if ahead
            else "The earlier effect foresees the later cause better than the other way round."
        )  # fmt: skip
        clause = "the order in time is the right one" if ahead else "the order in time is the other way round"
        return Criterion("reverse", "yes" if ahead else "no", float(timed["estimate"].iloc[0]), sentence, clause)
    ahead_by = table[table["kind"] == "bic_difference"].set_index("lhs")["estimate"]
    if "reverse" not in ahead_by.index:
        met = "partly" if len(timed) else NOT_CHECKED
        sentence = "Waves do not tell the two orders apart." if len(timed) else "The reverse order was not looked at."
        return Criterion("reverse", met, math.nan, sentence, "waves do not tell the two orders apart")
    lead = float(ahead_by["reverse"] - ahead_by["chain"])
    met = "yes" if lead >= TOLD_APART else "no" if lead <= -TOLD_APART else "partly"
    sentence = {
        "yes": "The chain with all its links turned round fits worse.",
        "no": "The chain with all its links turned round fits better.",
        "partly": "The chain with all its links turned round fits as well.",
    }[met]
    return Criterion("reverse", met, lead, sentence, sentence[:1].lower() + sentence[1:-1])


def _rivals(_: Any, at: Gathered) -> Criterion:
    if at.rivals is None:
        return Criterion("rivals", NOT_CHECKED, math.nan, "Rival explanations were not looked at.", "")
    table = at.rivals.tidy()
    behind = float(table[(table["kind"] == "bic_difference") & (table["lhs"] == "chain")]["estimate"].iloc[0])
    serious = [note for note in at.rivals.notes() if note.severity == "serious"]
    ranks = table[(table["lhs"] == "chain") & table["kind"].isin(["rank_fit", "rank_prediction"])]["estimate"]
    met = "no" if serious else "yes" if (ranks == 1.0).all() else "partly"
    sentence = {
        "no": "Another explanation of all the answers is clearly ahead of the chain.",
        "partly": "Another explanation of all the answers is ahead of the chain in fit or in prediction.",
        "yes": "No rival explanation of all the answers is ahead of the chain beyond doubt.",
    }[met]
    return Criterion("rivals", met, behind, sentence, "another explanation of the answers is ahead of the chain")


def _shape(row: Any, at: Gathered) -> Criterion:
    link = next(
        (link for link in at.shapes.links if (link.lhs, link.rhs) == (row.lhs, row.rhs)), None
    ) if at.shapes is not None else None  # fmt: skip
    if link is None:
        return Criterion("shape", NOT_CHECKED, math.nan, "The shape of the link was not tested.", "")
    least = min(link.p_values.values())
    if link.name == "straight":
        return Criterion("shape", "yes", least, "No bend, threshold or asymmetry was found.", "it is a straight line")
    return Criterion("shape", "no", least, f"The link is {link.name}, and one number does not describe it.",
                     f"it is {link.name}")  # fmt: skip


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
