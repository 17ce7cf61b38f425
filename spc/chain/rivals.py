"""Rival explanations of a study's chain: how well each fits, foresees units it has not seen, and keeps to time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.links import outcomes, required_chain
from spc.chain.panel_rows import over_waves, timed
from spc.chain.rival_bench import Bench, Rival, person_bench, two_sided_bench
from spc.chain.rival_models import RIVALS, last_effects, rival_texts
from spc.chain.rival_prediction import HeldOut, explained, held_out, held_out_folds
from spc.chain.rows import AnalysisRows, analysis_rows
from spc.chain.time_order import TimeOrder, time_order
from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.spec import model
from spc.study import Study

__all__ = ["Rivals", "rivals"]

Method = Literal["two_sided", "unit_means"]
IntArray = npt.NDArray[np.intp]
APART = 2.0
"""Least difference in BIC, and in held-out density in standard errors, at which two explanations are told apart."""
STRONG = 6.0
"""Difference in BIC from which the evidence is strong (Raftery 1995, Sociological Methodology 25, 111-163)."""
FEWEST_UNITS = 10
Row = dict[str, Any]
SAME = "not told apart"


@dataclass(frozen=True, eq=False, repr=False)
class Rivals(Shown):
    """Rival explanations side by side.

    Attributes
    ----------
    rivals : tuple of Rival
        The chain first.
    foreseen : mapping of str to HeldOut
        Predictions of units, or persons, held out; by rival.
    orders : tuple of TimeOrder
        One a link that was measured at two waves or more.
    table : DataFrame
        Tidy rows.
    alike : tuple of (str, str)
        Pairs that imply the same covariances: no data of this kind tell them apart.
    level : str
        What was held out: ``"unit"`` or ``"person"``.
    nobs : int
        Units, or persons.
    nunits : int or None
    folds : int
    messages : tuple of Note
    provenance : Provenance
    """

    rivals: tuple[Rival, ...]
    foreseen: Mapping[str, HeldOut]
    orders: tuple[TimeOrder, ...]
    table: pd.DataFrame
    alike: tuple[tuple[str, str], ...]
    level: str
    nobs: int
    nunits: int | None
    folds: int
    messages: tuple[Note, ...]
    provenance: Provenance
    kind: str = "rivals"

    def tidy(self) -> pd.DataFrame:
        """One row a rival and criterion, then one a link and order in time.

        ``lhs`` names the rival. ``kind`` is ``logl``; ``chisq`` against free covariances (``statistic``, ``p_value``);
        ``aic``; ``bic``; ``bic_difference`` from the least; ``held_out`` (log density of all units held out);
        ``held_out_difference`` from the greatest, with its error; ``r2`` of the final outcome ``rhs`` of units held
        out, predicted from the earlier constructs; ``rank_fit`` and ``rank_prediction``: one more than the number of
        rivals that are better beyond doubt. ``label`` of the differences is ``best``, ``not told apart`` or ``worse``.
        Rows of time order have links in ``lhs`` and ``rhs``: ``time_forward`` and ``time_backward`` are partial
        correlations over one wave, ``time_order`` their difference; its ``p_value`` and ``label`` allow for the
        number of links.
        """
        return self.table

    def compared(self) -> pd.DataFrame:
        """One row a rival, one column a criterion."""
        own = self.table[self.table["op"] == ""]
        kinds = own["kind"].where(own["rhs"] == "", own["kind"] + " " + own["rhs"])
        wide = own.assign(kind=kinds).pivot_table(index="lhs", columns="kind", values="estimate", sort=False)
        return wide.reset_index().rename(columns={"lhs": "rival"}).rename_axis(columns=None)

    def glance(self) -> pd.DataFrame:
        """One row: rivals, and those that nothing beats in fit and in prediction."""
        return pd.DataFrame([{
            "rivals": len(self.rivals), "fitted": sum(bool(r.measures) for r in self.rivals),
            "best_fit": ", ".join(_first(self.table, "rank_fit")),
            "best_prediction": ", ".join(_first(self.table, "rank_prediction")),
            "forward_links": _orders_told(self.table).count("forward"),
            "backward_links": _orders_told(self.table).count("backward"),
            "timed_links": len(self.orders), "level": self.level,
            "nobs": self.nobs, "nunits": float("nan") if self.nunits is None else self.nunits, "folds": self.folds,
        }])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What stands, what cannot be told apart, and why."""
        return self.messages


