"""A reader of iNaturalist open data: the tables observations, photos, taxa and observers (.csv, tab-separated)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from indexer.archives.container import is_there, open_file
from indexer.archives.csv_file import open_table
from indexer.archives.lines import Row
from indexer.archives.shelf import RowShelf
from indexer.archives.terms import plain_term
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

TABLES = ("observations", "photos", "taxa", "observers")
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
RANKS = {
    "kingdom": "kingdom",
    "phylum": "phylum",
    "class": "class_",
    "order": "order",
    "family": "family",
    "genus": "genus",
}
SIZES = ("original", "large", "medium", "small", "")
PHOTO_PAGE = "https://www.inaturalist.org/photos/"
BASE = "https://inaturalist-open-data.s3.amazonaws.com/photos"
"""Base URL of photos that are not on disk."""


def read_inat_open_data(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield a record or rejection for every photo, then a rejection for every observation without a photo.

    Identifications below research grade are rejected. Raises ArchiveError for a missing table or column.
    """
    paths = find_tables(source.path)
    with RowShelf() as observations, RowShelf() as taxa, RowShelf() as observers:
        yield from fill(taxa, paths["taxa"], "taxon_id")
        yield from fill(observers, paths["observers"], "observer_id")
        yield from fill(observations, paths["observations"], "observation_uuid")
        taxon_fields = lru_cache(maxsize=50_000)(lambda taxon: read_taxon(taxon, taxa))
        for row in table_rows(paths["photos"]):
            if isinstance(row, RejectedRecord):
                yield row
                continue
            file, line, photo = row
            name = find_photo(photo, source)
            observation = observations.find(photo["observation_uuid"])
            if observation is None:
                detail = (
                    f"{file}, line {line}: observation {photo['observation_uuid']} is not in the table of observations"
                )
                yield RejectedRecord("orphan", detail, file, line, name)
                continue
            observations.use(observation.key)
            if other := observation.fields.get("+other"):
                detail = (
                    f"{file}, line {line}: observation {observation.key} stands in two rows, as taxon "
                    f"{observation.fields['taxon_id']} and {other}"
                )
                yield RejectedRecord("ambiguous-identification", detail, file, line, name)
                continue
            taxon = dict(taxon_fields(observation.fields["taxon_id"]))
            if other := taxon.pop("+other", ""):
                number, name_of_taxon = observation.fields["taxon_id"], taxon["scientific_name"]
                detail = f"{file}, line {line}: taxon {number} stands in two rows, as {name_of_taxon} and {other}"
                yield RejectedRecord("ambiguous-identification", detail, file, line, name)
                continue
            if not taxon:
                detail = (
                    f"{file}, line {line}: taxon {observation.fields['taxon_id'] or 'none'} is not in the table of taxa"
                )
                yield RejectedRecord("no-identification", detail, file, line, name)
                continue
            grade = observation.fields.get("quality_grade", "")
            if grade not in ("", "research"):
                yield RejectedRecord(
                    "uncertain-identification", f"{file}, line {line}: the identification is {grade}", file, line, name
                )
                continue
            observer = observers.find(photo["observer_id"])
            person = observer.fields if observer else {}
            yield Record(
                photo=name,
                **taxon,
                observation=observation.key,
                event_date=observation.fields["observed_on"],
                decimal_latitude=observation.fields["latitude"],
                decimal_longitude=observation.fields["longitude"],
                coordinate_uncertainty=observation.fields["positional_accuracy"],
                creator=person.get("name") or person.get("login", ""),
                licence=photo["license"],
                references=PHOTO_PAGE + photo["photo_id"],
                position=photo["position"],
                file=file,
                line=line,
            )
        for unused in observations.unused():
            detail = f"{unused.file}, line {unused.line}: observation {unused.key} has no photo"
            yield RejectedRecord("no-photo", detail, unused.file, unused.line)


def find_tables(folder: Path) -> dict[str, Path]:
    """Find the four tables; raises ArchiveError naming the missing one."""
    found = {
        table: next((folder / (table + end) for end in ENDINGS if (folder / (table + end)).is_file()), None)
        for table in TABLES
    }
    paths = {table: path for table, path in found.items() if path is not None}
    if missing := [table for table in TABLES if table not in paths]:
        raise ArchiveError(f"{folder}: there is no {missing[0]}.csv or {missing[0]}.csv.gz")
    return paths


WANTED = {
    "observations": ("observation_uuid", "latitude", "longitude", "positional_accuracy", "taxon_id", "observed_on"),
    "photos": ("photo_id", "observation_uuid", "observer_id", "extension", "license", "position"),
    "taxa": ("taxon_id", "ancestry", "rank", "name"),
    "observers": ("observer_id", "login", "name"),
}


def table_rows(path: Path) -> Iterator[tuple[str, int, dict[str, str]] | RejectedRecord]:
    """Yield (file, line, cells by header) of a table; raises ArchiveError where a column is missing."""
    with open_file(path) as stream:
        header, rows = open_table(stream, path.name)
        names = [cell.strip() for cell in header.cells]
        for wanted in WANTED[path.name.split(".")[0]]:
            if plain_term(wanted) not in map(plain_term, names):
                raise ArchiveError(f"{path.name}, line {header.line}: there is no column {wanted}")
        for row in rows:
            if isinstance(row, Row):
                yield path.name, row.line, {name: cell.strip() for name, cell in zip(names, row.cells, strict=True)}
            else:
                yield row


def fill(shelf: RowShelf, path: Path, key: str) -> Iterator[RejectedRecord]:
    """Shelve a table by its key; yield a rejection for every malformed line and every repeated key."""
    for row in table_rows(path):
        if isinstance(row, RejectedRecord):
            yield row
            continue
        file, line, cells = row
        if not shelf.put(cells[key], cells, file, line):
            meant = "name" if key == "taxon_id" else "taxon_id"
            first = shelf.find(cells[key])
            if first and first.fields.get(meant) != cells.get(meant):
                shelf.mark(cells[key], "+other", cells[meant])
            yield RejectedRecord(
                "duplicate", f"{file}, line {line}: {key} {cells[key]} has been there before", file, line
            )


def read_taxon(taxon_id: str, taxa: RowShelf) -> tuple[tuple[str, str], ...]:
    """Return the taxonomic fields from a taxon and its ancestry (`48460/1/2`); empty for an unknown taxon."""
    row = taxa.find(taxon_id)
    if row is None:
        return ()
    fields = {"scientific_name": row.fields["name"], "taxon_rank": row.fields["rank"]}
    if "+other" in row.fields:
        fields["+other"] = row.fields["+other"]
    for ancestor_id in [*row.fields["ancestry"].split("/"), taxon_id]:
        ancestor = taxa.find(ancestor_id) if ancestor_id else None
        if ancestor and ancestor.fields["rank"] in RANKS:
            fields[RANKS[ancestor.fields["rank"]]] = ancestor.fields["name"]
        if ancestor and ancestor.fields["rank"] == "species" and ancestor_id != taxon_id:
            fields["accepted_name"] = ancestor.fields["name"]
    return tuple(fields.items())


def find_photo(photo: dict[str, str], source: ArchiveSource) -> str:
    """Return the relative path of the photo's largest local size, otherwise its URL."""
    folder, name, extension = source.photos or source.path, photo["photo_id"], photo["extension"]
    for size in SIZES:
        for path in (
            (f"{name}/{size}.{extension}", f"photos/{name}/{size}.{extension}") if size else (f"{name}.{extension}",)
        ):
            if is_there(folder / path):
                return path
    return f"{BASE}/{name}/original.{extension}"
