"""Measures boxes suggested by a network: `python -m benchmarks.models.region_of_interest PHOTOS.csv`.

PHOTOS.csv has `file`, `species` and `observation`, files relative to it. The whole photo, its shorter side as long as
the network's input, gives the planes before pooling. Two unsupervised methods turn them into a box: `strength`, the sum
of the planes at each position, kept above its mean (SCDA: Wei et al. 2017), and `direction`, the first principal
component over the positions of all photos, kept above zero (DDT: Wei et al. 2019). The largest connected component is
the box.

Plain votes tell what the boxes gain, as they are or `framed`: enlarged about their middle until the part that the
network sees of a view covers them. On drawings the true extent of the fungi is known. What was decided before the first
look: boxes are worth building if they gain on photos with an interval above zero, or if on drawings at least 70 % of
them have an intersection over union with the true box of 0.5, more than the middle of the photo has, with an interval
above zero.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.models.embedding import machine
from evaluation.galleries.gallery import Gallery
from evaluation.measuring.ablate import paired_gain
from evaluation.measuring.views import rank_true_species, share_votes
from evaluation.specimens import agaric, ball, bracket, coral, photo
from evaluation.specimens.camera import Camera, encode, expose, open_canvas
from evaluation.specimens.canvas import Picture
from evaluation.specimens.traits import sample_individual
from evaluation.specimens.world import make_world
from indexer.building.build import suited_voting
from retrieval.models.efficientnet_lite import convert_lite
from retrieval.models.embedder import Pixels
from retrieval.models.handles import model_cache, open_model
from retrieval.models.network import NetworkEmbedder
from retrieval.models.openvino import open_network
from retrieval.photos.crops import Box, decode_crops
from retrieval.photos.views import CURATED, decode_view
from retrieval.ranking.groups import group_observations
from retrieval.ranking.votes import Voting

METHODS = ("strength", "direction")
SIZES = (480, 640)  # of a drawing's longer side
SAME = 0.02  # of the range of colours: what differs less from the ground was not drawn on
HALF = 0.5  # intersection over union from which a box counts as found


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo's bytes and labels, and for a drawing the box around its fungi."""

    data: bytes
    species: int
    observation: int
    truth: Box | None = None


