"""The truth of a made-up firm as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from spc.linalg import FloatArray
from spc.synthetic.answers import score_truth
from spc.synthetic.chain import Structure, structure
from spc.synthetic.plan import FirmPlan

__all__ = ["TRUTH_COLUMNS", "truth_table"]

TRUTH_COLUMNS = ("kind", "level", "lhs", "op", "rhs", "estimate", "std_all")
Row = dict[str, object]


def truth_table(plan: FirmPlan, money: Mapping[str, float]) -> pd.DataFrame:
    """Every number a firm of this plan has, with :data:`TRUTH_COLUMNS`; see :func:`spc.synthetic.make_firm`.

    Parameters
    ----------
    plan : FirmPlan
    money : mapping of str to float
        From :func:`spc.synthetic.ledger.ledger_truth`; empty without a ledger.

    Examples
    --------
    >>> truth = truth_table(FirmPlan(), {})
    >>> truth.query("kind == 'link' and level == 'unit' and lhs == 'employee_loyalty'")["std_all"].item()
    0.6
    """
    rows = [*_unit_rows(plan), *_person_rows(plan), *_score_rows(plan)]
    rows += [_row(kind, "customer", "customers", "", "", value) for kind, value in money.items()]
    return pd.DataFrame(rows, columns=list(TRUTH_COLUMNS)).astype({"estimate": float, "std_all": float})


def _row(kind: str, level: str, lhs: str, op: str, rhs: str, estimate: float, std: float = np.nan) -> Row:
    return dict(zip(TRUTH_COLUMNS, (kind, level, lhs, op, rhs, float(estimate), float(std)), strict=True))


def _unit_rows(plan: FirmPlan) -> Iterator[Row]:
    model = structure(plan.names, plan.paths)
    sds = np.array([score_truth(c).unit_sd for c in plan.constructs] + [o.sd for o in plan.outcomes])
    for kind, effects in (("link", model.direct), ("total", model.total), ("indirect", model.total - model.direct)):
        yield from _effect_rows(kind, "unit", model.names, effects, sds)


def _effect_rows(kind: str, level: str, names: tuple[str, ...], effects: FloatArray, sds: FloatArray) -> Iterator[Row]:
    for i, j in zip(*np.nonzero(np.abs(effects) > 1e-12), strict=True):
        yield _row(kind, level, names[i], "~", names[j], effects[i, j] * sds[i] / sds[j], effects[i, j])


def _person_rows(plan: FirmPlan) -> Iterator[Row]:
    for side in plan.sides:
        model = within_structure(plan, side)
        constructs = [c for c in plan.constructs if c.side == side]
        root = np.sqrt([c.icc for c in constructs])
        rest = np.sqrt([1 - c.icc for c in constructs])
        unit = structure(plan.names, plan.paths)
        here = [unit.names.index(name) for name in model.names]
        pooled = np.outer(root, root) * unit.cov[np.ix_(here, here)] + np.outer(rest, rest) * model.cov
        paths = np.zeros_like(pooled)
        for i, row in enumerate(model.direct):
            causes = np.flatnonzero(row)
            if causes.size:
                paths[i, causes] = np.linalg.solve(pooled[np.ix_(causes, causes)], pooled[causes, i])
        sds = np.array([score_truth(c).slope for c in constructs])
        yield from _effect_rows("link", "person", model.names, paths, sds)


def within_structure(plan: FirmPlan, side: str) -> Structure:
    """The chain among persons of one unit: the unit's own links, as far as they stay on one side."""
    names = [c.name for c in plan.constructs if c.side == side]
    return structure(names, {link: value for link, value in plan.paths.items() if set(link) <= set(names)})


def _score_rows(plan: FirmPlan) -> Iterator[Row]:
    for construct in plan.constructs:
        truth = score_truth(construct)
        for kind in ("icc1", "alpha", "omega"):
            yield _row(kind, "unit" if kind == "icc1" else "person", construct.name, "", "", getattr(truth, kind))
        yield _row("sd", "unit", construct.name, "", "", truth.unit_sd)
    for outcome in plan.outcomes:
        yield _row("sd", "unit", outcome.name, "", "", outcome.sd)
