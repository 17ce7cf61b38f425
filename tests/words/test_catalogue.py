import ast
import re
import string
from pathlib import Path

import pytest

import spc
from spc.contracts import schema_text
from spc.errors import UsageError
from spc.words import catalogue, language, languages, say, speaking

ROOT = Path(spc.__file__).parent
ENGLISH = catalogue.templates("en")
BRACES = re.compile(r"""say\(\s*f?["']([^"']+)["']""")


def used():
    """Names of templates in the code and in the pages, exact ones and beginnings of computed ones."""
    exact, begun = set(), set()
    for path in [*ROOT.rglob("*.py"), *(ROOT / "report" / "templates").glob("*.j2")]:
        if path.suffix == ".py":
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            calls = [n for n in nodes if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "say" and n.args]
            for call in calls:
                for value in ast.walk(call.args[0]):
                    if isinstance(value, ast.Constant) and isinstance(value.value, str) and "." in value.value:
                        (begun if isinstance(call.args[0], ast.JoinedStr) else exact).add(value.value)
        else:
            found = BRACES.findall(path.read_text(encoding="utf-8"))
            exact |= {name for name in found if not name.endswith(".")}
            begun |= {name for name in found if name.endswith(".")}
    return exact, begun


def plain(name):
    return re.sub(r"\.(one|other)$", "", name)


def test_every_template_that_is_asked_for_is_there():
    exact, _ = used()
    known = set(ENGLISH) | {plain(name) for name in ENGLISH}
    assert exact - known - {"catalogue.templates"} == set()
    assert len(exact) > 200


def test_every_template_is_asked_for():
    exact, begun = used()
    idle = [n for n in ENGLISH if n not in exact and plain(n) not in exact and not any(n.startswith(b) for b in begun)]
    assert idle == []


@pytest.mark.parametrize("name", [name for name in languages() if name != "en"])
def test_another_language_says_the_same_things_of_the_same_values(name):
    def values(text):
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    for key, text in catalogue.templates(name).items():
        assert key in ENGLISH, key
        assert values(text) == values(ENGLISH[key]), key


def test_the_languages_of_the_firms_are_there_and_whole():
    assert set(languages()) == {"da", "de", "en", "nb", "nl"}
    for name in languages():
        assert set(catalogue.templates(name)) == set(ENGLISH), name
    assert f"enum: [{', '.join(sorted(languages()))}]" in schema_text("study")


def test_what_a_language_lacks_is_said_in_english(monkeypatch):
    monkeypatch.setattr(catalogue, "languages", lambda: ("en", "xx"))
    monkeypatch.setattr(catalogue, "templates", lambda name: ENGLISH if name == "en" else {"list.and": " og "})
    with speaking("xx"):
        assert language() == "xx"
        assert say("list.and") == " og "
        assert say("table.hidden") == "hidden"
    assert say("list.and") == " and "


def test_an_unknown_language_is_refused():
    with pytest.raises(UsageError, match="en"), speaking("tlh"):
        pass


def test_values_are_never_read_as_templates():
    assert say("links.pair", cause="{effect}", effect="{0.__class__}") == "{effect} to {0.__class__}"