class Planes:
    """The network's planes before pooling, of photos of any size."""

    def __init__(self, embedder: NetworkEmbedder) -> None:
        import openvino

        preprocessing = embedder.backbone.preprocessing
        self.side = preprocessing.crop
        network = open_network(convert_lite("lite0", model_cache()))
        network.reshape([1, 3, -1, -1])
        last = [step for step in network.get_ordered_ops() if step.get_type_name() == "Clamp"][-1]
        inner = openvino.Model([last.output(0)], network.get_parameters())
        hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        self.run = openvino.Core().compile_model(inner, "CPU", hints)
        self.mean, self.std = (255 * np.asarray(part, np.float32) for part in (preprocessing.mean, preprocessing.std))

    def read(self, data: bytes) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Return the planes (channels, height, width) of a whole photo, and the width and height of its view."""
        pixels = decode_view(data, self.side, CURATED).pixels
        squares = np.moveaxis((pixels.astype(np.float32) - self.mean) / self.std, -1, 0)[None]
        found = np.array(self.run([np.ascontiguousarray(squares)])[0][0], dtype=np.float32)
        return found, (pixels.shape[1], pixels.shape[0])


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?", help="table of photos; without it, drawings")
    parser.add_argument("--species", type=int, default=24, help="of the drawn collection")
    parser.add_argument("--every", type=int, default=4, help="draw one find in so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/region_of_interest.json"))
    options = parser.parse_args()
    embedder = open_model("lite0", threads=1)
    assert isinstance(embedder, NetworkEmbedder)
    planes = Planes(embedder)
    name = "photos" if options.photos else "drawings"
    source = (
        read_photos(options.photos) if options.photos else draw_photos(options.seed, options.species, options.every)
    )
    found = measure(list(tqdm(source, desc=name)), embedder, planes, options.seed)
    known = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    result = {**known, "machine": machine(), "model": embedder.model, "seed": options.seed, name: found}
    print(json.dumps({name: found}, indent=1))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def read_photos(table: Path) -> Iterator[LabelledPhoto]:
    """Read the photos of a table; species and observations are numbered as they come."""
    species: dict[str, int] = {}
    observations: dict[str, int] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            one = species.setdefault(row["species"], len(species))
            find = observations.setdefault(row["observation"], len(observations))
            yield LabelledPhoto((table.parent / row["file"]).read_bytes(), one, find)


def draw_photos(seed: int, count: int, every: int) -> Iterator[LabelledPhoto]:
    """Draw the finds of a collection, of another camera than `fungarium demo draw` has, with the boxes of the fungi."""
    numbers: dict[str, int] = {}
    for find in make_world(seed, count).finds[::every]:
        traits = find.species.traits
        assert traits is not None
        individual = sample_individual(np.random.default_rng([seed, 9, find.number]))
        for place, aspect in enumerate(find.aspects):
            key = [seed, 11, find.number, place]
            size = SIZES[1], SIZES[0]
            pixels = photo.draw_photo(
                traits, individual, aspect, np.random.default_rng(key), size, habitat=find.habitat
            )
            with ExitStack() as stack:
                seen = watch_canvas(stack)
                photo.draw_photo(traits, individual, aspect, np.random.default_rng(key), size, habitat=find.habitat)
            drawn = np.abs(seen[1] - seen[0]).max(axis=-1) > SAME
            label = numbers.setdefault(find.species.name, len(numbers))
            yield LabelledPhoto(encode(pixels, 85), label, find.number, enclose(drawn))


def watch_canvas(stack: ExitStack) -> list[Picture]:
    """Have `draw_photo` put the ground and the finished canvas into the list returned, without shadows."""
    seen: list[Picture] = []

    def open_watched(ground: Any, camera: Camera) -> Picture:
        canvas = open_canvas(ground, camera)
        seen.append(canvas.copy())
        return canvas

    def expose_watched(rng: np.random.Generator, canvas: Picture, camera: Camera, leaves: int) -> Pixels:
        seen.append(canvas.copy())
        return expose(rng, canvas, camera, leaves)

    stack.enter_context(patch.object(photo, "open_canvas", open_watched))
    stack.enter_context(patch.object(photo, "expose", expose_watched))
    for painter in (agaric, ball, bracket, coral):
        stack.enter_context(patch.object(painter, "shadow", lambda *_: None))
    return seen


def enclose(mask: NDArray[np.bool_]) -> Box:
    """Return the box around the pixels or positions (height, width) that are set; the whole where none is."""
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(down):
        return Box(0, 0, 1, 1)
    height, width = mask.shape
    left, top = int(across[0]) / width, int(down[0]) / height
    return Box(left, top, (int(across[-1]) + 1) / width - left, (int(down[-1]) + 1) / height - top)


def enclose_largest(strength: NDArray[np.float64], least: float) -> Box:
    """Return the box around the largest component of positions (height, width) above `least`, diagonals connected."""
    mask = strength > least
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:  # each position takes the highest number beside it, until components have one number
        edged = np.pad(numbers, 1)
        highest = np.lib.stride_tricks.sliding_window_view(edged, (3, 3)).max(axis=(2, 3)) * mask
        if np.array_equal(highest, numbers):
            break
        numbers = highest
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return enclose((numbers == int(sizes.argmax())) & mask)


def suggest(planes: Sequence[NDArray[np.float32]]) -> dict[str, list[Box]]:
    """Return a box for each photo's planes, by each method."""
    flat = [one.reshape(len(one), -1).astype(np.float64) for one in planes]
    count = sum(one.shape[1] for one in flat)
    mean = np.sum([one.sum(axis=1) for one in flat], axis=0) / count
    spread = sum((one @ one.T for one in flat), np.zeros((len(mean), len(mean)))) / count - np.outer(mean, mean)
    direction = np.linalg.eigh(spread)[1][:, -1]
    direction *= np.sign(spread.sum(axis=0) @ direction)  # towards stronger planes, as the fungus is
    strengths = [one.sum(axis=0, dtype=np.float64) for one in planes]
    along = [np.tensordot(direction, one - mean[:, None, None], axes=1) for one in planes]
    return {
        "strength": [enclose_largest(one, float(one.mean())) for one in strengths],
        "direction": [enclose_largest(one, 0.0) for one in along],
    }


