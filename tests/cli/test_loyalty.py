import json

import numpy as np
import pandas as pd
import pytest

from spc.synthetic import make_firm


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """A made-up firm with every column that loyalty can use."""
    folder = tmp_path_factory.mktemp("loyalty")
    path = make_firm(seed=4, units=24, customers=12, employees=4, accounts=40).write(folder)
    rng = np.random.default_rng(1)
    ledger = pd.read_csv(folder / "accounts.csv")
    ledger = ledger.assign(
        segment=rng.choice(["private", "business", "public"], len(ledger), p=[0.6, 0.395, 0.005]),
        referrals=rng.poisson(0.4, len(ledger)),
    )
    ledger.to_csv(folder / "accounts.csv", index=False)
    answers = pd.read_csv(folder / "customers.csv")
    answers = answers.assign(
        recommend=rng.integers(5, 11, len(answers)),
        rival=rng.integers(3, 11, len(answers)),
        before=rng.choice(["we", "they"], len(answers)),
        now=rng.choice(["we", "they", "new"], len(answers), p=[0.5, 0.4, 0.1]),
    )
    answers.to_csv(folder / "customers.csv", index=False)
    keys = 'recommend = "recommend"\nrecommend_rival = "rival"\nbrand_before = "before"\nbrand_now = "now"\n'
    path.write_text(path.read_text().replace("[money]\n", "[money]\n" + keys))
    return path


def test_every_part_is_shown(run, document, screen):
    screen(100)
    code, out, _ = run("loyalty", document)
    assert code == 0
    for heading in (
        "loyalty in money",
        "Retention by segment",
        "Retention by tenure",
        "Retention by unit",
        "Who leaves sooner",
        "Who stays, where customers differ",
        "One point more of customer loyalty",
        "0.1 points more of the score, in money",
        "The quality of market share",
        "Recommendation",
    ):
        assert heading in out, heading
    assert "came to brands that nobody came from" in " ".join(out.split())
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100
    assert len([line for line in out.splitlines() if line.startswith("info An association over")]) == 1


def test_parts_in_json_and_in_files(run, document, tmp_path):
    code, out, _ = run("loyalty", document, "--json", "--output", tmp_path / "tables")
    found = json.loads(out)
    assert code == 0
    assert [part["kind"] for part in found["parts"]] == [
        *["retention_groups"] * 3,
        "hazard",
        "beta_geometric",
        "retention_link",
        "link_money",
        "market",
        "nps",
    ]
    files = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"loyalty.csv", "retention_groups.csv", "retention_groups_3.csv", "hazard.csv", "nps.csv"} <= files
    table = pd.read_csv(tmp_path / "tables" / "retention_groups.csv")
    counts = table["label"].str.extract(r"(\d+) customers")[0].astype(int)
    assert (counts >= 5).all()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [('recommend = "recommend"', 'recommend = "recomend"', "recomend"), ('brand_now = "now"\n', "", "brand_now")],
)
def test_columns_that_are_not_there_are_found(run, document, tmp_path, old, new, word):
    for path in document.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = tmp_path / document.name
    other.write_text(other.read_text().replace(old, new))
    code, _, err = run("loyalty", other)
    assert code == 3
    assert word in err


def test_answers_off_the_scale_of_recommendation_are_refused(run, document, tmp_path):
    for path in document.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    answers = pd.read_csv(tmp_path / "customers.csv")
    answers.loc[3, "recommend"] = 11
    answers.to_csv(tmp_path / "customers.csv", index=False)
    code, _, err = run("loyalty", tmp_path / document.name)
    assert code == 3
    assert "0 to 10" in err


def test_a_shop_that_has_nothing_but_purchases(run, tmp_path, screen):
    rng, n = np.random.default_rng(3), 900
    rate, stop = rng.gamma(0.8, 1 / 6.0, n), rng.beta(0.8, 4.0, n)
    gaps = rng.exponential(1 / rate[:, None], (n, 120)).cumsum(axis=1)
    bought = (gaps <= 40.0) & (rng.geometric(stop)[:, None] > np.arange(120))
    x = bought.sum(axis=1)
    spend = np.where(x > 0, rng.gamma(6.0, 5.0, n).round(2), np.nan)
    shop = pd.DataFrame({"ID": [f"c{i}" for i in range(n)], "x": x, "T": 40.0, "zbar": spend})
    shop["t_x"] = np.where(bought, gaps, 0.0).max(axis=1).round(2)
    shop.assign(shop=np.where(np.arange(n) % 3 == 0, "north", "south")).to_csv(tmp_path / "shop.csv", index=False)
    columns = 'customer = "ID", repeats = "x", recency = "t_x", age = "T", spend = "zbar", unit = "shop"'
    (tmp_path / "study.toml").write_text(
        f'[study]\nname = "Shop"\n[tables.customers]\nfile = "shop.csv"\ncolumns = {{ {columns} }}\n'
        '[money]\nhorizon = 52\ndiscount = 0.002\nperiod = "week"\nretention_model = "bg-nbd"\n'
    )
    screen(80)
    code, out, _ = run("loyalty", tmp_path)
    assert code == 0
    assert "customers by purchases against expected" in " ".join(out.split())
    assert "are to be had on average" in " ".join(out.split())
    table = out[out.index("Customers without a contract by unit") :].splitlines()
    assert [line.split()[0] for line in table if line.startswith((" north", " south"))] == ["north", "south"]
    assert "\u2026" not in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
