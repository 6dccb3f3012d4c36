"""Opens the models of the settings: the configured one, and those of published lines."""

from __future__ import annotations

from collections.abc import Iterator

from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from settings import Settings


def open_models(settings: Settings) -> Iterator[Embedder]:
    """Open the models of the settings one after another, the configured one first."""
    for handle, card in settings.models:
        yield open_model(handle, card)


def open_model_named(settings: Settings, name: str) -> Embedder:
    """Open the model of the settings that has this name; without one, the configured one, which is then refused."""
    first = None
    for embedder in open_models(settings):
        if embedder.model == name:
            return embedder
        first = first or embedder
    assert first is not None
    return first
