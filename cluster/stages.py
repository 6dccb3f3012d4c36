"""The two stages of bulk embedding: decoding photos in tasks, and inference in actors that keep the model open.

Workers raise nothing: a bad photo becomes a reason, and an error that must stop the job becomes a sentence in the
receipt.
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

Batch: TypeAlias = Mapping[str, NDArray[Any]]  # one row: a batch of photos is a single item for Ray Data
Opener: TypeAlias = Callable[..., Embedder]  # opener(threads=n) opens the model on any machine

SAME = ("numpy", "pillow", "pillow-heif", "openvino")  # packages that decide the last bits of a row


@dataclass(frozen=True, slots=True)
class Order:
    """The parameters of a job, sent to every worker."""

    opener: Opener
    model: str  # name that the opened model must have
    made_with: str  # model and views, the name of the embedding store
    storage: str  # folder or address of the parts
    token: str  # a file there that every machine must see
    versions: Mapping[str, str]
    short_side: int
    limits: PhotoLimits
    augmentation: str
    threads: int = 1


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a row to its last bit."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in SAME:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def decode_batch(batch: Batch, order: Order) -> dict[str, list[Any]]:
    """Decode photos to crops: all pixels in one block of bytes, with the shapes as JSON."""
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
    """Embeds crops with a model that stays open; saves each batch in storage before returning its receipt."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._files = PartFiles(order.storage)
        self._embedder: Embedder | None = None

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        try:
            return self._embed(batch)
        except (FungariumError, OSError) as error:
            return receipt(int(batch["place"][0]), stop=f"{error} (reported by a worker on {socket.gethostname()})")

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
        # Not saved: a batch with unread photos, which are tried again, and one for which the model gave no row.
        kept = self._files.put(content) if rows and not unread else ""
        refused = str(found[0]) if found and not rows else ""
        return receipt(int(batch["place"][0]), content, kept=kept, unread=unread, refused=refused)

    def _open(self) -> Embedder:
        """Return the model, opened by the first batch; raises ClusterError on a machine that would give other rows."""
        if self._embedder is not None:
            return self._embedder
        order = self._order
        if not self._files.has(order.token):
            raise ClusterError(
                f"{order.storage} is not the same folder on every machine of the cluster:"
                " mount it everywhere, or set FUNGARIUM_CLUSTER_STORAGE to an address that all can reach"
            )
        if (here := package_versions()) != order.versions:
            names = sorted({*here, *order.versions})
            other = [f"{name} {here.get(name, 'not')}" for name in names if here.get(name) != order.versions.get(name)]
            raise ClusterError(
                f"a worker has other package versions ({', '.join(other)}): install the same on all machines"
            )
        embedder = order.opener(threads=order.threads)
        if embedder.model != order.model:
            raise ModelError(f"a worker has the model {embedder.model} where this machine has {order.model}")
        self._embedder = embedder
        return embedder


def runs_on_gpu(order: Order) -> bool:
    """Whether the model runs on this machine's GPU; errors return False, since they are reported with the work."""
    try:
        return "cuda" in str(order.opener(threads=order.threads).card.get("runtime", ""))
    except (FungariumError, OSError):
        return False


def unpack(about: Sequence[Mapping[str, Any]], pixels: bytes) -> list[list[View]]:
    """Rebuild the crops of each decoded photo from `decode_batch`, without copying pixels."""
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
    """Describe a finished batch: its part, the part's name in storage, and the photos that could not be read.

    `refused` is the model's error if it embedded none of the photos, `stop` the reason why the job cannot continue.
    """
    return {
        "place": [place],
        "part": [part],
        "kept": [kept],
        "unread": [json.dumps(unread or {})],
        "refused": [refused],
        "stop": [stop],
    }
