"""What a schema cannot see: whether the parts of a study document fit one another and the files beside it."""

from __future__ import annotations

import codecs
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spc.contracts.ledger import LEDGER
from spc.disclosure import DisclosureRule
from spc.errors import DataError, Finding, SpecError
from spc.spec import CHAIN_CONSTRUCTS, Model, chain_preset, model
from spc.study.accounts import AccountsSpec, CostDriver
from spc.study.document import ChainSpec, MoneySpec, StudySpec, TableSpec
from spc.study.lags import Lag, circle, wave_offsets
from spc.study.plans import AccountsPlans
from spc.study.priors import LinkPrior
from spc.study.report import LARGEST_LOGO, LeverSpec, ReportSpec, logo_address
from spc.study.sources import SourcesSpec
from spc.study.structure import Path as Keys
from spc.study.structure import nearest, place_finding
from spc.study.toml import key_line
from spc.survey import Construct

__all__ = ["TABLES", "parts"]

TABLES = ("employee_responses", "customer_responses", "units", "customers", "transactions", "costs", "assignments")
"""Canonical tables, in the order in which they are checked and shown."""

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


class _Notebook:
    """Collects findings about one document."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.findings: list[Finding] = []

    def add(self, keys: Keys, rule: str, found: str, expected: str, hint: str, severity: str = "error") -> None:
        self.findings.append(
            place_finding(self.path.name, self.text, keys, rule, found, expected, hint, severity=severity)
        )

    def adopt(self, keys: Keys, findings: Iterable[Finding]) -> None:
        """Take over what another part of the package found, at its place in this document."""
        for finding in findings:
            self.add(keys, finding.rule, finding.found, finding.expected, finding.hint, finding.severity)


def parts(
    sound: Mapping[str, Any], raw: Mapping[str, Any], *, path: Path, text: str
) -> tuple[dict[str, Any], list[Finding]]:
    """Build the parts of a document and check them against one another.

    Parameters
    ----------
    sound : mapping
        Values without those of a wrong shape.
    raw : mapping
        All values, to tell an absent part from a faulty one.
    path : Path
        Of the document.
    text : str
        The document.

    Returns
    -------
    parts : dict
        Fields of :class:`~spc.study.document.StudyDocument`, faulty tables and constructs left out.
    findings : list of Finding
    """
    book = _Notebook(path, text)
    study = StudySpec(**{"name": path.parent.resolve().name, **sound.get("study", {})})
    sources = _sources(sound.get("sources", {}), raw, book)
    tables = _tables(sound.get("tables", {}), study, sources, book)
    constructs = _constructs(sound.get("constructs", {}), raw, book)
    pieces = {
        "study": study,
        "tables": MappingProxyType(tables),
        "constructs": constructs,
        "chain": _chain(sound.get("chain"), constructs, raw, book),
        "money": _money(sound.get("money"), raw, book),
        "disclosure": _disclosure(sound.get("disclosure", {}), book),
        "report": _report(sound.get("report", {}), study, constructs, book),
        "accounts": _accounts(sound.get("accounts"), raw, book),
        "sources": sources,
    }
    return pieces, book.findings


def _names(raw: Mapping[str, Any], key: str) -> list[str]:
    value = raw.get(key)
    return list(value) if isinstance(value, Mapping) else []


def _sources(value: Mapping[str, Any], raw: Mapping[str, Any], book: _Notebook) -> SourcesSpec:
    given = {**value, "options": MappingProxyType({key: str(inner) for key, inner in value.get("options", {}).items()})}
    if value.get("engine", "duckdb") == "duckdb" and {"master", "options"} & set(_names(raw, "sources")):
        hint = 'Write engine = "spark", or take them out.'
        book.add(("sources",), "unused_key", "settings of a cluster without one", 'engine = "spark"', hint)
    return SourcesSpec(**given)


def _tables(values: Mapping[str, Any], study: StudySpec, sources: SourcesSpec, book: _Notebook) -> dict[str, TableSpec]:
    specs = {}
    for name in sorted(values, key=_table_order):
        file = values[name].get("file")
        elsewhere = sources.engine == "spark" and (name in LEDGER or file is None or bool(_ADDRESS.match(file)))
        path = (_cluster_path if elsewhere else _here_path)(name, values[name], study, book)
        if path is not None and _is_encoding(name, values[name].get("encoding", "utf-8"), book):
            specs[name] = _table_spec(name, values[name], path)
    _same_file(specs, book)
    return specs


def _here_path(name: str, value: Mapping[str, Any], study: StudySpec, book: _Notebook) -> Path | None:
    if "file" in value:
        return _file_path(("tables", name, "file"), value["file"], study, book, folder_too=name in LEDGER)
    hint = f"Add file under [tables.{name}]."
    book.add(("tables", name, "file"), "missing_key", f"no file in [tables.{name}]", "file", hint)
    return None


def _cluster_path(name: str, value: Mapping[str, Any], study: StudySpec, book: _Notebook) -> Path | None:
    """Path of a table that Spark opens: of the document where it is in Spark's catalogue."""
    keys: Keys = ("tables", name, "file")
    file = value.get("file", "")
    if bool(file) == ("table" in value):
        found = "a file and a table of the catalogue" if file else "neither a file nor a table of the catalogue"
        book.add(keys, "missing_key" if not file else "unused_key", found, "one of them", "Name where the rows are.")
        return None
    if not file:
        return book.path
    if _ADDRESS.match(file):
        if study.allow_outside:
            return Path(file)
        hint = "Set allow_outside = true under [study]."
        book.add(keys, "file_outside", f"the address {file!r}", "a file in the folder of the study", hint)
        return None
    path = _file_path(keys, file, study, book, folder_too=True)
    if path is not None and path.suffix.lower() not in (".parquet", ".pq", "") and not path.is_dir():
        hint = "Store the table as Parquet, or take engine out."
        book.add(keys, "unknown_format", f"{file!r} for Spark", "Parquet files, or a table of the catalogue", hint)
        return None
    return path