def _first(table: pd.DataFrame, kind: str) -> list[str]:
    return table.loc[(table["kind"] == kind) & (table["estimate"] == 1.0), "lhs"].tolist()


def _orders_told(table: pd.DataFrame) -> list[str]:
    return table.loc[table["kind"] == "time_order", "label"].tolist()


def rivals(
    study: Study,
    *,
    method: Method = "two_sided",
    folds: int = 10,
    seed: int | None = None,
    draws: int = 500,
    level: float = 0.95,
) -> Rivals:
    """Fit rival explanations of a study's chain, and compare them.

    The chain as stated; the reverse order, every link turned round unless its cause was taken at an earlier wave; a
    common cause, one factor behind all constructs and no links; direct links only, every earlier construct leading
    straight to the ends of the chain and none through the middle; and no chain, constructs of different sides
    unrelated. All have the same variables, all of them random, so that their likelihoods compare.

    Parameters
    ----------
    study : Study
        With a ``[chain]``.
    method : {"two_sided", "unit_means"}
        How models of units are fitted, see :func:`spc.fit_chain`. Chains of persons have one way.
    folds : int
        Units are held out in so many parts, the same for all rivals; persons with their unit where they have one.
    seed : int, optional
        Of folds and bootstrap; the study's own when not given.
    draws : int
        Of the bootstrap of units behind the comparison of orders in time.
    level : float
        Level of the intervals.

    Returns
    -------
    Rivals

    Raises
    ------
    DataError
        The study has no chain, or its constructs do not reach a common row.
    UsageError
        Folds below two or beyond the number of units, or a level outside 0 to 1.
    EstimationError
        The chain itself cannot be fitted.

    Notes
    -----
    Fit compares plain maximum likelihoods. Two-sided predictions come from fits that keep the variances of causes off
    zero, as :func:`spc.fit_two_sided` does by default: without that, few units foresee badly whatever the rival.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=60).write(folder.name))
    >>> found = rivals(study, method="unit_means", folds=5)
    >>> [rival.name for rival in found.rivals]
    ['chain', 'reverse', 'common_cause', 'direct_only', 'no_chain']
    >>> found.glance()["best_fit"].iloc[0]
    'chain'
    >>> folder.cleanup()
    """
    if method not in get_args(Method):
        raise UnsupportedError(f"method={method!r}; use one of {', '.join(map(repr, get_args(Method)))}.")
    if not 0.0 < level < 1.0 or draws < 100:
        raise UsageError(f"level={level}, draws={draws}: give a share between 0 and 1, and at least 100 draws.")
    asked = required_chain(study)
    seed = study.seed if seed is None else seed
    text = asked.model
    links = outcomes(model(text))
    rows = analysis_rows(study, links, asked.lags)
    two_sided = method == "two_sided" and rows.level == "unit" and not _only_results(study, rows)
    with one_blas_thread():
        bench = (two_sided_bench if two_sided else person_bench)(study, text, rows, links)
        tables = {construct.name: construct.table for construct in study.codebook}
        others = rival_texts(links, tables, _wave_numbers(rows.waves))
        fitted = tuple(bench.fitted(name, given) for name, given in {"chain": text, **others}.items())
        blocks = _blocks(bench, rows.level)
        n_blocks = int(blocks.max()) + 1
        if not 2 <= folds <= n_blocks:
            raise UsageError(f"folds={folds}; give a number from 2 to {n_blocks}, how many can be held out.")
        fold = held_out_folds(n_blocks, folds, np.random.default_rng(seed))[blocks]
        foreseen = {
            rival.name: held_out(
                bench.rows, fold, lambda places, given=rival.text: bench.part(given, places),  # type: ignore[misc]
                f"Holding out units: {RIVALS[rival.name]}",
            )
            for rival in fitted if rival.measures
        }  # fmt: skip
    orders = _orders(study, rows, links, draws, level, seed)
    alike = _alike(fitted)
    ends = last_effects(links)
    table = tidy_frame([
        *_fit_rows(fitted), *_prediction_rows(bench, foreseen, blocks, ends, level), *_order_rows(orders, 1.0 - level),
    ])  # fmt: skip
    labels = {construct.name: construct.title for construct in study.codebook}
    notes = (*rows.messages, *bench.messages, *_notes(fitted, foreseen, table, alike, orders, labels, rows))
    options = {"method": method if rows.level == "unit" else "persons", "folds": folds, "draws": draws,
               "level": level, "model": text}  # fmt: skip
    return Rivals(
        fitted, foreseen, tuple(orders), table, alike, rows.level, len(bench.rows.means), bench.nunits, folds,
        notes, Provenance.record(options, study.fingerprint, seed),
    )  # fmt: skip


