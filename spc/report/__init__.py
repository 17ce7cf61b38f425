"""The report that leadership reads: blocks of released values, one self-contained page."""

from __future__ import annotations

from spc.files import refuse_to_overwrite
from spc.report.blocks import Report
from spc.report.compose import compose_report
from spc.report.export import Outcome, csv_text, write_study, write_tables
from spc.report.formats import check_format

__all__ = [
    "Outcome",
    "Report",
    "check_format",
    "compose_report",
    "csv_text",
    "refuse_to_overwrite",
    "write_study",
    "write_tables",
]
