"""What a study document may ask of its report."""

import pytest

from spc.errors import DataError, UsageError
from spc.report import compose_report
from spc.report.colours import contrast, readable_accent
from spc.study import read_study
from spc.synthetic import make_firm

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("wishes")
    make_firm(seed=3, units=20, name="Fjord Retail").write(place)
    return place


@pytest.fixture
def asked(folder):
    def read(extra):
        document = folder / "study.toml"
        text = document.read_text(encoding="utf-8")
        try:
            document.write_text(text + extra, encoding="utf-8")
            return read_study(document)
        finally:
            document.write_text(text, encoding="utf-8")

    return read


def test_title_colour_and_logo_of_the_document_are_on_the_page(folder, asked):
    (folder / "mark.png").write_bytes(PICTURE)
    found = asked('subtitle = "For the board"\naccent = "#FFEE00"\nlogo = "mark.png"\naudience = "board"\n')
    assert found.report.logo.startswith("data:image/png;base64,iVBORw0KGgo")
    html = compose_report(found).html()
    assert "For the board" in html
    assert f'<img class="logo" src="{found.report.logo}"' in html
    light, dark = readable_accent("#FFEE00")
    assert f"--accent: {light}" in html
    assert f"--accent: {dark}" in html


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ff0000", "#0f6f8c", "#ffee00", "#808080"])
def test_every_colour_can_be_read_in_the_end(colour):
    light, dark = readable_accent(colour)
    assert contrast(light, "#fbfbf9") >= 4.5
    assert contrast(light, "#eef5f6") >= 4.5
    assert contrast(dark, "#1b2a30") >= 4.5


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ('accent = "blue"\n', "accent"),
        ('audience = "everybody"\n', "audience"),
        ('leave_out = ["notes"]\n', "leave_out"),
        ('leave_out = ["confidentiality"]\n', "leave_out"),
        ('logo = "../mark.png"\n', "outside the folder"),
        ('logo = "https://example.com/mark.png"\n', "address"),
        ('logo = "study.toml"\n', "no such picture"),
        ('logo = "absent.png"\n', "no file"),
        ('language = "tlh"\n', "language"),
        ('[[report.levers]]\nconstruct = "customer_joy"\n', "a construct of this document"),
        ('[[report.levers]]\nconstruct = "customer_loyalty"\n' * 2, "a second time"),
    ],
)
def test_wishes_that_cannot_be_met_are_told(asked, extra, said):
    with pytest.raises(DataError, match=said):
        asked(extra)


def test_a_script_that_calls_itself_a_picture_is_only_a_picture(folder, asked):
    (folder / "mark.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='x()'><script>x()</script></svg>")
    html = compose_report(asked('logo = "mark.svg"\n')).html()
    assert "data:image/svg+xml;base64," in html
    assert "<script" not in html
    assert "onload" not in html


def test_a_large_logo_is_refused(folder, asked):
    (folder / "large.png").write_bytes(PICTURE + bytes(300_000))
    with pytest.raises(DataError, match="300,0"):
        asked('logo = "large.png"\n')


def test_sections_can_be_left_out_and_caveats_cannot(results):
    anchors = [part.anchor for part in compose_report(results, leave_out=["drivers", "method"]).sections]
    assert "drivers" not in anchors
    assert "method" not in anchors
    for name in ("glance", "notes", "confidentiality"):
        with pytest.raises(UsageError, match="cannot be left out"):
            compose_report(results, leave_out=[name])


@pytest.mark.parametrize("given", [{"audience": "all"}, {"leave_out": ["weather"]}, {"language": "tlh"}])
def test_unknown_wishes_are_refused(chain, given):
    with pytest.raises(UsageError):
        compose_report(chain, **given)