def _table_order(name: str) -> tuple[int, str]:
    return (TABLES.index(name) if name in TABLES else len(TABLES), name)


def _table_spec(name: str, value: Mapping[str, Any], path: Path) -> TableSpec:
    columns = {
        key: (source,) if isinstance(source, str) else tuple(source) for key, source in value.get("columns", {}).items()
    }
    return TableSpec(
        name=name,
        file=value.get("file", ""),
        path=path,
        table=value.get("table"),
        missing=tuple(value.get("missing", ())),
        columns=MappingProxyType(columns),
        encoding=value.get("encoding"),
    )


def _file_path(keys: Keys, file: str, study: StudySpec, book: _Notebook, *, folder_too: bool = False) -> Path | None:
    folder = book.path.parent
    if _ADDRESS.match(file):
        book.add(keys, "file_is_address", f"the address {file!r}", "a file", "Save it beside the document first.")
        return None
    if "\x00" in file:
        book.add(keys, "file_name", "a file name with a NUL character", "the name of a file", "Write the plain name.")
        return None
    path = folder / file
    if not study.allow_outside and (_outside(path, folder) or _DRIVE.match(file)):
        book.add(
            keys,
            "file_outside",
            f"{file!r}, which is outside the folder of the study",
            "a file in that folder",
            "Copy the file there, or set allow_outside = true under [study].",
        )
        return None
    return path if (folder_too and path.is_dir()) or _is_file(path, file, keys, book) else None


def _outside(path: Path, folder: Path) -> bool:
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return True


def _is_file(path: Path, file: str, keys: Keys, book: _Notebook) -> bool:
    try:
        if path.is_file():
            return True
        folder = path.is_dir()
        beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    except OSError as error:
        book.add(keys, "file_unreadable", f"{file[:60]!r}: {error.strerror}", "a readable file", "Check its name.")
        return False
    if folder:
        book.add(keys, "file_is_folder", f"{file!r} is a folder", "a file", "Name one file in it.")
        return False
    if "\\" in file and (path.parent / file.replace("\\", "/")).is_file():
        hint = f"Write file = {file.replace(chr(92), '/')!r}, with forward slashes."
    else:
        hint = nearest(path.name, beside)
    book.add(keys, "file_missing", f"no file {file!r}", f"a file in {path.parent}", hint)
    return False


def _is_encoding(name: str, encoding: str, book: _Notebook) -> bool:
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        book.add(
            ("tables", name, "encoding"),
            "unknown_encoding",
            f"the encoding {encoding!r}",
            "the name of an encoding, such as cp1252",
            "Leave it out: the encoding is found out.",
        )
        return False
    return True


