"""A made-up firm with known truth at every level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.synthetic.answers import answer
from spc.synthetic.books import draw_books
from spc.synthetic.chain import draw_waves, structure
from spc.synthetic.document import FILES, document
from spc.synthetic.ledger import draw_ledger, ledger_truth
from spc.synthetic.plan import FirmPlan, Side
from spc.synthetic.truth import truth_table, within_structure

__all__ = ["Firm", "make_firm"]

_REGIONS = ("North", "East", "South", "West")
_STREAMS = ("units", "employee", "customer", "ledger", "books")


@dataclass(frozen=True, eq=False)
class Firm:
    """A made-up firm: its tables, its truth, and the plan they came from.

    Attributes
    ----------
    name : str
    plan : FirmPlan
    seed : int
    tables : mapping of str to DataFrame
        By canonical table name: ``employee_responses, customer_responses, units, customers``, as far as planned.
    truth : DataFrame
        See :func:`make_firm`.
    """

    name: str
    plan: FirmPlan
    seed: int
    tables: Mapping[str, pd.DataFrame]
    truth: pd.DataFrame

    def document(self) -> str:
        """Text of a commented ``study.toml`` for this firm's tables."""
        return document(self.plan, self.name, self.seed, self.tables)

    def write(self, folder: str | Path, force: bool = False) -> Path:
        """Write the tables as CSV, ``study.toml`` and ``truth.csv``.

        Parameters
        ----------
        folder : path
            Made when it does not exist.
        force : bool
            Write over files that are there.

        Returns
        -------
        Path
            Of ``study.toml``.

        Raises
        ------
        UsageError
            A file is there already, or the folder cannot be written; nothing has been changed then.
        """
        from spc.files import write_all

        texts = {FILES[table]: frame.to_csv(index=False) for table, frame in self.tables.items()}
        texts |= {"truth.csv": self.truth.to_csv(index=False), "study.toml": self.document()}
        return write_all(Path(folder), texts, force=force)[-1]


def make_firm(*, seed: int = 1, name: str = "Example firm", **plan: Any) -> Firm:
    r"""Make up a firm whose every link, reliability and money figure is known.

    Parameters
    ----------
    seed : int
        The same seed and plan give the same firm. Units, employees, customers and ledger have random numbers of their
        own: adding customers leaves the employees as they were.
    name : str
        Name of the study.
    **plan
        Any field of :class:`FirmPlan`: ``units=80, employees=12, customers=30, accounts=60, waves=1, strength=1.0,
        links={}, sides=("employee", "customer"), ledger=True, leadership=False, missing=0.025`` and so on.

    Returns
    -------
    Firm

    Raises
    ------
    UsageError
        An unknown or impossible option, or links so strong that nothing is left for chance.

    Notes
    -----
    *How it is made.* Unit-level traits :math:`u_j` are standard normal and follow the preset chain. Persons of unit j
    have traits :math:`\sqrt{\mathrm{icc}}\,u_j + \sqrt{1-\mathrm{icc}}\,w_i`, where :math:`w_i` follows the same
    links inside each side. Items are congeneric (one trait, unequal loadings, independent errors), rounded to whole
    points and held inside the scale; reverse items are turned; a few answers are missing at random. Unit results
    follow from unit-level customer loyalty, and so does the probability that a customer of the unit renews.

    *What the truth is.* ``truth`` has the columns ``kind, level, lhs, op, rhs, estimate, std_all``.

    - ``link, total, indirect`` at level ``unit``: the regression of one *true unit mean score* on another, that is
      what an analysis of unit means of the score (mean of keyed items) finds when units have endlessly many
      respondents. ``std_all`` is the path among the generating traits; ``estimate`` is the same on the points of the
      score and the scale of the result. Averages over a finite number of respondents are noisy, so an ordinary
      regression of observed unit means falls short of it; that is the point of having it.
    - ``link`` at level ``person``: the regression among traits of persons when units are ignored, which is what a
      latent-variable model of the items of one side aims at; ``estimate`` is per point of true score.
    - ``icc1``, ``alpha``, ``omega`` of each score among persons; ``sd`` across units.
    - ``retention, margin, clv, uplift_money, uplift_percent`` at level ``customer``: of the customers of *these*
      units (their loyalty given), on the plan's terms; the value counts the margin after each of the next ``horizon``
      renewals.

    Rounding and the ends of the scale are in these numbers (see ``spc.synthetic.answers``).

    Examples
    --------
    >>> firm = make_firm(seed=1, units=20)
    >>> sorted(firm.tables)
    ['customer_responses', 'customers', 'employee_responses', 'units']
    >>> firm.tables["units"]["unit"].size
    20
    """
    unknown = sorted(set(plan) - set(FirmPlan.__dataclass_fields__))
    if unknown:
        known = ", ".join(FirmPlan.__dataclass_fields__)
        raise UsageError(f"make_firm has no option {unknown[0]!r}; it has seed, name and: {known}.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed is {seed!r}; expected a whole number that is not negative.")
    options = FirmPlan(**plan)
    rngs = {stream: np.random.default_rng([seed, i]) for i, stream in enumerate(_STREAMS)}
    tables, money = _tables(options, rngs)
    return Firm(name, options, seed, MappingProxyType(tables), truth_table(options, money))


