"""Respondents in units: models of two levels, and customers who meet several units."""
