import pytest

from spc.drivers import key_drivers, study_drivers
from spc.drivers.sides import _outcome_and_drivers
from spc.study import person_scores, read_study
from spc.synthetic import make_firm


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return read_study(make_firm(seed=1, units=20, leadership=True).write(tmp_path_factory.mktemp("firm")))


def test_one_a_side_with_what_leads_to_its_last_construct(study):
    employee, customer = study_drivers(study, draws=100)
    assert employee.outcome == "employee_productivity"
    assert employee.drivers == ("leadership", "internal_service_quality", "employee_satisfaction")
    assert customer.outcome == "customer_loyalty"
    assert customer.drivers == ("customer_value", "customer_satisfaction")
    assert employee.clusters == 20
    assert set(customer.tidy().query("kind == 'performance'")["lhs"]) == set(customer.drivers)


def test_it_is_the_plain_analysis_of_the_scores(study):
    (_, customer) = study_drivers(study, draws=100, seed=7)
    scores = person_scores(study, "customer")
    direct = key_drivers(scores, customer.outcome, customer.drivers, draws=100, seed=7, cluster="unit")
    assert direct.weights.tolist() == customer.weights.tolist()
    assert direct.replicates.values.tolist() == customer.replicates.values.tolist()


def test_the_latest_wave_counts(tmp_path):
    waves = read_study(make_firm(seed=1, units=5, waves=2, sides=("customer",)).write(tmp_path))
    (found,) = study_drivers(waves, draws=100)
    assert found.n + found.dropped == len(person_scores(waves, "customer")) / 2
    assert found.clusters is None  # five units are too few to resample


@pytest.mark.parametrize(
    ("names", "links", "expected"),
    [
        ("abc", [], ("c", ["a", "b"])),
        ("cab", [("a", "b"), ("b", "c")], ("c", ["a", "b"])),
        ("abcd", [("a", "b"), ("b", "c")], ("c", ["a", "b"])),
        ("abcd", [("a", "b")], ("b", ["a", "c", "d"])),
        ("abc", [("a", "x"), ("x", "c")], ("c", ["a", "b"])),
        ("abc", [("a", "b"), ("b", "a")], ("c", ["a", "b"])),
    ],
)
def test_outcome_and_drivers(names, links, expected):
    assert _outcome_and_drivers(list(names), links) == expected
