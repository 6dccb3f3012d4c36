"""Column headers in the many spellings of archives, mapped to record fields."""

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
    "identification_qualifier": ("identificationqualifier", "qualifier"),
    "taxonomic_status": ("taxonomicstatus", "taxonstatus"),
    "accepted_name": ("acceptednameusage", "acceptedscientificname", "acceptedname"),
    "taxon_key": ("taxonkey", "gbiftaxonkey", "gbiftaxonid", "gbifkey", "gbifusagekey", "usagekey", "nubkey"),
    "accepted_taxon_key": ("acceptedtaxonkey", "acceptedusagekey"),
    "species_key": ("specieskey", "gbifspeciesid", "gbifspecieskey"),
    **{f"{rank}_key": (f"{rank}key",) for rank in ("kingdom", "phylum", "class", "order", "family", "genus")},
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
    "verbatim_identification": ("verbatimscientificname", "verbatimidentification"),
    "verification_status": ("identificationverificationstatus", "verificationstatus", "qualitygrade"),
    "event_date": (
        "eventdate", "observedon", "observationdate", "earliestdatecollected", "datecollected", "date",
        "verbatimeventdate",
    ),
    "year": ("year",),
    "month": ("month",),
    "day": ("day",),
    "occurrence_status": ("occurrencestatus",),
    "establishment_means": ("establishmentmeans",),
    "degree_of_establishment": ("degreeofestablishment",),
    "basis_of_record": ("basisofrecord",),
    "decimal_latitude": ("decimallatitude", "latitude", "lat", "verbatimlatitude"),
    "decimal_longitude": ("decimallongitude", "longitude", "lon", "lng", "long", "verbatimlongitude"),
    "verbatim_coordinates": ("verbatimcoordinates", "coordinates", "latlong", "latlon", "latitudelongitude", "gps"),
    "coordinate_uncertainty": (
        "coordinateuncertaintyinmeters", "coordinateuncertainty", "cooruncert", "positionalaccuracy",
        "locationuncertainty",
    ),
    "country_code": ("countrycode", "country"),
    "recorded_by": ("recordedby", "observer", "collector", "userlogin"),
    "habitat": ("habitat",),
    "substrate": ("substrate", "metasubstrate"),
}  # fmt: skip
RIGHTS = ("usageterms", "webstatement", "rights", "accessrights")
MEDIA_TERMS: Mapping[str, tuple[str, ...]] = {
    "photo": ("accessuri", "bestqualityaccessuri", "identifier", "goodqualityaccessuri"),
    "creator": ("creator", "photographer"),
    "rights_holder": ("rightsholder", "owner", "copyrightholder"),
    "licence": ("license", "licence", *RIGHTS),
    "rights": RIGHTS,
    "references": ("references", "furtherinformationurl", "additionalinformationurl"),
    "media_type": ("type", "mediatype"),
    "media_subtype": ("subtype", "subtypeliteral"),
    "media_format": ("format", "mediaformat", "mimetype"),
    "aspect": ("subjectpart", "aspect", "organ"),
    "position": ("position",),
}
PHOTO_FILE_TERMS = (
    "file", "filename", "filepath", "imagepath", "photopath", "path", "relativepath", "image", "photo", "imagename",
    "imagefile", "photofile",
)  # fmt: skip
PHOTO_ADDRESS_TERMS = (
    "imageurl", "photourl", "accessuri", "identifier", "associatedmedia", "url", "imagebackupurl",
)  # fmt: skip
TABLE_TERMS: Mapping[str, tuple[str, ...]] = {
    **TAXON_TERMS,
    **OCCURRENCE_TERMS,
    **MEDIA_TERMS,
    "photo": (),
    "creator": ("creator", "photographer", "attribution", "author", "credit", "photoauthor"),
    "licence": ("photolicense", "photolicence", "license", "licence", *RIGHTS),
    "aspect": ("aspect", "organ", "subjectpart", "view"),
    "position": ("position", "photoposition"),
}
"""Headers of the fields in a table with one photo per line; `photo_columns` finds the photos."""

