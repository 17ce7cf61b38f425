"""The firm's own figure: what some points of retention are worth, with an interval, beside what is usually said."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.economics.base import Base, Mixture
from spc.economics.buyers import BuyersModel
from spc.economics.figures import figure_rows
from spc.economics.joint import Joint, joint_draws
from spc.economics.ledger import MarginMean, ages_of, margin_mean, read_ledger, window_of
from spc.economics.lifetable import LifeTable, life_table
from spc.economics.loyalty_buying import buying_parts
from spc.economics.models import MODELS, RetentionModel, calibration, choose_model, misfit
from spc.economics.remarks import loyalty_notes
from spc.economics.retention import Retention, estimate_retention
from spc.economics.tenure import Window
from spc.economics.terms import LoyaltyTerms
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Replicates, Shown, fingerprint, tidy_frame

if TYPE_CHECKING:
    from spc.study import MoneySpec, Study

__all__ = ["LoyaltyValue", "MarginMean", "loyalty_value"]

Row = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class LoyaltyValue(Shown):
    """What customers are worth, and what more loyalty would be worth.

    Attributes
    ----------
    terms : LoyaltyTerms
    retention : Retention
    margin : MarginMean or None
        None when the table has no margins; there is no money then, only per cent.
    model : RetentionModel
        What the figures rest on, see ``retention_model`` of :func:`loyalty_value`.
    table : LifeTable
        Customers at risk and leavers by period of tenure.
    ages, shares : (A,) arrays
        Periods behind present customers, and the share of customers at each.
    joint : Joint
        Draws of the model's parameters and the mean margin.
    draws : Replicates
        The same as columns ``retention`` (share of present customers that stays for the next period) and, with margins,
        ``margin``. Row i of every money figure comes from row i.
    present : int
        Customers the firm has now.
    dropped : int
        Customers left out because tenure or churn was missing.
    provenance : Provenance
    sure : RetentionModel
        The model that says how sure the figures are: ``model``, or with ``"auto"`` one that holds every choice.
    """

    terms: LoyaltyTerms
    retention: Retention
    margin: MarginMean | None
    model: RetentionModel
    table: LifeTable
    ages: FloatArray
    shares: FloatArray
    joint: Joint
    draws: Replicates
    present: int
    dropped: int
    provenance: Provenance
    sure: RetentionModel

    @property
    def kind(self) -> str:
        """``"loyalty"``."""
        return "loyalty"

    def tidy(self) -> pd.DataFrame:
        """One row a figure.

        ``kind`` is one of ``retention, churn, multiple, elasticity, uplift_percent`` (``points`` more of everybody's
        retention), ``uplift_relative`` (the same number as *per cent of* retention), ``closed_form`` (without a
        horizon), ``claim`` (the range usually quoted, as ``conf_low`` and ``conf_high``) and ``claim_terms`` (what the
        discount, the growth of margins or the cost of winning a customer would have to be for an end of that range);
        with margins also ``margin, clv, clv_new`` (a customer to be won: first margin counted, acquisition cost taken
        off), ``uplift_money`` (per customer) and ``uplift_base`` (all present customers). Where customers differ in
        retention, ``uplift_constant`` is what one rate for all would say, and ``points_had`` how many points the
        average customer gains when nobody can stay more surely than for sure. ``parameter`` rows are the model's own.
        """
        return tidy_frame(list(figure_rows(self)))

    def glance(self) -> pd.DataFrame:
        """One row: the terms, and what they were applied to.

        ``active`` and ``lost`` are the customers of today and those who left; ``events`` are those who left in a
        period that is over, which are the ones retention is computed from; ``margins`` are behind the mean margin.
        """
        t, r = self.terms, self.retention
        values = {
            "horizon": float(t.horizon),
            "discount": t.discount,
            "points": t.points,
            "period": t.period,
            "currency": t.currency,
            "acquisition_cost": t.acquisition_cost,
            "first_margin": t.first_margin,
            "level": t.level,
            "customers": r.customers,
            "active": self.present,
            "lost": r.customers - self.present,
            "margins": 0 if self.margin is None else self.margin.customers,
            "events": r.events,
            "periods_at_risk": r.periods_at_risk,
            "whole_periods": r.whole,
            "p_constant": r.p_constant,
            "retention_model": self.model.name,
            "units": self.joint.units,
            "correlation": self.joint.correlation,
            "draws": len(self.draws.values),
            **dict(zip(("calibration_chisq", "calibration_df", "calibration_pvalue"), self.misfit(), strict=True)),
        }
        return pd.DataFrame([values])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the figures."""
        own = () if isinstance(self.model, BuyersModel) else self.retention.notes()
        return (*own, *loyalty_notes(self))

    def augment(self) -> pd.DataFrame:
        """The retention curve: ``period, at_risk, events, survival, conf_low, conf_high, geometric``.

        Beside what was seen, ``fitted`` is the share still there by the model, and ``expected`` how many leavers it
        expects in the period.
        """
        curve = self.retention.curve.copy()
        if isinstance(self.model, BuyersModel):
            return curve.assign(fitted=np.empty(0), expected=np.empty(0))
        found = calibration(self.model, self.table).iloc[: len(curve)]
        return curve.assign(fitted=found["fitted"].to_numpy(), expected=found["expected"].to_numpy())

    def misfit(self) -> tuple[float, int, float]:
        """Pearson's chi-square of leavers by period against the model, its degrees of freedom and p-value."""
        if isinstance(self.model, BuyersModel):
            found = self.model.fit.glance().iloc[0]
            chisq, df = float(found["calibration_chisq"]), int(found["calibration_df"])
            return chisq, df, _tail(chisq, df)
        return misfit(self.model, self.table)

    def base(self, *, drawn: bool = False, new: bool = False, cuts: tuple[float, ...] | None = None) -> Base:
        """Present customers as the model sees them, or with ``new`` customers to be won.

        Parameters
        ----------
        drawn : bool
            One base for every draw, instead of that of the estimates.
        new : bool
        cuts : tuple of float, optional
            Chances of leaving at which what is computed has a kink; those of ``points`` when left out.
        """
        if self.model.name == "constant" and not drawn:
            return Mixture(np.array([self.retention.estimate]), np.ones(1))
        return self._base(self.model, self.joint.parameters if drawn else self.model.point, new, cuts)

    def region(self, *, new: bool = False) -> Base | None:
        """Customers under all parameters that the data do not reject; None where the draws have to say it."""
        return None if self.joint.region is None else self._base(self.sure, self.joint.region.parameters, new)

    def _base(
        self, model: RetentionModel, parameters: FloatArray, new: bool, cuts: tuple[float, ...] | None = None
    ) -> Base:
        p = self.terms.points
        ages, shares = (np.zeros(1), np.ones(1)) if new else (self.ages, self.shares)
        return model.base(parameters, ages, shares, (p, p / (1 + p)) if cuts is None else cuts)


