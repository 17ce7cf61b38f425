from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from spc.spec import Parameter, ParameterTable, model
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
