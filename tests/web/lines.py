"""Two models over the same reference photos, published as lines of one server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from flask import Flask

from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, View
from retrieval.snapshots.manifest import switch_current
from retrieval.snapshots.snapshot import Snapshot
from tests.snapshots import drawn_references, make_snapshot
from tests.web.conftest import LIMITS, HeldPhotos
from web.application import create_app
from web.inference.snapshot import Published
from web.services import Services, Throughput, choose_embedder

NEW = drawn_references()[0][-1].photo


class Mirrored(Descriptor):
    """The descriptor with its numbers in reverse: as good, and nonsense beside the descriptor's own."""

    @property
    def model(self) -> str:
        return "mirrored@1"

    @property
    def card(self) -> dict[str, object]:
        return {**super().card, "model": self.model}

    def embed(self, views: Sequence[View]) -> Embeddings:
        return np.ascontiguousarray(super().embed(views)[:, ::-1])


def make_lines(root: Path) -> tuple[str, str]:
    """Publish the descriptor's snapshot, and as the line `candidate` the other model's; returns their names.

    The candidate has one reference more, `NEW`.
    """
    entries, embeddings, _ = drawn_references()
    stable = make_snapshot(root, entries[:-1], embeddings[:-1]).manifest.name
    mirrored = np.ascontiguousarray(embeddings[:, ::-1])
    candidate = make_snapshot(root, entries, mirrored, card=Mirrored().card, publish=False).manifest.name
    switch_current(root, candidate, "candidate")
    return stable, candidate


def make_app_of_lines(root: Path) -> Flask:
    """A server with both models that keeps no answers."""
    openers = (Descriptor, Mirrored)

    def accept(snapshot: Snapshot) -> None:
        snapshot.require_model(choose_embedder(openers, snapshot.model).model)

    published = Published(root, accept, patience=0.0)
    photos = HeldPhotos(drawn_references()[2])
    services = Services(published, Descriptor, photos, LIMITS, Throughput(cache_bytes=0), line_embedders=(Mirrored,))
    return create_app(services)
