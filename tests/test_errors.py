import pytest

from spc import errors
from spc.errors import DataError, Finding, MissingExtraError, SpcError, SpecError


def test_every_error_has_a_documented_exit_code():
    codes = {name: getattr(errors, name).exit_code for name in errors.__all__ if name.endswith("Error")}
    assert codes["DataError"] == 3
    assert codes["SpecError"] == codes["NotIdentifiedError"] == 4
    assert codes["EstimationError"] == codes["SingularInformationError"] == 5
    assert codes["UnsupportedError"] == codes["MissingExtraError"] == 2
    assert all(issubclass(getattr(errors, name), SpcError) for name in codes)


def test_a_data_error_lists_errors_and_keeps_warnings():
    wrong = Finding("t", "a", "r", "found", "expected", "Do this.", rows=(2, 3), n_rows=7)
    odd = Finding("t", None, "r", "odd", "even", "Look.", severity="warning")
    error = DataError([wrong, odd])
    assert "1 thing to put right" in str(error)
    assert "t.a: found (lines 2, 3 and 5 more); expected expected. Do this." in str(error)
    assert "odd" not in str(error)
    assert error.findings == (wrong, odd)


def test_a_spec_error_points_at_the_place():
    error = SpecError("expected a name", line=2, column=3, text="a ~ b\nc ~~~ d")
    assert str(error) == "line 2, column 3: expected a name\n    c ~~~ d\n      ^"


def test_a_missing_extra_says_what_to_install():
    with pytest.raises(SpcError, match=r"pip install 'service-profit-chain\[survey\]'"):
        raise MissingExtraError("pyreadstat", "survey", "Reading SPSS files")