def _report(
    values: Mapping[str, Any], study: StudySpec, constructs: Sequence[Construct], book: _Notebook
) -> ReportSpec:
    given = dict(values)
    known = [construct.name for construct in constructs]
    levers = [LeverSpec(**lever) for lever in given.pop("levers", ())]
    for i, lever in enumerate(levers):
        if lever.construct not in known:
            book.add(("report", "levers", i, "construct"), "unknown_construct", f"{lever.construct!r}",
                     "a construct of this document", nearest(lever.construct, known))  # fmt: skip
        if lever.construct in [other.construct for other in levers[:i]]:
            book.add(("report", "levers", i, "construct"), "listed_twice", f"{lever.construct!r} a second time",
                     "one lever a construct", "Bring the two together, or ask spc simulate for each.")  # fmt: skip
    return ReportSpec(
        **given | {"leave_out": tuple(given.get("leave_out", ())), "logo": _logo(given.get("logo", ""), study, book)},
        levers=tuple(lever for lever in levers if lever.construct in known),
    )


def _logo(file: str, study: StudySpec, book: _Notebook) -> str:
    """The logo as a data address; empty where there is none or none that can be shown."""
    keys: Keys = ("report", "logo")
    path = _file_path(keys, file, study, book) if file else None
    if path is None:
        return ""
    try:
        size = path.stat().st_size
        address = logo_address(path) if size <= LARGEST_LOGO else None
    except OSError as error:
        book.add(keys, "file_unreadable", f"{file[:60]!r}: {error.strerror}", "a readable file", "Check its name.")
        return ""
    if address is None:
        found = f"a file of {size:,} bytes" if size > LARGEST_LOGO else f"{file[:60]!r}, which is no such picture"
        book.add(keys, "not_a_logo", found, f"a picture (.png .jpg .webp .svg) of at most {LARGEST_LOGO:,} bytes",
                 "Save the logo smaller, in one of these formats.")  # fmt: skip
    return address or ""


def _same_file(specs: Mapping[str, TableSpec], book: _Notebook) -> None:
    used: dict[tuple[Path, str | None], str] = {}
    for name, spec in specs.items():
        place = (spec.path.resolve(), spec.table)
        if place in used and {name, used[place]} != {"customers", "customer_responses"}:
            book.add(
                ("tables", name, "file"),
                "same_file",
                f"{spec.file!r}, which is {used[place]} too",
                "a file of its own",
                "Check that both tables are meant to come from the same rows.",
                "warning",
            )
        used.setdefault(place, name)


def _constructs(values: Mapping[str, Any], raw: Mapping[str, Any], book: _Notebook) -> tuple[Construct, ...]:
    answers = [name for name in _names(raw, "tables") if name.endswith("_responses")]
    if answers and "constructs" not in raw:
        book.add(
            ("constructs",),
            "missing_key",
            f"no constructs for {' and '.join(answers)}",
            "the codebook, what is measured by which columns",
            "Add [constructs.<name>] with the table, the items and the scale that measure it.",
        )
    built = [_construct(name, value, raw, book) for name, value in values.items()]
    constructs = tuple(c for c in built if c is not None)
    _shared_items(constructs, book)
    _name_clashes(constructs, book)
    return constructs


def _construct(name: str, value: Mapping[str, Any], raw: Mapping[str, Any], book: _Notebook) -> Construct | None:
    keys: Keys = ("constructs", name)
    declared = _names(raw, "tables")
    table = value["table"]
    low, high = value.get("scale", (None, None))
    options = {key: value[key] for key in ("minimum_share", "label", "facets") if key in value}
    faulty = table not in declared
    if faulty and declared and set(declared) <= set(TABLES):
        found = f"table {table!r}, which is not declared"
        book.add((*keys, "table"), "undeclared_table", found, "a declared table", nearest(table, declared))
    try:
        construct = Construct(
            name, tuple(value["items"]), low, high, tuple(value.get("reverse", ())), table=table, **options
        )
    except DataError as error:
        for finding in error.findings:
            book.adopt((*keys, _FAULT_KEY.get(finding.rule, "items")), [finding])
        return None
    return None if faulty else construct


_FAULT_KEY = {
    "reverse_unknown": "reverse",
    "reverse_without_scale": "reverse",
    "scale_ends": "scale",
    "scale_order": "scale",
    "minimum_share": "minimum_share",
    "facets": "facets",
}


