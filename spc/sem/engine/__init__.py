"""Parameters to covariances, the likelihood, and the search for its maximum."""
