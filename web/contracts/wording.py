"""Names, picture URLs and citations in the formats of other services."""

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

SIZES: Final = {"o": 1280, "m": 640, "s": 160}  # pixels of the longer side; originals are never served
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
log = logging.getLogger(__name__)


def three_names(name: str, authorship: str = "") -> dict[str, str]:
    """Return a name without author, its author, and both together."""
    return {
        "scientificNameWithoutAuthor": name,
        "scientificNameAuthorship": authorship,
        "scientificName": f"{name} {authorship}".strip(),
    }


def names_of(taxon: Taxon | None) -> dict[str, str]:
    """Return the three names of a taxon; empty strings if unknown, since clients read them unconditionally."""
    return three_names(taxon.name, taxon.authorship) if taxon else three_names("")


def genus_of(taxon: Taxon, snapshot: Snapshot) -> dict[str, str]:
    """Return the three names of a species' genus: the first word of the species' name if no genus is stored."""
    genus = snapshot.taxonomy.ancestor(taxon.id, "genus")
    return names_of(genus) if genus else three_names(taxon.name.partition(" ")[0])


def common_names(taxon: Taxon, snapshot: Snapshot, language: str) -> list[str]:
    """Return common names in a language, followed by those of unknown language, without repetitions.

    Archives often give a name with and without its language: then the language applies.
    """
    wanted = language.lower().replace("_", "-")
    fitting = (wanted, wanted.partition("-")[0], "")
    named = [(known.lower().replace("_", "-"), name) for known, name in snapshot.taxonomy.vernacular_names(taxon.id)]
    stated = {name for known, name in named if known}
    named = [(known, name) for known, name in named if known or name not in stated]
    kept = sorted((fitting.index(known), name) for known, name in named if known in fitting)
    return list(dict.fromkeys(name for _, name in kept))


def picture_url(photo: str, size: str) -> str:
    """Return the absolute URL of a reference photo's picture, since clients show it on their own pages."""
    return url_for("photos.draw_reference_photo", sha256=photo, size=SIZES[size], _external=True)


def cite(reference: Reference) -> str:
    """Return author, source and licence in one line."""
    author, licence = reference.author or "author not stated", reference.licence or "licence not stated"
    return f"{author} / {reference.source}, {licence}" if reference.source else f"{author}, {licence}"


def dates_of(evidence: Sequence[Evidence]) -> Mapping[str, date]:
    """Return the dates of photos known to the catalogue; empty if it is unavailable."""
    try:
        return services().catalogue.event_dates([each.reference.photo for each in evidence])
    except DatabaseError as error:
        log.warning("dates of photos are not known: %s", error)
        return {}


def when(day: date | None) -> dict[str, Any]:
    """Return a date as `date.timestamp` (milliseconds) and `date.string`; null and empty if unknown."""
    if day is None:
        return {"timestamp": None, "string": ""}
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {"timestamp": int(moment.timestamp() * 1000), "string": f"{MONTHS[day.month - 1]} {day.day}, {day.year}"}