def _shared_items(constructs: Sequence[Construct], book: _Notebook) -> None:
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for construct in constructs:
        for item in construct.items:
            users[construct.table, item].append(construct.name)
    for (_, item), names in users.items():
        if len(names) > 1:
            book.add(
                ("constructs", names[1], "items"),
                "shared_item",
                f"{item} measures {' and '.join(names)}",
                "an item of one construct",
                "Their correlation is partly the item with itself; take it out of one of them.",
                "warning",
            )


_TAKEN = ("respondent", "unit", "wave")


def _name_clashes(constructs: Sequence[Construct], book: _Notebook) -> None:
    for construct in constructs:
        of = [c.name for c in constructs if construct.name in c.items and c.items != (construct.name,)]
        if construct.name in _TAKEN or of:
            taken = f"a name that is also an item of {of[0]}" if of else "the name of a column of the table"
            book.add(("constructs", construct.name), "name_clash", taken, "a name of its own", "Rename the construct.")
    names = [*_TAKEN, *(name for c in constructs for name in (c.name, *c.items, *(facet for facet, _ in c.facets)))]
    for construct in constructs:
        for facet, _ in construct.facets:
            if names.count(facet) > 1:
                taken = f"a facet {facet!r}, which is also the name of a construct, an item, a facet or a column"
                book.add(("constructs", construct.name, "facets"), "name_clash", taken, "a name of its own",
                         "Rename the facet.")  # fmt: skip


def _chain(
    value: Mapping[str, Any] | None, constructs: Sequence[Construct], raw: Mapping[str, Any], book: _Notebook
) -> ChainSpec | None:
    if value is None:
        return None
    preset, text = value.get("preset"), value.get("model")
    if preset is not None and text is not None:
        book.add(("chain",), "preset_and_model", "a preset and a model", "one of them", "Take one of the two out.")
        return None
    declared = _names(raw, "constructs")
    if text is not None and "direct" in value:
        hint = "Write its links into the model."
        book.add(("chain", "direct"), "unused_key", "direct beside a model", "direct beside a preset", hint)
    if text is None:
        text = _preset_text(preset, declared, value.get("direct", ""), book) if preset is not None else ""
        if preset is None:
            book.add(
                ("chain",),
                "no_links",
                "neither preset nor model",
                "one of them",
                'Write preset = "service-profit-chain" or model = """...""".',
            )
    links = _links(text, declared, book) if text else {}
    lags = _lags(value.get("lags", ()), links, book)
    if value.get("measurement") == "facets" and not any(c.facets for c in constructs):
        hint = 'Add facets = { tools = ["q1", "q2"], ... } to a construct, or measure by scores or items.'
        book.add(("chain", "measurement"), "no_facets", "no construct with facets", "a construct with facets", hint)
    known = {c.name for c in constructs}
    if not links or not {n for e, cs in links.items() for n in (e, *cs)} <= known:
        return None
    options = {key: value[key] for key in _CHAIN_OPTIONS if key in value}
    return ChainSpec(
        model=text, preset=preset, lags=lags, priors=_priors(value.get("priors", ()), links, book),
        covariates=tuple(value.get("covariates", ())), negative=_negative(value.get("negative", ()), links, book),
        **options,
    )  # fmt: skip


_CHAIN_OPTIONS = ("level", "measurement", "wave", "method", "meet", "smallest_effect", "smallest_effect_money")


def _preset_text(preset: str, declared: Sequence[str], direct: str, book: _Notebook) -> str:
    more = _links(direct, declared, book, "direct") if direct else {}
    named = {name for effect, causes in more.items() for name in (effect, *causes)}
    present = [name for name in declared if name in CHAIN_CONSTRUCTS]
    for name in declared:
        if name not in present and name not in named:
            book.add(
                ("constructs", name),
                "outside_preset",
                f"a construct {name!r}, which has no place in the preset chain",
                "a construct of the preset",
                f"{nearest(name, CHAIN_CONSTRUCTS)} Or give it links with direct, or write the chain as a model.",
                "warning",
            )
    try:
        text = chain_preset(present, direct=preset.endswith("-direct"))
    except SpecError:
        book.add(
            ("chain", "preset"),
            "preset_without_links",
            f"no link among {', '.join(declared) or 'no constructs'}",
            "at least two neighbouring constructs of the preset",
            f"Its constructs are {', '.join(CHAIN_CONSTRUCTS)}; name yours so, or write a model.",
        )
        return ""
    own = {(row.lhs, row.rhs) for row in model(text).parameters if row.op == "~"}
    for effect, cause in own & {(effect, cause) for effect, causes in more.items() for cause in causes}:
        hint = "Take it out of direct."
        book.add(("chain", "direct"), "listed_twice", f"{effect} ~ {cause}, a link of the preset", "other links", hint)
        return ""
    return f"{text}\n{direct}" if more else text


