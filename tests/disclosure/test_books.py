import pandas as pd
import pytest

from spc.disclosure import DisclosureRule, Gate
from spc.errors import DataError
from spc.results import tidy_frame


class Books:
    kind = "accounts"

    def __init__(self, table, kind="account"):
        self.table, self.row = table, kind

    def tidy(self):
        return tidy_frame([{"lhs": "freight", "kind": self.row, "estimate": 1.0}])

    def glance(self):
        return pd.DataFrame([{"customers": 2}])

    def notes(self):
        return ()

    def augment(self):
        return self.table


def test_accounts_of_customers_may_be_shown():
    released = Gate(DisclosureRule()).model(Books(pd.DataFrame({"customer": ["a", "b"], "freight": [1.0, 2.0]})))
    assert released.curve.frame["customer"].tolist() == ["a", "b"]


@pytest.mark.parametrize("column", ["seller", "Employee", "respondent"])
def test_names_of_staff_may_not(column):
    with pytest.raises(DataError, match="names employees"):
        Gate(DisclosureRule()).model(Books(pd.DataFrame({column: ["a"]})))


def test_rows_of_sellers_may_not():
    with pytest.raises(DataError, match="seller"):
        Gate(DisclosureRule()).model(Books(pd.DataFrame({"x": [1]}), kind="seller"))
