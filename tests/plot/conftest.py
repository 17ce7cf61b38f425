from dataclasses import dataclass

import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.results import tidy_frame


@dataclass(frozen=True)
class Made:
    kind: str
    rows: tuple
    curve: pd.DataFrame | None = None

    def tidy(self):
        return tidy_frame(self.rows)

    def glance(self):
        return pd.DataFrame([{"nobs": 250}])

    def notes(self):
        return ()

    def augment(self):
        return self.curve


def link(cause, effect, estimate, low, high, std, label):
    return {
        "lhs": effect, "op": "~", "rhs": cause, "kind": "link", "estimate": estimate, "conf_low": low,
        "conf_high": high, "std_all": std, "label": label,
    }  # fmt: skip


@pytest.fixture
def make():
    """Pass rows (and a curve) of a result through the gate."""
    return lambda kind, rows, curve=None: Gate().model(Made(kind, tuple(rows), curve))


@pytest.fixture
def mobile():
    """The short chain of a customer index: quality, value, satisfaction, loyalty."""
    return [
        link("quality", "value", 0.68, 0.58, 0.78, 0.68, "holds"),
        link("quality", "satisfaction", 0.75, 0.66, 0.84, 0.75, "holds"),
        link("value", "satisfaction", 0.24, -0.01, 0.49, 0.24, "unclear"),
        link("satisfaction", "loyalty", -0.8, -0.9, -0.7, -0.8, "opposite"),
    ]
