"""The options of a fit, checked together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from spc.errors import UnsupportedError, UsageError
from spc.spec.table import Parameterization

__all__ = [
    "CONTINUOUS", "LEAST_SQUARES", "ORDINAL", "WEIGHTED", "Engine", "Estimator", "Information", "Likelihood", "Missing",
    "Options",
]  # fmt: skip

Estimator = Literal["ML", "MLM", "MLR", "GLS", "ULS", "WLS", "DWLS", "WLSM", "WLSMV", "WLSMVS", "ULSMV"]
Missing = Literal["listwise", "pairwise", "fiml"]
Likelihood = Literal["normal", "wishart"]
Engine = Literal["spc", "semopy"]
Information = Literal["expected", "observed"]

_ALLOWED = {
    "estimator": get_args(Estimator), "missing": get_args(Missing), "likelihood": get_args(Likelihood),
    "engine": get_args(Engine), "parameterization": get_args(Parameterization),
}  # fmt: skip
WEIGHTED: tuple[Estimator, ...] = ("GLS", "ULS", "WLS")
CONTINUOUS: tuple[Estimator, ...] = ("ML", "MLM", "MLR", "GLS", "ULS")
ORDINAL: tuple[Estimator, ...] = ("DWLS", "WLSM", "WLSMV", "WLSMVS", "ULSMV")
LEAST_SQUARES = (*WEIGHTED, *ORDINAL)
_WORDS: dict[str, str] = {
    "MLM": "maximum likelihood, sandwich errors about the sample moments (expected information)",
    "MLR": "maximum likelihood, sandwich errors (observed information)",
    "GLS": "generalised least squares, expected information",
    "ULS": "unweighted least squares, sandwich errors",
    "WLS": "weighted least squares, free of assumptions on the distribution",
    "DWLS": "diagonally weighted least squares on thresholds and polychoric correlations",
    "WLSM": "diagonally weighted least squares on polychoric correlations, sandwich errors, scaled test",
    "WLSMVS": "diagonally weighted least squares on polychoric correlations, sandwich errors, adjusted test",
    "ULSMV": "unweighted least squares on polychoric correlations, sandwich errors, scaled and shifted test",
    "WLSMV": "diagonally weighted least squares on polychoric correlations, sandwich errors, scaled and shifted test",
}


@dataclass(frozen=True)
class Options:
    """How a model was fitted.

    Attributes
    ----------
    estimator : {"ML", "MLM", "MLR", "GLS", "ULS", "WLS", "DWLS", "WLSM", "WLSMV", "WLSMVS", "ULSMV"}
        Maximum likelihood for normal data; the same with errors and tests that hold for other data, by Satorra &
        Bentler (MLM) or by Huber, White, Yuan & Bentler (MLR), see :mod:`spc.sem.inference.robust`; or generalised,
        unweighted or weighted least squares, see :mod:`spc.sem.weighted`. The latter three use covariances with
        divisor n - 1 and estimate the moments of covariates, as in lavaan. Unlike there, the errors of ULS are those
        of a sandwich and its test is scaled (lavaan's ULSM): without, they change with the units of the data. DWLS
        and WLSMV are for ordered items, see :mod:`spc.sem.ordinal.fit`.
    missing : {"listwise", "pairwise", "fiml"}
        Rows with a missing value in a variable of the model are left out, and counted; or every answer is used, by
        full-information maximum likelihood with observed information (``fit`` takes lavaan's word ``"ml"`` as well);
        or, with ordered items and by default there, each threshold and each correlation rests on the rows that
        answer its items.
    likelihood : {"normal", "wishart"}
        Divisor n, lavaan's default, or n - 1 of the covariances.
    engine : {"spc", "semopy"}
        What finds the estimates; everything else is computed here either way.
    level : float
        Level of the intervals.
    cluster : str or None
        Column that tells which rows belong together. Errors and test then allow for any dependence within clusters;
        with ML or MLR, which differ in the observed information that the test takes, as in lavaan.
    group : str or None
        Column that tells the groups apart; they follow one another as they first appear in the data, as in lavaan.
    group_equal, group_partial : tuple of str
        What is equal in all groups, by kind, and the parameters that are not after all; see :func:`spc.spec.model`.
    ordered : tuple of str
        Items whose answers are ordered categories.
    parameterization : {"delta", "theta"}
        Whether ordered items have scales or residual variances as parameters.
    information : {"expected", "observed"} or None
        Information that errors come from; None for the estimator's own: observed with MLR, clusters and missing
        answers, else expected.

    Raises
    ------
    UnsupportedError
        A value without a method; the message names those that work.
    UsageError
        A level outside 0 to 1.
    """

    estimator: Estimator = "ML"
    missing: Missing = "listwise"
    likelihood: Likelihood = "normal"
    engine: Engine = "spc"
    level: float = 0.95
    cluster: str | None = None
    group: str | None = None
    group_equal: tuple[str, ...] = ()
    group_partial: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()
    information: Information | None = None
    parameterization: Parameterization = "delta"

    def __post_init__(self) -> None:
        for name, works in _ALLOWED.items():
            if (value := getattr(self, name)) not in works:
                listed = " or ".join(map(repr, works))
                raise UnsupportedError(f"{name}={value!r} has no method in this version. Use {listed}.")
        if self.missing == "fiml" and (self.likelihood, self.engine) != ("normal", "spc"):
            raise UnsupportedError("missing='fiml' has a method with likelihood='normal' and engine='spc' only.")
        if not 0.0 < self.level < 1.0:
            raise UsageError(f"level={self.level!r}: expected a share between 0 and 1, such as 0.95.")
        if self.information not in (None, "expected", "observed"):
            raise UnsupportedError(f"information={self.information!r}: use 'expected' or 'observed'.")
        self._check_together()

    def _check_together(self) -> None:
        """Raise where the estimator or the clusters have no method together with the rest."""
        plain = (self.likelihood, self.engine) == ("normal", "spc")
        if self.information is not None and self.estimator != "ML":
            raise UnsupportedError(
                f"information={self.information!r} goes with estimator='ML'; estimator={self.estimator!r} has its own."
            )
        if self.information == "expected" and self.missing == "fiml":
            raise UnsupportedError("information='expected' has no method with missing answers.")
        if self.missing == "fiml" and self.estimator not in ("ML", "MLR"):
            works = "'listwise' or 'pairwise'" if self.ordered else "'listwise'"
            raise UnsupportedError(
                f"estimator={self.estimator!r} has a method with missing={works} only; missing='fiml' goes with "
                "'ML' and 'MLR'."
            )
        if self.missing == "pairwise" and not (self.ordered or self.estimator in ORDINAL):
            raise UnsupportedError("missing='pairwise' has a method with ordered items only. Use 'fiml' or 'listwise'.")
        if self.estimator != "ML" and not plain:
            raise UnsupportedError(
                f"estimator={self.estimator!r} has a method with likelihood='normal' and engine='spc' only; other "
                "values of these go with 'ML'."
            )
        if self.cluster is not None and not (plain and self.estimator in ("ML", "MLR")):
            raise UnsupportedError(
                f"cluster={self.cluster!r} has a method with estimator='ML' or 'MLR', likelihood='normal' and "
                "engine='spc' only."
            )

    @property
    def words(self) -> str:
        """How estimates and errors were had, in words a method section can use."""
        if self.missing == "fiml":
            errors = "sandwich errors (observed information)" if self.estimator == "MLR" else "observed information"
            if self.cluster is not None:
                errors = f"sandwich errors of clusters ({self.cluster}), observed information"
            return f"full-information maximum likelihood, {errors}"
        if self.cluster is not None:
            return f"maximum likelihood, sandwich errors of clusters ({self.cluster}), observed information"
        plain = f"maximum likelihood ({self.likelihood} likelihood), {self.information or 'expected'} information"
        return _WORDS.get(self.estimator, plain)
