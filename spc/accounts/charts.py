"""Control charts of rates: what a rate does by itself, and whether it has left that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray

__all__ = ["Chart", "p_chart"]

_D2 = 1.128379167095513
"""Expected range of two standard normal numbers, 2 / sqrt(pi)."""


@dataclass(frozen=True, eq=False)
class Chart:
    """Centre and limits of a rate in each period.

    Attributes
    ----------
    rate, low, high : (n,) arrays
        No limits, NaN, where the base rate is not between 0 and 1 or there is one base period.
    centre : float
        Rate of the base periods together.
    widening : float
        Standard deviations by which rates of the base periods vary for one by chance alone, from moving ranges.
    base : int
        Periods that the limits are made from.
    """

    rate: FloatArray
    low: FloatArray
    high: FloatArray
    centre: float
    widening: float
    base: int

    @property
    def outside(self) -> FloatArray:
        """1 above the limits, −1 below, else 0, (n,)."""
        return np.asarray((self.rate > self.high).astype(float) - (self.rate < self.low))

    @property
    def run(self) -> int:
        """Periods at the end that lie on one side of the centre; negative below it. Eight are a signal."""
        sides = np.sign(self.rate - self.centre)
        last = sides[-1] if sides.size else 0.0
        away = np.flatnonzero(sides != last)
        return int(last) * int(sides.size - (away[-1] + 1 if away.size else 0))


def p_chart(part: FloatArray, whole: FloatArray, base: int, sigmas: float = 3.0) -> Chart:
    r"""Limits of a share from its first periods, as wide as the share varied then (Laney's p′ chart).

    Parameters
    ----------
    part, whole : (n,) arrays
        The rate is part over whole: returned pieces of pieces, or money of freight of money of revenue. In which unit
        they are makes no difference.
    base : int
        Periods that the limits are made from.
    sigmas : float

    Notes
    -----
    :math:`\bar p \pm 3\, \sigma_{p_i} \sigma_z` with :math:`\sigma_{p_i} = \sqrt{\bar p (1 - \bar p) / n_i}` and
    :math:`\sigma_z` the mean moving range of :math:`z_i = (p_i - \bar p)/\sigma_{p_i}` over 1.128. A plain p-chart has
    :math:`\sigma_z = 1`, which holds for independent pieces and never for money.

    References
    ----------
    Laney (2002), Quality Engineering 14, 531-537; Montgomery (2020), Introduction to Statistical Quality Control, 7.

    Examples
    --------
    >>> chart = p_chart(np.array([10.0, 12.0, 9.0, 11.0, 30.0]), np.full(5, 100.0), base=4)
    >>> chart.centre, chart.outside.tolist()
    (0.105, [0.0, 0.0, 0.0, 0.0, 1.0])
    """
    rate = part / whole
    centre = float(part[:base].sum() / whole[:base].sum())
    spread = np.sqrt(max(centre * (1 - centre), 0.0) / whole)
    if not spread.all() or base < 2:
        none = np.full(len(rate), np.nan)
        return Chart(rate, none, none, centre, float("nan"), base)
    z = (rate[:base] - centre) / spread[:base]
    widening = float(np.abs(np.diff(z)).mean()) / _D2
    half = sigmas * spread * widening
    return Chart(rate, np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0), centre, widening, base)
