"""Everything a study allows, in one call."""

from __future__ import annotations

from collections.abc import Iterator

from spc.accounts import bridge, customer_accounts, whale_curve
from spc.chain import evidence, fit_chain
from spc.chain.again import refit_material
from spc.contracts import load_schema
from spc.drivers import study_drivers
from spc.economics import LoyaltyValue, loyalty_value
from spc.resample import progress
from spc.results import Result
from spc.scenario.levers import study_levers
from spc.study import Study

__all__ = ["fit_study"]


def fit_study(study: Study, *, draws: int = 2000, seed: int | None = None) -> tuple[Result, ...]:
    """Fit what the tables of a study allow: chain, evidence, drivers, accounts, the value of loyalty, levers.

    Parameters
    ----------
    study : Study
    draws : int
        Draws behind the intervals, and behind the levers of the report.
    seed : int, optional
        Seed of all draws; the study's own when not given.

    Returns
    -------
    tuple of Result
        The study itself first; then, as far as there is something to fit, the chain with what it takes to fit it
        again, the evidence for each of its links, the key drivers of each survey side, who earns the money and why it
        changed, the value of loyalty, and the levers of the scenarios. :func:`spc.compose_report` takes them as they
        are.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=2, units=30).write(folder.name))
    >>> [result.kind for result in spc.fit_study(study, draws=200)]
    ['study', 'chain', 'refit', 'evidence', 'drivers', 'drivers', 'loyalty', 'levers']
    >>> folder.cleanup()
    """
    fitted = _fitted(study, draws, study.seed if seed is None else seed)
    return tuple(progress(fitted, "Fitting what the study allows"))


def _fitted(study: Study, draws: int, seed: int) -> Iterator[Result]:
    yield study
    chain = None if study.chain is None else fit_chain(study, draws=draws, seed=seed)
    if chain is not None:
        yield chain
        yield refit_material(chain)
        yield evidence(study, chain, seed=seed)
    yield from study_drivers(study, draws=draws, seed=seed)
    if "transactions" in study.tables:
        yield from _books(study, seed)
    loyalty = loyalty_value(study, seed=seed) if _has_customers(study) else None
    if loyalty is not None:
        yield loyalty
    if chain is not None and chain.interpretable:
        yield study_levers(study, chain=chain, loyalty=_of_money(study, loyalty), draws=draws, seed=seed)


def _books(study: Study, seed: int) -> list[Result]:
    """Who earns the money, and why it changed."""
    accounts = customer_accounts(study)
    found: list[Result] = [whale_curve(accounts, seed=seed)]
    return [*found, bridge(accounts)] if len(accounts.all_periods) > 1 else found


def _has_customers(study: Study) -> bool:
    """A ledger that says how long customers stay, or sales lines of customers without a contract."""
    bought = study.money is not None and study.money.retention_model == "bg-nbd"
    stay = "customers" in study.tables and load_schema("customers").complete(study.tables["customers"].columns)
    return stay or (bought and "transactions" in study.tables)


def _of_money(study: Study, loyalty: LoyaltyValue | None) -> LoyaltyValue | None:
    """The value of loyalty, where the study counts money at all."""
    return loyalty if study.money is not None else None
