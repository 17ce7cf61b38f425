import math
from types import SimpleNamespace

import pandas as pd
import pytest

from spc.report.words import (
    confidence,
    links_sentence,
    money_sentence,
    notes_in_words,
    periods,
    settle,
    total_sentence,
)
from spc.results import Note

TERMS = SimpleNamespace(points=0.05, horizon=5.0, period="year")


def row(estimate, low, high, **more):
    return SimpleNamespace(estimate=estimate, conf_low=low, conf_high=high, **more)


def links(*verdicts):
    names = "abcdefgh"
    return pd.DataFrame(
        {"rhs": list(names[: len(verdicts)]), "lhs": list(names[1 : len(verdicts) + 1]), "label": verdicts}
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("holds",), "The one link of the chain holds here."),
        (("unclear",), "The one link of the chain, a to b, is unclear here."),
        (("opposite",), "The one link of the chain, a to b, runs the other way here."),
        (("holds", "holds"), "Both links of the chain hold here."),
        (("holds", "unclear"), "One of the two links of the chain holds here; b to c is unclear."),
        (
            ("opposite", "unclear"),
            "None of the two links of the chain hold here; b to c is unclear; a to b is the other way round.",
        ),
        (("unclear",) * 5, "None of the five links of the chain hold here; five links are unclear."),
    ],
)
def test_verdicts_of_links(given, said):
    assert links_sentence(links(*given), {}) == said


def test_one_link_that_is_not_interpretable_stops_all():
    assert "none of its links is a finding" in links_sentence(links("holds", "not interpretable"), {})


@pytest.mark.parametrize(
    ("interval", "word"),
    [((90, 110), "firm"), ((70, 130), "fair"), ((10, 200), "rough"), ((-1, 200), "open"), ((math.nan, 1), "open")],
)
def test_the_word_of_confidence_comes_from_the_interval(interval, word):
    assert confidence(100, *interval) == word


def test_a_loss_is_told_as_a_cost():
    said = money_sentence(row(-5000.0, -6000.0, -4000.0), TERMS, "EUR", whole=True)
    assert "would cost €5,000 in all over 5 years (between €4,000 and €6,000)" in said


def test_an_interval_over_zero_is_an_open_question():
    assert "open question" in money_sentence(row(50.0, -10.0, 110.0), TERMS, "EUR", whole=True)


def test_end_to_end_says_when_no_change_is_included():
    said = total_sentence(row(0.2, -0.1, 0.5, rhs="a", lhs="b"), {"a": "Service", "b": "NPS"})
    assert said == (
        "End to end, one point more service goes with 0.20 more NPS "
        "(between −0.10 and 0.50, an interval that includes no change)."
    )


def test_end_to_end_less_is_not_said_to_be_more():
    said = total_sentence(row(-0.2, -0.5, -0.1, rhs="a", lhs="b"), {"a": "Waiting", "b": "NPS"})
    assert said == "End to end, one point more waiting goes with less NPS: −0.20 (between −0.50 and −0.10)."


def test_horizons():
    assert periods(1, "year") == "over 1 year"
    assert periods(math.inf, "month") == "without a horizon"


def test_a_figure_whose_ground_is_doubted_is_never_called_firm():
    terms = SimpleNamespace(points=0.01, horizon=5, period="year")
    sound = money_sentence(row(100.0, 99.0, 101.0), terms, "EUR", whole=True)
    assert sound.startswith("One point more retention is worth €100")
    assert "a firm figure" in sound
    doubted = money_sentence(row(100.0, 99.0, 101.0), terms, "EUR", whole=True, doubted=True)
    assert "firm" not in doubted
    assert "a rough figure, however narrow its interval" in doubted


@pytest.mark.parametrize(("level", "what"), [("unit", "units"), ("person", "respondents")])
def test_an_interval_halves_with_the_rows_of_the_analysis(level, what):
    said = settle(row(0.1, -0.1, 0.3, rhs="a", lhs="b"), {}, level)
    assert f"Four times as many {what} halve" in said


def test_notes_call_constructs_by_their_names_in_words():
    rows = pd.DataFrame({"lhs": ["es_x", "es_x"], "rhs": ["q_1", ""], "kind": ["loading", "alpha"]})
    note = Note("incomplete", "info", "es_x", "1 of es_x; study.es_x stays, q_1 stays. es_x.")
    model = SimpleNamespace(tidy=SimpleNamespace(frame=rows), labels={}, notes=(note,))
    assert notes_in_words(model)[0].text == "1 of es x; study.es_x stays, q_1 stays. es x."
