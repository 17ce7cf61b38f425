"""Model text to parameter table and back."""

from __future__ import annotations

from spc.spec.complete import model, observed_variables
from spc.spec.expressions import Expression, parse_expression
from spc.spec.presets import CHAIN_CONSTRUCTS, CHAIN_LINKS, DIRECT_LINKS, chain_preset
from spc.spec.table import Block, Constraint, Defined, GivenBy, Model, Parameter, ParameterTable, blocks
from spc.spec.write import write_model

__all__ = [
    "CHAIN_CONSTRUCTS",
    "CHAIN_LINKS",
    "DIRECT_LINKS",
    "Block",
    "Constraint",
    "Defined",
    "Expression",
    "GivenBy",
    "Model",
    "Parameter",
    "ParameterTable",
    "blocks",
    "chain_preset",
    "model",
    "observed_variables",
    "parse_expression",
    "write_model",
]
