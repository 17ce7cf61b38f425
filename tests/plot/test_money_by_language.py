import pytest

from spc.plot.numbers import money
from spc.words import speaking


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "JPY", "DKK", "NOK", "SEK", "CHF"])
@pytest.mark.parametrize("language", ["en", "da", "de", "nb", "nl"])
def test_money_stands_as_the_locale_has_it(language, currency):
    numbers = pytest.importorskip("babel.numbers")
    expected = numbers.format_currency(41200, currency, locale=language)
    whole = expected.replace(",00", "").replace(".00", "").replace("\u202f", "\u00a0")
    with speaking(language):
        said = money(41200, currency)
    assert said.replace("\u00a0", "") == whole.replace("\u00a0", "")


@pytest.mark.parametrize(
    ("language", "currency", "said"),
    [
        ("en", "EUR", "−€1.23~million"),
        ("da", "DKK", "−1,23~mio.~kr."),
        ("de", "EUR", "−1,23~Mio.~€"),
        ("nb", "NOK", "−1,23~mill.~kr"),
        ("nl", "EUR", "€~−1,23~miljoen"),
        ("de", "", "−1,23~Mio."),
    ],
)
def test_large_and_negative_money(language, currency, said):
    with speaking(language):
        assert money(-1234567, currency).replace("\u00a0", "~") == said


def test_a_currency_that_is_no_code_stays_as_it_is():
    with speaking("da"):
        assert money(5.0, "{0.__class__} point").endswith("point")
