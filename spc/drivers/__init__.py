"""Which of several constructs an outcome goes along with most, and how well each of them does."""

from spc.drivers.importance import KeyDrivers, key_drivers, relative_weights
from spc.drivers.sides import study_drivers

__all__ = ["KeyDrivers", "key_drivers", "relative_weights", "study_drivers"]
