"""What a function of a fit asks of it."""

from __future__ import annotations

from spc.errors import UnsupportedError
from spc.sem.fit import SemFit

__all__ = ["require_complete_ml"]

_LIKELIHOOD = ("ML", "MLM", "MLR")


def require_complete_ml(fit: SemFit, what: str, estimators: tuple[str, ...] = _LIKELIHOOD) -> None:
    """Raise unless the estimates maximise the likelihood of complete rows of one group.

    Parameters
    ----------
    fit : SemFit
    what : str
        What was asked for, to begin the message: ``"Modification indices"``.
    estimators : tuple of str
        Those that will do.

    Raises
    ------
    UnsupportedError
        Another estimator, or rows with missing values in the likelihood.
    """
    estimator, missing = str(fit.options.estimator), str(fit.options.missing)
    if estimator not in estimators or missing != "listwise":
        listed = " or ".join(estimators)
        raise UnsupportedError(
            f"{what} work for fits with estimator {listed} and missing='listwise'; this one has "
            f"estimator={estimator!r} and missing={missing!r}."
        )
