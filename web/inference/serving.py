"""What the requests of one process share: decoders, the model's batches, caches and metrics."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

import numpy as np
from flask import current_app
from numpy.typing import NDArray

from retrieval.domain import Identification
from retrieval.errors import PhotoTooLarge, UnreadablePhoto
from retrieval.models.embedder import Embedder, Embeddings, View
from retrieval.photos.crops import Box, ViewOptions, pool_crops
from retrieval.photos.decoders import DecodersBusy
from retrieval.photos.views import PhotoLimits, check_count
from retrieval.snapshots.snapshot import Snapshot
from web.http.admission import Gate
from web.http.deadlines import DeadlinePassed, current_deadline
from web.http.metrics import Metrics
from web.inference.batching import SharedEmbedder
from web.inference.caching import BoundedCache, make_key
from web.services import Services

EVIDENCE_BYTES = 1200  # of a reference photo in an answer, with its texts; measured
CANDIDATE_BYTES = 700
PHOTOS_AT_ONCE = 4  # of one request, waiting for decoders
ENTRY_BYTES = 500  # of a key and an array's header


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """A photo with its view options; its digest is the cache key."""

    photo: bytes
    digest: str
    box: Box | None = None
    augmentation: str = "none"

    @property
    def view_options(self) -> tuple[object, ...]:
        """Everything that an embedding depends on besides the model."""
        return (self.digest, self.box, self.augmentation)


def make_queries(photos: Sequence[bytes], view_options: ViewOptions) -> list[ViewQuery]:
    """Return the photos with their digests; raises InvalidOption if the numbers of boxes and photos differ."""
    view_options.check(len(photos))
    boxes = view_options.boxes or [None] * len(photos)
    return [
        ViewQuery(photo, sha256(photo).hexdigest(), box, view_options.augmentation)
        for photo, box in zip(photos, boxes, strict=True)
    ]


class Serving:
    """Everything between the routes and the engine. Nothing is opened and no thread started before a request."""

    def __init__(self, services: Services) -> None:
        wanted = services.throughput
        self.metrics = Metrics()
        if services.backend.cluster is not None:
            services.backend.cluster.metrics = self.metrics
        self.gate = Gate(wanted.queue, wanted.upload_bytes)
        self.batches = Gate(wanted.batches)
        self.answers: BoundedCache[Identification] = BoundedCache(wanted.cache_bytes // 2, weigh_answer)
        self.embeddings: BoundedCache[NDArray[np.float32]] = BoundedCache(
            wanted.cache_bytes // 2, lambda row: row.nbytes + ENTRY_BYTES
        )
        self._services = services
        self._opening = threading.Lock()
        self._shared: dict[str, SharedEmbedder] = {}

    def embedder_of(self, snapshot: Snapshot) -> SharedEmbedder:
        """The model of a snapshot, opened at first use, behind the shared batches; raises SnapshotMismatch."""
        model = snapshot.model
        with self._opening:
            if model not in self._shared:
                embedder = self._services.embedder_named(model)
                snapshot.require_model(embedder.model)
                self._shared[model] = self._share(embedder)
            return self._shared[model]

    def embed(self, queries: Sequence[ViewQuery], snapshot: Snapshot, limits: PhotoLimits) -> Embeddings:
        """Return one embedding per photo by the snapshot's model, from the cache where possible.

        Raises the errors of photos, with the number of the first faulty one, Overloaded, DeadlinePassed and
        SnapshotMismatch.
        """
        check_count(len(queries), limits)
        embedder = self.embedder_of(snapshot)
        keys = [make_key(embedder.model, *query.view_options) for query in queries]
        rows = {key: self.embeddings.get(key) for key in keys}
        for key in keys:
            self.metrics.record_lookup("embeddings", hit=rows[key] is not None)
        missing = {key: place for place, key in reversed(list(enumerate(keys))) if rows[key] is None}
        places = sorted(missing.values())
        if places:
            decoded = self._decode(queries, places, embedder.short_side, limits)
            with self.metrics.stage("embed"):
                crops = embedder.embed([view for views in decoded for view in views])
            found = pool_crops(crops, [len(views) for views in decoded])
            for place, row in zip(places, found, strict=True):
                rows[keys[place]] = kept = np.array(row)  # a copy: the row is a view of its whole batch
                self.embeddings.put(keys[place], kept)
        return np.stack([cast("NDArray[np.float32]", rows[key]) for key in keys])

    def record_snapshot(self, snapshot: Snapshot) -> None:
        """Record the snapshot that answers for its line."""
        self.metrics.record_snapshot(snapshot.line, snapshot.name, snapshot.model, snapshot.references)

    def close(self) -> None:
        """Stop the threads."""
        for shared in self._shared.values():
            shared.close()

    def _share(self, embedder: Embedder) -> SharedEmbedder:
        wanted = self._services.throughput

        def watch(views: int, requests: int, seconds: float) -> None:
            self.metrics.record_batch(views, requests, seconds)
            self.metrics.queued.set(sum(shared.queued for shared in list(self._shared.values())))

        return SharedEmbedder(
            embedder,
            views=wanted.batch,
            wait=wanted.batch_wait,
            waiting=wanted.queue * self._services.limits.photos,
            expected=lambda: self.gate.taken,
            watch=watch,
        )

    def _decode(
        self, queries: Sequence[ViewQuery], places: Sequence[int], side: int, limits: PhotoLimits
    ) -> list[list[View]]:
        """Decode photos in parallel with each other and with those of other requests, in processes of their own."""
        deadline = current_deadline()

        def decode(place: int) -> list[View]:
            query = queries[place]
            try:
                with self.metrics.stage("decode"):
                    return self._services.decoders.views(
                        query.photo,
                        side,
                        limits,
                        box=query.box,
                        augmentation=query.augmentation,
                        seconds=deadline.left(),
                    )
            except DecodersBusy as error:
                raise DeadlinePassed from error
            except (UnreadablePhoto, PhotoTooLarge) as error:
                raise type(error)(f"photo {place + 1} of {len(queries)}: {error}") from error

        if len(places) == 1:
            return [decode(places[0])]
        with ThreadPoolExecutor(min(PHOTOS_AT_ONCE, len(places)), thread_name_prefix="decoding") as pool:
            return list(pool.map(decode, places))


def weigh_answer(answer: Identification) -> int:
    """Estimate the bytes of an answer in memory."""
    ranked = (*answer.species, *answer.genera, *answer.families, *answer.outside)
    return 4000 + sum(CANDIDATE_BYTES + EVIDENCE_BYTES * len(candidate.evidence) for candidate in ranked)


def serving() -> Serving:
    """Return what the requests of this application share."""
    return cast(Serving, current_app.extensions["serving"])
