"""Whether staff who were involved in forming the groups of customers are more satisfied than those who were not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.accounts.result import AccountsTable
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, fingerprint, tidy_frame

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["staff_involvement"]

_USUAL = "employee_satisfaction"
_YES = frozenset({"1", "1.0", "yes", "true", "y"})
_NO = frozenset({"0", "0.0", "no", "false", "n"})


def staff_involvement(
    study: Study | pd.DataFrame,
    *,
    involved: str | None = None,
    outcome: str | None = None,
    unit: str = "unit",
    level: float = 0.95,
) -> AccountsTable:
    r"""Compare the satisfaction of staff who were involved with that of the others, in all and within units.

    Parameters
    ----------
    study : Study or DataFrame
        A study with employees' answers; or one row a respondent.
    involved : str, optional
        Column that says who was: 1, yes or true; blank where nobody knows. That of ``[accounts.involvement]`` when
        None, and ``involved`` of a frame.
    outcome : str, optional
        Construct of the study, or column of the frame; that of ``[accounts.involvement]``, else
        ``employee_satisfaction``, when None.
    unit : str
        Column of the unit.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``involvement``. Rows: ``mean`` (``rhs`` involved or others, ``statistic`` how many), ``difference`` (in
        all, Welch's interval; and ``within units``, fixed effects with errors clustered by unit, where five units have
        both) and ``effect_size`` (Hedges' g).

    Raises
    ------
    UsageError
        The study does not say who was involved, or has no such construct.
    DataError
        A column is absent, a cell says neither yes nor no, or there are fewer than two of either.

    References
    ----------
    Welch (1947), Biometrika 34, 28-35; Hedges (1981), Journal of Educational Statistics 6, 107-128.

    Examples
    --------
    >>> rows = pd.DataFrame({"involved": [1, 1, 1, 0, 0, 0], "employee_satisfaction": [6, 5, 7, 4, 5, 3]})
    >>> staff_involvement(rows).tidy().query("kind == 'difference'")["estimate"].tolist()
    [2.0]
    """
    from scipy.special import stdtr, stdtrit

    frame, outcome = _answers(study, involved, outcome, unit)
    x, y = frame["involved"].to_numpy(bool), frame["outcome"].to_numpy(float)
    n = np.array([x.sum(), (~x).sum()], dtype=float)
    if n.min() < 2:
        found = f"{int(n[0])} who were involved and {int(n[1])} who were not"
        raise DataError.of("employee_responses", "involved", "few_answers", found, "two of each at least", "Ask more.")
    means = np.array([y[x].mean(), y[~x].mean()])
    variances = np.array([y[x].var(ddof=1), y[~x].var(ddof=1)])
    squares = variances / n
    error = float(np.sqrt(squares.sum()))
    free = float(squares.sum() ** 2 / (squares**2 / (n - 1)).sum()) if error > 0 else float(n.sum() - 2)
    rows: list[dict[str, Any]] = []
    for i, whose in enumerate(("involved", "others")):
        half = float(stdtrit(n[i] - 1, (1 + level) / 2)) * float(np.sqrt(squares[i]))
        rows.append({"lhs": outcome, "rhs": whose, "kind": "mean", "estimate": means[i], "statistic": n[i],
                     "conf_low": means[i] - half, "conf_high": means[i] + half})  # fmt: skip
    gaps = {"in all": (float(means[0] - means[1]), error, free)}
    within = _within_units(frame)
    if within is not None:
        gaps["within units"] = within
    for name, (gap, gap_error, own) in gaps.items():
        half = float(stdtrit(own, (1 + level) / 2)) * gap_error
        p = 2 * float(stdtr(own, -abs(gap / gap_error))) if gap_error > 0 else float("nan")
        rows.append({"lhs": outcome, "rhs": name, "kind": "difference", "estimate": gap, "std_error": gap_error,
                     "p_value": p, "conf_low": gap - half, "conf_high": gap + half})  # fmt: skip
    g, g_error = _hedges(gaps["in all"][0], n, variances)
    half = float(stdtrit(np.inf, (1 + level) / 2)) * g_error
    rows.append({"lhs": outcome, "rhs": "hedges_g", "kind": "effect_size", "estimate": g, "std_error": g_error,
                 "conf_low": g - half, "conf_high": g + half})  # fmt: skip
    summary = {"nobs": len(frame), "nobs_min": int(n.min()), "involved": int(n[0]), "others": int(n[1]),
               "units": int(frame["unit"].nunique()), "level": level}  # fmt: skip
    text = ("Who was asked to take part was not drawn by lot; the difference within units is nearer to an effect than "
            "that in all, and neither is one for sure.")  # fmt: skip
    made = Provenance.record({"outcome": outcome, "level": level}, fingerprint(frame[["outcome"]]))
    return AccountsTable("involvement", tidy_frame(rows), pd.DataFrame([summary]), pd.DataFrame(),
                         (Note("not_causal", "warning", "involvement", text),), "", made)  # fmt: skip


def _answers(
    study: Study | pd.DataFrame, involved: str | None, outcome: str | None, unit: str
) -> tuple[pd.DataFrame, str]:
    """Involved, outcome and unit of every respondent of whom both are known."""
    from spc.survey import score

    if isinstance(study, pd.DataFrame):
        outcome = outcome or _USUAL
        frame, name = study, involved or "involved"
        values = _column(frame, outcome)
    else:
        plan = study.accounts.plans.involvement if study.accounts else None
        if involved is None and plan is None:
            raise UsageError('The study does not say who was involved: write column = "..." under '
                             "[accounts.involvement].")  # fmt: skip
        name = involved or (plan.column if plan else "")
        outcome = outcome or (plan.construct if plan else _USUAL)
        constructs = [c for c in study.codebook if c.name == outcome and c.table == "employee_responses"]
        if not constructs:
            have = ", ".join(c.name for c in study.codebook if c.table == "employee_responses") or "none"
            raise UsageError(f"There is no construct {outcome!r} of employees' answers; there are: {have}.")
        frame = study.tables["employee_responses"]
        values = score(frame, constructs[0])
    units = frame[unit] if unit in frame else pd.Series("all", index=frame.index)
    table = pd.DataFrame({"involved": _yes_or_no(_column(frame, name), name), "outcome": pd.to_numeric(values),
                          "unit": units.astype(str)})  # fmt: skip
    return table.dropna(), outcome


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame:
        have = ", ".join(map(str, list(frame.columns)[:20]))
        raise DataError.of("employee_responses", name, "missing_column", "no such column", f"one of {have}", "Add it.")
    return frame[name]


def _yes_or_no(column: pd.Series, name: str) -> pd.Series:
    words = column.astype("string").str.strip().str.lower()
    strange = column.notna() & ~words.isin(_YES | _NO)
    if strange.any():
        raise DataError.of(
            "employee_responses", name, "unknown_value", f"{int(strange.sum())} cells that say neither yes nor no",
            "1 or 0, yes or no, true or false", "Correct them, or leave them blank.",
        )  # fmt: skip
    return words.isin(_YES).where(column.notna())


def _within_units(frame: pd.DataFrame) -> tuple[float, float, float] | None:
    """Difference net of units, its clustered error and degrees of freedom; None unless five units have both."""
    codes, names = pd.factorize(frame["unit"])
    sizes = np.bincount(codes).astype(float)

    def apart(values: FloatArray) -> FloatArray:
        return np.asarray(values - (np.bincount(codes, values) / sizes)[codes])

    x, y = apart(frame["involved"].to_numpy(float)), apart(frame["outcome"].to_numpy(float))
    both = np.bincount(codes, x * x)
    power, many = float(both.sum()), int((both > 1e-12).sum())
    if many < 5:
        return None
    gap = float(x @ y) / power
    scores = np.bincount(codes, x * (y - gap * x), len(names))
    return gap, float(np.sqrt((scores**2).sum() * many / (many - 1))) / power, float(many - 1)


def _hedges(gap: float, n: FloatArray, variances: FloatArray) -> tuple[float, float]:
    """Difference in pooled standard deviations, corrected for small samples, and its large-sample error."""
    free = n.sum() - 2
    pooled = float(np.sqrt(((n - 1) * variances).sum() / free))
    if pooled <= 0:
        return float("nan"), float("nan")
    g = (1 - 3 / (4 * free - 1)) * gap / pooled
    return float(g), float(np.sqrt((1 / n).sum() + g**2 / (2 * n.sum())))
