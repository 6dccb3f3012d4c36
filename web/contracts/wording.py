"""Names, pictures and citations as the contracts of others write them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from flask import url_for

from database.errors import DatabaseError
from retrieval.domain import Evidence, Reference, Taxon
from retrieval.snapshots.snapshot import Snapshot
from web.services import services

SIZES: Final = {"o": 1280, "m": 640, "s": 160}  # pixels of the longer side; no original leaves the server
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
log = logging.getLogger(__name__)


def three_names(name: str, authorship: str = "") -> dict[str, str]:
    """A name without author, its author, and both."""
    return {
        "scientificNameWithoutAuthor": name,
        "scientificNameAuthorship": authorship,
        "scientificName": f"{name} {authorship}".strip(),
    }


def names_of(taxon: Taxon | None) -> dict[str, str]:
    """The three names of a taxon; empty ones where it is not known, since clients read them unasked."""
    return three_names(taxon.name, taxon.authorship) if taxon else three_names("")


def genus_of(taxon: Taxon, snapshot: Snapshot) -> dict[str, str]:
    """The three names of a species' genus, which is the first word of its name where nobody filed it."""
    genus = snapshot.taxonomy.ancestor(taxon.id, "genus")
    return names_of(genus) if genus else three_names(taxon.name.partition(" ")[0])


def common_names(taxon: Taxon, snapshot: Snapshot, language: str) -> list[str]:
    """Common names in a language, then those of which nobody says what language they are in; each once.

    Archives often give one name twice, with its language and without: the language is believed.
    """
    wanted = language.lower().replace("_", "-")
    fitting = (wanted, wanted.partition("-")[0], "")
    named = [(known.lower().replace("_", "-"), name) for known, name in snapshot.taxonomy.vernacular_names(taxon.id)]
    stated = {name for known, name in named if known}
    named = [(known, name) for known, name in named if known or name not in stated]
    kept = sorted((fitting.index(known), name) for known, name in named if known in fitting)
    return list(dict.fromkeys(name for _, name in kept))


def picture_url(photo: str, size: str) -> str:
    """The whole address of a reference photo's picture: clients show it on pages of their own."""
    return url_for("photos.draw_reference_photo", sha256=photo, size=SIZES[size], _external=True)


def cite(reference: Reference) -> str:
    """Author, source and licence in one line."""
    author, licence = reference.author or "author not stated", reference.licence or "licence not stated"
    return f"{author} / {reference.source}, {licence}" if reference.source else f"{author}, {licence}"


def dates_of(evidence: Sequence[Evidence]) -> Mapping[str, date]:
    """When photos were taken, as far as the catalogue says; nothing where it cannot be asked."""
    try:
        return services().catalogue.event_dates([each.reference.photo for each in evidence])
    except DatabaseError as error:
        log.warning("dates of photos are not known: %s", error)
        return {}


def when(day: date | None) -> dict[str, Any]:
    """A day as `date.timestamp` (milliseconds) and `date.string`; no timestamp and no words where it is not known."""
    if day is None:
        return {"timestamp": None, "string": ""}
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {"timestamp": int(moment.timestamp() * 1000), "string": f"{MONTHS[day.month - 1]} {day.day}, {day.year}"}
