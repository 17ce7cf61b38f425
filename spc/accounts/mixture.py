"""Groups that the customers form by themselves, as a check on the groups of the rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.groups import cohens_kappa, customer_groups, moves, share_interval
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.results import Note

__all__ = ["customer_clusters"]

Codes = npt.NDArray[np.intp]
_FEWEST = 50
_SAMPLE = 20_000


def customer_clusters(
    study: Any, *, groups: AccountsTable | None = None, most: int = 8, period: str | None = None, draws: int = 200,
    seed: int = 1, level: float = 0.95,
) -> AccountsTable:  # fmt: skip
    """Look for groups in revenue and contribution ratio without any rule, and set them beside those of the rule.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    groups : AccountsTable, optional
        What :func:`customer_groups` gives, its cuts and overrides; made from the accounts when None.
    most : int
        Most clusters that are tried; how many there are is chosen by the Bayesian information criterion.
    period : str, optional
        Period in which clusters are looked for; the latest when None. The clusters of other periods are told by it.
    draws : int
        Bootstrap samples of customers for the intervals of agreement.
    seed : int
    level : float

    Returns
    -------
    AccountsTable
        Kind ``clusters``. Rows: ``bic`` (``lhs`` number of clusters), ``cluster`` (``rhs`` customers, middle net
        revenue, middle contribution ratio and share of contribution), ``agreement`` (with the rule: adjusted Rand
        index, which knows no names, and Cohen's kappa once each cluster has the name of the group it meets most, with
        percentile intervals), ``cross`` (``lhs`` group of the rule, ``rhs`` cluster: share of the group's customers,
        Jeffreys interval) and ``migration`` (between clusters, as :func:`customer_groups` has it between groups).
        ``augment()`` has a row an account with revenue: cluster, its probability, and the group of the rule.

    Raises
    ------
    DataError
        Fewer than 50 customers with revenue in the period.
    UsageError
        Fewer than two clusters are allowed.

    Notes
    -----
    A mixture of normal distributions with covariances of their own (scikit-learn's ``GaussianMixture``), of the
    logarithm of net revenue and of the contribution ratio, the outermost hundredth at either end pulled in, both in
    standard deviations. Clusters are numbered from the smallest middle revenue. With more than 20,000 customers it is
    fitted to a sample of that many.

    References
    ----------
    Fraley & Raftery (2002), JASA 97, 611-631; Hubert & Arabie (1985), Journal of Classification 2, 193-218.
    """
    if most < 2:
        raise UsageError(f"most is {most}; expected at least 2 clusters to choose from.")
    accounts = accounts_of(study)
    period = latest(accounts, period)
    has = accounts.net_revenue > 0
    here = has & (accounts.at(None).periods == period)
    if here.sum() < _FEWEST:
        found = f"{int(here.sum())} customers with revenue in {period}"
        raise DataError.of("accounts", None, "few_customers", found, f"at least {_FEWEST}", "Keep to the rule.")
    features, back = _features(accounts, here)
    model, bics = _fitted(features[here], most, seed)
    order = np.argsort(model.means_[:, 0] * back[0], kind="stable")
    number = np.empty(len(order), dtype=np.intp)
    number[order] = np.arange(len(order))
    chance = model.predict_proba(features[has])
    codes = np.full(len(has), -1, dtype=np.intp)
    codes[has] = number[chance.argmax(axis=1)]
    names = [f"cluster {i + 1}" for i in range(len(order))]
    rule = (groups if groups is not None else customer_groups(accounts)).augment()["group"].to_numpy(dtype=object)
    rows: list[dict[str, Any]] = [{"lhs": f"{k} cluster{'s' if k > 1 else ''}", "kind": "bic", "estimate": value}
                                  for k, value in bics.items()]  # fmt: skip
    rows += _described(accounts, here, codes, names, period)
    agreed = _agreement(rule[here], codes[here], draws, seed, level)
    rows += [{"lhs": "rule", "rhs": name, "group": period, "kind": "agreement", **figures}
             for name, figures in agreed.items()]  # fmt: skip
    rows += _crossed(rule[here], codes[here], names, period, level)
    rows += moves(accounts, codes, names, level)
    table = pd.DataFrame({"customer": accounts.customers[has], "period": accounts.periods[has],
                          "cluster": np.array(names, dtype=object)[codes[has]],
                          "probability": chance.max(axis=1), "group": rule[has]})  # fmt: skip
    summary = {"period": period, "clusters": len(names), "rule_groups": len(set(rule[here])),
               "adjusted_rand": agreed["adjusted_rand"]["estimate"], "level": level}  # fmt: skip
    return table_of("clusters", accounts, rows, summary, table, _remarks(len(names), agreed), {"most": most}, seed)


def _features(accounts: CustomerAccounts, here: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Logarithm of net revenue and contribution ratio in standard deviations of the period, and those deviations."""
    revenue = accounts.money(accounts.net_revenue)
    raw = np.column_stack([np.log(np.where(revenue > 0, revenue, 1.0)), np.nan_to_num(accounts.contribution_ratio)])
    low, high = np.quantile(raw[here], [0.01, 0.99], axis=0)
    held = np.clip(raw, low, high)
    spread = held[here].std(axis=0)
    spread[spread <= 1e-12] = 1.0
    return np.asarray((held - held[here].mean(axis=0)) / spread), np.asarray(spread)


def _fitted(features: FloatArray, most: int, seed: int) -> tuple[Any, dict[int, float]]:
    """Mixture of least information criterion, and the criterion of every number of clusters."""
    from sklearn.mixture import GaussianMixture

    if len(features) > _SAMPLE:
        features = features[np.random.default_rng(seed).choice(len(features), _SAMPLE, replace=False)]
    kinds = {k: GaussianMixture(k, init_params="k-means++", n_init=5, max_iter=200, reg_covar=1e-4, random_state=seed)
             for k in range(1, min(most, len(features) // 10) + 1)}  # fmt: skip
    with one_blas_thread():
        fits = {k: kind.fit(features) for k, kind in kinds.items()}
    bics = {k: float(fit.bic(features)) for k, fit in fits.items()}
    return fits[min(bics, key=bics.__getitem__)], bics


def _described(
    accounts: CustomerAccounts, here: npt.NDArray[np.bool_], codes: Codes, names: list[str], period: str
) -> list[dict[str, Any]]:
    revenue, earned = accounts.money(accounts.net_revenue), accounts.money(accounts.contribution)
    ratio, total = accounts.contribution_ratio, float(earned[here].sum())
    rows: list[dict[str, Any]] = []
    for code, name in enumerate(names):
        own = here & (codes == code)
        if not own.any():
            continue
        figures = {"customers": float(own.sum()), "net_revenue": float(np.median(revenue[own])),
                   "contribution_ratio": float(np.median(ratio[own])),
                   "share": float(earned[own].sum()) / total if total > 0 else float("nan")}  # fmt: skip
        rows += [{"lhs": name, "rhs": what, "group": period, "kind": "cluster", "estimate": value}
                 for what, value in figures.items()]  # fmt: skip
    return rows


def _agreement(rule: Any, codes: Codes, draws: int, seed: int, level: float) -> dict[str, dict[str, float]]:
    """Adjusted Rand index and kappa of rule and clusters, with percentile intervals over customers."""
    table = pd.crosstab(rule, codes).to_numpy(dtype=float)
    n = table.sum()
    drawn = np.random.default_rng(seed).multinomial(int(n), (table / n).ravel(), draws).reshape(draws, *table.shape)
    both = [(adjusted_rand(one), _named(one)[2]) for one in drawn.astype(float)]
    low, high = np.quantile(both, [(1 - level) / 2, (1 + level) / 2], axis=0)
    observed, _, kappa = _named(table)
    rand = {"estimate": adjusted_rand(table), "conf_low": float(low[0]), "conf_high": float(high[0])}
    return {"adjusted_rand": rand, "kappa": {"estimate": kappa, "statistic": observed, "conf_low": float(low[1]),
                                             "conf_high": float(high[1])}}  # fmt: skip


def adjusted_rand(table: FloatArray) -> float:
    """Adjusted Rand index from counts of customers by two groupings; 1 where neither parts anybody.

    Examples
    --------
    >>> adjusted_rand(np.array([[5.0, 0.0], [0.0, 7.0]])), round(adjusted_rand(np.array([[4.0, 2.0], [2.0, 4.0]])), 4)
    (1.0, 0.0222)
    """

    def pairs(counts: FloatArray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    rows, columns = pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance, most = rows * columns / pairs(table.sum(keepdims=True)), (rows + columns) / 2
    return (pairs(table) - chance) / (most - chance) if most > chance else 1.0


def _named(table: FloatArray) -> tuple[float, float, float]:
    """Cohen's kappa where each cluster, a column, has the name of the group, a row, that it meets most."""
    square = np.zeros((len(table), len(table)))
    np.add.at(square.T, table.argmax(axis=0), table.T)
    return cohens_kappa(square / table.sum())


def _crossed(rule: Any, codes: Codes, names: list[str], period: str, level: float) -> list[dict[str, Any]]:
    counts = pd.crosstab(rule, codes)
    rows: list[dict[str, Any]] = []
    for group, line in counts.iterrows():
        n = float(line.sum())
        for code, count in line.items():
            low, high = share_interval(count, n, level)
            rows.append({"lhs": str(group), "rhs": names[int(str(code))], "group": period, "kind": "cross",
                         "estimate": count / n, "statistic": float(count), "conf_low": float(low),
                         "conf_high": float(high)})  # fmt: skip
    return rows


def _remarks(k: int, agreed: dict[str, dict[str, float]]) -> list[Note]:
    if k == 1:
        text = "The customers form one cloud without groups of their own; the edges of the rule are a convention."
        return [Note("no_clusters", "info", "clusters", text)]
    value = agreed["adjusted_rand"]["estimate"]
    if value < 0.3:
        text = (f"The groups of the rule and the clusters have little in common (adjusted Rand index {value:.2f}): the "
                "rule cuts through customers who are alike. Look at its edges, or say why they are there.")  # fmt: skip
        return [Note("rule_cuts_clusters", "warning", "clusters", text)]
    return []
