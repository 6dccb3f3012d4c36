"""Measures the time to fit a head: `python -m benchmarks.models.fit_head --photos 100000 --width 1280`.

The features are synthetic: clusters of species with a long tail, with noise for each observation and each photo. All of
`fit-head` after the features is run: five folds with both heads, and the learned head on everything.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.models.embedding import cpu_seconds, machine
from indexer.embedding.fit_head import fit_head, judge_heads
from indexer.embedding.projection import Labels, Rows, fit_pca
from retrieval.models.embedder import unit_rows

PHOTOS_EACH = 2.5  # photos of an observation, as in field collections


def make_features(photos: int, width: int, species: int, seed: int) -> tuple[Rows, Labels]:
    """Draw rows (photos, width) of length 1 with labels; half of the columns carry no information on the species."""
    noise = np.random.default_rng(seed)
    observations = max(2 * species, round(photos / PHOTOS_EACH))
    common = 1 / np.arange(1, species + 1) ** 0.7
    species_of = np.concatenate(
        [np.repeat(np.arange(species), 2), noise.choice(species, observations - 2 * species, p=common / common.sum())]
    )
    observation = np.sort(noise.integers(0, observations, photos))
    centres = noise.standard_normal((species, width), dtype=np.float32)
    centres[:, width // 2 :] = 0
    finds = noise.standard_normal((observations, width), dtype=np.float32)
    rows = noise.standard_normal((photos, width), dtype=np.float32)
    rows *= 1.5
    rows += centres[species_of[observation]]
    rows += finds[observation]
    return unit_rows(rows), Labels(species_of[observation].astype(np.int64), observation.astype(np.int64))


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--width", type=int, default=1280, help="default: %(default)s")
    parser.add_argument("--species", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    options = parser.parse_args()
    features, labels = make_features(options.photos, options.width, options.species, options.seed)
    marks = [("start", time.perf_counter(), cpu_seconds())]

    def mark(name: str, done: int = 0, total: int = 0) -> None:
        marks.append((name, time.perf_counter(), cpu_seconds()))
        print(f"{name}: {marks[-1][2] - marks[-2][2]:.0f} s of a processor", file=sys.stderr)

    fit_pca(features)
    mark("components once")
    verdict = judge_heads(features, labels, seed=options.seed, progress=mark)
    mark("the rest of the judgement")
    fit_head(features, labels, "pca" if verdict.worse else "learned", verdict, seed=options.seed)
    mark("the head itself")
    result = {
        **machine(),
        "photos": options.photos,
        "width": options.width,
        "species": options.species,
        "seed": options.seed,
        "recall@1 by components": round(verdict.pca.first, 4),
        "recall@1 learned": round(verdict.learned.first, 4),
        "steps": verdict.steps,
        "processor seconds": {
            name: round(cpu - marks[number][2], 1) for number, (name, _, cpu) in enumerate(marks[1:])
        },
        "processor minutes": round((marks[-1][2] - marks[0][2]) / 60, 2),
        "minutes on this machine as it was": round((marks[-1][1] - marks[0][1]) / 60, 2),
        "MiB at most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
    }
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
