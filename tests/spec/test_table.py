from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from spc.spec import Parameter, ParameterTable, blocks, model
from spc.spec.table import Model, remembered

TEXT = "f =~ x1 + a*x2 + a*x3\ny ~ b*f + z\nab := a*b"


def test_names_are_labels_or_lavaan_names():
    found = model(TEXT)
    assert found.parameters.names[:4] == ("a", "b", "y~z", "x1~~x1")
    assert len(found.parameters.names) == found.parameters.n_free


def test_an_empty_table_has_no_parameters():
    assert (ParameterTable(()).n_free, ParameterTable(()).names) == (0, ())


def test_frame_keeps_numbers_as_numbers():
    frame = model(TEXT).parameters.frame()
    assert list(frame.columns[:3]) == ["lhs", "op", "rhs"]
    assert frame[["fixed", "start", "lower", "upper"]].dtypes.eq(np.float64).all()
    assert frame["free"].dtype == np.int64


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])  # noqa: S301
def test_models_travel_to_other_processes(copied):
    found = model(TEXT, std_lv=True)
    again = copied(found)
    assert repr(again) == repr(found)
    with pytest.raises(TypeError):
        again.options["std_lv"] = False


def test_nothing_can_be_changed():
    found = model(TEXT)
    with pytest.raises(FrozenInstanceError):
        found.text = ""
    with pytest.raises(FrozenInstanceError):
        found.parameters.rows[0].free = 3
    assert isinstance(found.parameters.rows[0], Parameter)


def test_work_on_a_model_is_done_once_and_stays_out_of_copies():
    calls = []

    @remembered
    def words(given: Model) -> int:
        calls.append(given)
        return len(given.text.split())

    found = model(TEXT)
    assert words(found) == words(found) == len(TEXT.split())
    assert len(calls) == 1
    again = copy.deepcopy(found)
    assert words(again) == words(found)
    assert len(calls) == 2


LEVELS = "level: 1\nw =~ y1 + y2 + y3\nw ~ x\nlevel: 2\nb =~ y1 + y2 + y3\nb ~ x + z"


def test_a_model_of_one_group_is_its_own_block():
    found = model(TEXT)
    assert [block.model for block in blocks(found)] == [found]
    assert blocks(found)[0].model is found
    assert blocks(model("y ~ x", groups=["a"]))[0].group == 1


def test_blocks_have_their_own_variables_and_the_numbers_of_the_whole():
    found = model(LEVELS, groups=("u", "v"))
    parts = blocks(found)
    assert [(part.group, part.level) for part in parts] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [part.model.latents for part in parts] == [("w",), ("b",)] * 2
    assert [part.model.observed for part in parts] == [("y1", "y2", "y3", "x"), ("y1", "y2", "y3", "x", "z")] * 2
    assert [part.model.exogenous for part in parts] == [("x",), ("x", "z")] * 2
    assert [part.model.groups for part in parts] == [("u",), ("u",), ("v",), ("v",)]
    assert sum((part.model.parameters.rows for part in parts), ()) == found.parameters.rows
    assert {part.model.parameters.names for part in parts} == {found.parameters.names}
    assert {part.model.parameters.n_free for part in parts} == {found.parameters.n_free}


def test_constraints_and_definitions_stay_with_the_whole():
    found = model("y ~ c(a, b)*x\ngap := a - b\na > 0", groups=("u", "v"))
    assert [(part.model.defined, part.model.constraints) for part in blocks(found)] == [((), ())] * 2
    assert found.defined
    assert found.constraints


def test_names_tell_group_and_level():
    found = model(LEVELS, groups=("u", "v"))
    assert {"w=~y2", "w=~y2.g2", "b=~y2.l2", "b=~y2.g2.l2"} < {*found.parameters.names}
    assert len({*found.parameters.names}) == found.parameters.n_free
