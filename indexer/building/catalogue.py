"""Reads from the database everything that a snapshot is made of."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from database.collection import photos as photo_tables
from database.collection.photos import OBSERVED, STORED, CataloguePhoto
from database.errors import StoreUnavailable
from database.field.photo_files import PhotoFiles
from database.session import Session
from database.taxonomy import floras as flora_tables
from database.taxonomy import taxa as taxon_tables
from indexer.building.build import Catalogue, FloraPlan
from indexer.building.floras import resolve_flora
from indexer.curation.habitats import classify_habitat, classify_substrate
from indexer.curation.placed import PlacedReferences, Spool
from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.embeddings import EmbeddingStore
from indexer.photos.finding import PhotoStore
from retrieval.domain import HABITATS, SUBSTRATES, WORLD
from retrieval.errors import UnknownPhoto
from retrieval.progress import Progress, counted, silent
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.cells import cell_of
from retrieval.snapshots.observation_context import (
    ObservationContext,
    ObservationContexts,
    from_columns,
    settle_contexts,
)
from retrieval.snapshots.occurrences import Records


class PhotosToEmbed(Spool):
    """All photos that can become references, or those of a dataset, ordered by digest.

    They are listed in a file in `folder`, since embedding millions takes days, too long for a transaction.
    """

    def __init__(self, session: Session, store: PhotoStore, files: PhotoFiles, folder: Path, dataset: str = "") -> None:
        """`files` are the photos of observations, `store` has those of datasets that came with their bytes."""
        self._store, self._files = store, files
        found = photo_tables.references(session, dataset)
        super().__init__(folder, ([photo.sha256, photo.location, photo.aspect] for photo in found))

    def __iter__(self) -> Iterator[PhotoToEmbed]:
        for sha256, location, aspect in self.rows():
            yield PhotoToEmbed(str(sha256), self._read(str(sha256), str(location)), str(aspect))

    def _read(self, sha256: str, location: str) -> Callable[[], bytes]:
        if location.startswith(OBSERVED):
            return partial(read_observed, self._files, sha256)
        path = self._store.path(sha256) if location.startswith(STORED) else Path(location)
        return path.absolute().read_bytes  # read elsewhere by others


def read_observed(files: PhotoFiles, sha256: str) -> bytes:
    """Return the bytes of an observation's photo; raises OSError if it was removed, which is not the photo's fault."""
    try:
        return files.get(sha256)
    except (UnknownPhoto, StoreUnavailable) as error:
        raise OSError(None, str(error), f"photo {sha256}") from error


def read_contexts(photos: Iterable[CataloguePhoto]) -> dict[int, tuple[int, ObservationContext]]:
    """Return species of observations, and their month and cell codes; 0 if unknown."""
    seen = {photo.observation_id: photo for photo in photos}
    return {observation: (photo.species, context_of(photo)) for observation, photo in sorted(seen.items())}


def context_of(photo: CataloguePhoto) -> ObservationContext:
    """Return the context of a photo's observation: month, cell and classes as numbers; 0 if unknown."""
    latitude, longitude = photo.decimal_latitude, photo.decimal_longitude
    return ObservationContext(
        photo.observation_id,
        photo.event_date.month if photo.event_date else 0,
        0 if latitude is None or longitude is None else cell_of(latitude, longitude),
        number_of(classify_habitat(photo.habitat), HABITATS),
        number_of(classify_substrate(photo.substrate, photo.habitat), SUBSTRATES),
    )


def number_outings(photos: Iterable[CataloguePhoto]) -> NDArray[np.int64]:
    """Number the photos of one species, person, day and cell alike, (photos,); 0 where one of them is unknown.

    Such photos often show the same mycelium, and must not be on both sides of a split.
    """
    numbers: dict[tuple[object, ...], int] = {}
    found = []
    for photo in photos:
        latitude, longitude = photo.decimal_latitude, photo.decimal_longitude
        known = photo.author and photo.event_date and latitude is not None and longitude is not None
        outing = (photo.species, photo.author, photo.event_date, cell_of(latitude or 0.0, longitude or 0.0))
        found.append(numbers.setdefault(outing, len(numbers) + 1) if known else 0)
    return np.array(found, dtype=np.int64)


def number_of(name: str, classes: Sequence[str]) -> int:
    """Return the position of a class, from 1; 0 without one."""
    return classes.index(name) + 1 if name else 0


def reference_entry(photo: CataloguePhoto) -> ReferenceEntry:
    """Return a photo's entry in a segment; deterministic."""
    return ReferenceEntry(
        photo.sha256,
        photo.observation_id,
        photo.observation,
        photo.species,
        photo.author,
        photo.licence,
        photo.source,
        photo.aspect,
    )


def read_catalogue(
    session: Session, embeddings: EmbeddingStore, folder: Path, *, progress: Progress = silent
) -> tuple[Catalogue, list[str]]:
    """Return everything a snapshot is made of, and the digests of photos omitted because they have no embedding.

    References are stored in `folder`; close the catalogue after the snapshot is built.
    """
    missing = embeddings.missing(photo_tables.digests(session))
    left_out = set(missing)
    total = photo_tables.count_references(session)
    seen = SeenObservations()

    def entries() -> Iterator[ReferenceEntry]:
        for photo in counted(photo_tables.placed_references(session), "read", total, progress):
            seen.note(photo)
            if photo.sha256 not in left_out:
                yield reference_entry(photo)

    references = PlacedReferences(folder, entries())
    try:
        toxicity = taxon_tables.toxicities(session)
        catalogue = Catalogue(
            references=references,
            taxa=[(taxon, toxicity.get(taxon.id, "")) for taxon in taxon_tables.taxa(session)],
            synonyms=list(taxon_tables.synonyms(session)),
            vernacular_names=list(taxon_tables.vernacular_names(session)),
            floras=[
                FloraPlan(flora.id, flora.title, frozenset(resolve_flora(session, flora)))
                for flora in flora_tables.floras(session)
                if flora.id != WORLD  # follows from the references
            ],
            occurrences=seen.records(),
            contexts=seen.contexts(),
        )
    except BaseException:
        references.close()
        raise
    return catalogue, missing


class SeenObservations:
    """Collects species and context of observations from their photos, which are grouped by observation."""

    def __init__(self) -> None:
        self._observations, self._species = array("q"), array("q")
        self._columns = array("B"), array("Q"), array("B"), array("B")

    def note(self, photo: CataloguePhoto) -> None:
        """Record the observation of a photo, unless the previous photo had the same."""
        if self._observations and self._observations[-1] == photo.observation_id:
            return
        found = context_of(photo)
        self._observations.append(photo.observation_id)
        self._species.append(photo.species)
        for column, value in zip(self._columns, (found.month, found.cell, found.habitat, found.substrate), strict=True):
            column.append(value)

    def records(self) -> Records:
        """Return the records for species counts."""
        return Records(np.array(self._species), *(np.array(column) for column in self._columns))

    def contexts(self) -> ObservationContexts:
        """Return the contexts for learning."""
        return settle_contexts(from_columns([np.array(column) for column in (self._observations, *self._columns)]))
