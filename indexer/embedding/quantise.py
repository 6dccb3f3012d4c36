"""Brings a network to fewer bits: bf16 by OpenVINO's own hint, int8 by NNCF, calibrated on the collection's photos.

Neither is used on trust: `judge_precision` compares recall@1 with f32 on the collection, and refuses what costs more
than half a point.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.embedding.held_out import MeasuredRecall, askable, measure_recall
from indexer.embedding.projection import Labels
from retrieval.errors import BuildError, ModelError
from retrieval.models.card import MOST_LOST, Preprocessing
from retrieval.models.embedder import Embeddings, Pixels
from retrieval.models.head import TEMPERATURE
from retrieval.models.network import normalise
from retrieval.models.openvino import open_network, show_output
from retrieval.progress import Progress, silent
from retrieval.ranking.groups import group_observations

CALIBRATION = 300  # photos: what NNCF's own default asks for


def spread_evenly(count: int, wanted: int) -> list[int]:
    """All places of `count` things, in an order of which the first `wanted` lie evenly over all of them.

    Those after them stand in for photos that cannot be read, and are spread too: in the order of the fractions of their
    multiples of the golden ratio.
    """
    first = [place * count // wanted for place in range(wanted)] if count > wanted else list(range(count))
    return first + sorted(set(range(count)) - set(first), key=lambda place: (place * 0x9E3779B1) % 2**32)


def write_int8(network: Path, preprocessing: Preprocessing, squares: Sequence[Pixels], out: Path) -> Path:
    """Quantise a network after training, calibrated on photos (each (crop, crop, 3)); writes OUT.xml with OUT.bin."""
    if find_spec("nncf") is None:
        raise ModelError("networks are brought to int8 by NNCF, which is missing: pip install -r requirements-int8.txt")
    read = open_network(network)
    import nncf
    import openvino

    show_output(read, preprocessing.output)
    side = preprocessing.crop
    read.reshape([-1, 3, side, side] if preprocessing.layout == "NCHW" else [-1, side, side, 3])
    photos = nncf.Dataset(list(squares), lambda square: normalise(square[None], preprocessing))
    quantised = nncf.quantize(read, photos, subset_size=len(squares), preset=nncf.QuantizationPreset.MIXED)
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_name(f"{out.name}.xml")
    openvino.save_model(quantised, str(path), compress_to_fp16=False)
    return path


def judge_precision(
    exact: Embeddings,
    lower: Embeddings,
    labels: Labels,
    model: str,
    *,
    taught: NDArray[np.bool_] | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> dict[str, Any]:
    """What the recall gate measured, for the card; raises BuildError where the lower precision costs too much.

    Rows of `exact` and `lower` are of the same photos; `model` names the one at f32. Observations with photos that
    `taught` the model (photos,) answer, but are not asked for: of them it knows more than it will of any new one.
    Observations that share a near-identical photo are one, so that a copy neither judges nor answers for its original.
    """
    labels = replace(labels, observations=group_observations(labels.observations, exact))
    asked = askable(labels, seed=seed)
    if not len(asked):
        raise BuildError("no species has two observations, so the recall gate has nothing to ask: import more photos")
    if taught is not None:
        asked = np.setdiff1d(asked, labels.observations[taught])
    if not len(asked):
        raise BuildError(
            "all observations that the recall gate could ask for taught the model, so that they cannot judge it: fit "
            "its head with a part of them held out (--held-out), or import photos that it has not seen"
        )
    before: MeasuredRecall = measure_recall(exact, labels, asked, temperature=TEMPERATURE, progress=progress)
    after: MeasuredRecall = measure_recall(lower, labels, asked, temperature=TEMPERATURE, progress=progress)
    if after.first < before.first - MOST_LOST:
        raise BuildError(
            f"recall@1 falls from {before.first:.3f} to {after.first:.3f} over {len(asked)} observations, by more than "
            f"{MOST_LOST:.3f}: nothing was written; use f32"
        )
    cosine = float(np.mean(np.sum(exact * lower, axis=1)))
    return {
        "model": model,
        "observations": len(asked),
        "recall_f32": round(before.first, 6),
        "recall": round(after.first, 6),
        "cosine": round(cosine, 6),
    }


def write_lower_card(path: Path, preprocessing: Preprocessing, precision: str, gate: dict[str, Any]) -> None:
    """Write the card that lets the lower precision be used, in one step."""
    card = asdict(replace(preprocessing, precision=precision, gate=gate))
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
