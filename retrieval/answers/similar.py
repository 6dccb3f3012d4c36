"""Similar-image search: the references that look most like the photos, without a word about taxonomy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retrieval.domain import WORLD, Evidence, Reference
from retrieval.models.embedder import Embedder, Embeddings
from retrieval.photos.views import PhotoLimits, decode_views
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

MOST_EXAMINED = 2000  # neighbours looked at, where what is asked for is not in the index


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
    return find_similar_in(embeddings, snapshot, snapshot.flora(flora), count)


def find_similar_in(
    embeddings: Embeddings,
    snapshot: Snapshot,
    flora: Flora,
    count: int,
    *,
    keep: Callable[[Sequence[Reference]], Sequence[bool]] | None = None,
) -> list[Evidence]:
    """The `count` references of a flora, cut to any taxa and licences, that are most similar to any of the views.

    `keep` says which of some references may be shown, for what an index knows nothing of, such as their month; then
    more and more neighbours are looked at until there are enough, MOST_EXAMINED for each view at most.
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