def _links(text: str, declared: Sequence[str], book: _Notebook, key: str = "model") -> dict[str, list[str]]:
    keys: Keys = ("chain", key)
    try:
        parsed = model(text)
    except SpecError as error:
        _spec_fault(error, keys, book)
        return {}
    faults = len(book.findings)
    _only_links(parsed, keys, book)
    links: dict[str, list[str]] = defaultdict(list)
    for row in parsed.parameters:
        if row.op == "~":
            links[row.lhs].append(row.rhs)
    for name in dict.fromkeys(n for effect, causes in links.items() for n in (effect, *causes)):
        if name not in declared:
            book.add(
                keys, "unknown_construct", f"{name!r} in the chain", "a construct of the study", nearest(name, declared)
            )
    if not links:
        book.add(keys, "no_links", "no regression in the model", "links such as b ~ a", "Write effect ~ cause.")
    if round_trip := circle(links):
        book.add(
            keys,
            "circular_chain",
            f"a chain that runs in a circle: {' → '.join(round_trip)}",
            "links in one direction",
            "Take one link out; a loop over time needs waves and a lag.",
        )
    return dict(links) if len(book.findings) == faults else {}


def _only_links(parsed: Model, keys: Keys, book: _Notebook) -> None:
    odd = next((row for row in parsed.parameters if row.given_by == "user" and row.op not in {"~", "~~"}), None)
    if odd is not None:
        book.add(
            keys,
            "not_a_link",
            f"{odd.lhs} {odd.op} {odd.rhs}".strip(),
            "links among constructs, such as b ~ a",
            "Items belong under [constructs.<name>].",
        )


def _spec_fault(error: SpecError, keys: Keys, book: _Notebook) -> None:
    first = key_line(book.text, keys)
    line = None
    if first is not None and error.line is not None:
        given = book.text.splitlines()[first - 1].rstrip()
        line = first + error.line - 1 + given.endswith(('"""', "'''"))
    message = " ".join(str(error).split("\n")[0].split())
    finding = Finding(
        book.path.name,
        ".".join(map(str, keys)),
        "model_text",
        message,
        "lavaan regressions among constructs",
        "Write one link a line, effect ~ cause + cause.",
        () if line is None else (line,),
        int(line is not None),
    )
    book.findings.append(finding)


def _lags(values: Sequence[Mapping[str, Any]], links: Mapping[str, Sequence[str]], book: _Notebook) -> tuple[Lag, ...]:
    lags: dict[tuple[str, str], Lag] = {}
    names = list(dict.fromkeys(n for effect, causes in links.items() for n in (effect, *causes)))
    for index, value in enumerate(values):
        keys: Keys = ("chain", "lags", index)
        lag = Lag(value["from"], value["to"], value["waves"])
        pair = (lag.cause, lag.effect)
        if links and lag.cause not in links.get(lag.effect, ()):
            unknown = [name for name in pair if name not in names]
            hint = nearest(unknown[0], names) if unknown else f"Links into {lag.effect}: {_into(links, lag.effect)}."
            book.add(keys, "lag_without_link", f"a lag from {lag.cause} to {lag.effect}", "a link of the chain", hint)
        elif pair in lags and lags[pair].waves != lag.waves:
            found = f"{lag.cause} → {lag.effect} after {lags[pair].waves} and after {lag.waves} waves"
            book.add(keys, "contradicting_lags", found, "one lag a link", "Take one of the two out.")
        else:
            lags.setdefault(pair, lag)
    try:
        wave_offsets(links, lags.values())
    except DataError as error:
        book.adopt(("chain", "lags", 0), error.findings)
    return tuple(lags.values())


