"""Measurement invariance across groups: one model, held equal step by step, in one table.

Do the items measure the same thing, on the same scale, in every group? Each step holds more equal than the last:

================  ==============================================  ==================================================
step              held equal                                      what may be compared when it holds
================  ==============================================  ==================================================
configural        nothing but the pattern of the loadings         nothing in numbers
thresholds        thresholds (ordered items)                      nothing yet
metric            and loadings of the items                       regressions and (co)variances of latent variables
metric, higher    and loadings of factors on factors              the same of factors of factors
scalar            and intercepts of the items                     means of the factors that items measure
scalar, higher    and intercepts of the factors on factors        means of factors of factors
strict            and residual variances                          means of scale scores
================  ==============================================  ==================================================

What a step frees in turn, so that it is identified, stands in :mod:`spc.sem.postestimation.invariance_steps`.

A chi-square difference finds fault with everything in large samples, so the verdict goes by the change of the fit
measures: CFI must not fall by more than .010 (Cheung & Rensvold 2002, Structural Equation Modeling 9, 233-255), nor
RMSEA rise by .015 or more (Chen 2007, same journal 14, 464-504).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from textwrap import wrap
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from spc.errors import EstimationError, NonConvergenceError, NotIdentifiedError, SpcWarning, UsageError
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.groups import Given
from spc.sem.fit import SemFit, ordered_items
from spc.sem.fit import fit as fit_model
from spc.sem.options import Estimator, Likelihood, Missing
from spc.sem.postestimation.compare import difference_of
from spc.sem.postestimation.invariance_releases import released
from spc.sem.postestimation.invariance_steps import Step, default_steps, step_model
from spc.sem.postestimation.latent_means import latent_means
from spc.spec.table import Model, Parameterization

__all__ = ["Invariance", "invariance"]

CFI_DROP, RMSEA_RISE = 0.010, 0.015
_MEASURES = ("chisq", "chisq_scaled", "df", "pvalue", "cfi", "rmsea", "srmr", "aic", "bic")
_SHOWN = {
    "step": "step", "chisq": "chisq", "df": "df", "chisq_diff": "diff", "df_diff": "ddf", "pvalue_diff": "p",
    "cfi": "CFI", "cfi_diff": "dCFI", "rmsea": "RMSEA", "rmsea_diff": "dRMSEA", "srmr": "SRMR", "verdict": "verdict",
    "release": "release first",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Invariance(Shown):
    """A model held equal across groups step by step.

    Attributes
    ----------
    table : DataFrame
        One row a step: ``step, held, npar, chisq, chisq_scaled, df, pvalue, cfi, rmsea, srmr, aic, bic``; against the
        step before ``chisq_diff, df_diff, pvalue_diff, cfi_diff, rmsea_diff, srmr_diff``; ``verdict``; and ``release``,
        the equality whose release would improve a step that does not hold most. ``cfi`` and ``rmsea`` are the robust
        ones where all steps have them.
    releases : DataFrame
        Score tests of all equalities that a step adds: ``step, parameter, group, chisq, pvalue``, largest first.
    means : DataFrame
        Latent means against the first group: ``latent, group, estimate, std_error, statistic, p_value, conf_low,
        conf_high, d, d_error``, with d the difference in pooled standard deviations of the latent variable.
    means_step : str
        The step they come from.
    held : str
        The last step that holds with all before it (the first need only not fail); empty where there is none.
    fits : mapping of str to SemFit
        By step.
    groups : tuple of str
    note_list : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    releases: pd.DataFrame
    means: pd.DataFrame
    means_step: str
    held: str
    fits: Mapping[str, SemFit] = field(repr=False)
    groups: tuple[str, ...]
    note_list: tuple[Note, ...] = field(repr=False)
    provenance: Provenance = field(repr=False)
    kind: str = "invariance"

    def tidy(self) -> pd.DataFrame:
        """Rows of kind ``step`` (statistic: the difference test; label: the verdict) and ``latent_mean``."""
        steps = self.table.to_dict("records")
        before = ["", *(row["step"] for row in steps[:-1])]
        rows: list[dict[str, Any]] = [
            {
                "lhs": row["step"], "rhs": previous, "kind": "step", "label": row["verdict"],
                "estimate": row["cfi_diff"], "statistic": row["chisq_diff"], "p_value": row["pvalue_diff"],
            }
            for row, previous in zip(steps, before, strict=True)
        ]  # fmt: skip
        rows += [
            {
                "lhs": row["latent"], "op": "~1", "kind": "latent_mean", "level": "1", "std_all": row["d"],
                **{name: row[name] for name in (
                    "group", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"
                )},
            }
            for row in self.means.to_dict("records")
        ]  # fmt: skip
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: groups, rows, how far the equality holds, and where the means come from."""
        first = next(iter(self.fits.values()))
        return pd.DataFrame([{
            "ngroups": len(self.groups), "nobs": first.system.n,
            "nobs_min": min(part.observed.n for part in first.parts), "steps": len(self.table), "held": self.held,
            "means_step": self.means_step, "estimator": first.options.estimator,
        }])  # fmt: skip

    def augment(self) -> pd.DataFrame:
        """The table, one row a step."""
        return self.table.copy()

    def notes(self) -> tuple[Note, ...]:
        """What does not hold, what that forbids, and what the fits have to say."""
        return self.note_list

    def __str__(self) -> str:
        scaled = bool(self.table["chisq_scaled"].notna().all())
        kept = _SHOWN | {"chisq": "scaled"} if scaled else _SHOWN
        table = self.table.assign(chisq=self.table["chisq_scaled"]) if scaled else self.table
        shown = table[list(kept)].rename(columns=kept)
        for name in (kept["chisq"], "diff"):
            shown[name] = shown[name].map(lambda value: f"{value:.2f}", na_action="ignore")
        shown["p"] = shown["p"].map(_p_value, na_action="ignore")
        for name in ("CFI", "dCFI", "RMSEA", "dRMSEA", "SRMR"):
            shown[name] = shown[name].map(lambda value: f"{value:.3f}", na_action="ignore")
        for name in ("df", "ddf"):
            shown[name] = shown[name].map(lambda value: f"{value:.0f}", na_action="ignore")
        lines = [f"Measurement invariance of {', '.join(self.groups)}", ""]
        lines += shown.astype(object).where(shown.notna(), "").to_string(index=False).splitlines()
        if len(self.means):
            means = self.means[["latent", "group", "estimate", "std_error", "p_value", "d"]].rename(
                columns={"p_value": "p"}
            )
            means["p"] = means["p"].map(_p_value, na_action="ignore")
            lines += ["", f"Latent means against {self.groups[0]} ({self.means_step})", ""]
            lines += means.to_string(index=False, float_format=lambda value: f"{value:.3f}").splitlines()
        for note in self.note_list:
            lines += ["", *wrap(f"{note.subject}: {note.text}", 100)]
        return "\n".join(lines)


def _p_value(value: float) -> str:
    return "<.001" if value < 0.0005 else f"{value:.3f}"


def invariance(
    model: Model | str,
    data: Given,
    *,
    group: str | None = None,
    partial: Sequence[str] = (),
    steps: Mapping[str, Sequence[str]] | None = None,
    estimator: Estimator | None = None,
    missing: Missing | Literal["ml"] | None = None,
    ordered: Sequence[str] = (),
    likelihood: Likelihood = "normal",
    cluster: str | None = None,
    level: float = 0.95,
    parameterization: Parameterization | None = None,
) -> Invariance:
    r"""Test step by step whether items measure the same in all groups.

    Parameters
    ----------
    model : Model or str
        The measurement model, in lavaan's syntax.
    data : DataFrame, or a sequence or mapping of Moments
        Rows with a column of groups; or the moments of each group.
    group : str, optional
        The column of groups, for a DataFrame.
    partial : sequence of str
        Parameters left free in each group at every step, as ``"visual=~x2"`` or ``"x3~1"``.
    steps : mapping of str to sequence of str, optional
        Steps of your own: what each holds equal, in the words of ``group_equal`` (:func:`spc.fit`), of which
        ``"loadings"`` has those of factors on factors as well; ``"first_order_loadings"`` has not, and
        ``"latent_intercepts"`` holds those of factors on factors.
    estimator, missing, ordered, likelihood, cluster, level
        See :func:`spc.fit`; ``estimator`` is ML, and WLSMV for ordered items. Robust estimators bring scaled difference
        tests.
    parameterization : {"theta", "delta"}, optional
        Of ordered items: with ``"delta"`` residual variances are no parameters, and there is no strict step. All other
        steps fit equally well, but for equal loadings of items with two answers, which mean something else; latent
        means are in other units, but for those in standard deviations. Without a word it is theta, or delta and a note
        where an item has no residual variance left.

    Returns
    -------
    Invariance
        ``print`` shows it as a table, with the scaled chi-squares where there are any. Verdicts: ``holds`` where CFI
        falls by no more than .010 and RMSEA rises by less than .015; ``fails`` where CFI falls by more and RMSEA rises
        by .015 too, or CFI falls by more than .020; ``unclear`` in between. The first step is judged by its own fit:
        ``holds`` from CFI .95 and RMSEA up to .06, ``fails`` below CFI .90 or above RMSEA .10, ``unclear`` in between.

    Raises
    ------
    UsageError
        A model without latent variables, or steps without names.

    Notes
    -----
    Loadings are compared with the marker's fixed to one in all groups, whose own difference no test can see; with
    ``std_lv=True`` in ``spc.model`` every loading is tested. The parameter to release is the one with the largest score
    statistic among the equalities that the step adds (lavaan's ``lavTestScore``).

    References
    ----------
    See :mod:`spc.sem.postestimation.invariance`; Vandenberg & Lance (2000), Organizational Research Methods 3, 4-70.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> r = [[1.0, 0.5, 0.4, 0.5], [0.5, 1.0, 0.45, 0.5], [0.4, 0.45, 1.0, 0.4], [0.5, 0.5, 0.4, 1.0]]
    >>> shops = {"north": Moments(list("abcd"), 200, [3.0, 3.1, 2.9, 3.0], r),
    ...          "south": Moments(list("abcd"), 200, [3.3, 3.4, 3.2, 3.9], r)}
    >>> found = invariance("mood =~ a + b + c + d", shops)
    >>> found.augment()[["step", "df", "verdict", "release"]]
             step  df verdict release
    0  configural   4   holds
    1      metric   7   holds
    2      scalar  10   fails     d~1
    3      strict  14   holds
    >>> found.held
    'metric'
    """
    options: dict[str, Any] = {"missing": missing, "likelihood": likelihood, "cluster": cluster, "level": level}
    options["ordered"] = ordered = ordered or ordered_items(model, data, estimator)
    given = {"group": group, "estimator": estimator, "parameterization": parameterization}
    options |= {name: value for name, value in given.items() if value is not None}
    if steps is not None and len(steps) < 2:
        raise UsageError("steps= needs two or more, such as {'configural': [], 'metric': ['loadings']}.")
    own = None if steps is None else [Step.of(*one) for one in steps.items()]
    if not ordered or parameterization or (isinstance(model, Model) and model.ordinal):
        return _result(*_ladder(model, data, options, own, partial), partial)
    needed = any("residuals" in step.equal for step in own or ())
    try:
        return _result(*_ladder(model, data, options | {"parameterization": "theta"}, own, partial), partial)
    except (EstimationError, NotIdentifiedError) as fault:
        if needed:
            raise
        return _result(*_ladder(model, data, options, own, partial), partial, _no_residuals(fault))


def _ladder(
    model: Model | str, data: Given, options: Mapping[str, Any], own: Sequence[Step] | None, partial: Sequence[str]
) -> tuple[dict[str, SemFit], dict[str, tuple[str, ...]]]:
    """Fits by step, and what each holds equal."""
    first = _fitted(model, data, options)
    _require_groups(first)
    chosen = default_steps(first.model) if own is None else own
    fits = {
        step.name: _equal_in(step_model(first.model, step, partial), data, step, options) if step.equal else first
        for step in chosen
    }
    return fits, {step.name: step.equal for step in chosen}


def _no_residuals(fault: Exception) -> Note:
    return Note.of("no_strict_step", "warning", "residual variances", problem=str(fault))


def _fitted(model: Model | str, data: Given, options: Mapping[str, Any]) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit_model(model, data, **options)


def _equal_in(model: Model, data: Given, step: Step, options: Mapping[str, Any]) -> SemFit:
    """The fit of a step, whose options say what it holds equal."""
    try:
        found = _fitted(model, data, options)
    except NonConvergenceError as error:
        raise NonConvergenceError(_of_step(step, error), error.solution, error.parameters) from error
    except NotIdentifiedError as error:
        raise NotIdentifiedError(_of_step(step, error), error.parameters) from error
    return replace(found, options=replace(found.options, group_equal=step.words))


def _of_step(step: Step, error: Exception) -> str:
    return f"The step {step.name}: {error} Or leave the step out, with steps=."


def _require_groups(first: SemFit) -> None:
    if not first.parts[0].model.latents:
        raise UsageError("The model has no latent variables, so nothing is measured. Write some with '=~'.")
    if len(first.parts) < 2:
        raise UsageError("There is one group. Name the column of groups with group=, or give the moments of each.")


def _result(
    fits: Mapping[str, SemFit], equal: Mapping[str, tuple[str, ...]], partial: Sequence[str], *more: Note
) -> Invariance:
    first = next(iter(fits.values()))
    releases = released(fits)
    table = _table(fits, equal, releases)
    verdicts = table["verdict"].tolist()
    broken = next((i for i, verdict in enumerate(verdicts) if verdict != "holds" and (i or verdict == "fails")), None)
    held = "" if broken == 0 else str(table["step"].iloc[-1 if broken is None else broken - 1])
    source = _means_step(fits, equal, held)
    means = latent_means(fits[source]) if source else latent_means(None)
    provenance = Provenance.record(
        {"steps": tuple(fits), "partial": tuple(partial), "estimator": first.options.estimator},
        first.provenance.data_fingerprint,
    )
    notes = (*_notes(fits, table, held, source), *more)
    return Invariance(
        table, releases, means, source, held, MappingProxyType(dict(fits)), first.groups, notes, provenance
    )


# -- the table


def _table(fits: Mapping[str, SemFit], equal: Mapping[str, tuple[str, ...]], releases: pd.DataFrame) -> pd.DataFrame:
    glances = {name: fit.glance().iloc[0] for name, fit in fits.items()}
    rows = [
        {"step": name, "held": ", ".join(equal[name]), "npar": int(row["npar"]),
         **{key: float(row[key]) for key in _MEASURES}, "df": int(row["df"])}
        for name, row in glances.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    for name in ("cfi", "rmsea"):
        robust = np.array([float(row[f"{name}_robust"]) for row in glances.values()])
        if np.isfinite(robust).all():
            table[name] = robust
        elif any(fit.correction is not None for fit in fits.values()):
            table[name] = [_scaled(fit, name, plain) for fit, plain in zip(fits.values(), table[name], strict=True)]
    tests = [(np.nan, np.nan, np.nan)]
    for free, strict in pairwise(fits.values()):
        found = difference_of(free, strict)
        tests.append((found.chisq, found.df, found.p_value))
    for at, name in enumerate(("chisq_diff", "df_diff", "pvalue_diff")):
        table[name] = [row[at] for row in tests]
    for name in ("cfi", "rmsea", "srmr"):
        table[f"{name}_diff"] = table[name].diff()
    table["verdict"] = [_first_verdict(table.iloc[0]), *(_verdict(row) for _, row in table.iloc[1:].iterrows())]
    table["release"] = [_released(row, releases) for _, row in table.iterrows()]
    return table


def _scaled(fit: SemFit, name: str, plain: float) -> float:
    """The measure from the scaled test, where there is no robust one."""
    from spc.sem.measures import fit_measures

    return float(fit_measures(fit).get(f"{name}_scaled", plain))


def _first_verdict(row: pd.Series) -> str:
    if row["df"] == 0:
        return "holds"
    if row["cfi"] < 0.90 or row["rmsea"] > 0.10:
        return "fails"
    return "holds" if row["cfi"] >= 0.95 and row["rmsea"] <= 0.06 else "unclear"


def _verdict(row: pd.Series) -> str:
    drop, rise = -row["cfi_diff"], row["rmsea_diff"]
    if not np.isfinite(drop) or not np.isfinite(rise):
        return "unclear"
    if drop <= CFI_DROP and rise < RMSEA_RISE:
        return "holds"
    return "fails" if (drop > CFI_DROP and rise >= RMSEA_RISE) or drop > 2.0 * CFI_DROP else "unclear"


# -- means and notes


def _released(row: pd.Series, releases: pd.DataFrame) -> str:
    own = releases[(releases["step"] == row["step"]) & releases["chisq"].notna()]
    return "" if row["verdict"] == "holds" or own.empty else str(own["parameter"].iloc[0])


def _means_step(fits: Mapping[str, SemFit], equal: Mapping[str, tuple[str, ...]], held: str) -> str:
    """The last step that holds and allows means to be compared; else the first that would."""
    able = [name for name, words in equal.items() if _compares_means(words, ordered=bool(fits[name].model.ordinal))]
    lasting = _until(fits, held)
    good = [name for name in able if name in lasting]
    return good[-1] if good else (able[0] if able else "")


def _compares_means(equal: Sequence[str], *, ordered: bool) -> bool:
    wanted = {"loadings", "intercepts", *(("thresholds",) if ordered else ())}
    return wanted <= set(equal) and "means" not in equal


def _notes(fits: Mapping[str, SemFit], table: pd.DataFrame, held: str, source: str) -> list[Note]:
    notes = [Note(
        "cut_offs", "info", "verdicts",
        f"A step holds where CFI falls by no more than {CFI_DROP:.3f} (Cheung & Rensvold 2002) and RMSEA rises by less "
        f"than {RMSEA_RISE:.3f} (Chen 2007). These are rules of thumb for a few hundred rows a group.",
    )]  # fmt: skip
    for _, row in table.iterrows():
        if row["verdict"] != "holds":
            notes.append(_not_held(row))
    if source and source not in _until(fits, held):
        notes.append(Note(
            "means_not_comparable", "serious", "latent means",
            f"The means come from the {source} step, which does not hold with all before it: differences may be of the "
            "items and not of what they measure. Release what is named, with partial=[...], and look again.",
        ))  # fmt: skip
    seen: set[tuple[str, str]] = set()
    for name, fit in fits.items():
        for note in fit.notes():
            if note.severity != "info" and (note.code, note.subject) not in seen:
                seen.add((note.code, note.subject))
                notes.append(Note(note.code, note.severity, f"{name}, {note.subject}", note.text))
    return notes


def _until(fits: Mapping[str, SemFit], held: str) -> list[str]:
    names = list(fits)
    return names[: names.index(held) + 1] if held else []


def _not_held(row: pd.Series) -> Note:
    what = f"CFI {row['cfi']:.3f}, RMSEA {row['rmsea']:.3f}"
    if np.isfinite(row["cfi_diff"]):
        what = f"CFI changes by {row['cfi_diff']:+.3f} and RMSEA by {row['rmsea_diff']:+.3f}"
    hint = f" Releasing {row['release']} would help most: partial=[{row['release']!r}]." if row["release"] else ""
    severity: Literal["warning", "info"] = "warning" if row["verdict"] == "fails" else "info"
    return Note("not_invariant", severity, row["step"], f"This step {_words(row['verdict'])}: {what}.{hint}")


def _words(verdict: str) -> str:
    return "does not hold" if verdict == "fails" else "is unclear"
