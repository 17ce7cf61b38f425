"""Figures from released tables; nothing here knows how a number was estimated."""

from __future__ import annotations

from spc.plot.chain import VERDICTS, chain_diagram
from spc.plot.charts import effects_plot, five_points, importance_performance, retention_curve, unit_quality
from spc.plot.figure import Figure
from spc.plot.path_diagram import path_diagram

__all__ = [
    "VERDICTS",
    "Figure",
    "chain_diagram",
    "effects_plot",
    "five_points",
    "importance_performance",
    "path_diagram",
    "retention_curve",
    "unit_quality",
]
