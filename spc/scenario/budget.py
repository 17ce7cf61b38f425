"""Which levers to pull with the money there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note, Shown, tidy_frame
from spc.scenario.change import Change
from spc.scenario.outlook import Outlook

__all__ = ["Allocation", "allocate"]


@dataclass(frozen=True, eq=False, repr=False)
class Allocation(Shown):
    """Levers chosen under a budget.

    Attributes
    ----------
    chosen : tuple of Change
    together : Outlook or None
        The chosen levers as one scenario; None where none pays.
    table : DataFrame
        One row a lever: ``name, cost, present_value, low, high, chance_of_loss, per_cost, chosen``, best first.
    budget : float
    nobs : int
        Fewest rows behind an outlook.
    messages : tuple of Note
    """

    chosen: tuple[Change, ...]
    together: Outlook | None
    table: pd.DataFrame
    budget: float
    nobs: int
    messages: tuple[Note, ...]
    kind: str = "allocation"

    def tidy(self) -> pd.DataFrame:
        """One row a lever, kind ``lever`` (``label`` says whether it is chosen); the last row all chosen ones."""
        rows = [
            {"kind": "lever", "lhs": row["name"], "label": "chosen" if row["chosen"] else "",
             "estimate": row["present_value"], "conf_low": row["low"], "conf_high": row["high"],
             "std_all": row["per_cost"]}
            for row in self.table.to_dict("records")
        ]  # fmt: skip
        if self.together is not None:
            value = self.together.tidy().query("kind == 'present_value'").iloc[0]
            rows.append({"kind": "together", "lhs": "all chosen levers", "estimate": value["estimate"],
                         "conf_low": value["conf_low"], "conf_high": value["conf_high"]})  # fmt: skip
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: levers, how many are chosen, budget and what is spent."""
        spent = float(self.table.loc[self.table["chosen"], "cost"].sum())
        return pd.DataFrame({"levers": [len(self.table)], "chosen": [len(self.chosen)], "budget": [self.budget],
                             "spent": [spent], "nobs": [self.nobs]})  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the choice."""
        return self.messages


def allocate(changes: Sequence[Change], budget: float, scenario: Callable[[Sequence[Change]], Outlook]) -> Allocation:
    """Choose the levers that bring most within a budget.

    Each lever is valued on its own, the best set that the budget pays for is found exactly (a 0-1 programme on mean
    present values), and the set is then simulated as one.

    Parameters
    ----------
    changes : sequence of Change
    budget : float
        Discounted cost of the chosen levers at most.
    scenario : callable
        From levers to their outlook, such as ``lambda levers: spc.simulate(chain, loyalty, levers, ...)``.

    Returns
    -------
    Allocation

    Raises
    ------
    UsageError
        No lever, a negative budget, or outlooks without money.

    Examples
    --------
    >>> import spc
    >>> from spc.results import Provenance
    >>> def scenario(levers):
    ...     gain = sum(10.0 * lever.by for lever in levers)
    ...     cost = np.array([sum(lever.cost for lever in levers)])
    ...     moved = {"x": np.zeros((2, 1))}
    ...     return Outlook(tuple(levers), moved, np.full((2, 1), gain), cost, 0.0, 0.95, "year", "", "", {}, 2, (),
    ...                    Provenance.record({}, "none"))
    >>> levers = [Change("a", 1.0, cost=4.0), Change("b", 0.9, cost=3.0), Change("c", 0.5, cost=1.0)]
    >>> [lever.node for lever in allocate(levers, 4.0, scenario).chosen]
    ['b', 'c']
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    if not changes or budget < 0.0 or not np.isfinite(budget):
        raise UsageError(f"{len(changes)} levers and a budget of {budget}: give levers, and a budget of 0 or more.")
    alone = [scenario([change]) for change in changes]
    if any(outlook.money is None for outlook in alone):
        raise UsageError("Levers are chosen by money: give the scenario a way to money.")
    value = np.array([float(outlook.present_value.mean()) for outlook in alone])
    cost = np.array([float(outlook.glance()["cost"].iloc[0]) for outlook in alone])
    found = milp(
        -np.maximum(value, 0.0) + 1e-9 * np.abs(value).max() * (value <= 0.0), integrality=np.ones(len(changes)),
        bounds=Bounds(0, (value > 0.0).astype(float)), constraints=LinearConstraint(cost[None], -np.inf, budget),
    )  # fmt: skip
    take = np.zeros(len(changes), dtype=bool) if found.x is None else found.x > 0.5
    chosen = tuple(change for change, use in zip(changes, take, strict=True) if use)
    together = scenario(list(chosen)) if chosen else None
    tail = [0.5 - outlook.level / 2.0 for outlook in alone]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_cost = np.where(cost > 0.0, (value + cost) / cost, np.nan)
    table = pd.DataFrame({
        "name": [change.title for change in changes], "cost": cost, "present_value": value,
        "low": [float(np.quantile(o.present_value, t)) for o, t in zip(alone, tail, strict=True)],
        "high": [float(np.quantile(o.present_value, 1.0 - t)) for o, t in zip(alone, tail, strict=True)],
        "chance_of_loss": [outlook.chance_of_loss for outlook in alone], "per_cost": per_cost, "chosen": take,
    }).sort_values(["chosen", "present_value"], ascending=False, ignore_index=True)  # fmt: skip
    nobs = min(outlook.nobs for outlook in alone)
    return Allocation(chosen, together, table, budget, nobs, _notes(value, take, together))


def _notes(value: FloatArray, take: npt.NDArray[np.bool_], together: Outlook | None) -> tuple[Note, ...]:
    if together is None:
        return (Note.of("no_lever_pays", "warning", "levers"),)
    both, apart = float(together.present_value.mean()), float(value[take].sum())
    notes = list(together.notes())
    if abs(both - apart) > 0.1 * abs(apart):
        notes.append(Note.of("levers_interact", "info", "levers", both=both, apart=apart))
    return tuple(notes)
