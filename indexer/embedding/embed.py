"""Embedding of photos: decoding in threads in parallel with inference, in bounded memory, resumable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np

from indexer.embedding.embeddings import EmbeddingStore
from retrieval.errors import IdentificationError, ModelError, ModelUnavailable
from retrieval.models.embedder import Embedder, Embeddings, View
from retrieval.photos.crops import decode_crops, pool_crops
from retrieval.photos.views import PhotoLimits
from retrieval.progress import Progress, silent

Crops: TypeAlias = list[View]  # of one photo

BATCH = 32  # photos per call of the model and per transaction
IN_FLIGHT = 1  # batches queued for the model while one is stored, so that it never waits for the store
AHEAD = 3  # batches decoded in advance: enough to keep the model busy; bounds memory


@dataclass(frozen=True, slots=True)
class PhotoToEmbed:
    """A photo's digest and a function that reads its bytes."""

    photo: str
    read: Callable[[], bytes]
    aspect: str = ""


@dataclass(frozen=True, slots=True)
class UnreadablePhoto:
    """Why a photo's file could not be read. Not stored, since the file may return."""

    reason: str


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """Counts of photos: embedded + already + failed = all of them."""

    embedded: int
    already: int
    failed: int
    unread: tuple[tuple[str, str], ...] = ()  # (photo, reason) of failed photos whose file could not be read


def embed_photos(
    photos: Iterable[PhotoToEmbed],
    store: EmbeddingStore,
    embedder: Embedder,
    *,
    limits: PhotoLimits | None = None,
    workers: int = 2,
    augmentation: str = "none",
    progress: Progress = silent,
) -> EmbedReport:
    """Embed every photo that is not in the store yet.

    A photo that cannot be decoded or embedded is stored with its reason, and the job continues; one whose file cannot
    be read is tried again next time. `augmentation` selects the crops whose embeddings are averaged. Raises ModelError
    where the model fails for the whole first batch, ModelUnavailable where it does not answer.
    """
    embedded = already = failed = 0
    total = count_photos(photos)
    unread: list[tuple[str, str]] = []
    bounds = limits or PhotoLimits()
    with (
        ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode") as pool,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="model") as model,
    ):

        def know(count: int) -> None:
            nonlocal already
            already += count
            progress("embed", count, total)

        def decode(photo: PhotoToEmbed) -> Crops | str | UnreadablePhoto:
            return read_crops(photo, embedder.short_side, bounds, augmentation=augmentation)

        def decoded() -> Iterator[tuple[PhotoToEmbed, Crops | str | UnreadablePhoto]]:
            window: deque[tuple[PhotoToEmbed, Future[Crops | str | UnreadablePhoto]]] = deque()
            for photo in unknown_photos(photos, store, know):
                window.append((photo, pool.submit(decode, photo)))
                if len(window) >= AHEAD * BATCH:
                    first, view = window.popleft()
                    yield first, view.result()
            while window:
                first, view = window.popleft()
                yield first, view.result()

        def keep(
            batch: Sequence[tuple[PhotoToEmbed, Crops | str | UnreadablePhoto]], rows: Iterator[Embeddings | str]
        ) -> None:
            nonlocal embedded, failed
            outcomes = [(photo.photo, next(rows) if isinstance(view, list) else view) for photo, view in batch]
            done = [(photo, row) for photo, row in outcomes if not isinstance(row, str | UnreadablePhoto)]
            if done:
                store.add([photo for photo, _ in done], np.stack([row for _, row in done]))
            for photo, reason in outcomes:
                if isinstance(reason, str):
                    store.add_failure(photo, reason)
                elif isinstance(reason, UnreadablePhoto):
                    unread.append((photo, reason.reason))
            embedded += len(done)
            failed += len(batch) - len(done)
            progress("embed", len(batch), total)

        stream = decoded()
        running: deque[
            tuple[list[tuple[PhotoToEmbed, Crops | str | UnreadablePhoto]], Future[list[Embeddings | str]]]
        ] = deque()
        try:
            while batch := list(islice(stream, BATCH)):
                views = [view for _, view in batch if isinstance(view, list)]
                trusted = embedded + already > 0
                running.append((batch, model.submit(embed_views, views, embedder, trusted=trusted)))
                if not trusted or len(running) > IN_FLIGHT:  # the first batch shows whether the model works
                    before, found = running.popleft()
                    keep(before, iter(found.result()))
        finally:
            while running:  # store the batches already submitted, even after an error
                before, found = running.popleft()
                keep(before, iter(found.result()))
    return EmbedReport(embedded, already, failed, tuple(unread))


def count_photos(photos: Iterable[PhotoToEmbed]) -> int:
    """Return the number of photos, 0 where it is unknown without iterating."""
    return len(photos) if isinstance(photos, Sized) else 0


def unknown_photos(
    photos: Iterable[PhotoToEmbed], store: EmbeddingStore, know: Callable[[int], object]
) -> Iterator[PhotoToEmbed]:
    """Yield the photos that are not in the store, in order; `know` is called with the numbers of those that are."""
    remaining = iter(photos)
    while block := list(islice(remaining, 1000)):
        known = store.known([photo.photo for photo in block])
        know(len(known))
        yield from (photo for photo in block if photo.photo not in known)


def read_crops(
    photo: PhotoToEmbed, short_side: int, limits: PhotoLimits, *, augmentation: str = "none"
) -> Crops | str | UnreadablePhoto:
    """Return the crops of a photo, or the reason why it cannot be decoded (text) or read (UnreadablePhoto)."""
    try:
        return decode_crops(photo.read(), short_side, limits, augmentation=augmentation)
    except IdentificationError as error:
        return str(error)
    except OSError as error:
        return UnreadablePhoto(f"{error.filename or 'the photo'} cannot be read: {error.strerror or error}")


def embed_views(views: Sequence[Crops], embedder: Embedder, *, trusted: bool) -> list[Embeddings | str]:
    """Return for each photo the mean embedding of its crops, or the reason why the model gives none.

    A failed batch is repeated photo by photo. Raises ModelError where every photo fails and the model is not `trusted`
    from earlier batches, since the model is then at fault; raises ModelUnavailable.
    """
    try:
        found = embedder.embed([crop for crops in views for crop in crops])
        return list(pool_crops(found, [len(crops) for crops in views])) if views else []
    except ModelUnavailable:  # temporary, and no photo's fault
        raise
    except ModelError as error:
        if len(views) == 1:
            if trusted:
                return [str(error)]
            raise
    rows = [embed_views([view], embedder, trusted=True)[0] for view in views]
    if not trusted and all(isinstance(row, str) for row in rows):
        raise ModelError(str(rows[0]))
    return rows
