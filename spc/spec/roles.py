"""Who is what in a model: latent, indicator, outcome, predictor, covariate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spc.spec.parser import Entry

__all__ = ["Roles", "find_roles", "unique"]


@dataclass(frozen=True, slots=True)
class Roles:
    """Variables by what they do, each in order of appearance.

    ``covariates`` are the observed predictors that nothing explains; ``alone`` are sole indicators without error.
    """

    latents: tuple[str, ...]
    observed: tuple[str, ...]
    indicators: tuple[str, ...]
    outcomes: tuple[str, ...]
    predictors: tuple[str, ...]
    covariates: tuple[str, ...]
    alone: tuple[str, ...]

    @property
    def exogenous_latents(self) -> tuple[str, ...]:
        """Latent variables that nothing explains."""
        return tuple(name for name in self.latents if name not in self.outcomes and name not in self.indicators)

    @property
    def leaves(self) -> tuple[str, ...]:
        """Outcomes that explain and measure nothing else, latent ones first."""
        found = [name for name in self.outcomes if name not in self.predictors and name not in self.indicators]
        return tuple(sorted(found, key=lambda name: name not in self.latents))


def find_roles(entries: Sequence[Entry]) -> Roles:
    """Roles of the variables that the entries of a text mention."""
    latents = unique(entry.lhs for entry in entries if entry.op == "=~")
    indicators = unique(entry.rhs for entry in entries if entry.op == "=~")
    outcomes = unique(entry.lhs for entry in entries if entry.op == "~")
    predictors = unique(entry.rhs for entry in entries if entry.op == "~")
    mentioned = {name for entry in entries if entry.op in {"~~", "~1"} for name in entry.variables}
    within = {*latents, *indicators, *outcomes, *mentioned}
    everyone = unique(name for entry in entries for name in entry.variables)
    return Roles(
        latents=latents,
        observed=tuple(name for name in everyone if name not in latents),
        indicators=indicators,
        outcomes=outcomes,
        predictors=predictors,
        covariates=tuple(name for name in predictors if name not in within),
        alone=_single_indicators(entries),
    )


def _single_indicators(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Sole indicators of a latent variable that measure nothing else: they have no error of their own."""
    measured = [(entry.lhs, entry.rhs) for entry in entries if entry.op == "=~"]
    per_latent = Counter(lhs for lhs, _ in measured)
    per_indicator = Counter(rhs for _, rhs in measured)
    return tuple(rhs for lhs, rhs in measured if per_latent[lhs] == 1 and per_indicator[rhs] == 1)


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in order."""
    return tuple(dict.fromkeys(names))
