"""The report that leadership reads: blocks of released values, one self-contained page."""

from __future__ import annotations

from spc.report.blocks import Report
from spc.report.compose import compose_report
from spc.report.export import Outcome, csv_text, write_study, write_tables
from spc.report.formats import targets

__all__ = [
    "Outcome",
    "Report",
    "compose_report",
    "csv_text",
    "targets",
    "write_study",
    "write_tables",
]
