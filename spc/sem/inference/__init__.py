"""Standard errors, tests and measures of fit."""
