import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from spc.errors import UnsupportedError, UsageError
from spc.report import compose_report
from spc.report.blocks import Column, FigureBlock, NotesBlock, TableBlock, table
from spc.results import Note

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def html(results):
    return compose_report(results).html()


def test_the_page_needs_nothing_from_outside(html):
    for tag, attributes in Tags(html).found:
        assert tag not in {"script", "iframe", "object", "img"}
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"url\((?!#)|@import|@font-face", html)


def test_no_line_ends_between_a_minus_and_a_currency(results):
    report = compose_report(results)
    page = replace(report, title="A loss of −€644,000 <b>").html()
    assert "A loss of −\u2060€644,000 &lt;b&gt;" in page
    assert not re.search("−[€$£¥]", re.sub(r"(?s)<script.*?</script>", "", page))


def test_tables_and_figures_can_be_read_aloud(html):
    tags = Tags(html).found
    assert sum(tag == "caption" for tag, _ in tags) == sum(tag == "table" for tag, _ in tags) > 5
    assert all(attributes.get("scope") in {"col", "row"} for tag, attributes in tags if tag == "th")
    assert all(attributes.get("role") == "img" for tag, attributes in tags if tag == "svg")
    assert [tag for tag, _ in tags if tag == "h1"] == ["h1"]
    assert html.index('class="skip"') < html.index("<nav")


def test_ids_are_unique_and_links_lead_somewhere(html):
    tags = Tags(html).found
    ids = [attributes["id"] for _, attributes in tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for _, attributes in tags if (attributes.get("href") or "").startswith("#")}
    named = {word for _, attributes in tags for word in (attributes.get("aria-labelledby") or "").split()}
    assert targets | named <= set(ids)


def test_hostile_texts_stay_texts(results, study, chain):
    bad = replace(
        chain,
        rows=tuple({**r, "label": r["label"] if r["kind"] == "link" else HOSTILE} for r in chain.rows),
        messages=(Note(HOSTILE, "serious", HOSTILE, HOSTILE),),
        labels={"service": HOSTILE, "value": HOSTILE},
    )
    page = compose_report([replace(study, name=HOSTILE, labels={"service": HOSTILE}), bad, *results[2:]]).html()
    assert not [tag for tag, attributes in Tags(page).found if tag in {"script", "img"} or "onerror" in attributes]
    assert "<script" not in page


def test_dark_print_and_phone_are_styled(html):
    for query in ("prefers-color-scheme: dark", "@media print", "max-width"):
        assert query in html


def test_save_writes_whole_and_never_over_a_file(results, tmp_path, html):
    path = compose_report(results).save(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == html
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"report\.html"):
        compose_report(results).save(path)
    assert path.read_text() == "mine"
    compose_report(results).save(path, force=True)
    assert path.read_text(encoding="utf-8") == html
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report_confidentiality.csv"]


@pytest.mark.parametrize("name", ["report", "report.docx", "report.html.exe"])
def test_other_endings_are_refused(chain, tmp_path, name):
    with pytest.raises(UnsupportedError, match=r"\.html"):
        compose_report([chain]).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(chain, tmp_path):
    (tmp_path / "x.html").mkdir()
    with pytest.raises(UsageError):
        compose_report([chain]).save(tmp_path / "x.html", force=True)


def test_a_folder_that_is_a_file_is_refused(chain, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError):
        compose_report([chain]).save(tmp_path / "file" / "report.html")


def test_blocks_take_released_values_only(chain):
    with pytest.raises(UsageError, match="ReleasedTable"):
        table(chain.tidy(), "raw", (Column("x", str),))
    with pytest.raises(UsageError, match="ReleasedTable"):
        TableBlock(chain.tidy(), "raw", (), ())
    with pytest.raises(UsageError, match=r"spc\.plot"):
        FigureBlock("<svg></svg>", "raw")
    with pytest.raises(UsageError, match="ReleasedModel"):
        NotesBlock((chain,))


@pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no browser here")
def test_a_browser_shows_it_without_complaint_at_any_width(results, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    path = compose_report(results).save(tmp_path / "report.html")
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        for width in (390, 820, 1440):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get(path.as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert driver.get_log("browser") == []
        asked = [m for m in driver.get_log("performance") if "Network.requestWillBeSent" in m["message"]]
        assert not [m for m in asked if '"url":"http' in m["message"]]
    finally:
        driver.quit()
