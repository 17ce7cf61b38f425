"""What the verbs print: tables that read well in a terminal, errors that say what to do, JSON on request."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import TextWrapper
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spc.disclosure import ReleasedModel
from spc.errors import DataError, Finding, SpcError
from spc.plot.numbers import ends, estimate, rate, wording
from spc.plot.numbers import number as figures
from spc.results import Note

__all__ = ["as_json", "error", "findings", "json_error", "notes", "number", "say", "table"]

STYLE = {"error": "bold red", "serious": "bold red", "warning": "yellow", "info": "dim"}


def say(text: str = "", style: str | None = None, *, indent: int = 0) -> None:
    """Print a line; the text is never read as markup."""
    console = Console(highlight=False)
    console.print(escape(_folded(text, console, indent)), style=style, soft_wrap=True)


def _folded(text: str, console: Console, indent: int = 0) -> str:
    """Lines that end between words on a terminal, and are left whole in a file or a pipe."""
    if not console.is_terminal:
        return text
    wrap = TextWrapper(console.width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrap.fill(line) for line in text.split("\n"))


def number(value: Any, digits: int = 2) -> str:
    """A number for a terminal cell: so many decimals, more where they would be zeros; empty when missing.

    Examples
    --------
    >>> number(1234.567), number(0.00312), number(float("nan")), number("a")
    ('1,234.57', '0.0031', '', 'a')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if not isinstance(value, float):
        return f"{value:,}"
    return f"{value:,.{_decimals(value, digits)}f}"


def _decimals(size: float, digits: int) -> int:
    size = abs(size)
    return digits if size == 0 or size >= 10.0 ** (1 - digits) else digits + math.floor(-math.log10(size))


def probability(value: float) -> str:
    """A p value, never as zero.

    Examples
    --------
    >>> probability(0.0002), probability(0.034)
    ('p < 0.001', 'p = 0.034')
    """
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def table(
    frame: pd.DataFrame, columns: Mapping[str, str], title: str = "", formats: Mapping[str, Callable[[Any], str]] = {}
) -> None:
    """Print columns of a frame under readable headings; numbers to the right."""
    view = Table(title=escape(title) or None, title_justify="left", title_style="bold", header_style="bold", box=None)
    for name, heading in columns.items():
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        right = numeric or name in formats or name in ("figure", "interval")
        view.add_column(escape(heading), justify="right" if right else "left", no_wrap=right or name == "label",
                        overflow="fold")  # fmt: skip
    for record in frame[list(columns)].to_dict("records"):
        view.add_row(*(escape(formats.get(str(name), number)(value)) for name, value in record.items()))
    Console(highlight=False).print(view)


def findings(given: Iterable[Finding]) -> None:
    """Print findings, errors first, each with its place, what was expected and a hint."""
    console = Console(highlight=False)
    for finding in sorted(given, key=lambda f: f.severity != "error"):
        place = finding.table if finding.column is None else f"{finding.table}.{finding.column}"
        lines = _lines(finding)
        console.print(f"[{STYLE[finding.severity]}]{finding.severity}[/] [bold]{escape(place)}[/]{escape(lines)}")
        say(f"    found     {finding.found}", indent=14)
        say(f"    expected  {finding.expected}", indent=14)
        say(f"    {finding.hint}", "italic", indent=4)


def _lines(finding: Finding) -> str:
    if not finding.rows:
        return ""
    more = finding.n_rows - len(finding.rows)
    rest = f" and {more:,} more" if more > 0 else ""
    return f", line{'s' if finding.n_rows > 1 else ''} {', '.join(map(str, finding.rows))}{rest}"


def notes(given: Iterable[Note]) -> None:
    """Print notes, serious ones first."""
    order = {"serious": 0, "warning": 1, "info": 2}
    console = Console(highlight=False)
    for note in sorted(given, key=lambda n: order[n.severity]):
        severity, _, text = _folded(f"{note.severity} {note.text}", console).partition(" ")
        console.print(f"[{STYLE[severity]}]{severity}[/] {escape(text)}", soft_wrap=True)


