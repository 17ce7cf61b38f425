"""What a scenario gives: constructs and money per period, return, payback, chance of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.scenario.change import Change

__all__ = ["Outlook"]


@dataclass(frozen=True, eq=False, repr=False)
class Outlook(Shown):
    """A scenario, draw by draw.

    Attributes
    ----------
    changes : tuple of Change
    moved : mapping of str to (n, T) array
        How far each construct moves in each period.
    money : (n, T) array or None
        More money in each period before the cost of the levers; None where nothing leads to money.
    spending : (T,) array
        Cost of the levers in each period.
    discount : float
        Per period; the first period is discounted once.
    level : float
    period, currency, words : str
        ``words`` says what the money is.
    labels : mapping of str to str
    nobs : int
        Units, or persons, behind the chain.
    messages : tuple of Note
    provenance : Provenance
    """

    changes: tuple[Change, ...]
    moved: Mapping[str, FloatArray]
    money: FloatArray | None
    spending: FloatArray
    discount: float
    level: float
    period: str
    currency: str
    words: str
    labels: Mapping[str, str]
    nobs: int
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "scenario"

    @property
    def periods(self) -> int:
        """Periods looked ahead."""
        return len(self.spending)

    @cached_property
    def present_value(self) -> FloatArray:
        """Discounted money less cost over all periods, (n,)."""
        return np.asarray(self._running[:, -1])

    @cached_property
    def _running(self) -> FloatArray:
        """Discounted money less cost up to each period, (n, T)."""
        factor = (1.0 + self.discount) ** -np.arange(1, self.periods + 1)
        money = np.zeros((1, self.periods)) if self.money is None else self.money
        return np.cumsum((money - self.spending) * factor, axis=1)

    @cached_property
    def _return(self) -> FloatArray:
        """Discounted money per discounted cost, less one; NaN without cost."""
        factor = (1.0 + self.discount) ** -np.arange(1, self.periods + 1)
        cost = float(self.spending @ factor)
        gain = np.zeros(1) if self.money is None else self.money @ factor
        return np.asarray(gain / cost - 1.0 if cost > 0.0 else np.full(len(gain), np.nan))

    @cached_property
    def payback(self) -> FloatArray:
        """First period from which on money has come back and stays back, by draw; NaN where it does not."""
        back = self._running >= 0.0
        kept = np.flip(np.cumprod(np.flip(back, axis=1), axis=1), axis=1).astype(bool)
        return np.where(kept.any(axis=1), kept.argmax(axis=1) + 1.0, np.nan)

    @property
    def chance_of_loss(self) -> float:
        """Share of draws in which the levers cost more than they bring; NaN without money."""
        return float("nan") if self.money is None else float((self.present_value < 0.0).mean())

    def tidy(self) -> pd.DataFrame:
        """Long table.

        ``kind`` is ``moved`` (``lhs`` the construct, ``rhs`` the period), ``money`` and ``cost`` (``rhs`` the period),
        then over all periods ``present_value``, ``return`` (per unit of money spent), ``payback`` (in periods: the
        median over draws that come back; ``p_value`` is empty, ``std_all`` the share of draws that do) and
        ``chance_of_loss``.
        """
        rows: list[dict[str, Any]] = []
        for name, values in self.moved.items():
            rows += [self._row("moved", name, str(t + 1), values[:, t]) for t in range(self.periods)]
        if self.money is not None:
            rows += [self._row("money", "money", str(t + 1), self.money[:, t]) for t in range(self.periods)]
        rows += [
            {"kind": "cost", "lhs": "cost", "rhs": str(t + 1), "estimate": float(cost)}
            for t, cost in enumerate(self.spending)
        ]
        if self.money is not None:
            rows.append(self._row("present_value", "present_value", "", self.present_value))
            if np.isfinite(self._return).all():
                rows.append(self._row("return", "return", "", self._return))
            back = np.isfinite(self.payback)
            middle = float(np.median(self.payback[back])) if back.any() else float("nan")
            rows.append({"kind": "payback", "lhs": "payback", "estimate": middle, "std_all": float(back.mean())})
            rows.append({"kind": "chance_of_loss", "lhs": "chance_of_loss", "estimate": self.chance_of_loss})
        return tidy_frame(rows)

    def _row(self, kind: str, lhs: str, rhs: str, draws: FloatArray) -> dict[str, Any]:
        tail = 0.5 - self.level / 2.0
        low, high = np.quantile(draws, [tail, 1.0 - tail])
        return {
            "kind": kind, "lhs": lhs, "rhs": rhs, "estimate": float(draws.mean()),
            "std_error": float(draws.std(ddof=1)) if len(draws) > 1 else float("nan"), "conf_low": float(low),
            "conf_high": float(high),
        }  # fmt: skip

    def glance(self) -> pd.DataFrame:
        """One row: levers, periods, discount, cost, value and its chance of a loss."""
        factor = (1.0 + self.discount) ** -np.arange(1, self.periods + 1)
        return pd.DataFrame({
            "levers": [len(self.changes)], "periods": [self.periods], "period": [self.period],
            "discount": [self.discount], "currency": [self.currency], "cost": [float(self.spending @ factor)],
            "present_value": [float("nan") if self.money is None else float(self.present_value.mean())],
            "chance_of_loss": [self.chance_of_loss], "draws": [len(next(iter(self.moved.values())))],
            "nobs": [self.nobs], "level": [self.level],
        })  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        return self.messages

    def augment(self) -> pd.DataFrame:
        """One row a period: money, cost, and discounted money less cost so far, with its interval."""
        tail = 0.5 - self.level / 2.0
        low, high = np.quantile(self._running, [tail, 1.0 - tail], axis=0)
        money = np.zeros(self.periods) if self.money is None else self.money.mean(axis=0)
        return pd.DataFrame({
            "period": np.arange(1, self.periods + 1), "money": money, "cost": self.spending,
            "so_far": self._running.mean(axis=0), "so_far_low": low, "so_far_high": high,
        })  # fmt: skip
