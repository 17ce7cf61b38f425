"""What a report is written from: results behind the gate, sorted by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import pandas as pd

from spc.disclosure import DisclosureRule, Gate, ReleasedModel
from spc.disclosure.text import plain_text
from spc.errors import UsageError
from spc.results import Result
from spc.words import speaking

__all__ = ["Material", "Wish", "gather", "glance_row", "kind_rows", "listed", "number_of", "positions"]

KINDS = ("study", "chain", "refit", "evidence", "drivers", "whale", "bridge", "loyalty", "levers", "scenario")


@dataclass(frozen=True)
class Wish:
    """How a study wants its report, see :class:`spc.study.ReportSpec`."""

    title: str = ""
    subtitle: str = ""
    audience: str = "researcher"
    language: str = "en"
    leave_out: tuple[str, ...] = ()
    accent: str = ""
    logo: str = ""


@dataclass(frozen=True, eq=False)
class Material:
    """Released results by kind.

    Attributes
    ----------
    gate : Gate
    models : tuple of ReleasedModel
        All, in the order given.
    labels : mapping of str to str
        Of constructs, in words.
    currency : str
    wish : Wish
        How the report is to look.
    """

    gate: Gate
    models: tuple[ReleasedModel, ...]
    labels: Mapping[str, str]
    currency: str
    wish: Wish

    def every(self, kind: str) -> tuple[ReleasedModel, ...]:
        """Models of a kind."""
        return tuple(model for model in self.models if model.kind == kind)

    def one(self, kind: str) -> ReleasedModel | None:
        """The last model of a kind."""
        return next(iter(reversed(self.every(kind))), None)

    @property
    def readable(self) -> bool:
        """Whether the links of the chain may be read as findings."""
        chain = self.one("chain")
        if chain is None:
            return False
        links = kind_rows(chain, "link")
        return len(links) > 0 and not (links["label"] == "not interpretable").any()


def gather(results: Sequence[Result] | Result, rule: DisclosureRule | None, language: str | None = None) -> Material:
    """Pass results through one gate; sentences they hold are said in the language given, or in the study's.

    Raises
    ------
    UsageError
        There is nothing to report, or something is no result.
    DataError
        A result rests on too few people.
    """
    given = [results] if isinstance(results, Result) else list(results)
    if not given:
        raise UsageError(f"There is nothing to report. Pass results of the kinds {', '.join(KINDS)}.")
    strange = [type(result).__name__ for result in given if not isinstance(result, Result)]
    if strange:
        raise UsageError(f"A report is composed of results with tidy, glance and notes; found {', '.join(strange)}.")
    study = next((result for result in given if result.kind == "study"), None)
    gate = Gate.of(study, rule)
    wish = _wish(study)
    with speaking(language or wish.language):
        models = tuple(gate.model(result) for result in given)
    labels = {name: label for model in models for name, label in model.labels.items()}
    currency = next((str(m.facts["currency"]) for m in models if m.facts.get("currency")), "")
    if not currency:
        currency = next((str(glance_row(m).currency) for m in models if "currency" in m.glance.frame), "")
    return Material(gate, models, MappingProxyType(labels), currency, wish)


def _wish(study: object) -> Wish:
    given = getattr(study, "report", None)
    names = [field.name for field in fields(Wish) if hasattr(given, field.name)]
    stated: dict[str, Any] = {name: plain_text(getattr(given, name)) for name in names}
    return Wish(**stated)


def kind_rows(model: ReleasedModel, *kinds: str) -> pd.DataFrame:
    """Tidy rows of the given kinds; the index is the row's place in the table."""
    frame = model.tidy.frame
    return frame[frame["kind"].isin(kinds)]


def listed(frame: pd.DataFrame) -> list[Any]:
    """Rows as tuples with the columns as attributes."""
    return list(frame.itertuples(index=False))


def positions(model: ReleasedModel, *kinds: str) -> list[int]:
    """Places of the rows of the given kinds."""
    return [int(i) for i in kind_rows(model, *kinds).index]


def glance_row(model: ReleasedModel) -> Any:
    """The one row of the summary."""
    return next(model.glance.frame.itertuples(index=False))


def number_of(row: Any, name: str) -> float:
    """A number of a summary; NaN where it is not there."""
    found = getattr(row, name, None)
    return float("nan") if found is None or pd.isna(found) else float(found)
