"""Studies whose assignments say which units serve a customer."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from spc.chain.membership import assignment_weights
from spc.study import Study

__all__ = ["assigned", "served_units", "staff_of"]


def staff_of(study: Study) -> pd.DataFrame | None:
    """Employees with their units; None where the study does not tell."""
    table = study.tables.get("employee_responses")
    return table if table is not None and {"respondent", "unit"} <= set(table) else None


def assigned(study: Study, table: str) -> bool:
    """Whether assignments lead from the customers of a table to units."""
    rows = study.tables.get("assignments")
    if table != "customer_responses" or rows is None or "customer" not in study.tables[table]:
        return False
    return "unit" in rows or ("respondent" in rows and staff_of(study) is not None)


def served_units(study: Study) -> Study:
    """The study, its customers without a unit in the one that has most of their assignments."""
    answers = study.tables.get("customer_responses")
    by_unit = study.chain is None or study.chain.meet == "unit"
    if answers is None or not by_unit or not assigned(study, "customer_responses"):
        return study
    own = answers["unit"] if "unit" in answers else pd.Series(None, index=answers.index, dtype=object)
    if own.notna().all():
        return study
    weights = assignment_weights(
        study.tables["assignments"], customers=answers["customer"].dropna().unique(), employees=staff_of(study)
    )
    unit = own.where(own.notna(), answers["customer"].map(weights.majority()))
    return replace(study, tables={**study.tables, "customer_responses": answers.assign(unit=unit)})
