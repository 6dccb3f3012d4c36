"""From the database to what a snapshot is made of."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

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
    """Every photo, or every one of a dataset, that may become a reference, ordered by digest.

    They are kept on disk in `folder`: where there are millions, embedding takes days, and no transaction should.
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
        return path.absolute().read_bytes  # others read it elsewhere


def read_observed(files: PhotoFiles, sha256: str) -> bytes:
    """The bytes of an observation's photo; raises OSError, for one that has gone is no fault of the photo's."""
    try:
        return files.get(sha256)
    except (UnknownPhoto, StoreUnavailable) as error:
        raise OSError(None, str(error), f"photo {sha256}") from error


def read_contexts(photos: Iterable[CataloguePhoto]) -> dict[int, tuple[int, ObservationContext]]:
    """Species of each observation, and when and where it was made, by month and by cell; 0 where it is not known."""
    seen = {photo.observation_id: photo for photo in photos}
    return {observation: (photo.species, context_of(photo)) for observation, photo in sorted(seen.items())}


def context_of(photo: CataloguePhoto) -> ObservationContext:
    """When and where a photo's observation was made, by month and by cell; 0 where it is not known."""
    latitude, longitude = photo.decimal_latitude, photo.decimal_longitude
    return ObservationContext(
        photo.observation_id,
        photo.event_date.month if photo.event_date else 0,
        0 if latitude is None or longitude is None else cell_of(latitude, longitude),
        number_of(classify_habitat(photo.habitat), HABITATS),
        number_of(classify_substrate(photo.substrate, photo.habitat), SUBSTRATES),
    )


def number_of(name: str, classes: Sequence[str]) -> int:
    """The place of a class, counted from 1; 0 for none."""
    return classes.index(name) + 1 if name else 0


def reference_entry(photo: CataloguePhoto) -> ReferenceEntry:
    """A photo of the catalogue as a segment holds it; the same whoever writes the segment."""
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
    """All that a snapshot is made of; second, the digests of photos that are left out for want of an embedding.

    The references are kept on the disk of `folder`; close the catalogue when the snapshot is built.
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
    """Species and context of observations whose photos go by, those of one observation one after the other."""

    def __init__(self) -> None:
        self._observations, self._species = array("q"), array("q")
        self._columns = array("B"), array("Q"), array("B"), array("B")

    def note(self, photo: CataloguePhoto) -> None:
        """Note the observation of a photo, if the photo before was not of it too."""
        if self._observations and self._observations[-1] == photo.observation_id:
            return
        found = context_of(photo)
        self._observations.append(photo.observation_id)
        self._species.append(photo.species)
        for column, value in zip(self._columns, (found.month, found.cell, found.habitat, found.substrate), strict=True):
            column.append(value)

    def records(self) -> Records:
        """For the counts of species."""
        return Records(np.array(self._species), *(np.array(column) for column in self._columns))

    def contexts(self) -> ObservationContexts:
        """To learn from."""
        return settle_contexts(from_columns([np.array(column) for column in (self._observations, *self._columns)]))
