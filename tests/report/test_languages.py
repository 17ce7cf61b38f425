import html
import re

import pytest

from spc.report import compose_report
from spc.report.blocks import FindingBlock, ListBlock, NotesBlock, Prose, TableBlock
from spc.words import speaking

OTHERS = ("da", "de", "nb", "nl")
WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")


def sentences(report):
    """Everything a reader reads as prose: text, findings with their limits, notes, what tables say in words."""
    found = []
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Prose) and block.tone != "code":
                found.append(block.text)
            elif isinstance(block, FindingBlock):
                found += [block.text, *block.caveats]
            elif isinstance(block, ListBlock):
                found += block.items
            elif isinstance(block, NotesBlock):
                found += [note.text for note in block.notes]
            elif isinstance(block, TableBlock):
                found += [cell for row in block.cells for cell in row]
    return [text for text in found if len(WORD.findall(text)) > 4 and "→" not in text]


@pytest.fixture(scope="module")
def english(fitted):
    return set(sentences(compose_report(fitted, language="en")))


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_that_is_read_stays_english(fitted, english, language):
    told = sentences(compose_report(fitted, language=language))
    assert len(told) > 80
    assert sorted(english & set(told)) == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_note_and_reason_is_said_in_the_language(fitted, language):
    for result in fitted:
        for note in result.notes():
            with speaking(language):
                said = note.text
            assert said != note.text, note.code
    evidence = next(result for result in fitted if result.kind == "evidence")
    told = evidence.augment()["sentence"]
    with speaking(language):
        assert not set(told) & set(evidence.augment()["sentence"])


def test_the_page_holds_no_english_sentence_outside_its_script(fitted):
    def lines(language):
        page = compose_report(fitted, language=language).html()
        page = re.sub(r"<(script|style|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
        texts = (html.unescape(text).strip() for text in re.sub(r"<[^>]+>", "\n", page).split("\n"))
        return {text for text in texts if len(WORD.findall(text)) > 5 and "→" not in text and "~" not in text}

    english = lines("en")
    assert len(english) > 60
    own = compose_report(fitted).title
    kept = {text for text in english & lines("da") if "service-profit-chain" not in text and text != own}
    assert kept == set()
