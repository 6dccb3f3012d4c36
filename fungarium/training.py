"""The commands of `fungarium model` that draw or gather pictures, train and export; they need requirements-train.txt.

Several GPUs: `torchrun --nproc-per-node 4 -m fungarium model train ...`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from fungarium.terminal import PATH, Bars

LOSSES: Final = ("softmax", "arcface", "proxy-anchor")
PRECISIONS: Final = ("f32", "bf16")
AUGMENTATIONS: Final = {
    "side": "Pixels of the network's input.",
    "smallest": "Least share of the picture's area that a crop keeps.",
    "turn": "Degrees, either way.",
    "brightness": "How far it may be changed.",
    "contrast": "How far it may be changed.",
    "saturation": "How far it may be changed.",
    "hue": "Turns of the colour wheel, either way.",
    "warmth": "White balance: gain of red against blue.",
    "blur": "Share of pictures that are blurred.",
    "noise": "Greatest deviation of sensor noise, of 1.",
    "erase": "Share of pictures that lose a rectangle.",
    "jpeg": "Share of pictures that are compressed hard.",
}
"""What may be done to pictures, by names of `training.augment.Augmentation`, whose defaults hold."""

threads_choice = click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Processors torch works on."
)
processes_choice = click.option("--processes", type=int, help="How many work at once.  [default: all processors]")
seed_choice = click.option("--seed", type=int, default=1, show_default=True, help="Of every random choice.")
held_out_choice = click.option(
    "--held-out", type=float, default=0.1, show_default=True, help="Share of observations that judge."
)


@click.command()
@click.argument("folder", type=PATH)
@click.option(
    "--part",
    "parts",
    type=(str, int, int, int),
    multiple=True,
    required=True,
    metavar="NAME UNITS INDIVIDUALS PHOTOS",
    help="What to draw: fungi, things; other forms and other things, never trained on, judge. Repeat for several.",
)
@click.option("--side", type=int, default=144, show_default=True, help="Pixels of each picture.")
@seed_choice
@processes_choice
def draw(**options: Any) -> None:
    """Draw a pool of pictures of species that do not exist."""
    with Bars("unit") as bars:
        jobs().draw(options, bars)


@click.command()
@click.argument("table", type=PATH)
@click.argument("folder", type=PATH)
@click.option("--side", type=int, default=256, show_default=True, help="Pixels of each picture.")
def gather(table: Path, folder: Path, side: int) -> None:
    """Make a pool of the photos of a table.

    TABLE is CSV with file, species, observation, and perhaps genus and family.
    """
    with Bars("photo") as bars:
        jobs().gather(table, folder, side, bars)


def augmentations(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each change to pictures."""
    for name, does in reversed(AUGMENTATIONS.items()):
        command = click.option(f"--{name}", type=int if name == "side" else float, help=does)(command)
    return click.option("--mirror/--no-mirror", default=True, help="Mirror half of the pictures.")(command)


@click.command()
@click.argument("pool", type=PATH)
@click.argument("folder", type=PATH)
@click.option("--part", "parts", multiple=True, help="Train on this part of the pool only; repeat for several.")
@held_out_choice
@click.option("--start", type=PATH, help="Checkpoint to fine-tune from.  [default: from scratch]")
@click.option("--transfer", type=float, help="Share of the genus in a species' first weights; needs --start.")
@click.option("--loss", type=click.Choice(LOSSES), default="softmax", show_default=True)
@click.option(
    "--rank",
    "ranks",
    multiple=True,
    default=("species",),
    show_default=True,
    help="Learn this rank, the first being sampled by; repeat for several.",
)
@click.option("--scale", type=float, default=24.0, show_default=True, help="Of cosines in softmax and arcface.")
@click.option("--margin", type=float, default=0.2, show_default=True, help="Of arcface and proxy-anchor.")
@click.option("--balanced", is_flag=True, help="Draw every class equally often.")
@click.option("--trunk", default="residual", show_default=True, help="residual, or timm:NAME where timm is installed.")
@click.option(
    "--widths",
    type=int,
    nargs=4,
    default=(32, 48, 96, 160),
    show_default=True,
    help="Of the residual trunk's stages.",
)
@click.option("--learned", type=int, default=256, show_default=True, help="Numbers learned; the rest are statistics.")
@click.option("--steps", type=int, default=1000, show_default=True)
@click.option("--batch", type=int, default=64, show_default=True)
@click.option("--rate", type=float, default=2e-3, show_default=True, help="Of learning, at its highest.")
@click.option("--decay", type=float, default=0.02, show_default=True, help="Of weights.")
@click.option("--warm-up", type=int, default=100, show_default=True, help="Steps until the rate is at its highest.")
@click.option(
    "--average", type=float, default=0.999, show_default=True, help="Decay of the moving average of weights; 0: none."
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="f32", show_default=True)
@seed_choice
@click.option("--judge-every", type=int, default=1000, show_default=True, help="Steps.")
@click.option("--keep-every", type=int, default=250, show_default=True, help="Steps.")
@augmentations
@threads_choice
def train(threads: int, **options: Any) -> None:
    """Train on a pool, or go on with a training.

    Checkpoints and logs are written to FOLDER; a run that stopped there is gone on with.
    """
    with Bars("step") as bars:
        jobs(threads).train_network(options, bars)


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--pool", type=PATH, required=True, help="Of the training: its held-out observations measure the network."
)
@held_out_choice
@seed_choice
@click.option("--side", type=int, default=128, show_default=True, help="Pixels of the network's input.")
@click.option("--statistics", type=float, default=0.0, show_default=True, help="Share of statistics in an embedding.")
@click.option("--licence", default="not stated", show_default=True)
@click.option("--suitable", default="", help="What it can be used for.")
@click.option("--unsuitable", default="", help="What it cannot be used for.")
@threads_choice
def export(threads: int, **options: Any) -> None:
    """Write a checkpoint as ONNX, with its card and accuracy.

    --held-out and --seed are those given to train.
    """
    jobs(threads).export(options)


@click.command("compare-options")
@click.option("--work", type=PATH, default=Path("data/training/options"), show_default=True, help="Working folder.")
@click.option("--docs", type=PATH, default=Path("docs"), show_default=True, help="Folder of the page.")
@threads_choice
def compare_options(threads: int, work: Path, docs: Path) -> None:
    """Measure what each option of a training gains.

    On drawings; writes docs/training.md.
    """
    with Bars() as bars:
        jobs(threads).compare_options(work, docs, bars)


@click.command("make-default")
@click.option("--work", type=PATH, default=Path("data/training/default"), show_default=True, help="Working folder.")
@click.option("--out", type=PATH, required=True, help="ONNX file; its cards lie beside it.")
@click.option("--genera", type=int, help="Drawn; fewer than by default: a rehearsal.")
@click.option("--things", type=int, help="Drawn.")
@click.option("--steps", type=int, help="Of the training.")
@processes_choice
@threads_choice
def make_default(threads: int, work: Path, out: Path, processes: int | None, **plan: int | None) -> None:
    """Make the default model from nothing."""
    with Bars() as bars:
        jobs(threads).make_default(work, out, plan, processes, bars)


def jobs(threads: int = 1) -> ModuleType:
    """What these commands do, with torch on so many processors; raises ModelError where PyTorch is missing."""
    from retrieval.errors import ModelError

    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModelError(
            "training needs PyTorch, which is not installed: pip install -r requirements-train.txt"
        ) from error
    torch.set_num_threads(threads)
    from fungarium.jobs import training

    return training


TRAINING: Final = (draw, gather, train, export, compare_options, make_default)
