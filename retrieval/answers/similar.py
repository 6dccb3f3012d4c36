"""Similar-image search: the references most similar to the photos, without ranking species."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retrieval.domain import WORLD, Evidence, Reference
from retrieval.models.embedder import Embedder, Embeddings
from retrieval.photos.views import PhotoLimits, decode_views
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

MOST_EXAMINED = 2000  # neighbours per view examined when a filter cannot be applied by the index


def find_similar(
    photos: Sequence[bytes],
    snapshot: Snapshot,
    embedder: Embedder,
    *,
    flora: str = WORLD,
    count: int = 20,
    limits: PhotoLimits | None = None,
) -> list[Evidence]:
    """Return the `count` references most similar to any of the photos, without duplicates, best first.

    Raises SnapshotMismatch where the snapshot was built with another model, and UnknownFlora.
    """
    snapshot.require_model(embedder.model)
    snapshot.flora(flora)
    views = decode_views(photos, embedder.short_side, limits)
    return find_similar_embeddings(embedder.embed(views), snapshot, flora=flora, count=count)


def find_similar_embeddings(embeddings: Embeddings, snapshot: Snapshot, *, flora: str, count: int) -> list[Evidence]:
    """Like `find_similar`, for photos already embedded; `embeddings` is (photos, 256)."""
    return find_similar_in(embeddings, snapshot, snapshot.flora(flora), count)


def find_similar_in(
    embeddings: Embeddings,
    snapshot: Snapshot,
    flora: Flora,
    count: int,
    *,
    keep: Callable[[Sequence[Reference]], Sequence[bool]] | None = None,
) -> list[Evidence]:
    """Return the `count` references of a flora most similar to any of the views, best first.

    The flora may be restricted to taxa and licences. `keep` filters by attributes that the index does not hold, such
    as the month: it returns one boolean for each reference. The number of neighbours examined then grows until
    `count` references pass, up to MOST_EXAMINED for each view.
    """
    if flora.card.references == 0:
        return []
    asked = count if keep is None else min(MOST_EXAMINED, 4 * count)
    while True:
        near = flora.neighbours(embeddings, asked)
        closest: dict[int, tuple[float, int]] = {}
        for photo, neighbours in enumerate(near):
            for neighbour in neighbours:
                found = (neighbour.similarity, -photo)  # the earlier photo, where two are equally similar
                closest[neighbour.row] = max(closest.get(neighbour.row, found), found)
        best = sorted(closest.items(), key=lambda item: (-item[1][0], item[0]))
        if keep is None:
            best = best[:count]
        listed = [Evidence(snapshot.reference(row), similarity, -photo) for row, (similarity, photo) in best]
        if keep is None:
            return listed
        shown = [one for one, kept in zip(listed, keep([one.reference for one in listed]), strict=True) if kept]
        if len(shown) >= count or asked >= MOST_EXAMINED or all(len(neighbours) < asked for neighbours in near):
            return shown[:count]
        asked = min(MOST_EXAMINED, 4 * asked)
