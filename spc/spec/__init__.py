"""Model text to parameter table and back."""

from __future__ import annotations

from spc.spec.complete import model
from spc.spec.expressions import Expression, parse_expression
from spc.spec.table import Constraint, Defined, GivenBy, Model, Parameter, ParameterTable

__all__ = [
    "Constraint",
    "Defined",
    "Expression",
    "GivenBy",
    "Model",
    "Parameter",
    "ParameterTable",
    "model",
    "parse_expression",
]
