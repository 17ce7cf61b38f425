import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import pytest

from spc.economics import loyalty_value
from spc.results import Note, Provenance, tidy_frame
from spc.scenario import fit_study
from spc.study import read_study
from spc.synthetic import make_firm

CHAIN = (
    ("service", "employee_satisfaction", 0.55, 0.38, 0.75, 0.61, "holds"),
    ("employee_satisfaction", "value", 0.09, -0.20, 0.40, 0.07, "unclear"),
    ("value", "customer_loyalty", 0.64, 0.45, 0.82, 0.68, "holds"),
    ("customer_loyalty", "profitability", 1234.5, 610.0, 1890.0, 0.44, "holds"),
)


@dataclass(frozen=True)
class Made:
    kind: str
    rows: tuple
    summary: dict
    messages: tuple = ()
    labels: dict = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""

    @property
    def provenance(self):
        return Provenance("0.1.0", MappingProxyType({}), "0123456789abcdef", 7, "2026-01-01T00:00:00+00:00")

    def tidy(self):
        return tidy_frame(self.rows)

    def glance(self):
        return pd.DataFrame([self.summary])

    def notes(self):
        return self.messages


def row(kind, lhs, rhs, estimate, low=float("nan"), high=float("nan"), std=float("nan"), label=""):
    return {
        "kind": kind, "lhs": lhs, "rhs": rhs, "estimate": estimate, "conf_low": low, "conf_high": high, "std_all": std,
        "label": label, "op": "~" if kind in {"link", "regression"} else "",
    }  # fmt: skip


def chain_rows(verdict=None):
    links = [row("link", y, x, e, lo, hi, s, verdict or v) for x, y, e, lo, hi, s, v in CHAIN]
    checks = [row("regression", y, x, 0.98 * e, lo, hi, label="OLS, HC3") for x, y, e, lo, hi, _, _ in CHAIN]
    end = CHAIN[-1][1]
    totals = [
        row("total", end, "service", 39.1, -90.0, 170.0, 0.0128),
        row("total", end, "value", 790.0, 350.0, 1300.0, 0.3),
        row("total", end, "customer_loyalty", 1234.5, 610.0, 1890.0, 0.44),
    ]
    ways = [row("indirect", end, "value", 790.0, 350.0, 1300.0, 0.3, "value -> customer_loyalty -> profitability")]
    return tuple(links + ways + totals + checks)


@pytest.fixture(scope="session")
def chain():
    notes = (
        Note("small_sample", "warning", "data", "60 rows for 18 free parameters."),
        Note("told", "info", "data", "Something by the way."),
        Note("grave", "serious", "data", "Something grave."),
    )
    summary = {
        "nobs": 60, "level": "unit", "nunits": 60, "npar": 18, "chisq": 36.4, "df": 26, "pvalue": 0.084, "cfi": 0.93,
        "tli": 0.91, "rmsea": 0.082, "rmsea_ci_lower": 0.0, "rmsea_ci_upper": 0.14, "srmr": 0.11, "estimator": "ML",
        "converged": True,
    }  # fmt: skip
    return Made("chain", chain_rows(), summary, notes)


@pytest.fixture(scope="session")
def collinear(chain):
    text = "Latent variables nearly collinear, correlations beyond 0.98: service and value (0.991)."
    note = Note("collinear_latents", "serious", "service, value", text)
    return Made("chain", chain_rows("not interpretable"), {**chain.summary, "level": "person"}, (note,))


@pytest.fixture(scope="session")
def study():
    kinds = (("alpha", 0.84), ("omega", 0.85), ("icc1_anova", 0.16), ("icc2_anova", 0.71))
    rows = [row(kind, name, "", v, v - 0.05, v + 0.04) for name in ("service", "value") for kind, v in kinds]
    rows += [row("rwg_uniform", name, "median", 0.86) for name in ("service", "value")]
    summary = {
        "employee_responses": 757, "customer_responses": 1844, "units": 60, "customers": 3533, "waves": 0,
        "constructs": 9, "share_missing_employee": 0.025, "share_missing_customer": 0.031,
    }  # fmt: skip
    return Made("study", tuple(rows), summary, labels={"service": "Service inside"}, name="Fjord Retail 2026")


@pytest.fixture(scope="session")
def drivers():
    names = (("value", 0.6, 61.0), ("service", 0.3, 72.0), ("price", 0.1, 40.0))
    rows = [row("importance", n, "customer_loyalty", 0.4 * s, 0.3 * s, 0.5 * s, s) for n, s, _ in names]
    rows += [row("performance", n, "customer_loyalty", p) for n, _, p in names]
    return Made("drivers", tuple(rows), {"outcome": "customer_loyalty", "nobs": 1800, "r_squared": 0.4})


@pytest.fixture(scope="session")
def loyalty():
    tenure = [6] * 320 + [1, 2, 3, 4, 5] * 36
    churned = [0] * 320 + [1] * 180
    margins = [300.0 + 7.0 * (i % 60) for i in range(500)]
    ledger = pd.DataFrame({"tenure": tenure, "churned": churned, "margin": margins})
    return loyalty_value(ledger, horizon=5, discount=0.10, currency="EUR", draws=500)


@pytest.fixture(scope="session")
def results(study, chain, drivers, loyalty):
    return [study, chain, drivers, loyalty]


AXE = Path(__file__).parents[2] / ".venv" / "node_modules" / "axe-core" / "axe.min.js"


class Browser:
    """A headless chromium that keeps account of complaints and of what a page asks the network for."""

    def __init__(self, profile):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def open(self, path, width=1440, *, dark=False, past_csp=False):
        device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": past_csp})
        self.driver.get(path.as_uri())

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def later(self, script):
        self.driver.set_script_timeout(120)
        return self.driver.execute_async_script("const done = arguments[arguments.length - 1];" + script)

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def asked(self):
        logged = [entry["message"] for entry in self.driver.get_log("performance")]
        sent = [message for message in logged if "Network.requestWillBeSent" in message]
        return [message for message in sent if '"url":"http' in message or '"url":"ws' in message]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here")
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.driver.quit()


@pytest.fixture(scope="session")
def axe():
    if not AXE.is_file():
        pytest.skip("no axe-core here: npm install --no-save --prefix .venv axe-core")
    return AXE.read_text(encoding="utf-8")


LEVERS = """
[[report.levers]]
construct = "internal_service_quality"
by = 0.2
cost = 3000
label = "New tools"
[[report.levers]]
construct = "customer_satisfaction"
by = 0.1
cost = 4000
running_cost = 500
[[report.levers]]
construct = "employee_productivity"
"""
DRAWS = 300


def made_firm(folder, *, units, method):
    """A study of a made-up firm whose report has every section."""
    document = make_firm(seed=3, units=units, name="Fjord Retail", transactions=True).write(folder)
    text = document.read_text(encoding="utf-8")
    assert "[chain]\n" in text
    text = text.replace("[chain]\n", f'[chain]\nmethod = "{method}"\n') + LEVERS
    document.write_text(text, encoding="utf-8")
    return read_study(document)


@pytest.fixture(scope="session")
def firm(tmp_path_factory):
    return made_firm(tmp_path_factory.mktemp("firm"), units=40, method="two_sided")


@pytest.fixture(scope="session")
def small_firm(tmp_path_factory):
    return made_firm(tmp_path_factory.mktemp("small"), units=25, method="unit_means")


@pytest.fixture(scope="session")
def fitted(firm):
    return fit_study(firm, draws=DRAWS)
