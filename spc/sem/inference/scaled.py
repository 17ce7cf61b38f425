"""Scaled and robust versions of the fit measures, from the ordinary statistics and the scaling of the test."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spc.sem.inference import fitmeasures as measure

__all__ = [
    "CompleteTest",
    "Correction",
    "complete_measures",
    "ordinal_measures",
    "ratio",
    "scaled_measures",
    "scaled_statistic",
]


@dataclass(frozen=True, slots=True)
class Correction:
    """How a normal-theory chi-square is scaled.

    Attributes
    ----------
    name : str
        ``"satorra_bentler"`` or ``"yuan_bentler_mplus"``; of ordered items also ``"scaled_shifted"`` and
        ``"mean_var_adjusted"``.
    trace : float
        ``trace(U Gamma)``: the mean of the statistic where the model holds.
    factor : float
        ``trace / df``, by which the statistic is divided; NaN without degrees of freedom.
    baseline_factor : float
        The same of the independence model.
    factor_h0, factor_h1 : float
        Scaling of the log-likelihoods of the model and of the sample moments; NaN for Satorra-Bentler.
    second : tuple of float or None
        For ordered items: ``trace((U Gamma)^2)`` of the model, and ``trace(U Gamma)`` and ``trace((U Gamma)^2)`` of the
        independence model.
    """

    name: str
    trace: float
    factor: float
    baseline_factor: float
    factor_h0: float = math.nan
    factor_h1: float = math.nan
    second: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class CompleteTest:
    """What the test would be on complete data, from the estimates of incomplete ones.

    Attributes
    ----------
    chisq, baseline_chisq : float
        Complete-data statistics of the estimates, against the saturated moments.
    factor, baseline_factor : float
        Their means by chance, divided by the degrees of freedom.
    """

    chisq: float
    factor: float
    baseline_chisq: float
    baseline_factor: float


def ratio(trace: float, count: int) -> float:
    """Scaling factor; NaN where it makes no sense, as lavaan says NA."""
    return trace / count if count > 0 and trace > 0.0 else math.nan


def scaled_statistic(chisq: float, df: int, factor: float) -> dict[str, float]:
    """Chi-square divided by a scaling factor; NaN where there is none to divide by."""
    scaled = chisq / factor if df > 0 else chisq
    return {
        "chisq_scaled": scaled,
        "df_scaled": df,
        "pvalue_scaled": measure.chisq_pvalue(scaled, df) if not math.isnan(scaled) else math.nan,
        "chisq_scaling_factor": factor,
    }


def scaled_measures(test: dict[str, float], correction: Correction, n: int, groups: int = 1) -> dict[str, float]:
    """Scaled and robust versions of the fit measures.

    Scaled ones put the scaled statistics of model and baseline into the ordinary formulas; the scaled RMSEA takes
    ``trace(U Gamma)`` for df. Robust ones estimate what the ordinary measures would be in the population
    (Brosseau-Liard, Savalei & Li 2012, Multivariate Behavioral Research 47, 904-930; Brosseau-Liard & Savalei 2014,
    same journal 49, 460-470).

    Parameters
    ----------
    test : dict
        ``chisq, df, baseline_chisq, baseline_df``.
    correction : Correction
    n : int
        Divisor of the likelihood.
    groups : int
    """
    if correction.second is not None:
        return ordinal_measures(test, correction, n, groups)
    chisq, df = test["chisq"], int(test["df"])
    base, base_df = test["baseline_chisq"], int(test["baseline_df"])
    c, c_base = correction.factor, correction.baseline_factor
    scaled, base_scaled = scaled_statistic(chisq, df, c), scaled_statistic(base, base_df, c_base)
    x, b = scaled["chisq_scaled"], base_scaled["chisq_scaled"]
    found = {
        **scaled,
        "baseline_chisq_scaled": b,
        "baseline_df_scaled": base_df,
        "baseline_pvalue_scaled": base_scaled["pvalue_scaled"],
        "baseline_chisq_scaling_factor": c_base,
    }
    if correction.name == "yuan_bentler_mplus" and df > 0:
        found.update(scaling_factor_h1=correction.factor_h1, scaling_factor_h0=correction.factor_h0)
    if math.isnan(b) or math.isnan(c):
        robust = dict.fromkeys(("cfi_robust", "tli_robust", "nnfi_robust", "rni_robust"), math.nan)
    else:
        robust = _robust_incremental(chisq, df, base, base_df, c, c_base)
    if math.isnan(b) or math.isnan(x):
        incremental = dict.fromkeys(_INCREMENTAL, math.nan)
    else:
        incremental = _incremental(x, df, b, base_df)
    return {**found, **incremental, **robust, **_robust_approximation(chisq, df, n, correction, groups)}


def _adjusted(name: str, chisq: float, df: int, trace: float, square: float) -> tuple[float, float, float, float]:
    """Statistic, degrees of freedom, scaling factor and shift of a test of ordered items."""
    if df <= 0 or trace <= 0.0 or square <= 0.0:
        return chisq, df, math.nan, math.nan
    if name == "scaled_shifted":
        stretch = math.sqrt(df / square)
        shift = df - stretch * trace
        return chisq * stretch + shift, df, 1.0 / stretch, shift
    wanted = trace**2 / square if name == "mean_var_adjusted" else df
    return chisq * wanted / trace, wanted, trace / wanted, math.nan


def ordinal_measures(test: dict[str, float], correction: Correction, n: int, groups: int) -> dict[str, float]:
    """Scaled versions of the fit measures under least squares on correlations of ordered items.

    They put the adjusted statistics of model and baseline into the ordinary formulas; no robust ones exist. The tests
    are ``scaled_shifted`` (Asparouhov & Muthen 2010), ``mean_var_adjusted`` (Satterthwaite) and ``satorra_bentler``.
    """
    assert correction.second is not None
    chisq, df, base, base_df = (test[name] for name in ("chisq", "df", "baseline_chisq", "baseline_df"))
    square, base_trace, base_square = correction.second
    x, d, factor, shift = _adjusted(correction.name, chisq, int(df), correction.trace, square)
    b, b_d, b_factor, _ = _adjusted(correction.name, base, int(base_df), base_trace, base_square)
    found = {
        "chisq_scaled": x,
        "df_scaled": d,
        "pvalue_scaled": measure.chisq_pvalue(x, d),
        "chisq_scaling_factor": factor,
        "chisq_shift": shift,
        "baseline_chisq_scaled": b,
        "baseline_df_scaled": b_d,
        "baseline_pvalue_scaled": measure.chisq_pvalue(b, b_d),
        "baseline_chisq_scaling_factor": b_factor,
        **_incremental(x, d, b, b_d),
    }
    if correction.name != "scaled_shifted":
        x, d = chisq, correction.trace
    low, high = measure.rmsea_ci(x, d, n, groups=groups)
    return {
        **found,
        "rmsea_scaled": measure.rmsea(x, d, n, groups),
        "rmsea_ci_lower_scaled": low,
        "rmsea_ci_upper_scaled": high,
        "rmsea_pvalue_scaled": measure.rmsea_pvalue(x, d, n, groups=groups),
        "rmsea_notclose_pvalue_scaled": measure.rmsea_notclose(x, d, n, groups=groups),
    }


def complete_measures(test: CompleteTest, df: int, base_df: int, n: int, groups: int = 1) -> dict[str, float]:
    """Measures of fit corrected for missing answers, which blur misfit: the ``_robust`` ones.

    References
    ----------
    Zhang & Savalei (2023), Structural Equation Modeling 30, 263-283.
    """
    factor = test.factor if df > 0 else 0.0
    if math.isnan(factor) or math.isnan(test.baseline_factor):
        incremental = dict.fromkeys(("cfi_robust", "tli_robust", "nnfi_robust", "rni_robust"), math.nan)
    else:
        incremental = _robust_incremental(test.chisq, df, test.baseline_chisq, base_df, factor, test.baseline_factor)
    correction = Correction("complete", test.factor * df, test.factor, test.baseline_factor)
    approximation = _robust_approximation(test.chisq, df, n, correction, groups)
    return {**incremental, **{name: value for name, value in approximation.items() if name.endswith("_robust")}}


_INCREMENTAL = (
    "cfi_scaled", "tli_scaled", "nnfi_scaled", "rfi_scaled", "nfi_scaled", "pnfi_scaled", "ifi_scaled", "rni_scaled",
)  # fmt: skip


def _incremental(x: float, df: float, b: float, base_df: float) -> dict[str, float]:
    tli = measure.tli(x, df, b, base_df)
    values = (
        measure.cfi(x, df, b, base_df), tli, tli, measure.rfi(x, df, b, base_df), measure.nfi(x, df, b, base_df),
        measure.pnfi(x, df, b, base_df), measure.ifi(x, df, b), measure.rni(x, df, b, base_df),
    )  # fmt: skip
    return dict(zip(_INCREMENTAL, values, strict=True))


def _robust_incremental(chisq: float, df: int, base: float, base_df: int, c: float, c_base: float) -> dict[str, float]:
    excess, base_excess = chisq - c * df, base - c_base * base_df
    most = max(excess, base_excess, 0.0)
    tli = 1.0 - excess * base_df / (base_excess * df) if df > 0 and base_excess != 0.0 else 1.0
    return {
        "cfi_robust": 1.0 - max(excess, 0.0) / most if most > 0.0 else 1.0,
        "tli_robust": tli,
        "nnfi_robust": tli,
        "rni_robust": 1.0 - excess / base_excess if base_excess != 0.0 else 1.0,
    }


def _robust_approximation(chisq: float, df: int, n: int, correction: Correction, groups: int) -> dict[str, float]:
    """Scaled and robust RMSEA with intervals and tests."""
    names = ("rmsea", "rmsea_ci_lower", "rmsea_ci_upper", "rmsea_pvalue", "rmsea_notclose_pvalue")
    if df == 0 or math.isnan(correction.factor):
        value = 0.0 if df == 0 else math.nan
        return {
            f"{name}_{version}": math.nan if "pvalue" in name or version == "scaled" else value
            for version in ("scaled", "robust")
            for name in names
        }
    c, trace = correction.factor, correction.trace
    plain = (
        measure.rmsea(chisq, trace, n, groups),
        *measure.rmsea_ci(chisq, trace, n, groups=groups),
        measure.rmsea_pvalue(chisq, trace, n, groups=groups),
        measure.rmsea_notclose(chisq, trace, n, groups=groups),
    )
    x, root = chisq / c, math.sqrt(c)
    low, high = measure.rmsea_ci(x, df, n, groups=groups)
    robust = (
        measure.rmsea(x, df, n, groups) * root,
        low * root,
        high * root,
        measure.rmsea_pvalue(x, df, n, 0.05 / root, groups),
        measure.rmsea_notclose(x, df, n, 0.08 / root, groups),
    )
    return {
        **{f"{name}_scaled": value for name, value in zip(names, plain, strict=True)},
        **{f"{name}_robust": value for name, value in zip(names, robust, strict=True)},
    }
