"""Ordered items: thresholds, polychoric correlations and weighted least squares."""
