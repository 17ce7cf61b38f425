"""The corpus of malformed studies: every test that asks for ``bad_case`` runs once a case."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def load_corpus():
    """The module ``cases.py``, loaded by path."""
    name = "bad_input_cases"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("cases.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def pytest_generate_tests(metafunc):
    if "bad_case" in metafunc.fixturenames:
        cases = load_corpus().CASES
        metafunc.parametrize("bad_case", cases, ids=[case.name for case in cases])


@pytest.fixture
def corpus():
    """The module of cases."""
    return load_corpus()


@pytest.fixture
def bad_study(bad_case, corpus, tmp_path):
    """Path of the document of a malformed study, written to a fresh folder."""
    return corpus.write(bad_case, tmp_path)
