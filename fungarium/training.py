"""The commands of `fungarium model` that gather photos, train and export; they need requirements-train.txt.

For several GPUs: `torchrun --nproc-per-node 4 -m fungarium model train ...`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from fungarium.terminal import PATH, ProgressBars

LOSSES: Final = ("softmax", "arcface", "proxy-anchor")
PRECISIONS: Final = ("f32", "bf16")
AUGMENTATIONS: Final = {
    "side": "Pixels of the network's input.",
    "smallest": "Least share of the photo's area that a crop keeps.",
    "turn": "Degrees, either way.",
    "brightness": "Greatest change.",
    "contrast": "Greatest change.",
    "saturation": "Greatest change.",
    "hue": "Turns of the colour wheel, either way.",
    "warmth": "White balance: gain of red against blue.",
    "blur": "Share of photos that are blurred.",
    "noise": "Greatest standard deviation of sensor noise, relative to 1.",
    "erase": "Share of photos with a rectangle erased.",
    "jpeg": "Share of photos that are strongly compressed.",
}
"""Augmentations by the names of `training.augment.Augmentation`, which has the defaults."""

threads_choice = click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of PyTorch."
)
seed_choice = click.option("--seed", type=int, default=1, show_default=True, help="Random seed.")
held_out_choice = click.option(
    "--held-out", type=float, default=0.1, show_default=True, help="Share of observations held out for evaluation."
)


@click.command()
@click.argument("table", type=PATH)
@click.argument("folder", type=PATH)
@click.option("--side", type=int, default=256, show_default=True, help="Pixels of each photo.")
def gather(table: Path, folder: Path, side: int) -> None:
    """Make a pool of the photos in a table.

    TABLE is CSV with file, species, observation, and optionally genus and family.
    """
    with ProgressBars("photo") as bars:
        jobs().gather(table, folder, side, bars)


def augmentations(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each augmentation."""
    for name, does in reversed(AUGMENTATIONS.items()):
        command = click.option(f"--{name}", type=int if name == "side" else float, help=does)(command)
    return click.option("--mirror/--no-mirror", default=True, help="Mirror half of the photos.")(command)


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
    help="Rank to learn, the first also for sampling; repeat for several.",
)
@click.option("--scale", type=float, default=24.0, show_default=True, help="Scale of cosines in softmax and arcface.")
@click.option("--margin", type=float, default=0.2, show_default=True, help="Margin of arcface and proxy-anchor.")
@click.option("--balanced", is_flag=True, help="Sample every class equally often.")
@click.option("--trunk", default="residual", show_default=True, help="residual, or timm:NAME where timm is installed.")
@click.option(
    "--widths",
    type=int,
    nargs=4,
    default=(32, 48, 96, 160),
    show_default=True,
    help="Widths of the residual trunk's stages.",
)
@click.option("--steps", type=int, default=1000, show_default=True)
@click.option("--batch", type=int, default=64, show_default=True)
@click.option("--rate", type=float, default=2e-3, show_default=True, help="Peak learning rate.")
@click.option("--decay", type=float, default=0.02, show_default=True, help="Of weights.")
@click.option("--warm-up", type=int, default=100, show_default=True, help="Steps until the peak rate.")
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
    """Train on a pool, or resume a training.

    Checkpoints and logs are written to FOLDER; an interrupted run there is resumed.
    """
    with ProgressBars("step") as bars:
        jobs(threads).train_network(options, bars)


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--pool", type=PATH, required=True, help="The training's pool: its held-out observations evaluate the network."
)
@held_out_choice
@seed_choice
@click.option("--side", type=int, default=128, show_default=True, help="Pixels of the network's input.")
@click.option("--licence", default="not stated", show_default=True)
@click.option("--suitable", default="", help="Suitable uses.")
@click.option("--unsuitable", default="", help="Unsuitable uses.")
@threads_choice
def export(threads: int, **options: Any) -> None:
    """Export a checkpoint to ONNX, with its card and accuracy.

    --held-out and --seed are those given to train.
    """
    jobs(threads).export(options)


def jobs(threads: int = 1) -> ModuleType:
    """Return the training jobs with PyTorch on so many threads; raises ModelError if PyTorch is missing."""
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


TRAINING: Final = (gather, train, export)
