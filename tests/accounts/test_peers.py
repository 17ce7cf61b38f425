import numpy as np
import pandas as pd
import pytest

from spc.accounts import peer_gaps, peer_rate
from spc.errors import DataError


def drawn(seed, n=400, tau=0.02, sigma=2.0):
    rng = np.random.default_rng(seed)
    revenue = rng.lognormal(8, 1, n)
    true = 0.10 + tau * rng.standard_normal(n)
    return revenue, true, true + sigma * rng.standard_normal(n) / np.sqrt(revenue)


def test_variances_are_recovered_with_known_noise():
    found = []
    for seed in range(30):
        revenue, _, rate = drawn(seed)
        found.append(peer_rate(rate * revenue, revenue, noise=4.0))
    assert np.mean([f.between for f in found]) == pytest.approx(0.0004, rel=0.15)
    assert np.mean([f.mean for f in found]) == pytest.approx(0.10, abs=0.002)


def test_noise_is_seen_in_the_funnel():
    found = [peer_rate(r * w, w) for w, _, r in (drawn(seed) for seed in range(30))]
    assert np.mean([f.noise for f in found]) == pytest.approx(4.0, rel=0.25)


def test_shrunken_gaps_are_nearer_the_truth_and_intervals_cover():
    errors, covered = [], []
    for seed in range(20):
        revenue, true, rate = drawn(seed)
        found = peer_rate(rate * revenue, revenue, noise=4.0)
        weight = found.weight(revenue)
        gap = weight * (rate - found.mean)
        errors.append([np.square(gap - (true - 0.1)).mean(), np.square(rate - found.mean - (true - 0.1)).mean()])
        half = 1.96 * np.sqrt(weight * 4.0 / revenue)
        covered.append((np.abs(gap - (true - found.mean)) < half).mean())
    shrunken, raw = np.mean(errors, axis=0)
    assert shrunken < 0.6 * raw
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def two_years(dear=()):
    rng = np.random.default_rng(3)
    rows = []
    for year in ("2025", "2026"):
        revenue = rng.uniform(800, 1200, 60)
        freight = revenue * (0.05 + 0.005 * rng.standard_normal(60) + 0.06 * np.isin(np.arange(60), dear))
        rows.append(pd.DataFrame({"customer": np.arange(60), "date": f"{year}-03-01", "amount": revenue.round(2),
                                  "freight": freight.round(2)}))  # fmt: skip
    return pd.concat(rows)


def test_a_dear_customer_comes_first_with_its_price():
    result = peer_gaps(two_years(dear=[7]))
    first = result.tidy().query("kind == 'gap'").iloc[0]
    assert (first["lhs"], first["rhs"], first["label"]) == ("7", "freight", "beyond chance")
    assert first["estimate"] == pytest.approx(0.06 * 1000, rel=0.3)
    assert first["conf_low"] < first["estimate"] < first["conf_high"]


def test_without_true_differences_little_is_beyond_chance():
    table = peer_gaps(two_years()).augment()
    assert table["beyond_chance"].mean() < 0.1


def test_peers_are_those_of_the_group(accounts):
    result = peer_gaps(accounts, by="segment")
    rates = result.tidy().query("kind == 'peer_rate' and lhs == 'product_cost'").set_index("rhs")["estimate"]
    at = accounts.at("2026")
    for segment in ("small", "large"):
        own = at.attribute("segment") == segment
        expected = at.cents[own, 3].sum() / at.net_revenue[own].sum()
        assert rates[segment] == pytest.approx(expected, rel=1e-9)


def test_too_few_customers():
    with pytest.raises(DataError, match="2 customers"):
        peer_gaps(two_years().query("customer < 2"))
