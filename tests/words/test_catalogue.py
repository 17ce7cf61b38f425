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
TEMPLATE = re.compile(r"[a-z_]+\.")
BRACES = re.compile(r"""say\(\s*f?["']([^"']+)["']""")


def python_calls():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def fixed(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def note_name(call):
    """Name of the template that ``Note.of`` asks for, and whether it is only the beginning of one."""
    code = fixed(call.args[0])
    if code is None:
        return "note.", True
    if len(call.args) < 4:
        return f"note.{code}", False
    form = fixed(call.args[3])
    return (f"note.{code}.", True) if form is None else (f"note.{code}.{form}".rstrip("."), False)


def is_note(call):
    func = call.func
    return isinstance(func, ast.Attribute) and func.attr == "of" and getattr(func.value, "id", "") == "Note"


def used():
    """Names of templates in the code and in the pages, exact ones and beginnings of computed ones."""
    exact, begun = set(), set()
    for _, call in python_calls():
        if getattr(call.func, "id", "") in {"say", "phrase"} and call.args:
            for value in ast.walk(call.args[0]):
                if TEMPLATE.match(fixed(value) or ""):
                    (begun if isinstance(call.args[0], ast.JoinedStr) else exact).add(value.value)
        elif is_note(call):
            name, computed = note_name(call)
            (begun if computed else exact).add(name)
    for path in (ROOT / "report" / "templates").glob("*.j2"):
        found = BRACES.findall(path.read_text(encoding="utf-8"))
        exact |= {name for name in found if not name.endswith(".")}
        begun |= {name for name in found if name.endswith(".")}
    return exact, begun


def blanks(text):
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


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


def test_notes_give_their_sentences_the_values_that_these_name():
    checked = 0
    for path, call in python_calls():
        plain_call = getattr(call.func, "id", "") in {"say", "phrase"} and call.args and fixed(call.args[0])
        if (not is_note(call) and not TEMPLATE.match(plain_call or "")) or any(w.arg is None for w in call.keywords):
            continue
        name, computed = note_name(call) if is_note(call) else (plain_call, False)
        told = [text for key, text in ENGLISH.items() if key.startswith(name) and (computed or plain(key) == name)]
        given = {word.arg for word in call.keywords}
        asked = [blanks(text) | (given & {"n"}) for text in told]
        where = f"{path.name}:{call.lineno} {name}"
        given -= {"rule"} if name == "note.finding" else set()
        assert asked, where
        assert any(names == given for names in asked) if computed else all(names == given for names in asked), where
        checked += 1
    assert checked > 250


@pytest.mark.parametrize("name", [name for name in languages() if name != "en"])
def test_another_language_says_the_same_things_of_the_same_values(name):
    for key, text in catalogue.templates(name).items():
        assert key in ENGLISH, key
        assert blanks(text) == blanks(ENGLISH[key]) or key == "note.finding", key  # details of the check are English


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
