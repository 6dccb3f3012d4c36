"""A training on disk: read without running anything that the file says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from training.network import TrainingError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights, optimiser and place of a training; the recipe says what they are of."""

    recipe: dict[str, Any]
    step: int
    network: dict[str, Any]
    heads: dict[str, Any]
    optimiser: dict[str, Any]
    average: dict[str, Any]
    ranks: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write beside, then switch, so that an interruption leaves the last one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    body = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    torch.save({"format": FORMAT, **body}, beside)
    beside.replace(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read numbers and names, nothing that could run (`weights_only`)."""
    try:
        body = torch.load(path, map_location="cpu", weights_only=True)
        if body.pop("format") != FORMAT:
            raise TrainingError(f"{path} was written by another version of the trainer")
        return Checkpoint(**body)
    except FileNotFoundError as error:
        raise TrainingError(f"there is no checkpoint at {path}") from error
    except TrainingError:
        raise
    except Exception as error:  # torch raises whatever its unpickler does on a damaged file
        raise TrainingError(f"{path} is damaged or no checkpoint of this trainer") from error
