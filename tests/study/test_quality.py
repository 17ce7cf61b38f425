"""Measurement quality of constructs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spc.study.quality import latest_wave, quality
from spc.survey import Construct


def answers(n, seed=0):
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=n)
    return pd.DataFrame({f"v{k}": np.clip(np.round(3 + trait + rng.normal(size=n) * 0.6), 1, 5) for k in range(3)})


VALUE = Construct("value", ["v0", "v1", "v2"], 1, 5, table="customer_responses")


def test_weak_scales_are_noted():
    frame = answers(200).assign(v0=np.random.default_rng(1).integers(1, 6, 200), v1=np.tile([1.0, 5.0], 100))
    codes = [note.code for note in quality({"customer_responses": frame}, [VALUE]).notes()]
    assert "low_reliability" in codes or "negative_alpha" in codes


def test_single_items_have_no_reliability_row():
    single = Construct("value", ["v0"], 1, 5, table="customer_responses")
    assert quality({"customer_responses": answers(50)}, [single]).tidy().empty


def test_units_bring_agreement():
    frame = answers(200).assign(unit=np.repeat([f"u{i}" for i in range(20)], 10))
    found = quality({"customer_responses": frame}, [VALUE])
    assert {"icc1_anova", "icc2_anova"} <= set(found.tidy()["kind"])
    assert "aggregation_verdict" in [note.code for note in found.notes()]


def test_what_cannot_be_computed_is_said_not_raised():
    frame = answers(20).assign(unit="all")
    found = quality({"customer_responses": frame}, [VALUE])
    assert set(found.tidy()["kind"]) >= {"alpha", "omega"}
    assert found.notes()


def test_the_latest_wave_of_texts_and_of_none():
    assert latest_wave(pd.DataFrame({"wave": ["2025Q4", "2026Q1"], "v": [1, 2]}))["v"].tolist() == [2]
    assert len(latest_wave(pd.DataFrame({"v": [1, 2]}))) == 2


def test_a_latest_wave_of_too_few_people_is_not_shown():
    frame = answers(40).assign(wave=[1] * 37 + [2] * 3)
    few = quality({"customer_responses": frame}, [VALUE], fewest=5)
    assert few.tidy().empty
    assert [note.code for note in few.notes()] == ["too_few_people"]
    assert not quality({"customer_responses": frame.assign(wave=1)}, [VALUE], fewest=5).tidy().empty
