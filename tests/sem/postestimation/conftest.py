"""Fits that several questions are put to."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spc.errors import SpcWarning
from spc.moments import Moments
from spc.sem import SemFit, fit
from spc.spec import model

AFTER = Path(__file__).parents[2] / "reference" / "lavaan_after.json"


@cache
def _fitted(name: str, text: str = "", **options: Any) -> SemFit:
    case = next(case for case in json.loads(AFTER.read_text())["cases"] if case["name"] == name)
    m = case["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        moments = Moments(m["names"], m["n"], m["means"], m["covariance"])
        return fit(model(text or case["model"], **(case["options"] | options)), moments)


@pytest.fixture(scope="session")
def fitted() -> Callable[..., SemFit]:
    """A case of ``lavaan_after.json`` by its name, fitted; another text, and options of its model, may follow."""
    return _fitted