def as_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on standard output; missing numbers are null."""
    json.dump(_plain(document), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def _fields(thing: Finding | Note) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}


def error(fault: SpcError) -> None:
    """Print an error on standard error; data errors with every finding."""
    console = Console(stderr=True, highlight=False)
    if isinstance(fault, DataError):
        wrong = [f for f in fault.findings if f.severity == "error"]
        console.print(f"[bold red]{len(wrong)} thing{'s' if len(wrong) != 1 else ''} to put right[/]")
        for finding in wrong:
            console.print(escape(_folded(f"- {finding}", console, indent=2)), soft_wrap=True)
        return
    kind = _kind(fault)
    text = _folded(f"{kind} {fault}", console).removeprefix(kind)
    console.print(f"[bold red]{escape(kind)}[/]{escape(text)}", soft_wrap=True)


def _kind(fault: SpcError) -> str:
    return {2: "Cannot do that:", 4: "Model:", 5: "Estimation:"}.get(fault.exit_code, "Error:")


def json_error(fault: SpcError) -> None:
    """Print an error as a JSON document on standard output."""
    body: dict[str, Any] = {"type": type(fault).__name__, "message": str(fault), "exit_code": fault.exit_code}
    if isinstance(fault, DataError):
        body["findings"] = [_fields(finding) for finding in fault.findings]
    for name in ("line", "column", "parameters"):
        if getattr(fault, name, None) is not None:
            body[name] = getattr(fault, name)
    as_json({"error": body})


def findings_json(given: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain records."""
    return [_fields(finding) for finding in given]


def written(paths: Iterable[Any]) -> None:
    """Say which files were written."""
    for path in paths:
        say(f"Wrote {path}", "dim")


def model(released: ReleasedModel) -> None:
    """Print what a released result says, by its kind; what only the report shows is left to it."""
    printers = {"chain": chain, "evidence": evidence, "loyalty": loyalty, "drivers": drivers, "study": study}
    if released.kind in printers:
        printers[released.kind](released)
        say()


def _in_words(released: ReleasedModel) -> list[Note]:
    from spc.report.words import notes_in_words

    return notes_in_words(released)


def _labelled(released: ReleasedModel, kinds: Sequence[str]) -> pd.DataFrame:
    frame = released.tidy.frame
    frame = frame[frame["kind"].isin(kinds)].copy()
    for column in ("lhs", "rhs"):
        frame[column] = [released.labels.get(name) or wording(name) for name in frame[column]]
    return frame


