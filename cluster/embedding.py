"""Embeds photos on a Ray cluster with Ray Data: decoding in tasks on CPUs, inference in actors on CPUs or GPUs.

Batches are formed and stored in the same order as on one machine, so the embedding store is identical to the last bit
on any number of machines and after any number of interruptions.
"""

from __future__ import annotations

import fcntl
import json
import logging
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from cluster.connection import load_ray
from cluster.parts import PartFiles, decode_part
from cluster.stages import InferBatch, Opener, Order, decode_batch, package_versions, runs_on_gpu
from indexer.embedding.embed import BATCH, EmbedReport, PhotoToEmbed, count_photos, unknown_photos
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.errors import ClusterError, ModelError
from retrieval.models.embedder import Embedder
from retrieval.photos.views import PhotoLimits
from retrieval.progress import Progress, silent

WAVE = 4096  # batches planned at a time; bounds the driver's memory for any size of collection
GPU_SHARE: Final = 0.9  # of a GPU for a model: shards reserve 0.01 each, so a whole GPU may never be free
GPU_WAIT: Final = 120.0  # seconds to wait for a free GPU
REMOVERS = 8  # parts removed concurrently: remote storage takes tens of milliseconds for each

Receipt: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class EmbedCount:
    """Counts of the photos processed so far."""

    embedded: int = 0
    already: int = 0
    failed: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BulkRun:
    """How a bulk job is distributed over the cluster."""

    storage: str  # a folder or address that all machines can reach
    workers: int = 0  # at most this many copies of the model; 0: one for each GPU, or else for each core
    wave: int = WAVE  # batches in flight at a time


def embed_on_cluster(
    photos: Iterable[PhotoToEmbed],
    store: EmbeddingStore,
    embedder: Embedder,
    opener: Opener,
    run: BulkRun,
    *,
    limits: PhotoLimits | None = None,
    augmentation: str = "none",
    progress: Progress = silent,
) -> EmbedReport:
    """Do what `embed_photos` does, on the cluster that this process is connected to.

    Workers open the model with `opener`; it must be the same model as `embedder`. Each finished batch is saved in
    `run.storage` at once, and a run after a crash starts by collecting the batches saved there.
    Raises ClusterError if machines do not share the storage or cannot write to it, or another run fills the same store,
    and the errors of `embed_photos`.
    """
    with lock_store(store.path):
        return embed_locked(
            photos,
            store,
            embedder,
            opener,
            run,
            limits=limits or PhotoLimits(),
            augmentation=augmentation,
            progress=progress,
        )


