"""From answers to constructs, and from people to units: scoring, reliability, agreement, aggregation."""

from __future__ import annotations

from spc.survey.aggregation import Aggregation, UnitScores, aggregation
from spc.survey.agreement import ad_index, agreement, null_distribution, null_variance, rwg
from spc.survey.codebook import Codebook, Construct
from spc.survey.reliability import Reliability, alpha, omega, scale_reliability, spearman_brown
from spc.survey.scoring import keyed_items, score, score_counts, score_table, scoring_rule

__all__ = [
    "Aggregation",
    "Codebook",
    "Construct",
    "Reliability",
    "UnitScores",
    "ad_index",
    "aggregation",
    "agreement",
    "alpha",
    "keyed_items",
    "null_distribution",
    "null_variance",
    "omega",
    "rwg",
    "scale_reliability",
    "score",
    "score_counts",
    "score_table",
    "scoring_rule",
    "spearman_brown",
]