def loyalty_value(
    study: Study | pd.DataFrame,
    *,
    horizon: float | None = None,
    discount: float | None = None,
    points: float | None = None,
    period: str | None = None,
    currency: str | None = None,
    acquisition_cost: float | None = None,
    first_margin: bool | None = None,
    since: object = None,
    until: object = None,
    retention_model: str | None = None,
    level: float = 0.95,
    draws: int = 4000,
    seed: int | None = None,
) -> LoyaltyValue:
    """Retention, customer value, and what some points more retention are worth in this firm.

    Parameters
    ----------
    study : Study or DataFrame
        A study with a customer table, or that table. One row a customer: ``tenure`` and ``churned`` (see
        :func:`estimate_retention`), or ``start`` and ``end`` dates (see :func:`tenure_between`), and, for money,
        ``margin`` per period. Margins may be losses.
    horizon : float
        Renewals that count; ``math.inf`` for all. A study says it under ``[money]``; with a bare table it has to be
        given, since it decides the figure.
    discount : float
        Per period. Likewise.
    points, period, currency, acquisition_cost, first_margin
        See :class:`LoyaltyTerms`; from the study where not given, else 0.05, ``"year"``, none, 0, False.
    since, until : date, optional
        First and last day of a ledger with dates; from the study where not given.
    retention_model : {"auto", "constant", "sbg", "kaplan-meier", "bg-nbd"}, optional
        How customers stay. ``"constant"``: with one rate for all. ``"sbg"``: each with a rate of her own (shifted
        beta-geometric, see :func:`fit_beta_geometric`), so that those who have stayed long are the loyal ones.
        ``"kaplan-meier"``: as seen in each period of tenure. ``"bg-nbd"``: customers without a contract, from their
        purchases (transactions, or ``repeats, recency, age`` and ``spend``, see :func:`fit_buying`); the money is that
        of a purchase. ``"auto"``, and the study's own where it states one: one
        rate, unless customers are seen to differ.
    level : float
        Level of the intervals.
    draws : int
        Number of joint draws.
    seed : int, optional
        The study's own where not given, else 1.

    Returns
    -------
    LoyaltyValue

    Raises
    ------
    UsageError
        Terms that are missing or out of range.
    DataError
        A table that lacks columns or holds values that cannot be.

    Notes
    -----
    Intervals are those of the profile likelihood: the range of a figure over all retention and margins that the data do
    not reject together. It holds where a figure turns (the relative uplift first falls and then rises with retention)
    and where one rate for all stands at the edge of customers who differ, which quantiles of draws do not. With
    ``"auto"`` that is the likelihood of customers who may differ, whichever gives the figure. The mean margin has
    Student's distribution and its estimated correlation with staying. Where customers share units (a column ``unit`` of
    at least five), the covariance comes from leaving out one unit at a time, and the likelihood is scaled to it.
    The Kaplan-Meier and BG/NBD models give the middle ``level`` of joint draws. Standard errors are those of the draws.
    Points are added to everybody's chance of staying. Who would pass one stays for sure, and a note says how many
    points that leaves on average.
    The margin is that of present customers where there are at least two, since it is their future that is valued.

    Examples
    --------
    >>> ledger = pd.DataFrame({"tenure": [5] * 16 + [2] * 10, "churned": [0] * 16 + [1] * 10, "margin": 100.0})
    >>> value = loyalty_value(ledger, horizon=5, discount=0.10, currency="EUR")
    >>> value.tidy().query("kind == 'retention'")["estimate"].round(2).item()
    0.9
    """
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise UsageError(f"draws is {draws!r}; expected a whole number of at least 100.")
    if isinstance(study, pd.DataFrame):
        customers, stated, own_seed = study, Row(), 1
    else:
        customers, stated, own_seed = _of_study(study, retention_model)
        own = window_of(study)
        since, until = own.since if since is None else since, own.until if until is None else until
    given = {
        "horizon": horizon,
        "discount": discount,
        "points": points,
        "period": period,
        "currency": currency,
        "acquisition_cost": acquisition_cost,
        "first_margin": first_margin,
    }
    chosen = _model_name(stated.pop("retention_model", "auto") if retention_model is None else retention_model)
    terms = _terms({**stated, **{name: value for name, value in given.items() if value is not None}}, level)
    seed = own_seed if seed is None else seed
    if chosen == "bg-nbd":
        return _from_purchases(customers, terms, until, draws, seed)
    ledger, dropped = read_ledger(customers, Window(terms.period, since, until))
    entry = ledger.get("entry")
    retention = estimate_retention(ledger["tenure"], ledger["churned"], entry=entry, level=level)
    margin = margin_mean(ledger)
    table = life_table(ledger["tenure"], ledger["churned"], entry)
    model, sure = choose_model(chosen, table)
    joint = joint_draws(model, sure, ledger, margin, draws=draws, seed=seed, level=level)
    options = {**asdict(terms), "draws": draws, "retention_model": model.name}
    provenance = Provenance.record(options, fingerprint(ledger), seed)
    ages, shares = ages_of(ledger)
    present = int(ledger["present"].sum())
    drawn = _replicates(model, joint, ages, shares, seed)
    return LoyaltyValue(
        terms, retention, margin, model, table, ages, shares, joint, drawn, present, dropped, provenance, sure
    )


