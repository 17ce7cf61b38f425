r"""Customers who differ and change: the beta discrete Weibull model, whose special case is the shifted beta-geometric.

.. math:: S(t) = B(\alpha, \beta + t^c) / B(\alpha, \beta)

With c above 1 every single customer leaves more readily the longer she has been there, with c below 1 less; c = 1 is
the shifted beta-geometric model. Three parameters lie close together on a short curve, so read the projection.

Reference: Fader, Hardie, Liu, Davin & Steenburgh (2018), *Journal of Interactive Marketing* 43.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.economics.lifetable import LifeTable
from spc.errors import NonConvergenceError, UsageError
from spc.linalg import FloatArray

__all__ = ["BetaWeibull", "fit_beta_weibull"]


@dataclass(frozen=True, slots=True)
class BetaWeibull:
    """A fitted beta discrete Weibull model."""

    alpha: float
    beta: float
    c: float
    loglik: float

    def survival(self, period: npt.ArrayLike) -> FloatArray:
        """Share still there after so many periods."""
        from scipy.special import betaln

        t = np.asarray(period, dtype=float) ** self.c
        return np.asarray(np.exp(betaln(self.alpha, self.beta + t) - betaln(self.alpha, self.beta)))


def fit_beta_weibull(table: LifeTable) -> BetaWeibull:
    """Fit to a life table of whole periods by maximum likelihood, on the logarithms of the parameters.

    Raises
    ------
    UsageError
        Broken tenures, or fewer than three periods with leavers.
    NonConvergenceError
        No maximum was found.

    Examples
    --------
    >>> stay = np.array([1, 0.869, 0.743, 0.653, 0.593])
    >>> fit = fit_beta_weibull(LifeTable(1000 * stay[:-1], 1000 * (stay[:-1] - stay[1:])))
    >>> fit.survival([5, 10]).round(3).tolist()
    [0.547, 0.418]
    """
    from scipy.optimize import minimize
    from scipy.special import betaln

    if not table.whole or (table.events > 0).sum() < 3:
        raise UsageError("The beta discrete Weibull model needs whole periods, and leavers in at least three of them.")
    t, n, e = np.arange(table.periods + 1.0), table.exposure, table.events
    most = float(n.max())

    def cost(x: FloatArray) -> float:
        a, b, c = np.exp(np.clip(x, -12.0, 12.0))
        log = betaln(a, b + t**c) - betaln(a, b)
        step = np.diff(log)
        with np.errstate(divide="ignore"):
            leave = np.log(-np.expm1(np.minimum(step, -1e-300)))
        return -float(e @ leave + (n - e) @ step) / most

    found = minimize(cost, np.zeros(3), method="Nelder-Mead", options={"maxiter": 8000, "xatol": 1e-9, "fatol": 1e-14})
    if not np.isfinite(found.fun) or float(np.abs(found.x).max()) > 11.9:
        raise NonConvergenceError(
            "The beta discrete Weibull model found no maximum; use the shifted beta-geometric one."
        )
    a, b, c = np.exp(found.x).tolist()
    return BetaWeibull(a, b, c, -float(found.fun) * most)