def _only_results(study: Study, rows: AnalysisRows) -> bool:
    """Whether no construct was answered by respondents: there is nothing within units then."""
    book = {construct.name: construct for construct in study.codebook}
    return all(book[str(name)].table == "units" for name in rows.scores)


def _wave_numbers(waves: Mapping[str, Any]) -> dict[str, int]:
    order = sorted(set(waves.values()))
    return {name: order.index(wave) for name, wave in waves.items()}


def _blocks(bench: Bench, level: str) -> IntArray:
    """What is held out together: units, persons of a unit, or single persons where units are too few."""
    if level == "person" and bench.cluster is not None and bench.cluster.max() + 1 >= FEWEST_UNITS:
        return bench.cluster
    return np.arange(len(bench.rows.means))


def _orders(
    study: Study, rows: AnalysisRows, links: Mapping[str, Sequence[str]], draws: int, level: float, seed: int
) -> list[TimeOrder]:
    """Both orders of each link whose two constructs were measured at two waves or more."""
    rng = np.random.default_rng(seed)
    key: Literal["unit", "person"] = "unit" if rows.level == "unit" else "person"
    there = timed(study, [str(name) for name in rows.scores], key)
    found = []
    for effect, causes in links.items():
        for cause in causes:
            if effect in there and cause in there:
                frame = over_waves(study, [cause, effect], key)
                found.append(time_order(frame, cause, effect, draws=draws, level=level, rng=rng))
    return [order for order in found if order is not None]


def _alike(fitted: Sequence[Rival]) -> tuple[tuple[str, str], ...]:
    """Rivals with as many parameters that imply the same covariances."""
    pairs = []
    for one, two in combinations([rival for rival in fitted if rival.sigma is not None], 2):
        assert one.sigma is not None
        assert two.sigma is not None
        size = np.sqrt(np.outer(one.sigma.diagonal(), one.sigma.diagonal()))
        same = np.abs((one.sigma - two.sigma) / size).max() < 1e-3
        if same and one.measures["df"] == two.measures["df"]:
            pairs.append((one.name, two.name))
    return tuple(pairs)


def _fit_rows(fitted: Sequence[Rival]) -> list[Row]:
    found = [rival for rival in fitted if rival.measures]
    bic = {rival.name: rival.measures["bic"] for rival in found}
    rows: list[Row] = []
    for rival in found:
        m, name = rival.measures, rival.name
        far = m["bic"] - min(bic.values())
        label = "best" if far == 0.0 else SAME if far < APART else "worse"
        rows += [
            {"lhs": name, "kind": "logl", "estimate": m["logl"], "label": f"{m['npar']:.0f} parameters"},
            {"lhs": name, "kind": "chisq", "estimate": m["chisq"], "statistic": m["chisq"], "p_value": m["pvalue"],
             "label": f"{m['df']:.0f} degrees of freedom"},
            {"lhs": name, "kind": "aic", "estimate": m["aic"]},
            {"lhs": name, "kind": "bic", "estimate": m["bic"]},
            {"lhs": name, "kind": "bic_difference", "estimate": far, "label": label},
            {"lhs": name, "kind": "rank_fit", "estimate": 1.0 + sum(m["bic"] - b >= APART for b in bic.values())},
        ]  # fmt: skip
    return rows


