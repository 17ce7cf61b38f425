"""Every question asked of a chain passes the gate, and none does on too few units."""

import pytest

import spc
from spc.errors import DataError

UNITS = 24
MAKERS = {
    "rivals": lambda study: spc.rivals(study, draws=100),
    "shapes": lambda study: spc.link_shapes(study, draws=99),
    "panel": spc.panel,
    "lags": lambda study: spc.lag_search(study, "employee_satisfaction", "customer_value", draws=199),
    "methods": lambda study: spc.link_methods(study, spc.fit_chain(study, draws=200), draws=99),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    firm = spc.make_firm(seed=4, units=UNITS, employees=6, customers=10, waves=3)
    return spc.read_study(firm.write(tmp_path_factory.mktemp("firm")))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", MAKERS)
def test_the_gate_knows_the_units(study, kind):
    result = MAKERS[kind](study)
    assert spc.Gate.of(study).model(result).kind == kind
    with pytest.raises(DataError, match=f"fewer than {UNITS + 1}"):
        spc.Gate(spc.DisclosureRule(UNITS + 1, UNITS + 1)).model(result)


def test_what_others_published_rests_on_no_answers():
    assert spc.Gate().model(spc.published_links()).kind == "published"
