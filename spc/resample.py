"""Seeds, bootstrap and progress. Replicate i depends on (seed, i) alone: neither order nor workers change a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spc.errors import EstimationError
from spc.linalg import FloatArray, one_blas_thread
from spc.results import Replicates

__all__ = ["bootstrap", "in_order", "progress", "replicate_rng"]

T = TypeVar("T")
R = TypeVar("R")
Rows = npt.NDArray[np.intp]


def replicate_rng(seed: int, i: int) -> np.random.Generator:
    """Random numbers of replicate ``i`` under ``seed``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))


def progress(steps: Sequence[T] | Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Walk through ``steps`` under a progress bar, drawn on standard error when that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return iter(
        track(
            steps,
            description=what,
            total=total,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    )


def in_order(work: Callable[[T], R], items: Sequence[T], what: str, *, workers: int = 1) -> Iterator[R]:
    """Work through items under a progress bar, in their order whatever the number of workers.

    Parameters
    ----------
    work : callable
        Of one item; sent to other processes when there are several workers.
    items : sequence
    what : str
        Words beside the progress bar.
    workers : int
        Processes; -1 for one a processor.

    Examples
    --------
    >>> list(in_order(abs, [-2, 1], "Taking sizes"))
    [2, 1]
    """
    if workers == 1:
        for item in progress(items, what, len(items)):
            yield work(item)
        return
    from joblib import Parallel, delayed

    found = Parallel(n_jobs=workers, return_as="generator")(delayed(work)(item) for item in items)
    yield from progress(found, what, len(items))


def bootstrap(
    statistic: Callable[[Rows], FloatArray],
    names: Sequence[str],
    *,
    n: int,
    draws: int,
    seed: int,
    cluster: npt.ArrayLike | None = None,
    what: str = "Bootstrap",
) -> Replicates:
    """Resample rows, or whole clusters of rows, with replacement.

    Parameters
    ----------
    statistic : callable
        Takes row numbers (with repeats) and returns the k estimates; raises ``EstimationError`` when it cannot.
    names : sequence of str
        Names of the k estimates.
    n : int
        Number of rows.
    draws : int
        Number of replicates.
    seed : int
        Replicate i uses ``SeedSequence(seed, spawn_key=(i,))``.
    cluster : (n,) array-like, optional
        Cluster of each row; clusters are then drawn whole.
    what : str
        Words beside the progress bar.

    Returns
    -------
    Replicates
        With the failures counted by reason.

    Raises
    ------
    EstimationError
        Fewer than half of the draws succeeded.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> r = bootstrap(lambda rows: x[rows].mean(keepdims=True), ["mean"], n=20, draws=50, seed=1)
    >>> r.values.shape
    (50, 1)
    """
    members: list[Rows] | None = None
    if cluster is not None:
        codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
        order = np.argsort(codes, kind="stable")
        members = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    kept: list[FloatArray] = []
    failures: Counter[str] = Counter()
    with one_blas_thread():
        for i in progress(range(draws), what, draws):
            rng = replicate_rng(seed, i)
            if members is None:
                rows = rng.integers(n, size=n)
            else:
                drawn = rng.integers(len(members), size=len(members))
                rows = np.concatenate([members[j] for j in drawn])
            try:
                kept.append(statistic(rows))
            except EstimationError as error:
                failures[type(error).__name__] += 1
    if 2 * len(kept) < draws:
        reasons = ", ".join(f"{count} {reason}" for reason, count in failures.items())
        raise EstimationError(
            f"{draws - len(kept)} of {draws} bootstrap draws failed ({reasons}), too many for an interval. "
            "The model asks more than these data can give: simplify it or add rows."
        )
    return Replicates(np.array(kept), tuple(names), MappingProxyType(dict(failures)), seed)
