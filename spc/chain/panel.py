"""Panels of at least three waves: cross-lagged links, links within units, and fixed effects of units."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from spc.chain.links import outcomes
from spc.chain.panel_rows import KEY, WAVE, given_waves, measurement_errors, over_waves, timed, waves_of
from spc.chain.panel_text import column, cross_lagged_text, fixed_effects_text, now, stable
from spc.chain.two_way import slopes, two_way
from spc.errors import DataError, EstimationError, NotIdentifiedError, SpcWarning, UnsupportedError, UsageError
from spc.linalg import one_blas_thread
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame
from spc.sem import SemFit, fit
from spc.spec import model
from spc.study import Study
from spc.study.study import SIDES

__all__ = ["MODELS", "Panel", "PanelModel", "panel"]

PanelModel = Literal["cross_lagged", "random_intercept", "fixed_effects", "within"]
MODELS: Mapping[str, str] = {
    "cross_lagged": "cross-lagged panel",
    "random_intercept": "random-intercept cross-lagged panel",
    "fixed_effects": "fixed effects, maximum likelihood",
    "within": "fixed effects, within transformation",
}
Rows = Literal["auto", "unit", "person"]
Row = dict[str, Any]
Errors = dict[tuple[str, str, int], float]
IMPROPER = frozenset({"heywood", "latent_covariance", "residual_covariance", "at_bound", "active_inequality"})
FEWEST_WAVES = 3
FEWEST_UNITS = 20
FEW_UNITS = 60
MANY_UNITS = 200
"""From here on, what happens anew at each wave has a variance of its own in models of links within units."""
NOTHING = 1e-4
NOISE = 0.9
"""Share of a score's variance that error may take before it is told from nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class Panel(Shown):
    """Links over waves by several panel models.

    Attributes
    ----------
    table : DataFrame
        Tidy rows.
    fits : mapping of (constructs, model) to SemFit
        Constructs and model as in ``lhs`` of the rows of kind ``chisq``, and their ``label``.
    level : str
        ``"unit"`` or ``"person"``.
    nunits : int
        Units, or persons.
    waves : tuple
    messages : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    fits: Mapping[tuple[str, str], SemFit]
    level: str
    nunits: int
    waves: tuple[Any, ...]
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "panel"

    def tidy(self) -> pd.DataFrame:
        """Rows of each model, ``label`` its name.

        ``kind`` is ``cross_lag`` (outcome on cause one wave before, given its own value then), ``autoregression``,
        ``stable_share`` (of a construct's variance at the first wave: what units differ in for good),
        ``stable_covariance`` (``std_all`` the correlation of stable parts), ``chisq`` and ``bic`` of each model, and
        ``stable_parts``: chi-square of having no stable differences. ``group`` names the later wave where
        coefficients differ by wave.
        """
        return self.table

    def compared(self) -> pd.DataFrame:
        """One row a link, one column a model: the cross-lags, in units of outcome and cause."""
        own = self.table[self.table["kind"] == "cross_lag"]
        wide = own.pivot_table(index=["lhs", "rhs", "group"], columns="label", values="estimate", sort=False)
        return wide.reset_index().rename_axis(columns=None)

    def glance(self) -> pd.DataFrame:
        """One row: units (or persons), waves, links, models; ``nobs`` are the units too, for they are the rows."""
        links = self.table.loc[self.table["kind"] == "cross_lag", ["lhs", "rhs"]].drop_duplicates()
        return pd.DataFrame([{
            "nobs": self.nunits, "nunits": self.nunits, "waves": len(self.waves), "links": len(links),
            "models": self.table.loc[self.table["kind"] == "cross_lag", "label"].nunique(), "level": self.level,
        }])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        return self.messages


@dataclass(frozen=True, slots=True)
class _Trouble:
    code: str
    model: str
    key: str


@dataclass(frozen=True, eq=False)
class _Data:
    """One group of constructs over their waves."""

    names: tuple[str, ...]
    waves: tuple[Any, ...]
    long: pd.DataFrame
    wide: pd.DataFrame
    errors: Errors
    level: float
    equal: bool

    @property
    def key(self) -> str:
        return ", ".join(self.names)

    @property
    def orders(self) -> tuple[bool, ...]:
        """Whether what happens anew is held steady over waves: at first, and where that gives nothing proper."""
        return (False, True) if len(self.wide) >= MANY_UNITS else (True,)


def panel(
    data: Study | pd.DataFrame,
    constructs: Sequence[str] | None = None,
    *,
    unit: str = "unit",
    wave: str = "wave",
    rows: Rows = "auto",
    models: Sequence[PanelModel] = ("cross_lagged", "random_intercept", "fixed_effects", "within"),
    equal: bool = True,
    correct: bool = True,
    reliability: Mapping[str, float] | None = None,
    level: float = 0.95,
) -> Panel:
    r"""Estimate links over at least three waves, with and without what units differ in for good.

    A cross-lagged panel mixes two things: units that are always high on both, and units whose change in one is
    followed by change in the other. The random-intercept panel and fixed effects take the first away.

    Parameters
    ----------
    data : Study or DataFrame
        A frame has one row a unit (or person) and wave.
    constructs : sequence of str, optional
        Analysed together. Of a study, by default, cause and effect of each link of its chain, two by two.
    unit, wave : str
        Columns of the frame.
    rows : {"auto", "unit", "person"}
        What a row of a study is: unit means, or respondents who answered repeatedly; by default as in its chain.
    models : sequence of {"cross_lagged", "random_intercept", "fixed_effects", "within"}
    equal : bool
        The same coefficients from each wave to the next. Fixed effects always have them.
    correct : bool
        Take measurement error out: its variance is held at what the respondents of each unit say, or at
        ``1 - reliability`` of the variance.
    reliability : mapping of str to float, optional
        Of each construct of a frame; or in place of what a study says.
    level : float
        Level of the intervals.

    Returns
    -------
    Panel

    Raises
    ------
    DataError
        Fewer than three waves, columns that are absent, a unit twice at a wave, or too few units.
    UsageError, UnsupportedError
        Options out of range, or unknown models.

    Notes
    -----
    Below 200 units, what happens anew at each wave has the same variances from the second wave on in models of links
    within units: more is not told apart. Variances are kept from falling below zero, stable parts without any are
    left out, and links of a solution that is improper all the same are not shown.

    Missing values are handled by full-information likelihood; the within transformation takes complete pairs of waves.
    It estimates each cause one wave before together with its present value, without which a link at once shows as a
    lag of the opposite sign after few waves. It leaves the earlier outcome out: with it, the coefficient of the
    earlier outcome would be off by about :math:`-(1 + \rho)/(T - 1)` after T waves (Nickell 1981, Econometrica 49,
    1417-1426), and the links with it.

    References
    ----------
    Hamaker, Kuiper & Grasman (2015), Psychological Methods 20, 102-116; Allison, Williams & Moral-Benito (2017),
    Socius 3, 1-17.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> stable, now = rng.normal(size=(2, 200)), rng.normal(size=(2, 200))
    >>> frames = []
    >>> for k in range(4):
    ...     frames.append(pd.DataFrame({"unit": range(200), "wave": k, "mood": stable[0] + now[0],
    ...                                 "sales": 0.7 * stable[0] + 0.7 * stable[1] + now[1]}))
    ...     now = np.array([0.3 * now[0], 0.3 * now[1] + 0.3 * now[0]]) + rng.normal(size=(2, 200))
    >>> found = panel(pd.concat(frames), ["mood", "sales"])
    >>> found.compared()[["lhs", "rhs", "cross-lagged panel", "random-intercept cross-lagged panel"]].round(2)
         lhs    rhs  cross-lagged panel  random-intercept cross-lagged panel
    ...
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level is {level}; give a share between 0 and 1, such as 0.95.")
    unknown = [name for name in models if name not in get_args(PanelModel)]
    if unknown or not models:
        allowed = ", ".join(map(repr, get_args(PanelModel)))
        raise UnsupportedError(f"models has {unknown or 'nothing'}; choose out of {allowed}.")
    if rows not in get_args(Rows):
        raise UnsupportedError(f"rows={rows!r}; use one of {', '.join(map(repr, get_args(Rows)))}.")
    notes: list[Note] = []
    if isinstance(data, Study):
        kind: Literal["unit", "person"] = _level_of(data) if rows == "auto" else rows
        groups = [tuple(constructs)] if constructs is not None else _pairs(data, kind, notes)
        frames = {names: over_waves(data, names, kind) for names in groups}
        mark = data.fingerprint
    else:
        if constructs is None:
            raise UsageError("A frame needs constructs=: the columns to analyse, such as ['mood', 'sales'].")
        kind = "person" if rows == "person" else "unit"
        frames = {tuple(constructs): given_waves(data, constructs, unit, wave)}
        mark = fingerprint(data)
    found: list[Row] = []
    fits: dict[tuple[str, str], SemFit] = {}
    sizes, all_waves, troubles, corrected = [], dict[Any, None](), list[_Trouble](), False
    with one_blas_thread():
        for names, long in frames.items():
            notes += _study_notes(data, names, kind, correct=correct)
            part = _prepared(data, names, long, kind, reliability, level, notes, correct=correct, equal=equal)
            sizes.append(len(part.wide))
            corrected = corrected or bool(part.errors)
            all_waves |= dict.fromkeys(part.waves)
            for name in models:
                found += _of_model(part, name, fits, troubles)
            found += _stable_parts(part, fits)
    count = max(sizes)
    what = "units" if kind == "unit" else "persons"
    notes += _trouble_notes(troubles)
    if any(trouble.code in ("not_fitted", "improper") for trouble in troubles):
        notes.append(_advice(data, list(frames), kind, corrected=corrected))
    notes += _panel_notes(tidy_frame(found), count, len(all_waves), what, models)
    options = {"models": tuple(models), "equal": equal, "correct": correct, "level": level, "rows": kind}
    return Panel(
        tidy_frame([{**row, "level": kind} for row in found]), fits, kind, count, tuple(sorted(all_waves)),
        tuple(dict.fromkeys(notes)), Provenance.record(options, mark),
    )  # fmt: skip


def _level_of(study: Study) -> Literal["unit", "person"]:
    from spc.chain.rows import analysis_rows

    if study.chain is None:
        return "unit"
    return "person" if analysis_rows(study, outcomes(model(study.chain.model)), ()).level == "person" else "unit"


def _pairs(study: Study, kind: Literal["unit", "person"], notes: list[Note]) -> list[tuple[str, ...]]:
    """Cause and effect of each link that has enough waves."""
    if study.chain is None:
        raise DataError.of(
            "study", "chain", "no_chain", "no [chain], and no constructs", "a chain, or constructs=",
            "Name the constructs to analyse together.",
        )  # fmt: skip
    links = [(cause, effect) for effect, causes in outcomes(model(study.chain.model)).items() for cause in causes]
    there = timed(study, list(dict.fromkeys(name for link in links for name in link)), kind)
    pairs = [link for link in links if set(link) <= set(there)]
    pairs = [link for link in pairs if len(waves_of(over_waves(study, link, kind), link)) >= FEWEST_WAVES]
    if not pairs:
        raise DataError.of(
            "study", "wave", "too_few_waves", "no link whose two constructs share three waves", "at least three waves",
            "Panel models need three waves; for two, see the time order of spc.rivals.",
        )  # fmt: skip
    left = len(links) - len(pairs)
    if left:
        notes.append(Note("links_without_waves", "info", "waves", f"{left} of {len(links)} links have fewer than three "
                          "waves and are left out."))  # fmt: skip
    if len(pairs) > 1:
        notes.append(Note("pairs_apart", "info", "links", "Each link is analysed by itself, cause and effect, without "
                          "the other constructs; name constructs to analyse them together."))  # fmt: skip
    return list(pairs)


def _prepared(
    data: Study | pd.DataFrame,
    names: tuple[str, ...],
    long: pd.DataFrame,
    kind: Literal["unit", "person"],
    reliability: Mapping[str, float] | None,
    level: float,
    notes: list[Note],
    *,
    correct: bool,
    equal: bool,
) -> _Data:
    waves = waves_of(long, names)
    if len(waves) < FEWEST_WAVES:
        raise DataError.of(
            "data", WAVE, "too_few_waves", f"{len(waves)} waves at which {', '.join(names)} were measured",
            "at least three", "Panel models need three waves.",
        )  # fmt: skip
    long = long[long[WAVE].isin(waves)]
    wide = long.pivot_table(index=KEY, columns=WAVE, values=list(names), sort=False)
    wide = pd.DataFrame({column(n, k): wide[n, w] for n in names for k, w in enumerate(waves, 1)}).dropna(how="all")
    if len(wide) < FEWEST_UNITS:
        raise DataError.of(
            "data", KEY, "too_few_units", f"{len(wide)} units", f"at least {FEWEST_UNITS}",
            "Panel models have a mean and a variance for every wave and construct.",
        )  # fmt: skip
    errors: Errors = {}
    if correct and reliability is not None:
        errors = {(n, n, k): (1.0 - share) * float(wide[column(n, k)].var())
                  for n, share in reliability.items() if n in names for k in range(1, len(waves) + 1)}  # fmt: skip
    elif correct and isinstance(data, Study):
        errors = measurement_errors(data, names, waves, kind)
    return _Data(names, tuple(waves), long, wide, _bearable(errors, wide, notes), level, equal)


def _bearable(errors: Errors, wide: pd.DataFrame, notes: list[Note]) -> Errors:
    """Errors that leave something of the variance at every wave."""
    lost = dict.fromkeys(
        a for (a, b, k), value in errors.items() if a == b and value > NOISE * float(wide[column(a, k)].var())
    )
    for name in lost:
        notes.append(Note(
            "error_not_corrected", "serious", name, f"Measurement error makes up nearly all of the differences in "
            f"{name} at some wave, so it is not taken out, and links with {name} mean little.",
        ))  # fmt: skip
    return {key: value for key, value in errors.items() if key[0] not in lost and key[1] not in lost}


def _of_model(part: _Data, name: str, fits: dict[tuple[str, str], SemFit], troubles: list[_Trouble]) -> list[Row]:
    if name == "within":
        return [row for effect in part.names for row in _within_rows(part, effect)]
    if name == "random_intercept":
        return _random_intercept(part, fits, troubles)
    if name == "cross_lagged":
        texts = [_cross_lagged(part, (), steady=steady) for steady in (False, True)]
        return _fitted_rows(part, texts, name, part.key, fits, troubles, equal=part.equal)
    found: list[Row] = []
    for effect in part.names:
        causes = [other for other in part.names if other != effect]
        texts = [
            fixed_effects_text(effect, causes, len(part.waves), steady=steady, errors=part.errors)
            for steady in part.orders
        ]
        found += _fitted_rows(part, texts, name, f"{effect} on {', '.join(causes)}", fits, troubles, equal=True)
    return found


def _cross_lagged(part: _Data, lasting: Sequence[str], *, steady: bool) -> str:
    waves = len(part.waves)
    return cross_lagged_text(
        part.names, waves, lasting=lasting, equal=part.equal, steady=steady and part.equal, errors=part.errors
    )


def _random_intercept(part: _Data, fits: dict[tuple[str, str], SemFit], troubles: list[_Trouble]) -> list[Row]:
    """Stable parts whose variance would be below zero are left out, one after the other."""
    lasting, name = list(part.names), "random_intercept"
    while lasting:
        texts = [_cross_lagged(part, lasting, steady=steady) for steady in part.orders]
        tried: dict[tuple[str, str], SemFit] = {}
        noted: list[_Trouble] = []
        rows = _fitted_rows(part, texts, name, part.key, tried, noted, equal=part.equal)
        size = {n: _variance(found, stable(n)) for found in tried.values() for n in lasting}
        size = {n: value / float(part.wide[column(n, 1)].var()) for n, value in size.items()}
        least = min(size, key=size.__getitem__, default="")
        if not least or size[least] > NOTHING:
            fits |= tried
            troubles += noted
            return rows
        lasting.remove(least)
        troubles.append(_Trouble("no_stable_part", name, least))
    return []


def _variance(found: SemFit, name: str) -> float:
    table = found.tidy()
    own = (table["op"] == "~~") & (table["lhs"] == name) & (table["rhs"] == name)
    return float(table.loc[own, "estimate"].iloc[0])


def _fitted_rows(
    part: _Data,
    texts: Sequence[str],
    name: str,
    key: str,
    fits: dict[tuple[str, str], SemFit],
    troubles: list[_Trouble],
    *,
    equal: bool,
) -> list[Row]:
    """Rows of the first model with a proper solution; without links where none has one."""
    tried = [(text, _fitted(part, text)) for text in texts[:1]]
    if not _proper(tried[0][1]):
        tried += [(text, _fitted(part, text)) for text in dict.fromkeys(texts[1:]) if text != texts[0]]
    text, found = next(((t, f) for t, f in tried if _proper(f)), tried[-1])
    if found is None:
        troubles.append(_Trouble("not_fitted", name, key))
        return []
    label = MODELS[name]
    fits[key, label] = found
    measures = found.glance().iloc[0]
    rows: list[Row] = [
        {"lhs": key, "kind": "chisq", "label": label, "estimate": measures["chisq"], "statistic": measures["chisq"],
         "p_value": measures["pvalue"] if measures["df"] > 0 else np.nan, "rhs": f"{measures['df']:.0f} df"},
        {"lhs": key, "kind": "bic", "label": label, "estimate": measures["bic"]},
    ]  # fmt: skip
    if not _proper(found):
        troubles.append(_Trouble("improper", name, key))
        return rows
    if text != texts[0]:
        troubles.append(_Trouble("steady", name, key))
    own = _stable_rows(part, found, label) if name == "random_intercept" else ()
    return [*_lag_rows(part, found, label, equal=equal), *own, *rows]


def _proper(found: SemFit | None) -> bool:
    return found is not None and not any(note.code in IMPROPER for note in found.notes())


def _fitted(part: _Data, text: str) -> SemFit | None:
    data = part.wide[[c for c in part.wide if f"`{c}`" in text]].dropna(how="all")
    holes = bool(data.isna().any(axis=None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        try:
            taken = model(text, meanstructure=True, fixed_x=False)
            missing: Literal["fiml", "listwise"] = "fiml" if holes else "listwise"
            return fit(taken, data, missing=missing, level=part.level, information="observed")
        except (EstimationError, NotIdentifiedError):
            return None


def _trouble_notes(troubles: Sequence[_Trouble]) -> Iterable[Note]:
    why = "There are too few units or waves for it, or nothing stable in them."
    for code, name in dict.fromkeys((t.code, t.model) for t in troubles):
        keys = list(dict.fromkeys(t.key for t in troubles if (t.code, t.model) == (code, name)))
        told = "; ".join(keys)
        text = {
            "not_fitted": f"No {MODELS[name]} of {told}: the search for it did not end. {why}",
            "improper": f"The {MODELS[name]} of {told} has a variance below zero or correlations beyond one, so its "
            f"links are not shown. {why}",
            "steady": f"In the {MODELS[name]} of {told}, what happens anew at each wave is taken to have the same "
            "variance at all waves after the first: free variances fell below zero.",
            "no_stable_part": f"Units do not differ for good in {told} beyond what goes over from wave to wave: there "
            "the random-intercept panel has no random intercept.",
        }[code]
        yield Note(code, "info" if code in ("steady", "no_stable_part") else "warning", MODELS[name], text)


def _advice(
    data: Study | pd.DataFrame, groups: Sequence[tuple[str, ...]], kind: Literal["unit", "person"], *, corrected: bool
) -> Note:
    """What can be done about models that have no proper solution."""
    ways = ["read the within transformation, which asks least"]
    if (
        isinstance(data, Study) and kind == "unit"
        and all(set(names) <= set(timed(data, names, "person")) for names in groups)
    ):  # fmt: skip
        ways.append('take rows="person", where the same people answer again')
    if corrected:
        ways.append("take correct=False, whose links are then those of scores with their error")
    more = "units" if kind == "unit" else "persons"
    return Note("another_way", "info", "models", f"What can be done: {'; '.join(ways)}; or wait for more {more} or "
                "waves.")  # fmt: skip


_KEPT = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]


def _lag_rows(part: _Data, found: SemFit, label: str, *, equal: bool) -> Iterable[Row]:
    """Each coefficient once, or once a wave; standardised ones are averaged over waves."""
    who = {now(n, k): (n, k) for n in part.names for k in range(1, len(part.waves) + 1)}
    table = found.tidy()
    paths = table[(table["op"] == "~") & table["lhs"].isin(who)]
    effect = paths["lhs"].map(lambda name: who[name][0])
    cause = paths["rhs"].map(lambda name: who[name][0])
    when = paths["lhs"].map(lambda name: 0 if equal else who[name][1])
    for (lhs, rhs, at), own in paths.groupby([effect, cause, when], sort=False):
        k = int(str(at))
        yield {
            "lhs": lhs, "op": "~", "rhs": rhs, "label": label, "std_all": float(own["std_all"].mean()),
            "kind": "autoregression" if lhs == rhs else "cross_lag",
            "group": f"wave {part.waves[k - 1]}" if k else "",
            **{name: float(own[name].iloc[0]) for name in _KEPT},
        }  # fmt: skip


def _stable_rows(part: _Data, found: SemFit, label: str) -> Iterable[Row]:
    table = found.tidy().query("op == '~~'")
    lasting = [name for name in part.names if stable(name) in set(table["lhs"])]
    for name in lasting:
        for_good, moving = _variance(found, stable(name)), _variance(found, now(name, 1))
        yield {"lhs": name, "kind": "stable_share", "label": label, "estimate": for_good / (for_good + moving)}
    back = {stable(name): name for name in lasting}
    between = table[table["lhs"].isin(back) & table["rhs"].isin(back) & (table["lhs"] != table["rhs"])]
    for row in between.to_dict("records"):
        yield {"lhs": back[row["lhs"]], "op": "~~", "rhs": back[row["rhs"]], "kind": "stable_covariance",
               "label": label, "std_all": row["std_all"], **{c: row[c] for c in _KEPT}}  # fmt: skip


def _stable_parts(part: _Data, fits: Mapping[tuple[str, str], SemFit]) -> list[Row]:
    """Likelihood-ratio test of no stable differences; at the edge of what is possible, so its p is too large.

    What is compared has the same variances at all waves, or free ones, on both sides.
    """
    from scipy.special import chdtrc

    key = part.key
    plain, whole = (fits.get((key, MODELS[name])) for name in ("cross_lagged", "random_intercept"))
    if plain is None or whole is None:
        return []
    if _steady(plain) != _steady(whole):
        plain = _fitted(part, _cross_lagged(part, (), steady=_steady(whole)))
    if plain is None or plain.df <= whole.df:
        return []
    far, df = max(plain.chisq - whole.chisq, 0.0), plain.df - whole.df
    return [{"lhs": key, "kind": "stable_parts", "label": MODELS["random_intercept"], "rhs": f"{df} df",
             "estimate": far, "statistic": far, "p_value": float(chdtrc(df, far))}]  # fmt: skip


def _steady(found: SemFit) -> bool:
    """Whether what happens anew has the same variances at all waves after the first."""
    return any(row.label.startswith("new_") for row in found.model.parameters)


def _within_rows(part: _Data, effect: str) -> list[Row]:
    from scipy.special import stdtr, stdtrit

    causes = [name for name in part.names if name != effect]
    number = {wave: k for k, wave in enumerate(part.waves)}
    frame = part.long.assign(**{WAVE: part.long[WAVE].map(number)}).set_index([KEY, WAVE])
    later = frame.rename(index=lambda k: k - 1, level=WAVE).add_suffix(" later")
    rows = later.rename(columns={f"{effect} later": "outcome"}).join(frame[causes], how="inner").dropna().sort_index()
    both = [*causes, *(f"{cause} later" for cause in causes)]
    rows = rows[rows.groupby(level=KEY)["outcome"].transform("size") > 1]
    if rows.empty:
        return []
    unit = pd.factorize(rows.index.get_level_values(KEY))[0].astype(np.intp)
    wave = rows.index.get_level_values(WAVE).to_numpy(dtype=np.intp)
    found = slopes(rows["outcome"].to_numpy(dtype=float), rows[both].to_numpy(dtype=float), two_way(unit, wave))
    if found is None:
        return []
    width = float(stdtrit(found.freedom, 0.5 + part.level / 2.0))
    return [
        {
            "lhs": effect, "op": "~", "rhs": cause, "kind": "cross_lag", "label": MODELS["within"], "estimate": b,
            "std_error": e, "statistic": b / e, "p_value": float(2.0 * stdtr(found.freedom, -abs(b / e))),
            "conf_low": b - width * e, "conf_high": b + width * e, "std_all": s,
        }
        for cause, b, e, s in zip(both, found.slope, found.error, found.std, strict=True)
        if cause in causes
    ]  # fmt: skip


def _study_notes(data: Study | pd.DataFrame, names: Sequence[str], kind: str, *, correct: bool) -> Iterable[Note]:
    """What rows of a study are, and what they err by."""
    if not isinstance(data, Study):
        return
    book = {construct.name: construct for construct in data.codebook}
    tables = {book[name].table for name in names} & set(SIDES.values())
    if kind == "person" and any("unit" in data.tables[table] for table in tables):
        yield Note("nested_persons", "warning", "standard errors", "Persons share units; the panel takes them as "
                   "independent, and its intervals are somewhat too narrow.")  # fmt: skip
    if kind == "unit" and tables and correct:
        yield Note("error_taken_out", "info", "measurement error", "The sampling error of unit means, as the "
                   "respondents of each unit show it, is taken out of all models but the within transformation. It is "
                   "taken to be new at each wave; people who answer again carry some of it over, and what they carry "
                   "looks like something stable of the unit.")  # fmt: skip


def _panel_notes(table: pd.DataFrame, units: int, waves: int, what: str, models: Sequence[str]) -> Iterable[Note]:
    if units < FEW_UNITS:
        yield Note("few_units", "warning", what, f"The panel rests on {units} {what}. Intervals of the models are "
                   "approximate with so few, and links within units are found only where they are strong.")  # fmt: skip
    if waves == FEWEST_WAVES and {"random_intercept", "fixed_effects"} & set(models):
        yield Note("fewest_waves", "warning", "waves", "Three waves are the fewest that tell stable differences from "
                   "change; coefficients within units rest on two steps of time.")  # fmt: skip
    if "within" in models:
        yield Note("within_transformation", "info", MODELS["within"], "The within transformation leaves the earlier "
                   f"outcome out and takes causes as untouched by earlier outcomes; with {waves} waves its bias where "
                   f"they are not is of the order of 1/{waves - 1}. With the earlier outcome in, it would be worse "
                   "(Nickell 1981); see fixed effects by maximum likelihood.")  # fmt: skip
    own = table[table["kind"] == "cross_lag"]
    both = own[own["label"] == MODELS["cross_lagged"]].merge(
        own[own["label"] == MODELS["random_intercept"]], on=["lhs", "rhs", "group"], suffixes=("", "_within")
    )
    clear = (both["conf_low"] > 0.0) | (both["conf_high"] < 0.0)
    gone = (both["conf_low_within"] <= 0.0) & (both["conf_high_within"] >= 0.0)
    for lhs, rhs in both.loc[clear & gone, ["lhs", "rhs"]].drop_duplicates().itertuples(index=False):
        yield Note("between_not_within", "warning", f"{lhs} ~ {rhs}", f"{rhs} goes before {lhs} when {what} are "
                   "compared with each other, but not clearly when each is compared with itself: stable differences "
                   "may be all there is.")  # fmt: skip
