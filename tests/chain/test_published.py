"""The library of published links: what the stored matrices say, and where a firm's link stands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.chain.published import published_links, published_standing
from spc.errors import DataError
from spc.spec import CHAIN_CONSTRUCTS


def test_a_sum_of_items_has_the_correlation_of_their_sums() -> None:
    # Bagozzi (1980): sales with two indicators of satisfaction, .418 and .394, which correlate .627
    row = published_links().tidy().set_index("label").loc["Bagozzi 1980"]
    assert row["estimate"] == pytest.approx((0.418 + 0.394) / np.sqrt(2 + 2 * 0.627), abs=1e-12)
    alpha = 2 * 0.627 / (1 + 0.627)
    assert row["std_all"] == pytest.approx(row["estimate"] / np.sqrt(alpha), abs=1e-12)


def test_a_printed_correlation_is_kept_with_fishers_interval() -> None:
    row = published_links().tidy().set_index("label").loc["Singh 2000"]
    assert row["estimate"] == pytest.approx(0.101)
    half = 1.959964 / np.sqrt(305 - 3)
    assert row["conf_low"] == pytest.approx(np.tanh(np.arctanh(0.101) - half), abs=1e-6)


def test_studies_that_differ_widen_the_interval_of_their_mean() -> None:
    table = published_links().tidy().query("rhs == 'leadership' and lhs == 'employee_satisfaction'")
    row = table.set_index("label").loc["Boer et al. 2016"]
    r = row["estimate"]
    assert row["std_error"] ** 2 == pytest.approx((1 - r**2) ** 2 / 14020 + 0.0367 / 29)
    half = 1.959964 * np.sqrt(1 / 14018 + 0.0367 / 29 / (1 - r**2) ** 2)
    assert np.arctanh(row["conf_high"]) - np.arctanh(r) == pytest.approx(half, abs=1e-6)


def test_every_study_says_where_it_is_from_and_only_names_constructs_of_the_chain() -> None:
    library = published_links()
    assert library.sources()["citation"].str.len().min() > 10
    for study in library.studies:
        assert set(study.constructs) <= set(CHAIN_CONSTRUCTS)
        assert np.linalg.eigvalsh(study.correlation)[0] > 0
        assert study.n > 50
    table = library.tidy()
    order = {name: i for i, name in enumerate(CHAIN_CONSTRUCTS)}
    assert all(order[cause] < order[effect] for cause, effect in zip(table["rhs"], table["lhs"], strict=True))
    assert {note.code for note in library.notes()} == {"persons_not_units", "no_crossing_link"}


def test_pooling_the_library_corrects_for_reliability() -> None:
    wanted = ["customer_value", "customer_satisfaction", "customer_loyalty"]
    corrected, raw = published_links().pool(wanted), published_links().pool(wanted, correct=False)
    assert corrected.k.tolist() == [2, 3, 3]
    assert (corrected.estimate > raw.estimate).all()
    with pytest.raises(DataError, match="at least 2"):
        published_links().pool(["leadership", "profitability"])


@pytest.mark.parametrize(("own", "standing"), [(0.1, "below all"), (0.6, "within"), (0.9, "above all")])
def test_a_link_stands_below_within_or_above(own: float, standing: str) -> None:
    links = pd.DataFrame({"lhs": ["employee_loyalty"], "rhs": ["employee_satisfaction"], "std_all": [own]})
    assert published_standing(links)["standing"].tolist() == [standing]


def test_links_without_a_published_number_say_so() -> None:
    links = pd.DataFrame({"lhs": ["customer_value"], "rhs": ["employee_loyalty"], "std_all": [0.3]})
    row = published_standing(links).iloc[0]
    assert row["standing"] == "no published link"
    assert np.isnan(row["median"])
    with pytest.raises(DataError, match="std_all"):
        published_standing(links.drop(columns="std_all"))


def test_of_a_whole_table_the_links_are_read():
    rows = [
        {"lhs": "employee_loyalty", "rhs": "employee_satisfaction", "std_all": 0.6, "kind": "link"},
        {"lhs": "employee_loyalty", "rhs": "employee_satisfaction", "std_all": 0.6, "kind": "total"},
    ]
    assert len(published_standing(pd.DataFrame(rows))) == 1