NAMING = frozenset({"scientificname", "canonicalname", "species", "taxonname", "latinname", "taxon", "name"})
"""Headers of columns that hold a scientific name, at least by its genus and epithet."""
KNOWN_TERMS = frozenset(
    name for names in (*TABLE_TERMS.values(), PHOTO_FILE_TERMS, PHOTO_ADDRESS_TERMS) for name in names
) | {"taxonid", "acceptednameusageid", "year", "month", "day"}
PEOPLE = frozenset({"creator", "rights_holder", "recorded_by"})
KEY_IN_ID = re.compile(r"^(?:gbif:|https?://(?:www\.)?gbif\.org/(?:\w\w/)?species/)(\d+)$", re.I)

PHOTO_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif"})
NAMED_PHOTO = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(PHOTO_ENDINGS)))})(?:[?#].*)?$", re.I)
CERTAIN = re.compile(r"\s*\|\s*|\s*[;,]\s*(?=https?://)|\s+(?=https?://)", re.I)
"""Separators that always divide photos: a bar, or any separator before another URL."""
POSSIBLE = re.compile(r"\s*[;,]\s*")
"""Separators that divide photos only if each part looks like one, since URLs and file names can contain them."""


def plain_term(header: str) -> str:
    """Normalise a header or term: `dwc:scientificName` and `SCIENTIFIC_NAME` are equal."""
    last = re.split(r"[/#:]", header.strip().rstrip("/"))[-1]
    return re.sub(r"[\W_]+", "", last).lower()


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of each field in a row, the preferred one first."""

    fields: tuple[tuple[str, tuple[int, ...]], ...]
    taxon_id: int | None  # may contain a GBIF key among other ids
    accepted_id: int | None

    def read(self, cells: Sequence[str]) -> dict[str, str]:
        """Return the non-empty fields of the row."""
        found: dict[str, str] = {}
        for field, places in self.fields:
            if len(places) == 1:
                if text := cells[places[0]].strip():
                    found[field] = text
                continue
            texts = [text for place in places if (text := cells[place].strip())]
            if texts:  # dcterms:creator may be a URL, with the name in dc:creator
                named = [text for text in texts if field in PEOPLE and not text.startswith(("http://", "https://"))]
                found[field] = (named or texts)[0]
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
    """Find the columns of each field. Those given by the user take precedence over the headers.

    Raises ArchiveError for a header that the table does not have.
    """
    places_of: dict[str, list[int]] = {}  # dc:creator and dcterms:creator: the second is used if the first is empty
    for place, header in enumerate(headers):
        places_of.setdefault(plain_term(header), []).append(place)
    place_of = {term: places[0] for term, places in places_of.items()}
    found = {field: [place for name in names for place in places_of.get(name, ())] for field, names in terms.items()}
    if "species" in place_of and found.get("scientific_name", [None])[0] != place_of["species"]:
        found.setdefault("accepted_name", []).insert(
            0, place_of["species"]
        )  # as GBIF: the accepted species of the name given
    granting = [place for name in terms.get("licence", ()) if name not in RIGHTS for place in places_of.get(name, ())]
    if "rights" in found:  # another licence column repeats the licence, or a rights statement contradicts it
        found["rights"] = [*granting[1:], *found["rights"]]
    for field, header in given:
        if plain_term(header) not in place_of:
            raise ArchiveError(f"{file}, line 1: there is no column {header!r}; there are {', '.join(headers)}")
        found[field] = [place_of[plain_term(header)]]
    return Columns(
        fields=tuple((field, tuple(places)) for field, places in found.items() if places),
        taxon_id=place_of.get("taxonid"),
        accepted_id=place_of.get("acceptednameusageid"),
    )


def photo_columns(headers: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the columns for a photo's file, and those for its URL, preferred ones first."""
    terms = [plain_term(header) for header in headers]
    return (
        [terms.index(name) for name in PHOTO_FILE_TERMS if name in terms],
        [terms.index(name) for name in PHOTO_ADDRESS_TERMS if name in terms],
    )


def split_photos(text: str) -> list[str]:
    """Return the files and URLs in a cell, in order."""
    photos = []
    for part in CERTAIN.split(text.strip()):
        pieces = [piece for piece in POSSIBLE.split(part.strip()) if piece]
        photos.extend(pieces if len(pieces) > 1 and all(map(NAMED_PHOTO.search, pieces)) else [part.strip(" ;,")])
    return [photo for photo in photos if photo]