def _tables(
    plan: FirmPlan, rngs: Mapping[str, np.random.Generator]
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    model = structure(plan.names, plan.paths)
    traits = draw_waves(model, plan.units, plan.waves, plan.stability, rngs["units"])
    width = max(2, len(str(plan.units)))
    ids = np.array([f"U{j + 1:0{width}d}" for j in range(plan.units)])
    tables = {f"{side}_responses": _responses(plan, side, ids, traits, rngs[side]) for side in plan.sides}
    tables["units"] = _units(plan, ids, traits[-1])
    if not (plan.ledger and "customer" in plan.sides):
        return tables, {}
    loyalty = traits[-1][:, model.names.index("customer_loyalty")]
    sizes = _sizes(plan.units, plan.accounts, plan.size_spread, rngs["ledger"])
    tables["customers"] = draw_ledger(ids, sizes, loyalty, plan, rngs["ledger"])
    if plan.transactions:
        tables |= draw_books(tables["customers"], rngs["books"])
    return tables, ledger_truth(plan, sizes, loyalty)


def _sizes(units: int, mean: int, spread: float, rng: np.random.Generator) -> npt.NDArray[np.int_]:
    drawn = mean * np.exp(spread * rng.standard_normal(units) - spread**2 / 2)
    return np.asarray(np.maximum(np.rint(drawn), min(mean, 3)).astype(int))


def _responses(
    plan: FirmPlan, side: Side, ids: npt.NDArray[np.str_], traits: FloatArray, rng: np.random.Generator
) -> pd.DataFrame:
    mean = plan.employees if side == "employee" else plan.customers
    where = np.repeat(np.arange(plan.units), _sizes(plan.units, mean, plan.size_spread, rng))
    within = draw_waves(within_structure(plan, side), where.size, plan.waves, plan.stability, rng)
    respondent = [f"{side[0].upper()}{i + 1:06d}" for i in range(where.size)]
    rounds = []
    for wave in range(plan.waves):
        columns: dict[str, Any] = {"respondent": respondent, "unit": ids[where]}
        if plan.waves > 1:
            columns["wave"] = wave + 1
        rounds.append(pd.DataFrame(columns | _answers(plan, side, traits[wave, where], within[wave], rng)))
    return pd.concat(rounds, ignore_index=True)


def _answers(
    plan: FirmPlan, side: Side, unit: FloatArray, within: FloatArray, rng: np.random.Generator
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for i, construct in enumerate(c for c in plan.constructs if c.side == side):
        between = unit[:, plan.names.index(construct.name)]
        trait = np.sqrt(construct.icc) * between + np.sqrt(1 - construct.icc) * within[:, i]
        ticked = answer(trait, construct, rng)
        ticked[rng.random(ticked.shape) < plan.missing] = np.nan
        for item, values in zip(construct.items, ticked.T, strict=True):
            columns[item] = pd.array(values, dtype="Int64")
    return columns


def _units(plan: FirmPlan, ids: npt.NDArray[np.str_], traits: FloatArray) -> pd.DataFrame:
    units = pd.DataFrame(
        {
            "unit": ids,
            "name": [f"Unit {label[1:]}" for label in ids],
            "region": [_REGIONS[j % len(_REGIONS)] for j in range(plan.units)],
        }
    )
    for outcome in plan.outcomes:
        values = outcome.mean + outcome.sd * traits[:, plan.names.index(outcome.name)]
        units[outcome.name] = np.round(values, 5)
    return units
