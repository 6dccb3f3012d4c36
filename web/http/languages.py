"""The languages of the pages: chosen by a cookie or by the browser, translated by the catalogues in `translations`.

The catalogues are read as they are written (.po): nothing to compile, and nothing compiled that could be out of date.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Blueprint, Flask, redirect, request
from flask_babel import Babel, Domain, get_locale
from werkzeug.wrappers import Response

blueprint = Blueprint("languages", __name__)

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "da": "Dansk", "de": "Deutsch"}
COOKIE: Final = "language"
FOLDER: Final = Path(__file__).parents[1] / "translations"
YEAR: Final = 31_536_000  # seconds


@cache
def read_catalogue(language: str) -> NullTranslations:
    """The translations into a language; the texts themselves are English."""
    path = FOLDER / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as written:
        catalogue = read_po(written, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def count_translated(language: str) -> tuple[int, int]:
    """How many texts are translated into a language, of how many; 0 of 0 for English, which is their own."""
    path = FOLDER / f"{language}.po"
    if not path.exists():
        return 0, 0
    with path.open("rb") as written:
        texts = [message for message in read_po(written, locale=language) if message.id]
    return sum(bool(message.string) and not message.fuzzy for message in texts), len(texts)


class Catalogues(Domain):  # type: ignore[misc] # Flask-Babel has no type information
    """What Flask-Babel asks for translations."""

    def get_translations(self) -> NullTranslations:
        """The catalogue of this request's language."""
        return read_catalogue(language())


class PoBabel(Babel):  # type: ignore[misc] # Flask-Babel has no type information
    """Flask-Babel over catalogues that are read as they are written."""

    domain_instance = Catalogues()


def language() -> str:
    """The language of this request; English outside of one."""
    locale = get_locale()
    return str(locale.language) if locale else "en"


def choose_language() -> str:
    """The locale of the person's choice, else of what the browser prefers of what there is."""
    wanted = request.cookies.get(COOKIE, "")
    preferred = (tag.split("-")[0].lower() for tag in request.accept_languages.values())  # Danish of any country
    chosen = wanted if wanted in LANGUAGES else next((tag for tag in preferred if tag in LANGUAGES), "en")
    return "en_GB" if chosen == "en" else chosen  # a day before its month


@blueprint.route("/language", methods=["POST"])
def choose() -> Response:
    """Keep the choice of a language in a cookie, and go back to the page."""
    wanted = request.form.get("language", "")
    parts = urlsplit(request.form.get("page", ""))
    path = parts.path if parts.path.startswith("/") and not parts.path.startswith(("//", "/\\")) else "/"
    response = redirect(path + (f"?{parts.query}" if parts.query else ""), 303)
    if wanted in LANGUAGES:
        response.set_cookie(COOKIE, wanted, max_age=YEAR, samesite="Lax", httponly=True)
    return response


def vernacular(taxon: Mapping[str, Any], most: int = 3) -> list[Mapping[str, str]]:
    """A taxon's common names, each once: those in the visitor's language, or else all that there are, up to `most`.

    Archives often give one name twice, with its language and without: the language is believed.
    """
    names: dict[str, Mapping[str, str]] = {}
    for name in taxon.get("vernacularNames", []):
        if not names.get(name["vernacularName"], {}).get("language"):
            names[name["vernacularName"]] = name
    known = list(names.values())
    mine = [name for name in known if name["language"].split("-")[0] == language()]
    return (mine or known)[:most]


def register_languages(app: Flask) -> None:
    """Let templates translate."""
    PoBabel(app, locale_selector=choose_language)
    app.register_blueprint(blueprint)