def _from_purchases(customers: pd.DataFrame, terms: LoyaltyTerms, until: object, draws: int, seed: int) -> LoyaltyValue:
    p = buying_parts(customers, terms, until, draws, seed)
    options = {**asdict(terms), "draws": draws, "retention_model": p.model.name}
    provenance = Provenance.record(options, fingerprint(p.ledger), seed)
    drawn = _replicates(p.model, p.joint, p.ages, p.shares, seed)
    return LoyaltyValue(
        terms,
        p.retention,
        p.margin,
        p.model,
        p.table,
        p.ages,
        p.shares,
        p.joint,
        drawn,
        p.present,
        0,
        provenance,
        p.model,
    )


def _replicates(model: RetentionModel, joint: Joint, ages: FloatArray, shares: FloatArray, seed: int) -> Replicates:
    stays = model.base(joint.parameters, ages, shares, ()).next_rate()
    columns = [stays] if joint.margin is None else [stays, joint.margin]
    return Replicates(np.column_stack(columns), ("retention", "margin")[: len(columns)], seed=seed)


def _tail(chisq: float, df: int) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(df, chisq)) if df > 0 else float("nan")


def _model_name(name: object) -> str:
    if name not in MODELS:
        raise UsageError(f"The retention model is {name!r}; expected one of {', '.join(MODELS)}.")
    return str(name)


def _of_study(study: Study, model: str | None) -> tuple[pd.DataFrame, Row, int]:
    """Customer table, terms and seed of a study; terms it does not state are the document's defaults."""
    from spc.study import MoneySpec, Study

    if not isinstance(study, Study):
        raise UsageError(f"loyalty_value takes a study or its customer table, found a {type(study).__name__}.")
    money = study.money or MoneySpec()
    chosen = model or money.retention_model
    if chosen == "bg-nbd" and "transactions" in study.tables:
        terms = _stated(study, money)
        return study.tables["transactions"], terms, study.seed
    if "customers" not in study.tables:
        have = ", ".join(study.tables)
        raise UsageError(
            f"The study has no customer table ([tables.customers]), so there is no retention; it has: {have}."
        )
    terms = _stated(study, money)
    return study.tables["customers"], terms, study.seed


def _stated(study: Study, money: MoneySpec) -> Row:
    """Terms of a study, and its model of retention."""
    known = {field.name for field in fields(LoyaltyTerms)} | {"retention_model"}
    stated = {name: value for name, value in asdict(money).items() if name in known}
    return {**stated, "currency": study.currency, "assumed": study.money is None}


def _terms(given: Row, level: float) -> LoyaltyTerms:
    missing = " and ".join(name for name in ("horizon", "discount") if name not in given)
    if missing:
        raise UsageError(
            f"No {missing} is given. Customer value depends on both, so they are stated: horizon=5, discount=0.10 "
            "counts five periods at ten per cent a period."
        )
    return LoyaltyTerms(**given, level=level)
