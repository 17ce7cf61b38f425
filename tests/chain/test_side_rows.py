"""Units with one respondent, without a side, without an outcome: likelihood and robust errors by hand."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest

from spc.chain import fit_two_sided
from spc.chain.side_rows import side_rows

UNITS = 24
CHAIN = "value ~ mood\nprofit ~ value"
SINGLE, ALONE, SILENT = range(4), range(20, 24), range(0, 24, 5)


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(1)
    mood = rng.normal(size=UNITS)
    value = 0.5 * mood + rng.normal(0.0, 0.6, UNITS)
    people, customers = rng.integers(2, 8, UNITS), rng.integers(1, 15, UNITS)
    people[SINGLE], customers[ALONE] = 1, 0
    staff = pd.DataFrame({"shop": np.repeat(range(UNITS), people)})
    staff["mood"] = mood[staff["shop"]] + rng.normal(size=len(staff))
    guests = pd.DataFrame({"shop": np.repeat(range(UNITS), customers)})
    guests["value"] = value[guests["shop"]] + rng.normal(size=len(guests))
    units = pd.DataFrame({"shop": range(UNITS), "profit": value + rng.normal(size=UNITS)})
    units.loc[list(SILENT), "profit"] = np.nan
    return {"staff": staff, "guests": guests}, units


def fitted(tables, **options):
    sides, units = tables
    return fit_two_sided(CHAIN, sides=sides, units=units, unit="shop", draws=2, **options)


class ByHand:
    """Log-density of all that a unit has, at ten parameters: means, links, logarithms of variances."""

    def __init__(self, tables):
        (staff, guests), units = tables[0].values(), tables[1]
        own = [
            (staff.loc[staff["shop"] == j, "mood"], guests.loc[guests["shop"] == j, "value"],
             units.loc[units["shop"] == j, "profit"].dropna())
            for j in range(UNITS)
        ]  # fmt: skip
        self.data = [np.concatenate(parts) for parts in own]
        self.what = [np.repeat(range(3), [len(part) for part in parts]) for parts in own]

    def unit(self, x, j):
        mu, first, second = x[:3], x[3], x[4]
        mood, value, profit, within_mood, within_value = np.exp(x[5:])
        both = first * mood
        whole = first * both + value
        sigma = np.array([
            [mood, both, second * both], [both, whole, second * whole],
            [second * both, second * whole, second**2 * whole + profit],
        ])  # fmt: skip
        at = self.what[j]
        cov = sigma[np.ix_(at, at)] + np.diag(np.array([within_mood, within_value, 0.0])[at])
        root = np.linalg.cholesky(cov)
        white = np.linalg.solve(root, self.data[j] - mu[at])
        return -0.5 * white @ white - np.log(root.diagonal()).sum() - 0.5 * at.size * np.log(2.0 * np.pi)

    def whole(self, x):
        return sum(self.unit(x, j) for j in range(UNITS))


def parameters(fit):
    table = fit.tidy()
    means = table[table["kind"] == "mean"].set_index("lhs")["estimate"]
    links = table[table["kind"] == "link"].set_index("lhs")["estimate"]
    variances = table[table["kind"] == "variance"].set_index(["lhs", "level"])["estimate"]
    order = [("mood", "unit"), ("value", "unit"), ("profit", "unit"), ("mood", "person"), ("value", "person")]
    return np.array([
        *(means[name] for name in ("mood", "value", "profit")), links["value"], links["profit"],
        *(np.log(variances[pair]) for pair in order),
    ])  # fmt: skip


def test_likelihood_and_robust_errors_are_those_of_every_answer_by_hand(tables):
    fit, hand = fitted(tables, errors="robust", boundary=False), ByHand(tables)
    x = parameters(fit)
    assert fit.core.logl == pytest.approx(hand.whole(x), abs=1e-7)
    step = 1e-5 * np.eye(x.size)
    scores = np.array([[hand.unit(x + e, j) - hand.unit(x - e, j) for e in step] for j in range(UNITS)]) / 2e-5
    np.testing.assert_allclose(scores.sum(axis=0), 0.0, atol=1e-6)
    information, wide = np.empty((x.size, x.size)), 1e-4 * np.eye(x.size)
    for a, b in combinations_with_replacement(range(x.size), 2):
        one, two = wide[a], wide[b]
        corners = hand.whole(x + one + two) - hand.whole(x + one - two)
        corners += hand.whole(x - one - two) - hand.whole(x - one + two)
        information[a, b] = information[b, a] = -corners / 4e-8
    bread = np.linalg.inv(information)
    error = np.sqrt((bread @ scores.T @ scores @ bread).diagonal())[3:5]
    links = fit.tidy().query("kind == 'link'")["std_error"]
    np.testing.assert_allclose(links, error * np.sqrt(UNITS / fit.freedom), rtol=1e-4)


def test_the_order_of_rows_sides_and_units_changes_nothing(tables):
    sides, units = tables
    turned = {side: frame.sample(frac=1.0, random_state=2) for side, frame in reversed(sides.items())}
    one, two = fitted(tables), fitted((turned, units.iloc[::-1]))
    for kind in ("link", "mean", "intercept", "icc1"):
        tables_of = [fit.tidy().set_index(["lhs", "rhs"]) for fit in (one, two)]
        ours, theirs = (table[table["kind"] == kind] for table in tables_of)
        np.testing.assert_allclose(ours["estimate"], theirs.loc[ours.index, "estimate"], rtol=1e-6)


def test_rows_that_count_keep_their_places(tables):
    sides, units = tables
    staff = sides["staff"].assign(shop=sides["staff"]["shop"].where(sides["staff"].index != 3))
    laid = side_rows(["mood", "value", "profit"], {**sides, "staff": staff}, units, "shop")
    assert 3 not in laid.rows[0]
    np.testing.assert_array_equal(laid.sides[0][2][:, 0], staff["mood"].to_numpy()[laid.rows[0]])
    assert (len(laid.keys), laid.outcomes.shape) == (UNITS, (UNITS, 1))
    assert [note.code for note in laid.messages] == ["no_unit"]
