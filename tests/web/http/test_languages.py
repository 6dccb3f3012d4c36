"""Translations are complete and valid; the language is chosen by the browser or the person."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

from retrieval.domain import NOTICE
from web.http.errors import KINDS
from web.http.languages import FOLDER, LANGUAGES, read_catalogue
from web.pages.wording.observation_terms import day

ROOT = Path(__file__).resolve().parents[3]
OTHERS = [language for language in LANGUAGES if language != "en"]
ENGINE = FOLDER / "engine.pot"  # the sentences of the engine, which marks nothing
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Everything that templates and modules of the pages say."""
    found = tmp_path_factory.mktemp("words") / "pages.pot"
    pybabel = shutil.which("pybabel", path=str(Path(sys.executable).parent)) or "pybabel"
    mapping = str(FOLDER / "babel.cfg")
    wanted = ["-F", mapping, "-k", "_", "-k", "Kind:3"]  # beside what is marked, the titles of problems
    subprocess.run([pybabel, "-q", "extract", *wanted, "-o", str(found), "."], cwd=ROOT, check=True)
    with found.open("ab") as written:
        written.write(ENGINE.read_bytes())
    with found.open("rb") as written:
        return read_po(written)


@pytest.mark.parametrize("language", OTHERS)
def test_everything_that_the_pages_say_is_translated(words: Catalog, language: str) -> None:
    with (FOLDER / f"{language}.po").open("rb") as written:
        known = read_po(written, locale=language)

    missing = [message.id for message in words if message.id and not (known.get(message.id) or message).string]

    assert missing == []


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_filled_in_is_the_same_in_every_language(language: str) -> None:
    with (FOLDER / f"{language}.po").open("rb") as written:
        for message in read_po(written, locale=language):
            ids, texts = forms(message.id), forms(message.string)
            wanted = set(PLACEHOLDER.findall(ids[-1]))

            assert all(set(PLACEHOLDER.findall(text)) <= wanted for text in texts), message.id
            assert wanted == set(PLACEHOLDER.findall(texts[-1])), message.id


def forms(words: object) -> list[str]:
    """A message's singular and plural, or its only form."""
    return [str(form) for form in words] if isinstance(words, list | tuple) else [str(words)]


def test_the_sentences_of_the_engine_are_those_that_it_says() -> None:
    with ENGINE.open("rb") as written:
        listed = [str(message.id) for message in read_po(written) if message.id]

    of_problems = {kind.said for kind in KINDS.values() if kind.said and "`partial=true`" not in kind.said}
    assert set(listed) > {NOTICE} | of_problems
    source = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for package in ("retrieval", "database", "web")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".html"}
    ).lower()
    stale = [text for text in listed if not all(part in source for part in parts_of(text.lower()))]
    assert stale == []


def parts_of(sentence: str) -> list[str]:
    """What a sentence says between the values that are filled in; the code that says it has no full stop."""
    return [part.strip(" '") for part in PLACEHOLDER.split(sentence.removesuffix("."))]


@pytest.mark.parametrize("language", OTHERS)
def test_the_notice_is_translated_too(language: str) -> None:
    assert read_catalogue(language).ugettext(NOTICE) != NOTICE


@pytest.mark.parametrize("language", OTHERS)
def test_no_language_says_that_a_fungus_is_safe_to_eat(language: str) -> None:
    forbidden = re.compile(
        r"spiselig|kan spises|velsmagende|ugiftig|essbar|eßbar|genießbar|speisepilz|schmackhaft|ungiftig|comestible",
        re.IGNORECASE,
    )

    assert forbidden.findall((FOLDER / f"{language}.po").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("da-DK,en;q=0.5", "da"), ("de-AT,en;q=0.5", "de"), ("fi,en;q=0.5", "en"), ("", "en"), ("nonsense", "en")],
)
def test_the_browser_chooses_the_language(client: FlaskClient, accepted: str, language: str) -> None:
    page = client.get("/", headers={"Accept-Language": accepted}).get_data(as_text=True)

    assert f'<html lang="{language}">' in page


@pytest.mark.parametrize(
    "elsewhere", ["https://example.org/", "//example.org/x", "/\\example.org", "javascript:alert(1)"]
)
def test_choosing_a_language_leads_nowhere_else(client: FlaskClient, elsewhere: str) -> None:
    answer = client.post("/language", data={"language": "da", "page": elsewhere})

    assert answer.status_code == 303
    assert "example.org" not in answer.headers["Location"]
    assert answer.headers["Location"].startswith("/")
    assert "language=da" in answer.headers["Set-Cookie"]


def test_a_language_that_there_is_not_is_not_remembered(client: FlaskClient) -> None:
    answer = client.post("/language", data={"language": "tlh", "page": "/floras?x=1"})

    assert answer.headers["Location"] == "/floras?x=1"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("language", "world", "written"),
    [
        ("en", "World (all species)", "30 Nov 2026"),
        ("da", "Verden (alle arter)", "30. nov. 2026"),
        ("de", "Welt (alle Arten)", "30.11.2026"),
    ],
)
def test_the_world_and_days_are_written_as_the_language_does(
    client: FlaskClient, language: str, world: str, written: str
) -> None:
    headers = {"Accept-Language": language}

    page = client.get("/", headers=headers)

    assert f">{world}" in page.text
    with client.application.test_request_context("/", headers=headers):
        assert day(date(2026, 11, 30)) == written
