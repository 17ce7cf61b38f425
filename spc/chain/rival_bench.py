"""One bench for all rivals of a study: the same rows, the same variables, one way to fit and to foresee."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.fit import measurement_text, measuring
from spc.chain.rival_models import last_effects
from spc.chain.rival_prediction import Expected, Seen
from spc.chain.rows import AnalysisRows
from spc.chain.served import assigned
from spc.chain.two_sided_study import fit_sides, measured
from spc.errors import EstimationError, NotIdentifiedError, SpcWarning
from spc.linalg import FloatArray
from spc.results import Note
from spc.sem import fit
from spc.sem.tables import moments_implied
from spc.sem.twolevel.fit import TwoLevelFit, fit_two_level
from spc.spec import model
from spc.study import Study
from spc.study.study import SIDES

__all__ = ["Bench", "Rival", "person_bench", "two_sided_bench"]

IntArray = npt.NDArray[np.intp]
Measures = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Rival:
    """One explanation, fitted.

    Attributes
    ----------
    name : str
        One of :data:`spc.chain.rival_models.RIVALS`.
    text : str
        Its model.
    measures : mapping
        ``logl, npar, chisq, df, pvalue, aic, bic``; empty where it could not be fitted.
    sigma : (p, p) array or None
        Implied covariances, of units or persons.
    failure : str
        Why it could not be fitted.
    """

    name: str
    text: str
    measures: Mapping[str, float]
    sigma: FloatArray | None = None
    failure: str = ""


@dataclass(frozen=True, eq=False)
class Bench:
    """What all rivals are tried on.

    Attributes
    ----------
    rows : Seen
    cluster : (n,) int array or None
        Unit of each person.
    whole : callable
        Measures of fit and what is expected of a row, from the text of a model fitted to all rows.
    part : callable
        What is expected of a row, from the text of a model fitted to the rows at the given places.
    nunits : int or None
    messages : tuple of Note
    """

    rows: Seen
    cluster: IntArray | None
    whole: Callable[[str], tuple[Measures, Expected]]
    part: Callable[[str, IntArray], Expected]
    nunits: int | None
    messages: tuple[Note, ...]

    def fitted(self, name: str, text: str) -> Rival:
        """Fit one rival to all rows; a failure is told, not raised."""
        try:
            found, expected = self.whole(text)
        except (EstimationError, NotIdentifiedError) as error:
            return Rival(name, text, {}, None, str(error).split("\n", maxsplit=1)[0])
        kept = ("logl", "npar", "chisq", "df", "pvalue", "aic", "bic")
        return Rival(name, text, {key: float(found[key]) for key in kept}, expected.sigma)


def two_sided_bench(study: Study, text: str, rows: AnalysisRows, links: Mapping[str, Sequence[str]]) -> Bench:
    """Units with the respondents of each side."""
    found = fit_sides(study, text, rows, draws=2, seed=study.seed, level=0.95, shared=False)
    units, how = found.core.units, measured(study, rows)
    items = {name: tuple(columns) for name, columns in how.columns.items()}
    seen = Seen(units.means, units.counts, units.side, *_roles(units.names, items, links))
    fit_units = partial(fit_two_level, units=units, within=found.core.within)

    def expected(fitted: TwoLevelFit) -> Expected:
        order = [fitted.units.names.index(name) for name in units.names]
        square = np.ix_(order, order)
        return Expected(fitted.mu[order], fitted.sigma_b[square], fitted.sigma_w[square])

    def whole(text: str) -> tuple[Measures, Expected]:
        fitted = fit_units(model(f"{how.text}\n{text}", fixed_x=False))
        return _two_level_measures(fitted), expected(fitted)

    def part(text: str, places: IntArray) -> Expected:
        asked = model(f"{how.text}\n{text}", fixed_x=False)
        return expected(fit_units(asked, units=units.take(places), test=False, boundary=True))

    return Bench(seen, None, whole, part, len(units.counts), (*found.messages, *_largest_share(study)))


def _largest_share(study: Study) -> list[Note]:
    if not assigned(study, SIDES["customer"]):
        return []
    return [Note(
        "largest_share", "warning", "assignments", "Rivals are compared with each customer in the unit that has most "
        "of its assignments, so that units can be held out; the links of the chain itself use all shares.",
    )]  # fmt: skip


def _two_level_measures(fitted: TwoLevelFit) -> Measures:
    from spc.sem.inference import fitmeasures as measure

    units = len(fitted.units.counts)
    return {
        "logl": fitted.logl, "npar": fitted.npar, "chisq": fitted.chisq, "df": fitted.df,
        "pvalue": measure.chisq_pvalue(fitted.chisq, fitted.df),
        "aic": measure.aic(fitted.logl, fitted.npar), "bic": measure.bic(fitted.logl, fitted.npar, units),
    }  # fmt: skip


def person_bench(study: Study, text: str, rows: AnalysisRows, links: Mapping[str, Sequence[str]]) -> Bench:
    """Persons with their items, or rows of scores: unit means, or persons' own."""
    before = "\n".join(measurement_text(study, rows))
    items = {str(name): (str(name),) for name in rows.scores} | measuring(study, rows)
    names = list(dict.fromkeys(item for own in items.values() for item in own))
    frame = rows.frame[names].astype(float)
    complete = frame.notna().all(axis=1)
    frame = frame[complete]
    values = frame.to_numpy()
    seen = Seen(values, np.empty((len(values), 0)), np.full(len(names), -1), *_roles(names, items, links))
    cluster = None if rows.unit is None else _codes(rows.unit[complete])

    def fitted(text: str, data: pd.DataFrame) -> tuple[Any, Expected]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            found = fit(model(f"{before}\n{text}", fixed_x=False), data)
        moments = moments_implied(found)
        order = [moments.names.index(name) for name in names]
        sigma = moments.cov[np.ix_(order, order)]
        return found, Expected(data.to_numpy().mean(axis=0), sigma, np.zeros_like(sigma))

    def whole(text: str) -> tuple[Measures, Expected]:
        found, expected = fitted(text, frame)
        return {str(key): value for key, value in found.glance().iloc[0].items()}, expected

    def part(text: str, places: IntArray) -> Expected:
        return fitted(text, frame.iloc[places])[1]

    nunits = len(frame) if rows.level == "unit" else None if cluster is None else len(np.unique(cluster))
    lost = len(complete) - len(frame)
    what = "units" if rows.level == "unit" else "persons"
    left = Note("rows_left_out", "warning", what, f"{lost} of {len(complete)} {what} miss an answer and are left out.")
    return Bench(seen, cluster, whole, part, nunits, (left,) if lost else ())


def _codes(unit: pd.Series) -> IntArray:
    """Number of each person's unit; those without one stand alone."""
    codes = pd.factorize(unit)[0].astype(np.intp)
    alone = codes < 0
    codes[alone] = codes.max() + 1 + np.arange(alone.sum())
    return codes


def _roles(
    names: Sequence[str], items: Mapping[str, Sequence[str]], links: Mapping[str, Sequence[str]]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Weights of the final outcomes over the variables, and which variables come before them."""
    ends = last_effects(links)
    weights = np.array([[1.0 / len(items[end]) if name in items[end] else 0.0 for name in names] for end in ends])
    return weights, np.asarray(~(weights != 0.0).any(axis=0))