def _ways(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(way=frame["rhs"] + " → " + frame["lhs"], figure=_estimates, interval=intervals)


def intervals(frame: pd.DataFrame) -> list[str]:
    """Intervals of a frame as cells; empty where there is none."""

    def text(low: float, high: float) -> str:
        return "" if math.isnan(low) or math.isnan(high) else " to ".join(map(_typed, ends(low, high)))

    return [text(low, high) for low, high in zip(frame["conf_low"], frame["conf_high"], strict=True)]


def _estimates(frame: pd.DataFrame) -> list[str]:
    """Estimates with the decimals of their intervals."""
    rows = zip(frame["estimate"], frame["conf_low"], frame["conf_high"], strict=True)
    return ["" if math.isnan(row[0]) else _typed(estimate(*row)) for row in rows]


def figure(value: float) -> str:
    """A figure with about three digits that matter; empty when missing.

    Examples
    --------
    >>> figure(28508.49), figure(-0.0212), figure(float("nan"))
    ('28,508', '-0.021', '')
    """
    return "" if math.isnan(value) else _typed(figures(value))


def _typed(text: str) -> str:
    """A number as it is typed, for cells that are copied elsewhere."""
    return text.replace("−", "-")


def study(released: ReleasedModel) -> None:
    """Print how well each construct is measured."""
    frame = _labelled(released, ["alpha", "omega", "icc1_anova", "icc2_anova", "rwg_uniform"])
    if frame.empty:
        return
    wide = frame.pivot_table(index="lhs", columns="kind", values="estimate", sort=False, aggfunc="first").reset_index()
    headings = {
        "lhs": "construct",
        "alpha": "alpha",
        "omega": "omega",
        "icc1_anova": "ICC(1)",
        "icc2_anova": "ICC(2)",
        "rwg_uniform": "rwg(j)",
    }
    table(wide, {name: text for name, text in headings.items() if name in wide}, "Measurement")


def evidence(released: ReleasedModel) -> None:
    """Print one sentence a link: its grade of evidence, and why."""
    if released.curve is None:
        return
    frame = released.curve.frame
    say("Evidence for each link, from A (strong) to D (no link shown)", "bold")
    for sentence in frame.loc[frame["criterion"] == "summary", "sentence"]:
        say(f"- {sentence}", indent=2)


def chain(released: ReleasedModel) -> None:
    """Print links with their check, total effects, fit and notes."""
    links = _labelled(released, ["link"]).reset_index(drop=True)
    check = _labelled(released, ["regression"])[["lhs", "rhs", "std_all"]].rename(columns={"std_all": "check"})
    columns = {
        "way": "link",
        "figure": "effect",
        "interval": "interval",
        "std_all": "std.",
        "check": "OLS std.",
        "label": "verdict",
    }
    table(_ways(links.merge(check, on=["lhs", "rhs"], how="left")), columns, "Links of the chain")
    totals = _labelled(released, ["total"])
    direct = set(zip(links["rhs"], links["lhs"], strict=True))
    last = set(links["lhs"]) - set(links["rhs"])
    pairs = zip(totals["rhs"], totals["lhs"], strict=True)
    far = totals[[pair not in direct and pair[1] in last for pair in pairs]]
    readable = not (links["label"] == "not interpretable").all()
    if len(far) and readable:
        say()
        columns = {"way": "from → to", "figure": "total effect", "interval": "interval", "std_all": "std."}
        table(_ways(far), columns, "Effects through to the end of the chain")
    fit = released.glance.frame.iloc[0]
    say()
    if fit["df"] == 0 or pd.isna(fit["chisq"]):
        why = (
            "the model has as many free parameters as there are moments" if fit["df"] == 0
            else "there is no test of this chain, as the notes say"
        )  # fmt: skip
        say(f"Fit: not to be judged, {why}; {fit['nobs']:.0f} {fit['level']}s.")
        notes(_in_words(released))
        return
    say(
        f"Fit: chi-square {fit['chisq']:.2f} on {fit['df']:.0f} df ({probability(fit['pvalue'])}), "
        f"CFI {fit['cfi']:.3f}, "
        f"RMSEA {fit['rmsea']:.3f} [{fit['rmsea_ci_lower']:.3f}, {fit['rmsea_ci_upper']:.3f}], "
        f"SRMR {fit['srmr']:.3f}; {fit['nobs']:.0f} {fit['level']}s."
    )
    notes(_in_words(released))


def loyalty(released: ReleasedModel) -> None:
    """Print what loyalty is worth."""
    frame = released.tidy.frame
    frame = frame[frame["kind"] != "parameter"]  # said in the sentence on the model
    names = frame["lhs"].mask(frame["kind"] == "claim", "usual claim")
    names = names.mask(frame["kind"] == "claim_terms", "for the usual claim: " + frame["lhs"])
    what = [_quantity(lhs, rhs) for lhs, rhs in zip(names, frame["rhs"], strict=True)]
    shares = frame["kind"].isin(["retention", "churn", "uplift_percent", "uplift_relative", "claim"])
    shares |= frame["lhs"].isin(["uplift_percent", "discount", "margin_growth", "retention"])
    cells = [_share(x) if share else figure(x) for x, share in zip(frame["estimate"], shares, strict=True)]
    cells = [
        "at none" if kind == "claim_terms" and text == "" else text
        for text, kind in zip(cells, frame["kind"], strict=True)
    ]
    interval = [
        "" if math.isnan(low) else f"{_share(low)} to {_share(high)}" if share else plain
        for low, high, share, plain in zip(frame["conf_low"], frame["conf_high"], shares, intervals(frame), strict=True)
    ]
    frame = frame.assign(what=what, figure=cells, interval=interval)
    table(frame, {"what": "loyalty in money", "figure": "figure", "interval": "interval"}, formats={"figure": str})
    say(_retention_model(released.glance.frame.iloc[0], released.tidy.frame))
    notes(_in_words(released))


def _retention_model(row: pd.Series, rows: pd.DataFrame) -> str:
    """What the figures rest on, its parameters, and how it fits."""
    words = {"constant": "one rate for all", "sbg": "shifted beta-geometric", "kaplan-meier": "Kaplan-Meier"}
    text = f"Retention model: {words.get(str(row['retention_model']), 'BG/NBD')}"
    found = rows[rows["kind"] == "parameter"]
    if len(found):
        parameters = zip(found["lhs"], found["estimate"], strict=True)
        text += f" ({', '.join(f'{name} {figure(value)}' for name, value in parameters)})"
    if row["calibration_df"] > 0:
        fit = f"chi-square {row['calibration_chisq']:.1f} on {row['calibration_df']:.0f} df"
        what = "customers by purchases" if row["retention_model"] == "bg-nbd" else "leavers"
        text += f"; {what} against expected: {fit} ({probability(row['calibration_pvalue'])})"
    return text + "."


def _share(value: float) -> str:
    """A share in per cent, with one more decimal for each nought before the first figure."""
    return "" if math.isnan(value) else "".join(rate(value).replace("\N{MINUS SIGN}", "-").split())


def _quantity(lhs: str, rhs: str) -> str:
    lhs = {"uplift_percent": "own figure", "uplift_money": "own figure in money", "clv": "value of a customer"}.get(
        lhs, lhs
    )
    return ", ".join(filter(None, (lhs.replace("_", " "), rhs)))


def drivers(released: ReleasedModel) -> None:
    """Print key drivers, the most important first."""
    frame = _labelled(released, ["importance"]).sort_values("estimate", ascending=False)
    frame = frame.assign(figure=_estimates, interval=intervals)
    outcome = frame["rhs"].iloc[0] if len(frame) else ""
    table(
        frame,
        {"lhs": "driver", "figure": "importance", "interval": "interval", "std_all": "share of R²"},
        f"Key drivers of {outcome}",
    )
    notes(_in_words(released))


def power(frame: pd.DataFrame, title: str) -> None:
    """Print how often each planned effect is found, and how wide its interval is."""
    shown = frame.assign(
        effect=[f"{cause} -> {effect}" for cause, effect in zip(frame["rhs"], frame["lhs"], strict=True)],
        chance=[f"{value:.0%}" for value in frame["power"]],
        between=[f"{low:.0%} to {high:.0%}" for low, high in zip(frame["power_low"], frame["power_high"], strict=True)],
        width=[f"± {value / 2:.2f}" for value in frame["width"]],
    )
    headings = {"effect": "effect", "truth": "planned size", "chance": "found in", "between": "", "width": "interval"}
    table(shown, headings, title, formats={"chance": str, "between": str, "width": str})


def scenario(released: ReleasedModel, labels: Mapping[str, str]) -> None:
    """Print how far constructs move at the end, money period by period, and what it comes to."""
    frame, row = released.tidy.frame, released.glance.frame.iloc[0]
    last = str(int(row["periods"]))
    moved = frame[(frame["kind"] == "moved") & (frame["rhs"] == last)]
    moved = moved.assign(what=[labels.get(name, name) for name in moved["lhs"]], figure=_estimates, interval=intervals)
    headings = {"what": "construct", "figure": "moves by", "interval": "interval"}
    table(moved, headings, f"After {last} {row['period']}s")
    money = frame[frame["kind"].isin(["money", "cost"])]
    if (money["kind"] == "money").any():
        plain: dict[str, Callable[[Any], str]] = {"estimate": _whole_money, "interval": str}
        money = money.assign(
            what=money["kind"] + ", " + str(row["period"]) + " " + money["rhs"], interval=_amounts(money)
        )
        money = money[(money["kind"] == "money") | (money["estimate"] != 0.0)]
        table(money, {"what": "money", "estimate": str(row["currency"]), "interval": "interval"}, formats=plain)
        whole = frame[frame["kind"] == "present_value"].assign(what="present value", interval=_amounts)
        table(whole, {"what": "all periods", "estimate": str(row["currency"]), "interval": "interval"}, formats=plain)
        back = frame[frame["kind"] == "payback"].iloc[0]
        loss = float(frame.loc[frame["kind"] == "chance_of_loss", "estimate"].iloc[0])
        middle = "." if math.isnan(back["estimate"]) else f", in period {back['estimate']:.0f} in the middle one."
        returns = f"The money is back in {back['std_all']:.0%} of draws{middle}"
        if not ((frame["kind"] == "cost") & (frame["estimate"] != 0.0)).any():
            returns = "No cost is counted: give --cost or --running-cost to see when the money is back."
        say(f"Chance of a loss: {loss:.0%}. {returns}")
    notes(_in_words(released))


def _whole_money(value: Any) -> str:
    return "" if value is None or math.isnan(value) else f"{value:,.0f}"


def _amounts(frame: pd.DataFrame) -> list[str]:
    both = zip(frame["conf_low"], frame["conf_high"], strict=True)
    return ["" if math.isnan(low) else f"{low:,.0f} to {high:,.0f}" for low, high in both]


def recovery(frame: pd.DataFrame, title: str) -> None:
    """Print estimates beside the truth they were made from."""
    shown = frame.assign(
        figure=_estimates(frame),
        interval=intervals(frame),
        covered=["yes" if inside else "no" for inside in frame["covered"]],
        share=[f"{share:.0%}" for share in frame["share"]],
        way=(frame["rhs"] + " → " + frame["lhs"]).str.replace("_", " "),
    )
    columns = {
        "way": "link",
        "truth": "truth",
        "figure": "estimate",
        "interval": "interval",
        "share": "of truth",
        "covered": "covered",
    }
    table(shown, columns, title)
    n = len(frame)
    say(
        f"{int(frame['covered'].sum())} of {n} intervals contain the truth; the median estimate is "
        f"{frame['share'].median():.0%} of it."
    )
