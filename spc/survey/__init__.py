"""From answers to constructs, and from people to units: scoring, reliability, agreement, aggregation."""

from __future__ import annotations

from spc.survey.codebook import Codebook, Construct
from spc.survey.scoring import keyed_items, score, score_counts, score_table, scoring_rule

__all__ = ["Codebook", "Construct", "keyed_items", "score", "score_counts", "score_table", "scoring_rule"]
