"""The recipe of the default model: drawing, training and finishing.

Everything is seeded; `fungarium model make-default` makes it from scratch. Changing a number here gives another model.
"""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrieval.models.card import digest_model
from retrieval.models.handles import SHIPPED
from retrieval.progress import Progress, silent
from training.augment import Augmentation
from training.checkpoint import read_checkpoint
from training.drawn.drawing import PoolPart
from training.export import export_network
from training.finish import compare_shares, learn_statistics, open_network, with_share
from training.losses import Objective
from training.measure import Judge
from training.network import Shape, TrainingError
from training.pool import Pool, draw_pool
from training.samples import choose_parts, make_samples
from training.trainer import TrainingRecipe, train

SEED, JUDGE_SEED = 1, 2
DRAWN_SIDE, SIDE = 144, 128
JUDGED = (PoolPart("fungi", 30, 4, 3), PoolPart("other forms", 20, 4, 3), PoolPart("other things", 150, 4, 2))
RANKS = ("seen", "species", "genus", "family")
RECIPE = TrainingRecipe(
    shape=Shape(learned=160),
    objective=Objective(ranks=RANKS, weights=(1.0, 0.4, 0.4, 0.2), scale=20.0),
    augmentation=Augmentation(
        side=96,
        smallest=0.45,
        turn=20,
        brightness=0.15,
        contrast=0.3,
        saturation=0.3,
        hue=0.02,
        warmth=0.08,
        blur=0.2,
        noise=0.06,
        erase=0.2,
        jpeg=0.15,
    ),
    steps=6500,
    batch=128,
    rate=2e-3,
    decay=0.05,
    warm_up=200,
    precision="bf16",
    seed=SEED,
    judge_every=1000,
    keep_every=250,
)
STATISTICS_SHARE = 0.75
"""Share of the statistics in an embedding's squared length; docs/training.md compares other shares."""

SUITABLE = "demonstrations, tests, and a first look at a collection before a model trained on photographs is at hand"
UNSUITABLE = "identification in the field: it has never seen a photograph of a fungus"
MADE = (
    "trained by `make model` on drawings made by this project (evaluation/specimens and training/things): "
    "invented species and things that do not exist; no photograph, and no weight of another model, went into it"
)


@dataclass(frozen=True, slots=True)
class DefaultPlan:
    """The amount of drawings and the length of training. Anything but the default is a rehearsal."""

    genera: int = 600  # of drawn fungi, of four species each
    things: int = 3000
    steps: int = RECIPE.steps

    def __post_init__(self) -> None:
        if min(self.genera, self.things) < 2 or self.steps < 1:
            raise TrainingError("a model needs at least 2 genera, 2 things and 1 step")

    @property
    def parts(self) -> tuple[PoolPart, ...]:
        """The parts of the training pool."""
        return (PoolPart("things", self.things, 4, 2), PoolPart("fungi", self.genera, 3, 4))

    @property
    def judged(self) -> tuple[PoolPart, ...]:
        """The parts of the evaluation pool, smaller for a rehearsal."""
        share = min(1.0, self.genera / 600)
        return tuple(replace(part, units=max(1, round(part.units * share))) for part in JUDGED)

    @property
    def recipe(self) -> TrainingRecipe:
        """The recipe, with the warm-up shortened for short trainings."""
        return replace(RECIPE, steps=self.steps, warm_up=min(RECIPE.warm_up, 1 + self.steps // 10))


def make_default(
    work: Path, out: Path, plan: DefaultPlan | None = None, *, processes: int | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Draw, train, finish and export the default model; whatever an earlier run finished in `work` is kept.

    Returns the card. The same machine and versions give the same bytes of drawings; weights are the same where torch
    sums in the same order, which one thread does on one processor type. Raises TrainingError where a rehearsal would
    take the place of the model that is shipped.
    """
    chosen = plan or DefaultPlan()
    if chosen != DefaultPlan() and out.resolve() == SHIPPED.resolve():
        raise TrainingError(f"a rehearsal must not take the place of {SHIPPED.name}: give --out another file")
    drawn: dict[str, Any] = {"side": DRAWN_SIDE, "processes": processes, "progress": progress}
    pool = draw_pool(work / "pool", chosen.parts, seed=SEED, **drawn)
    judged = draw_pool(work / "judged", chosen.judged, seed=JUDGE_SEED, **drawn)
    judge = Judge(judged, choose_parts(judged, ()), SIDE)
    samples = make_samples(pool, choose_parts(pool, ()), RANKS)
    train(chosen.recipe, samples, work / "training", judge=judge, progress=progress)
    return finish_default(work, out, pool, judge, chosen)


def finish_default(work: Path, out: Path, pool: Pool, judge: Judge, plan: DefaultPlan) -> dict[str, Any]:
    """Fit the statistics, evaluate, export, and write the card and the report; returns the report."""
    network = open_network(work / "training" / "last.pt")
    learn_statistics(network, pool, side=SIDE, seed=SEED)
    measured = compare_shares(network, judge, (0.0, STATISTICS_SHARE, 1.0))
    network = with_share(network, STATISTICS_SHARE)
    card: dict[str, Any] = {
        "licence": "Apache-2.0",
        "suitable": SUITABLE,
        "unsuitable": UNSUITABLE,
    }
    export_network(network, out, side=SIDE, card=card)
    losses = last_line(work / "training" / "steps.csv")
    about = {
        "model": out.name,
        "digest": digest_model(out),
        "made": MADE if plan == DefaultPlan() else f"a rehearsal, no default model: {MADE}",
        **card,
        "seeds": {"drawings": SEED, "judged drawings": JUDGE_SEED, "training": RECIPE.seed},
        "pictures": len(pool),
        "parts": [f"{part.units} x {part.individuals} x {part.photos} {part.name}" for part in plan.parts],
        "recipe": json.loads(json.dumps(read_checkpoint(work / "training" / "last.pt").recipe)),
        "statistics_share": STATISTICS_SHARE,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "measured on drawings never trained on": {str(share): found for share, found in measured.items()},
        "last losses": losses,
        "commit": read_commit(),
        "machine": {"processor": read_processor(), "threads": torch.get_num_threads(), "system": platform.platform()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "minutes of training": round(plan.steps * RECIPE.batch / losses["pictures_per_second"] / 60, 1),
    }
    report = out.with_suffix(".json")
    report.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return about


def last_line(path: Path) -> dict[str, float]:
    """Read the last line of a log, by column."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    return dict(zip(head.split(","), map(float, lines[-1].split(",")), strict=True))


def read_commit() -> str:
    """Return the current commit, with a plus if files were changed; empty outside a checkout."""
    try:
        ran = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],  # noqa: S607 # the caller's own git
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return ran.stdout.strip()


def read_processor() -> str:
    """Return the processor's name, if the system provides it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
