"""The tables of the Darwin Core export: their terms, and the rows of an observation. Pure functions.

Tables are tab-separated without quotes, like GBIF's own; white space within a text becomes one space.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from database.field.approved import ApprovedObservation, Name, ShownPhoto, StatedIdentification, observation_page
from database.field.obscuring import CELL
from database.field.validation import CERTAINTIES
from retrieval.domain import RANKS

DWC = "http://rs.tdwg.org/dwc/terms/"
DC = "http://purl.org/dc/terms/"
AC = "http://rs.tdwg.org/ac/terms/"

LICENCES = {
    "CC0-1.0": "http://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "CC-BY-4.0": "http://creativecommons.org/licenses/by/4.0/legalcode",
    "CC-BY-NC-4.0": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
    "CC-BY-SA-4.0": "http://creativecommons.org/licenses/by-sa/4.0/legalcode",
}
"""The licences that observers can choose, with their URLs as written by GBIF."""

OF_GBIF = ("CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0")
"""The licences accepted by GBIF, least restrictive first."""

GENERALISED = f"coordinates are the middle of a cell of {CELL:g} degrees that holds the place"
WITHHELD = "the exact place is withheld; ask the publisher"


@dataclass(frozen=True, slots=True)
class TableForm:
    """A table of the archive; its first column is the occurrence id."""

    file: str
    row_type: str
    terms: tuple[str, ...]  # of the columns after the first


OCCURRENCE = TableForm(
    "occurrence.txt",
    f"{DWC}Occurrence",
    (
        *(f"{DWC}{term}" for term in ("occurrenceID", "basisOfRecord", "occurrenceStatus", "catalogNumber")),
        *(f"{DWC}{term}" for term in ("datasetName", "recordedBy", "eventDate")),
        *(f"{DWC}{term}" for term in ("taxonID", "scientificName", "scientificNameAuthorship", "taxonRank")),
        *(f"{DWC}{rank}" for rank in RANKS[:-1]),
        *(f"{DWC}{term}" for term in ("specificEpithet", "nomenclaturalCode")),
        *(f"{DWC}{term}" for term in ("identifiedBy", "dateIdentified", "identificationVerificationStatus")),
        *(f"{DWC}{term}" for term in ("decimalLatitude", "decimalLongitude", "geodeticDatum")),
        *(f"{DWC}{term}" for term in ("coordinateUncertaintyInMeters", "dataGeneralizations", "informationWithheld")),
        *(f"{DWC}{term}" for term in ("locality", "habitat", "occurrenceRemarks", "dynamicProperties")),
        *(f"{DC}{term}" for term in ("license", "rightsHolder", "references", "modified")),
    ),
)
MULTIMEDIA = TableForm(
    "multimedia.txt",
    "http://rs.gbif.org/terms/1.0/Multimedia",
    (
        *(f"{DC}{term}" for term in ("type", "format", "identifier", "references", "creator", "license")),
        f"{DC}rightsHolder",
        f"{AC}subjectPart",
    ),
)
IDENTIFICATION = TableForm(
    "identification.txt",
    f"{DWC}Identification",
    tuple(
        f"{DWC}{term}"
        for term in (
            "identificationID", "identifiedBy", "dateIdentified", "taxonID", "scientificName", "taxonRank",
            "identificationVerificationStatus", "identificationRemarks",
        )
    ),
)  # fmt: skip
TABLES = (OCCURRENCE, MULTIMEDIA, IDENTIFICATION)

SAID = {
    "propose": "proposed",
    "agree": "agreed with",
    "withdraw": "taken back",
    "approve": "approved by an expert",
    "unapprove": "approval taken back",
}


def occurrence_id(key: str) -> str:
    """Return the persistent, globally unique id of an observation, independent of the server's URL."""
    return f"urn:uuid:{key}"


def render(one: ApprovedObservation, *, dataset: str, page: str, packed: bool) -> tuple[list[str], ...]:
    """Return the rows of an observation in each of TABLES, as tab-separated text."""
    key = occurrence_id(one.key)
    tables = (
        [occurrence_cells(one, dataset, page)],
        [photo_cells(one, photo, page, packed=packed) for photo in one.photos],
        [verdict_cells(one, said) for said in one.history],
    )
    return tuple(["\t".join(map(plain, [key, *cells])) for cells in rows] for rows in tables)