@contextmanager
def lock_store(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a store: a second run would collect and remove the parts that this one waits for.

    The system releases the lock if the process dies.
    """
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterError(f"another run is embedding into {path.name} already: wait for it to end") from error
        yield


def embed_locked(
    photos: Iterable[PhotoToEmbed],
    store: EmbeddingStore,
    embedder: Embedder,
    opener: Opener,
    run: BulkRun,
    *,
    limits: PhotoLimits,
    augmentation: str,
    progress: Progress,
) -> EmbedReport:
    """`embed_on_cluster` once the store is locked."""
    counts, files, made_with = EmbedCount(), PartFiles(run.storage), store.path.stem
    total = count_photos(photos)
    collect_parts(files, made_with, store)

    def count_known(count: int) -> None:
        counts.already += count
        progress("embed", count, total)

    new = unknown_photos(photos, store, count_known)
    while batches := list(islice(make_batches(new), run.wave)):
        token = files.put(f"{made_with} is being embedded\n".encode())  # if this run dies, the next one removes it
        order = Order(
            opener=opener,
            model=embedder.model,
            made_with=made_with,
            storage=run.storage,
            token=token,
            versions=package_versions(),
            short_side=embedder.short_side,
            limits=limits,
            augmentation=augmentation,
        )
        done = [token]
        try:
            with closing(iterate_receipts(batches, order, run.workers)) as receipts:
                for batch, receipt in zip(batches, in_order(receipts), strict=True):
                    store_batch(batch, receipt, store, counts)
                    done.append(str(receipt["kept"]))
                    progress("embed", len(batch), total)
        finally:
            remove_all(files, done)
    return EmbedReport(counts.embedded, counts.already, counts.failed, tuple(counts.unread))


def make_batches(photos: Iterator[PhotoToEmbed]) -> Iterator[list[PhotoToEmbed]]:
    """Yield photos in the same batches as a run on one machine."""
    while batch := list(islice(photos, BATCH)):
        yield batch


def collect_parts(files: PartFiles, made_with: str, store: EmbeddingStore) -> None:
    """Store the rows that a crashed job had saved. Photos that it could not read are tried again."""
    for name, part in files.found(made_with):
        if len(store.known(part.photos)) < len(part.photos):
            store.add(part.photos, part.rows.astype(np.float32))
        files.remove(name)


def store_batch(batch: Sequence[PhotoToEmbed], receipt: Receipt, store: EmbeddingStore, counts: EmbedCount) -> None:
    """Store a batch in one transaction; raises ModelError if the model has not embedded a single photo so far."""
    part, unread = decode_part(receipt["part"]), json.loads(receipt["unread"])
    if receipt["refused"] and counts.embedded + counts.already == 0:
        raise ModelError(receipt["refused"])
    if part.photos:
        store.add(part.photos, part.rows.astype(np.float32))
    for photo, reason in part.failures.items():
        store.add_failure(photo, reason)
    counts.unread += unread.items()
    counts.embedded += len(part.photos)
    counts.failed += len(batch) - len(part.photos)


def iterate_receipts(batches: Sequence[Sequence[PhotoToEmbed]], order: Order, workers: int) -> Generator[Receipt]:
    """Yield receipts as `run_batches` does. Ray Data does not work over `ray://`: from outside, an actor drives it."""
    ray = load_ray()
    if not ray.util.client.ray.is_connected():
        yield from run_batches(batches, order, workers)
        return
    conductor = ray.remote(Conductor).options(num_cpus=0).remote(batches, order, workers)
    try:
        while (received := ray.get(conductor.take.remote())) is not None:
            if isinstance(received, str):
                raise ClusterError(received)
            yield received
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise as_cluster_error(error) from error
    finally:
        with suppress(ray.exceptions.RayError, ConnectionError):  # if unreachable, it ends with the connection
            ray.kill(conductor)


class Conductor:
    """An actor that drives Ray Data inside the cluster, for a client outside."""

    def __init__(self, batches: Sequence[Sequence[PhotoToEmbed]], order: Order, workers: int) -> None:
        self._receipts = run_batches(batches, order, workers)

    def take(self) -> Receipt | str | None:
        """Return the next receipt, an error sentence if the work failed, or None at the end."""
        try:
            return next(self._receipts, None)
        except ClusterError as error:
            return str(error)


def as_cluster_error(error: Exception) -> ClusterError:
    """Turn an exception of Ray into a one-sentence ClusterError."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = lines[0][:200] if len(lines) == 1 else f"{lines[0][:200]} ... {lines[-1][:200]}"
    return ClusterError(f"the cluster failed ({text}); finished batches are kept: run the same command to continue")


def run_batches(batches: Sequence[Sequence[PhotoToEmbed]], order: Order, workers: int = 0) -> Generator[Receipt]:
    """Process batches on the cluster; yields their receipts in order of completion.

    Raises ClusterError if a worker reports an error or the cluster fails.
    """
    data = load_ray_data()
    try:
        models, on_gpu = plan_models(order)
    except load_ray().exceptions.RayError as error:
        raise as_cluster_error(error) from error
    models = min(models, workers or models)
    dataset = data.from_items(
        [{"place": place, "photos": list(batch)} for place, batch in enumerate(batches)],
        override_num_blocks=len(batches),
    )
    if on_gpu:  # on CPUs, the model's worker also decodes: that saves a copy and keeps the core busy
        dataset = dataset.map_batches(decode_batch, batch_size=1, fn_args=(order,), num_cpus=1)
    dataset = dataset.map_batches(
        InferBatch,
        batch_size=1,
        fn_constructor_args=(order,),
        compute=data.ActorPoolStrategy(min_size=1, max_size=models, initial_size=models),
        **({"num_gpus": GPU_SHARE, "num_cpus": 0} if on_gpu else {"num_cpus": 1}),
    )
    try:
        for receipt in dataset.iter_rows():
            if receipt["stop"]:
                raise ClusterError(receipt["stop"])
            yield receipt
    except load_ray().exceptions.RayError as error:
        raise as_cluster_error(error) from error


def load_ray_data() -> Any:
    """Import Ray Data with its logging and progress bars off: we show our own."""
    load_ray()
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by Ray about its own settings
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_operator_progress_bars = False
    return ray.data


def plan_models(order: Order) -> tuple[int, bool]:
    """Return the number of inference workers and whether they use GPUs: one for each GPU, or else for each core.

    Raises ClusterError if the cluster has no CPUs or all its GPUs are busy, and Ray's errors.
    """
    ray = load_ray()
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if cpus < 1:
        raise ClusterError("the cluster has no CPUs: start a worker node, as docs/scale.md describes")
    if gpus:
        tried = ray.remote(runs_on_gpu).options(num_gpus=GPU_SHARE, num_cpus=0).remote(order)
        try:
            return (gpus, True) if ray.get(tried, timeout=GPU_WAIT) else (cpus, False)
        except ray.exceptions.GetTimeoutError as error:
            ray.cancel(tried, force=True)
            raise ClusterError(
                f"no GPU of the cluster became free within {GPU_WAIT:g} seconds: run the command again when one is"
            ) from error
    return cpus, False


def in_order(receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """Yield receipts in order of their place, each as soon as all before it have arrived."""
    waiting: dict[int, Receipt] = {}
    place = 0
    for receipt in receipts:
        waiting[int(receipt["place"])] = receipt
        while place in waiting:
            yield waiting.pop(place)
            place += 1


def remove_all(files: PartFiles, names: Iterable[str]) -> None:
    """Remove saved parts by name, ignoring empty names."""
    with ThreadPoolExecutor(REMOVERS) as pool:
        list(pool.map(files.remove, filter(None, names)))
