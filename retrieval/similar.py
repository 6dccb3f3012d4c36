"""Similar-image search: the references that look most like the photos, without a word about taxonomy."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.domain import WORLD, Evidence
from retrieval.embedder import Embedder, Embeddings
from retrieval.snapshot import Snapshot
from retrieval.views import PhotoLimits, decode_views


def find_similar(
    photos: Sequence[bytes],
    snapshot: Snapshot,
    embedder: Embedder,
    *,
    flora: str = WORLD,
    count: int = 20,
    limits: PhotoLimits | None = None,
) -> list[Evidence]:
    """The `count` references most similar to any of the photos, each once, best first."""
    snapshot.require_model(embedder.model)
    snapshot.flora(flora)
    views = decode_views(photos, embedder.short_side, limits)
    return find_similar_embeddings(embedder.embed(views), snapshot, flora=flora, count=count)


def find_similar_embeddings(embeddings: Embeddings, snapshot: Snapshot, *, flora: str, count: int) -> list[Evidence]:
    """The same for photos that are embedded already."""
    closest: dict[int, tuple[float, int]] = {}
    for photo, near in enumerate(snapshot.flora(flora).neighbours(embeddings, count)):
        for neighbour in near:
            found = (neighbour.similarity, -photo)  # the earlier photo, where two are equally similar
            closest[neighbour.row] = max(closest.get(neighbour.row, found), found)
    best = sorted(closest.items(), key=lambda item: (-item[1][0], item[0]))[:count]
    return [Evidence(snapshot.reference(row), similarity, -photo) for row, (similarity, photo) in best]
