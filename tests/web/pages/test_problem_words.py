"""Error messages for people: with the labels of the form, in the visitor's language."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from web.http.errors import Problem, describe_invalid_values
from web.pages.wording.problem_words import translate, word_for_people
from web.pages.wording.template_words import mark_commands

Ask = Callable[..., TestResponse]
FIND = [draw_photo(MUSCARIA, 7)]


def said(app: Flask, problem: Problem, language: str = "en") -> tuple[str, str]:
    """Title and sentence as a page shows them."""
    with app.test_request_context("/", headers={"Accept-Language": language}):
        worded = word_for_people(problem)
        return worded.title, str(worded.detail)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"latitude": ["Must be greater than or equal to -90 and less than or equal to 90."]},
            "Check the location: latitude must be between -90 and 90. "
            "Latitude and longitude may be the wrong way round.",
        ),
        ({"decimalLongitude": ["Not a valid number."]}, "Check the location: longitude must be between -180 and 180."),
        ({"eventDate": ["Not a valid date."]}, "Date observed: not a valid date."),
        ({"login": ["Length must be between 2 and 64."]}, "Username: must have 2 to 64 characters."),
        (
            {"dailyQuota": ["Must be greater than or equal to 1 and less than or equal to 9."]},
            "Daily quota: must be between 1 and 9.",
        ),
        ({"remarks": ["Longer than maximum length 2000."]}, "Notes: at most 2000 characters."),
        ({"password": ["Missing data for required field."]}, "Password: required."),
        ({"flroa": ["Unknown field."]}, "flroa: Unknown field."),
    ],
)
def test_wrong_values_are_named_by_their_labels(app: Flask, values: dict[str, list[str]], sentence: str) -> None:
    assert said(app, describe_invalid_values(values)) == ("Please check your entries", sentence)


def test_a_wrong_value_is_named_once_however_many_rules_it_breaks(app: Flask) -> None:
    problem = describe_invalid_values({"latitude": ["Not a valid number.", "Must be positive."]})

    assert said(app, problem)[1].count("latitude") == 1


@pytest.mark.parametrize("place", [("91", "12"), ("north", "12"), ("55", "181")])
def test_a_location_off_the_earth_is_explained_on_the_page(ask: Ask, place: tuple[str, str]) -> None:
    answer = ask("/", FIND, latitude=place[0], longitude=place[1])

    assert answer.status_code in {400, 422}
    assert "Check the location" in answer.text
    assert "Must be" not in answer.text


@pytest.mark.parametrize(
    ("photos", "form", "danish", "german"),
    [
        ([b""], {}, "Filen er tom", "Die Datei ist leer"),
        ([b"no photo"], {}, "Foto 1 af 1: Filen er ikke et foto", "Foto 1 von 1: Die Datei ist kein Foto"),
        (FIND * 5, {}, "Der blev sendt 5 fotos", "Es wurden 5 Fotos gesendet"),
        (FIND, {"latitude": "55"}, "Angiv både breddegrad og længdegrad", "Geben Sie Breitengrad und Längengrad an"),
        (FIND, {"latitude": "99", "longitude": "1"}, "Kontrollér stedet", "Prüfen Sie den Ort"),
        (FIND, {"flora": "nowhere"}, "Artslisten »nowhere« findes ikke", "Die Artenliste „nowhere“ gibt es"),
    ],
    ids=["empty", "no photo", "too many", "half a place", "off the earth", "unknown flora"],
)
def test_what_the_engine_refuses_is_said_in_the_visitors_language(
    client: FlaskClient, photos: list[bytes], form: dict[str, str], danish: str, german: str
) -> None:
    for language, sentence in (("da", danish), ("de", german)):
        page = client.post("/", **encode_photos(photos, **form), headers={"Accept-Language": language}).text

        assert sentence in page


def test_a_sentence_that_no_catalogue_has_stays_as_it_is(app: Flask) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "de"}):
        assert translate("50 % of nothing at all.") == "50 % of nothing at all."
        assert translate("") == ""
        assert translate("The database cannot be used. Details are in the server's log.").startswith("Die Datenbank")


def test_whoever_was_signed_out_is_told_so_and_led_to_sign_in(client: FlaskClient) -> None:
    page = client.post("/observations/new", headers={"Accept": "text/html"})
    script = client.post("/observations/new", headers={"X-Fragment": "yes"})

    for answer in (page, script):
        assert answer.status_code == 401
        assert "You have been signed out." in answer.text
        assert "API key" not in answer.text
    assert 'href="/sign-in"' in script.text


def test_commands_are_marked_and_nothing_else_is(app: Flask) -> None:
    assert mark_commands("Run `fungarium <x>` & wait.") == "Run <code>fungarium &lt;x&gt;</code> &amp; wait."
    assert mark_commands("<b>") == "&lt;b&gt;"
