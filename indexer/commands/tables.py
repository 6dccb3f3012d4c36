"""table: the photos of the catalogue, one a line, as a training reads them."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from database.collection.photos import references
from database.session import open_database
from database.taxonomy.taxa import taxa
from indexer.photos.finding import PhotoStore
from retrieval.domain import Taxon
from settings import Settings

COLUMNS = ("file", "species", "genus", "family", "observation", "aspect")


def register(commands: Any) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("table", help="write a table of the photos, to train a model on")
    command.add_argument("out", type=Path, metavar="FILE", help="CSV; `python -m training gather FILE` reads it")
    command.set_defaults(func=write_table)


def write_table(options: argparse.Namespace, settings: Settings) -> int:
    """Write a line per photo that is not withdrawn; the table is switched in when it is whole."""
    store = PhotoStore(settings.data / "photos")
    beside = options.out.with_name(f".{options.out.name}.part")
    count = 0
    with (
        open_database(settings.database_url) as database,
        database.reading() as session,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        known = {taxon.id: taxon for taxon in taxa(session)}
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for photo in references(session):
            path = store.path(photo.sha256) if photo.location.startswith("store:") else Path(photo.location)
            names = [name_at(rank, photo.species, known) for rank in ("species", "genus", "family")]
            writer.writerow([os.path.relpath(path, options.out.parent), *names, photo.observation, photo.aspect])
            count += 1
    beside.replace(options.out)
    print(f"{count} photos in {options.out}")
    return 0


def name_at(rank: str, taxon: int | None, known: Mapping[int, Taxon]) -> str:
    """The name of a taxon's ancestor (or its own) at a rank; empty where it has none."""
    while taxon is not None and known[taxon].rank != rank:
        taxon = known[taxon].parent
    return "" if taxon is None else known[taxon].name
