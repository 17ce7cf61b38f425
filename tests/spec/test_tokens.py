from __future__ import annotations

import pytest

from spc.errors import SpecError
from spc.spec.tokens import is_name, tokenize


def pieces(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokenize(text)[:-1]]


def test_operators_are_cut_as_long_as_they_go():
    assert [text for _, text in pieces("a=~b~~c~1:=d==e<f>g")] == [
        *("a", "=~", "b", "~~", "c", "~", "1", ":=", "d", "==", "e", "<", "f", ">", "g")
    ]


@pytest.mark.parametrize("number", ["1", "0.5", ".5", "5.", "1e-3", "1.5E+10", "007"])
def test_numbers(number):
    assert pieces(number) == [("number", number)]


@pytest.mark.parametrize(
    "name", ["x1", "x.1", ".x", "x_1", "Zufriedenheit_ä", "満足", "élan", "e1", "संतोष", "ความพอใจ"]
)
def test_names(name):
    assert pieces(name) == [("name", name)]
    assert is_name(name)


def test_backticks_make_names_and_quotes_make_strings():
    assert pieces("`staff mood` \"a\" 'b'") == [("name", "staff mood"), ("string", "a"), ("string", "b")]


def test_comments_end_with_the_line():
    assert pieces("a # b ~ c\nd ! e") == [("name", "a"), ("newline", "\n"), ("name", "d")]


def test_signs_within_backticks_are_no_comment():
    assert pieces("`a # b`") == [("name", "a # b")]


def test_composed_and_decomposed_letters_are_one_name():
    assert pieces("e\u0301") == pieces("\u00e9")


def test_places_count_from_one():
    places = [(token.text, token.line, token.column) for token in tokenize("f =~ x1\n  + x2")]
    assert places == [
        *(("f", 1, 1), ("=~", 1, 3), ("x1", 1, 6), ("\n", 1, 8)),
        *(("+", 2, 3), ("x2", 2, 5), ("", 2, 7)),
    ]


def test_windows_line_ends_are_blanks():
    assert pieces("a\r\nb") == [("name", "a"), ("newline", "\n"), ("name", "b")]


def test_a_piece_of_a_larger_text_keeps_its_place():
    with pytest.raises(SpecError, match="line 4, column 9"):
        tokenize("a @", line=4, column=7)
