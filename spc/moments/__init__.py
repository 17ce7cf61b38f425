"""What estimators see of data: moments of complete rows, moments a pattern of missing answers, counts of categories."""

from spc.moments.columns import numeric_values
from spc.moments.counts import Counts, categories, category_codes
from spc.moments.moments import Moments, shifted
from spc.moments.patterns import Patterns

__all__ = ["Counts", "Moments", "Patterns", "categories", "category_codes", "numeric_values", "shifted"]
