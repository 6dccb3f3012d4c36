"""A folder per species: `Amanita_muscaria/photo.jpg`, `16390_Leucoagaricus_leucothites/observation/photo.jpg`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from indexer.archives.terms import PHOTO_ENDINGS
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

LEADING_ID = re.compile(r"^\d+[\s_.-]+")


def read_folder(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Read all files below the folder, in order of names. A nested folder is one observation."""
    root = source.path
    if not root.is_dir():
        raise ArchiveError(f"{root}: a folder with a folder per species is needed, and this is a file")
    for folder, folders, files in os.walk(root):
        folders.sort()
        place = Path(folder).relative_to(root)
        for name in [name for name in folders if (Path(folder) / name).is_symlink()]:
            folders.remove(name)
            photo = (place / name).as_posix()
            yield RejectedRecord(
                "outside-folder", f"{photo} is a link to another folder and is not followed", photo, 0, photo
            )
        for name in sorted(files):
            yield read_file(place, name)


def read_file(place: Path, name: str) -> Record | RejectedRecord:
    """Read one file; `place` is its folder relative to the archive."""
    photo = (place / name).as_posix()
    if Path(name).suffix.lower() not in PHOTO_ENDINGS or name.startswith("."):
        return RejectedRecord("not-a-photo", f"{photo} is no photo by its name", photo, 0, photo)
    if not place.parts:
        return RejectedRecord("no-identification", f"{photo} lies in no folder that names a species", photo, 0, photo)
    return Record(
        photo=photo,
        scientific_name=read_folder_name(place.parts[0]),
        observation=place.as_posix() if len(place.parts) > 1 else "",
        file=photo,
    )


def read_folder_name(name: str) -> str:
    """Return the scientific name in a folder's name, with authors; ids are removed, underscores become blanks."""
    return " ".join(LEADING_ID.sub("", name).replace("_", " ").split())
