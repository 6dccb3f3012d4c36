"""Neural networks as embedders, independent of the runtime: cropping, batching, projection head and model name."""

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

BATCH = 16  # views in one call: larger batches are no faster on a CPU and need more memory

Features: TypeAlias = NDArray[np.float32]  # (views, width), the network's output


class Network(Protocol):
    """A network opened in a runtime."""

    @property
    def runtime(self) -> str:
        """The runtime's name, for the card."""
        ...

    def infer(self, squares: Pixels) -> Features:
        """Run on uint8 pixels (views, crop, crop, 3); returns (views, width). Thread-safe."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Identifies a network, without its preprocessing."""

    name: str  # for display: the stem of the file, or the name in the handle
    handle: str  # without the path of the folder
    digest: str  # SHA-256 of the weights


class Backbone:
    """An open network with its preprocessing: views in, features of the network's own width out."""

    def __init__(self, network: Network, identity: Identity, preprocessing: Preprocessing) -> None:
        self.network = network
        self.identity = identity
        self.preprocessing = preprocessing
        side = preprocessing.crop
        probe = network.infer(np.zeros((1, side, side, 3), dtype=np.uint8))
        self.width = int(probe.shape[-1])

    @property
    def runtime(self) -> str:
        """The runtime's name, for the card."""
        return self.network.runtime

    @property
    def parts(self) -> list[Mapping[str, Any]]:
        """The cards of the models that this one joins; empty for a single network."""
        return []

    @property
    def name(self) -> str:
        """Name of weights and preprocessing, without a head."""
        return name_model(self.identity.name, self.identity.digest, self.preprocessing, self.preprocessing.precision)

    def features(self, views: Sequence[View]) -> Features:
        """Return the features (views, width), in the order of the views."""
        blocks = [np.zeros((0, self.width), dtype=np.float32)]
        for start in range(0, len(views), BATCH):
            squares = np.stack([crop_square(view, self.preprocessing) for view in views[start : start + BATCH]])
            blocks.append(self.network.infer(squares))
        return np.concatenate(blocks)


class NetworkEmbedder:
    """An embedder made of a network and, where its width is not 256 or one was fitted, a projection head.

    Raises ModelError where the head does not fit the network, or the width is not 256 and there is no head.
    """

    def __init__(self, backbone: Backbone, head: Head | None = None) -> None:
        self.backbone = backbone
        self._head = head
        name = backbone.identity.name
        if head is not None and head.width != backbone.width:
            raise ModelError(
                f"the head was fitted on {head.width} numbers per view, and {name} gives {backbone.width}: "
                "fit one on this network with `fungarium model fit-head`"
            )
        if head is None and backbone.width != DIM:
            raise ModelError(
                f"{name} gives {backbone.width} numbers per view, and an index holds {DIM}: "
                "choose an output of that width in its card, or fit a head with `fungarium model fit-head`"
            )
        preprocessing = backbone.preprocessing
        self._model = name_model(
            name, backbone.identity.digest, preprocessing, preprocessing.precision, head.name if head else ""
        )

    @property
    def model(self) -> str:
        return self._model

    @property
    def head(self) -> Head | None:
        """The projection head, if there is one."""
        return self._head

    @property
    def short_side(self) -> int:
        return self.backbone.preprocessing.resize

    @property
    def card(self) -> Mapping[str, Any]:
        preprocessing = self.backbone.preprocessing
        described = {
            "model": self._model,
            "handle": self.backbone.identity.handle,
            "runtime": self.backbone.runtime,
            "digest": self.backbone.identity.digest,
            "dimension": DIM,
            "precision": preprocessing.precision,
            "preprocessing": asdict(preprocessing),
        }
        if self.backbone.parts:
            described["members"] = self.backbone.parts
        if self._head is not None:
            made = {} if "recipe" in self._head.facts else {"digest": self._head.digest}
            described["head"] = {**made, "width": self._head.width, **self._head.facts}
        return described

    def embed(self, views: Sequence[View]) -> Embeddings:
        return self.project(self.backbone.features(views)) if views else np.zeros((0, DIM), dtype=np.float32)

    def project(self, features: Features) -> Embeddings:
        """Return the embeddings (views, 256) of the network's features (views, width), on any scale.

        Raises ModelError for a row of zeros or not finite.
        """
        try:
            return unit_rows(features if self._head is None else self._head.project(features))
        except ValueError as error:
            raise ModelError(f"the model {self._model} cannot be used: {error}") from error


def crop_square(view: View, preprocessing: Preprocessing) -> Pixels:
    """Centre-crop a view to (crop, crop, 3) uint8; a view whose shorter side is not `resize` is scaled first."""
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
    """Normalise pixels by mean and std and convert them to the layout, for runtimes that do not do it themselves."""
    mean = np.asarray(preprocessing.mean, dtype=np.float32)
    std = np.asarray(preprocessing.std, dtype=np.float32)
    wanted = (squares.astype(np.float32) / 255.0 - mean) / std
    return np.ascontiguousarray(wanted if preprocessing.layout == "NHWC" else np.moveaxis(wanted, -1, -3))
