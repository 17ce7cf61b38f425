"""The good customer: which traits go with one, checked on a later period and corrected for luck."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.lasting import expected_contribution
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, latest_two, table_of
from spc.disclosure import names_staff
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["good_customer_profile"]

_FEWEST = 30


def good_customer_profile(
    study: Any, *, traits: pd.DataFrame | None = None, prospects: pd.DataFrame | None = None, share: float = 0.25,
    after: str | None = None, seed: int = 1,
) -> AccountsTable:  # fmt: skip
    """Find traits of customers whose contribution is among the best, and say how far they hold a period later.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    traits : DataFrame, optional
        Index or column ``customer``; numbers and texts known *before* the contribution is. What the accounts know of
        customers (unit, segment, ...) when None. Columns that name employees, such as ``seller``, are no traits.
    prospects : DataFrame, optional
        The same traits of those who are no customers yet; they come last in ``augment()``, with a probability alone.
    share : float
        Best share of customers that is called good.
    after : str, optional
        Period the profile is checked on; the latest when None. It is learnt on the one before.
    seed : int

    Returns
    -------
    AccountsTable
        Kind ``profile``. Rows: ``trait`` (standardised log-odds from a penalised logistic regression, penalty by
        cross-validation; of either period, ``group``, and with a bootstrap interval of the first), ``importance`` (loss
        of the area under the curve when a trait is shuffled, on the later period), ``check`` (area under the curve,
        Brier score and calibration slope on the later period, where 0.5, the base rate and 1 are no skill, no skill and
        perfect), ``stability`` (share of good customers that stay good, and by chance; ``lasting``, the share of a
        customer's lead over the mean that lasted from one period to the next; correlation of the profiles of both
        periods). ``augment()`` has each customer's calibrated probability, and its contribution as it is to be expected
        once luck is taken out: shrunk to the mean by ``lasting``.

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
    best = penalised.best_params_["logisticregression__C"]
    low, high = _weight_bands(a, y_old, best, seed)
    later = _weights(b, y_new, best)
    rows: list[dict[str, Any]] = [
        {"lhs": name, "group": before, "kind": "trait", "estimate": weights[i], "conf_low": low[i],
         "conf_high": high[i]} for i, name in enumerate(design.columns)]  # fmt: skip
    rows += [{"lhs": name, "group": after, "kind": "trait", "estimate": w} for name, w in
             zip(design.columns, later, strict=True)]  # fmt: skip
    rows += [{"lhs": name, "kind": "importance", "estimate": m, "std_error": s} for name, m, s in
             zip(design.columns, shuffled.importances_mean, shuffled.importances_std, strict=True)]  # fmt: skip
    slope = _calibration_slope(p, y_new)
    checks = {"auc": float(roc_auc_score(y_new, p)), "brier": float(brier_score_loss(y_new, p)),
              "brier_of_base_rate": float(y_new.mean() * (1 - y_new.mean())), "calibration_slope": slope}  # fmt: skip
    rows += [{"lhs": name, "rhs": after, "kind": "check", "estimate": value} for name, value in checks.items()]
    stable = _stability(old, new, y_old, y_new)
    shrunk, _, stable["lasting"] = expected_contribution(accounts, before, after)
    alike = np.ptp(weights) > 0 and np.ptp(later) > 0
    stable["same_profile"] = float(np.corrcoef(weights, later)[0, 1]) if alike else float("nan")
    between = f"{before} to {after}"
    rows += [{"lhs": name, "rhs": between, "kind": "stability", "estimate": v} for name, v in stable.items()]
    table = pd.DataFrame({"customer": new.customers, "probability": p, "good": y_new,
                          "contribution": new.money(new.contribution), "expected_contribution": shrunk})  # fmt: skip
    if prospects is not None:
        table = pd.concat([table, _scored(prospects, calibrated, design.columns, fill)], ignore_index=True)
    notes = [
        Note("traits_not_causes", "info", "profile", "Traits go with good customers; changing one makes nobody good.")
    ]
    if checks["auc"] < 0.6:
        auc = f"AUC {checks['auc']:.2f}"
        text = f"A period later the profile tells good customers apart hardly better than chance ({auc})."
        notes.append(Note("no_skill", "warning", "profile", text))
    summary = {"before": before, "after": after, "share": share, "traits": design.shape[1], **checks}
    return table_of("profile", accounts, rows, summary, table, notes, {"share": share}, seed)


def _weights(x: FloatArray, good: npt.NDArray[np.bool_], penalty: float) -> FloatArray:
    """Standardised log-odds at a penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000)).fit(x, good)
    return np.asarray(np.ravel(fit[-1].coef_))


def _weight_bands(
    x: FloatArray, good: npt.NDArray[np.bool_], penalty: float, seed: int, draws: int = 50
) -> tuple[FloatArray, FloatArray]:
    """Percentile intervals of the log-odds, customers resampled among the good and among the others."""
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(good), np.flatnonzero(~good)]
    found = []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(side, side.size) for side in sides])
        found.append(_weights(x[rows], good[rows], penalty))
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return np.asarray(low), np.asarray(high)


def _scored(prospects: pd.DataFrame, model: Any, columns: pd.Index, fill: pd.Series) -> pd.DataFrame:
    """Probability of each prospect; traits that are not known are those of the middle."""
    if "customer" not in prospects:
        raise DataError.of("prospects", "customer", "missing_column", "no such column", "who each one is", "Add it.")
    known = prospects.set_index(prospects["customer"].astype(str)).drop(columns="customer")
    parts = {}
    for name in columns:
        source = next((c for c in known.columns if name == c or str(name).startswith(f"{c}_")), None)
        if source is None:
            continue
        value = known[source]
        level = str(name)[len(str(source)) + 1 :]
        parts[name] = value if name == source else (value.astype(str) == level).where(value.notna())
    if not parts:
        found = ", ".join(map(str, known.columns)) or "no column"
        raise DataError.of("prospects", None, "missing_column", found, "the traits of customers", "Name them alike.")
    x = pd.DataFrame(parts, index=known.index).reindex(columns=columns).astype(float).fillna(fill)
    return pd.DataFrame({"customer": known.index, "probability": model.predict_proba(x.to_numpy(float))[:, 1]})


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
) -> dict[str, float]:
    """How far good customers stay good, and how far they would by chance."""
    was, now = pd.Series(good_old, index=old.customers), pd.Series(good_new, index=new.customers)
    later = now.reindex(was.index[was]).dropna()
    stays = float(later.astype(float).mean()) if len(later) else float("nan")
    return {"stays_good": stays, "by_chance": float(now.mean())}