def _prediction_rows(
    bench: Bench, foreseen: Mapping[str, HeldOut], blocks: Any, ends: Sequence[str], level: float
) -> list[Row]:
    from scipy.special import ndtri

    width = float(ndtri(0.5 + level / 2.0))
    density: dict[str, FloatArray] = {
        name: np.bincount(blocks, weights=found.density).astype(np.float64) for name, found in foreseen.items()
    }
    usable = [name for name in density if not np.isnan(density[name]).any()]
    best = max(usable, key=lambda name: density[name].sum(), default="")
    rows: list[Row] = []
    for name in usable:
        far, error = _apart(density[name], density[best])
        beaten = sum(_beyond(*_apart(density[name], density[other])) for other in usable)
        label = "best" if name == best else "worse" if _beyond(far, error) else SAME
        rows += [
            {"lhs": name, "kind": "held_out", "estimate": float(density[name].sum())},
            {"lhs": name, "kind": "held_out_difference", "estimate": far, "std_error": error,
             "conf_low": far - width * error, "conf_high": far + width * error, "label": label},
            {"lhs": name, "kind": "rank_prediction", "estimate": 1.0 + beaten},
        ]  # fmt: skip
        shares = explained(bench.rows, foreseen[name])
        rows += [{"lhs": name, "rhs": end, "kind": "r2", "estimate": share}
                 for end, share in zip(ends, shares, strict=True)]  # fmt: skip
    return rows


