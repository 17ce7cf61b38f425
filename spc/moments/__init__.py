"""What estimators see of data: moments of complete rows, moments a pattern of missing answers, counts of categories."""

from spc.moments.columns import numeric_values
from spc.moments.counts import Counts, categories
from spc.moments.moments import Moments, shifted
from spc.moments.patterns import Patterns

__all__ = ["Counts", "Moments", "Patterns", "categories", "numeric_values", "shifted"]
