"""People who answered in several waves are told from several people."""

import numpy as np
import pandas as pd

import spc
from spc.chain.same_people import joined_waves

DOCUMENT = """
[study]
name = "Panel"
[tables.employee_responses]
file = "staff.csv"
[constructs.mood]
table = "employee_responses"
items = ["mood"]
[constructs.support]
table = "employee_responses"
items = ["support"]
[chain]
level = "unit"
model = "mood ~ support"
[[chain.lags]]
from = "support"
to = "mood"
waves = 1
"""


def waves(size, kept):
    rng = np.random.default_rng(1)
    first = pd.DataFrame({"respondent": range(size), "unit": np.arange(size) % 10, "a": rng.normal(size=size)})
    second = pd.DataFrame({"respondent": np.arange(size) + size - kept, "b": rng.normal(size=size)})
    return {"staff_wave_1": first, "staff_wave_2": second.assign(unit=second["respondent"] % 10)}


def test_most_of_the_people_in_all_waves_are_one_side():
    sides, notes, joined = joined_waves(waves(100, 80), dict.fromkeys(("staff_wave_1", "staff_wave_2"), "staff"))
    assert joined == {"staff"}
    assert list(sides) == ["staff"]
    assert sides["staff"].notna().sum().to_dict() == {"unit": 120, "a": 100, "b": 100}
    assert "80 respondents of staff" in notes[0].text
    assert "40 who miss one, or changed their unit, count with what they answered" in notes[0].text


def test_few_of_the_people_in_all_waves_are_sides_of_their_own():
    sides, notes, joined = joined_waves(waves(100, 20), dict.fromkeys(("staff_wave_1", "staff_wave_2"), "staff"))
    assert (list(sides), notes, joined) == (["staff_wave_1", "staff_wave_2"], [], frozenset())
    assert "respondent" not in sides["staff_wave_1"]


def test_what_people_carry_from_wave_to_wave_is_no_link_of_units(tmp_path):
    """Units differ in support and in mood, each for itself; people keep their temper. Unit means take it for a link."""
    rng = np.random.default_rng(7)
    unit = np.repeat(np.arange(120), 6)
    temper = rng.normal(size=unit.size)
    frames = [
        pd.DataFrame({
            "respondent": range(unit.size), "unit": unit, "wave": wave,
            "support": 0.5 * support[unit] + temper + rng.normal(0, 0.3, unit.size),
            "mood": 0.5 * mood[unit] + temper + rng.normal(0, 0.3, unit.size),
        })
        for support, mood in [rng.normal(size=(2, 120))]
        for wave in (1, 2)
    ]  # fmt: skip
    pd.concat(frames).to_csv(tmp_path / "staff.csv", index=False)
    (tmp_path / "study.toml").write_text(DOCUMENT)
    study = spc.read_study(tmp_path)
    chain = spc.fit_chain(study, draws=100)
    link = chain.tidy().query("kind == 'link'").iloc[0]
    assert link["conf_low"] < 0 < link["conf_high"]
    assert {note.code for note in chain.notes()} >= {"same_people"}
    assert "waves_apart" not in {note.code for note in chain.notes()}
    means = spc.fit_chain(study, draws=100, method="unit_means").tidy().query("kind == 'link'").iloc[0]
    assert means["conf_low"] > 0
