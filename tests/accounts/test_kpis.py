"""The tree of figures: owners, places in the chain, lines, and everything that does not fit together."""

import pandas as pd
import pytest

from spc.accounts import AccountsSpec, CostDriver, Kpi, customer_accounts, kpi_tree, kpi_tree_faults
from spc.errors import UsageError

DRIVERS = (CostDriver("revenue", side="revenue", column="amount"), CostDriver("freight", column="freight"))


def codes(tree, drivers=()):
    return {(note.code, note.subject) for note in kpi_tree_faults(tree, drivers=drivers)}


def test_circles_and_owners():
    tree = {"a": {"owner": "x", "parent": "b"}, "b": {"owner": ["x", "y"], "parent": "a"}, "c": {"owner": "z"}}
    assert codes(tree) == {("circle", "a"), ("circle", "b"), ("several_owners", "b")}
    assert codes({"a": {"owner": "x", "parent": "a"}}) == {("circle", "a")}


def test_a_figure_that_hangs_below_a_circle_is_said_to():
    tree = {"a": {"owner": "x", "parent": "b"}, "b": {"owner": "x", "parent": "a"}, "c": {"owner": "x", "parent": "a"}}
    assert codes(tree) == {("circle", "a"), ("circle", "b")}
    assert kpi_tree(kpis=tree).augment()["depth"].tolist() == [1, 1, 2]


def test_what_feeds_a_figure_comes_before_it_in_the_chain():
    tree = {"csat": {"owner": "x", "construct": "customer_satisfaction"},
            "esat": {"owner": "y", "construct": "employee_satisfaction", "parent": "csat"},
            "loyal": {"owner": "z", "construct": "customer_loyalty", "parent": "csat"},
            "mood": {"owner": "z", "construct": "moods"}}  # fmt: skip
    assert codes(tree) == {("against_the_chain", "loyal"), ("unknown_construct", "mood")}


def test_every_line_has_one_owner():
    tree = {"sales": {"owner": "x", "line": "revenue"}, "growth": {"owner": "y", "line": "revenue"},
            "rent": {"owner": "x", "line": "rent"}}  # fmt: skip
    assert codes(tree, DRIVERS) == {("line_of_several", "revenue"), ("line_without_owner", "freight"),
                                    ("unknown_line", "rent")}  # fmt: skip


def test_lines_of_the_accounts_say_where_a_figure_stands():
    sales = pd.DataFrame({"customer": ["a"], "date": "2026-01-01", "amount": [9.0], "freight": [1.0]})
    accounts = customer_accounts(sales, spec=AccountsSpec(DRIVERS))
    figures = [Kpi("profit", "x", line="contribution"), Kpi("growth", "x", "profit", line="net_revenue"),
               Kpi("sold", "x", "growth", line="revenue"), Kpi("freight %", "y", "profit", line="freight")]  # fmt: skip
    tree = kpi_tree(accounts, figures)
    assert tree.glance()[["kpis", "owners", "faults"]].iloc[0].tolist() == [4, 2, 0]
    assert tree.augment()["position"].tolist() == [9, 8, 8, 9]
    lines = tree.tidy().query("kind == 'line'")
    assert dict(zip(lines["lhs"], lines["label"], strict=True)) == {"revenue": "x", "freight": "y"}


def test_no_figures_and_figures_twice():
    with pytest.raises(UsageError, match=r"\[\[accounts.kpis\]\]"):
        kpi_tree()
    assert [note.code for note in kpi_tree(kpis=[Kpi("a", "x"), Kpi("a", "y")]).notes()] == ["listed_twice"]