def _apart(own: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Difference of summed log densities, own less other, and its error from the units."""
    each = own - other
    return float(each.sum()), float(np.sqrt(each.size) * each.std(ddof=1))


def _beyond(far: float, error: float) -> bool:
    return far < -APART * error and far < -1e-6


def _order_rows(orders: Sequence[TimeOrder], size: float) -> list[Row]:
    """Both orders of each link; what is said of them holds over all links (Bonferroni)."""
    rows: list[Row] = []
    for order in orders:
        for kind, (value, error, low, high) in (
            ("time_forward", order.forward), ("time_backward", order.backward), ("time_order", order.difference),
        ):  # fmt: skip
            own = kind == "time_order"
            rows.append({
                "lhs": order.effect, "op": "~", "rhs": order.cause, "kind": kind, "estimate": value,
                "std_error": error, "conf_low": low, "conf_high": high,
                "p_value": min(1.0, order.p_value * len(orders)) if own else np.nan,
                "label": order.label(size / len(orders)) if own else "",
            })  # fmt: skip
    return rows


def _notes(
    fitted: Sequence[Rival],
    foreseen: Mapping[str, HeldOut],
    table: pd.DataFrame,
    alike: Sequence[tuple[str, str]],
    orders: Sequence[TimeOrder],
    labels: Mapping[str, str],
    rows: AnalysisRows,
) -> list[Note]:
    notes = [_standing(table, "fit"), _standing(table, "prediction")]
    for one, two in alike:
        notes.append(Note(
            "same_fit", "warning", f"{one}, {two}", f"{RIVALS[one].capitalize()} and {RIVALS[two]} imply the same "
            "covariances, so fit and prediction cannot tell them apart, whatever the data; only the order in time, or "
            "an intervention, can.",
        ))  # fmt: skip
    names = {rival.name for rival in fitted}
    if "reverse" not in names:
        notes.append(Note(
            "no_reverse", "info", "reverse", "Every cause was taken at an earlier wave than its effect, so the reverse "
            "order is no rival on these rows; see the rows of time order.",
        ))  # fmt: skip
    for rival in fitted:
        if rival.failure:
            notes.append(Note("not_fitted", "warning", rival.name,
                              f"{RIVALS[rival.name].capitalize()} could not be fitted: {rival.failure}"))  # fmt: skip
        elif rival.measures["df"] == 0.0:
            notes.append(Note(
                "saturated_rival", "info", rival.name, f"{RIVALS[rival.name].capitalize()} has as many parameters as "
                "there are covariances and fits whatever the data: only BIC and prediction judge it.",
            ))  # fmt: skip
    for name, found in foreseen.items():
        if found.failed:
            notes.append(Note("folds_failed", "warning", name, f"{RIVALS[name].capitalize()} could not be fitted "
                              f"without {found.failed} of the folds; its prediction is not ranked."))  # fmt: skip
    return [*notes, *_order_notes(orders, _orders_told(table), labels, rows)]


def _standing(table: pd.DataFrame, subject: str) -> Note:
    """Where the chain stands among its rivals, by fit or by prediction."""
    praise = {"fit": "fits best by BIC", "prediction": "foresees what was held out best"}[subject]
    first = _first(table, f"rank_{subject}")
    told = _listed([RIVALS[name] for name in first])
    if first == ["chain"]:
        return Note(f"chain_first_{subject}", "info", subject, f"The chain as stated {praise}"
                    f"{_lead(table, subject)}.")  # fmt: skip
    if "chain" in first or not first:
        return Note(f"chain_shares_{subject}", "warning", subject, f"No one explanation {praise}: {told} are not told "
                    "apart by it.")  # fmt: skip
    far = _of(table, "bic_difference", "chain")
    weak = subject == "fit" and far < STRONG
    return Note(
        f"chain_behind_{subject}", "warning" if weak else "serious", subject,
        f"The chain as stated is not what {praise}: that is {told}{', not told apart' if len(first) > 1 else ''}"
        f"{f'. The difference in BIC, {far:.1f}, is weak evidence' if weak else ''}.",
    )  # fmt: skip


def _lead(table: pd.DataFrame, subject: str) -> str:
    """How far the next rival is behind the chain."""
    kind = "bic_difference" if subject == "fit" else "held_out_difference"
    rest = table[(table["kind"] == kind) & (table["lhs"] != "chain")]
    if rest.empty:
        return ""
    far, name = min(zip(rest["estimate"].abs(), rest["lhs"], strict=True))
    what = "a BIC higher" if subject == "fit" else "a log density lower"
    return f"; next is {RIVALS[name]}, with {what} by {far:.1f}"


def _of(table: pd.DataFrame, kind: str, name: str) -> float:
    return float(table.loc[(table["kind"] == kind) & (table["lhs"] == name), "estimate"].iloc[0])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def _order_notes(
    orders: Sequence[TimeOrder], told: Sequence[str], labels: Mapping[str, str], rows: AnalysisRows
) -> list[Note]:
    if not orders:
        return [Note(
            "no_time_order", "info", "time order", "No link has both its constructs at two waves or more, so nothing "
            "is said about which came first.",
        )]  # fmt: skip
    notes = [
        Note(
            "time_runs_backward", "warning", f"{order.effect} ~ {order.cause}",
            f"Earlier {labels[order.effect]} foresees later {labels[order.cause]} better than the other way round.",
        )
        for order, label in zip(orders, told, strict=True) if label == "backward"
    ]  # fmt: skip
    forward, same = told.count("forward"), told.count(SAME)
    notes.append(Note(
        "time_order", "info", "time order", f"Of {len(orders)} links with waves, the earlier cause foresees the later "
        f"effect better than the other way round in {forward}; in {same} the two are not told apart.",
    ))  # fmt: skip
    if rows.level == "unit":
        notes.append(Note(
            "time_order_of_means", "info", "time order", "The comparison of orders in time is one of unit means: what "
            "is measured with more error looks less like a cause.",
        ))  # fmt: skip
    return notes
