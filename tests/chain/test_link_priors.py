"""Priors of links: what they do to estimates, and what is said of them."""

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.link_priors import standard_links
from spc.errors import UsageError

LINK = ("value", "mood")


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(8)
    mood = rng.normal(size=40)
    value = 0.5 * mood + rng.normal(0, np.sqrt(0.75), 40)
    staff = pd.DataFrame({"shop": np.repeat(range(40), 6)})
    staff["mood"] = mood[staff["shop"]] + rng.normal(0, 1.5, len(staff))
    guests = pd.DataFrame({"shop": np.repeat(range(40), 15)})
    guests["value"] = value[guests["shop"]] + rng.normal(0, 2, len(guests))
    return {"staff": staff, "guests": guests}


def fitted(tables, *priors):
    return spc.fit_two_sided("value ~ mood", sides=tables, unit="shop", draws=200, priors=priors)


def said(fit, code):
    return [note for note in fit.notes() if note.code == code]


def test_a_prior_and_the_data_are_weighed_by_their_precisions(tables):
    """Near normal: the estimate with the prior is the mean of both, weighted by one over the squared errors."""
    value, error = standard_links(fitted(tables).core)[LINK]
    fit = fitted(tables, spc.LinkPrior(*LINK, value - 0.1, 0.1, source="Brown & Lam 2008"))
    found, spread = standard_links(fit.core)[LINK]
    weight = 1 / error**2 / (1 / error**2 + 1 / 0.1**2)
    assert found == pytest.approx(weight * value + (1 - weight) * (value - 0.1), abs=0.03)
    assert spread == pytest.approx((1 / error**2 + 1 / 0.1**2) ** -0.5, rel=0.15)
    note = said(fit, "link_prior")[0]
    assert "Brown & Lam 2008" in note.text
    assert f"{value:.2f}" in note.text


def test_a_prior_far_from_the_data_is_a_conflict(tables):
    fit = fitted(tables, spc.LinkPrior(*LINK, -0.6, 0.05, source="A study of something else"))
    assert said(fit, "prior_data_conflict")[0].severity == "serious"
    assert not said(fit, "link_prior")


def test_errors_of_standardised_links_agree_with_draws(tables):
    fit = fitted(tables)
    _, error = standard_links(fit.core)[LINK]
    row = fit.tidy().query("kind == 'link'").iloc[0]
    assert error == pytest.approx(row["std_error"] * row["std_all"] / row["estimate"], rel=0.5)


def test_the_smallest_link_to_be_found_follows_from_its_error(tables):
    from scipy.stats import t

    fit = fitted(tables)
    row = fit.tidy().query("kind == 'link'").iloc[0]
    value, mood = (np.sqrt(fit.core.sigma_b[i, i]) for i in (fit.core.units.names.index(name) for name in LINK))
    wide = t.ppf(0.975, fit.freedom) + t.ppf(0.8, fit.freedom)
    assert fit.detectable()[LINK] == pytest.approx(wide * row["std_error"] * mood / value)
    note = said(fit, "few_units")[0]
    assert f"{fit.detectable()[LINK]:.2f} standard deviations" in note.text


@pytest.mark.parametrize(("mean", "sd", "source"), [(0.2, 0.1, ""), (1.2, 0.1, "x"), (0.2, 0.0, "x"), (0.2, 1, None)])
def test_a_prior_says_where_it_is_from_and_is_one_of_a_link(mean, sd, source):
    with pytest.raises(UsageError, match=r"value ~ mood"):
        spc.LinkPrior(*LINK, mean, sd, source=source)


def test_a_prior_of_no_link(tables):
    with pytest.raises(UsageError, match="There are: value ~ mood"):
        fitted(tables, spc.LinkPrior("mood", "value", 0.2, 0.1, source="x"))
