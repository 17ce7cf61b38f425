"""The study document: one validated, frozen record of what a study is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from spc.disclosure import DisclosureRule
from spc.errors import DataError, Finding
from spc.study.accounts import AccountsSpec
from spc.study.lags import Lag
from spc.study.priors import LinkPrior
from spc.study.report import ReportSpec
from spc.study.sources import SourcesSpec
from spc.survey import Construct

__all__ = [
    "ChainSpec",
    "MoneySpec",
    "ReportSpec",
    "StudyDocument",
    "StudySpec",
    "TableSpec",
    "load_document",
    "read_document",
]

Level = Literal["auto", "unit", "person"]
Measurement = Literal["auto", "scores", "facets", "items"]
Method = Literal["auto", "two_sided", "unit_means"]
Meet = Literal["unit", "employee"]


@dataclass(frozen=True, slots=True)
class StudySpec:
    """What the study is called and how its numbers are drawn.

    Attributes
    ----------
    name : str
    currency : str
        Of every amount of money in the study.
    seed : int
        Of every random draw.
    allow_outside : bool
        Whether table files may lie outside the folder of the document.
    """

    name: str
    currency: str = "EUR"
    seed: int = 1
    allow_outside: bool = False


@dataclass(frozen=True)
class TableSpec:
    """One table: where its rows are and what its columns are called there.

    Attributes
    ----------
    name : str
        Canonical name, such as ``"employee_responses"``.
    file : str
        As written in the document; empty for a table of Spark's catalogue.
    path : Path
        Where that is, unless it is an address.
    table : str or None
        Sheet of a workbook, table of a database or of Spark's catalogue.
    missing : tuple
        Codes that mean no answer.
    columns : mapping of str to tuple of str
        Canonical column to the columns of the file that make it up.
    encoding : str or None
        Of a text file; found out when None.
    """

    name: str
    file: str
    path: Path
    table: str | None = None
    missing: tuple[str | int | float, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """The links to fit.

    Attributes
    ----------
    model : str
        lavaan regressions among constructs, whether written out or from the preset.
    preset : str or None
    level : {"auto", "unit", "person"}
    measurement : {"auto", "scores", "facets", "items"}
    wave : int, str or None
        Wave of the last construct; the latest when None.
    lags : tuple of Lag
    smallest_effect : float or None
        Smallest link of interest, in standard deviations.
    smallest_effect_money : float or None
        Smallest effect of interest of a link on the money outcome, a unit and period, for one standard deviation of the
        cause.
    method : {"auto", "two_sided", "unit_means"}
        How chains of units are fitted.
    meet : {"unit", "employee"}
        Where customers meet the firm.
    priors : tuple of LinkPrior
        What published studies say of links.
    covariates : tuple of str
        Columns of the answers or of units whose part is taken out of both sides.
    negative : frozenset of (str, str)
        Links, effect and cause, that are expected to be negative.
    """

    model: str
    preset: str | None = None
    level: Level = "auto"
    measurement: Measurement = "auto"
    wave: int | str | None = None
    lags: tuple[Lag, ...] = ()
    smallest_effect: float | None = None
    smallest_effect_money: float | None = None
    method: Method = "auto"
    meet: Meet = "unit"
    priors: tuple[LinkPrior, ...] = ()
    covariates: tuple[str, ...] = ()
    negative: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class MoneySpec:
    """How customers are turned into money.

    Attributes
    ----------
    horizon : int
        Periods looked ahead.
    discount : float
        Per period, as a fraction.
    period : str
        What a period is called.
    points : float
        Change of retention whose worth is asked for, as a fraction.
    acquisition_cost : float
        Of one new customer, in the study's currency.
    first_margin : bool
        Whether the margin of the running period counts in the value of a present customer.
    since, until : date or None
        First and last day of a ledger with dates.
    retention_model : {"auto", "constant", "sbg", "kaplan-meier", "bg-nbd"}
        How customers stay, see :func:`spc.loyalty_value`.
    recommend, recommend_rival : str
        Columns of the customers' answers: how likely they are to recommend the firm, and its rival, from 0 to 10.
    brand_before, brand_now : str
        Columns of the customers' answers: whose customers they were, and are.
    """

    horizon: int = 5
    discount: float = 0.10
    period: str = "year"
    points: float = 0.05
    acquisition_cost: float = 0.0
    first_margin: bool = False
    since: date | None = None
    until: date | None = None
    retention_model: str = "auto"
    recommend: str = ""
    recommend_rival: str = ""
    brand_before: str = ""
    brand_now: str = ""


@dataclass(frozen=True, eq=False)
class StudyDocument:
    """A study document, read and found to be consistent.

    Attributes
    ----------
    path : Path
        Of the document; table files are relative to its folder.
    study : StudySpec
    tables : mapping of str to TableSpec
        By canonical name, in the order of the canonical names.
    constructs : tuple of Construct
        In the order of the document.
    chain : ChainSpec or None
    money : MoneySpec or None
    disclosure : DisclosureRule
    report : ReportSpec
    text : str
        The document as written.
    accounts : AccountsSpec or None
    sources : SourcesSpec
        What adds up the long tables.
    """

    path: Path
    study: StudySpec
    tables: Mapping[str, TableSpec]
    constructs: tuple[Construct, ...]
    chain: ChainSpec | None
    money: MoneySpec | None
    disclosure: DisclosureRule
    report: ReportSpec
    text: str
    accounts: AccountsSpec | None = None
    sources: SourcesSpec = field(default_factory=SourcesSpec)

    @property
    def folder(self) -> Path:
        """Where the document lies."""
        return self.path.parent


def load_document(path: str | Path) -> tuple[StudyDocument | None, tuple[Finding, ...]]:
    """Read a study document and find everything wrong with it at once.

    Parameters
    ----------
    path : str or Path
        Of the document, or of the folder that holds it as ``study.toml``.

    Returns
    -------
    document : StudyDocument or None
        Made of the parts that are sound, so that their tables can still be checked; None when the text is not TOML.
    findings : tuple of Finding
        In the order of the document. Without an error among them the document is whole.
    """
    from spc.study.consistency import parts
    from spc.study.structure import structure
    from spc.study.toml import parse_toml, read_text

    path = Path(path)
    if (path / "study.toml").is_file():
        path = path / "study.toml"
    try:
        text = read_text(path)
        raw = parse_toml(text, path.name)
    except DataError as error:
        return None, error.findings
    sound, findings = structure(raw, document_schema(), document=path.name, text=text)
    pieces, more = parts(sound, raw, path=path, text=text)
    findings = sorted([*findings, *more], key=lambda f: f.rows or (0,))
    return StudyDocument(path=path, text=text, **pieces), tuple(findings)


def read_document(path: str | Path) -> StudyDocument:
    """Read a study document that must be sound.

    Raises
    ------
    DataError
        With every finding about the document; its tables are not opened.
    """
    document, findings = load_document(path)
    if document is None or any(f.severity == "error" for f in findings):
        raise DataError(findings)
    return document


def document_schema() -> dict[str, Any]:
    """JSON Schema of a study document, from ``data_schemas/study.yaml``."""
    import yaml

    from spc.contracts import schema_text

    schema: dict[str, Any] = yaml.safe_load(schema_text("study"))
    return schema
