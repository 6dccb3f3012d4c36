"""A network's own features, kept beside the embeddings: a head is fitted and applied without decoding photos again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.embeddings import TOGETHER, EmbeddingStore
from retrieval.errors import ModelError
from retrieval.models.embedder import DIM, Embedder, Embeddings, View
from retrieval.models.handles import open_backbone, open_model
from retrieval.models.network import Backbone, NetworkEmbedder
from retrieval.progress import Progress, silent


class FeatureEmbedder:
    """Returns a network's features (views, width), each divided by its largest absolute value, to fit in float16."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.model = name_features(backbone)
        self.short_side = backbone.preprocessing.resize
        self.card: Mapping[str, Any] = {"model": self.model, "width": backbone.width}

    def embed(self, views: Sequence[View]) -> Embeddings:
        return scale_features(self._backbone.features(views))


class KeepingEmbedder:
    """Returns embeddings with the features that they are projected from behind them: (views, 256 + width)."""

    def __init__(self, embedder: NetworkEmbedder) -> None:
        self._embedder = embedder
        self.model = embedder.model
        self.short_side = embedder.short_side
        self.card = embedder.card

    def embed(self, views: Sequence[View]) -> Embeddings:
        features = self._embedder.backbone.features(views)
        if not views:
            return np.zeros((0, DIM + features.shape[1]), dtype=np.float32)
        return np.concatenate([self._embedder.project(features), scale_features(features)], axis=1)


class KeepingStore(EmbeddingStore):
    """A store of embeddings that adds the features behind them to the store of the network's features."""

    def __init__(self, folder: Path, model: str, backbone: Backbone) -> None:
        super().__init__(folder, model)
        self._features = open_feature_store(folder, backbone)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._features.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    def add(self, photos: Sequence[str], embeddings: Embeddings, **options: Any) -> None:
        """Store embeddings (photos, 256), or (photos, 256 + width) with features behind them."""
        if embeddings.shape[1] > self.width:  # first: an embedding is what says that a photo is done
            self._features.add(photos, embeddings[:, self.width :], **options)
        super().add(photos, embeddings, **options)


def name_features(backbone: Backbone) -> str:
    """Return the name of the store of a network's features: they depend on no head."""
    return f"{backbone.name}.features"


def open_feature_store(folder: Path, backbone: Backbone) -> EmbeddingStore:
    """Open, or begin, the store of a network's features. Raises BuildError."""
    return EmbeddingStore(folder, name_features(backbone), backbone.width)


def has_features(folder: Path, backbone: Backbone) -> bool:
    """Whether features of the network are stored."""
    return EmbeddingStore.file_of(folder, name_features(backbone)).is_file()


def scale_features(rows: NDArray[np.float32]) -> Embeddings:
    """Divide each row by its largest absolute value. Raises ModelError for a row of zeros or not finite."""
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    if not np.all(np.isfinite(largest)) or not np.all(largest > 0):
        raise ModelError("the network finds nothing in the photo: its row is zero or not finite")
    return np.asarray(rows / largest, dtype=np.float32)


def project_stored(
    photos: Iterable[PhotoToEmbed],
    store: EmbeddingStore,
    embedder: Embedder,
    *,
    progress: Progress = silent,
) -> int:
    """Embed the photos whose features are stored and whose embeddings are not, without decoding them; returns how many.

    Does nothing for a model without a head. Embeddings differ from those of a photo by the rounding to float16.
    """
    if not isinstance(embedder, NetworkEmbedder) or embedder.head is None:
        return 0
    folder, count = store.path.parent, 0
    if not has_features(folder, embedder.backbone):
        return 0
    with open_feature_store(folder, embedder.backbone) as features:
        for block in blocks_of(photos):
            for rule, known in features.by_rule(store.missing(block)).items():
                store.add(known, embedder.project(features.read(known)), rule=rule)
                count += len(known)
                progress("project", len(known))
    return count


def blocks_of(photos: Iterable[PhotoToEmbed]) -> Iterator[list[str]]:
    """Yield the photos' digests in blocks."""
    remaining = iter(photos)
    while block := [photo.photo for photo in islice(remaining, TOGETHER)]:
        yield block


def open_features(handle: str, card: Path | None = None, *, threads: int = 0) -> FeatureEmbedder:
    """Open the network that a handle names, without its head; parameters and errors as for `open_model`."""
    return FeatureEmbedder(open_backbone(handle, card, threads=threads)[0])


def open_keeping(handle: str, card: Path | None = None, *, threads: int = 0) -> KeepingEmbedder:
    """Open a network with a head, to keep its features; parameters and errors as for `open_model`."""
    embedder = open_model(handle, card, threads=threads)
    if not isinstance(embedder, NetworkEmbedder):
        raise ModelError(f"{handle} is not a network with a head: it has no features to keep")
    return KeepingEmbedder(embedder)
