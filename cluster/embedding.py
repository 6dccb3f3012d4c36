"""Embeds photos on a Ray cluster with Ray Data: decoding in tasks on CPUs, inference in actors on CPUs or GPUs.

The batches are those of a run on one machine, in its order, and are entered into the store in that order, so that the
store is the same to the last bit whoever computed it and however often it was interrupted.
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

WAVE = 4096  # batches planned at a time: what the driver holds in memory, however large the collection
GPU_SHARE: Final = 0.9  # of a GPU for a model: shards hold a hundredth each, and a whole one would never come
FREE: Final = 120.0  # seconds until a GPU must be free
REMOVERS = 8  # parts removed at a time: a store far away takes tens of milliseconds for each

Receipt: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class EmbedCount:
    """What became of the photos so far."""

    embedded: int = 0
    already: int = 0
    failed: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BulkRun:
    """How a bulk job is spread over the cluster."""

    storage: str  # a folder or address that all machines reach
    workers: int = 0  # how many open the model, at most; 0: one for each GPU or core there is
    wave: int = WAVE  # batches that are on their way at a time


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

    Workers open the model with `opener`; it must be the `embedder` that is open here. In `run.storage` each batch is
    kept as soon as it is done; a run that comes after a death begins by taking over what is there.
    Raises ClusterError where machines do not see the same storage or cannot write it, or another run fills the same
    store, and the errors of `embed_photos`.
    """
    with alone(store.path):
        return embed_alone(
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
def alone(path: Path) -> Iterator[None]:
    """Be the only run that fills a store: another would take over and remove the parts that this one waits for.

    The system lets go of the lock if the process dies.
    """
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterError(f"another run is embedding into {path.name} already: wait for it to end") from error
        yield


def embed_alone(
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
    """`embed_on_cluster`, with nobody else at it."""
    tally, files, made_with = EmbedCount(), PartFiles(run.storage), store.path.stem
    total = count_photos(photos)
    take_over(files, made_with, store)

    def know(count: int) -> None:
        tally.already += count
        progress("embed", count, total)

    new = unknown_photos(photos, store, know)
    while batches := list(islice(batched(new), run.wave)):
        token = files.put(f"{made_with} is being embedded\n".encode())  # the next run removes it where this one dies
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
            with closing(receipts_of(batches, order, run.workers)) as receipts:
                for batch, receipt in zip(batches, in_order(receipts), strict=True):
                    enter(batch, receipt, store, tally)
                    done.append(str(receipt["kept"]))
                    progress("embed", len(batch), total)
        finally:
            remove_all(files, done)
    return EmbedReport(tally.embedded, tally.already, tally.failed, tuple(tally.unread))


def batched(photos: Iterator[PhotoToEmbed]) -> Iterator[list[PhotoToEmbed]]:
    """Photos in the batches of a run on one machine."""
    while batch := list(islice(photos, BATCH)):
        yield batch


def take_over(files: PartFiles, made_with: str, store: EmbeddingStore) -> None:
    """Enter the rows that a job which died had made. What it found to be no photo is looked at again."""
    for name, part in files.found(made_with):
        if len(store.known(part.photos)) < len(part.photos):
            store.add(part.photos, part.rows.astype(np.float32))
        files.remove(name)


def enter(batch: Sequence[PhotoToEmbed], receipt: Receipt, store: EmbeddingStore, tally: EmbedCount) -> None:
    """Put a batch into the store, in one transaction; raises ModelError where the model has never embedded anything."""
    part, unread = decode_part(receipt["part"]), json.loads(receipt["unread"])
    if receipt["refused"] and tally.embedded + tally.already == 0:
        raise ModelError(receipt["refused"])
    if part.photos:
        store.add(part.photos, part.rows.astype(np.float32))
    for photo, reason in part.failures.items():
        store.add_failure(photo, reason)
    tally.unread += unread.items()
    tally.embedded += len(part.photos)
    tally.failed += len(batch) - len(part.photos)


def receipts_of(batches: Sequence[Sequence[PhotoToEmbed]], order: Order, workers: int) -> Generator[Receipt]:
    """What `work_on` yields. From outside the cluster (`ray://`) Ray Data cannot be driven: a worker then drives it."""
    ray = load_ray()
    if not ray.util.client.ray.is_connected():
        yield from work_on(batches, order, workers)
        return
    conductor = ray.remote(Conductor).options(num_cpus=0).remote(batches, order, workers)
    try:
        while (told := ray.get(conductor.take.remote())) is not None:
            if isinstance(told, str):
                raise ClusterError(told)
            yield told
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise failed(error) from error
    finally:
        with suppress(ray.exceptions.RayError, ConnectionError):  # where it cannot be told, it ends with the connection
            ray.kill(conductor)


class Conductor:
    """Drives the work from within the cluster, for somebody outside."""

    def __init__(self, batches: Sequence[Sequence[PhotoToEmbed]], order: Order, workers: int) -> None:
        self._receipts = work_on(batches, order, workers)

    def take(self) -> Receipt | str | None:
        """The next receipt; a sentence where there is none because something went wrong, None at the end."""
        try:
            return next(self._receipts, None)
        except ClusterError as error:
            return str(error)


def failed(error: Exception) -> ClusterError:
    """The cluster's own failure in one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = lines[0][:200] if len(lines) == 1 else f"{lines[0][:200]} ... {lines[-1][:200]}"
    return ClusterError(f"the cluster failed ({said}); what was embedded is kept: run the same command again to go on")


def work_on(batches: Sequence[Sequence[PhotoToEmbed]], order: Order, workers: int = 0) -> Generator[Receipt]:
    """Let the cluster work on batches; yields their receipts as they come.

    Raises ClusterError for what a worker says, and where the cluster itself fails.
    """
    data = load_ray_data()
    try:
        models, on_gpu = plan_models(order)
    except load_ray().exceptions.RayError as error:
        raise failed(error) from error
    models = min(models, workers or models)
    dataset = data.from_items(
        [{"place": place, "photos": list(batch)} for place, batch in enumerate(batches)],
        override_num_blocks=len(batches),
    )
    if on_gpu:  # on a CPU decoding is done where the model is: a core is busy with either, and nothing is copied
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
        raise failed(error) from error


def load_ray_data() -> Any:
    """Ray Data, told to be quiet: the progress bar is ours."""
    load_ray()
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Ray about its own settings
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_operator_progress_bars = False
    return ray.data


def plan_models(order: Order) -> tuple[int, bool]:
    """How many workers open the model, and whether on GPUs: one on each that can run it, or else one for each core.

    Raises ClusterError for a cluster that has neither, or whose GPUs are all taken, and Ray's errors.
    """
    ray = load_ray()
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if cpus < 1:
        raise ClusterError("the cluster has no processor to work on: start a worker, as docs/scale.md says")
    if gpus:
        tried = ray.remote(runs_on_gpu).options(num_gpus=GPU_SHARE, num_cpus=0).remote(order)
        try:
            return (gpus, True) if ray.get(tried, timeout=FREE) else (cpus, False)
        except ray.exceptions.GetTimeoutError as error:
            ray.cancel(tried, force=True)
            raise ClusterError(
                f"no GPU of the cluster was free within {FREE:g} seconds: wait for what uses them, and run it again"
            ) from error
    return cpus, False


def in_order(receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """Receipts by their place, each as soon as all before it are there."""
    waiting: dict[int, Receipt] = {}
    place = 0
    for receipt in receipts:
        waiting[int(receipt["place"])] = receipt
        while place in waiting:
            yield waiting.pop(place)
            place += 1


def remove_all(files: PartFiles, names: Iterable[str]) -> None:
    """Remove what the store has entered, or what was never kept."""
    with ThreadPoolExecutor(REMOVERS) as pool:
        list(pool.map(files.remove, filter(None, names)))
