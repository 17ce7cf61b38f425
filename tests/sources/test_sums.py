"""Sums put together in any way are the sums of all rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.sources.sums import Sums


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 1),
    st.sampled_from([0.0, 1e3, 1e6, -1e9]),
    st.permutations(range(8)),
)
def test_chunks_in_any_size_and_order(seed, sizes, far, order):
    rng = np.random.default_rng(seed)
    chunks = [np.round(rng.standard_normal((3, n)) * 3 + i, 3) for i, n in enumerate(sizes)]
    whole = np.concatenate(chunks, axis=1)
    total = Sums.nothing(3)
    for i in order:
        if i < len(chunks):
            total = total.merge(Sums.of(chunks[i] + far))
    off = whole - whole.mean(axis=1, keepdims=True)
    size = max(1.0, float(np.abs(off @ off.T).max()))
    digits = 1e-12 if far == 0 else 1e-13 * max(abs(far), 10)
    assert total.n == whole.shape[1]
    assert np.abs(total.cross - off @ off.T).max() < digits * size
    assert np.allclose(total.mean, whole.mean(axis=1) + far, rtol=1e-14, atol=1e-12)


def test_holes_are_told_apart_from_sums():
    assert Sums.of(np.array([[1.0, np.nan]])) is None
    values = np.array([[1.0, 3.0]])
    assert Sums.of(values).mean.tolist() == [2.0]
    assert Sums.of(np.empty((2, 0))).n == 0
