"""Figures from released tables; nothing here knows how a number was estimated."""

from __future__ import annotations

from spc.plot.books import bridge_plot, whale_plot
from spc.plot.chain import VERDICTS, chain_diagram
from spc.plot.charts import effects_plot, five_points, importance_performance, retention_curve, unit_quality
from spc.plot.figure import Chart, Figure, Series
from spc.plot.path_diagram import path_diagram

__all__ = [
    "VERDICTS",
    "Chart",
    "Figure",
    "Series",
    "bridge_plot",
    "chain_diagram",
    "effects_plot",
    "five_points",
    "importance_performance",
    "path_diagram",
    "retention_curve",
    "unit_quality",
    "whale_plot",
]
