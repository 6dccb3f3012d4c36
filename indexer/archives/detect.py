"""Detects the kind of archive of a file or folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

from indexer.archives.api_json import record_kind
from indexer.archives.container import FolderContainer, open_file
from indexer.archives.csv_file import find_photo_tables, open_table
from indexer.archives.fungitastic import is_metadata
from indexer.archives.inat_open_data import find_tables
from indexer.archives.json_stream import read_members
from indexer.archives.plantnet300k import METADATA
from indexer.archives.terms import PHOTO_ENDINGS, plain_term
from indexer.archives.workbook import is_workbook
from indexer.bounded import is_tar
from retrieval.errors import ArchiveError

CORES = ("occurrence.txt", "occurrence.csv", "taxon.txt")


def detect_kind(path: Path, encoding: str = "") -> str:
    """Return the kind (one of KINDS) of the archive at `path`; raises ArchiveError if none or several match."""
    if path.is_dir():
        return _detect_folder(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such file or folder")
    if not is_workbook(path) and (zipfile.is_zipfile(path) or is_tar(path)):
        return "dwca"
    if path.name.lower().endswith((".json", ".json.gz")):
        return _detect_json(path)
    with open_file(path) as stream:
        open_table(stream, path.name, encoding)  # raises if it is no table
    return "fungitastic" if _is_fungitastic(path) else "csv"


def _detect_folder(path: Path) -> str:
    try:
        find_tables(path)
    except ArchiveError:
        pass
    else:
        return "inat-open-data"
    if (path / METADATA).is_file():
        return "plantnet300k"
    names = [name for name in ("meta.xml", *CORES) if _has(path, name)]
    if names:
        return "dwca"
    tables = find_photo_tables(path)
    if len(tables) == 1 and not _is_fungitastic(tables[0]):
        return "csv"
    if len(tables) > 1 and not all(map(_is_fungitastic, tables)):
        found = ", ".join(file.name for file in tables)
        raise ArchiveError(f"{path}: there are several tables of photos ({found}); name the one that is meant")
    if any(_is_fungitastic(file) for file in sorted(path.rglob("*.csv"))):
        return "fungitastic"
    if any(file.suffix.lower() in PHOTO_ENDINGS for file in path.glob("*/**/*")):
        return "folder"
    if pages := [file for file in sorted(path.iterdir()) if file.name.lower().endswith((".json", ".json.gz"))]:
        return _detect_json(pages[0])
    raise ArchiveError(f"{path}: no kind of archive fits this folder; there are no tables and no photos in folders")


def _has(path: Path, name: str) -> bool:
    if (path / name).is_file():
        return True
    with FolderContainer(path) as folder:
        return folder.has(name)


def _is_fungitastic(path: Path) -> bool:
    if not is_metadata(path):
        return False
    with open_file(path) as stream:
        terms = {plain_term(cell) for cell in open_table(stream, path.name)[0].cells}
    return "observationid" in terms or "poisonous" in terms


def _detect_json(path: Path) -> str:
    single = {}
    with open_file(path) as stream:
        for key, item, _ in read_members(stream, path.name, lists=True):
            if key in ("images", "annotations", "categories"):
                return "coco"
            if isinstance(item, dict) and {"species_id", "split"} <= set(item):
                return "plantnet300k"
            if key in ("", "results") and isinstance(item, dict) and (kind := record_kind(item)):
                return kind
            single[key] = item
    if kind := record_kind(single):
        return kind
    raise ArchiveError(f"{path.name}, line 1: this JSON has neither images, photos by hash, nor records of an API")
