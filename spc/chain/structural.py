"""What the fit behind a chain answers, whichever way it was fitted."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from spc.results import Note
from spc.spec import Model

__all__ = ["Structural"]


class Structural(Protocol):
    """The face that :class:`spc.SemFit` and :class:`spc.TwoSidedFit` share."""

    @property
    def kind(self) -> str:
        """What was fitted: ``sem`` or ``two_sided``."""

    @property
    def model(self) -> Model:
        """The chain."""

    @property
    def unreadable(self) -> frozenset[str]:
        """Causes of which these data can say nothing."""

    def parameters(self) -> pd.DataFrame:
        """Tidy rows of parameters, without effects."""

    def glance(self) -> pd.DataFrame:
        """One row of fit."""

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know."""
