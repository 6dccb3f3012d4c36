"""Whether a head fitted to a collection would help: measured by cross-validation, and kept beside its features."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.embedding.embeddings import EmbeddingStore
from indexer.embedding.fit_head import join_groups, judge_heads
from indexer.embedding.held_out import RecallGain, askable
from indexer.embedding.projection import Labels, Rows
from retrieval.models.embedder import DIM
from retrieval.models.head import Head
from retrieval.progress import Progress, silent

ADVICE = "`fungarium model fit-head --build` fits it, builds and calibrates"
PHOTOS = 1500  # of whole species that are judged at most: a minute
LEAST = 50  # observations that can be asked for: with fewer, no interval is above zero
GROWN = 0.1  # share by which a collection may change before it is measured again


@dataclass(frozen=True, slots=True)
class HeadAdvice:
    """The gain of the better kind of head over the numbers that a model has now."""

    model: str  # the network, without a head
    photos: int  # of the collection
    judged: int  # photos of whole species that were judged
    species: int
    observations: int  # groups that were asked for
    kind: str
    gain: RecallGain

    @property
    def pays(self) -> bool:
        """Whether the head names more species beyond chance: the 95 % interval lies above zero."""
        return self.gain.low > 0

    def describe(self) -> str:
        """Return the gain in a sentence, and the command."""
        found = self.gain
        points = f"{100 * found.gain:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
        measured = (
            f"{found.after:.3f} of the species first instead of {found.before:.3f}, {points}, cross-validated over "
            f"{self.observations:,} observations ({self.judged:,} of {self.photos:,} photos)"
        )
        if not self.pays:
            return f"a head fitted to this collection is not shown to help: {measured}"
        return f"a head fitted to this collection would name {measured}"

    def still_holds(self, photos: int) -> bool:
        """Whether the collection has nearly as many photos as when it was measured."""
        return abs(photos - self.photos) <= GROWN * self.photos


def judge_advice(
    features: Rows, labels: Labels, *, own: Head | None, seed: int = 1, progress: Progress = silent
) -> dict[str, Any] | None:
    """Measure what a fitted head gains on features (photos, width) of length 1; None for too few observations.

    `own` is the head that the model has now. The values are those of `HeadAdvice` that the features tell.
    """
    if own is None and features.shape[1] != DIM:  # it has no numbers that an index could hold
        return None
    joined = join_groups(features, labels)
    asked = askable(joined)
    if len(asked) < LEAST:
        return None
    verdict = judge_heads(features, joined, own=own, seed=seed, progress=progress)
    assert verdict.gain is not None
    return {
        "judged": len(features),
        "species": len(np.unique(labels.species)),
        "observations": len(asked),
        "kind": verdict.best,
        "gain": verdict.gain,
    }


def advice_path(folder: Path, model: str) -> Path:
    """Return the file of a network's advice, beside its embeddings."""
    return EmbeddingStore.file_of(folder, model).with_suffix(".advice.json")


def write_advice(folder: Path, advice: HeadAdvice) -> None:
    """Remember an advice; the file is replaced atomically."""
    path = advice_path(folder, advice.model)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps(asdict(advice), indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def read_advice(folder: Path, model: str) -> HeadAdvice | None:
    """Read a network's advice; None where there is none, or it is damaged and has to be measured again."""
    try:
        body = json.loads(advice_path(folder, model).read_text(encoding="utf-8"))
        return HeadAdvice(**{**body, "gain": RecallGain(**body["gain"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
