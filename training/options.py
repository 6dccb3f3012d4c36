"""What each option of the trainer gains on drawings: plain, + ranks, + genera first, + balanced; docs/training.md."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.augment import Augmentation
from training.default import read_processor
from training.drawing import Part
from training.losses import Objective
from training.measure import RESAMPLES, Found, embed_pool, find_species
from training.network import Network, Shape
from training.pool import Pool, draw_pool
from training.samples import make_samples, split_observations
from training.trainer import Recipe, genera_first, train

POOL = (Part("fungi", 60, 8, 2),)
POOL_SEED, POOL_SIDE, SIDE = 3, 96, 64
HELD_OUT = 0.3
SEEDS = (1, 2, 3)
TAIL = 0.6
"""How fast species get rarer: the k-th keeps its observations times k ** -TAIL, and at least one."""

SHARE_OF_GENUS = 0.5
BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"

BASE = Recipe(
    shape=Shape(widths=(16, 24, 48, 80)),
    objective=Objective(scale=16.0),
    augmentation=Augmentation(side=SIDE, hue=0.02, contrast=0.25, saturation=0.25, turn=15),
    steps=1200,
    batch=64,
    warm_up=60,
    average=0.995,
    precision="bf16",
    judge_every=10**9,
    keep_every=400,
)


@dataclass(frozen=True, slots=True)
class Option:
    """A line of the table: what is added to the line above."""

    name: str
    ranks: tuple[str, ...] = ("species",)
    kind: str = "softmax"
    genera_first: bool = False
    balanced: bool = False


OPTIONS = (
    Option("plain softmax over species"),
    Option("+ multi-level: genus and family", ("species", "genus", "family")),
    Option("+ hierarchical transfer: genera first", ("species", "genus", "family"), genera_first=True),
    Option("+ class-balanced sampling", ("species", "genus", "family"), genera_first=True, balanced=True),
    Option("plain, with ArcFace", kind="arcface"),
    Option("plain, with proxy-anchor", kind="proxy-anchor"),
)


def compare_options(
    work: Path, *, base: Recipe = BASE, pool: Pool | None = None, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Train every line of the table with every seed, in equal numbers of steps, and measure held-out observations.

    What an earlier run finished in `work` is kept. Measures: recall@1 by observation, its 95 % interval over
    observations and seeds together, and its mean over species, which rare ones count in as much as common ones.
    """
    pool = pool or draw_pool(work / "pool", POOL, seed=POOL_SEED, side=POOL_SIDE, progress=True)
    everything = np.arange(len(pool), dtype=np.int64)
    learned, judged = split_observations(pool, everything, HELD_OUT, seed=POOL_SEED)
    learned = thin(pool, learned)
    rows = []
    for option in OPTIONS:
        found = [
            judge_option(option, replace(base, seed=seed), pool, learned, judged, work / slug(option) / str(seed))
            for seed in SEEDS
        ]
        rows.append(summarise(option, found))
        say(f"{option.name}: {rows[-1]['recall']:.3f}")
    return {
        "pictures": {"learned": len(learned), "judged": len(judged)},
        "recipe": json.loads(json.dumps(asdict(base))),
        "seeds": list(SEEDS),
        "machine": read_processor(),
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "rows": rows,
    }


def slug(option: Option) -> str:
    """A folder's name."""
    return "".join(letter if letter.isalnum() else "-" for letter in option.name)


def thin(pool: Pool, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give pictures to learn from a long tail, as every real collection has: few species with many observations."""
    species = pool.names["species"][numbers]
    observations = pool.names["observation"][numbers]
    names = sorted(set(species.tolist()))
    places = np.random.default_rng(POOL_SEED).permutation(len(names))
    kept: set[str] = set()
    for name, place in zip(names, places.tolist(), strict=True):
        own = sorted(set(observations[species == name].tolist()))
        kept.update(own[: max(1, round(len(own) * (1 + place / 10) ** -TAIL))])
    return numbers[np.isin(observations, sorted(kept))]


def judge_option(
    option: Option, recipe: Recipe, pool: Pool, learned: NDArray[np.int64], judged: NDArray[np.int64], folder: Path
) -> tuple[Found, list[str]]:
    """Train one line with one seed; gives what came of each held-out observation, and the species of each."""
    objective = replace(recipe.objective, ranks=option.ranks, kind=option.kind)
    recipe = replace(recipe, objective=objective, balanced=option.balanced)
    start = None
    if option.genera_first:
        first = genera_first(recipe)
        train(first, make_samples(pool, learned, ("genus",)), folder / "genera")
        start = folder / "genera" / "last.pt"
        recipe = replace(recipe, steps=recipe.steps - first.steps, transfer=SHARE_OF_GENUS)
    network = train(recipe, make_samples(pool, learned, option.ranks), folder / "species", start=start)
    return ask(network, pool, learned, judged, recipe.augmentation.side)


def ask(
    network: Network, pool: Pool, learned: NDArray[np.int64], judged: NDArray[np.int64], side: int
) -> tuple[Found, list[str]]:
    """Ask for the held-out observations; those that were learned from answer."""
    numbers = np.concatenate([judged, learned])
    embeddings = embed_pool(network, pool, numbers, side=side)
    observations = pool.names["observation"][numbers]
    species = pool.names["species"][numbers]
    asked = np.arange(len(numbers)) < len(judged)
    found = find_species(embeddings, observations.tolist(), species.tolist(), asked=asked)
    owner = dict(zip(observations.tolist(), species.tolist(), strict=True))
    counts: dict[str, int] = {}
    for name in owner.values():
        counts[name] = counts.get(name, 0) + 1
    held = sorted({str(name) for name in observations[asked].tolist()})
    return found, [str(owner[name]) for name in held if counts[owner[name]] > 1]


def summarise(option: Option, found: list[tuple[Found, list[str]]]) -> dict[str, Any]:
    """A line of the table."""
    seeds = np.stack([one.first for one, _ in found]).astype(np.float64)  # (seeds, observations)
    by_observation = seeds.mean(axis=0)
    draw = np.random.default_rng(1)
    means = by_observation[draw.integers(len(by_observation), size=(RESAMPLES, len(by_observation)))].mean(axis=1)
    species = np.array(found[0][1])
    by_species = [by_observation[species == name].mean() for name in sorted(set(species.tolist()))]
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "option": option.name,
        "recall": float(by_observation.mean()),
        "interval": [float(low), float(high)],
        "by_seed": seeds.mean(axis=1).tolist(),
        "mean_over_species": float(np.mean(by_species)),
        "observations": len(by_observation),
    }


def write_options(found: dict[str, Any], kept: Path, page: Path) -> None:
    """Keep the measurement, and put its table into the page between the two marks."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{tabulate(found)}\n{END}{after}", encoding="utf-8")


def tabulate(found: dict[str, Any]) -> str:
    """The measurement as a Markdown table."""
    lines = [
        "| | recall@1 by observation | 95 % interval | seeds | mean over species |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        low, high = row["interval"]
        seeds = " ".join(f"{value:.3f}" for value in row["by_seed"])
        lines.append(
            f"| {row['option']} | {row['recall']:.3f} | {low:.3f} to {high:.3f} | {seeds} | "
            f"{row['mean_over_species']:.3f} |"
        )
    count = found["rows"][0]["observations"]
    lines += [
        "",
        f"{count} held-out observations; {found['pictures']['learned']} pictures learned from; "
        f"seeds {', '.join(map(str, found['seeds']))}; {found['machine']}, torch {found['versions']['torch']}.",
    ]
    return "\n".join(lines)
