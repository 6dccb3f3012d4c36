"""From the database to what a snapshot is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from database import floras as flora_tables
from database import photos as photo_tables
from database import taxa as taxon_tables
from database.errors import StoreUnavailable
from database.photo_files import PhotoFiles
from database.photos import OBSERVED, ReferencePhoto
from database.session import Session
from indexer.build import Catalogue, FloraPlan
from indexer.embed import PhotoToEmbed
from indexer.embeddings import EmbeddingStore
from indexer.floras import resolve_flora
from indexer.photos import PhotoStore
from retrieval.cells import cell_of
from retrieval.domain import WORLD
from retrieval.errors import UnknownPhoto
from retrieval.occasions import Occasion
from retrieval.occurrences import Occurrence
from retrieval.segment import ReferenceEntry


def photos_to_embed(
    session: Session, store: PhotoStore, files: PhotoFiles, dataset: str = ""
) -> Iterator[PhotoToEmbed]:
    """Every photo, or every one of a dataset, that may become a reference, ordered by digest.

    `files` are the photos of observations.
    """
    for photo in photo_tables.references(session, dataset):
        if photo.location.startswith(OBSERVED):
            yield PhotoToEmbed(photo.sha256, partial(read_observed, files, photo.sha256), photo.aspect)
        else:
            path = store.path(photo.sha256) if photo.location.startswith("store:") else Path(photo.location)
            yield PhotoToEmbed(photo.sha256, path.absolute().read_bytes, photo.aspect)  # others read it elsewhere


def read_observed(files: PhotoFiles, sha256: str) -> bytes:
    """The bytes of an observation's photo; raises OSError, for one that has gone is no fault of the photo's."""
    try:
        return files.get(sha256)
    except (UnknownPhoto, StoreUnavailable) as error:
        raise OSError(None, str(error), f"photo {sha256}") from error


def read_occasions(photos: Iterable[ReferencePhoto]) -> dict[int, tuple[int, Occasion]]:
    """Species of each observation, and when and where it was made, by month and by cell; 0 where it is not known."""
    seen = {photo.observation_id: photo for photo in photos}
    return {
        observation: (
            photo.species,
            Occasion(
                observation,
                photo.event_date.month if photo.event_date else 0,
                0
                if photo.decimal_latitude is None or photo.decimal_longitude is None
                else cell_of(photo.decimal_latitude, photo.decimal_longitude),
            ),
        )
        for observation, photo in sorted(seen.items())
    }


def reference_entry(photo: ReferencePhoto) -> ReferenceEntry:
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


def read_catalogue(session: Session, embeddings: EmbeddingStore) -> tuple[Catalogue, list[str]]:
    """All that a snapshot is made of; second, the digests of photos that are left out for want of an embedding."""
    photos = list(photo_tables.references(session))
    references = [reference_entry(photo) for photo in photos]
    missing = embeddings.missing(entry.photo for entry in references)
    left_out = set(missing)
    occasions = read_occasions(photos)
    toxicity = taxon_tables.toxicities(session)
    catalogue = Catalogue(
        references=[entry for entry in references if entry.photo not in left_out],
        taxa=[(taxon, toxicity.get(taxon.id, "")) for taxon in taxon_tables.taxa(session)],
        synonyms=list(taxon_tables.synonyms(session)),
        vernacular_names=list(taxon_tables.vernacular_names(session)),
        floras=[
            FloraPlan(flora.id, flora.title, frozenset(resolve_flora(session, flora)))
            for flora in flora_tables.floras(session)
            if flora.id != WORLD  # follows from the references
        ],
        occurrences=[Occurrence(species, found.month, found.cell) for species, found in occasions.values()],
        occasions=[found for _, found in occasions.values()],
    )
    return catalogue, missing
