from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from retrieval.domain import NOTICE
from tests.retrieval.photos.oddities import exif, save, scene
from tests.snapshots import EMETICA, MUSCARIA, Made, draw_photo, drawn_references, make_snapshot
from tests.web.conftest import encode_photos, make_app
from web.pages.wording.template_words import percent

ROOT = Path(__file__).resolve().parents[3]
Ask = Callable[..., TestResponse]
FIND = [draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 7, 1)]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Reading(HTMLParser):
    """Reads a page strictly: every element closed in order; keeps what tests ask about."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def words(answer: TestResponse) -> str:
    """The text of a page, without marks, on one line."""
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]*>", " ", answer.get_data(as_text=True)))


def test_the_form_asks_for_photos_and_a_flora(client: FlaskClient) -> None:
    answer = client.get("/")

    page = Reading(answer.get_data(as_text=True))
    form = page.all("form")[0]
    photos = next(field for field in page.all("input") if field["name"] == "photos")
    labels = {label.get("for") for label in page.all("label")}
    assert (form["method"], form["enctype"], form["action"]) == ("post", "multipart/form-data", "/")
    assert (photos["type"], "multiple" in photos) == ("file", True)
    assert {"photos", "flora"} <= labels
    assert [option["value"] for option in page.all("option")] == ["world", "north", "south"]
    assert NOTICE in words(answer)


def test_the_answer_ranks_the_species_with_shares_sums_and_all_that_must_be_said(ask: Ask, made: Made) -> None:
    api = ask("/api/v1/identify", FIND, flora="south").get_json()

    answer = ask("/", FIND, flora="south")

    text = words(answer)
    assert answer.status_code == 200
    places = [text.index(found["taxon"]["scientificName"]) for found in api["species"]]
    assert places == sorted(places)
    for found in api["species"] + api["genera"] + api["families"]:
        assert percent(found["share"]) in text
    assert NOTICE in text
    assert "does not mean right in 8 of 10 cases" in text
    assert made.manifest.name in text
    assert "descriptor@1" in text
    assert text.index("not on this checklist") < text.rindex("Amanita muscaria")


def test_every_reference_photo_shown_names_its_author_and_licence(ask: Ask, made: Made) -> None:
    stated = {entry.photo: (entry.author, entry.licence) for entry in made.entries}

    page = ask("/", FIND, flora="south").get_data(as_text=True)

    figures = re.findall(r'<figure class="reference\b.*?</figure>', page, re.DOTALL)
    assert len(figures) > 4
    for figure in figures:
        photo = re.search(r"/api/v1/photos/(\w+)", figure)
        assert photo is not None
        for word in stated[photo[1]]:
            assert f">{word}" in figure
    assert page.count('<img src="/api/v1/photos/') == len(figures)


def test_the_page_is_well_formed_and_every_picture_has_words(ask: Ask) -> None:
    page = Reading(ask("/", FIND, flora="north").get_data(as_text=True))

    assert all("alt" in picture for picture in page.all("img"))
    assert len(page.all("h1")) == 1
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)


def test_a_persons_own_photos_are_shown_back_small_upright_and_without_metadata(ask: Ask) -> None:
    photo = save(scene(800, 400), exif=exif(6, secret="SECRET GARDEN"))

    page = ask("/", [photo]).get_data(as_text=True)

    shown = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    drawn = b64decode(shown[0])
    image = Image.open(io.BytesIO(drawn))
    assert len(set(shown)) == 1
    assert image.size == (160, 320)
    assert not image.getexif()
    assert b"SECRET" not in drawn


def test_what_archives_wrote_is_text_and_never_markup_or_script(tmp_path: Path) -> None:
    entries, embeddings, photos = drawn_references()
    nasty = [
        replace(entry, author='<script>alert("a")</script>', licence="<b>CC0", source="javascript:alert(1)")
        for entry in entries
    ]
    made = make_snapshot(tmp_path, nasty, embeddings)
    client = make_app(made.root, photos).test_client()

    answer = client.post("/", **encode_photos(FIND))

    page = answer.get_data(as_text=True)
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "<b>" not in page
    assert "javascript:" not in page


@pytest.mark.parametrize(
    ("source", "linked"),
    [
        ("https://example.org/1", True),
        ("http://example.org/1", True),
        ("HTTPS://example.org/1", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.org/1", False),
        ("https:example.org", False),
        ("http://[", False),
        ("Herbarium C", False),
        ("", False),
    ],
)
def test_sources_are_linked_only_where_they_are_web_addresses(tmp_path: Path, source: str, linked: bool) -> None:
    entries, embeddings, photos = drawn_references()
    made = make_snapshot(tmp_path, [replace(entry, source=source) for entry in entries], embeddings)
    client = make_app(made.root, photos).test_client()

    page = Reading(client.post("/", **encode_photos(FIND)).get_data(as_text=True))

    links = {link["href"] for link in page.all("a") if link.get("rel")}
    assert links == ({source} if linked else set())


def test_a_common_name_that_two_languages_share_is_said_once(ask: Ask, app: Flask) -> None:
    found = ask("/api/v1/identify", FIND).get_json()["species"][0]
    found["taxon"]["vernacularNames"].append({"language": "", "vernacularName": "fly agaric"})
    card = "{% from 'parts.html' import common_names with context %}{{ common_names(found.taxon, 4) }}"

    with app.test_request_context():
        page = render_template_string(card, found=found)

    assert page.count("fly agaric") == 1
    assert page.count("rød fluesvamp") == 0  # the visitor reads English


def test_a_collection_of_drawings_is_called_so(tmp_path: Path, client: FlaskClient) -> None:
    entries, embeddings, photos = drawn_references()
    made = make_snapshot(tmp_path, [replace(entry, author="Some drawing program") for entry in entries], embeddings)
    drawn = make_app(made.root, photos).test_client()

    for answer in (drawn.get("/"), drawn.post("/", **encode_photos(FIND))):
        assert "drawings, not photographs" in words(answer)
    assert "drawings" not in words(client.get("/"))


def test_a_missing_author_or_licence_is_said_and_not_left_out(tmp_path: Path) -> None:
    entries, embeddings, photos = drawn_references()
    made = make_snapshot(tmp_path, [replace(entry, author="", licence="") for entry in entries], embeddings)

    answer = make_app(made.root, photos).test_client().post("/", **encode_photos(FIND))

    assert "author unknown" in words(answer)
    assert "licence unknown" in words(answer)


def test_a_refused_photo_is_explained_in_the_page_and_the_chosen_flora_is_kept(ask: Ask) -> None:
    answer = ask("/", [b"no photo"], flora="south")

    page = Reading(answer.get_data(as_text=True))
    assert (answer.status_code, answer.mimetype) == (415, "text/html")
    assert "Photo 1 of 1: the file is not a JPEG, PNG, WebP or HEIC photo." in words(answer)
    assert [option["value"] for option in page.all("option") if "selected" in option] == ["south"]
    assert [part["role"] for part in page.all("section") if part.get("role")] == ["alert"]


@pytest.mark.parametrize(
    ("photos", "form", "status"),
    [
        ([], {}, 400),
        (FIND, {"flora": "<nowhere>"}, 404),
        (FIND, {"count": "x"}, 422),
        (FIND * 2, {}, 422),
        ([bytes(3_000_000)], {}, 413),
    ],
)
def test_every_refusal_is_a_page_with_the_form(
    ask: Ask, photos: list[bytes], form: dict[str, str], status: int
) -> None:
    answer = ask("/", photos, **form)

    page = Reading(answer.get_data(as_text=True))
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert page.all("form")
    assert "<nowhere>" not in answer.get_data(as_text=True)


def test_without_a_snapshot_the_page_says_so(tmp_path: Path) -> None:
    answer = make_app(tmp_path, {}).test_client().get("/")

    Reading(answer.get_data(as_text=True))
    assert answer.status_code == 503
    assert "Nothing has been published yet" in words(answer)


def test_a_share_is_never_rounded_to_nothing_or_to_all() -> None:
    shares = [0.0, 0.0004, 0.0099, 0.01, 0.126, 0.99, 0.9951, 1.0]

    said = [percent(share).replace("\u202f", " ") for share in shares]

    assert said == ["0 %", "under 1 %", "under 1 %", "1 %", "13 %", "99 %", "over 99 %", "100 %"]


def test_no_page_says_that_a_fungus_is_safe(ask: Ask, client: FlaskClient) -> None:
    for answer in (client.get("/"), ask("/", FIND), client.get("/api/v1/docs")):
        text = words(answer).replace(NOTICE, "").lower()

        assert not re.search(r"\b(edible|safe|delicious|tasty|eatable)\b", text)


def test_every_address_that_templates_and_modules_build_is_one_of_the_application(app: Flask) -> None:
    named = {
        (path.name, endpoint)
        for path in [*(ROOT / "web").rglob("*.html"), *(ROOT / "web").rglob("*.py")]
        for endpoint in re.findall(r"[\"'](page\.\w+)[\"']", path.read_text(encoding="utf-8"))
    }

    assert {(file, endpoint) for file, endpoint in named if endpoint not in app.view_functions} == set()
    assert len(named) > 80


def test_photos_of_two_finds_are_said_to_look_like_two(ask: Ask) -> None:
    two = [draw_photo(MUSCARIA, 7), draw_photo(EMETICA, 3)]

    mixed, single = ask("/", two).text, ask("/", FIND).text
    body = ask("/api/v1/identify", two).get_json()

    assert "Photos 1, 2 look like different fungi." in mixed
    assert "look like different fungi" not in single
    assert body["unlikePhotos"] == [[0, 1]]
