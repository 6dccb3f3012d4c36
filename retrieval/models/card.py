"""How a network wants its input, read from the card beside it: preprocessing travels with the weights."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FOR_PEOPLE = {"licence", "suitable", "unsuitable"}  # entries of a card that no pixel sees


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
    suitable: str = ""
    unsuitable: str = ""

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


def card_path(model: Path) -> Path:
    """Where the card of a model file or folder is looked for."""
    return model.with_name(model.name + ".card.json")


def read_card(path: Path) -> Preprocessing:
    """Read a card; unknown or missing entries are refused by name."""
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
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
    """SHA-256 over a model file, or over the names and bytes of all files of a model folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file_path in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(file_path.relative_to(path).as_posix().encode() + b"\0")
        with file_path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def name_model(path: Path, digest: str, preprocessing: Preprocessing, precision: str) -> str:
    """Name weights, preprocessing and precision together: whoever changes one gets another name.

    What the card says for people is left out: a better word on its use makes no other embeddings.
    """
    steps = {name: value for name, value in asdict(preprocessing).items() if name not in FOR_PEOPLE}
    settled = json.dumps([digest, steps, precision], sort_keys=True)
    return f"{path.stem}@{hashlib.sha256(settled.encode()).hexdigest()[:12]}"
