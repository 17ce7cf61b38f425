"""How far the evidence for each link goes: a grade from A to D, with every reason beside it.

An interval clear of zero says that two things go together more than chance would have them. Whether the one moves the
other is another question, which no single number answers. The criteria here are those by which such claims are usually
judged (who was asked, when, how well it was measured, what a hidden cause would have to be, whether it shows again);
each is decided by a stated rule, and the grade by a stated rule from the criteria.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pandas as pd

from spc.chain.confounding import link_robustness
from spc.chain.criteria import CRITERIA, Criterion, Gathered, criteria
from spc.chain.fit import fit_chain
from spc.chain.links import required_chain
from spc.chain.method_factor import method_factor
from spc.chain.naming import title_of
from spc.chain.replication import replications
from spc.chain.result import ChainFit
from spc.chain.rivals import Rivals
from spc.chain.rivals import rivals as fit_rivals
from spc.chain.shape import LinkShapes, link_shapes
from spc.errors import SpcError, UsageError
from spc.results import Note, Provenance, Result, Shown, tidy_frame
from spc.sem.postestimation.invariance import Invariance
from spc.study import Study
from spc.words import Phrase, phrase, verdict_form

__all__ = ["GRADES", "Evidence", "LinkEvidence", "evidence", "grade"]

Grade = Literal["A", "B", "C", "D"]
GRADES: Mapping[Grade, str] = {
    "A": "strong: different people, measured in order, robust, and shown again",
    "B": "good: robust, and from different people or measured in order",
    "C": "weak: people and time, or a hidden cause, could be behind it",
    "D": "none: no link is shown",
}
"""What each grade means."""


@dataclass(frozen=True)
class LinkEvidence:
    """The evidence for one link.

    Attributes
    ----------
    lhs, rhs : str
    grade : {"A", "B", "C", "D"}
    verdict : str
        Of the chain.
    reasons : tuple of Criterion
        In the order of :data:`spc.chain.criteria.CRITERIA`.
    held_back : tuple of str
        Criteria that keep the grade from being one better.
    estimate, conf_low, conf_high, std_all : float
        Of the link.
    """

    lhs: str
    rhs: str
    grade: Grade
    verdict: str
    reasons: tuple[Criterion, ...]
    held_back: tuple[str, ...]
    estimate: float
    conf_low: float
    conf_high: float
    std_all: float

    def met(self, name: str) -> str:
        """How a criterion came out."""
        return next((reason.met for reason in self.reasons if reason.name == name), "not checked")


def grade(met: Mapping[str, str]) -> tuple[Grade, tuple[str, ...]]:
    """Grade of a link from its criteria, and the criteria that keep it from being one better.

    Parameters
    ----------
    met : mapping of str to str
        Criterion to ``yes``, ``partly``, ``no`` or ``not checked``; one left out counts as not checked.

    Notes
    -----
    - **D** where the link is not clear of zero, is too small to matter, or must not be read (``estimate`` is not met).
    - **C** where it is clear of zero, and no more.
    - **B** where, besides, cause and effect come from different respondents (``source``) or the cause was measured
      earlier (``time``); a hidden cause would have to be strong (``robustness`` at least partly); and nothing speaks
      against it: not the way people answer (``method``), the reverse order (``reverse``), or other waves and regions
      (``replication``).
    - **A** where both ``source`` and ``time`` are met, ``robustness`` is met in full, the link shows again
      (``replication``), it is estimated on the level of the claim (``level``), measured reliably and alike
      (``reliability``, ``invariance``), is a straight line (``shape``), and no rival is ahead (``rivals``): none of the
      latter four refuted.

    Examples
    --------
    >>> grade({"estimate": "yes", "source": "yes", "time": "no", "robustness": "yes"})
    ('B', ('time', 'level', 'replication'))
    >>> grade({"estimate": "yes", "source": "no", "time": "no", "robustness": "yes"})
    ('C', ('source', 'time'))
    """
    found = {name: met.get(name, "not checked") for name in CRITERIA}
    if found["estimate"] != "yes":
        return "D", ("estimate",)
    apart = [name for name in ("source", "time") if found[name] != "yes"]
    against = [name for name in ("method", "reverse", "replication", "robustness") if found[name] == "no"]
    if len(apart) == 2:
        return "C", (*apart, *against)
    if found["robustness"] == "not checked":
        against.append("robustness")
    if against:
        return "C", tuple(against)
    short = [*apart, *(name for name in ("robustness", "level", "replication") if found[name] != "yes")]
    short += [name for name in ("reliability", "invariance", "shape", "rivals") if found[name] == "no"]
    return ("B", tuple(short)) if short else ("A", ())


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(Shown):
    """The evidence for each link of a chain.

    Attributes
    ----------
    links : tuple of LinkEvidence
    rows : int
        Units, or persons.
    level : {"unit", "person"}
    parts : mapping of str to Result
        What the criteria were taken from: ``chain``, ``robustness``, ``method_factor``, ``rivals``, ``shapes``.
    labels : mapping of str to str
        Names of the constructs for readers.
    messages : tuple of Note
    provenance : Provenance
    """

    links: tuple[LinkEvidence, ...]
    rows: int
    level: str
    parts: Mapping[str, Result]
    labels: Mapping[str, str]
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "evidence"

    def tidy(self) -> pd.DataFrame:
        """Rows of each link.

        ``grade`` (``label`` A to D; estimate and interval of the link, ``std_all``), then one ``reason`` a criterion:
        ``label`` its name, ``group`` whether it is met, ``estimate`` its number.
        """
        rows: list[dict[str, Any]] = []
        for link in self.links:
            ends = {"lhs": link.lhs, "op": "~", "rhs": link.rhs}
            rows.append(ends | {
                "kind": "grade", "label": link.grade, "estimate": link.estimate, "conf_low": link.conf_low,
                "conf_high": link.conf_high, "std_all": link.std_all,
            })  # fmt: skip
            rows += [
                ends | {"kind": "reason", "label": reason.name, "group": reason.met, "estimate": reason.number}
                for reason in link.reasons
            ]
        return tidy_frame(rows)

    def reasons(self) -> pd.DataFrame:
        """One row a link and criterion: ``lhs, rhs, criterion, met, number, sentence``, in the language in force."""
        return pd.DataFrame(
            [
                (link.lhs, link.rhs, reason.name, reason.met, reason.number, str(reason.sentence))
                for link in self.links
                for reason in link.reasons
            ],
            columns=["lhs", "rhs", "criterion", "met", "number", "sentence"],
        )

    def augment(self) -> pd.DataFrame:
        """Reasons after one row a link with the criterion ``summary``: ``met`` its grade, and one sentence."""
        said = self.summaries()
        rows = [(link.lhs, link.rhs, "summary", link.grade, link.std_all, said[link.lhs, link.rhs])
                for link in self.links]  # fmt: skip
        reasons = self.reasons()
        return pd.concat([pd.DataFrame(rows, columns=reasons.columns), reasons], ignore_index=True)

    def summaries(self) -> dict[tuple[str, str], str]:
        """One sentence a link, by (effect, cause)."""
        return {(link.lhs, link.rhs): str(summary(link, self.labels)) for link in self.links}

    def glance(self) -> pd.DataFrame:
        """One row: links, how many of each grade, rows behind them."""
        count = {f"grade_{letter}": sum(link.grade == letter for link in self.links) for letter in GRADES}
        return pd.DataFrame([{"links": len(self.links), **count, "level": self.level, "nobs": self.rows}])

    def notes(self) -> tuple[Note, ...]:
        """What could not be checked."""
        return self.messages


def summary(link: LinkEvidence, labels: Mapping[str, str]) -> Phrase:
    """The evidence for a link in one sentence."""
    cause, effect = title_of(link.rhs, labels), title_of(link.lhs, labels)
    said = phrase(f"note.summary.{verdict_form(link.verdict, link.std_all)}", cause=cause, effect=effect)
    told: dict[str, object] = {"grade": link.grade, "said": said}
    own = {reason.name: reason.short for reason in link.reasons if reason.short is not None}
    yes = {reason.name for reason in link.reasons if reason.met == "yes"}
    if link.grade != "D":
        for_it = [own[name] for name in ("source", "time", "robustness", "replication") if name in yes]
        against = [own[name] for name in link.held_back if name in own]
        told |= {"reasons": for_it} if for_it else {}
        told |= {"limits": against} if against else {}
    form = {0: "alone", 2: "both"}.get(len(told) - 2, "for" if "reasons" in told else "against")
    return phrase(f"note.graded.{form}", **told)


def evidence(
    study: Study,
    chain: ChainFit | None = None,
    *,
    rivals: Rivals | Literal[False] | None = None,
    shapes: LinkShapes | Literal[False] | None = None,
    invariance: Mapping[str, Invariance] | None = None,
    robust: float = 0.10,
    reliable: float = 0.70,
    seed: int | None = None,
) -> Evidence:
    """Grade the evidence for each link of a study's chain.

    Parameters
    ----------
    study : Study
        With a ``[chain]``.
    chain : ChainFit, optional
        The study's fitted chain; fitted here by default, as the study says.
    rivals : Rivals or False, optional
        Rival explanations of the same chain; fitted here by default, not looked at when False.
    shapes : LinkShapes or False, optional
        Shapes of the links; the same.
    invariance : mapping of str to Invariance, optional
        By construct: whether it is measured alike in groups that matter. By default constructs of at least three items
        are compared across the waves.
    robust : float
        Robustness value from which a hidden cause counts as strong.
    reliable : float
        Reliability from which a score counts as reliable.
    seed : int, optional
        The study's own when not given.

    Returns
    -------
    Evidence
        See :func:`grade` for the rule, and :mod:`spc.chain.criteria` for each criterion.

    Raises
    ------
    DataError
        The study has no chain.
    UsageError
        A bound outside 0 to 1.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> found = evidence(study, spc.fit_chain(study, draws=200), rivals=False, shapes=False)
    >>> found.tidy().query("kind == 'grade' and lhs == 'customer_satisfaction'")["label"].tolist()
    ['C']
    >>> folder.cleanup()
    """
    asked = required_chain(study)
    if not (0.0 < robust < 1.0 and 0.0 < reliable < 1.0):
        raise UsageError(f"robust={robust}, reliable={reliable}: give shares between 0 and 1.")
    seed = study.seed if seed is None else seed
    chain = fit_chain(study, seed=seed) if chain is None else chain
    level = chain.effects.level
    notes: list[Note] = []
    links: list[Any] = list(chain.tidy().query("kind == 'link'").itertuples(index=False))
    signs = {(row.lhs, row.rhs): float(row.estimate) for row in links}
    method = method_factor(study, chain, seed=seed, level=level)
    way: Literal["two_sided", "unit_means"] = "two_sided" if chain.two_sided else "unit_means"
    robustness = link_robustness(chain)
    gathered = Gathered(
        study=study,
        chain=chain,
        robustness={(link.lhs, link.rhs): link for link in robustness.links},
        method=method.tidy(),
        replication=replications(study, signs, level=level),
        rivals=_or_note(
            rivals,
            "rivals",
            lambda: fit_rivals(study, method=way, seed=seed),
            notes,
        ),
        shapes=_or_note(shapes, "shapes", lambda: link_shapes(study, draws=199, seed=seed, level=level), notes),
        invariance=invariance,
        robust=robust,
        reliable=reliable,
    )
    found = [_link(row, gathered) for row in links]
    parts: dict[str, Result] = {"chain": chain, "robustness": robustness, "method_factor": method}
    parts |= {name: part for name, part in (("rivals", gathered.rivals), ("shapes", gathered.shapes)) if part}
    options = {"robust": robust, "reliable": reliable, "model": asked.model}
    return Evidence(
        tuple(found), robustness.rows, chain.level, parts, chain.labels, tuple(notes),
        Provenance.record(options, study.fingerprint, seed),
    )  # fmt: skip


T = TypeVar("T", bound=Result)


def _or_note(given: T | Literal[False] | None, name: str, make: Callable[[], T], notes: list[Note]) -> T | None:
    if given is False:
        return None
    if given is not None:
        return given
    try:
        return make()
    except SpcError as error:
        notes.append(Note.of("not_checked", "info", name, name, problem=str(error)))
        return None


def _link(row: Any, gathered: Gathered) -> LinkEvidence:
    reasons = criteria(row, gathered)
    letter, held = grade({reason.name: reason.met for reason in reasons})
    return LinkEvidence(
        row.lhs, row.rhs, letter, row.label, reasons, held, float(row.estimate), float(row.conf_low),
        float(row.conf_high), float(row.std_all),
    )  # fmt: skip
