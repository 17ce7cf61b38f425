"""A link that is not straight, as scenarios follow it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from spc.chain.shape import LinkShape
from spc.linalg import FloatArray

__all__ = ["LinkBend", "grid_step"]

_STEPS = 40


def grid_step(low: float, high: float) -> float:
    """The next of 1, 2, 5, 10, ... at or above a fortieth of a range.

    Examples
    --------
    >>> grid_step(3.2, 4.44), grid_step(0.0, 0.044), grid_step(0.0, 280.0), grid_step(1.0, 1.0)
    (0.05, 0.002, 10.0, 1.0)
    """
    size = (high - low) / _STEPS
    if not size > 0.0:
        return 1.0
    power = math.floor(math.log10(size))
    digit = next(d for d in (1, 2, 5, 10) if d >= size / 10.0**power - 1e-9)
    return float(f"{digit * 10.0**power:.1g}")


@dataclass(frozen=True, eq=False)
class LinkBend:
    """Change of an effect for a change of its cause, along the shape that stands.

    Attributes
    ----------
    shape : LinkShape
        Its ends lie on a grid inside those of the data, so that they tell of no single unit.
    """

    shape: LinkShape

    @classmethod
    def of(cls, shape: LinkShape) -> LinkBend:
        """Bend of a tested link."""
        step = grid_step(shape.low, shape.high)
        low, high = math.ceil(shape.low / step - 1e-9) * step, math.floor(shape.high / step + 1e-9) * step
        return cls(replace(shape, low=low, high=high))

    def __call__(self, change: FloatArray) -> FloatArray:
        """Change of the effect."""
        return self.shape.change(change)

    def numbers(self) -> dict[str, float]:
        """Everything the shape is made of, by name."""
        found, shape = self.shape.shapes, self.shape
        ends = {"middle": found.middle, "low": shape.low, "high": shape.high}
        if shape.name == "curved":
            return {**ends, "slope": found.straight.slope, "square": found.square.slope}
        bend = found.asymmetric if shape.name == "asymmetric" else found.threshold
        return {**ends, "point": bend.point, "below": bend.below.slope, "above": bend.above.slope}
