r"""What customers leave with each purchase, seen through the few purchases each has made.

Two models. In the gamma-gamma model purchases of a customer are gamma distributed with shape p around a mean of her
own, whose scale is gamma distributed over customers (q, gamma): money is never negative. In the normal model a
customer's mean is normal over customers (mean, between) and her purchases normal around it (within), so that losses
count as losses. Both shrink a customer's own mean towards that of all by how few purchases it rests on.

Reference: Fader & Hardie (2013), "The gamma-gamma model of monetary value" (note).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from spc.economics.optimum import maximum
from spc.economics.purchases import purchases_of
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame

__all__ = ["SpendModel", "fit_spend"]


@dataclass(frozen=True, eq=False, repr=False)
class SpendModel(Shown):
    """A fitted model of what a purchase leaves.

    Attributes
    ----------
    model : {"gamma-gamma", "normal"}
    names : tuple of str
        ``("p", "q", "gamma")`` or ``("mean", "between", "within")``.
    point : (3,) array
        Parameters as fitted: logarithms, but for the normal mean.
    vcov : (3, 3) array
    loglik : float
    customers : int
        Customers with repeat purchases, which the model is fitted to.
    losses : int
        Customers whose mean is below nought.
    correlation : float
        Of the number of purchases and their mean; both models take it to be nought.
    level : float
    provenance : Provenance
    """

    model: Literal["gamma-gamma", "normal"]
    names: tuple[str, ...]
    point: FloatArray
    vcov: FloatArray
    loglik: float
    customers: int
    losses: int
    correlation: float
    level: float
    provenance: Provenance
    kind: str = "spend"

    @property
    def parameters(self) -> dict[str, float]:
        """On their own scale."""
        return dict(zip(self.names, self._own(self.point).tolist(), strict=True))

    def _own(self, x: FloatArray) -> FloatArray:
        if self.model == "gamma-gamma":
            return np.exp(x)
        return np.concatenate([x[..., :1], np.exp(x[..., 1:])], axis=-1)

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw parameters on their own scale, (n, 3)."""
        return self._own(self.point + rng.standard_normal((n, 3)) @ np.linalg.cholesky(self.vcov).T)

    def mean(self, parameters: FloatArray | None = None) -> FloatArray:
        """Mean purchase over all customers; infinite where q of a gamma-gamma model is 1 or less."""
        own = self._own(self.point) if parameters is None else parameters
        if self.model == "normal":
            return np.asarray(own[..., 0])
        p, q, gamma = np.moveaxis(own, -1, 0)
        return np.asarray(np.where(q > 1, p * gamma / np.where(q > 1, q - 1, 1.0), np.inf))

    def expected(self, repeats: FloatArray, spend: FloatArray) -> FloatArray:
        """Mean purchase to be expected of each customer, given the mean of hers so far."""
        x = np.asarray(repeats, dtype=float)
        z = np.where(x > 0, spend, 0.0)
        one, two, three = self._own(self.point)
        if self.model == "gamma-gamma":
            return np.asarray(one * (three + x * z) / (one * x + two - 1.0))
        share = x * two**2 / (x * two**2 + three**2)
        return np.asarray(one + share * (z - one))

    def tidy(self) -> pd.DataFrame:
        """One row a parameter, and the mean purchase."""
        from scipy.special import ndtri

        width = float(ndtri((1 + self.level) / 2))
        error = np.sqrt(self.vcov.diagonal())
        low, own, high = (self._own(self.point + sign * width * error) for sign in (-1.0, 0.0, 1.0))
        log = np.array([self.model == "gamma-gamma", True, True])
        spread = np.where(log, own * error, error)
        rows = [
            {"lhs": n, "kind": "parameter", "estimate": e, "std_error": s, "conf_low": a, "conf_high": b}
            for n, e, s, a, b in zip(self.names, own, spread, low, high, strict=True)
        ]
        return tidy_frame([*rows, {"lhs": "spend", "kind": "mean", "estimate": float(self.mean())}])

    def glance(self) -> pd.DataFrame:
        """One row: customers, log likelihood, AIC."""
        row = {"customers": self.customers, "logl": self.loglik, "npar": 3, "aic": 6 - 2 * self.loglik}
        more = {"losses": self.losses, "correlation": self.correlation, "level": self.level, "model": self.model}
        return pd.DataFrame([{**row, **more}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the parameters."""
        found = []
        if abs(self.correlation) > 0.15:
            found.append(Note.of("spend_and_frequency", "warning", "spend", correlation=self.correlation))
        if self.model == "normal" and self.losses:
            counts = {"losses": self.losses, "customers": self.customers}
            found.append(Note.of("loss_customers", "info", "spend", "purchases", **counts))
        if self.model == "gamma-gamma" and self.parameters["q"] <= 1:
            found.append(Note.of("no_mean", "serious", "spend"))
        return tuple(found)


def fit_spend(
    customers: pd.DataFrame, *, model: Literal["auto", "gamma-gamma", "normal"] = "auto", level: float = 0.95
) -> SpendModel:
    """Fit what a purchase leaves, by maximum likelihood over customers with repeat purchases.

    Parameters
    ----------
    customers : DataFrame
        ``repeats, recency, age`` and ``spend``, the mean over a customer's repeat purchases; losses are negative.
    model : {"auto", "gamma-gamma", "normal"}
        ``"auto"`` takes the gamma-gamma model unless a customer's mean is 0 or below.
    level : float
        Level of the intervals.

    Returns
    -------
    SpendModel

    Raises
    ------
    DataError
        See :func:`spc.economics.purchases.purchases_of`.
    UsageError
        No column ``spend``, too few customers, or losses in a gamma-gamma model.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.integers(1, 9, 400)
    >>> spend = rng.normal(rng.normal(5, 4, 400), 3 / np.sqrt(x))
    >>> found = fit_spend(pd.DataFrame({"repeats": x, "recency": 1.0, "age": 2.0, "spend": spend}))
    >>> found.model, round(found.parameters["mean"]), round(found.parameters["between"])
    ('normal', 5, 4)
    """
    table = purchases_of(customers)
    if "spend" not in table:
        raise UsageError(
            "There is no column spend (the mean of a customer's purchases), so there is no money to model."
        )
    seen = table[(table["repeats"] > 0) & np.isfinite(table["spend"])]
    x, z = seen["repeats"].to_numpy(dtype=float), seen["spend"].to_numpy(dtype=float)
    if x.size < 10 or np.unique(x).size < 2:
        raise UsageError(f"Only {x.size} customers came back; expected at least 10, some more often than others.")
    losses = int((z <= 0).sum())
    chosen: Literal["gamma-gamma", "normal"] = (
        "normal" if model == "normal" or (model == "auto" and losses) else "gamma-gamma"
    )
    if chosen == "gamma-gamma" and losses:
        raise UsageError(
            f"{losses} customers leave nothing or a loss, which the gamma-gamma model excludes; use 'normal'."
        )
    unit = float(np.abs(z).mean())
    if chosen == "gamma-gamma":
        point, value, vcov = maximum(lambda t: _gamma(t, x, z / unit), np.log([2.0, 3.0, 1.0]), "gamma-gamma")
        point = point + np.array([0.0, 0.0, math.log(unit)])
        names: tuple[str, ...] = ("p", "q", "gamma")
    else:
        start = np.array([z.mean() / unit, math.log(max(z.std() / unit, 1e-3)), math.log(max(z.std() / unit, 1e-3))])
        point, value, vcov = maximum(lambda t: _normal(t, x, z / unit), start, "normal")
        scale = np.array([unit, 1.0, 1.0])
        point, vcov = np.array([point[0] * unit, *(point[1:] + math.log(unit))]), vcov * np.outer(scale, scale)
        names = ("mean", "between", "within")
    value -= x.size * math.log(unit)
    together = float(np.corrcoef(x, z)[0, 1]) if z.std() > 0 else 0.0
    provenance = Provenance.record({"model": chosen, "level": level}, fingerprint(seen))
    return SpendModel(chosen, names, point, vcov, value, x.size, int((z < 0).sum()), together, level, provenance)


def _gamma(t: FloatArray, x: FloatArray, z: FloatArray) -> tuple[float, FloatArray]:
    """Log likelihood and gradient of the gamma-gamma model in log p, log q, log gamma."""
    from scipy.special import gammaln, psi

    p, q, gamma = np.exp(t)
    px, far = p * x, np.log(gamma + x * z)
    value = (
        gammaln(px + q) - gammaln(px) - gammaln(q) + q * t[2] + (px - 1) * np.log(z) + px * np.log(x) - (px + q) * far
    )
    slope = np.array(
        [
            (x * (psi(px + q) - psi(px) + np.log(z) + np.log(x) - far)).sum() * p,
            (psi(px + q) - psi(q) + t[2] - far).sum() * q,
            (q - (px + q) * gamma / (gamma + x * z)).sum(),
        ]
    )
    return float(value.sum()), slope


def _normal(t: FloatArray, x: FloatArray, z: FloatArray) -> tuple[float, FloatArray]:
    """Log likelihood and gradient of the normal model in the mean, log between and log within."""
    between, within = np.exp(2 * t[1:])
    v, gap = between + within / x, z - t[0]
    value = -0.5 * (np.log(2 * np.pi * v) + gap**2 / v)
    by_variance = -0.5 / v + 0.5 * gap**2 / v**2
    slope = [(gap / v).sum(), (by_variance * 2 * between).sum(), (by_variance * 2 * within / x).sum()]
    return float(value.sum()), np.array(slope)
