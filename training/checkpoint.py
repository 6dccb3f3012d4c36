"""Training checkpoints, loaded without executing code from the file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from training.network import TrainingError

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a training: weights, optimiser and step, with the recipe."""

    recipe: dict[str, Any]
    step: int
    network: dict[str, Any]
    heads: dict[str, Any]
    optimiser: dict[str, Any]
    average: dict[str, Any]
    ranks: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically, so that an interruption leaves the previous checkpoint intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    body = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    torch.save({"format": FORMAT, **body}, beside)
    beside.replace(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Load a checkpoint without executing code (`weights_only`); raises TrainingError if it is missing or damaged."""
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
