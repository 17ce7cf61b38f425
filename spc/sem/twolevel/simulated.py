"""Clusters made from moments of both levels, with the sizes and the holes of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spc.linalg import FloatArray
from spc.sem.twolevel.incomplete import UnitAnswers
from spc.sem.twolevel.likelihood import UnitMoments

__all__ = ["made_answers", "made_scatter", "made_units"]


def made_units(
    units: UnitMoments, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray, rng: np.random.Generator
) -> UnitMoments:
    """Units of the same sizes, whose means are normal and whose cross-products are Wishart.

    Parameters
    ----------
    units : UnitMoments
    mu : (p,) array
    sigma_b, sigma_w : (p, p) arrays
    rng : Generator
    """
    count = np.where(units.side >= 0, units.counts[:, units.side], np.inf)
    share = np.where(units.present, 1.0 / np.maximum(count, 1.0), 0.0)
    joint = sigma_b + sigma_w * share[:, :, None]
    joint += np.where(np.eye(len(mu)) > 0, 1e-12 * np.abs(sigma_b.diagonal()), 0.0)
    noise = rng.standard_normal((len(share), len(mu), 1))
    means = mu + (np.linalg.cholesky(joint) @ noise)[:, :, 0]
    again = replace(units, means=np.where(units.present, means, np.nan))
    return made_scatter(again, sigma_w, rng)


def made_scatter(units: UnitMoments, sigma_w: FloatArray, rng: np.random.Generator) -> UnitMoments:
    """Cross-products within units, drawn for a whole side that enters by its unit means.

    They are put down in the first unit, as the likelihood sees only their sum.
    """
    scatter, averaged = np.array(units.scatter), units.averaged
    for s in range(len(units.sides)):
        at = np.flatnonzero((units.side == s) & averaged)
        if not at.size:
            continue
        scatter[:, at[:, None], at] = 0.0
        own = np.ix_(at, at)
        scatter[0][own] = _wishart(sigma_w[own], units.freedom[s], rng)
    return replace(units, scatter=scatter)


def made_answers(
    old: UnitAnswers, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray, rng: np.random.Generator
) -> UnitAnswers:
    """Units with the same rows and the same holes.

    Cross-products within units are drawn for all rows of a pattern at once and put down in its first cell, as the
    likelihood sees only their sum.

    Parameters
    ----------
    old : UnitAnswers
    mu : (p,) array
    sigma_b, sigma_w : (p, p) arrays
    rng : Generator
    """
    values, vectors = np.linalg.eigh(sigma_b)
    real = rng.standard_normal((old.count, mu.size)) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T + mu
    inner = sigma_w[: old.width, : old.width]
    mean, scatter = np.zeros_like(old.mean), np.zeros_like(old.scatter)
    for g, here in enumerate(old.patterns):
        cells, own = np.flatnonzero(old.pattern == g), np.flatnonzero(here)
        root = np.linalg.cholesky(inner[np.ix_(own, own)])
        noise = rng.standard_normal((cells.size, own.size)) / np.sqrt(old.number[cells, None])
        mean[np.ix_(cells, own)] = real[np.ix_(old.unit[cells], own)] + noise @ root.T
        rest = rng.standard_normal((int(old.number[cells].sum()) - cells.size, own.size)) @ root.T
        scatter[cells[0]][np.ix_(own, own)] = rest.T @ rest
    return replace(
        old, mean=mean, scatter=scatter, outcomes=np.where(np.isnan(old.outcomes), np.nan, real[:, old.width :])
    )


def _wishart(sigma: FloatArray, freedom: float, rng: np.random.Generator) -> FloatArray:
    """A Wishart matrix by Bartlett's decomposition."""
    p = len(sigma)
    lower = np.tril(rng.standard_normal((p, p)), -1)
    lower[np.diag_indices(p)] = np.sqrt(rng.chisquare(freedom - np.arange(p)))
    half = np.linalg.cholesky(sigma) @ lower
    return np.asarray(half @ half.T)
