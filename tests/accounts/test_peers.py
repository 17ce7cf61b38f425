import numpy as np
import pandas as pd
import pytest

from spc.accounts import peer_gaps, peer_rate
from spc.accounts.peers import period_noise
from spc.errors import DataError


def drawn(seed, n=400, tau=0.02, sigma=2.0):
    rng = np.random.default_rng(seed)
    revenue = rng.lognormal(8, 1, n)
    true = 0.10 + tau * rng.standard_normal(n)
    return revenue, true, true + sigma * rng.standard_normal(n) / np.sqrt(revenue)


def test_mean_and_spread_are_recovered_with_known_noise():
    found = []
    for seed in range(30):
        revenue, _, rate = drawn(seed)
        found.append(peer_rate(rate * revenue, revenue, noise=4.0))
    assert np.mean([f.true.spread for f in found]) == pytest.approx(0.02, rel=0.1)
    assert np.mean([f.mean for f in found]) == pytest.approx(0.10, abs=0.002)


def test_noise_is_seen_in_the_funnel():
    found = [peer_rate(r * w, w) for w, _, r in (drawn(seed) for seed in range(30))]
    assert np.mean([f.noise for f in found]) == pytest.approx(4.0, rel=0.25)


def test_shrunken_rates_are_nearer_the_truth():
    errors = []
    for seed in range(20):
        revenue, true, rate = drawn(seed)
        found = peer_rate(rate * revenue, revenue, noise=4.0)
        errors.append([np.square(found.true.mean - true).mean(), np.square(rate - true).mean()])
    shrunken, raw = np.mean(errors, axis=0)
    assert shrunken < 0.6 * raw


@pytest.mark.parametrize(
    ("n", "tau", "low", "high"),
    [(12, 0.02, 0.92, 0.99), (12, 0.0, 0.95, 1), (60, 0.0, 0.95, 1), (60, 0.02, 0.91, 0.97), (400, 0.02, 0.93, 0.97)],
)
def test_intervals_hold_the_true_rates_whether_or_not_peers_differ(n, tau, low, high):
    """Chance is read from two periods, as the books have them."""
    held = []
    for seed in range(40 if n < 100 else 10):
        rng = np.random.default_rng(seed)
        true, revenue = 0.1 + tau * rng.standard_normal(n), rng.lognormal(8, 1, (2, n))
        cost = (true + 2 * rng.standard_normal((2, n)) / np.sqrt(revenue)) * revenue
        noise = period_noise(cost.ravel(), revenue.ravel(), np.tile(np.arange(n), 2))
        found = peer_rate(cost[1], revenue[1], noise).true
        assert (found.low < found.high).all()
        held.append(((found.low <= true) & (true <= found.high)).mean())
    assert low <= np.mean(held) <= high


def test_customers_alike_but_for_chance_have_gaps_with_intervals():
    """Their spread beyond chance is estimated as zero; the gap is small, but not known to the cent."""
    rng = np.random.default_rng(5)
    year = pd.DataFrame({"customer": np.arange(60), "amount": 1000.0})
    sales = pd.concat([year.assign(date=f"{y}-03-01", freight=np.round(50 + 5 * rng.standard_normal(60), 2))
                       for y in (2025, 2026)])  # fmt: skip
    table = peer_gaps(sales).augment()
    assert ((table["conf_high"] - table["conf_low"]) > 3).all()
    assert ((table["conf_low"] < table["worth"]) & (table["worth"] < table["conf_high"])).all()


def test_what_is_chance_is_not_said_where_it_cannot_be_told():
    """One period, customers of one size: their rates may differ by chance alone, or not by chance at all."""
    sales = pd.DataFrame({"customer": range(40), "date": "2026-01-01", "amount": 1000.0,
                          "freight": [30.0 + i % 2 for i in range(39)] + [80.0]})  # fmt: skip
    result = peer_gaps(sales)
    table = result.augment()
    assert table["conf_low"].isna().all()
    assert not table["beyond_chance"].any()
    assert table["customer"][0] == "39"
    assert "chance_unknown" in [note.code for note in result.notes()]


def test_one_customer_has_no_peers():
    sales = two_years(dear=[7])
    people = pd.DataFrame({"customer": np.arange(60), "segment": ["key"] + ["trade"] * 59})
    result = peer_gaps({"transactions": sales, "customers": people}, by="segment")
    alone = result.augment().query("peers == 'key'")
    assert len(alone) == 1
    assert alone[["worth", "conf_low", "conf_high"]].isna().all(axis=None)
    assert [note.text for note in result.notes() if note.code == "few_peers"] == [
        "Fewer than three customers are peers in key, so none of them is compared."
    ]


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


def test_a_line_of_nothing_is_not_compared():
    result = peer_gaps(two_years().assign(bonus=0.0))
    assert set(result.augment()["line"]) == {"freight"}
    with pytest.raises(DataError, match="no line of cost with an amount in 2026"):
        peer_gaps(two_years().assign(freight=0.0))


def test_few_customers_in_two_periods_are_not_called_one_period():
    result = peer_gaps(two_years().query("customer < 5").assign(amount=1000.0))
    assert len(set(result.augment()["customer"])) == 5
    said = " ".join(note.text for note in result.notes())
    assert "one period" not in said
    assert "too few customers are there in two periods" in said.lower()


def test_few_peers_share_the_chance_of_all_customers():
    """Five peers in two periods say too little of chance; the sixty of the books say enough."""
    people = pd.DataFrame({"customer": np.arange(60), "segment": [f"s{i % 12}" for i in range(60)]})
    result = peer_gaps({"transactions": two_years(dear=[7]), "customers": people}, by="segment")
    assert result.augment()["conf_low"].notna().all()
    assert not {"funnel", "chance_unknown"} & {note.code for note in result.notes()}
    first = result.tidy().query("kind == 'gap'").iloc[0]
    assert (first["lhs"], first["label"]) == ("7", "beyond chance")
