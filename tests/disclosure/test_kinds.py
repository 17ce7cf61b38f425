import re
from pathlib import Path

import pandas as pd
import pytest

import spc
from spc.disclosure import OF_THE_BOOKS, DisclosureRule, Gate
from spc.errors import DataError
from spc.results import tidy_frame


class Books:
    kind = "accounts"

    def __init__(self, table, kind="account", by=None):
        self.table, self.row, self.by = table, kind, by

    def tidy(self):
        return tidy_frame([{"lhs": "freight", "kind": self.row, "estimate": 1.0}])

    def glance(self):
        return pd.DataFrame([{"customers": 2} if self.by is None else {"customers": 2, "by": self.by}])

    def notes(self):
        return ()

    def augment(self):
        return self.table


def test_accounts_of_customers_may_be_shown():
    released = Gate(DisclosureRule()).model(Books(pd.DataFrame({"customer": ["a", "b"], "freight": [1.0, 2.0]})))
    assert released.curve.frame["customer"].tolist() == ["a", "b"]


@pytest.mark.parametrize("column", ["seller", "Employee", "respondent"])
def test_names_of_staff_may_not(column):
    with pytest.raises(DataError, match="figures by employee"):
        Gate(DisclosureRule()).model(Books(pd.DataFrame({column: ["a"]})))


def test_tables_of_groups_that_are_employees_may_not():
    table = pd.DataFrame({"peers": ["a", "b"], "worth": [1.0, 2.0]})
    assert Gate(DisclosureRule()).model(Books(table, by="segment")).curve.frame["worth"].sum() == 3.0
    with pytest.raises(DataError, match="figures by employee"):
        Gate(DisclosureRule()).model(Books(table, by="seller"))


def test_no_result_of_answers_has_a_kind_of_the_books():
    """A kind of the books is let through whatever it rests on, so nothing else may call itself that."""
    named = {
        kind
        for file in Path(spc.__file__).parent.rglob("*.py")
        if file.parent.name != "accounts"
        for kind in re.findall(r'^    kind: str = "(\w+)"', file.read_text(), flags=re.MULTILINE)
    }
    assert len(named) > 20
    assert not named & OF_THE_BOOKS


def test_rows_of_sellers_may_not():
    with pytest.raises(DataError, match="seller"):
        Gate(DisclosureRule()).model(Books(pd.DataFrame({"x": [1]}), kind="seller"))
