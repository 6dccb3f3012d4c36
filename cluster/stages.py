"""What workers do with a batch of photos: one kind decodes on CPUs, the other infers with a model that it holds open.

Nothing is raised across the cluster: a bad photo is a reason, and what must stop the job is a sentence in the result.
"""

from __future__ import annotations

import json
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cluster.parts import PartFiles, ShardPart
from indexer.embedding.embed import PhotoToEmbed, UnreadablePhoto, embed_views, read_crops
from indexer.embedding.embeddings import STORED
from retrieval.errors import ClusterError, FungariumError, ModelError
from retrieval.models.embedder import Embedder, View
from retrieval.photos.views import PhotoLimits

Batch: TypeAlias = Mapping[str, NDArray[Any]]  # of one row: a batch of photos goes through the cluster as one thing
Opener: TypeAlias = Callable[..., Embedder]  # opener(threads=n) opens the model, on any machine

SAME = ("numpy", "pillow", "pillow-heif", "openvino")  # what a row's last bits depend on


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker of a job must know."""

    opener: Opener
    model: str  # what the opened model must be called
    made_with: str  # model and views, as the embedding store is named
    storage: str  # where parts are kept
    token: str  # a file there which every machine must see
    versions: Mapping[str, str]
    short_side: int
    limits: PhotoLimits
    augmentation: str
    threads: int = 1


def package_versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide what a row is, to its last bit."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in SAME:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def decode_batch(batch: Batch, order: Order) -> dict[str, list[Any]]:
    """Photos to crops: the pixels of all in one block of bytes, their shapes beside it."""
    photos: Sequence[PhotoToEmbed] = batch["photos"][0]
    about: list[dict[str, Any]] = []
    blocks: list[bytes] = []
    for photo in photos:
        crops = read_crops(photo, order.short_side, order.limits, augmentation=order.augmentation)
        if isinstance(crops, list):
            about.append({"photo": photo.photo, "shapes": [crop.pixels.shape for crop in crops]})
            blocks += [crop.pixels.tobytes() for crop in crops]
        elif isinstance(crops, UnreadablePhoto):
            about.append({"photo": photo.photo, "unread": crops.reason})
        else:
            about.append({"photo": photo.photo, "reason": crops})
    return {"place": [int(batch["place"][0])], "about": [json.dumps(about)], "pixels": [b"".join(blocks)]}


class InferBatch:
    """Crops to rows, with one model for as long as the worker lives; a batch is kept in storage before it is told."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._files = PartFiles(order.storage)
        self._embedder: Embedder | None = None

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        try:
            return self._embed(batch)
        except (FungariumError, OSError) as error:
            return receipt(int(batch["place"][0]), stop=f"{error} (a worker on {socket.gethostname()} says so)")

    def _embed(self, batch: Batch) -> dict[str, list[Any]]:
        if "pixels" not in batch:
            batch = {name: np.array(values, dtype=object) for name, values in decode_batch(batch, self._order).items()}
        embedder, about = self._open(), json.loads(str(batch["about"][0]))
        found = embed_views(unpack(about, batch["pixels"][0]), embedder, trusted=True)
        each = iter(found)
        outcomes = {photo["photo"]: next(each) if "shapes" in photo else photo.get("reason") for photo in about}
        unread = {photo["photo"]: str(photo["unread"]) for photo in about if "unread" in photo}
        rows = {photo: row for photo, row in outcomes.items() if isinstance(row, np.ndarray)}
        part = ShardPart(
            self._order.made_with,
            tuple(rows),
            np.stack([*rows.values()]).astype(STORED) if rows else np.zeros((0, 0), dtype=STORED),
            {photo: reason for photo, reason in outcomes.items() if isinstance(reason, str)},
        )
        content = part.encode()
        # What could not be read is tried again, and of a model that does nothing nothing stays.
        kept = self._files.put(content) if rows and not unread else ""
        refused = str(found[0]) if found and not rows else ""
        return receipt(int(batch["place"][0]), content, kept=kept, unread=unread, refused=refused)

    def _open(self) -> Embedder:
        """The model, opened by the first batch and held; refuses a machine that would make other rows."""
        if self._embedder is not None:
            return self._embedder
        order = self._order
        if not self._files.has(order.token):
            raise ClusterError(
                f"{order.storage} is not the same folder on every machine of the cluster:"
                " mount it everywhere, or name an address that all reach with FUNGARIUM_CLUSTER_STORAGE"
            )
        if (here := package_versions()) != order.versions:
            names = sorted({*here, *order.versions})
            other = [f"{name} {here.get(name, 'not')}" for name in names if here.get(name) != order.versions.get(name)]
            raise ClusterError(
                f"a worker has other packages ({', '.join(other)}): install the same on all machines of the cluster"
            )
        embedder = order.opener(threads=order.threads)
        if embedder.model != order.model:
            raise ModelError(f"a worker has the model {embedder.model} where this machine has {order.model}")
        self._embedder = embedder
        return embedder


def runs_on_gpu(order: Order) -> bool:
    """Whether the model uses the GPU of the machine that this runs on; what is wrong there is told with the work."""
    try:
        return "cuda" in str(order.opener(threads=order.threads).card.get("runtime", ""))
    except (FungariumError, OSError):
        return False


def unpack(about: Sequence[Mapping[str, Any]], pixels: bytes) -> list[list[View]]:
    """The crops of each photo that has some, as they were before they were packed; nothing is copied."""
    photos, start = [], 0
    for photo in about:
        if "shapes" in photo:
            crops = []
            for shape in photo["shapes"]:
                length = int(np.prod(shape))
                crops.append(View(np.frombuffer(pixels, dtype=np.uint8, count=length, offset=start).reshape(shape)))
                start += length
            photos.append(crops)
    return photos


def receipt(
    place: int,
    part: bytes = b"",
    *,
    kept: str = "",
    unread: Mapping[str, str] | None = None,
    refused: str = "",
    stop: str = "",
) -> dict[str, list[Any]]:
    """What the driver hears of a batch: its part, the name under which storage keeps it, what was not readable.

    `refused` is what the model says where it has a row for none of its photos, `stop` why the job cannot go on.
    """
    return {
        "place": [place],
        "part": [part],
        "kept": [kept],
        "unread": [json.dumps(unread or {})],
        "refused": [refused],
        "stop": [stop],
    }
