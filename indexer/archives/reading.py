"""Dispatches archives to the readers of their kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from indexer.archives.api_json import GBIF, INAT, read_gbif_api, read_inat_api
from indexer.archives.coco import read_coco
from indexer.archives.csv_file import read_csv
from indexer.archives.detect import detect_kind
from indexer.archives.dwca import read_dwca
from indexer.archives.folder import read_folder
from indexer.archives.found_pictures import read_found_pictures
from indexer.archives.fungitastic import read_fungitastic
from indexer.archives.inat_open_data import read_inat_open_data
from indexer.archives.plantnet300k import read_plantnet300k
from indexer.archives.terms import RECORD_FIELDS
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

Reader = Callable[[ArchiveSource], Iterator[Record | RejectedRecord]]

KINDS: Mapping[str, str] = {
    "folder": "A folder per species, with photos in it or in one folder per observation.",
    "csv": "A table with a header (CSV, TSV, semicolons, or a workbook of Excel or LibreOffice), one photo per line.",
    "dwca": "A Darwin Core Archive (zip, tgz or folder) with a multimedia extension, GBIF downloads among them.",
    "coco": "The COCO JSON of FGVCx Fungi 2018 and iNaturalist 2017 to 2021.",
    "inat-open-data": "A folder with the iNaturalist open-data tables observations, photos, taxa and observers.",
    "fungitastic": "A FungiTastic or Danish Fungi metadata table, or the folder that holds several.",
    "found-pictures": "A table of pictures from web pages, with title, caption and text of the page.",
    "plantnet300k": "The metadata JSON of Pl@ntNet-300K.",
    GBIF: "JSON of GBIF's occurrence API: a page of a search, a list, or a folder of pages.",
    INAT: "JSON of iNaturalist's observation API: a page of a search, a list, or a folder of pages.",
}
"""All supported kinds of archives, with a description of each."""

READERS: Mapping[str, Reader] = {
    "folder": read_folder,
    "csv": read_csv,
    "dwca": read_dwca,
    "coco": read_coco,
    "inat-open-data": read_inat_open_data,
    "fungitastic": read_fungitastic,
    "found-pictures": read_found_pictures,
    "plantnet300k": read_plantnet300k,
    GBIF: read_gbif_api,
    INAT: read_inat_api,
}
WITH_COLUMNS = frozenset({"csv", "fungitastic", "found-pictures"})


def read_archive(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield every photo line of `source` once, as a record or as a rejection with its reason.

    `source.kind` is one of KINDS, or `auto`. In `source.columns`, the pair (field, header) names the column of a field,
    and (field, "=text") gives a default: ("licence", "=CC BY 4.0"). Raises ArchiveError, with file and line, if the
    archive cannot be read as a whole. Lazy: nothing is read before the first item is requested.
    """
    kind = detect_kind(source.path, source.encoding) if source.kind == "auto" else source.kind
    if kind not in READERS:
        raise ArchiveError(f"there is no archive kind {kind!r}: choose one of {', '.join(KINDS)}")
    if not source.path.exists():
        raise ArchiveError(f"{source.path}: there is no such file or folder")
    constants, columns = split_columns(source)
    if columns and kind not in WITH_COLUMNS:
        raise ArchiveError(
            f"an archive of kind {kind} knows its own columns: only constants (field and =text) can be given"
        )
    for item in READERS[kind](replace(source, kind=kind, columns=columns)):
        yield fill_in(item, constants) if constants and isinstance(item, Record) else item


def split_columns(source: ArchiveSource) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Split the user's columns into constants and columns; raises ArchiveError for unknown fields."""
    for field, _ in source.columns:
        if field not in RECORD_FIELDS:
            raise ArchiveError(f"records have no field {field!r}: choose one of {', '.join(sorted(RECORD_FIELDS))}")
    constants = {field: text[1:].strip() for field, text in source.columns if text.startswith("=")}
    return constants, tuple((field, header) for field, header in source.columns if not header.startswith("="))


def fill_in(record: Record, constants: Mapping[str, str]) -> Record:
    """Fill the record's empty fields with the constants."""
    changes: dict[str, Any] = {field: text for field, text in constants.items() if not getattr(record, field)}
    return replace(record, **changes)


__all__ = ["KINDS", "READERS", "detect_kind", "fill_in", "read_archive", "split_columns"]
