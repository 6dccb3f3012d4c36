"""A replica of GBIF's API v1 over invented records: documented shapes, limits and oddities."""

from __future__ import annotations

import io
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from PIL import Image, ImageDraw

from tests.replicas.downloads import ACCOUNT, PRIVATE, Downloads
from tests.replicas.serving import Query, Reply, Site, as_json, site

BY = "http://creativecommons.org/licenses/by/4.0/"
BY_NC = "http://creativecommons.org/licenses/by-nc/4.0/"
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"
RESERVED = "All rights reserved"
ATLAS = "00000000-0000-4000-8000-000000000001"  # dataset keys, all invented
INAT = "00000000-0000-4000-8000-000000000002"
MUSEUM = "00000000-0000-4000-8000-000000000003"
GENERA = ("Fictomyces", "Pictella", "Delineopsis", "Imaginaria", "Nusquamia")
EPITHETS = ("albus", "ruber", "niger", "viridis", "caeruleus", "luteus")
PAGE, DEEPEST = 300, 100_000
RESTRICTING = frozenset(
    {"countryCode", "gbifID", "month", "year", "datasetKey", "speciesKey", "occurrenceStatus", "basisOfRecord"}
)
FUNGI = 5
GENUS_KEY, SPECIES_KEY, SYNONYM_KEY = 2_000, 3_000, 4_000


@dataclass(frozen=True)
class Taxon:
    """An invented species of the replica."""

    key: int
    name: str
    genus_key: int
    order: str = "Fictales"
    class_: str = "Fictomycetes"
    threat: str = ""

    @property
    def genus(self) -> str:
        return self.name.split()[0]