def occurrence_cells(one: ApprovedObservation, dataset: str, page: str) -> list[str]:
    """Return the cells of the core table."""
    ranks = dict(one.name.lineage)
    licence = LICENCES.get(one.licence, "")
    placed = one.decimal_latitude is not None and one.decimal_longitude is not None
    status = "approved by an expert" if one.expert else f"approved by the community, score {one.score} of 100"
    epithet = one.name.scientific_name.partition(" ")[2] if one.name.rank == "species" else ""
    decisive = decisive_words(one)
    return [
        occurrence_id(one.key),
        "HumanObservation",
        "present",
        one.key,
        dataset,
        one.observer,
        one.event_date.isoformat() if one.event_date else "",
        taxon_id(one.name),
        full_name(one.name),
        one.name.authorship,
        one.name.rank,
        *(ranks.get(rank, "") for rank in RANKS[:-1]),
        epithet,
        "ICN",
        " | ".join(dict.fromkeys(said.person for said in decisive)),
        moment(max((said.created for said in decisive), default=None)),
        status,
        number(one.decimal_latitude),
        number(one.decimal_longitude),
        "WGS84" if placed else "",
        number(one.coordinate_uncertainty),
        GENERALISED if one.is_obscured and placed else "",
        WITHHELD if one.is_obscured else "",
        one.locality,
        one.habitat,
        one.remarks,
        json.dumps({"substrate": one.substrate}, ensure_ascii=False) if one.substrate else "",
        licence,
        one.observer,
        observation_page(page, one.key),
        moment(one.modified),
    ]


def decisive_words(one: ApprovedObservation) -> list[StatedIdentification]:
    """Return the active verdicts for the approved name: experts' approvals, or else identifications."""
    standing = [said for said in one.history if said.superseded is None and said.name.id == one.name.id]
    approvals = [said for said in standing if said.kind == "approve"]
    return approvals or standing


def photo_cells(one: ApprovedObservation, photo: ShownPhoto, page: str, *, packed: bool) -> list[str]:
    """Return a row's cells of the multimedia extension."""
    address = f"{observation_page(page, one.key)}/photos/{photo.sha256}?size=1280"
    return [
        "StillImage",
        "image/jpeg",
        packed_path(photo) if packed else address,
        observation_page(page, one.key),
        one.observer,
        LICENCES.get(one.licence, ""),
        one.observer,
        photo.aspect,
    ]


def packed_path(photo: ShownPhoto) -> str:
    """Return a photo's path within an archive with packed photos."""
    return f"photos/{photo.sha256}.jpg"


def verdict_cells(one: ApprovedObservation, said: StatedIdentification) -> list[str]:
    """Return a row's cells of the identification history."""
    status = SAID[said.kind]
    if said.superseded is not None and said.kind not in ("withdraw", "unapprove"):
        status += f", superseded {moment(said.superseded)}"
    words = [f"certainty: {said.certainty}" if said.certainty in CERTAINTIES else "", said.remarks]
    return [
        f"{occurrence_id(one.key)}#verdict-{said.id}",
        said.person,
        moment(said.created),
        taxon_id(said.name),
        full_name(said.name),
        said.name.rank,
        status,
        "; ".join(word for word in words if word),
    ]


def taxon_id(name: Name) -> str:
    """Return the taxon's URL in GBIF's backbone, or empty text; local ids have no meaning elsewhere."""
    return f"https://www.gbif.org/species/{name.gbif_key}" if name.gbif_key else ""


def full_name(name: Name) -> str:
    """Return the scientific name with its authorship, as Darwin Core requires."""
    return f"{name.scientific_name} {name.authorship}".strip()


def number(value: float | None) -> str:
    """Format a number without loss, for a round trip."""
    return "" if value is None else f"{value:.0f}" if value == int(value) else repr(value)


def moment(when: datetime | None) -> str:
    """Format a UTC time as ISO 8601."""
    return "" if when is None else f"{when.isoformat(timespec='seconds')}Z"


def plain(text: str) -> str:
    """Make a text valid as a cell: one line, without control characters."""
    kept = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)
    return " ".join(kept.split())


def freest_for_all(licences: Sequence[str]) -> str:
    """Return the licence of a dataset: the most restrictive one of its records."""
    return max(licences, key=[*LICENCES].index, default="CC0-1.0")
