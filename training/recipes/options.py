"""Compares the trainer's options on drawings (docs/training.md): plain, multi-level, hierarchical transfer, balanced.

The collection resembles real ones: many species with few photos each, four to a genus that share most visible
traits. All variants are trained with the same seeds and number of steps, and evaluated on the same held-out
observations, so that they can be compared in pairs.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.progress import Progress, silent
from training.augment import Augmentation
from training.drawn.drawing import PoolPart
from training.losses import Objective
from training.measure import embed_pool, find_species
from training.network import Network, Shape
from training.pool import Pool, draw_pool
from training.recipes.comparison import BEGIN, END, ComparisonLine, compare_lines, tabulate
from training.recipes.default import read_processor
from training.samples import make_samples, split_observations
from training.trainer import TrainingRecipe, genera_first, train

POOL = (PoolPart("fungi", 150, 9, 2),)
POOL_SEED, POOL_SIDE, SIDE = 5, 96, 64
HELD_OUT = 1 / 3
SEEDS = (1, 2, 3, 4, 5)
TAIL = 0.6
LONG = 20
"""The long tail: the k-th species of N keeps a share of (1 + LONG k / N) ** -TAIL of its observations, at least one."""

SHARE_OF_GENUS = 0.5

BASE = TrainingRecipe(
    shape=Shape(widths=(16, 24, 48, 80)),
    objective=Objective(scale=16.0),
    augmentation=Augmentation(side=SIDE, hue=0.02, contrast=0.25, saturation=0.25, turn=15),
    steps=600,
    batch=64,
    warm_up=30,
    average=0.995,
    precision="bf16",
    judge_every=10**9,
    keep_every=250,
)


@dataclass(frozen=True, slots=True)
class Option:
    """A variant in the table, and the one it is compared with."""

    name: str
    against: str = ""  # name of another line
    judged_by: str = ""  # the deciding metric, chosen before the trainings were run: `species` or `genus`
    ranks: tuple[str, ...] = ("species",)
    kind: str = "softmax"
    genera_first: bool = False
    balanced: bool = False


PLAIN, RANKS, GENERA = "plain softmax over species", "+ multi-level: genus and family", "+ hierarchical transfer"
_ALL = ("species", "genus", "family")
OPTIONS = (
    Option(PLAIN),
    Option(RANKS, PLAIN, "genus", _ALL),
    Option(GENERA, RANKS, "species", _ALL, genera_first=True),
    Option("+ class-balanced sampling", GENERA, "species", _ALL, genera_first=True, balanced=True),
    Option("plain, with ArcFace", PLAIN, "species", kind="arcface"),
    Option("plain, with proxy-anchor", PLAIN, "species", kind="proxy-anchor"),
)


def compare_options(
    work: Path,
    *,
    base: TrainingRecipe = BASE,
    pool: Pool | None = None,
    seeds: Sequence[int] = SEEDS,
    progress: Progress = silent,
    keep: Callable[[dict[str, Any]], object] = lambda found: None,
) -> dict[str, Any]:
    """Train every variant with every seed, for the same number of steps, and evaluate on held-out observations.

    Finished trainings in `work` are reused. Seeds are processed one after the other, and `keep` is called with the
    results after each, so that an early stop still leaves a complete table.
    """
    pool = pool or draw_pool(work / "pool", POOL, seed=POOL_SEED, side=POOL_SIDE, progress=progress)
    everything = np.arange(len(pool), dtype=np.int64)
    learned, judged = split_observations(pool, everything, HELD_OUT, seed=POOL_SEED)
    learned = thin(pool, learned)
    lines = {option.name: ComparisonLine(option.name, option.against, option.judged_by) for option in OPTIONS}
    found: dict[str, Any] = {}
    for place, seed in enumerate(seeds):
        for option in OPTIONS:
            folder = work / slug(option) / str(seed)
            network = train_option(option, replace(base, seed=seed), pool, learned, folder)
            shares = ask(network, pool, learned, judged, base.augmentation.side)
            lines[option.name].add(shares)
            progress(
                f"seed {seed}, {option.name}: "
                + ", ".join(f"{name} {part.mean():.3f}" for name, part in shares.items())
            )
        found = {
            "collection": describe(pool, learned, judged),
            "recipe": json.loads(json.dumps(asdict(base))),
            "seeds": list(seeds[: place + 1]),
            "machine": read_processor(),
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
            "lines": compare_lines(list(lines.values()), count_learned(pool, learned, judged)),
        }
        keep(found)
    return found


def slug(option: Option) -> str:
    """Return a variant's folder name."""
    return "".join(letter if letter.isalnum() else "-" for letter in option.name).strip("-")


