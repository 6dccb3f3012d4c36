"""Draws and gathers pools of photos, trains, exports, and makes the default model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.progress import Progress
from training.augment import Augmentation
from training.drawn.drawing import PARTS, PoolPart
from training.export import export_network
from training.finish import learn_statistics, open_network, with_share
from training.gather import gather_pool
from training.losses import Objective
from training.measure import Judge, embed_pool, find_species
from training.network import Shape, TrainingError
from training.pool import draw_pool, open_pool
from training.recipes import default
from training.recipes import options as comparison
from training.samples import choose_parts, make_samples, split_observations
from training.trainer import TrainingRecipe, train

Options = Mapping[str, Any]


def draw(options: Options, progress: Progress) -> None:
    """Draw a pool; raises TrainingError for an unknown part."""
    parts = []
    for name, *counts in options["parts"]:
        if name not in PARTS or min(counts) < 1:
            raise TrainingError(f"--part takes one of {', '.join(PARTS)} and three whole numbers above 0")
        parts.append(PoolPart(name, *counts))
    folder: Path = options["folder"]
    pool = draw_pool(
        folder, parts, seed=options["seed"], side=options["side"], processes=options["processes"], progress=progress
    )
    print(f"{len(pool)} photos in {folder}")


def gather(table: Path, folder: Path, side: int, progress: Progress) -> None:
    """Gather a pool."""
    pool = gather_pool(table, folder, side=side, progress=progress)
    print(f"{len(pool)} photos in {folder}")


def read_recipe(options: Options) -> TrainingRecipe:
    """Return the recipe described by the options of `train`."""
    changes = {
        setting.name: options[setting.name] for setting in fields(Augmentation) if options[setting.name] is not None
    }
    return TrainingRecipe(
        shape=Shape(options["trunk"], tuple(options["widths"]), options["learned"]),
        objective=Objective(options["loss"], options["ranks"], scale=options["scale"], margin=options["margin"]),
        augmentation=Augmentation(**changes),
        **{name: options[name] for name in TAKEN},
    )


TAKEN = (
    "steps",
    "batch",
    "rate",
    "decay",
    "warm_up",
    "average",
    "balanced",
    "precision",
    "seed",
    "judge_every",
    "keep_every",
    "transfer",
)
"""Options of `train` that a recipe has by the same name."""


def train_network(options: Options, progress: Progress) -> None:
    """Train, or resume."""
    recipe = read_recipe(options)
    pool = open_pool(options["pool"])
    parts = choose_parts(pool, options["parts"])
    learned, judged = split_observations(pool, parts, options["held_out"], seed=recipe.seed)
    samples = make_samples(pool, learned, recipe.objective.ranks)
    judge = Judge(pool, judged, recipe.augmentation.side) if len(judged) else None
    folder: Path = options["folder"]
    train(recipe, samples, folder, judge=judge, start=options["start"], progress=progress)
    print(f"trained on {len(samples)} photos; {folder / 'last.pt'}, curves in {folder / 'curves.html'}")


def export(options: Options) -> None:
    """Export, and measure on the held-out observations."""
    out: Path = options["out"]
    network = open_network(options["checkpoint"])
    pool = open_pool(options["pool"])
    learned, judged = split_observations(pool, choose_parts(pool, ()), options["held_out"], seed=options["seed"])
    if options["statistics"]:
        learn_statistics(network, pool, side=options["side"], seed=options["seed"])
        network = with_share(network, options["statistics"])
    card = {name: options[name] for name in ("licence", "suitable", "unsuitable")}
    export_network(network, out, side=options["side"], card=card)
    numbers = np.concatenate([judged, learned])
    embeddings = embed_pool(network, pool, numbers, side=options["side"])
    names = pool.names["observation"][numbers].tolist(), pool.names["species"][numbers].tolist()
    found = find_species(embeddings, *names, asked=np.arange(len(numbers)) < len(judged))
    low, high = found.interval()
    about = {
        "checkpoint": str(options["checkpoint"].name),
        "held-out observations": len(found.first),
        "recall@1": found.top1,
        "recall@5": found.top5,
        "interval": [low, high],
    }
    beside = out.with_suffix(".json")
    beside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {found.top1:.3f} ({low:.3f} to {high:.3f}) of {len(found.first)} held-out observations")


def compare_options(work: Path, docs: Path, progress: Progress) -> None:
    """Measure the options and write the table."""
    kept, page = docs / "training" / "options.json", docs / "training.md"
    comparison.compare_options(work, keep=lambda found: comparison.write_options(found, kept, page), progress=progress)


def make_default(
    work: Path, out: Path, plan: Mapping[str, int | None], processes: int | None, progress: Progress
) -> None:
    """Make the default model; what a plan leaves out has the default's value."""
    chosen = default.DefaultPlan(**{name: count for name, count in plan.items() if count is not None})
    about = default.make_default(work, out, chosen, processes=processes, progress=progress)
    print(json.dumps(about["measured on drawings never trained on"], indent=1))
