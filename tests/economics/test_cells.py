import numpy as np
import pandas as pd
import pytest

from spc.economics import fit_hazard
from spc.economics.cells import read_cells
from spc.errors import DataError, NonConvergenceError, UsageError

LEDGER = pd.DataFrame(
    {
        "tenure": [1, 2, 2, 3, 4, 5],
        "churned": [1, 0, 1, 1, 1, 1],
        "segment": ["b", "a", "b", "a", None, "c"],
        "size": [1.0, 2.0, 1.0, 5.0, 3.0, 4.0],
        "unit": [1, 1, 2, 2, 3, 3],
    }
)


def test_customers_are_put_together_and_kept_in_step():
    cells = read_cells(LEDGER, ["segment", "size"])
    assert cells.customers == 5
    assert cells.names == (("segment", "b against a"), ("segment", "c against a"), ("size", ""))
    np.testing.assert_array_equal(cells.columns, [[1, 0, 1], [0, 0, 2], [0, 0, 5], [0, 1, 4]])
    np.testing.assert_array_equal(cells.table.events.sum(axis=1), [2, 0, 1, 1])
    np.testing.assert_array_equal(cells.table.exposure.sum(axis=1), [3, 2, 3, 5])
    assert cells.cluster is None


def test_numbers_that_are_names_go_by_value_and_clusters_need_five():
    cells = read_cells(LEDGER, ["unit"], cluster="unit")
    assert [label for _, label in cells.names] == ["2 against 1", "3 against 1"]
    assert cells.clusters == 0
    many = pd.concat([LEDGER.assign(unit=LEDGER["unit"] + 3 * k) for k in range(3)], ignore_index=True)
    assert read_cells(many, ["size"], cluster="unit").clusters == 9


@pytest.mark.parametrize("wrong", [{"same": 1.0}, {"again": LEDGER["size"] * 2 + 1}])
def test_covariates_that_tell_nothing_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=name):
        read_cells(LEDGER.assign(**wrong), ["size", name])
    with pytest.raises(UsageError, match=name):
        fit_hazard(LEDGER.assign(**wrong), ["size", name], baseline="constant")


def test_covariates_that_cannot_be():
    with pytest.raises(DataError, match="infinite"):
        read_cells(LEDGER.assign(size=[1.0, np.inf, 1, 2, 3, 4]), ["size"])
    with pytest.raises(DataError, match="no such column"):
        read_cells(LEDGER, ["region"])
    with pytest.raises(UsageError, match="every covariate"):
        read_cells(LEDGER.assign(size=np.nan), ["size"])
    with pytest.raises(UsageError, match="Nobody left"):
        read_cells(LEDGER.assign(churned=0), ["size"])
    with pytest.raises(DataError, match="regin"):
        read_cells(LEDGER, ["size"], cluster="regin")


@pytest.mark.parametrize("churned", [0, 1])
def test_values_of_which_nobody_left_or_nobody_stayed_are_named(churned):
    odd = pd.DataFrame({"tenure": [1] * 3, "churned": churned, "segment": "odd", "size": 1.0, "unit": 1})
    with pytest.raises(NonConvergenceError, match="segment 'odd'"):
        read_cells(pd.concat([LEDGER, odd], ignore_index=True), ["size", "segment"])


def test_a_name_of_each_customer_is_refused_at_once():
    rng = np.random.default_rng(1)
    life, age = rng.geometric(0.2, 20_000), rng.integers(1, 9, 20_000)
    ledger = pd.DataFrame({"tenure": np.minimum(life, age), "churned": life <= age}).assign(name=np.arange(20_000))
    with pytest.raises(NonConvergenceError, match="name"):
        fit_hazard(ledger.astype({"name": str}), ["name"])
