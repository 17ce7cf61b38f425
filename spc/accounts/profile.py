"""The good customer: which traits go with one, checked on a later period and corrected for luck."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, latest_two, table_of
from spc.disclosure import names_staff
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["good_customer_profile"]

_FEWEST = 30


def good_customer_profile(
    study: Any, *, traits: pd.DataFrame | None = None, share: float = 0.25, after: str | None = None, seed: int = 1
) -> AccountsTable:
    """Find traits of customers whose contribution is among the best, and say how far they hold a period later.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    traits : DataFrame, optional
        Index or column ``customer``; numbers and texts known *before* the contribution is. What the accounts know of
        customers (unit, segment, ...) when None. Columns that name employees, such as ``seller``, are no traits.
    share : float
        Best share of customers that is called good.
    after : str, optional
        Period the profile is checked on; the latest when None. It is learnt on the one before.
    seed : int

    Returns
    -------
    AccountsTable
        Kind ``profile``. Rows: ``trait`` (standardised log-odds from a penalised logistic regression, penalty by
        cross-validation), ``importance`` (loss of the area under the curve when a trait is shuffled, on the later
        period), ``check`` (area under the curve, Brier score and calibration slope on the later period, where 0.5, the
        base rate and 1 are no skill, no skill and perfect), ``stability`` (share of good customers that stay good;
        reliability of
        contribution between periods; what of a customer's lead over the mean is expected to last). ``augment()`` has
        each customer's calibrated probability and contribution shrunk to the mean.

    Raises
    ------
    UsageError
        There are no traits, or ``share`` is not between 0 and 1.
    DataError
        Fewer than 30 customers in either period.

    References
    ----------
    Steyerberg (2019), Clinical Prediction Models, chapters 13 and 15; Galton (1886) on regression to the mean.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not 0 < share < 1:
        raise UsageError(f"share is {share!r}; expected a number between 0 and 1, such as 0.25.")
    accounts = accounts_of(study)
    before, after = latest_two(accounts, None, after)
    old, new = accounts.at(before), accounts.at(after)
    design = _design(accounts, traits)
    x_old, y_old = design.reindex(old.customers), _good(old, share)
    x_new, y_new = design.reindex(new.customers), _good(new, share)
    for name, y in ((before, y_old), (after, y_new)):
        if len(y) < _FEWEST or y.sum() < 5 or (~y).sum() < 5:
            found = f"{len(y)} customers, {int(y.sum())} of them good, in {name}"
            raise DataError.of(
                "accounts", None, "few_customers", found, f"{_FEWEST}, and 5 of each", "Bring more together."
            )
    fill = x_old.mean().fillna(0.0)
    a, b = x_old.fillna(fill).to_numpy(float), x_new.fillna(fill).to_numpy(float)
    grid = {"logisticregression__C": np.logspace(-3, 2, 8)}
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    penalised = GridSearchCV(logistic, grid, scoring="neg_log_loss", cv=5)
    penalised.fit(a, y_old)
    calibrated = CalibratedClassifierCV(penalised, cv=5, method="sigmoid").fit(a, y_old)
    p = np.clip(calibrated.predict_proba(b)[:, 1], 1e-6, 1 - 1e-6)
    weights = np.ravel(penalised.best_estimator_[-1].coef_)
    shuffled = permutation_importance(calibrated, b, y_new, scoring="roc_auc", n_repeats=10, random_state=seed)
    rows = [{"lhs": name, "kind": "trait", "estimate": w} for name, w in zip(design.columns, weights, strict=True)]
    rows += [{"lhs": name, "kind": "importance", "estimate": m, "std_error": s} for name, m, s in
             zip(design.columns, shuffled.importances_mean, shuffled.importances_std, strict=True)]  # fmt: skip
    slope = _calibration_slope(p, y_new)
    checks = {"auc": float(roc_auc_score(y_new, p)), "brier": float(brier_score_loss(y_new, p)),
              "brier_of_base_rate": float(y_new.mean() * (1 - y_new.mean())), "calibration_slope": slope}  # fmt: skip
    rows += [{"lhs": name, "rhs": after, "kind": "check", "estimate": value} for name, value in checks.items()]
    stable, shrunk = _stability(old, new, y_old, y_new)
    between = f"{before} to {after}"
    rows += [{"lhs": name, "rhs": between, "kind": "stability", "estimate": v} for name, v in stable.items()]
    table = pd.DataFrame({"customer": new.customers, "probability": p, "good": y_new,
                          "contribution": new.money(new.contribution), "expected_contribution": shrunk})  # fmt: skip
    notes = [
        Note("traits_not_causes", "info", "profile", "Traits go with good customers; changing one makes nobody good.")
    ]
    if checks["auc"] < 0.6:
        auc = f"AUC {checks['auc']:.2f}"
        text = f"A period later the profile tells good customers apart hardly better than chance ({auc})."
        notes.append(Note("no_skill", "warning", "profile", text))
    summary = {"before": before, "after": after, "share": share, "traits": design.shape[1], **checks}
    return table_of("profile", accounts, rows, summary, table, notes, {"share": share}, seed)


def _design(accounts: CustomerAccounts, traits: pd.DataFrame | None) -> pd.DataFrame:
    known = accounts.attributes if traits is None else traits
    if traits is not None and "customer" in traits:
        known = traits.set_index(traits["customer"].astype(str)).drop(columns="customer")
    parts: list[pd.Series] = []
    for name in known.columns:
        if names_staff(name):
            continue
        column = known[name]
        if pd.api.types.is_numeric_dtype(column):
            parts.append(column.astype(float).rename(str(name)))
        elif 1 < column.nunique() <= 20:
            dummies = pd.get_dummies(column, prefix=str(name), drop_first=True).astype(float)
            parts += [dummies[level] for level in dummies.columns]
    if not parts:
        raise UsageError(
            "There are no traits of customers: give traits=, or columns such as segment in the customer table."
        )
    design = pd.concat(parts, axis=1)
    return design[~design.index.duplicated()]


def _good(accounts: CustomerAccounts, share: float) -> npt.NDArray[np.bool_]:
    edge = np.quantile(accounts.contribution, 1 - share)
    return np.asarray(accounts.contribution > edge)


def _calibration_slope(p: FloatArray, good: npt.NDArray[np.bool_]) -> float:
    """Slope of the outcome on the log-odds that were foretold, by Newton's method; one is perfect."""
    x = np.column_stack([np.ones_like(p), np.log(p / (1 - p))])
    if np.ptp(x[:, 1]) < 1e-9:
        return float("nan")
    beta = np.array([0.0, 1.0])
    for _ in range(50):
        mean = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        step = np.linalg.solve((x * (mean * (1 - mean))[:, None]).T @ x + 1e-9 * np.eye(2), x.T @ (good - mean))
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[1])