def thin(pool: Pool, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Thin out the training images to a long tail, as in real collections: few species with many observations."""
    species = pool.names["species"][numbers]
    observations = pool.names["observation"][numbers]
    names = sorted(set(species.tolist()))
    places = np.random.default_rng(POOL_SEED).permutation(len(names))
    kept: set[str] = set()
    for name, place in zip(names, places.tolist(), strict=True):
        own = sorted(set(observations[species == name].tolist()))
        kept.update(own[: max(1, round(len(own) * (1 + LONG * place / len(names)) ** -TAIL))])
    return numbers[np.isin(observations, sorted(kept))]


def train_option(
    option: Option, recipe: TrainingRecipe, pool: Pool, learned: NDArray[np.int64], folder: Path
) -> Network:
    """Train one variant with one seed."""
    objective = replace(recipe.objective, ranks=option.ranks, kind=option.kind)
    recipe = replace(recipe, objective=objective, balanced=option.balanced)
    start = None
    if option.genera_first:
        first = genera_first(recipe)
        train(first, make_samples(pool, learned, ("genus",)), folder / "genera")
        start = folder / "genera" / "last.pt"
        recipe = replace(recipe, steps=recipe.steps - first.steps, transfer=SHARE_OF_GENUS)
    return train(recipe, make_samples(pool, learned, option.ranks), folder / "species", start=start)


def ask(
    network: Network, pool: Pool, learned: NDArray[np.int64], judged: NDArray[np.int64], side: int
) -> dict[str, NDArray[np.float64]]:
    """Ask for the held-out observations; only those that were learned from answer.

    For each species that can be judged, in the order of names: the share of its observations whose species came first,
    and whose genus did.
    """
    numbers = np.concatenate([judged, learned])
    embeddings = embed_pool(network, pool, numbers, side=side)
    observations = pool.names["observation"][numbers].tolist()
    asked = np.arange(len(numbers)) < len(judged)
    owners = judgeable(pool, learned, judged)
    asked &= np.isin(pool.names["observation"][numbers], list(owners))
    species = np.array([owners[name] for name in sorted(owners)])
    _, places, counts = np.unique(species, return_inverse=True, return_counts=True)
    shares = {}
    for rank in ("species", "genus"):
        names = pool.names[rank][numbers].tolist()
        found = find_species(embeddings, observations, names, asked=asked, answering=~asked)
        shares[rank] = np.bincount(places, found.first) / counts
    return shares


def judgeable(pool: Pool, learned: NDArray[np.int64], judged: NDArray[np.int64]) -> dict[str, str]:
    """Return the held-out observations whose species is in the training data, with their species."""
    known = set(pool.names["species"][learned].tolist())
    pairs = zip(pool.names["observation"][judged].tolist(), pool.names["species"][judged].tolist(), strict=True)
    return {observation: species for observation, species in pairs if species in known}


def count_learned(pool: Pool, learned: NDArray[np.int64], judged: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the training observations of each evaluated species, in the order of names."""
    pairs = set(zip(pool.names["observation"][learned].tolist(), pool.names["species"][learned].tolist(), strict=True))
    there = sorted(set(judgeable(pool, learned, judged).values()))
    counts = dict.fromkeys(there, 0)
    for _, species in pairs:
        if species in counts:
            counts[species] += 1
    return np.array([counts[name] for name in there], np.int64)


def describe(pool: Pool, learned: NDArray[np.int64], judged: NDArray[np.int64]) -> dict[str, int]:
    """Describe the size of the collection."""
    counts = count_learned(pool, learned, judged)
    return {
        "species": len(counts),
        "genera": len(set(pool.names["genus"][learned].tolist())),
        "pictures learned from": len(learned),
        "observations learned from": int(counts.sum()),
        "species with one observation": int((counts == 1).sum()),
        "most observations of a species": int(counts.max()),
        "held-out observations": len(judgeable(pool, learned, judged)),
    }


def write_options(found: dict[str, Any], kept: Path, page: Path) -> None:
    """Write the results as JSON, and their table into the page between the two markers."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{tabulate(found)}\n{END}{after}", encoding="utf-8")
