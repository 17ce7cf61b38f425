import re

import numpy as np
import pandas as pd
import pytest

import spc
from spc.results import TIDY_COLUMNS, Estimates, Note, Provenance, Shown, assembled, fingerprint, tidy_frame


def test_tidy_tables_are_numeric_where_numeric():
    table = tidy_frame([{"lhs": "y", "op": "~", "rhs": "x", "estimate": 1}, {"lhs": "z", "group": 2}])
    assert list(table.columns) == list(TIDY_COLUMNS)
    assert all(table[column].dtype.kind == "f" for column in ("estimate", "std_error", "p_value", "std_all"))
    assert table["label"].tolist() == ["", ""]
    assert np.isnan(table["std_error"]).all()
    assert tidy_frame([]).columns.tolist() == list(TIDY_COLUMNS)


def test_a_name_given_to_the_axes_of_one_table_stays_with_it():
    columns = pd.Index(["x", "y"])
    first, second = (assembled([(np.ones((2, 3)), np.arange(2))], columns, 3) for _ in range(2))
    first.columns.name, first.index.name = "item", "row"
    assert (columns.name, second.columns.name, second.index.name) == (None, None, None)


def test_draws_have_the_stated_mean_and_covariance():
    table = tidy_frame([{"estimate": 1.0}, {"estimate": -2.0}])
    vcov = np.array([[0.04, 0.03], [0.03, 0.09]])
    draws = Estimates(table, vcov, 0.95, "normal").draws(200_000, np.random.default_rng(1))
    np.testing.assert_allclose(draws.mean(axis=0), [1, -2], atol=0.005)
    np.testing.assert_allclose(np.cov(draws.T), vcov, atol=0.002)


def test_a_fingerprint_sees_values_names_and_order():
    base = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert fingerprint(base) == fingerprint(base.copy())
    others = [base[["b", "a"]], base.rename(columns={"a": "c"}), base[::-1], base.assign(a=[1, 3])]
    assert len({fingerprint(base), *map(fingerprint, others)}) == 5


def test_provenance_cannot_be_changed():
    record = Provenance.record({"draws": 10}, "abc", seed=1)
    with pytest.raises(TypeError):
        record.options["draws"] = 20
    assert record.time.endswith("+00:00")


class Page(Shown):
    kind = "sem"

    def tidy(self):
        return tidy_frame([
            {"lhs": "f", "op": "=~", "rhs": "x1", "level": "1", "group": "1", "kind": "loading", "estimate": 1.0},
            {"lhs": "f", "op": "=~", "rhs": "x2", "level": "1", "group": "1", "kind": "loading", "estimate": 0.5,
             "std_error": 2.5e-5, "p_value": 0.0},
        ])  # fmt: skip

    def glance(self):
        return pd.DataFrame([{"chisq": 3.25, "df": 2, "pvalue": 1e-9, "cfi_robust": float("nan"), "estimator": "ML"}])

    def notes(self):
        return (Note("heywood", "serious", "x1~~x1", "It is below zero. " * 8),)


def test_a_result_prints_as_a_page():
    lines = str(Page()).splitlines()
    assert lines[2] == "chisq 3.250; df 2; pvalue <.001; estimator ML"
    assert lines[4:7] == [
        "lhs op rhs estimate     error     p",
        "  f =~  x1    1.000",
        "  f =~  x2    0.500 2.500e-05 <.001",
    ]
    assert lines[8].startswith("serious, x1~~x1: It is below zero.")
    assert max(map(len, lines)) <= 100
    assert repr(Page()) == str(Page())


def test_a_chain_prints_as_a_page_and_shows_no_answers(tmp_path):
    study = spc.read_study(spc.make_firm(seed=2, units=25).write(tmp_path))
    chain = spc.fit_chain(study, draws=100)
    for result in (study, chain, spc.loyalty_value(study)):
        page = repr(result)
        assert page == str(result)
        assert "array(" not in page
        assert "DataFrame" not in page
        assert len(page.splitlines()) < 160
        assert max(map(len, page.splitlines())) <= 160
    links = chain.tidy().query("kind == 'link'")
    assert len(re.findall(r" link +-?\d", str(chain))) == len(links)
    told = chain.tidy()["kind"].isin(["link", "total"]).sum()
    assert f"... and {len(chain.tidy()) - told} more in tidy()" in str(chain)


def test_every_public_result_prints_as_a_page():
    public = [thing for name in spc.__all__ if isinstance(thing := getattr(spc, name), type)]
    results = [kind for kind in public if kind is not spc.Result and {"tidy", "glance", "notes"} <= set(vars(kind))]
    assert len(results) > 10
    assert [kind.__name__ for kind in results if not issubclass(kind, Shown)] == []


def test_a_note_prints_as_a_sentence():
    note = Note("few", "warning", "units", "Twelve units.")
    assert (str(note), repr(note)) == ("warning: Twelve units.", "Note('few', 'warning', 'units', 'Twelve units.')")
