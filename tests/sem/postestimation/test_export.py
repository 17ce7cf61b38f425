"""Texts for lavaan and Mplus: lavaan's estimates from them, and what the other program could not read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning, UnsupportedError, UsageError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.postestimation.export import export_names, to_lavaan
from spc.sem.postestimation.export_mplus import to_mplus
from spc.spec import model

FOLDER = Path(__file__).parents[2] / "reference"
EXPORTS = {case["name"]: case for case in json.loads((FOLDER / "lavaan_exports.json").read_text())}
CASES = {case["name"]: case for case in json.loads((FOLDER / "lavaan_ml.json").read_text())["cases"]}

BLOCKS = json.loads((FOLDER / "spec_partable_blocks.json").read_text(encoding="utf-8"))
TEXTS = {
    "equal": (
        'visual =~ `visual task 1` + x2 + equal("visual=~x2")*x3\nspeed =~ NA*x7 + a*x8 + x9\nspeed ~ k*visual\n'
        "x7 ~~ x8\nspeed ~~ 1*speed\ndouble := 2*k",
        {},
    ),
    "covariates": ("f =~ `visual task 1` + x2 + x3\nf ~ ageyr + boy", {"meanstructure": True}),
}
AWKWARD = """
`staff mood (Q1)` =~ `a very long item name` + b1*`a very long item no 2` + `Zufriedenheit – gesamt`
満足 =~ x1 + equal("staff mood (Q1)=~a very long item no 2")*x2 + with
満足 ~ k*`staff mood (Q1)` + age
x1 ~~ `a very long item name`
double := 2*k^2/(1e-5 + exp(b1)) - log(abs(k) + 1)*sqrt(2)*(b1 + k + b1 + k + b1 + k + b1 + k + b1 + k + b1 + k + b1)
"""


def moments_of(case, rename=None):
    m = case["moments"]
    names = [(rename or {}).get(name, name) for name in m["names"]]
    return Moments(names, m["n"], m["means"] or None, m["covariance"])


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(*arguments, **options)


def body(text):
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_one_that_lavaan_fitted_to_the_same_estimates(name):
    text, options = TEXTS[name]
    case = EXPORTS[name]
    result = fit(model(text, **options), moments_of(case, {"visual.task.1": "visual task 1"}))
    assert body(to_lavaan(result)) == case["text"]
    assert float(result.glance()["chisq"].iloc[0]) == pytest.approx(case["chisq"], rel=1e-6)
    assert int(result.glance()["df"].iloc[0]) == case["df"]
    names = export_names(result)
    ours = {(names[r.lhs], r.op, names.get(r.rhs, "")): r.estimate for r in result.tidy().itertuples() if r.op != ":="}
    for row in case["estimates"]:
        if row["op"] != ":=":
            assert ours[row["lhs"], row["op"], row["rhs"]] == pytest.approx(row["est"], rel=1e-4, abs=1e-4)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R")
def test_lavaan_here_fits_every_model_to_the_same_chi_square(tmp_path):
    jobs, wanted = [], {}
    for name, case in CASES.items():
        options = dict(case["options"])
        likelihood = options.pop("likelihood", "normal")
        result = quietly(model(case["model"], **options), moments_of(case), likelihood=likelihood)
        wanted[name] = float(result.glance()["chisq"].iloc[0])
        m = case["moments"]
        jobs.append({"name": name, "text": to_lavaan(result), "likelihood": likelihood, "n": m["n"],
                     "names": m["names"], "cov": m["covariance"], "mean": m["means"]})  # fmt: skip
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    script = r"""
        if (!all(sapply(c("lavaan", "jsonlite"), requireNamespace, quietly = TRUE))) quit(status = 77)
        args <- commandArgs(TRUE)
        jobs <- jsonlite::fromJSON(args[1], simplifyVector = TRUE, simplifyDataFrame = FALSE)
        found <- lapply(jobs, function(job) {
          dimnames(job$cov) <- list(job$names, job$names)
          means <- if (length(job$mean)) setNames(job$mean, job$names)
          fit <- suppressWarnings(lavaan::lavaan(job$text, sample.cov = job$cov, sample.nobs = job$n,
            sample.mean = if (grepl("meanstructure = TRUE", job$text)) means, likelihood = job$likelihood))
          list(name = job$name, chisq = lavaan::fitMeasures(fit, "chisq")[[1]])
        })
        writeLines(jsonlite::toJSON(found, auto_unbox = TRUE, digits = NA), args[2])
    """
    out = tmp_path / "found.json"
    run = subprocess.run(
        ["Rscript", "-e", script, tmp_path / "jobs.json", out], check=False, capture_output=True, text=True
    )
    if run.returncode == 77:
        pytest.skip("needs lavaan and jsonlite")
    assert run.returncode == 0, run.stderr
    found = {row["name"]: row["chisq"] for row in json.loads(out.read_text())}
    off = {
        name: (found[name], chisq) for name, chisq in wanted.items() if abs(found[name] - chisq) > 1e-3 * max(chisq, 1)
    }
    assert not off


def block_model(case):
    names = ("groups", "group_equal", "group_partial", "std_lv", "orthogonal", "fixed_x", "growth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return model(case["text"], ordered=dict(case["ordered"]), **{name: case[name] for name in names})


def table_key(row):
    lhs, rhs = sorted((row["lhs"], row["rhs"])) if row["op"] == "~~" else (row["lhs"], row["rhs"])
    return row["group"], row["level"], lhs, row["op"], rhs


def numbered_alike(one, other):
    pairs = {(one[key]["free"], other[key]["free"]) for key in one}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R")
def test_lavaan_here_reads_every_text_of_blocks_to_the_table_it_completed(tmp_path):
    cases = {case["name"]: case for case in BLOCKS}
    jobs = []
    for name, case in cases.items():
        made = block_model(case)
        jobs.append({"name": name, "text": to_lavaan(made), "groups": max(1, len(made.groups)),
                     "conditional": made.conditional_x, "fixed_x": case["fixed_x"]})  # fmt: skip
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    script = r"""
        if (!all(sapply(c("lavaan", "jsonlite"), requireNamespace, quietly = TRUE))) quit(status = 77)
        args <- commandArgs(TRUE)
        jobs <- jsonlite::fromJSON(args[1], simplifyDataFrame = FALSE)
        found <- lapply(jobs, function(job) {
          table <- suppressWarnings(lavaan::lavaanify(job$text, meanstructure = grepl("meanstructure = TRUE", job$text),
            fixed.x = job$fixed_x, conditional.x = job$conditional, ngroups = job$groups, ceq.simple = TRUE))
          table <- table[!table$op %in% c("==", "<", ">", ":="), ]
          for (block in c("group", "level"))
            table[[block]] <- if (is.null(table[[block]])) 1L else match(table[[block]], unique(table[[block]]))
          list(name = job$name, table = table[c("lhs", "op", "rhs", "group", "level", "free", "ustart", "exo")])
        })
        writeLines(jsonlite::toJSON(found, auto_unbox = TRUE, digits = NA, na = "null", dataframe = "rows"), args[2])
    """
    out = tmp_path / "found.json"
    run = subprocess.run(
        ["Rscript", "-e", script, tmp_path / "jobs.json", out], check=False, capture_output=True, text=True
    )
    if run.returncode == 77:
        pytest.skip("needs lavaan and jsonlite")
    assert run.returncode == 0, run.stderr
    for job in json.loads(out.read_text()):
        wanted = {table_key(row): row for row in cases[job["name"]]["table"]}
        found = {table_key(row): row for row in job["table"]}
        assert set(found) == set(wanted), job["name"]
        assert numbered_alike(found, wanted), job["name"]
        for key, row in found.items():
            assert row["free"] or row["exo"] or row["ustart"] == wanted[key]["ustart"], (job["name"], key)


def test_mplus_lines_are_short_and_names_are_eight_plain_characters():
    made = model(AWKWARD, meanstructure=True)
    text = to_mplus(made, names=["id", *made.observed], file="some folder/data.dat")
    assert max(map(len, text.splitlines())) < 90
    names = export_names(made, "mplus")
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,7}", name) for name in names.values())
    assert len({name.lower() for name in names.values()}) == len(names)
    assert "with" not in names.values()
    code = [line for line in text.splitlines() if not line.startswith("!")]
    assert all(line.isascii() for line in code)
    assert not any(old in "\n".join(code) for old in names if not old.isidentifier())


def test_mplus_statements_say_everything():
    m = model(
        "f =~ a + l*b + c\ng =~ d + l*e\ng ~ k*f + age\na ~~ 0.2*b\nd ~ 3*1\nwhole := k*l^2\nk > 0", meanstructure=True
    )
    lines = [line.strip() for line in to_mplus(m).splitlines()]
    for line in ("f BY a@1;", "f BY b* (l);", "g BY e* (l);", "g ON f* (k);", "g ON age*;", "a WITH b@0.2;", "[d@3];",
                 "[a*];", "[f@0];", "a*;", "NEW(whole);", "whole = k * l**2;", "k > 0;"):  # fmt: skip
        assert line in lines
    assert "MODEL IS NOMEANSTRUCTURE;" not in lines
    assert not any(line.startswith("[age") or line == "age*;" for line in lines)
    assert "MODEL IS NOMEANSTRUCTURE;" in [s.strip() for s in to_mplus(model("f =~ a + b + c")).splitlines()]


def test_estimates_are_the_start_values_in_mplus():
    case = CASES["hs_cfa"]
    result = fit(case["model"], moments_of(case))
    value = result.tidy().query("rhs == 'x2' and op == '=~'")["estimate"].iloc[0]
    assert f"visual BY x2*{value:.10g};" in to_mplus(result)


def test_the_options_of_the_fit_are_said():
    rng = np.random.default_rng(3)
    trait = rng.standard_normal((300, 1))
    data = pd.DataFrame(trait + rng.standard_normal((300, 4)), columns=list("abcd"))
    robust = fit("f =~ a + b + c + d", data, estimator="MLR")
    assert 'estimator = "MLR"' in to_lavaan(robust)
    assert "  ESTIMATOR IS MLR;" in to_mplus(robust).splitlines()
    holes = fit("f =~ a + b + c + d", data.mask(rng.random(data.shape) < 0.05), missing="fiml")
    assert 'missing = "ml"' in to_lavaan(holes)
    assert "  MISSING ARE ALL (-9999);" in to_mplus(holes).splitlines()


def test_lavaan_text_reads_back_here_to_the_same_fit():
    case = CASES["pd_equalities"]
    result = fit(case["model"], moments_of(case))
    again = fit(body(to_lavaan(result)), moments_of(case))
    np.testing.assert_allclose(sorted(again.values), sorted(result.values), atol=1e-6)


def test_awkward_names_are_exchanged_and_listed():
    text = to_lavaan(model(AWKWARD))
    assert '# names(data)[names(data) == "a very long item name"] <- "a.very.long.item.name"' in text
    assert "`" not in text
    assert "満足 =~ 1*x1 + b1*x2 + with" in text


def test_refusals_say_why():
    with pytest.raises(UsageError, match="'lavaan' or 'mplus'"):
        export_names(model("f =~ a + b + c"), "amos")
    with pytest.raises(UsageError, match="names lack c"):
        to_mplus(model("f =~ a + b + c"), names=["a", "b"])
    with pytest.raises(UnsupportedError, match="Bounds"):
        to_mplus(model("f =~ a + lower(0)*b + c"))