def _priors(
    values: Sequence[Mapping[str, Any]], links: Mapping[str, Sequence[str]], book: _Notebook
) -> tuple[LinkPrior, ...]:
    priors: dict[tuple[str, str], LinkPrior] = {}
    for index, value in enumerate(values):
        keys: Keys = ("chain", "priors", index)
        effect, cause = value["to"], value["from"]
        if cause not in links.get(effect, ()):
            hint = f"Links into {effect}: {_into(links, effect)}."
            book.add(keys, "prior_without_link", f"a prior of {cause} → {effect}", "a link of the chain", hint)
        elif (effect, cause) in priors:
            found = f"{cause} → {effect} twice"
            book.add(keys, "two_priors", found, "one prior a link", "Pool the sources, or take one out.")
        elif not value["source"].strip():
            book.add((*keys, "source"), "no_source", "no source", "a citation", "Say where the numbers are from.")
        else:
            priors[effect, cause] = LinkPrior(effect, cause, value["mean"], value["sd"], value["source"])
    return tuple(priors.values())


def _negative(
    values: Sequence[Mapping[str, str]], links: Mapping[str, Sequence[str]], book: _Notebook
) -> frozenset[tuple[str, str]]:
    for index, value in enumerate(values):
        effect, cause = value["to"], value["from"]
        if cause not in links.get(effect, ()):
            found, hint = (
                f"{cause} → {effect}, expected to be negative",
                f"Links into {effect}: {_into(links, effect)}.",
            )
            book.add(("chain", "negative", index), "negative_without_link", found, "a link of the chain", hint)
    return frozenset((value["to"], value["from"]) for value in values)


def _into(links: Mapping[str, Sequence[str]], effect: str) -> str:
    return ", ".join(links.get(effect, ())) or "none"


def _money(value: Mapping[str, Any] | None, raw: Mapping[str, Any], book: _Notebook) -> MoneySpec | None:
    if value is None:
        return None
    from_purchases = value.get("retention_model") == "bg-nbd" and "transactions" in _names(raw, "tables")
    if "customers" not in _names(raw, "tables") and not from_purchases:
        book.add(
            ("money",),
            "money_without_customers",
            "money settings without a customers table",
            "a table with one row a customer",
            "Add [tables.customers] with its file, or take [money] out.",
        )
    days = {key: _day(value[key], ("money", key), book) for key in ("since", "until") if key in value}
    return replace(MoneySpec(), **{**value, **days})


def _accounts(value: Mapping[str, Any] | None, raw: Mapping[str, Any], book: _Notebook) -> AccountsSpec | None:
    if value is None:
        return None
    declared = _names(raw, "tables")
    if "transactions" not in declared:
        hint = "Add [tables.transactions] with its file, or take [accounts] out."
        book.add(("accounts",), "accounts_without_transactions", "no transactions table", "one row a purchase", hint)
    drivers = []
    for index, given in enumerate(value.get("drivers", ())):
        keys: Keys = ("accounts", "drivers", index)
        try:
            driver = CostDriver(**given)
        except DataError as error:
            book.adopt(keys, error.findings)
            continue
        if driver.table not in declared and declared:
            found = f"table {driver.table!r}, which is not declared"
            book.add((*keys, "table"), "undeclared_table", found, "a declared table", nearest(driver.table, declared))
        drivers.append(driver)
    rest = {key: inner for key, inner in value.items() if key not in _ACCOUNT_PARTS}
    days = {name: _day(text, ("accounts", "periods", name), book) for name, text in value.get("periods", {}).items()}
    groups = value.get("groups", {})
    try:
        return AccountsSpec(
            tuple(drivers),
            plans=AccountsPlans.read(value),
            until=_day(value.get("until"), ("accounts", "until"), book),
            periods={name: day for name, day in days.items() if day is not None},
            revenue_cuts=tuple(map(float, groups.get("revenue", ()))),
            ratio_cuts=tuple(map(float, groups.get("contribution_ratio", ()))),
            overrides=tuple(MappingProxyType(dict(given)) for given in value.get("overrides", ())),
            **rest,
        )
    except DataError as error:
        book.adopt(("accounts",), error.findings)
    return None


_ACCOUNT_PARTS = AccountsPlans.keys() | {"drivers", "until", "periods", "groups", "overrides"}


def _day(text: str | None, keys: Keys, book: _Notebook) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        book.add(keys, "wrong_type", f"{text!r}", "a day written 2026-12-31", "Correct it.")
    return None


def _disclosure(value: Mapping[str, Any], book: _Notebook) -> DisclosureRule:
    try:
        return DisclosureRule(**value)
    except DataError as error:
        for finding in error.findings:
            book.adopt(("disclosure", str(finding.column)), [finding])
    return DisclosureRule()
