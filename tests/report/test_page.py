"""The whole page of a made-up firm, as a reader meets it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from spc.disclosure import ReleasedTable
from spc.plot.charts import in_time
from spc.plot.numbers import bracket, estimate, money, number, percent
from spc.report import compose_report
from spc.report.blocks import EquationsBlock, FactsBlock, FigureBlock, FindingBlock, Prose, ScenarioBlock, TableBlock
from spc.report.compose import ALWAYS, AUDIENCES, SECTIONS
from spc.scenario import Change, fit_study, simulate_study

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
FOLDED = re.compile(r"\(\d+ (?:rows?|notes?)\)")
DRAWS = 300


class Page(HTMLParser):
    """Texts of a page by where they stand: in tables, in prose, in descriptions of figures."""

    def __init__(self, html):
        super().__init__()
        self.stack, self.tables, self.prose, self.figures = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "link", "br", "img", "input"}:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, text):
        if {"style", "script", "noscript"} & set(self.stack):
            return
        if "svg" in self.stack:
            self.figures += [text] if self.stack[-1] == "desc" else []
        elif "table" in self.stack:
            self.tables.append(text)
        elif "main" in self.stack or "header" in self.stack:
            self.prose.append(text)


def numbers(texts):
    """Numbers in texts; how many rows a folded table has is no finding."""
    return {found.replace(",", "") for text in texts for found in NUMBER.findall(FOLDED.sub("", text))}


@pytest.fixture(scope="module")
def report(fitted):
    return compose_report(fitted)


@pytest.fixture(scope="module")
def html(report):
    return report.html()


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    return report.save(tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def simulated(firm, fitted):
    """Scenarios of the firm, as spc simulate works them out with the same draws and seed."""
    one = {result.kind: result for result in fitted}
    return lambda changes: simulate_study(firm, changes, chain=one["chain"], loyalty=one["loyalty"], draws=DRAWS)


def blocks_of(report, *kinds):
    return [block for section in report.sections for block in section.blocks if isinstance(block, kinds)]


def section(report, anchor):
    return next(part for part in report.sections if part.anchor == anchor)


def test_all_sections_are_there(report):
    assert [part.anchor for part in report.sections] == list(SECTIONS)


def test_every_number_in_the_prose_is_in_a_table(html):
    page = Page(html)
    told = numbers(page.prose)
    assert len(told) > 60
    assert told - numbers(page.tables) == set()


def test_every_number_told_of_a_figure_is_in_a_table(html):
    page = Page(html)
    assert len(numbers(page.figures)) > 40
    assert numbers(page.figures) - numbers(page.tables) == set()


def test_page_one_has_money_chain_levers_unknowns_and_ground(report):
    first = section(report, "glance").blocks
    assert re.search(r"worth €[\d,]+ .*between €[\d,]+ and €[\d,]+.*figure", first[0].text)
    assert sum(isinstance(block, FigureBlock) for block in first) == 1
    levers = next(block for block in first if isinstance(block, TableBlock))
    assert [head.header for head in levers.columns][:5] == ["Lever", "Step", "Cost", "Profit", "Interval"]
    assert {row[0] for row in levers.cells} == {"New tools", "Customer satisfaction"}
    place = [head.header for head in levers.columns].index("Profit per cost")
    ratios = [float(row[place].replace("−", "-").replace(",", "")) for row in levers.cells]
    assert ratios == sorted(ratios, reverse=True)
    assert "Rests on" in first[-1].text


def test_every_weak_finding_has_a_caveat(report):
    findings = blocks_of(report, FindingBlock)
    assert len(findings) >= 12
    assert all(block.caveats for block in findings if block.strength != "strong")
    assert all(block.method for block in findings)


def test_levers_are_the_numbers_of_the_simulation(simulated, report):
    outlook = simulated([Change("internal_service_quality", 0.2, cost=3000.0)])
    rows = outlook.tidy().set_index("kind")
    worth = rows.loc["present_value"]
    table = next(block for block in section(report, "scenarios").blocks if isinstance(block, TableBlock))
    told = next(row for row in table.cells if row[0] == "New tools")
    assert money(worth["estimate"], "EUR") in told
    assert f"{money(worth['conf_low'], 'EUR')} to {money(worth['conf_high'], 'EUR')}" in told
    assert percent(rows.loc["chance_of_loss", "estimate"], 1) in told


def test_a_scenario_that_was_worked_out_is_told(simulated, fitted):
    outlook = simulated([Change("customer_satisfaction", 0.2, cost=2000.0)])
    found = compose_report([fitted[0], outlook])
    told = section(found, "scenarios").blocks
    worth = outlook.tidy().set_index("kind").loc["present_value", "estimate"]
    assert f"would bring {money(worth, 'EUR')}" in told[1].text
    page = Page(found.html())
    assert numbers(page.prose) - numbers(page.tables) <= {"5"}
    assert told[-1].caption == "Where constructs stand after 5 years"


def test_draws_in_the_page_are_released_and_small(report, html):
    block = blocks_of(report, ScenarioBlock)[0]
    assert isinstance(block.released, ReleasedTable)
    rows, columns = block.released.frame.shape
    assert rows == DRAWS
    whole = len(html.encode()) + (4000 - rows) * columns * 4 * 4 / 3
    assert whole < 3e6


def test_sliders_stop_inside_what_units_show(fitted, report):
    from spc.scenario.simulate import observed_range

    today = observed_range(next(result for result in fitted if result.kind == "chain"))
    for node in blocks_of(report, ScenarioBlock)[0].data["today"]:
        low, high = today.loc[node["name"], ["low", "high"]]
        assert low - 1e-9 <= node["low"] <= node["mean"] <= node["high"] <= high + 1e-9


def test_a_board_reads_no_method_and_nobody_misses_caveats(fitted):
    for audience in ("board", "analyst"):
        found = compose_report(fitted, audience=audience)
        anchors = [part.anchor for part in found.sections]
        assert set(ALWAYS) <= set(anchors)
        assert not set(AUDIENCES[audience]) & set(anchors)
        assert not blocks_of(found, EquationsBlock)
        long = [block for block in blocks_of(found, TableBlock) if len(block.cells) > 5]
        assert audience == "analyst" or all(block.folded for block in long)


def test_the_method_has_the_reporting_standards_filled_in(report):
    facts = {block.caption: dict(block.pairs) for block in blocks_of(report, FactsBlock)}
    standards = next(pairs for caption, pairs in facts.items() if "JARS" in caption)
    assert standards["Design"] == "observational; people within 40 units"
    assert "9 links among 9 constructs" in standards["Model"]
    assert standards["Questions"].startswith("22, 4 of them")
    assert standards["Smallest effect of interest"] == "none stated in the study document"
    assert "full-information" in standards["Handling of missing answers"]
    assert re.search(r"links of about 0\.\d+ to 0\.\d+ standard deviations", standards["Sample size and sensitivity"])
    left = [name for name, text in standards.items() if text == "to be filled in by the author"]
    assert len(left) == 4
    assert len(standards) >= 30


def test_the_replication_appendix_gives_the_model_and_a_whole_matrix(fitted, report):
    blocks = section(report, "replication").blocks
    text = next(block.text for block in blocks if isinstance(block, Prose) and block.tone == "code")
    matrix = next(block for block in blocks if isinstance(block, TableBlock))
    values = np.array([row[1:] for row in matrix.values], dtype=float)
    cov = np.tril(values) + np.tril(values, -1).T
    import spc

    names = [row[0] for row in matrix.cells]
    fit = spc.fit(text, spc.Moments(names=names, n=40, mean=None, cov=cov))
    again = fit.tidy().query("kind == 'regression'").set_index(["lhs", "rhs"])["estimate"]
    chain = next(result for result in fitted if result.kind == "chain")
    chain = chain.tidy().query("kind == 'link'").set_index(["lhs", "rhs"])
    gap = (again - chain["estimate"]).abs() / chain["std_error"]
    assert len(gap) == 9
    assert gap.max() < 1.0


def test_the_same_study_gives_the_same_bytes_apart_from_the_time(small_firm):
    clock = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+\d:.Z]*")
    one, other = (compose_report(fit_study(small_firm, draws=200)).html() for _ in range(2))
    assert clock.sub("", one) == clock.sub("", other)
    assert clock.search(one)


def shown(browser, ident):
    return browser.run("return document.getElementById(arguments[0]).textContent", ident)


def push(browser, lever, by):
    """Move a slider by so much."""
    browser.run(
        """const [k, by] = arguments, slider = document.getElementById("lever-" + k);
        const { data } = JSON.parse(document.getElementById("whatif-data").textContent);
        const node = data.today.find((found) => found.name === data.levers[k].name);
        slider.value = String(Math.round(by / node.step)); slider.dispatchEvent(new Event("input"));""",
        lever, by,
    )  # fmt: skip


def settled(browser):
    browser.later("requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 400)));")


def cost(browser, ident, amount):
    browser.run(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input'))",
        ident, str(amount),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("moves", "once"),
    [
        ({0: 0.2}, 0.0),
        ({0: 0.3, 1: -0.2}, 2500.0),
        ({0: -0.4, 1: 0.15, 2: 0.25}, 900.0),
    ],
)
def test_sliders_match_the_simulation_to_the_printed_digit(browser, simulated, report, path, moves, once):
    names = [lever["name"] for lever in blocks_of(report, ScenarioBlock)[0].data["levers"]]
    browser.open(path)
    for k in range(len(names)):
        push(browser, k, moves.get(k, 0.0))
    cost(browser, "cost-once", once)
    browser.run("document.getElementById('by-period').open = true")
    settled(browser)
    changes = [Change(names[k], by, cost=once if i == 0 else 0.0) for i, (k, by) in enumerate(moves.items())]
    outlook = simulated(changes)
    rows = outlook.tidy()
    worth = rows[rows["kind"] == "present_value"].iloc[0]
    assert shown(browser, "out-profit") == money(worth["estimate"], "EUR")
    span = f"{money(worth['conf_low'], 'EUR')} to {money(worth['conf_high'], 'EUR')}"
    assert shown(browser, "out-profit-span").split(", before")[0] == span
    assert shown(browser, "out-loss") == percent(rows[rows["kind"] == "chance_of_loss"].iloc[0]["estimate"], 1)
    if once:
        back = rows[rows["kind"] == "return"].iloc[0]
        assert shown(browser, "out-return") == number(back["estimate"])
        paid = rows[rows["kind"] == "payback"].iloc[0]
        assert percent(paid["std_all"], 0) in shown(browser, "out-payback") or "not within" in shown(
            browser, "out-payback"
        )
    last = rows[(rows["kind"] == "moved") & (rows["rhs"] == str(outlook.periods))]
    today = [node["name"] for node in blocks_of(report, ScenarioBlock)[0].data["today"]]
    for row in last.itertuples():
        if row.conf_high - row.conf_low < 1e-9:
            continue
        cells = browser.run(
            "return [...document.querySelectorAll(arguments[0] + ' td')].map((cell) => cell.textContent)",
            f"#node-{today.index(row.lhs)}",
        )
        assert cells[:2] == [estimate(row.estimate, row.conf_low, row.conf_high), bracket(row.conf_low, row.conf_high)]
    for row in rows[rows["kind"] == "money"].itertuples():
        cells = browser.run(
            "return [...document.querySelectorAll(arguments[0] + ' td')].map((cell) => cell.textContent)",
            f"#period-{int(row.rhs) - 1}",
        )
        assert cells[0] == money(row.estimate, "EUR")
    said = shown(browser, "out-status")
    assert said.startswith(f"Profit over {in_time(outlook.periods, 'year')}: {money(worth['estimate'], 'EUR')}")


def test_back_to_today_is_nothing(browser, path):
    browser.open(path)
    browser.run("document.getElementById('levers-reset').click()")
    cost(browser, "cost-once", 0)
    settled(browser)
    assert shown(browser, "out-profit") == "€0"
    assert browser.run("return document.querySelector('.beyond:not([hidden])')") is None


def test_levers_work_by_keyboard_and_say_where_they_stand(browser, path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(path)
    slider = browser.driver.find_element(By.ID, "lever-0")
    before = slider.get_attribute("aria-valuetext")
    slider.send_keys(Keys.ARROW_RIGHT)
    settled(browser)
    after = slider.get_attribute("aria-valuetext")
    assert after != before
    assert after.startswith("+")
    assert browser.driver.find_element(By.CSS_SELECTOR, "label[for=lever-0]").text == "New tools"


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (768, True), (390, False), (390, True)])
def test_no_width_needs_sideways_scrolling_and_nothing_complains(browser, path, width, dark):
    browser.complaints()
    browser.asked()
    browser.open(path, width, dark=dark)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    settled(browser)
    assert browser.complaints() == []
    assert browser.asked() == []


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_no_serious_fault_of_accessibility(browser, axe, path, width, dark):
    browser.open(path, width, dark=dark, past_csp=True)
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    browser.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    found = browser.later("axe.run(document).then(done);")
    assert len(found["passes"]) > 30
    faults = [(v["id"], v["nodes"][0]["html"]) for v in found["violations"] if v["impact"] in {"serious", "critical"}]
    assert faults == []


HOSTILE = '"><script>window.hit = 1</script><img src=x onerror="window.hit = 1"></script><svg onload=hit()>{{7*7}}'


def test_hostile_names_never_run(browser, small_firm, tmp_path):
    from dataclasses import replace

    text = small_firm.document
    constructs = tuple(replace(c, label=HOSTILE + c.name) for c in text.constructs)
    look = replace(text.report, title=HOSTILE, subtitle=HOSTILE,
                   levers=tuple(replace(lever, label=HOSTILE) for lever in text.report.levers))  # fmt: skip
    spec = replace(text, constructs=constructs, report=look, study=replace(text.study, name=HOSTILE))
    tables = {
        name: table.assign(unit=HOSTILE + table["unit"].astype(str)) if "unit" in table else table
        for name, table in small_firm.tables.items()
    }
    bad = replace(small_firm, document=spec, tables=tables)
    page = compose_report(fit_study(bad, draws=200)).save(tmp_path / "bad.html")
    browser.complaints()
    browser.open(page)
    settled(browser)
    assert browser.run("return window.hit") is None
    assert browser.complaints() == []
    assert browser.run("return document.querySelectorAll('main img, [onerror], [onload]').length") == 0
    assert browser.run("return document.title") == HOSTILE
    assert shown(browser, "out-profit").lstrip("−").startswith("€")
    assert "49" not in browser.run("return document.querySelector('h1').textContent")
    browser.run("const e = document.createElement('script'); e.textContent = 'window.hit = 2'; document.body.append(e)")
    assert browser.run("return window.hit") is None
