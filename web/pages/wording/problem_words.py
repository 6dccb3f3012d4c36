"""Translates problems for people: errors are in English, and use the names of the API's fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from babel.messages.pofile import read_po
from flask_babel import gettext
from flask_babel import lazy_gettext as _

from web.http.errors import Problem, sentence
from web.http.languages import FOLDER, language

PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s")

LABELS: Final = {
    "active": _("Active"),
    "certainty": _("Confidence"),
    "coordinateUncertaintyInMeters": _("Accuracy (m)"),
    "dailyQuota": _("Daily quota"),
    "date": _("Date observed"),
    "decimalLatitude": _("Latitude"),
    "decimalLongitude": _("Longitude"),
    "days": _("Expires after"),
    "eventDate": _("Date observed"),
    "flora": _("Region or checklist"),
    "from": _("From"),
    "habitat": _("Habitat"),
    "known": _("Limit to a genus or family"),
    "label": _("Description"),
    "licence": _("Licence"),
    "locality": _("Locality"),
    "login": _("Username"),
    "mail": _("Email address"),
    "month": _("Month"),
    "name": _("Display name"),
    "obscured": _("Obscure location"),
    "obscures": _("Obscure all locations"),
    "password": _("Password"),
    "photos": _("Photos"),
    "remarks": _("Notes"),
    "role": _("Role"),
    "scientificName": _("Species"),
    "scopes": _("Permissions"),
    "status": _("Status"),
    "substrate": _("Substrate"),
    "taxon": _("Name"),
    "to": _("To"),
}
"""Labels of form fields by the names of fields; others are shown by their names."""

LATITUDE: Final = _(
    "Check the location: latitude must be between -90 and 90. Latitude and longitude may be the wrong way round."
)
LONGITUDE: Final = _("Check the location: longitude must be between -180 and 180.")
COORDINATES: Final = {
    "latitude": LATITUDE,
    "decimalLatitude": LATITUDE,
    "longitude": LONGITUDE,
    "decimalLongitude": LONGITUDE,
}

RULES: Final = (
    (
        r"Must be greater than (?:or equal to )?(?P<low>\S+) and less than (?:or equal to )?(?P<high>\S+)\.",
        _("%(field)s: must be between %(low)s and %(high)s."),
    ),
    (
        r"Length must be between (?P<low>\d+) and (?P<high>\d+)\.",
        _("%(field)s: must have %(low)s to %(high)s characters."),
    ),
    (r"Longer than maximum length (?P<most>\d+)\.", _("%(field)s: at most %(most)s characters.")),
    (r"Shorter than minimum length (?P<least>\d+)\.", _("%(field)s: at least %(least)s characters.")),
    (r"Missing data for required field\.", _("%(field)s: required.")),
    (r"Not a valid date\.", _("%(field)s: not a valid date.")),
    (r"Not a valid (?:number|integer)\.", _("%(field)s: not a number.")),
    (r"Must be one of: (?P<choices>.+)\.", _("%(field)s: choose one of %(choices)s.")),
)
"""Messages of marshmallow as patterns, and what a page shows instead."""


def word_for_people(problem: Problem) -> Problem:
    """Return the problem as a page shows it, in the visitor's language."""
    if is_no_page(problem):
        return replace(
            problem,
            title=gettext("Page not found"),
            detail=gettext("Check the address. The page may have been removed."),
        )
    if problem.status == 401:
        return replace(problem, title=gettext("Sign in"), detail=gettext("You have been signed out."))
    if "CSRF" in problem.detail:
        return replace(
            problem,
            title=gettext("This form has expired"),
            detail=gettext("Nothing was changed. Go back, reload the page and send the form again."),
        )
    if problem.errors:
        return replace(problem, detail=" ".join(describe_invalid_values(problem.errors)))
    return replace(problem, detail=translate(problem.detail))


def is_no_page(problem: Problem) -> bool:
    """Return whether no page has the address."""
    return problem.status == 404 and problem.type == "about:blank"


def describe_invalid_values(errors: Mapping[str, list[str]]) -> list[str]:
    """Return distinct sentences about invalid values, with the labels of their fields."""
    found = [describe_invalid_value(name, message) for name, messages in sorted(errors.items()) for message in messages]
    return list(dict.fromkeys(found))


def describe_invalid_value(name: str, message: str) -> str:
    """Return a sentence about an invalid value."""
    if name in COORDINATES:
        return str(COORDINATES[name])
    label = str(LABELS.get(name, name))
    for pattern, said in RULES:
        if found := re.fullmatch(pattern, message):
            return str(said) % {"field": label, **found.groupdict()}
    return f"{label}: {translate(message)}"


def translate(text: str) -> str:
    """Translate a sentence of the engine or the server; unchanged if the translations lack it.

    `engine.pot` lists the sentences that contain values, with placeholders. A value may itself be a sentence.
    """
    if not text or language() == "en":
        return text
    if (known := str(gettext(text))) != text:
        return known
    for pattern, template in engine_patterns():
        if found := pattern.fullmatch(text):
            values = {name: translate_value(name, value) for name, value in found.groupdict().items()}
            return str(gettext(template)) % values
    return text


def translate_value(name: str, value: str) -> str:
    """Translate a value of a sentence if it is a reason, which is itself a sentence."""
    return translate(sentence(value)).removesuffix(".") if name == "reason" else value


@cache
def engine_patterns() -> Sequence[tuple[re.Pattern[str], str]]:
    """Return patterns and templates of the engine's sentences with values, the longest and so most specific first."""
    with (FOLDER / "engine.pot").open("rb") as written:
        listed = [str(message.id) for message in read_po(written) if message.id and PLACEHOLDER.search(str(message.id))]
    return [(as_pattern(template), template) for template in sorted(listed, key=len, reverse=True)]


def as_pattern(template: str) -> re.Pattern[str]:
    """Return the regular expression of a sentence whose values are filled in."""
    parts = PLACEHOLDER.split(template)
    return re.compile(
        "".join(re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts))
    )
