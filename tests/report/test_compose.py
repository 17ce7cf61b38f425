import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import pandas as pd
import pytest

from spc.disclosure import DisclosureRule
from spc.errors import DataError, UsageError
from spc.report import compose_report

NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?")
WITH_COMMA = re.compile(r"[−-]?\d[\d.]*(?:,\d+)?")


class Page(HTMLParser):
    """Texts of a page: those of prose, those of tables, and what a screen reader is told of figures."""

    def __init__(self, html):
        super().__init__()
        self.stack, self.prose, self.tables, self.figures = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "link", "br"}:
            self.stack.append((tag, dict(attributes).get("class") or ""))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, text):
        tags = [tag for tag, _ in self.stack]
        if "style" in tags:
            return
        if "svg" in tags:
            self.figures.append((tags[-1], text))
        elif "table" in tags:
            self.tables.append(text)
        elif {"main", "header"} & set(tags):
            self.prose.append(text)


def numbers(texts, pattern=NUMBER, thousands=","):
    return {found.strip("−-").replace(thousands, "") for text in texts for found in pattern.findall(text)}


def page(results):
    return Page(compose_report(results).html())


def text_of(results):
    return " ".join(page(results).prose).replace("\u00a0", " ")


@pytest.fixture(scope="module")
def html(results):
    return compose_report(results).html()


def test_every_number_in_the_prose_is_in_a_table(html):
    found = Page(html)
    assert len(numbers(found.prose)) > 15
    assert numbers(found.prose) - numbers(found.tables) == set()


def test_every_number_told_of_a_figure_is_in_a_table(html):
    found = Page(html)
    told = [text for tag, text in found.figures if tag == "desc"]
    assert numbers(told) - numbers(found.tables) == set()


@pytest.mark.parametrize("name", ["da", "de", "nb", "nl"])
def test_numbers_of_prose_and_figures_are_in_tables_in_every_language(results, name):
    found = Page(compose_report(results, language=name).html())
    told = [text for tag, text in found.figures if tag == "desc"]
    prose, tables, figures = (
        numbers([re.sub(r"(?<=\d)\u00a0(?=\d{3})", "", text) for text in texts], WITH_COMMA, ".")
        for texts in (found.prose, found.tables, told)
    )
    assert len(prose) > 15
    assert prose - tables == set()
    assert figures - tables == set()
    ticks = [text.strip() for tag, text in found.figures if tag == "text"]
    assert not [text for text in ticks if re.fullmatch(r"[−-]?\d+\.\d{1,2}", text)]
    assert any(re.fullmatch(r"\d+,\d+", text) for text in ticks)
    assert re.search(r"\[[−\d,]+; [−\d,]+\]", " ".join(found.tables))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_any_part_may_be_absent(results, size):
    for part in combinations(results, size):
        found = page(list(part))
        assert found.prose
        assert not {"nan", "None", "NaN"} & set(" ".join([*found.prose, *found.tables]).split())


def test_the_first_sentence_is_the_verdict_in_money(results):
    headline = compose_report(results).headline.replace("\u00a0", " ")
    assert re.match(
        r"Five points more retention are worth €[\d,.]+ over all present customers over 5 years \(between €", headline
    )
    assert "figure" in headline


def test_without_money_it_is_the_verdict_of_the_chain(chain):
    headline = compose_report([chain]).headline
    assert headline.startswith("Three of the four links of the chain hold here")
    assert "employee satisfaction to value is unclear" in headline


def test_without_margins_it_is_in_per_cent(loyalty):
    report = compose_report([replace(loyalty, margin=None)])
    assert "€" not in report.headline
    assert "%" in report.headline


def test_paths_that_cannot_be_told_apart_are_not_findings(collinear, study):
    report = compose_report([study, collinear])
    html = report.html()
    assert "none of its links is a finding" in report.headline
    plain = text_of([study, collinear])
    assert "End to end" not in plain
    assert "cannot tell one from the other" in plain
    assert "What moves" not in html
    figures = " ".join(text for _, text in Page(html).figures)
    assert "0.64" not in figures
    assert not {"holds", "unclear"} & set(re.findall(r"<td[^>]*>(\w+)</td>", html))


def test_labels_of_the_study_are_used_everywhere(html):
    assert "Service inside" in html
    assert "employee_satisfaction" not in html


def test_serious_notes_come_first(html):
    assert html.index("Something grave.") < html.index("60 rows for 18") < html.index("Something by the way.")


def test_title_comes_from_the_call_then_the_study(results):
    assert compose_report(results).title == "Fjord Retail 2026"
    assert compose_report(results, title="Board").title == "Board"


def test_unclear_links_are_told_with_what_would_settle_them(html):
    told = " ".join(Page(html).prose)
    assert "Whether employee satisfaction moves value" in told
    assert "Four times as many units halve an interval" in told


def test_the_fit_of_a_model_without_degrees_of_freedom_is_not_told(chain):
    saturated = {**chain.summary, "df": 0, "chisq": 0.0, "pvalue": float("nan"), "cfi": 1.0}
    html = compose_report([replace(chain, summary=saturated)]).html()
    assert "not to be judged" in html
    assert "CFI, TLI" not in html


def test_a_chain_without_a_test_is_not_told_to_fit(chain):
    measures = ("chisq", "pvalue", "cfi", "tli", "rmsea", "rmsea_ci_lower", "rmsea_ci_upper", "srmr")
    untested = {**chain.summary, **dict.fromkeys(measures, float("nan"))}
    html = compose_report([replace(chain, summary=untested)]).html()
    assert "there is no test of this chain" in html
    assert "Chi-square" not in html
    assert "CFI" not in html


def test_the_rule_can_be_made_stricter_only(results, study):
    assert ">8<" in compose_report(results, rule=DisclosureRule(8, 10)).html()
    with pytest.raises(DataError):
        compose_report([replace(study, summary={**study.summary, "employee_responses": 7})], rule=DisclosureRule(8, 10))


def test_a_result_on_too_few_is_refused(chain):
    with pytest.raises(DataError, match="fewer than 5"):
        compose_report([replace(chain, summary={**chain.summary, "nobs": 4})])


@pytest.mark.parametrize("given", [[], [pd.DataFrame()], ["study"], [None]])
def test_what_is_no_result_is_refused(given):
    with pytest.raises(UsageError):
        compose_report(given)


def test_a_single_result_needs_no_list(chain):
    assert compose_report(chain).headline == compose_report([chain]).headline


def test_the_same_results_give_the_same_bytes(results, html):
    assert compose_report(results).html() == html
