"""How a network wants its input, read from the card beside it: preprocessing travels with the weights."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PRECISIONS = ("f32", "bf16", "int8")
MOST_LOST = 0.005  # of recall@1 that a lower precision may cost
FOR_PEOPLE = {"licence", "origin", "measured", "suitable", "unsuitable", "gate", "seconds", "taught"}
"""Entries of a card that no pixel sees."""

SETTLED_APART = {"precision", "head"}  # they are in the name too, but not as they are written


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From a view to the network's input: scale the shorter side, cut the centre, bring pixels to the wanted range."""

    resize: int  # pixels of the shorter side
    crop: int  # pixels of the square cut from the centre
    layout: str = "NCHW"  # or NHWC
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of pixels in [0, 1]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    output: str = ""  # name of the network's output; empty: the only one, or the one of the right width
    licence: str = "not stated"
    origin: str = ""  # who trained the network, on what, and where the weights come from
    measured: str = ""  # what it was measured to do
    suitable: str = ""
    unsuitable: str = ""
    precision: str = "f32"  # one of PRECISIONS; what is not f32 has passed the recall gate
    gate: Mapping[str, Any] | None = None  # what the recall gate measured
    taught: Mapping[str, Any] | None = None  # which photos the network learned species from; see provenance.py
    head: str = ""  # file beside the card that brings the network's width to 256
    seconds: float = 10.0  # that a server may take for one answer

    def __post_init__(self) -> None:
        if self.layout not in {"NCHW", "NHWC"}:
            raise ModelError(f"a model card's layout must be NCHW or NHWC, not {self.layout!r}")
        if not (type(self.resize) is int and type(self.crop) is int):
            raise ModelError("a model card's resize and crop must be whole numbers of pixels")
        if not 0 < self.crop <= self.resize:
            raise ModelError(f"a model card's crop ({self.crop}) must lie between 1 and its resize ({self.resize})")
        finite = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if len(self.mean) != 3 or len(self.std) != 3 or not finite or not all(value > 0 for value in self.std):
            raise ModelError("a model card's mean and std must have three numbers each, std above zero")
        if not (type(self.seconds) in {int, float} and 0 < self.seconds < math.inf):
            raise ModelError("a model card's seconds must be a number above zero")
        if self.precision not in PRECISIONS:
            raise ModelError(f"a model card's precision is {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.precision != "f32":
            check_gate(self.precision, self.gate)


def check_gate(precision: str, gate: Mapping[str, Any] | None) -> None:
    """Refuse a precision below f32 whose recall on a collection nobody has measured, or that costs too much."""
    if gate is None or not all(isinstance(gate.get(name), int | float) for name in ("recall", "recall_f32")):
        raise ModelError(
            f"a model card asks for {precision} without a measured recall: "
            f"`fungarium model lower HANDLE --precision {precision}` measures it and writes the card"
        )
    if gate["recall"] < gate["recall_f32"] - MOST_LOST:
        raise ModelError(
            f"at {precision} recall@1 falls from {gate['recall_f32']:.3f} to {gate['recall']:.3f}, "
            f"by more than {MOST_LOST:.3f}: use f32"
        )


def card_path(model: Path) -> Path:
    """Where the card of a model file or folder is looked for."""
    return model.with_name(model.name + ".card.json")


def read_card(path: Path) -> Preprocessing:
    """Read a card; unknown or missing entries are refused by name."""
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if unknown := sorted(set(body) - set(Preprocessing.__dataclass_fields__)):
            raise TypeError(f"it has an entry {unknown[0]!r}")
        for pair in ("mean", "std"):
            if pair in body:
                body[pair] = tuple(float(number) for number in body[pair])
        return Preprocessing(**body)
    except FileNotFoundError as error:
        raise ModelError(f"there is no model card at {path}") from error
    except (OSError, ValueError, TypeError) as error:
        known = ", ".join(Preprocessing.__dataclass_fields__)
        raise ModelError(f"the model card {path} cannot be used ({error}); its entries are: {known}") from error


def digest_model(path: Path) -> str:
    """SHA-256 over a model file, or over the names and bytes of all files of a model folder.

    OpenVINO's own format is two files: the weights lie in the .bin beside the .xml.
    """
    if path.suffix == ".xml" and path.with_suffix(".bin").is_file():
        parts = [digest_model(path.with_suffix(".bin")), hashlib.sha256(path.read_bytes()).hexdigest()]
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file_path in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(file_path.relative_to(path).as_posix().encode() + b"\0")
        with file_path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def name_model(stem: str, digest: str, preprocessing: Preprocessing, precision: str, head: str = "") -> str:
    """Name weights, preprocessing, precision and head (its digest) together: whoever changes one gets another name.

    What the card says for people is left out: a better word on its use makes no other embeddings.
    """
    left_out = FOR_PEOPLE | SETTLED_APART
    steps = {name: value for name, value in asdict(preprocessing).items() if name not in left_out}
    settled = json.dumps([digest, steps, precision, *([head] if head else [])], sort_keys=True)
    return f"{stem}@{hashlib.sha256(settled.encode()).hexdigest()[:12]}"
