"""The languages of the pages: chosen by a cookie or by the browser, translated by the catalogues in `translations`.

Catalogues are read from their source (.po), so there is no compiled file that could be out of date.
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
    """Read the translations into a language; the texts themselves are English."""
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
    """Return the number of translated texts and of all texts of a language; 0 and 0 for English, the source."""
    path = FOLDER / f"{language}.po"
    if not path.exists():
        return 0, 0
    with path.open("rb") as written:
        texts = [message for message in read_po(written, locale=language) if message.id]
    return sum(bool(message.string) and not message.fuzzy for message in texts), len(texts)


class Catalogues(Domain):  # type: ignore[misc] # Flask-Babel has no type information
    """Provides the translations to Flask-Babel."""

    def get_translations(self) -> NullTranslations:
        """Return the catalogue of this request's language."""
        return read_catalogue(language())


class PoBabel(Babel):  # type: ignore[misc] # Flask-Babel has no type information
    """Flask-Babel with catalogues read from .po files."""

    domain_instance = Catalogues()


def language() -> str:
    """Return the language of this request; English outside of a request."""
    locale = get_locale()
    return str(locale.language) if locale else "en"


def choose_language() -> str:
    """Return the locale: the person's choice, else the browser's preference among those available."""
    wanted = request.cookies.get(COOKIE, "")
    preferred = (tag.split("-")[0].lower() for tag in request.accept_languages.values())  # without the country
    chosen = wanted if wanted in LANGUAGES else next((tag for tag in preferred if tag in LANGUAGES), "en")
    return "en_GB" if chosen == "en" else chosen  # for the order of day and month


@blueprint.route("/language", methods=["POST"])
def choose() -> Response:
    """Store the chosen language in a cookie, and return to the page."""
    wanted = request.form.get("language", "")
    parts = urlsplit(request.form.get("page", ""))
    path = parts.path if parts.path.startswith("/") and not parts.path.startswith(("//", "/\\")) else "/"
    response = redirect(path + (f"?{parts.query}" if parts.query else ""), 303)
    if wanted in LANGUAGES:
        response.set_cookie(COOKIE, wanted, max_age=YEAR, samesite="Lax", httponly=True)
    return response


def vernacular(taxon: Mapping[str, Any], most: int = 3) -> list[Mapping[str, str]]:
    """Return up to `most` distinct common names of a taxon: those in the visitor's language, or else all.

    Archives often give a name twice, with and without a language; the one with a language is used.
    """
    names: dict[str, Mapping[str, str]] = {}
    for name in taxon.get("vernacularNames", []):
        if not names.get(name["vernacularName"], {}).get("language"):
            names[name["vernacularName"]] = name
    known = list(names.values())
    mine = [name for name in known if name["language"].split("-")[0] == language()]
    return (mine or known)[:most]


def register_languages(app: Flask) -> None:
    """Enable translation in templates."""
    PoBabel(app, locale_selector=choose_language)
    app.register_blueprint(blueprint)
