"""What the routes are given: the open snapshot, the model, the reference photos, the limits. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from flask import current_app

from database.photos import reference, stored_path
from database.session import Database, open_database
from retrieval.accelerator import Accelerator
from retrieval.embedder import Embedder
from retrieval.faiss_gpu import open_accelerator
from retrieval.models.handles import open_model
from retrieval.snapshot import Snapshot
from retrieval.views import PhotoLimits
from settings import Settings
from web.published import Published
from web.reference_photos import LocatedPhotos, PhotoSource


@dataclass(frozen=True, slots=True)
class Throughput:
    """Bounds of what one process does at a time."""

    queue: int = 64  # identifications in hand, at most
    batch: int = 32  # views that share a batch of the model, at most
    batch_wait: float = 0.004  # seconds that a batch waits for views of other requests, at most
    deadline: float = 30.0  # seconds until an answer is given up
    cache_bytes: int = 64_000_000  # of answers and embeddings kept


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request needs. A test gives its own."""

    published: Published
    embedder: Callable[[], Embedder]  # opens the model the first time
    photos: PhotoSource
    limits: PhotoLimits
    throughput: Throughput = Throughput()
    metrics_for: str = "loopback"  # who may read the metrics: loopback, everybody, nobody
    searched_on: Callable[[], str] = lambda: "cpu"  # what floras are searched on, and why if not on a GPU


def make_services(settings: Settings) -> Services:
    """Put the services together; each opens its files when it is first asked."""

    @cache
    def embedder() -> Embedder:
        return open_model(settings.model, Path(settings.model_card) if settings.model_card else None)

    @cache
    def database() -> Database:
        return open_database(settings.database_url)

    def locate(sha256: str) -> str:
        with database().reading() as session:
            return reference(session, sha256).location

    def stored(sha256: str) -> Path:
        return stored_path(settings.data / "photos", sha256)

    @cache
    def accelerator() -> Accelerator | None:
        return open_accelerator(settings.gpu_keeps, 1_000_000 * settings.gpu_megabytes)

    def accept(snapshot: Snapshot) -> None:
        snapshot.require_model(embedder().model)
        snapshot.shelf.accelerator = accelerator()

    def searched_on() -> str:
        chosen = accelerator()
        return "cpu" if chosen is None else chosen.standing

    return Services(
        published=Published(settings.flora_indexes, accept),
        searched_on=searched_on,
        embedder=embedder,
        photos=LocatedPhotos(locate, stored),
        limits=PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos),
        throughput=Throughput(
            queue=settings.queue,
            batch=settings.batch,
            deadline=float(settings.deadline),
            cache_bytes=1_000_000 * settings.cache_megabytes,
        ),
        metrics_for=settings.metrics,
    )


def services() -> Services:
    """The services of the application that answers the request."""
    return cast(Services, current_app.extensions["services"])
