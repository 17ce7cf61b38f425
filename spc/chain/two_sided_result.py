"""A chain fitted to several sides at once: links, effects, variances on both levels, reliability, notes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from spc.chain.covariates import CovariateSlopes
from spc.chain.links import verdict
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.defined import defined_slopes, defined_values, label_rows
from spc.sem.engine.problem import label_slopes
from spc.sem.engine.ram import implied
from spc.sem.engine.standardize import standardised_values
from spc.sem.inference import fitmeasures as measure
from spc.sem.postestimation.effects import Effects, drawn_effects
from spc.sem.twolevel.draws import predict_units
from spc.sem.twolevel.fit import TwoLevelFit, independence_chisq
from spc.sem.twolevel.membership_moments import MemberMoments
from spc.sem.twolevel.profile import FARTHEST, LinkProfile, link_profiles
from spc.spec import Model
from spc.words import Phrase, phrase

__all__ = ["TwoSidedFit"]

FEW_UNITS = 60
PROFILED = 100
"""Units below which intervals of links come from the profile of the likelihood."""
WEAK = 0.5
ALIKE = 0.98
Row = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class TwoSidedFit(Shown):
    """A chain of units fitted to respondents of several sides.

    Attributes
    ----------
    core : TwoLevelFit
        Estimates of both levels, likelihood, test.
    draws : (n, q) array
        Draws of the free parameters of the chain.
    resampled : str
        Where the draws are bootstrap replicates, and intervals of links come from them too: ``"parametric"`` or
        ``"units"``; else empty.
    bootstrap_pvalue : float
        Of the chi-square, from chi-squares of units made from the fit; NaN without.
    keys : tuple
        The units, in the order of ``augment()``.
    unit : str
        Name of the unit column.
    level : float
        Level of the intervals.
    freedom : float
        Degrees of freedom of Student's t behind the intervals.
    messages : tuple of Note
    provenance : Provenance
    covariates : CovariateSlopes or None
        What was taken out of all answers and outcomes.
    negative : frozenset of (str, str)
        Links, effect and cause, that are expected to be negative.
    """

    core: TwoLevelFit
    draws: FloatArray
    resampled: str
    bootstrap_pvalue: float
    keys: tuple[Hashable, ...]
    unit: str
    level: float
    freedom: float
    messages: tuple[Note, ...]
    provenance: Provenance
    covariates: CovariateSlopes | None = None
    negative: frozenset[tuple[str, str]] = frozenset()
    kind: str = "two_sided"

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", frozen_array(self.draws))

    @property
    def model(self) -> Model:
        """The chain."""
        return self.core.model

    @cached_property
    def effects(self) -> Effects:
        """Direct, indirect and total effects, with intervals from the draws."""
        source = {
            "parametric": "a parametric bootstrap", "units": "a bootstrap of units",
        }.get(self.resampled, f"Student's t with {self.freedom:.0f} degrees of freedom")  # fmt: skip
        return drawn_effects(
            self.core.model, self.core.values, self.core.problem.row_values(self.draws), level=self.level,
            method=f"{len(self.draws)} draws from {source}", nobs=round(float(self.core.units.counts.sum())),
            seed=self.provenance.seed, data_fingerprint=self.provenance.data_fingerprint,
        )  # fmt: skip

    def tidy(self) -> pd.DataFrame:
        """Long table.

        ``kind`` is ``link`` (direct effect in the units of the data, ``label`` its verdict, ``std_all`` in standard
        deviations of units), ``indirect``, ``total_indirect``, ``total`` (``label`` the way through the chain),
        ``loading``, ``variance``, ``covariance`` (level ``unit``: of the chain; level ``person``: within units,
        ``group`` the side), ``mean``, ``intercept`` (of effects, where their causes are nought), ``covariate`` (slopes
        of what was taken out, ``group`` the side), ``defined``, ``icc1`` (share of a score's variance that lies between
        units) and ``icc2`` (reliability of its unit means at the harmonic mean of respondents, told in ``label``).
        Constructs whose loadings hold on both levels have ``variance`` rows within units and shares of their own, free
        of the error of their items.

        Links are judged as ones that are expected to be positive, those of ``negative`` as negative ones.

        Below 100 units intervals of links are those of the profile likelihood, whose arms differ where the variance of
        a cause is badly known, and ``statistic`` is its signed root; errors stay those of the curvature at its top.
        """
        return self._tidy.copy()

    @cached_property
    def _tidy(self) -> pd.DataFrame:
        rows = [*self._table_rows(), *self._within_rows(), *self._mean_rows(), *self._covariate_rows()]
        rows += self._defined_rows()
        rows += [*_reliability_rows(self.core, self.level), *self._latent_reliability_rows()]
        others = tidy_frame(rows)
        links = others[others["kind"] == "link"]
        effects = self.effects.tidy().assign(level="unit", group="")
        direct = effects[effects["kind"] == "direct"]
        if self.resampled:
            columns = ["std_error", "statistic", "p_value", "conf_low", "conf_high"]
            links = links.drop(columns=columns).merge(direct[["lhs", "rhs", *columns]], on=["lhs", "rhs"], how="left")
            links = links[list(others.columns)]
        else:
            links = self._with_profiles(links)
        unreadable = self.unreadable
        told = (links[name].tolist() for name in ("lhs", "rhs", "conf_low", "conf_high"))
        links = links.assign(label=[
            verdict(low, high, interpretable=cause not in unreadable, negative=(effect, cause) in self.negative)
            for effect, cause, low, high in zip(*told, strict=True)
        ])  # fmt: skip
        return pd.concat(
            [links, effects[effects["kind"] != "direct"], others[others["kind"] != "link"]], ignore_index=True
        )

    @cached_property
    def _profiles(self) -> Mapping[tuple[str, str], LinkProfile]:
        """Profiles of links where units are few, whose likelihood has no arms of equal length; else none."""
        from scipy.special import stdtrit

        core = self.core
        if self.resampled or len(self.keys) >= PROFILED or core.errors == "robust":
            return {}
        if isinstance(core.units, MemberMoments):
            return {}
        rows = tuple(core.model.parameters)
        profiles = link_profiles(core, float(stdtrit(self.freedom, 0.5 + self.level / 2.0)))
        return {(rows[one.row].lhs, rows[one.row].rhs): one for one in profiles}

    def _with_profiles(self, links: pd.DataFrame) -> pd.DataFrame:
        """Intervals, statistics and p-values from the profile of the likelihood, where there is one."""
        from scipy.special import stdtr

        links = links.copy()
        for (lhs, rhs), one in self._profiles.items():
            if one.found:
                links.loc[(links["lhs"] == lhs) & (links["rhs"] == rhs),
                          ["conf_low", "conf_high", "statistic", "p_value"]] = [
                    one.low, one.high, one.root, 2.0 * stdtr(self.freedom, -abs(one.root)),
                ]  # fmt: skip
        return links

    def _latent_reliability_rows(self) -> Iterator[Row]:
        latent = self.core.latent
        if latent is None:
            return
        m = len(latent.names)
        for i, (name, side) in enumerate(zip(latent.names, self.sides_of_latent, strict=True)):
            counts = self.core.units.counts[self.core.units.counts[:, side] > 0, side]
            pair = latent.vcov[np.ix_([i, m + i], [i, m + i])]
            signal, noise = float(latent.between[i]), float(latent.within[i])
            yield from _share_rows(
                (name, self.core.units.sides[side]), signal, noise, pair, len(counts) / (1.0 / counts).sum(), self.level
            )

    @cached_property
    def unreadable(self) -> frozenset[str]:
        """Causes of which nothing can be said: units do not differ in them, or in two causes of an outcome alike."""
        causes: dict[str, list[str]] = {}
        for row in self.core.model.parameters:
            if row.op == "~":
                causes.setdefault(row.lhs, []).append(row.rhs)
        items = {row.rhs for row in self.core.model.parameters if row.op == "=~"}
        found = {name for name in self.core.bounded if name not in causes and name not in items}
        place, sigma = self._of_all
        root = np.sqrt(sigma.diagonal())
        alike = np.abs(sigma) > ALIKE * np.outer(root, root)
        for names in causes.values():
            for one, other in combinations([name for name in names if name in place], 2):
                if alike[place[one], place[other]]:
                    found |= {one, other}
        return frozenset(found)

    @property
    def _of_all(self) -> tuple[dict[str, int], FloatArray]:
        """Covariances of units of all variables, latent ones too, and the place of each."""
        place = self.core.problem.place
        sigma = implied(place, self.core.values).covariance
        return {name: i for i, name in enumerate(place.variables)}, sigma

    def parameters(self) -> pd.DataFrame:
        """The rows of :meth:`tidy` that are not effects."""
        table = self.tidy()
        return table[~table["kind"].isin(["indirect", "total_indirect", "total"])]

    def _table_rows(self) -> Iterator[Row]:
        place, values = self.core.problem.place, self.core.values
        standard = standardised_values(place, values, implied(place, values))
        error = np.append(np.sqrt(self.core.vcov.diagonal()), np.nan)[place.free]
        for i, row in enumerate(self.core.model.parameters):
            kind = {"~": "link", "=~": "loading"}.get(row.op, "variance" if row.lhs == row.rhs else "covariance")
            yield {
                "lhs": row.lhs, "op": row.op, "rhs": row.rhs, "level": "unit", "kind": kind, "label": row.label,
                "std_all": standard[i], **self._wald(values[i], error[i]),
            }  # fmt: skip

    def _within_rows(self) -> Iterator[Row]:
        units, sigma = self.core.units, self.core.sigma_w
        deviation = np.sqrt(sigma.diagonal())
        for i, first in enumerate(units.names):
            for j in range(i + 1):
                if not units.own[i, j]:
                    continue
                yield {
                    "lhs": units.names[j], "op": "~~", "rhs": first, "level": "person",
                    "group": units.sides[units.side[i]], "kind": "variance" if i == j else "covariance",
                    "std_all": sigma[i, j] / (deviation[i] * deviation[j]),
                    **self._wald(sigma[i, j], self.core.within_error[i, j]),
                }  # fmt: skip

        yield from self._latent_rows()

    def _latent_rows(self) -> Iterator[Row]:
        """Variances within units of constructs whose loadings hold there."""
        latent = self.core.latent
        if latent is None:
            return
        m = len(latent.names)
        errors = np.sqrt(np.maximum(latent.vcov.diagonal()[m:], 0.0))
        for name, side, value, error in zip(latent.names, self.sides_of_latent, latent.within, errors, strict=True):
            yield {
                "lhs": name, "op": "~~", "rhs": name, "level": "person", "group": self.core.units.sides[side],
                "kind": "variance", "std_all": 1.0, **self._wald(float(value), float(error)),
            }  # fmt: skip

    @property
    def sides_of_latent(self) -> tuple[int, ...]:
        """Place of the side of each construct whose loadings hold within units."""
        assert self.core.latent is not None
        home = {row.lhs: row.rhs for row in self.core.model.parameters if row.op == "=~"}
        units = self.core.units
        return tuple(int(units.side[units.names.index(home[name])]) for name in self.core.latent.names)

    def _mean_rows(self) -> Iterator[Row]:
        errors = np.sqrt(self.core.mu_vcov.diagonal())
        for name, value, error in zip(self.core.units.names, self.core.mu, errors, strict=True):
            yield {"lhs": name, "op": "~1", "level": "unit", "kind": "mean", **self._wald(value, error)}

        yield from self._intercept_rows()

    def _intercept_rows(self) -> Iterator[Row]:
        """Means of effects less what their causes bring; errors take means as independent of links, as they are."""
        core = self.core
        at = {name: i for i, name in enumerate(core.units.names)}
        links: dict[str, list[tuple[int, int]]] = {}
        for i, row in enumerate(core.model.parameters):
            if row.op == "~" and row.lhs in at:
                links.setdefault(row.lhs, []).extend([(i, at[row.rhs])] if row.rhs in at else [])
        for name, own in links.items():
            of_means, of_slopes = np.zeros(len(at)), np.zeros(len(core.vcov) + 1)
            of_means[at[name]] = 1.0
            for i, cause in own:
                of_means[cause] -= core.values[i]
                of_slopes[core.problem.place.free[i]] -= core.mu[cause]
            moved = np.flatnonzero(of_slopes[:-1])
            spread = of_means @ core.mu_vcov @ of_means
            spread += of_slopes[moved] @ core.vcov[np.ix_(moved, moved)] @ of_slopes[moved]
            yield {
                "lhs": name, "op": "~1", "level": "unit", "kind": "intercept",
                **self._wald(float(of_means @ core.mu), float(np.sqrt(spread))),
            }  # fmt: skip

    def _covariate_rows(self) -> Iterator[Row]:
        found = self.covariates
        if found is None:
            return
        errors = np.sqrt(found.vcov.diagonal())
        for lhs, rhs, side, value, error in zip(found.lhs, found.rhs, found.side, found.estimate, errors, strict=True):
            yield {
                "lhs": lhs, "rhs": rhs, "level": "person" if side else "unit", "group": side,
                "kind": "covariate", **self._wald(float(value), float(error)),
            }  # fmt: skip

    def _defined_rows(self) -> Iterator[Row]:
        model = self.core.model
        if not model.defined:
            return
        labels = {name: np.asarray(self.core.values[i]) for name, i in label_rows(model).items()}
        values = defined_values(model.defined, labels)
        slopes = defined_slopes(model.defined, labels, label_slopes(model))
        for item in model.defined:
            spread = float(slopes[item.name] @ self.core.vcov @ slopes[item.name])
            yield {
                "lhs": item.name, "op": ":=", "rhs": item.expression, "level": "unit", "label": item.name,
                "kind": "defined", **self._wald(float(values[item.name]), float(np.sqrt(spread))),
            }  # fmt: skip

    def _wald(self, value: float, error: float) -> Row:
        from scipy.special import stdtr, stdtrit

        width = stdtrit(self.freedom, 0.5 + self.level / 2.0) * error
        ratio = value / error if error > 0.0 else np.nan
        return {
            "estimate": value, "std_error": error, "statistic": ratio,
            "p_value": 2.0 * stdtr(self.freedom, -abs(ratio)), "conf_low": value - width, "conf_high": value + width,
        }  # fmt: skip

    def glance(self) -> pd.DataFrame:
        """One row: fit of the chain against free covariances of units, likelihood, sizes.

        Measures of fit are of the unit level: the baseline has units that covary in nothing, the covariances within
        units are free throughout, and the sample size of RMSEA and ``bic`` is the number of units. Where loadings hold
        within units the test is of both levels, the baseline has nothing that covaries on either, ``srmr`` is of units
        and ``srmr_within`` of respondents within them. ``nobs`` counts
        respondents, ``n_`` with the name of a side those of that side. ``chisq_corrected`` and its p-value are for few
        units, where the plain test rejects true chains too often. What rests on the test is NaN where there is none.
        """
        return pd.DataFrame([self._glance])

    @cached_property
    def _glance(self) -> Row:
        core, counts = self.core, self.core.units.counts
        units, chisq, df = len(counts), core.chisq, core.df
        base, base_df = independence_chisq(core)
        low, high = measure.rmsea_ci(chisq, df, units)
        return {
            "npar": core.npar, "chisq": chisq, "df": df, "pvalue": measure.chisq_pvalue(chisq, df),
            "chisq_corrected": core.chisq_corrected, "pvalue_corrected": measure.chisq_pvalue(core.chisq_corrected, df),
            **({} if np.isnan(self.bootstrap_pvalue) else {"pvalue_bootstrap": self.bootstrap_pvalue}),
            "chisq_scaling_factor": core.scaling, "baseline_chisq": base, "baseline_df": base_df,
            "cfi": measure.cfi(chisq, df, base, base_df), "tli": measure.tli(chisq, df, base, base_df),
            "rmsea": measure.rmsea(chisq, df, units), "rmsea_ci_lower": low, "rmsea_ci_upper": high,
            "srmr": measure.srmr(measure.Residuals(core.free_sigma_b, core.sigma_b)), **_srmr_within(core),
            "logl": core.peak, "unrestricted_logl": core.unrestricted_logl,
            "aic": measure.aic(core.peak, core.npar), "bic": measure.bic(core.peak, core.npar, units),
            "nobs": round(float(counts.sum())), "nunits": units,
            **{f"n_{side}": round(float(counts[:, s].sum())) for s, side in enumerate(core.units.sides)},
            "ngroups": 1, "estimator": "ML", "errors": core.errors, "converged": core.solution.converged,
            "iterations": core.solution.iterations,
        }  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        return (*self.messages, *self._own_notes(), *self.effects.notes())

    def _own_notes(self) -> Iterator[Note]:
        n = len(self.keys)
        if n < FEW_UNITS and len(self.detectable()):
            yield self._few_units()
        if self.core.df and np.isnan(self.core.chisq):
            yield Note.of("no_test", "serious", "chi-square", "two_sided")
        items = {row.rhs for row in self.core.model.parameters if row.op == "=~"}
        whole = [name for name in self.core.bounded if name in items]
        if whole:
            yield Note.of("items_alike", "info", ", ".join(whole), alike=len(whole), items=len(items))
        for name in self.core.bounded:
            if name not in items:
                yield _bound_note(name, serious=name in self.unreadable)
        for name in sorted(self.unreadable - set(self.core.bounded)):
            yield Note.of("causes_alike", "serious", name, name=name)
        yield from self._profile_notes()
        table = self.tidy()
        weak = table[(table["kind"] == "icc2") & (table["estimate"] < WEAK)]
        for name, reliability, sizes in zip(weak["lhs"], weak["estimate"], weak["label"], strict=True):
            each = float(str(sizes).split(" ", 1)[0])
            yield Note.of("weak_unit_scores", "info", str(name), name=str(name), reliability=reliability, n=each)

    def _profile_notes(self) -> Iterator[Note]:
        """Links whose interval has an end that the likelihood did not give."""
        cut = [f"{rhs} -> {lhs}" for (lhs, rhs), one in self._profiles.items() if one.found and one.cut]
        if cut:
            links = [_arrow(lhs, rhs) for (lhs, rhs), one in self._profiles.items() if one.found and one.cut]
            yield Note.of("open_interval", "warning", ", ".join(cut), errors=FARTHEST, links=links)
        equal = [f"{rhs} -> {lhs}" for (lhs, rhs), one in self._profiles.items() if not one.found]
        if equal:
            links = [_arrow(lhs, rhs) for (lhs, rhs), one in self._profiles.items() if not one.found]
            yield Note.of("no_profile", "warning", ", ".join(equal), links=links)

    def detectable(self, chance: float = 0.8) -> pd.Series:
        """Smallest link that units like these would show, in standard deviations of units.

        From its standard error: ``(t(1 - alpha/2) + t(chance)) * error``, with ``alpha`` of the fit's level, and the
        deviations of units in cause and effect taken as known.

        Parameters
        ----------
        chance : float
            That the interval of such a link lies clear of zero.

        Returns
        -------
        Series
            Indexed by effect and cause.
        """
        from scipy.special import stdtrit

        wide = float(stdtrit(self.freedom, 0.5 + self.level / 2.0) + stdtrit(self.freedom, chance))
        table = self.tidy()
        links = table[(table["kind"] == "link") & table["std_error"].gt(0.0)].set_index(["lhs", "rhs"])
        found = wide * links["std_error"] * (links["std_all"] / links["estimate"]).abs()
        return found.dropna().rename("detectable").astype(float)

    def _few_units(self) -> Note:
        least = self.detectable().sort_values()
        links, sizes = least.index.tolist(), least.tolist()
        first, last = (_size(sizes[i], *links[i]) for i in (0, -1))
        found = (
            phrase("note.detectable.none") if sizes[0] >= 1.0
            else phrase("note.detectable.span", first=first, last=last) if len(links) > 1
            else phrase("note.detectable.single", first=first)
        )  # fmt: skip
        return Note.of("few_units", "warning", "units", "detectable", units=len(self.keys), found=found)

    def augment(self) -> pd.DataFrame:
        """One row a unit: respondents of each side, and each variable with its error, small units drawn in more.

        Confidential: it never leaves as it is.
        """
        units = self.core.units
        values, errors = predict_units(self.core)
        table = {self.unit: list(self.keys)}
        counts = {f"n_{side}": np.rint(units.counts[:, s]).astype(int) for s, side in enumerate(units.sides)}
        names = (*units.names, *(() if self.core.latent is None else self.core.latent.names))
        scores = {name: values[:, i] for i, name in enumerate(names)}
        spread = {f"{name}_error": errors[:, i] for i, name in enumerate(names)}
        return pd.DataFrame({**table, **counts, **scores, **spread})


def _srmr_within(core: TwoLevelFit) -> Row:
    """Root mean square of the residual correlations within units, of all sides, where the model structures them."""
    if core.within == "free":
        return {}
    units = core.units
    root = np.sqrt(np.where(units.side >= 0, units.within.diagonal(), 1.0))
    left = (units.within - core.sigma_w) / np.outer(root, root)
    return {"srmr_within": float(np.sqrt((left[np.tril(units.own)] ** 2).mean()))}


def _bound_note(name: str, *, serious: bool) -> Note:
    if serious:
        return Note.of("variance_at_bound", "serious", name, "serious", name=name)
    return Note.of("variance_at_bound", "warning", name, "given", name=name)


def _arrow(lhs: str, rhs: str) -> Phrase:
    return phrase("table.from_to", cause=rhs, effect=lhs)


def _size(size: float, lhs: str, rhs: str) -> Phrase:
    if size < 1.0:
        return phrase("note.detectable.size", size=float(size), link=_arrow(lhs, rhs))
    return phrase("note.detectable.impossible", link=_arrow(lhs, rhs))


def _reliability_rows(fit: TwoLevelFit, level: float) -> Iterator[Row]:
    """ICC(1), and ICC(2) at the harmonic mean of respondents, with intervals on the scale of log-odds."""
    units, p = fit.units, len(fit.mu)
    for i in np.flatnonzero(units.side >= 0):
        side = int(units.side[i])
        counts = units.counts[units.counts[:, side] > 0, side]
        typical = float(len(counts) / (1.0 / counts).sum() if units.averaged[i] else counts.mean())
        pair = fit.variances_vcov[np.ix_([i, p + i], [i, p + i])]
        who = units.names[i], units.sides[side]
        yield from _share_rows(who, fit.sigma_b[i, i], fit.sigma_w[i, i], pair, typical, level)


def _share_rows(
    who: tuple[str, str], signal: float, noise: float, cov: FloatArray, typical: float, level: float
) -> Iterator[Row]:
    """ICC(1), and ICC(2) with ``typical`` respondents a unit, of a variable of a side."""
    for kind, n in {"icc1": 1.0, "icc2": typical}.items():
        unit_size = np.array([1.0, n])
        yield {
            "lhs": who[0], "level": "unit", "group": who[1], "kind": kind,
            "label": "" if kind == "icc1" else f"{typical:.1f} respondents a unit",
            **_share(signal, noise / n, cov / np.outer(unit_size, unit_size), level),
        }  # fmt: skip


def _share(signal: float, noise: float, cov: FloatArray, level: float) -> Row:
    """``signal / (signal + noise)`` with its delta-method error."""
    from scipy.special import expit, logit, ndtri

    share = signal / (signal + noise)
    slope = np.array([noise, -signal]) / (signal + noise) ** 2
    error = max(float(slope @ cov @ slope), 0.0) ** 0.5
    row: Row = {"estimate": share, "std_error": error if error > 0.0 else np.nan}
    if error > 0.0 and 0.0 < share < 1.0:
        width = ndtri(0.5 + level / 2.0) * error / (share * (1.0 - share))
        row |= {"conf_low": float(expit(logit(share) - width)), "conf_high": float(expit(logit(share) + width))}
    return row
