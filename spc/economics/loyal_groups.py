"""Customers who differ in loyalty, and what goes with it: the shifted beta-geometric model with covariates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.economics.beta_geometric import MOST_ALIKE, Maximum, maximise
from spc.economics.cells import Cells, leaving_notes, read_cells, sandwich
from spc.economics.ledger import ledger_of
from spc.economics.lifetable import LifeTable
from spc.economics.region import student
from spc.errors import NonConvergenceError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["BetaGeometric", "fit_beta_geometric"]

Row = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class BetaGeometric(Shown):
    """A fitted shifted beta-geometric model.

    Attributes
    ----------
    coefficients : (2, k) array
        Of log alpha (first row) and log beta on a constant and the covariates; k = 1 without covariates.
    vcov : (2 k, 2 k) array
        Alpha's coefficients first: inverse of the observed information, or with clusters the sandwich of their scores.
        NaN where no difference between customers was found, since alpha and beta then have no finite error.
    names : tuple of (str, str)
        Covariate of each column but the first, and for values ``"b against a"``.
    levels : mapping of str to tuple of str
        Values of covariates that are not numbers, the first of which is the reference.
    middle, spread : (k - 1,) arrays
        Mean and standard deviation of the covariates over customers.
    periods : int
        Last period of tenure in which somebody left.
    customers, events, clusters : int
        ``clusters`` is 0 when customers count as independent.
    loglik, level : float
    edge : bool
        Whether no difference between customers was found, so that alpha + beta stands at its largest.
    provenance : Provenance
    """

    coefficients: FloatArray
    vcov: FloatArray
    names: tuple[tuple[str, str], ...]
    levels: Mapping[str, tuple[str, ...]]
    middle: FloatArray
    spread: FloatArray
    periods: int
    customers: int
    events: int
    clusters: int
    loglik: float
    level: float
    edge: bool
    provenance: Provenance
    kind: str = "beta_geometric"

    def __post_init__(self) -> None:
        for name in ("coefficients", "vcov", "middle", "spread"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def alpha(self) -> float:
        """At zero covariates."""
        return math.exp(self.coefficients[0, 0])

    @property
    def beta(self) -> float:
        """At zero covariates."""
        return math.exp(self.coefficients[1, 0])

    @property
    def covariates(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(name for name, _ in self.names))

    def retention(self, periods: int, **values: object) -> pd.DataFrame:
        """Chance of staying through each period, and share still there after it, of customers with given covariates.

        Parameters
        ----------
        periods : int
        **values
            Covariates, their mean where left out (for values their shares).

        Returns
        -------
        DataFrame
            ``period, stay, conf_low, conf_high`` (of staying) and ``survival``.

        Raises
        ------
        UsageError
            A covariate, or a value of one, that the model does not have, or periods that cannot be.

        Examples
        --------
        >>> stay = np.array([1, .869, .743, .653, .593, .551, .517, .491])
        >>> fit = fit_beta_geometric(LifeTable(1000 * stay[:-1], 1000 * (stay[:-1] - stay[1:])))
        >>> fit.retention(2)[["stay", "survival"]].round(3).to_numpy().tolist()
        [[0.851, 0.851], [0.878, 0.747]]
        """
        if isinstance(periods, bool) or not isinstance(periods, int) or periods < 1:
            raise UsageError(f"The periods are {periods!r}; expected a whole number of at least 1.")
        unknown = [name for name in values if name not in self.covariates]
        if unknown:
            have = ", ".join(self.covariates) or "none"
            raise UsageError(f"The model has no covariate {unknown[0]!r}; it has: {have}.")
        place = self.middle.copy()
        for name, value in values.items():
            place = self._at(place, name, value)
        stay, low, high = self._stay(place, np.arange(1.0, periods + 1.0))
        columns = {"period": np.arange(1, periods + 1), "stay": stay, "conf_low": low, "conf_high": high}
        return pd.DataFrame({**columns, "survival": np.cumprod(stay)})

    def _at(self, place: FloatArray, name: str, value: object) -> FloatArray:
        """Covariates with one of them set."""
        found = place.copy()
        own = [i for i, (covariate, _) in enumerate(self.names) if covariate == name]
        if name not in self.levels:
            if not isinstance(value, (Real, np.bool_)) or not math.isfinite(value):
                raise UsageError(f"{name} is {value!r}; expected a number.")
            found[own] = float(value)
            return found
        known = self.levels[name]
        if str(value) not in known:
            raise UsageError(f"{name} is {value!r}; expected one of {', '.join(known)}.")
        found[own] = [float(level == str(value)) for level in known[1:]]
        return found

    def _stay(self, place: FloatArray, period: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Chance of staying through periods (T,) at covariates, and its interval (delta method on the log odds)."""
        from scipy.special import expit

        z = np.r_[1.0, place]
        alpha, beta = np.exp(self.coefficients @ z)
        later = beta + period - 1.0
        slope = np.column_stack([np.broadcast_to(-z, (period.size, z.size)), (beta / later)[:, None] * z])
        odds = np.log(later) - math.log(alpha)
        width = self._width * np.sqrt(np.einsum("ti,ij,tj->t", slope, self.vcov, slope))
        return expit(odds), expit(odds - width), expit(odds + width)

    @property
    def _width(self) -> float:
        return student(self.clusters - 1 if self.clusters else math.inf, self.level)

    def tidy(self) -> pd.DataFrame:
        """Rows of four kinds.

        ``parameter`` (alpha and beta at zero covariates), ``coefficient`` (how covariates move their logarithms),
        ``retention`` (chance of staying through the first period, and through the last in which somebody left, by value
        of each covariate, or at a standard deviation below and above the mean; others at their mean) and ``test``
        (whether a covariate bears on either).
        """
        return tidy_frame([*self._parameters(), *self._stays(), *self._tests()])

    def _parameters(self) -> Iterator[Row]:
        errors = np.sqrt(self.vcov.diagonal()).reshape(2, -1)
        for lhs, values, spread in zip(("alpha", "beta"), self.coefficients, errors, strict=True):
            for (name, label), value, error in zip((("", ""), *self.names), values, spread, strict=True):
                ends = value + self._width * error * np.array([0.0, -1.0, 1.0])
                estimate, low, high = ends if name else np.exp(ends)
                yield {
                    "lhs": f"log {lhs}" if name else lhs,
                    "rhs": name,
                    "label": label,
                    "kind": "coefficient" if name else "parameter",
                    "estimate": estimate,
                    "std_error": error if name else error * estimate,
                    "conf_low": low,
                    "conf_high": high,
                }

    def _stays(self) -> Iterator[Row]:
        period = np.unique([1, self.periods])
        places = [(name, text, self._at(self.middle, name, value)) for name, text, value in self._profiles()]
        for name, text, place in places or [("customers", "all", self.middle)]:
            for t, stay, low, high in zip(period, *self._stay(place, period.astype(float)), strict=True):
                yield {
                    "lhs": name,
                    "rhs": f"period {t}",
                    "label": text,
                    "kind": "retention",
                    "estimate": stay,
                    "conf_low": low,
                    "conf_high": high,
                }

    def _profiles(self) -> Iterator[tuple[str, str, object]]:
        for name in self.covariates:
            if name in self.levels:
                yield from ((name, value, value) for value in self.levels[name])
                continue
            at = self.names.index((name, ""))
            for side in (-1.0, 1.0):
                value = float(self.middle[at] + side * self.spread[at])
                yield name, f"{value:.4g}", value

    def _tests(self) -> Iterator[Row]:
        from scipy.special import chdtrc, fdtrc

        columns = self.coefficients.shape[1]
        for name in self.covariates:
            own = np.array([i + 1 for i, (covariate, _) in enumerate(self.names) if covariate == name])
            at = np.concatenate([own, own + columns])
            b, v = self.coefficients.ravel()[at], self.vcov[np.ix_(at, at)]
            df = at.size
            sound = bool(np.isfinite(v).all()) and (not self.clusters or df < self.clusters)
            wald = float(b @ np.linalg.solve(v, b)) if sound else math.nan
            p = float(fdtrc(df, self.clusters - 1, wald / df) if self.clusters else chdtrc(df, wald))
            label = f"Wald, {df} df"
            yield {"lhs": name, "rhs": "", "label": label, "kind": "test", "statistic": wald, "p_value": p}

    def glance(self) -> pd.DataFrame:
        """One row: customers, leavers, log likelihood, AIC, and whether no difference between customers was found."""
        k = self.coefficients.size
        row = {
            "customers": self.customers,
            "events": self.events,
            "nclusters": self.clusters,
            "npar": k,
            "logl": self.loglik,
            "aic": 2 * k - 2 * self.loglik,
            "edge": self.edge,
            "level": self.level,
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the parameters."""
        few = leaving_notes(self.events, self.coefficients.size) if self.names else ()
        return (*few, *((self._edge_note(),) if self.edge else ()))

    def _edge_note(self) -> Note:
        """Who was found to be alike: all customers, or those with some values of the covariates."""
        places = [(f"{name} {text}", self._at(self.middle, name, value)) for name, text, value in self._profiles()]
        alike = [what for what, place in places if np.exp(self.coefficients @ np.r_[1.0, place]).sum() > MOST_ALIKE / 2]
        if len(alike) == len(places):
            return Note.of("customers_alike", "info", "alpha")
        return Note.of("customers_alike_partly", "info", "alpha", groups=", ".join(alike) or "-")


def fit_beta_geometric(
    data: Study | pd.DataFrame | LifeTable,
    covariates: Sequence[str] = (),
    *,
    cluster: str | None = "unit",
    period: str | None = None,
    since: object = None,
    until: object = None,
    level: float = 0.95,
) -> BetaGeometric:
    """Fit the shifted beta-geometric model: customers keep chances of staying of their own, which covariates move.

    Alpha and beta, both, follow ``log alpha = a'z`` and ``log beta = b'z``: a covariate may go with a higher chance of
    leaving, with customers who differ more, or with both. Customers with equal covariates have different chances still.

    Parameters
    ----------
    data : Study, DataFrame or LifeTable
        A study with a ledger; the ledger: ``tenure, churned`` (or ``start, end``), where known ``entry``; or a life
        table (T,) of customers without covariates.
    covariates : sequence of str
        Columns of the ledger. Numbers enter as they are; text, and unit or wave, by value against the first.
    cluster : str, optional
        Column of what customers share; errors allow for it where there are at least five values (t on one less).
    period, since, until
        What the dates of a ledger cover, see :func:`tenure_between`; a study says it under ``[money]``.
    level : float

    Returns
    -------
    BetaGeometric

    Raises
    ------
    DataError
        Columns that are missing, or hold values that cannot be.
    UsageError
        Nobody left or nobody stayed, covariates that tell nothing, or a life table with covariates.
    NonConvergenceError
        No maximum was found, such as a segment from which nobody left.

    References
    ----------
    Fader & Hardie (2007), *Journal of Interactive Marketing* 21; covariates by cohort and segment after their note
    "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models" (2007).

    Examples
    --------
    >>> stay = np.array([1, .869, .743, .653, .593, .551, .517, .491])
    >>> table = LifeTable(1000 * stay[:-1], 1000 * (stay[:-1] - stay[1:]))
    >>> fit = fit_beta_geometric(table)
    >>> round(fit.alpha, 3), round(fit.beta, 3)
    (0.668, 3.806)
    >>> rng = np.random.default_rng(1)
    >>> premium = rng.random(4000) < 0.5
    >>> life = rng.geometric(rng.beta(np.where(premium, 0.8, 1.6), 4.0))
    >>> ledger = pd.DataFrame({"tenure": np.minimum(life, 6), "churned": life <= 6})
    >>> ledger["tariff"] = np.where(premium, "premium", "basic")
    >>> found = fit_beta_geometric(ledger, ["tariff"])
    >>> found.tidy().query("kind == 'retention' and rhs == 'period 1'")["estimate"].round(1).tolist()
    [0.7, 0.8]
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    if isinstance(data, LifeTable):
        if covariates:
            raise UsageError("A life table has no covariates; give the ledger.")
        cells = _of_table(data)
    else:
        ledger, window = ledger_of(data, period=period, since=since, until=until)
        cells = read_cells(ledger, covariates, cluster=cluster, window=window)
    weight = cells.table.exposure.sum(axis=1)
    middle = weight @ cells.columns / weight.sum()
    spread = np.sqrt(weight @ (cells.columns - middle) ** 2 / weight.sum())
    z = np.column_stack([np.ones(weight.size), (cells.columns - middle) / spread])
    found = maximise(cells.table, z)
    if np.ptp(z @ (found.coefficients[1] - found.coefficients[0])) > _FARTHEST:
        raise NonConvergenceError(
            "The shifted beta-geometric model has no finite answer: some value of a covariate has nobody who left, or "
            "nobody who stayed. Join small groups, or take the covariate out."
        )
    back = _back(middle, spread)
    both = np.kron(np.eye(2), back)
    events = cells.table.total().events
    return BetaGeometric(
        found.coefficients @ back.T,
        both @ _vcov(found, cells) @ both.T,
        cells.names,
        cells.levels,
        middle,
        spread,
        int(np.flatnonzero(events)[-1]) + 1,
        cells.customers,
        round(events.sum()),
        cells.clusters,
        found.loglik,
        level,
        found.edge,
        Provenance.record({"covariates": tuple(covariates), "level": level}, cells.fingerprint),
    )


_FARTHEST = 12.0
"""Log odds of staying by which no customers differ at a maximum."""


def _of_table(table: LifeTable) -> Cells:
    """One cell a table, without covariates."""
    life = LifeTable(np.atleast_2d(table.exposure), np.atleast_2d(table.events), table.whole)
    none, total = np.empty((len(life.exposure), 0)), life.total().exposure
    return Cells(life, none, (), MappingProxyType({}), None, round(total.max()), fingerprint(life.exposure))


def _back(middle: FloatArray, spread: FloatArray) -> FloatArray:
    """From coefficients on standardised covariates to those on covariates as they are, (k, k)."""
    back = np.diag(np.r_[1.0, 1.0 / spread])
    back[0, 1:] = -middle / spread
    return back


def _vcov(found: Maximum, cells: Cells) -> FloatArray:
    """Inverse of the information, or the sandwich over clusters; NaN where customers cannot be told apart."""
    values = np.linalg.eigvalsh(found.information)
    if found.edge or values[0] <= 1e-12 * values[-1]:
        return np.full(found.information.shape, np.nan)
    inverse = np.asarray(np.linalg.inv(found.information))
    return inverse if cells.cluster is None else sandwich(inverse, found.scores, cells.cluster)
