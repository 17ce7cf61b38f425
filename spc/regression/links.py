"""One ordinary regression per outcome of the chain, with errors that hold under unequal or clustered spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError
from spc.results import Note, Shown, tidy_frame

__all__ = ["LinkRegressions", "link_regressions"]

FEW_CLUSTERS = 30


@dataclass(frozen=True, eq=False, repr=False)
class LinkRegressions(Shown):
    """Regressions link by link.

    Attributes
    ----------
    table : DataFrame
        Tidy rows of kind ``"regression"``: ``lhs`` the outcome, ``rhs`` the predictor, ``label`` the method.
    fits : DataFrame
        One row an outcome: ``lhs, nobs, r_square, method``.
    messages : tuple of Note
    """

    table: pd.DataFrame
    fits: pd.DataFrame
    messages: tuple[Note, ...] = ()
    kind: str = "regression"

    def tidy(self) -> pd.DataFrame:
        """One row a slope."""
        return self.table

    def glance(self) -> pd.DataFrame:
        """One row: how many regressions, on how few rows at least, by which method."""
        return pd.DataFrame(
            {
                "regressions": [len(self.fits)],
                "nobs": [int(self.fits["nobs"].min())],
                "method": ["; ".join(dict.fromkeys(self.fits["method"]))],
            }
        )

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the slopes."""
        return self.messages


def link_regressions(
    frame: pd.DataFrame,
    links: Mapping[str, Sequence[str]],
    *,
    cluster: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> LinkRegressions:
    """Regress each outcome on its predictors by least squares.

    Parameters
    ----------
    frame : DataFrame
        Numeric columns; rows with a missing value in one regression are left out of that regression.
    links : mapping of outcome to predictors
    cluster : (n,) array-like, optional
        Cluster of each row. Errors are then clustered, with t quantiles on clusters - 1 degrees of freedom;
        without it they are HC3.
    level : float
        Level of the intervals.

    Returns
    -------
    LinkRegressions
        ``std_all`` is the slope times the ratio of the standard deviations of predictor and outcome.

    Raises
    ------
    DataError
        Too few complete rows for a regression, or predictors that are constant or linearly dependent.

    References
    ----------
    MacKinnon & White (1985), Journal of Econometrics 29, 305-325 (HC3).

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6], "y": [2.0, 4, 6, 8, 10, 13]})
    >>> link_regressions(frame, {"y": ["x"]}).tidy()[["lhs", "rhs", "estimate", "label"]].round(3)
      lhs rhs  estimate     label
    0   y   x     2.143  OLS, HC3
    """
    groups = None if cluster is None else pd.Series(np.asarray(cluster), index=frame.index)
    rows: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    notes: list[Note] = []
    for outcome, predictors in links.items():
        slopes, fit, note = _regress(frame, outcome, list(predictors), groups, level)
        rows += slopes
        fits.append(fit)
        notes += note
    return LinkRegressions(tidy_frame(rows), pd.DataFrame(fits), tuple(notes))


def _regress(
    frame: pd.DataFrame, outcome: str, predictors: list[str], groups: pd.Series | None, level: float
) -> tuple[list[dict[str, Any]], dict[str, Any], list[Note]]:
    from statsmodels.regression.linear_model import OLS

    used = frame[[outcome, *predictors]].astype(float).dropna()
    _require_rank(used, outcome, predictors)
    design = used[predictors].assign(**{"(Intercept)": 1.0})
    notes: list[Note] = []
    if groups is None:
        method = "OLS, HC3"
        fit = OLS(used[outcome], design).fit(cov_type="HC3", use_t=True)
    else:
        codes = pd.factorize(groups.loc[used.index])[0]
        n_clusters = int(codes.max()) + 1
        if n_clusters < 2:
            raise DataError.of(
                "analysis rows", outcome, "one_cluster", f"{n_clusters} unit", "at least 2 units",
                "Clustered errors compare units with each other; leave `cluster` out for a single unit.",
            )  # fmt: skip
        method = "OLS, clustered by unit"
        fit = OLS(used[outcome], design).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
        if n_clusters < FEW_CLUSTERS:
            notes.append(Note.of("few_clusters", "warning", outcome, "regression", outcome=outcome, units=n_clusters))
    interval = fit.conf_int(alpha=1 - level)
    scale = used[predictors].std() / used[outcome].std()
    slopes = [
        {
            "lhs": outcome,
            "op": "~",
            "rhs": predictor,
            "label": method,
            "kind": "regression",
            "estimate": fit.params[predictor],
            "std_error": fit.bse[predictor],
            "statistic": fit.tvalues[predictor],
            "p_value": fit.pvalues[predictor],
            "conf_low": interval.loc[predictor, 0],
            "conf_high": interval.loc[predictor, 1],
            "std_all": fit.params[predictor] * scale[predictor],
        }
        for predictor in predictors
    ]
    summary = {"lhs": outcome, "nobs": len(used), "r_square": float(fit.rsquared), "method": method}
    return slopes, summary, notes


def _require_rank(used: pd.DataFrame, outcome: str, predictors: list[str]) -> None:
    if len(used) < len(predictors) + 3:
        raise DataError.of(
            "analysis rows", outcome, "too_few_rows", f"{len(used)} complete rows",
            f"at least {len(predictors) + 3} for {len(predictors)} predictor{'s' if len(predictors) > 1 else ''}",
            "Collect more units or respondents, or take predictors out.",
        )  # fmt: skip
    constant = [name for name in (outcome, *predictors) if used[name].std() == 0]
    if constant:
        raise DataError.of(
            "analysis rows", constant[0], "constant", f"{', '.join(constant)} never changes", "values that differ",
            "A link from or to a constant cannot be estimated; take it out of the chain.",
        )  # fmt: skip
    standard = (used[predictors] - used[predictors].mean()) / used[predictors].std()
    if np.linalg.matrix_rank(standard.to_numpy()) < len(predictors):
        raise DataError.of(
            "analysis rows", outcome, "dependent_predictors", f"{', '.join(predictors)} are linearly dependent",
            "predictors that are not sums of each other", "Take one of them out of the chain.",
        )  # fmt: skip
