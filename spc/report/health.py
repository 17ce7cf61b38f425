"""Data health, method, notes, and what was hidden."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import unit_quality
from spc.plot.numbers import bracket, number
from spc.report.blocks import Block, Column, FactsBlock, FigureBlock, NotesBlock, Prose, Section, TableBlock
from spc.report.material import Material, glance_row, listed
from spc.report.words import label_of, share_text

__all__ = ["fit_words", "health_line", "health_section", "hidden_section", "method_section", "notes_section"]

_COUNTS = (
    ("employee_responses", "Employee answers"),
    ("customer_responses", "Customer answers"),
    ("units", "Units"),
    ("customers", "Customers in the ledger"),
    ("waves", "Waves"),
    ("constructs", "Constructs"),
)
_QUALITY = (
    ("alpha", "Alpha"),
    ("omega", "Omega"),
    ("icc1_anova", "ICC(1)"),
    ("icc2_anova", "ICC(2)"),
    ("rwg_uniform", "rwg"),
)
_SOFTWARE = ("numpy", "pandas", "scipy", "statsmodels", "scikit-learn")


def health_line(material: Material) -> str:
    """One sentence on what the report rests on and what it keeps to itself."""
    study = material.one("study")
    minimum = material.gate.rule.minimum_group
    kept = f"No number rests on fewer than {minimum} people, and nothing of fewer can be worked out from the rest."
    counts = [] if study is None else _counts(study)
    by_name = dict(counts)
    said = [f"{by_name[name]} {words}" for name, words in (
        ("Employee answers", "employee answers"), ("Customer answers", "customer answers"),
        ("Customers in the ledger", "customers in the ledger"),
    ) if name in by_name]  # fmt: skip
    if not said:
        return kept
    units = f" in {by_name['Units']} units" if "Units" in by_name else ""
    return f"Rests on {', '.join(said)}{units}. {kept}"


def _counts(study: ReleasedModel) -> list[tuple[str, str]]:
    row = glance_row(study)
    found = [(words, getattr(row, name, 0)) for name, words in _COUNTS]
    return [(words, f"{int(value):,}") for words, value in found if not pd.isna(value) and value > 0]


def health_section(material: Material, study: ReleasedModel) -> Section:
    """What was measured, on whom, and how well."""
    row = glance_row(study)
    missing = [
        (words, share_text(float(getattr(row, name))))
        for name, words in (
            ("share_missing_employee", "Answers missing, employees"),
            ("share_missing_customer", "Answers missing, customers"),
            ("share_missing", "Answers missing"),
        )
        if pd.notna(getattr(row, name, None))
    ]
    blocks: list[Block] = [FactsBlock("What the report rests on", (*_counts(study), *missing))]
    rows = study.tidy.frame
    values = {(r.kind, r.lhs, r.rhs): float(r.estimate) for r in listed(rows)}
    present = [(kind, header) for kind, header in _QUALITY if (rows["kind"] == kind).any()]
    if present:
        first = rows[rows["kind"].isin([kind for kind, _ in present])].drop_duplicates("lhs")
        columns = (
            Column("Construct", lambda r: label_of(r.lhs, material.labels)),
            *(Column(header, _quality(values, kind), True) for kind, header in present),
            Column("Verdict", lambda r: _verdict(values, r.lhs)),
        )
        if rows["kind"].isin(["alpha", "omega"]).any():
            figure = unit_quality(study.tidy, material.labels)
            blocks.append(
                FigureBlock(figure, "Reliability with its interval; the dashed line is the usual bar of 0.70.")
            )
        blocks.append(
            TableBlock(
                study.tidy,
                "How well each construct is measured",
                columns,
                [int(i) for i in first.index],
                "Alpha and omega: how far the questions of a scale measure one thing (0.70 is the usual bar). ICC(1): "
                "how much of an answer is the unit's. ICC(2): how reliable unit means are (both by analysis of "
                "variance). rwg: how far people of a unit agree, median over units. Omega "
                "needs three questions."
                f"{_of_wave(row)}",
            )
        )
    return Section("health", "Data health", tuple(blocks))


def _of_wave(row: Any) -> str:
    waves = getattr(row, "waves", 0)
    return " Of the latest wave of each side." if pd.notna(waves) and waves > 1 else ""


def _quality(values: dict[tuple[str, str, str], float], kind: str) -> Any:
    def text(row: Any) -> str:
        for how in ("median", "", None):
            if (kind, row.lhs, how) in values:
                return number(values[kind, row.lhs, how])  # type: ignore[index]
        return number(next((v for (k, name, _), v in values.items() if k == kind and name == row.lhs), float("nan")))

    return text


def _verdict(values: dict[tuple[str, str, str], float], name: str) -> str:
    def first(*kinds: str) -> float:
        found = (v for kind in kinds for (k, n, _), v in values.items() if k == kind and n == name and pd.notna(v))
        return next(found, float("nan"))

    scale, unit = first("omega", "alpha"), first("icc2_anova", "icc2_reml")
    said = []
    if pd.notna(scale):
        said.append("scale good" if scale >= 0.8 else "scale acceptable" if scale >= 0.7 else "scale weak")
    if pd.notna(unit):
        said.append("unit means reliable" if unit >= 0.7 else "unit means rough" if unit >= 0.5 else "unit means weak")
    return ", ".join(said) or "–"


def method_section(material: Material) -> Section:
    """What was fitted and how, so that it can be done again."""
    blocks: list[Block] = []
    chain = material.one("chain")
    if chain is not None:
        blocks += [Prose(_level(chain)), FactsBlock("The structural model", tuple(_fit(chain)))]
    facts = [
        (f"{model.kind.capitalize()}: data, seed, time", text) for model in material.models if (text := _origin(model))
    ]
    software = [f"{name} {_version(name)}" for name in ("service-profit-chain", *_SOFTWARE)]
    facts.append(("Software", ", ".join([*software, f"Python {platform.python_version()}"])))
    rule = material.gate.rule
    blocks.append(FactsBlock("Data and software", tuple(facts)))
    blocks.append(
        FactsBlock(
            "Confidentiality",
            (
                ("Fewest people behind a score", str(rule.minimum_group)),
                ("Fewest people behind comments", str(rule.minimum_comments)),
                ("Neighbouring groups", "hidden too where subtraction would tell of a smaller group"),
            ),
        )
    )
    return Section("method", "Method", tuple(blocks))


def _level(chain: ReleasedModel) -> str:
    fitted = fit_words(chain)
    picture = f" The model as a whole {fitted}." if fitted else ""
    if str(getattr(glance_row(chain), "level", "")) == "unit":
        return (
            "Employees and customers are different people who meet in the same unit, so the chain is fitted on the "
            f"means of units, each side counted with its own people.{picture}"
        )
    return f"All constructs come from the same people, so the chain is fitted on persons.{picture}"


def fit_words(chain: ReleasedModel) -> str:
    """How the model fits, by the usual bars of CFI and RMSEA (Hu & Bentler 1999; .90 and .10 as the least)."""
    row = glance_row(chain)
    cfi, rmsea = (getattr(row, name, float("nan")) for name in ("cfi", "rmsea"))
    if pd.isna(cfi) or pd.isna(rmsea) or not getattr(row, "df", 0):
        return ""
    word = "well" if cfi >= 0.95 and rmsea <= 0.06 else "acceptably" if cfi >= 0.90 and rmsea <= 0.10 else "poorly"
    return f"fits {word} (CFI {number(cfi)}, RMSEA {number(rmsea)})"


def _fit(chain: ReleasedModel) -> list[tuple[str, str]]:
    row = glance_row(chain)

    def value(name: str) -> float:
        found = getattr(row, name, None)
        return float("nan") if found is None or pd.isna(found) else float(found)

    people = "chisq_corrected" in chain.glance.frame
    unit = "units, from the answers of their people" if people else "units (means of their people)"
    level = {"unit": unit, "person": "persons"}.get(str(getattr(row, "level", "")), "rows")
    pairs = [
        ("Rows of the analysis", f"{value('nobs'):,.0f} {level}"),
        ("Estimator", f"{getattr(row, 'estimator', '–')}, linear structural equation model"),
        ("Free parameters", f"{value('npar'):,.0f}"),
        ("Converged", "yes" if bool(getattr(row, "converged", False)) else "no"),
        ("Chi-square", f"{number(value('chisq'))} on {value('df'):,.0f} degrees of freedom, p {_p(value('pvalue'))}"),
        ("CFI, TLI", f"{number(value('cfi'))}, {number(value('tli'))}"),
        (
            "RMSEA",
            f"{number(value('rmsea'))} {bracket(value('rmsea_ci_lower'), value('rmsea_ci_upper'))} (90 % interval)",
        ),
        ("SRMR", number(value("srmr"))),
    ]
    if people:
        corrected = f"{number(value('chisq_corrected'))}, p {_p(value('pvalue_corrected'))}"
        pairs.insert(5, ("Chi-square, corrected for few units", corrected))
    untested = _untested(value("df"), value("chisq"))
    if untested:
        told = ("Chi-square", "Chi-square, corrected for few units", "CFI, TLI", "RMSEA", "SRMR")
        pairs = [pair for pair in pairs if pair[0] not in told]
        pairs.append(("Fit", f"not to be judged: {untested}"))
    if value("nunits") > 0 and str(getattr(row, "level", "")) == "person":
        pairs.insert(1, ("Units the rows come from", f"{value('nunits'):,.0f}"))
    return [(term, text) for term, text in pairs if "nan" not in text]


def _untested(df: float, chisq: float) -> str:
    """Why there is no test of fit; empty where there is one."""
    if df == 0:
        return "the model has as many free parameters as there are moments"
    return "there is no test of this chain, as the notes say" if pd.isna(chisq) else ""


def _p(value: float) -> str:
    return "–" if pd.isna(value) else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _origin(model: ReleasedModel) -> str:
    given = model.facts
    if not given.get("package_version"):
        return ""
    return f"{given['data_fingerprint']}, {given['seed'] if given.get('seed') is not None else 'none'}, {given['time']}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def notes_section(material: Material) -> Section:
    """All notes, serious first."""
    return Section("notes", "Notes", (NotesBlock(material.models),))


def hidden_section(material: Material) -> Section:
    """The gate's log."""
    log = material.gate.log()
    if log.frame.empty:
        return Section("hidden", "What was hidden", (Prose("Nothing had to be hidden from this report."),))
    columns = (
        Column("Table", lambda row: row.table),
        Column("Of", lambda row: row.of),
        Column("Hidden", lambda row: str(row.hidden), True),
        Column("Why", lambda row: row.reason),
    )
    return Section("hidden", "What was hidden", (TableBlock(log, "Hidden by the rule of confidentiality", columns),))