def make_taxa(number: int) -> list[Taxon]:
    """Invented species; every fifth is threatened, every eleventh is a lichen."""
    taxa = []
    for at in range(number):
        genus = at % len(GENERA)
        word = EPITHETS[at // len(GENERA) % len(EPITHETS)] + "x" * (at // (len(GENERA) * len(EPITHETS)))
        lichen = at % 11 == 10
        taxa.append(
            Taxon(
                SPECIES_KEY + at,
                f"{GENERA[genus]} {word}",
                GENUS_KEY + genus,
                "Lecanorales" if lichen else "Fictales",
                "Lecanoromycetes" if lichen else "Fictomycetes",
                "VU" if at % 5 == 4 else "",
            )
        )
    return taxa


def occurrence(
    key: int,
    taxon: Taxon,
    *,
    observer: str = "Observer 1",
    day: date = date(2024, 9, 1),
    place: tuple[float, float] = (56.0, 10.0),
    licences: Sequence[str] = (BY,),
    dataset: str = ATLAS,
    media: str = "",
    **more: Any,
) -> dict[str, Any]:
    """An occurrence with a photo for each licence; `media` is the address that photos lie below."""
    base = media or "MEDIA"
    photos = [
        {"type": "StillImage", "format": "image/jpeg", "license": licence, "identifier": f"{base}/{key}-{n}.jpg"}
        for n, licence in enumerate(licences)
    ]
    return {
        "key": key,
        "datasetKey": dataset,
        "basisOfRecord": "HUMAN_OBSERVATION",
        "occurrenceStatus": "PRESENT",
        "taxonKey": taxon.key,
        "kingdomKey": FUNGI,
        "classKey": 200,
        "orderKey": 300,
        "genusKey": taxon.genus_key,
        "speciesKey": taxon.key,
        "acceptedTaxonKey": taxon.key,
        "scientificName": f"{taxon.name} Pict.",
        "acceptedScientificName": f"{taxon.name} Pict.",
        "kingdom": "Fungi",
        "phylum": "Fictomycota",
        "class": taxon.class_,
        "order": taxon.order,
        "family": "Fictaceae",
        "genus": taxon.genus,
        "species": taxon.name,
        "taxonRank": "SPECIES",
        "taxonomicStatus": "ACCEPTED",
        "decimalLatitude": place[0],
        "decimalLongitude": place[1],
        "coordinateUncertaintyInMeters": 25.0,
        "gadm": {"level0": {"gid": "DNK"}, "level1": {"gid": "DNK.1_1"}},
        "year": day.year,
        "month": day.month,
        "day": day.day,
        "eventDate": day.isoformat(),
        "license": "http://creativecommons.org/licenses/by/4.0/legalcode",
        "media": photos,
        "countryCode": "DK",
        "country": "Denmark",
        "recordedBy": observer,
        "gbifID": str(key),
        "occurrenceID": f"urn:drawn:{key}",
        "isInCluster": False,
        **more,
    }


def draw_picture(seed: str, colour: int) -> bytes:
    """A small picture: blobs in the colours of a species, different for every seed."""
    dice = random.Random(seed)
    shades = random.Random(colour)
    palette = [tuple(shades.randrange(256) for _ in range(3)) for _ in range(3)]
    image = Image.new("RGB", (96, 72), palette[0])
    brush = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, r = dice.randrange(96), dice.randrange(72), dice.randrange(4, 18)
        brush.ellipse((x - r, y - r, x + r, y + r), fill=palette[1 + dice.randrange(2)])
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue()


@dataclass
class Replica:
    """The replica: its records, which a test may change between two requests, and its two servers."""

    taxa: list[Taxon]
    records: list[dict[str, Any]]
    pictures: dict[str, Reply] = field(default_factory=dict)  # odd ones, by path
    before_search: Callable[[Query], None] | None = None  # for what changes between two requests
    vernacular: dict[int, list[dict[str, str]]] = field(default_factory=dict)
    api: Site = field(default_factory=lambda: Site(""))
    media: Site = field(default_factory=lambda: Site(""))
    downloads: Downloads = field(default_factory=Downloads)

    def __post_init__(self) -> None:
        self.downloads.search = self.find

    @property
    def base(self) -> str:
        """The address of the API."""
        return f"{self.api.address}/v1"

    def answer(self, path: str, query: Query) -> Reply:
        """Answer the API."""
        if path == "/v1/occurrence/search":
            return self.search(query)
        if "/v1/occurrence/download/" in path:
            return self.downloads.answer(path, query)
        if path == "/v1/species/match":
            return self._match(dict(query))
        if path.startswith("/v1/dataset/"):
            title = f"Dataset {path[-1]}"
            return as_json(
                {"key": path.rpartition("/")[2], "title": title, "citation": {"text": f"{title}, invented."}}
            )
        parts = path.removeprefix("/v1/species/").split("/")
        taxon = next((one for one in self.taxa if str(one.key) == parts[0]), None)
        if not path.startswith("/v1/species/") or taxon is None:
            return as_json({"message": "not found"}, 404)
        if len(parts) == 1:
            return as_json(describe(taxon))
        if parts[1] == "iucnRedListCategory":
            return as_json({"code": taxon.threat}) if taxon.threat else Reply(204, b"", "")
        if parts[1] == "vernacularNames":
            return self._names(self.vernacular.get(taxon.key, named(taxon)), dict(query))
        return self._names([synonym_of(taxon)], dict(query))

    def picture(self, path: str, query: Query) -> Reply:
        """Answer a request for a picture, or for an archive."""
        if path.startswith("/archive/"):
            return self.downloads.archive(path)
        if path in self.pictures:
            return self.pictures[path]
        name = path.rpartition("/")[2].removesuffix(".jpg")
        key = name.partition("-")[0]
        record = next((one for one in self.records if str(one["key"]) == key), None)
        colour = record["speciesKey"] if record else 1
        return Reply(200, draw_picture(name, colour), "image/jpeg")

    def search(self, query: Query) -> Reply:
        """Answer a search of occurrences."""
        if self.before_search is not None:
            self.before_search(query)
        wanted = dict(query)
        limit, offset = min(int(wanted.get("limit", 20)), PAGE), int(wanted.get("offset", 0))
        if offset + limit > DEEPEST:
            return as_json({"message": f"Max offset of {DEEPEST} exceeded"}, 400)
        found = [record for record in self.records if matches(record, query)]
        facets = []
        if name := wanted.get("facet"):
            at, most = int(wanted.get("facetOffset", 0)), int(wanted.get("facetLimit", 10))
            counted = Counter(str(record[name]) for record in found if record.get(name) is not None)
            ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[at : at + most]
            counts = [{"name": value, "count": count} for value, count in ranked]
            facets.append({"field": "".join(f"_{s}" if s.isupper() else s.upper() for s in name), "counts": counts})
        part = [self.with_media(record) for record in found[offset : offset + limit]] if limit else []
        return as_json(
            {
                "offset": offset,
                "limit": limit,
                "endOfRecords": offset + limit >= len(found),
                "count": len(found),
                "results": part,
                "facets": facets,
            }
        )

    def find(self, query: Query) -> list[dict[str, Any]]:
        """The records that a download holds."""
        return [self.with_media(record) for record in self.records if matches(record, query)]

    def with_media(self, record: dict[str, Any]) -> dict[str, Any]:
        photos = [
            {**photo, "identifier": photo["identifier"].replace("MEDIA", self.media.address)}
            for photo in record["media"]
        ]
        return {**record, "media": photos}

    def _match(self, wanted: dict[str, str]) -> Reply:
        known = {"Fungi": (FUNGI, "KINGDOM"), "Myxomycetes": (310, "CLASS")}
        key, rank = known.get(wanted.get("name", ""), (0, ""))
        if not key:
            return as_json({"confidence": 100, "matchType": "NONE", "synonym": False})
        name = wanted["name"]
        return as_json({"usageKey": key, "canonicalName": name, "rank": rank, "matchType": "EXACT", "synonym": False})

    def _names(self, names: list[dict[str, Any]], wanted: dict[str, str]) -> Reply:
        limit, offset = int(wanted.get("limit", 20)), int(wanted.get("offset", 0))
        part = names[offset : offset + limit]
        whole = {"offset": offset, "limit": limit, "endOfRecords": offset + limit >= len(names), "results": part}
        return as_json(whole)


def matches(record: dict[str, Any], query: Query) -> bool:
    """Whether a record is found by a search; several values of a parameter are alternatives."""
    alternatives: dict[str, list[str]] = {}
    for name, value in query:
        alternatives.setdefault(name, []).append(value)
    return all(any(fits(record, name, value) for value in values) for name, values in alternatives.items())


def fits(record: dict[str, Any], name: str, value: str) -> bool:
    """Whether a record has a value of a search parameter; those that restrict nothing always fit."""
    if name == "taxonKey":
        return value in {str(record[key]) for key in ("taxonKey", "speciesKey", "genusKey", "kingdomKey")}
    if name == "gadmGid":
        return value in {unit["gid"] for unit in record["gadm"].values()}
    if name == "mediaType":
        return any(photo["type"] == value for photo in record["media"])
    held = {"country": "countryCode", "gbifId": "gbifID"}.get(name, name)
    return str(record.get(held, "")) == value if held in RESTRICTING else True


def describe(taxon: Taxon) -> dict[str, Any]:
    """A taxon of the species API."""
    return {
        "key": taxon.key,
        "nubKey": taxon.key,
        "taxonID": f"gbif:{taxon.key}",
        "kingdom": "Fungi",
        "phylum": "Fictomycota",
        "class": taxon.class_,
        "order": taxon.order,
        "family": "Fictaceae",
        "genus": taxon.genus,
        "species": taxon.name,
        "kingdomKey": FUNGI,
        "phylumKey": 100,
        "classKey": 200 if taxon.class_ == "Fictomycetes" else 201,
        "orderKey": 300 if taxon.order == "Fictales" else 301,
        "familyKey": 400,
        "genusKey": taxon.genus_key,
        "speciesKey": taxon.key,
        "scientificName": f"{taxon.name} Pict.",
        "canonicalName": taxon.name,
        "authorship": "Pict.",
        "rank": "SPECIES",
        "taxonomicStatus": "ACCEPTED",
        "synonym": False,
    }


def named(taxon: Taxon) -> list[dict[str, str]]:
    """The vernacular names of a taxon in the replica: languages as ISO 639-3, and one that nobody asks for."""
    epithet = taxon.name.split()[1]
    return [
        {"taxonKey": str(taxon.key), "vernacularName": f"{epithet} cap of {taxon.genus}", "language": "eng"},
        {"taxonKey": str(taxon.key), "vernacularName": f"{epithet}-hat {taxon.key}", "language": "dan"},
        {"taxonKey": str(taxon.key), "vernacularName": f"{epithet} {taxon.key} fi", "language": "fin"},
    ]


def synonym_of(taxon: Taxon) -> dict[str, Any]:
    """A synonym of a taxon in the replica."""
    return {
        "key": taxon.key - SPECIES_KEY + SYNONYM_KEY,
        "canonicalName": f"Olimia {taxon.name.split()[1]}{taxon.genus.lower()}",
        "scientificName": f"Olimia {taxon.name.split()[1]}{taxon.genus.lower()} Vet.",
        "authorship": "Vet.",
        "rank": "SPECIES",
        "taxonomicStatus": "SYNONYM",
        "acceptedKey": taxon.key,
    }


@contextmanager
def gbif_replica(
    taxa: Sequence[Taxon], records: Sequence[dict[str, Any]], clock: Callable[[], float] = time.monotonic
) -> Iterator[Replica]:
    """Serve a replica until the block is left."""
    replica = Replica(list(taxa), list(records))
    with site(replica.answer, clock) as api, site(replica.picture, clock) as media:
        replica.api, replica.media = api, media
        api.private, api.account = PRIVATE, ACCOUNT
        replica.downloads.api, replica.downloads.media = api, media
        yield replica


def make_records(taxa: Sequence[Taxon], each: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Some records of every species, by different observers, in different months and places."""
    dice = random.Random(seed)
    records = []
    for at, taxon in enumerate(taxa):
        for number in range(each):
            day = date(2020 + number % 5, 1 + dice.randrange(12), 1 + dice.randrange(28))
            place = (round(55 + 2 * dice.random(), 4), round(9 + 2 * dice.random(), 4))
            licences = [BY] * (1 + number % 3)
            observer = f"Observer {dice.randrange(40)}"
            key = 1_000_000 + at * 10_000 + number
            records.append(occurrence(key, taxon, observer=observer, day=day, place=place, licences=licences))
    return records
