"""Small archives for tests of the import: drawn photos, tables, and the resulting catalogue."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import select

from database.collection.imports import rejections
from database.collection.photos import references
from database.models import Observation
from database.session import Database
from database.taxonomy.taxa import synonyms, taxa, vernacular_names
from indexer.curation.curate import CurationPolicy
from indexer.curation.inspection import PhotoDesk
from indexer.photos.finding import PhotoStore
from indexer.records import ArchiveSource

COLUMNS = ("photo", "scientificName", "observation", "license", "creator", "eventDate", "countryCode")
POLICY = CurationPolicy(today=date(2026, 1, 1))


def draw_photo(path: Path, seed: str) -> None:
    """Write a photo whose bytes follow from `seed`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = tuple(hashlib.sha256(seed.encode()).digest()[:3])
    Image.new("RGB", (32, 24), colour).save(path, "PNG")


def line(photo: str, species: str = "Amanita muscaria", observation: str = "", **other: str) -> dict[str, str]:
    """A line of the table: openly licensed and credited unless said otherwise."""
    row = dict.fromkeys(COLUMNS, "")
    row |= {"photo": photo, "scientificName": species, "observation": observation or photo}
    return row | {"license": "CC BY 4.0", "creator": "A. Adams"} | other


def write_table(folder: Path, rows: Sequence[dict[str, str]]) -> Path:
    """Write the table and draw the photos that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        if row["photo"] and not row["photo"].startswith(("http", "absent")) and not (folder / row["photo"]).exists():
            draw_photo(folder / row["photo"], row["photo"])
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])), "")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "photos.csv"


def desk_for(table: Path, **other: Any) -> PhotoDesk:
    """Where the photos of a table come from; the store lies beside the folder of the table."""
    return PhotoDesk(ArchiveSource("csv", table), PhotoStore(table.parent.parent / "store"), **other)


def mixed_rows(number: int) -> list[dict[str, str]]:
    """A table with some of everything that can happen to a record."""
    rows = []
    for at in range(number):
        species = f"Boletus species{'abcdefghij'[at % 10]}"
        rows.append(line(f"{at % 7}/{at}.png", species, observation=f"find{at // 10}-{at % 10}", countryCode="BE"))
        if at % 5 == 0:
            rows.append(line(f"{at % 7}/{at}.png", species, observation=f"find{at}"))
        if at % 6 == 0:
            rows.append(line(f"{at}-other.png", "Boletus others", observation=f"find{at // 10}-{at % 10}"))
        if at % 8 == 0:
            rows.append(line(f"{at}-reserved.png", species, license="all rights reserved"))
            rows.append(line(f"absent{at}.png", species))
    return rows


def state(database: Database, dataset: str = "walks") -> dict[str, list[Any]]:
    """All that a dataset's import leaves behind, without the numbers that databases give."""
    with database.reading() as session:
        names = {taxon.id: taxon for taxon in taxa(session)}
        observations = session.scalars(select(Observation)).all()
        return {
            "taxa": sorted(
                (taxon.name, taxon.rank, names[taxon.parent].name if taxon.parent else "", taxon.authorship)
                for taxon in names.values()
            ),
            "synonyms": sorted((name, names[taxon].name) for name, taxon in synonyms(session)),
            "vernacular names": sorted((names[taxon].name, *spoken) for taxon, *spoken in vernacular_names(session)),
            "observations": sorted((seen.observation_key, names[seen.taxon_id].name) for seen in observations),
            "photos": [
                (
                    photo.sha256,
                    photo.observation,
                    names[photo.species].name,
                    photo.author,
                    photo.licence,
                    photo.location,
                )
                for photo in references(session)
            ],
            "rejections": list(rejections(session, dataset)),
        }
