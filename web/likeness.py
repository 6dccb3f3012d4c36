"""Reference photos by likeness, some at a time, with filters: what the page of similar images shows."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from database.photo_facts import PhotoFacts
from retrieval.domain import Evidence
from retrieval.embedder import DIM, Embeddings, unit_rows
from retrieval.errors import ImpossibleWish
from retrieval.flora import Flora
from retrieval.snapshot import Snapshot
from web.services import services

DEEPEST: Final = 4000  # references looked through for a filter that few pass
MOST_VIEWS: Final = 8


@dataclass(frozen=True, slots=True)
class Filters:
    """What to keep of what looks alike; empty values keep everything."""

    flora: str
    taxon: int | None = None
    licence: str = ""
    month: int = 0


@dataclass(frozen=True, slots=True)
class Likenesses:
    """Similar references, best first, what is known of their shapes, and whether there are more."""

    found: list[Evidence]
    facts: Mapping[str, PhotoFacts]
    more: bool


def find_alike(embeddings: Embeddings, snapshot: Snapshot, filters: Filters, *, skip: int, count: int) -> Likenesses:
    """The `count` most similar references after the first `skip`; each once, best first, ties by row."""
    flora = chosen_flora(snapshot, filters)
    wanted = skip + count + 1
    depth = wanted
    while True:
        found = nearest(embeddings, snapshot, flora, depth)
        facts = services().photo_facts([evidence.reference.photo for evidence in found])
        kept = [e for e in found if month_of(e, facts) == filters.month] if filters.month else found
        if len(kept) >= wanted or len(found) < depth or depth >= DEEPEST:
            break
        depth = min(4 * depth, DEEPEST)
    return Likenesses(kept[skip : skip + count], facts, len(kept) > skip + count)


def month_of(evidence: Evidence, facts: Mapping[str, PhotoFacts]) -> int:
    """The month of the find that a reference photo shows; 0 where nobody says."""
    fact = facts.get(evidence.reference.photo)
    return fact.month if fact else 0


def chosen_flora(snapshot: Snapshot, filters: Filters) -> Flora:
    """The references that pass the filters that the index knows."""
    flora = snapshot.flora(filters.flora)
    if filters.taxon is not None:
        flora = flora & snapshot.flora_of([filters.taxon])
    return flora.under([filters.licence]) if filters.licence else flora


def nearest(embeddings: Embeddings, snapshot: Snapshot, flora: Flora, count: int) -> list[Evidence]:
    """The references most similar to any of the views, each once, best first."""
    closest: dict[int, tuple[float, int]] = {}
    for view, near in enumerate(flora.neighbours(embeddings, count)):
        for neighbour in near:
            likeness = (neighbour.similarity, -view)
            closest[neighbour.row] = max(closest.get(neighbour.row, likeness), likeness)
    best = sorted(closest.items(), key=lambda item: (-item[1][0], item[0]))[:count]
    return [Evidence(snapshot.reference(row), similarity, -view) for row, (similarity, view) in best]


def embedding_of_reference(photo: str, snapshot: Snapshot) -> Embeddings:
    """The stored embedding of a reference photo, (1, 256); raises UnknownPhoto."""
    row = snapshot.reference_of_photo(photo).row
    segment = next(segment for segment in reversed(snapshot.segments) if segment.base <= row)
    return np.asarray(segment.store.take(np.array([row - segment.base])), dtype=np.float32)


def write_token(embeddings: Embeddings) -> str:
    """Embeddings as a word that a page can give back to ask for more: nothing is kept here."""
    return urlsafe_b64encode(embeddings.astype("<f2").tobytes()).decode()


def read_token(token: str) -> Embeddings:
    """The embeddings of such a word; raises ImpossibleWish for any other."""
    try:
        rows = np.frombuffer(urlsafe_b64decode(token), dtype="<f2").astype(np.float32).reshape(-1, DIM)
    except (NoBase64, ValueError) as error:
        raise ImpossibleWish("this search cannot be continued: begin again with the photo") from error
    if not 0 < len(rows) <= MOST_VIEWS or not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise ImpossibleWish("this search cannot be continued: begin again with the photo")
    return unit_rows(rows)