def _stability(
    old: CustomerAccounts, new: CustomerAccounts, good_old: npt.NDArray[np.bool_], good_new: npt.NDArray[np.bool_]
) -> tuple[dict[str, float], FloatArray]:
    """How far good customers stay good, and every customer's contribution shrunk to the mean by what lasts."""
    was = pd.DataFrame({"good": good_old, "money": old.money(old.contribution)}, index=old.customers)
    now = pd.DataFrame({"good": good_new, "money": new.money(new.contribution)}, index=new.customers)
    both = was.add_suffix("_was").join(now.add_suffix("_now"), how="inner")
    reliable = float("nan")
    if len(both) > 2 and both["money_was"].std() > 0 and both["money_now"].std() > 0:
        ranks = both[["money_was", "money_now"]].rank()
        reliable = float(np.corrcoef(ranks.to_numpy(float).T)[0, 1])
    lasting = min(max(reliable, 0.0), 1.0) if np.isfinite(reliable) else 0.0
    money = now["money"].to_numpy()
    stays = float(both.loc[both["good_was"], "good_now"].mean()) if both["good_was"].any() else float("nan")
    found = {"stays_good": stays, "by_chance": float(now["good"].mean()), "reliability": reliable}
    return found, np.asarray(money.mean() + lasting * (money - money.mean()))
