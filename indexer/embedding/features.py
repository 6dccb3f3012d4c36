"""A network without its head as an embedder, so that `embed_photos` can compute features for fitting heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import ModelError
from retrieval.models.embedder import Embeddings, View
from retrieval.models.handles import open_backbone
from retrieval.models.network import Backbone


class FeatureEmbedder:
    """Returns a network's features (views, width), each divided by its largest absolute value, to fit in float16."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.model = f"{backbone.name}.features"
        self.short_side = backbone.preprocessing.resize
        self.card: Mapping[str, Any] = {"model": self.model, "width": backbone.width}

    def embed(self, views: Sequence[View]) -> Embeddings:
        rows = self._backbone.features(views)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        if not np.all(np.isfinite(largest)) or not np.all(largest > 0):
            raise ModelError("the network finds nothing in the photo: its row is zero or not finite")
        return np.asarray(rows / largest, dtype=np.float32)


def open_features(handle: str, card: Path | None = None, *, threads: int = 0) -> FeatureEmbedder:
    """Open the network that a handle names, without its head; parameters and errors as for `open_model`."""
    return FeatureEmbedder(open_backbone(handle, card, threads=threads)[0])
