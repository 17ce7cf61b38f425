"""What a reviewer needs to fit a chain again without the answers: the model text and the matrix it was fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spc.chain.result import ChainFit
from spc.chain.two_sided_result import TwoSidedFit
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame

__all__ = ["RefitMaterial", "refit_material"]


@dataclass(frozen=True, eq=False, repr=False)
class RefitMaterial(Shown):
    """Model text and moments of a fitted chain.

    Attributes
    ----------
    text : str
        The model, in lavaan's syntax.
    names : tuple of str
    cov : (p, p) array
        Covariances, divisor n - 1: of the rows, or of units once the noise of their few answers is taken off.
    mean : (p,) array or None
    nobs : int
        Rows, or units.
    of_units : bool
        The matrix is an estimate of how units differ, not a table of observed means.
    estimator : str
    labels : mapping of str to str
    provenance : Provenance
    """

    text: str
    names: tuple[str, ...]
    cov: FloatArray
    mean: FloatArray | None
    nobs: int
    of_units: bool
    estimator: str
    labels: Mapping[str, str]
    provenance: Provenance
    kind: str = "refit"

    def tidy(self) -> pd.DataFrame:
        """One row a covariance (kind ``covariance``, ``std_all`` the correlation), then the means."""
        root = np.sqrt(self.cov.diagonal())
        rows: list[dict[str, Any]] = [
            {"kind": "covariance", "lhs": self.names[i], "op": "~~", "rhs": self.names[j],
             "estimate": self.cov[i, j], "std_all": self.cov[i, j] / (root[i] * root[j])}
            for i in range(len(self.names)) for j in range(i + 1)
        ]  # fmt: skip
        if self.mean is not None:
            rows += [{"kind": "mean", "lhs": name, "op": "~1", "estimate": value}
                     for name, value in zip(self.names, self.mean, strict=True)]  # fmt: skip
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame({"nobs": [self.nobs], "variables": [len(self.names)], "of_units": [self.of_units],
                             "estimator": [self.estimator]})  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """What a reviewer must know."""
        if not self.of_units:
            return ()
        return (Note.of("matrix_of_units", "info", "replication"),)


def refit_material(chain: ChainFit) -> RefitMaterial:
    """What a reviewer needs to fit a chain again, without the answers.

    Examples
    --------
    >>> import tempfile, spc
    >>> folder = tempfile.TemporaryDirectory()
    >>> study = spc.read_study(spc.make_firm(seed=3, units=40).write(folder.name))
    >>> chain = spc.fit_chain(study, draws=200, method="unit_means")
    >>> again = refit_material(chain)
    >>> fit = spc.fit(again.text, spc.Moments(names=again.names, n=again.nobs, mean=None, cov=again.cov))
    >>> links = fit.tidy().query("kind == 'regression'")["estimate"]
    >>> bool(abs(links.to_numpy() - chain.links["estimate"].to_numpy()).max() < 1e-5)
    True
    >>> folder.cleanup()
    """
    if isinstance(chain.sem, TwoSidedFit):
        core = chain.sem.core
        units = len(chain.sem.keys)
        return RefitMaterial(
            chain.sem.model.text, tuple(core.units.names), np.asarray(core.free_sigma_b), None, units, True,
            "two-sided maximum likelihood", chain.labels, _provenance(chain),
        )  # fmt: skip
    observed = chain.sem.observed
    return RefitMaterial(
        chain.sem.model.text, tuple(observed.names), np.asarray(observed.cov),
        None if observed.mean is None else np.asarray(observed.mean), int(observed.n), False,
        str(chain.sem.glance()["estimator"].iloc[0]), chain.labels, _provenance(chain),
    )  # fmt: skip


def _provenance(chain: ChainFit) -> Provenance:
    text = {"model": str(chain.sem.model.text)}
    return Provenance.record(text, chain.provenance.data_fingerprint, chain.provenance.seed)
