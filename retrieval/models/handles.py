"""From a handle such as `onnx:PATH` to an open model."""

from __future__ import annotations

from pathlib import Path

from retrieval.embedder import Embedder
from retrieval.errors import ModelError, UnknownModel
from retrieval.models.card import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, card_path, read_card

HANDLES = {
    "default": "the small network that comes with the program, trained on drawings",
    "descriptor": "colour, texture and shape counted by hand; needs no file",
    "onnx:PATH": "an ONNX file, with PATH.card.json beside it (or --card) for its preprocessing",
    "hub:PATH": "a folder of a TF1-Hub module or a TF2 SavedModel, pixels in [0, 1]",
}


SHIPPED = Path(__file__).with_name("fungarium_small.onnx")
"""What `default` names; `make model` makes it from nothing (docs/training.md)."""


def open_model(handle: str, card: Path | None = None) -> Embedder:
    """Open the model that a handle names; `card` says where its preprocessing is written, if not beside it.

    Runtimes are imported here and not before, so that nobody pays for one that is not used.
    """
    if handle == "descriptor":
        from retrieval.models.descriptor import Descriptor

        return Descriptor()
    if handle == "default":
        from retrieval.models.openvino import OpenVinoEmbedder

        return OpenVinoEmbedder(SHIPPED, "default", read_card(card_path(SHIPPED)))
    kind, _, where = handle.partition(":")
    if kind not in {"onnx", "hub"} or not where:
        raise UnknownModel(f"{handle!r} is no model handle; there are: {', '.join(HANDLES)}")
    path = Path(where).expanduser()
    if not path.exists():
        raise UnknownModel(f"there is no model at {path}")
    if kind == "hub" and not (path / "saved_model.pb").is_file():
        raise UnknownModel(f"{path} is no folder of a TF-Hub module: it has no saved_model.pb")
    from retrieval.models.openvino import OpenVinoEmbedder

    beside = card_path(path)
    if card is not None or beside.is_file():
        preprocessing = read_card(card or beside)
    else:
        preprocessing = assume_preprocessing(kind, path)
    return OpenVinoEmbedder(path, f"{kind}:{path.name}", preprocessing)


def assume_preprocessing(kind: str, path: Path) -> Preprocessing:
    """What to assume of a model without a card: the conventions of its kind, and its own input size.

    A network that takes any size does not say which it was made for; guessing would give
    embeddings that look right and are not, so it is refused.
    """
    from retrieval.models.openvino import network_input, open_network

    shape, layout = network_input(open_network(path))
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
