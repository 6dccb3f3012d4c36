"""Column headers, in the many spellings of archives, and the fields of a record they fill."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from indexer.records import Record
from retrieval.errors import ArchiveError

RECORD_FIELDS = frozenset(field.name for field in fields(Record)) - {"file", "line"}

TAXON_TERMS: Mapping[str, tuple[str, ...]] = {
    "scientific_name": (
        "scientificname",
        "canonicalname",
        "species",
        "taxonname",
        "latinname",
        "taxon",
        "name",
        "label",
    ),
    "scientific_name_authorship": ("scientificnameauthorship", "authorship", "taxonauthor"),
    "taxon_rank": ("taxonrank", "rank"),
    "taxonomic_status": ("taxonomicstatus", "taxonstatus"),
    "accepted_name": ("acceptednameusage", "acceptedscientificname", "acceptedname"),
    "taxon_key": ("taxonkey", "gbiftaxonkey", "gbiftaxonid", "usagekey"),
    "accepted_taxon_key": ("acceptedtaxonkey", "acceptedusagekey"),
    "species_key": ("specieskey", "gbifspeciesid", "gbifspecieskey"),
    "kingdom": ("kingdom",),
    "phylum": ("phylum",),
    "class_": ("class",),
    "order": ("order",),
    "family": ("family",),
    "genus": ("genus",),
    "specific_epithet": ("specificepithet",),
    "vernacular_name": ("vernacularname", "commonname"),
    "vernacular_language": ("vernacularlanguage", "vernacularnamelanguage"),
    "toxicity": ("toxicity", "poisonous", "toxic"),
}
OCCURRENCE_TERMS: Mapping[str, tuple[str, ...]] = {
    "observation": ("occurrenceid", "observationid", "observation", "observationuuid", "obsid", "gbifid"),
    "event_date": ("eventdate", "observedon", "observationdate", "earliestdatecollected", "date"),
    "decimal_latitude": ("decimallatitude", "latitude", "lat"),
    "decimal_longitude": ("decimallongitude", "longitude", "lon", "lng", "long"),
    "coordinate_uncertainty": (
        "coordinateuncertaintyinmeters", "coordinateuncertainty", "cooruncert", "positionalaccuracy",
        "locationuncertainty",
    ),
    "country_code": ("countrycode", "country"),
    "recorded_by": ("recordedby", "observer", "collector", "userlogin"),
    "habitat": ("habitat",),
    "substrate": ("substrate", "metasubstrate"),
}  # fmt: skip
MEDIA_TERMS: Mapping[str, tuple[str, ...]] = {
    "photo": ("accessuri", "bestqualityaccessuri", "identifier", "goodqualityaccessuri"),
    "creator": ("creator", "photographer"),
    "rights_holder": ("rightsholder", "owner", "copyrightholder"),
    "licence": ("license", "licence", "usageterms", "webstatement", "rights"),
    "references": ("references", "furtherinformationurl", "additionalinformationurl"),
    "media_type": ("type", "mediatype"),
    "media_format": ("format", "mediaformat", "mimetype"),
    "aspect": ("subjectpart", "aspect", "organ"),
    "position": ("position",),
}
PHOTO_FILE_TERMS = (
    "file", "filename", "filepath", "imagepath", "photopath", "path", "relativepath", "image", "photo", "imagename",
    "imagefile", "photofile",
)  # fmt: skip
PHOTO_ADDRESS_TERMS = ("url", "imageurl", "photourl", "accessuri", "identifier", "imagebackupurl")
TABLE_TERMS: Mapping[str, tuple[str, ...]] = {
    **TAXON_TERMS,
    **OCCURRENCE_TERMS,
    **MEDIA_TERMS,
    "photo": (),
    "creator": ("creator", "photographer", "attribution", "author", "credit", "photoauthor"),
    "licence": ("photolicense", "photolicence", "license", "licence", "usageterms", "webstatement", "rights"),
    "aspect": ("aspect", "organ", "subjectpart", "view"),
    "position": ("position", "photoposition"),
}
"""What the columns of a table with one photo per line are called; photos are found by `photo_columns`."""

KEY_IN_ID = re.compile(r"^(?:gbif:|https?://(?:www\.)?gbif\.org/(?:\w\w/)?species/)(\d+)$", re.I)


def plain_term(header: str) -> str:
    """Bring a header or term to one spelling: `dwc:scientificName` and `SCIENTIFIC_NAME` are the same."""
    last = re.split(r"[/#:]", header.strip().rstrip("/"))[-1]
    return re.sub(r"[\W_]+", "", last).lower()


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the fields of a record stand in a row: for each field its columns, the preferred one first."""

    fields: tuple[tuple[str, tuple[int, ...]], ...]
    day: tuple[int, int, int] | None  # year, month, day, where a date is spread over three columns
    taxon_id: int | None  # may hold a GBIF key among other things
    accepted_id: int | None

    def read(self, cells: Sequence[str]) -> dict[str, str]:
        """Return the fields that the row fills."""
        found: dict[str, str] = {}
        for field, places in self.fields:
            for place in places:
                if text := cells[place].strip():
                    found[field] = text
                    break
        if self.day and "event_date" not in found:
            found["event_date"] = "-".join(part for part in (cells[place].strip() for place in self.day) if part)
        for field, place_of_id in (("taxon_key", self.taxon_id), ("accepted_taxon_key", self.accepted_id)):
            if place_of_id is not None and field not in found and (key := KEY_IN_ID.match(cells[place_of_id].strip())):
                found[field] = key[1]
        if " " not in found.get("accepted_name", " "):
            found.pop("accepted_name")  # an epithet in a column called species
        name = found.get("scientific_name", "")
        if name and name.islower() and " " not in name and "genus" in found:
            found["specific_epithet"] = found.pop("scientific_name")
        return found


def find_columns(headers: Sequence[str], terms: Mapping[str, tuple[str, ...]], given: Iterable[tuple[str, str]] = (),
                 file: str = "") -> Columns:  # fmt: skip
    """Say which column fills which field. What the person gave goes before what the headers suggest.

    Raises ArchiveError for a header that the table does not have.
    """
    place_of: dict[str, int] = {}
    for place, header in enumerate(headers):
        place_of.setdefault(plain_term(header), place)
    found = {field: [place_of[name] for name in names if name in place_of] for field, names in terms.items()}
    if "species" in place_of and found.get("scientific_name", [None])[0] != place_of["species"]:
        found.setdefault("accepted_name", []).insert(
            0, place_of["species"]
        )  # as GBIF: the accepted species of the name given
    for field, header in given:
        if plain_term(header) not in place_of:
            raise ArchiveError(f"{file}, line 1: there is no column {header!r}; there are {', '.join(headers)}")
        found[field] = [place_of[plain_term(header)]]
    day = tuple(place_of[name] for name in ("year", "month", "day") if name in place_of)
    return Columns(
        fields=tuple((field, tuple(places)) for field, places in found.items() if places),
        day=(day[0], day[1], day[2]) if len(day) == 3 else None,
        taxon_id=place_of.get("taxonid"),
        accepted_id=place_of.get("acceptednameusageid"),
    )


def photo_columns(headers: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the columns that may hold a photo's file, and those that may hold its address, preferred ones first."""
    terms = [plain_term(header) for header in headers]
    return (
        [terms.index(name) for name in PHOTO_FILE_TERMS if name in terms],
        [terms.index(name) for name in PHOTO_ADDRESS_TERMS if name in terms],
    )
