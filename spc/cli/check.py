"""``spc check STUDY``."""

from __future__ import annotations

import typer

from spc.cli.app import app
from spc.cli.options import Json, StudyPath


@app.command(rich_help_panel="Begin")
def check(study: StudyPath, json: Json = False) -> None:
    """Read every table of a study and list all that is wrong or odd, at once."""
    from spc.accounts import book_findings
    from spc.cli import show
    from spc.study import check_study

    report = check_study(study, more=book_findings)
    if json:
        show.as_json({"ok": report.ok, "tables": report.tables, "findings": show.findings_json(report.findings)})
    else:
        if len(report.tables):
            show.table(report.tables, {name: str(name) for name in report.tables.columns}, "Tables")
            show.say()
        show.findings(report.findings)
        errors = sum(finding.severity == "error" for finding in report.findings)
        odd = len(report.findings) - errors
        verdict = "Ready to fit" if report.ok else "Not ready"
        show.say(
            f"{verdict}: {errors} error{'s' * (errors != 1)}, {odd} warning{'s' * (odd != 1)}.",
            "bold green" if report.ok else "bold red",
        )
    if not report.ok:
        raise typer.Exit(3)