def frame(box: Box, size: tuple[int, int], share: float) -> Box:
    """Enlarge a box of a photo (width, height) so that the middle square of a view, a share of it, covers the box."""
    half = max(box.width * size[0], box.height * size[1]) / share / 2
    sides = []
    for start, extent, pixels in ((box.left, box.width, size[0]), (box.top, box.height, size[1])):
        reach = min(half / pixels, 0.5)
        middle = min(max(start + extent / 2, reach), 1 - reach)
        sides.append((max(0.0, middle - reach), min(1.0, 2 * reach)))
    return Box(sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def measure(photos: Sequence[LabelledPhoto], embedder: NetworkEmbedder, planes: Planes, seed: int) -> dict[str, Any]:
    """Return what boxes gain by plain votes, their cost, and on drawings how well they fit."""
    start = time.process_time()
    found, sizes = zip(*(planes.read(one.data) for one in tqdm(photos, desc="planes")), strict=True)
    cost = 1000 * (time.process_time() - start) / len(photos)
    boxes: dict[str, list[Box | None]] = {"whole": [None] * len(photos)}
    suggested = suggest(found)
    seen = embedder.backbone.preprocessing.crop / embedder.backbone.preprocessing.resize
    truths = [one.truth for one in photos if one.truth]
    for name, given in {**suggested, **({"truth": truths} if truths else {})}.items():
        boxes[name] = list(given)
        boxes[f"{name}, framed"] = [frame(box, size, seen) for box, size in zip(given, sizes, strict=True)]
    rows = {}
    for name, chosen in boxes.items():
        views = (
            decode_crops(one.data, embedder.short_side, CURATED, box=box)[0]
            for one, box in zip(photos, chosen, strict=True)
        )
        rows[name] = np.concatenate([embedder.embed([view]) for view in tqdm(views, desc=name, total=len(photos))])
    result: dict[str, Any] = {
        "photos": len(photos),
        "milliseconds for a box": round(cost, 1),
        "votes": compare(photos, rows, suited_voting(embedder.card), seed),
    }
    if truths:
        result["boxes"] = compare_boxes(photos, suggested, sizes, seen, seed)
    return result


def compare(
    photos: Sequence[LabelledPhoto], rows: dict[str, NDArray[np.float32]], voting: Voting, seed: int
) -> list[dict[str, Any]]:
    """Return recall by plain votes and the gain over whole photos, for boxes of queries alone and of both sides."""
    species, observations = (np.array([getattr(one, of) for one in photos]) for of in ("species", "observation"))
    order = np.lexsort((np.arange(len(species)), observations, species))
    kinds, columns = np.unique(species[order], return_inverse=True)
    rows = {name: np.ascontiguousarray(given[order]) for name, given in rows.items()}
    lineages = np.full((len(kinds), 7), -1, dtype=np.int64)
    groups = group_observations(observations[order], rows["whole"])
    gallery = Gallery(rows["whole"], columns, observations[order], kinds, lineages, joined=groups)

    def rank(references: str, queries: str) -> NDArray[np.int64]:
        asked = replace(gallery, embeddings=rows[references])
        return rank_true_species(asked, share_votes(asked, rows[queries], voting))

    plain = rank("whole", "whole")
    trials = [("whole", name) for name in rows] + [(name, name) for name in rows if name != "whole"]
    table = []
    for references, queries in trials:
        ranks = rank(references, queries)
        gains = {f"top{k}": paired_gain((plain <= k).astype(float), (ranks <= k).astype(float), seed) for k in (1, 5)}
        table.append({"references": references, "queries": queries, **gains})
    return table


def compare_boxes(
    photos: Sequence[LabelledPhoto],
    suggested: dict[str, list[Box]],
    sizes: Sequence[tuple[int, int]],
    share: float,
    seed: int,
) -> dict[str, Any]:
    """Return how boxes share their union with the true ones, and what that gains over the middle of the photo."""
    middles = [middle_of(width, height, share) for width, height in sizes]
    candidates = {"whole": [Box(0, 0, 1, 1)] * len(photos), "middle": middles, **suggested}
    overlaps: dict[str, NDArray[np.float64]] = {}
    for name, given in candidates.items():
        pairs = [(box, one.truth) for box, one in zip(given, photos, strict=True) if one.truth]
        overlaps[name] = np.array([overlap(box, truth) for box, truth in pairs])
    return {
        name: {
            "mean overlap": float(values.mean()),
            "found": float((values >= HALF).mean()),
            "over the middle": paired_gain(
                (overlaps["middle"] >= HALF).astype(float), (values >= HALF).astype(float), seed
            ),
            "over the whole": paired_gain(
                (overlaps["whole"] >= HALF).astype(float), (values >= HALF).astype(float), seed
            ),
        }
        for name, values in overlaps.items()
    }


def middle_of(width: int, height: int, share: float) -> Box:
    """Return the middle square that the network sees, as a box of a photo of that size."""
    side = share * min(width, height)
    return Box((1 - side / width) / 2, (1 - side / height) / 2, side / width, side / height)


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    both = max(0.0, across) * max(0.0, down)
    return both / (one.width * one.height + other.width * other.height - both)


if __name__ == "__main__":
    main()
