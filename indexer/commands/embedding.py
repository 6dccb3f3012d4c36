"""Where photos are embedded: on this machine, or on the cluster that the settings name. What comes out is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from indexer.embedding.embed import EmbedReport, PhotoToEmbed, embed_photos, unknown_photos
from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.features import open_features
from retrieval.models.embedder import Embedder
from retrieval.models.handles import absolute_handle, open_model
from retrieval.photos.views import PhotoLimits
from settings import Settings


def embed_where_set(
    settings: Settings,
    photos: Iterable[PhotoToEmbed],
    store: EmbeddingStore,
    embedder: Embedder,
    handle: str,
    card: Path | None,
    *,
    limits: PhotoLimits,
    augmentation: str = "none",
    features: bool = False,
    advance: Callable[[int], object],
) -> EmbedReport:
    """Embed what the store does not know, as `embed_photos` does; `embedder` was opened by `handle` and `card`.

    `photos` are gone through twice. `features` says that the embedder gives a network's own rows, before its head. The
    cluster is reached only when there is work for it: who runs this every day for a handful of new photos waits for
    nothing on the other days.
    """
    if not settings.cluster or next(unknown_photos(photos, store, lambda _: None), None) is None:
        return embed_photos(photos, store, embedder, limits=limits, augmentation=augmentation, advance=advance)
    from cluster.connection import connected
    from cluster.embedding import BulkRun, embed_on_cluster

    card_file = card.absolute() if card else None
    with connected(settings.cluster):
        return embed_on_cluster(
            photos,
            store,
            embedder,
            partial(open_features if features else open_model, absolute_handle(handle), card_file),
            BulkRun(settings.cluster_storage or str((settings.data / "parts").absolute())),
            limits=limits,
            augmentation=augmentation,
            advance=advance,
        )
