"""What all networks share, whichever runtime runs them: pixels cut for them, a head behind them, one name for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing, name_model
from retrieval.models.embedder import DIM, Embeddings, Pixels, View, unit_rows
from retrieval.models.head import Head

BATCH = 16  # views in one call: more gains nothing on a CPU and only takes memory

Features: TypeAlias = NDArray[np.float32]  # (views, width), as the network gives them


class Network(Protocol):
    """A network that is open in some runtime."""

    @property
    def runtime(self) -> str:
        """What runs it, for the card."""
        ...

    def infer(self, squares: Pixels) -> Features:
        """(views, crop, crop, 3) uint8 to (views, width); safe for threads."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """What a network is, apart from its preprocessing."""

    name: str  # for people: the stem of its file, or what the handle calls it
    handle: str  # without the folder it lies in
    digest: str  # of its weights


class Backbone:
    """An open network with its preprocessing: views in, rows of its own width out."""

    def __init__(self, network: Network, identity: Identity, preprocessing: Preprocessing) -> None:
        self.network = network
        self.identity = identity
        self.preprocessing = preprocessing
        side = preprocessing.crop
        probe = network.infer(np.zeros((1, side, side, 3), dtype=np.uint8))
        self.width = int(probe.shape[-1])

    @property
    def name(self) -> str:
        """Weights and preprocessing under one name, without a head."""
        return name_model(self.identity.name, self.identity.digest, self.preprocessing, self.preprocessing.precision)

    def features(self, views: Sequence[View]) -> Features:
        """(views, width), in their order."""
        blocks = [np.zeros((0, self.width), dtype=np.float32)]
        for start in range(0, len(views), BATCH):
            squares = np.stack([crop_square(view, self.preprocessing) for view in views[start : start + BATCH]])
            blocks.append(self.network.infer(squares))
        return np.concatenate(blocks)


class NetworkEmbedder:
    """A network behind the embedder's promise, with a head where its width is not 256 or it learned one."""

    def __init__(self, backbone: Backbone, head: Head | None = None) -> None:
        self.backbone = backbone
        self._head = head
        name = backbone.identity.name
        if head is not None and head.width != backbone.width:
            raise ModelError(
                f"the head was fitted on {head.width} numbers a view, and {name} gives {backbone.width}: "
                "fit one on this network with `fungarium model fit-head`"
            )
        if head is None and backbone.width != DIM:
            raise ModelError(
                f"{name} gives {backbone.width} numbers a view, and an index holds {DIM}: "
                "choose an output of that width in its card, or fit a head with `fungarium model fit-head`"
            )
        preprocessing = backbone.preprocessing
        self._model = name_model(
            name, backbone.identity.digest, preprocessing, preprocessing.precision, head.digest if head else ""
        )

    @property
    def model(self) -> str:
        return self._model

    @property
    def short_side(self) -> int:
        return self.backbone.preprocessing.resize

    @property
    def card(self) -> Mapping[str, Any]:
        preprocessing = self.backbone.preprocessing
        described = {
            "model": self._model,
            "handle": self.backbone.identity.handle,
            "runtime": self.backbone.network.runtime,
            "digest": self.backbone.identity.digest,
            "dimension": DIM,
            "precision": preprocessing.precision,
            "preprocessing": asdict(preprocessing),
        }
        if self._head is not None:
            described["head"] = {"digest": self._head.digest, "width": self._head.width, **self._head.facts}
        return described

    def embed(self, views: Sequence[View]) -> Embeddings:
        if not views:
            return np.zeros((0, DIM), dtype=np.float32)
        try:
            features = self.backbone.features(views)
            return unit_rows(features if self._head is None else self._head.project(features))
        except ValueError as error:
            raise ModelError(f"the model {self._model} cannot be used: {error}") from error


def crop_square(view: View, preprocessing: Preprocessing) -> Pixels:
    """Cut the centre square of a view, scaled first if its shorter side is another; (crop, crop, 3) uint8."""
    pixels, side = view.pixels, preprocessing.crop
    height, width = pixels.shape[:2]
    if min(height, width) != preprocessing.resize:
        factor = preprocessing.resize / min(height, width)
        size = (max(side, round(width * factor)), max(side, round(height * factor)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        height, width = pixels.shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def normalise(squares: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Bring pixels to the network's range and layout, for runtimes that cannot do it themselves."""
    mean = np.asarray(preprocessing.mean, dtype=np.float32)
    std = np.asarray(preprocessing.std, dtype=np.float32)
    wanted = (squares.astype(np.float32) / 255.0 - mean) / std
    return np.ascontiguousarray(wanted if preprocessing.layout == "NHWC" else np.moveaxis(wanted, -1, -3))
