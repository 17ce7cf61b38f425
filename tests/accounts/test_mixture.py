"""Clusters beside the groups of the rule: simulated groups, scikit-learn's index, and clouds without any."""

import numpy as np
import pandas as pd
import pytest

from spc.accounts import customer_accounts, customer_clusters, customer_groups
from spc.accounts.mixture import adjusted_rand
from spc.errors import DataError, UsageError


def firm(ratios, revenues, n=300, seed=1, moved=0.0):
    """Two years of customers of as many kinds as there are ratios; some change their kind."""
    rng = np.random.default_rng(seed)
    kind, rows = rng.integers(0, len(ratios), n), []
    for year in (2025, 2026):
        kind = np.where(rng.random(n) < moved * (year - 2025), (kind + 1) % len(ratios), kind)
        revenue = np.exp(np.array(revenues)[kind] + rng.normal(0, 0.3, n))
        ratio = np.array(ratios)[kind] + rng.normal(0, 0.04, n)
        rows.append(pd.DataFrame({"customer": [f"C{i}" for i in range(n)], "date": f"{year}-05-01",
                                  "amount": revenue.round(2), "product_cost": (revenue * (1 - ratio)).round(2),
                                  "kind": kind}))  # fmt: skip
    truth = pd.concat(rows)
    return customer_accounts(truth.drop(columns="kind")), truth["kind"].to_numpy()


@pytest.mark.parametrize("seed", range(5))
def test_the_index_is_that_of_scikit_learn(seed):
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    one = rng.integers(0, 4, 200)
    other = np.where(rng.random(200) < 0.5, one, rng.integers(0, 6, 200))
    assert adjusted_rand(pd.crosstab(one, other).to_numpy(float)) == pytest.approx(adjusted_rand_score(one, other))


def test_groups_that_are_there_are_found_with_their_moves():
    accounts, truth = firm([0.05, 0.30, 0.55], [6, 8, 10], moved=0.2)
    found = customer_clusters(accounts, draws=50)
    table = found.augment()
    names = {f"cluster {i + 1}": i for i in range(3)}
    order = {(c, p): i for i, (c, p) in enumerate(zip(accounts.customers, accounts.periods, strict=True))}
    kinds = dict(zip([(f"C{i}", y) for y in ("2025", "2026") for i in range(300)], truth, strict=True))
    agree = [names[row.cluster] == kinds[row.customer, row.period] for row in table.itertuples()]
    assert len(agree) == len(order)
    assert np.mean(agree) > 0.98
    assert found.glance()["clusters"].item() == 3
    stay = found.tidy().query("kind == 'migration' and lhs == rhs")
    assert stay["estimate"].to_numpy() == pytest.approx(0.8, abs=0.08)
    assert (stay["conf_low"] < stay["estimate"]).all()
    assert found.tidy().query("kind == 'migration'").groupby("lhs")["estimate"].sum().to_numpy() == pytest.approx(1.0)


def test_a_rule_at_the_gaps_agrees_and_one_across_them_does_not():
    accounts, _ = firm([0.05, 0.45], [6, 9])
    good = customer_groups(accounts, revenue_cuts=[np.exp(7.5)], ratio_cuts=[0.25])
    found = customer_clusters(accounts, groups=good, draws=50)
    row = found.tidy().query("rhs == 'adjusted_rand'").iloc[0]
    assert row["estimate"] > 0.95
    assert row["conf_low"] <= row["estimate"] <= row["conf_high"]
    assert not found.notes()
    across = customer_groups(accounts, revenue_cuts=[np.exp(6), np.exp(9)], ratio_cuts=[0.05, 0.45])
    bad = customer_clusters(accounts, groups=across, draws=50)
    assert bad.tidy().query("rhs == 'adjusted_rand'")["estimate"].item() < row["estimate"]


def test_one_cloud_has_no_groups():
    accounts, _ = firm([0.3], [7])
    found = customer_clusters(accounts, draws=20)
    assert found.glance()["clusters"].item() == 1
    assert [note.code for note in found.notes()] == ["no_clusters"]


def test_too_few_customers_or_clusters():
    accounts, _ = firm([0.3], [7], n=40)
    with pytest.raises(DataError, match="40 customers"):
        customer_clusters(accounts)
    with pytest.raises(UsageError, match="at least 2"):
        customer_clusters(accounts, most=1)
