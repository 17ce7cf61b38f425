"""Answers that are missing at random: full-information maximum likelihood."""
