"""Gathers pools of photos, trains and exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.progress import Progress
from training.augment import Augmentation
from training.export import export_network, open_network
from training.gather import gather_pool
from training.losses import Objective
from training.measure import Judge, embed_pool, find_species
from training.network import Shape
from training.pool import open_pool
from training.samples import choose_parts, make_samples, split_observations
from training.trainer import TrainingRecipe, train

Options = Mapping[str, Any]


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
        shape=Shape(options["trunk"], tuple(options["widths"])),
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
