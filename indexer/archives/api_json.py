"""Saved JSON responses of GBIF's occurrence API and iNaturalist's observation API: a page, a list, or one record.

A folder can hold all pages of a search; records repeated on several pages are recognised by the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer.archives.coco import text_of
from indexer.archives.container import open_file
from indexer.archives.json_stream import read_members
from indexer.archives.terms import MEDIA_TERMS, OCCURRENCE_TERMS, TAXON_TERMS, find_columns
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

GBIF_TERMS: Mapping[str, tuple[str, ...]] = {**TAXON_TERMS, **OCCURRENCE_TERMS, "observation": ("key", "gbifid")}
GBIF, INAT = "gbif-api", "inat-api"
CREDIT = re.compile(r"^\(c\)\s*(.+?),\s*[^,]*$")
SMALL = re.compile(r"/(?:square|thumb|small|medium)(?=\.\w+)")
PHOTO_PAGE = "https://www.inaturalist.org/photos/"
LISTS = ("media", "photos", "observation_photos")
RESERVED = "all rights reserved"  # iNaturalist's codes for photos without a licence


def read_gbif_api(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield the photos of every occurrence; occurrences without photos and malformed items are rejected."""
    for item, file, line in read_items(source, GBIF):
        yield from read_occurrence(item, file, line)


def read_occurrence(item: Mapping[str, Any], file: str = "", line: int = 0) -> Iterator[Record | RejectedRecord]:
    """Yield the photos of an occurrence of GBIF."""
    fields = read_by_terms(item, GBIF_TERMS)
    media = [read_by_terms(photo, MEDIA_TERMS) for photo in dicts(item.get("media"))]
    yield from photo_records(fields, media, file, line)


def read_inat_api(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield the photos of every observation, each with its own licence; observations without photos are rejected."""
    for item, file, line in read_items(source, INAT):
        yield from read_observation(item, file, line)


def read_observation(item: Mapping[str, Any], file: str = "", line: int = 0) -> Iterator[Record | RejectedRecord]:
    """Yield the photos of an observation of iNaturalist."""
    taxon, user = member(item, "taxon"), member(item, "user")
    name = text_of(user.get("name")) or text_of(user.get("login"))
    latitude, _, longitude = text_of(item.get("location")).partition(",")
    accuracy = ("public_positional_accuracy", "" if item.get("obscured") else "positional_accuracy")
    fields = {
        "scientific_name": text_of(taxon.get("name")),
        "taxon_rank": text_of(taxon.get("rank")),
        "kingdom": text_of(taxon.get("iconic_taxon_name")),
        "vernacular_name": text_of(taxon.get("english_common_name")),
        "vernacular_language": "en" if taxon.get("english_common_name") else "",
        "verification_status": text_of(item.get("quality_grade")),
        "establishment_means": "captive" if item.get("captive") else "",
        "observation": text_of(item.get("uuid")) or text_of(item.get("id")),
        "event_date": text_of(item.get("observed_on")),
        "decimal_latitude": latitude,
        "decimal_longitude": longitude,
        "coordinate_uncertainty": next((text for key in accuracy if (text := text_of(item.get(key)))), ""),
        "recorded_by": name,
    }
    photos = dicts(item.get("photos")) or [member(photo, "photo") for photo in dicts(item.get("observation_photos"))]
    yield from photo_records(fields, [read_inat_photo(photo, name) for photo in photos], file, line)


def read_inat_photo(photo: Mapping[str, Any], observer: str) -> dict[str, str]:
    """Read a photo of an observation: URL at full size, licence and credit."""
    credited = CREDIT.match(text_of(photo.get("attribution")))
    number = text_of(photo.get("id"))
    return {
        "photo": SMALL.sub("/original", text_of(photo.get("url"))),
        "licence": text_of(photo.get("license_code")) or RESERVED,
        "creator": credited[1] if credited else observer,
        "references": PHOTO_PAGE + number if number else "",
    }


def photo_records(
    fields: Mapping[str, str], media: Sequence[Mapping[str, str]], file: str, line: int
) -> Iterator[Record | RejectedRecord]:
    """Yield a record for each photo of an occurrence, or a rejection if there is none."""
    if not media:
        yield RejectedRecord("no-photo", f"{file}, line {line}: the record has no photo", file, line)
    for position, photo in enumerate(media):
        if photo.get("photo"):
            yield Record(**{**fields, "position": str(position), **photo}, file=file, line=line)
        else:
            yield RejectedRecord("no-photo", f"{file}, line {line}: the photo has no address", file, line)


def read_items(source: ArchiveSource, kind: str) -> Iterator[tuple[Mapping[str, Any], str, int]]:
    """Yield (record, file, line) of every file."""
    for path in find_files(source.path):
        with open_file(path) as stream:
            single: dict[str, Any] = {}
            for key, item, line in read_members(stream, path.name, lists=True):
                if key in ("", "results"):
                    yield (item if isinstance(item, dict) else {}), path.name, line
                elif key in LISTS:  # of a single record; they are read item by item
                    single.setdefault(key, []).append(item)
                else:
                    single[key] = item
            if record_kind(single) == kind:
                yield single, path.name, 1


def find_files(path: Path) -> list[Path]:
    """Return the JSON files: the file itself, or all in a folder. Raises ArchiveError."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.lower().endswith((".json", ".json.gz")))
    if not files:
        raise ArchiveError(f"{path}: there is no JSON file in this folder")
    return files


def record_kind(record: Mapping[str, Any]) -> str:
    """Return the source of a record: gbif-api, inat-api, or empty text."""
    if {"key", "scientificName"} <= record.keys() or "gbifID" in record:
        return GBIF
    return INAT if "taxon" in record and ("photos" in record or "observation_photos" in record) else ""


def read_by_terms(item: Mapping[str, Any], terms: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Read the fields of a record from an object whose keys are Darwin Core terms."""
    cells = ["" if isinstance(value, dict | list) else text_of(value) for value in item.values()]
    return find_columns(list(item), terms).read(cells)


def member(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a member that is an object, else an empty one."""
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def dicts(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a list; of other values, none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
