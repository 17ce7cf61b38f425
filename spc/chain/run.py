"""Everything a study allows, in one call."""

from __future__ import annotations

from spc.chain.evidence import evidence
from spc.chain.fit import fit_chain
from spc.drivers import study_drivers
from spc.economics import loyalty_value
from spc.results import Result
from spc.study import Study

__all__ = ["fit_study"]


def fit_study(study: Study, *, draws: int = 2000, seed: int | None = None) -> tuple[Result, ...]:
    """Fit what the tables of a study allow: the chain and the evidence for it, the key drivers, the value of loyalty.

    Parameters
    ----------
    study : Study
    draws : int
        Draws behind the intervals.
    seed : int, optional
        Seed of all draws; the study's own when not given.

    Returns
    -------
    tuple of Result
        The study itself first; then, as far as there is something to fit, the chain, the evidence for each of its
        links, the key drivers of each survey side, and the value of loyalty. :func:`spc.compose_report` takes them as
        they are.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=2, units=30).write(folder.name))
    >>> [result.kind for result in spc.fit_study(study, draws=200)]
    ['study', 'chain', 'evidence', 'drivers', 'drivers', 'loyalty']
    >>> folder.cleanup()
    """
    seed = study.seed if seed is None else seed
    results: list[Result] = [study]
    if study.chain is not None:
        chain = fit_chain(study, draws=draws, seed=seed)
        results += [chain, evidence(study, chain, seed=seed)]
    results += study_drivers(study, draws=draws, seed=seed)
    if "customers" in study.tables:
        results.append(loyalty_value(study, seed=seed))
    return tuple(results)
