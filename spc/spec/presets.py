"""The service-profit chain as model text."""

from __future__ import annotations

from collections.abc import Collection

from spc.errors import SpecError, UsageError
from spc.spec.check import nearest

__all__ = ["CHAIN_CONSTRUCTS", "CHAIN_LINKS", "DIRECT_LINKS", "chain_preset"]

CHAIN_LINKS = (
    ("leadership", "internal_service_quality"),
    ("internal_service_quality", "employee_satisfaction"),
    ("employee_satisfaction", "employee_loyalty"),
    ("employee_satisfaction", "employee_productivity"),
    ("employee_loyalty", "customer_value"),
    ("employee_productivity", "customer_value"),
    ("customer_value", "customer_satisfaction"),
    ("customer_satisfaction", "customer_loyalty"),
    ("customer_loyalty", "revenue_growth"),
    ("customer_loyalty", "profitability"),
)
"""Links of the chain, cause before effect, upstream first (Heskett et al. 1994; leadership added before it)."""

DIRECT_LINKS = (
    ("internal_service_quality", "employee_productivity"),
    ("internal_service_quality", "customer_value"),
    ("customer_value", "profitability"),
    ("employee_productivity", "profitability"),
)
"""Operational paths beside those through attitudes, of either sign: tools and processes let people do more and serve
better whatever their mood (Hogreve, Iseke, Derfuss & Eller 2017); value costs money, and output saves it."""

CHAIN_CONSTRUCTS = tuple(dict.fromkeys(name for link in CHAIN_LINKS for name in link))
"""Constructs of the chain, upstream first."""


def chain_preset(constructs: Collection[str], *, direct: bool = False) -> str:
    """Regressions of the service-profit chain among the constructs that a study has.

    An absent construct is bridged: what leads to it leads to what it leads to.

    Parameters
    ----------
    constructs : collection of str
        Names out of ``CHAIN_CONSTRUCTS``, in any order.
    direct : bool
        Add the ``DIRECT_LINKS`` between constructs that are there: operational paths beside those through attitudes.

    Returns
    -------
    str
        Model text, one line an outcome.

    Raises
    ------
    SpecError
        An unknown name, or no two constructs that the chain links.
    UsageError
        A single string instead of a collection.

    References
    ----------
    Heskett, Jones, Loveman, Sasser & Schlesinger (1994), *Harvard Business Review* 72(2), 164–174. Hogreve, Iseke,
    Derfuss & Eller (2017), *Journal of Marketing* 81(3), 41–61.

    Examples
    --------
    >>> print(chain_preset(["employee_satisfaction", "customer_satisfaction", "customer_loyalty"]))
    customer_satisfaction ~ employee_satisfaction
    customer_loyalty ~ customer_satisfaction
    >>> print(chain_preset(["employee_productivity", "customer_value", "profitability"], direct=True))
    customer_value ~ employee_productivity
    profitability ~ employee_productivity + customer_value
    """
    if isinstance(constructs, str):
        raise UsageError(f"found the text '{constructs}'; expected a list of construct names, such as ['{constructs}']")
    _refuse_unknown(constructs)
    links = _bridged(set(constructs))
    if direct:
        links |= {link for link in DIRECT_LINKS if set(link) <= set(constructs)}
    if not links:
        found = ", ".join(name for name in CHAIN_CONSTRUCTS if name in constructs) or "none"
        raise SpecError(
            f"found {found} of the constructs of the service-profit chain, no two of which it links; "
            f"expected at least two out of {', '.join(CHAIN_CONSTRUCTS)}, or a chain of your own as model text"
        )
    outcomes = [name for name in CHAIN_CONSTRUCTS if any(effect == name for _, effect in links)]
    return "\n".join(f"{outcome} ~ {' + '.join(_causes(outcome, links))}" for outcome in outcomes)


def _refuse_unknown(constructs: Collection[str]) -> None:
    for name in constructs:
        if name not in CHAIN_CONSTRUCTS:
            raise SpecError(
                f"found '{name}', which is no construct of the service-profit chain; "
                f"{nearest(str(name), CHAIN_CONSTRUCTS)} Its constructs are: {', '.join(CHAIN_CONSTRUCTS)}"
            )


def _bridged(present: set[str]) -> set[tuple[str, str]]:
    links = set(CHAIN_LINKS)
    for absent in (name for name in CHAIN_CONSTRUCTS if name not in present):
        causes = {cause for cause, effect in links if effect == absent}
        effects = {effect for cause, effect in links if cause == absent}
        links = {link for link in links if absent not in link}
        links |= {(cause, effect) for cause in causes for effect in effects}
    return links


def _causes(outcome: str, links: set[tuple[str, str]]) -> list[str]:
    return [name for name in CHAIN_CONSTRUCTS if (name, outcome) in links]
