"""A study: the document that describes it, its tables read and checked, how well its constructs are measured."""

from __future__ import annotations

from spc.study.accounts import AccountsSpec, CostDriver
from spc.study.check import CheckReport, check_study
from spc.study.document import (
    ChainSpec,
    MoneySpec,
    StudyDocument,
    StudySpec,
    TableSpec,
    load_document,
    read_document,
)
from spc.study.init import init_study
from spc.study.lags import Lag, wave_offsets
from spc.study.priors import LinkPrior
from spc.study.read import read_study
from spc.study.report import LeverSpec, ReportSpec
from spc.study.study import Study, person_scores, unit_scores

__all__ = [
    "AccountsSpec",
    "ChainSpec",
    "CheckReport",
    "CostDriver",
    "Lag",
    "LeverSpec",
    "LinkPrior",
    "MoneySpec",
    "ReportSpec",
    "Study",
    "StudyDocument",
    "StudySpec",
    "TableSpec",
    "check_study",
    "init_study",
    "load_document",
    "person_scores",
    "read_document",
    "read_study",
    "unit_scores",
    "wave_offsets",
]
