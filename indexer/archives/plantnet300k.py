"""A reader of Pl@ntNet-300K: metadata by photo hash, a file of species names, photos by split and species."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from indexer.archives.coco import text_of
from indexer.archives.container import open_file
from indexer.archives.json_stream import read_members
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

METADATA = "plantnet300K_metadata.json"
NAMES = "plantnet300K_species_id_2_name.json"


def read_plantnet300k(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield a record or rejection for every photo. Kingdom is Plantae; the import's policy decides about it."""
    path = source.path / METADATA if source.path.is_dir() else source.path
    names = read_names(path.parent / NAMES)
    file = path.name
    with open_file(path) as stream:
        for key, item, line in read_members(stream, file):
            if not isinstance(item, dict):
                yield RejectedRecord("malformed-line", f"{file}, line {line}: {key!r} is no photo", file, line)
                continue
            species, split = text_of(item.get("species_id")), text_of(item.get("split"))
            photo = f"images/{split}/{species}/{key}.jpg"
            if species not in names:
                yield RejectedRecord(
                    "unknown-species", f"{file}, line {line}: species {species} has no name", file, line, photo
                )
                continue
            yield Record(
                photo=photo,
                scientific_name=names[species],
                kingdom="Plantae",
                observation=text_of(item.get("obs_id")),
                creator=text_of(item.get("author")),
                licence=text_of(item.get("license")),
                aspect=text_of(item.get("organ")),
                file=file,
                line=line,
            )


def read_names(path: Path) -> dict[str, str]:
    """Return species names by id, with underscores replaced by spaces; raises ArchiveError without the file."""
    if not path.is_file():
        raise ArchiveError(f"{path.name}: this table of names is needed beside {METADATA}")
    with open_file(path) as stream:
        return {key: text_of(name).replace("_", " ") for key, name, _ in read_members(stream, path.name)}
