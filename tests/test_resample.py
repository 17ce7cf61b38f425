import numpy as np
import pytest

from spc.errors import EstimationError, NonConvergenceError
from spc.resample import bootstrap, replicate_rng


def test_a_replicate_depends_on_seed_and_number_alone():
    x = np.random.default_rng(0).normal(size=60)

    def mean(rows):
        return x[rows].mean(keepdims=True)

    few = bootstrap(mean, ["mean"], n=60, draws=10, seed=4)
    many = bootstrap(mean, ["mean"], n=60, draws=30, seed=4)
    assert np.array_equal(few.values, many.values[:10])
    assert few.values[3, 0] == x[replicate_rng(4, 3).integers(60, size=60)].mean()


def test_the_spread_is_the_standard_error():
    x = np.random.default_rng(0).normal(size=400)
    replicates = bootstrap(lambda rows: x[rows].mean(keepdims=True), ["mean"], n=400, draws=2000, seed=1)
    assert replicates.values.std() == pytest.approx(x.std() / 20, rel=0.05)


def test_clusters_are_drawn_whole():
    cluster = np.repeat(list("abc"), [2, 3, 4])

    def whole(rows):
        counts = np.bincount(rows, minlength=9)
        assert all(len(set(counts[cluster == c])) == 1 for c in "abc")
        return np.zeros(1)

    bootstrap(whole, ["nothing"], n=9, draws=20, seed=1, cluster=cluster)


def test_failures_are_counted_by_reason():
    calls = iter(range(100))

    def sometimes(rows):
        if next(calls) % 4 == 0:
            raise NonConvergenceError("no")
        return np.zeros(1)

    replicates = bootstrap(sometimes, ["x"], n=5, draws=20, seed=1)
    assert dict(replicates.failures) == {"NonConvergenceError": 5}
    assert len(replicates.values) == 15


def test_mostly_failing_is_an_error():
    def never(rows):
        raise NonConvergenceError("no")

    with pytest.raises(EstimationError, match="20 of 20 bootstrap draws failed"):
        bootstrap(never, ["x"], n=5, draws=20, seed=1)


def test_draws_of_replicates():
    replicates = bootstrap(lambda rows: rows[:1].astype(float), ["x"], n=50, draws=8, seed=1)
    rng = np.random.default_rng(1)
    assert np.array_equal(replicates.draws(8, rng), replicates.values)
    assert set(replicates.draws(100, rng)[:, 0]) <= set(replicates.values[:, 0])
