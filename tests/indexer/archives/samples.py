"""Small archives written by tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from PIL import Image

from indexer.archives import read_archive
from indexer.curation.curate import CurationPolicy
from indexer.records import ArchiveSource, Record, RejectedRecord

TODAY = date(2026, 5, 1)
POLICY = CurationPolicy(today=TODAY)
OCCURRENCE = "http://rs.tdwg.org/dwc/terms/Occurrence"
TAXON = "http://rs.tdwg.org/dwc/terms/Taxon"
MULTIMEDIA = "http://rs.gbif.org/terms/1.0/Multimedia"
DWC = "http://rs.tdwg.org/dwc/terms/"
DC = "http://purl.org/dc/terms/"


def read(path: Path, kind: str = "auto", **more: object) -> tuple[list[Record], list[RejectedRecord]]:
    """Read an archive to its end; records and rejections apart."""
    items = list(read_archive(ArchiveSource(kind, path, **more)))  # type: ignore[arg-type]
    records = [item for item in items if isinstance(item, Record)]
    rejections = [item for item in items if isinstance(item, RejectedRecord)]
    assert len(records) + len(rejections) == len(items)
    return records, rejections


def photo_bytes(colour: tuple[int, int, int] = (120, 60, 30), side: int = 32, kind: str = "JPEG") -> bytes:
    """Draw a plain photo."""
    drawn = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(drawn, kind)
    return drawn.getvalue()


def write_photos(folder: Path, *names: str) -> None:
    """Write a photo, each of another colour, under every name."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes((number * 20 % 255, 90, 40)))


def section(
    tag: str,
    row_type: str,
    file: str,
    terms: Mapping[str, int | str],
    dialect: str = 'fieldsTerminatedBy="\\t"',
    key: int = 0,
) -> str:
    """Describe a table for meta.xml; a term with a text instead of a column has it as default."""
    fields = "".join(
        f'<field index="{place}" term="{term}"/>'
        if isinstance(place, int)
        else f'<field default="{place}" term="{term}"/>'
        for term, place in terms.items()
    )
    key_tag = "id" if tag == "core" else "coreid"
    return (
        f'<{tag} encoding="UTF-8" {dialect} ignoreHeaderLines="1" rowType="{row_type}">'
        f'<files><location>{file}</location></files>\n<{key_tag} index="{key}"/>{fields}</{tag}>'
    )


def descriptor(*sections: str) -> str:
    """Put sections together to a meta.xml."""
    return '<archive xmlns="http://rs.tdwg.org/dwc/text/">\n' + "\n".join(sections) + "\n</archive>"


def write_archive(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_folder(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files of an archive into a folder."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


CORE_TERMS: dict[str, int | str] = {DWC + "occurrenceID": 1, DWC + "scientificName": 2, DWC + "eventDate": 3}
MEDIA_TERMS: dict[str, int | str] = {DC + "type": 1, DC + "identifier": 2, DC + "license": 3, DC + "creator": 4}


def occurrence_files() -> dict[str, str | bytes]:
    """A sound archive: three occurrences, of which the first has two photos and the second none; one orphan."""
    return {
        "meta.xml": descriptor(
            section("core", OCCURRENCE, "occurrence.txt", CORE_TERMS),
            section("extension", MULTIMEDIA, "multimedia.txt", MEDIA_TERMS),
        ),
        "occurrence.txt": "id\toccurrenceID\tscientificName\teventDate\n"
        "1\turn:a\tAmanita muscaria (L.) Lam.\t2024-09-30\n"
        "2\turn:b\tBoletus edulis Bull.\t2024-09-29\n"
        "3\turn:c\tRussula emetica (Schaeff.) Pers.\t2023-08-01/2023-08-02\n",
        "multimedia.txt": "id\ttype\tidentifier\tlicense\tcreator\n"
        "1\tStillImage\thttps://photos.example/1.jpg\thttp://creativecommons.org/licenses/by/4.0/\tN. N.\n"
        "3\tStillImage\tphotos/3.jpg\tCC0\tN. N.\n"
        "1\tStillImage\thttps://photos.example/2.jpg\thttp://creativecommons.org/licenses/by/4.0/\tN. N.\n"
        "9\tStillImage\thttps://photos.example/9.jpg\tCC0\tN. N.\n",
    }
