"""The commands of `python -m training` and their options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from training.augment import Augmentation
from training.drawn.drawing import PARTS, PoolPart
from training.export import export_network
from training.finish import learn_statistics, open_network, with_share
from training.gather import gather_pool
from training.losses import KINDS, Objective
from training.measure import Judge, embed_pool, find_species
from training.network import DIM, Shape, TrainingError
from training.pool import draw_pool, open_pool
from training.recipes.default import DefaultPlan, make_default
from training.recipes.options import compare_options, write_options
from training.samples import choose_parts, make_samples, split_observations
from training.trainer import PRECISIONS, TrainingRecipe, train


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    options = make_parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.run(options)


def make_parser() -> argparse.ArgumentParser:
    """All commands."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train embedding models.")
    parser.add_argument("--threads", type=int, default=1, help="processors torch works on (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_pools(commands)
    _add_train(commands)
    _add_export(commands)
    one = commands.add_parser("options", help="measure what each option gains on drawings; writes docs/training.md")
    one.add_argument("--work", type=Path, default=Path("data/training/options"), help="where pictures and weights lie")
    one.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the page (default: %(default)s)")
    one.set_defaults(run=run_options)
    two = commands.add_parser("default", help="make the default model from nothing")
    two.add_argument("--work", type=Path, default=Path("data/training/default"), help="where pictures and weights lie")
    two.add_argument("--out", type=Path, required=True, help="ONNX file; its cards lie beside it")
    two.add_argument(
        "--genera", type=int, default=DefaultPlan().genera, help="drawn; fewer: a rehearsal (default: %(default)s)"
    )
    two.add_argument("--things", type=int, default=DefaultPlan().things, help="drawn (default: %(default)s)")
    two.add_argument("--steps", type=int, default=DefaultPlan().steps, help="of the training (default: %(default)s)")
    two.add_argument("--processes", type=int, help="how many draw at once (default: all processors)")
    two.set_defaults(run=run_default)
    return parser


def _add_pools(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    draw = commands.add_parser("draw", help="draw a pool of pictures of species that do not exist")
    draw.add_argument("folder", type=Path)
    draw.add_argument(
        "--part",
        action="append",
        nargs=4,
        required=True,
        metavar=("NAME", "UNITS", "INDIVIDUALS", "PHOTOS"),
        help=f"what to draw: {'; '.join(f'{name}: {text}' for name, text in PARTS.items())}",
    )
    draw.add_argument("--side", type=int, default=144, help="pixels of each picture (default: %(default)s)")
    draw.add_argument("--seed", type=int, default=1)
    draw.add_argument("--processes", type=int, help="how many work at once (default: all processors)")
    draw.set_defaults(run=run_draw)
    gather = commands.add_parser("gather", help="make a pool of the photos of a table")
    gather.add_argument("table", type=Path, help="CSV with file, species, observation, and perhaps genus and family")
    gather.add_argument("folder", type=Path)
    gather.add_argument("--side", type=int, default=256, help="pixels of each picture (default: %(default)s)")
    gather.set_defaults(run=run_gather)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("train", help="train on a pool, or go on where an earlier run stopped")
    one.add_argument("pool", type=Path)
    one.add_argument("folder", type=Path, help="where checkpoints and logs are written")
    one.add_argument("--part", action="append", default=[], help="train on this part of the pool only (repeatable)")
    one.add_argument("--held-out", type=float, default=0.1, help="share of observations that judge")
    one.add_argument("--start", type=Path, help="checkpoint to fine-tune from (default: from scratch)")
    one.add_argument("--transfer", type=float, help="share a of the genus in a species' first weights; needs --start")
    one.add_argument("--loss", choices=KINDS, default="softmax")
    one.add_argument("--rank", action="append", help="learn this rank, the first being sampled by (default: species)")
    one.add_argument("--scale", type=float, default=24.0, help="of cosines in softmax and arcface")
    one.add_argument("--margin", type=float, default=0.2, help="of arcface and proxy-anchor")
    one.add_argument("--balanced", action="store_true", help="draw every class equally often")
    one.add_argument("--trunk", default="residual", help="residual, or timm:NAME where timm is installed")
    one.add_argument("--widths", type=int, nargs=4, default=(32, 48, 96, 160), help="of the residual trunk's stages")
    one.add_argument("--learned", type=int, default=DIM, help="numbers learned; the rest are statistics")
    one.add_argument("--steps", type=int, default=1000)
    one.add_argument("--batch", type=int, default=64)
    one.add_argument("--rate", type=float, default=2e-3)
    one.add_argument("--decay", type=float, default=0.02)
    one.add_argument("--warm-up", type=int, default=100)
    one.add_argument("--average", type=float, default=0.999, help="decay of the moving average of weights; 0: none")
    one.add_argument("--precision", choices=PRECISIONS, default="f32")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--judge-every", type=int, default=1000)
    one.add_argument("--keep-every", type=int, default=250)
    for setting in fields(Augmentation):
        if setting.type == "bool":
            one.add_argument("--no-mirror", dest="mirror", action="store_false")
        else:
            kind = int if setting.type == "int" else float
            one.add_argument(f"--{setting.name}", type=kind, default=setting.default)
    one.set_defaults(run=run_train)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("export", help="write ONNX and its card, with its measured accuracy")
    one.add_argument("checkpoint", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--pool", type=Path, required=True, help="of the training: its held-out observations measure")
    one.add_argument("--held-out", type=float, default=0.1, help="as given to train")
    one.add_argument("--seed", type=int, default=1, help="as given to train")
    one.add_argument("--side", type=int, default=128, help="pixels of the network's input (default: %(default)s)")
    one.add_argument("--statistics", type=float, default=0.0, help="share of statistics in an embedding")
    one.add_argument("--licence", default="not stated")
    one.add_argument("--suitable", default="")
    one.add_argument("--unsuitable", default="")
    one.set_defaults(run=run_export)


def run_draw(options: argparse.Namespace) -> None:
    """Draw a pool."""
    parts = []
    for name, *counts in options.part:
        if name not in PARTS or not all(count.isdecimal() and int(count) for count in counts):
            raise TrainingError(f"--part takes one of {', '.join(PARTS)} and three whole numbers above 0")
        parts.append(PoolPart(name, *map(int, counts)))
    pool = draw_pool(
        options.folder, parts, seed=options.seed, side=options.side, processes=options.processes, progress=True
    )
    print(f"{len(pool)} pictures in {options.folder}")


def run_gather(options: argparse.Namespace) -> None:
    """Gather a pool."""
    pool = gather_pool(options.table, options.folder, side=options.side, progress=True)
    print(f"{len(pool)} pictures in {options.folder}")


def read_recipe(options: argparse.Namespace) -> TrainingRecipe:
    """The recipe that the options of `train` describe."""
    ranks = tuple(options.rank or ("species",))
    return TrainingRecipe(
        shape=Shape(options.trunk, tuple(options.widths), options.learned),
        objective=Objective(options.loss, ranks, scale=options.scale, margin=options.margin),
        augmentation=Augmentation(**{setting.name: getattr(options, setting.name) for setting in fields(Augmentation)}),
        steps=options.steps,
        batch=options.batch,
        rate=options.rate,
        decay=options.decay,
        warm_up=options.warm_up,
        average=options.average,
        balanced=options.balanced,
        precision=options.precision,
        seed=options.seed,
        judge_every=options.judge_every,
        keep_every=options.keep_every,
        transfer=options.transfer,
    )


def run_train(options: argparse.Namespace) -> None:
    """Train."""
    recipe = read_recipe(options)
    pool = open_pool(options.pool)
    learned, judged = split_observations(pool, choose_parts(pool, options.part), options.held_out, seed=options.seed)
    samples = make_samples(pool, learned, recipe.objective.ranks)
    judge = Judge(pool, judged, options.side) if len(judged) else None
    train(recipe, samples, options.folder, judge=judge, start=options.start, progress=True)
    print(
        f"trained on {len(samples)} pictures; {options.folder / 'last.pt'}, curves in {options.folder / 'curves.html'}"
    )


def run_export(options: argparse.Namespace) -> None:
    """Export, and measure on the observations that were held out of the training."""
    network = open_network(options.checkpoint)
    pool = open_pool(options.pool)
    learned, judged = split_observations(pool, choose_parts(pool, ()), options.held_out, seed=options.seed)
    if options.statistics:
        learn_statistics(network, pool, side=options.side, seed=options.seed)
        network = with_share(network, options.statistics)
    card = {name: getattr(options, name) for name in ("licence", "suitable", "unsuitable")}
    export_network(network, options.out, side=options.side, card=card)
    numbers = np.concatenate([judged, learned])
    embeddings = embed_pool(network, pool, numbers, side=options.side)
    names = pool.names["observation"][numbers].tolist(), pool.names["species"][numbers].tolist()
    found = find_species(embeddings, *names, asked=np.arange(len(numbers)) < len(judged))
    low, high = found.interval()
    about = {
        "checkpoint": str(options.checkpoint.name),
        "held-out observations": len(found.first),
        "recall@1": found.top1,
        "recall@5": found.top5,
        "interval": [low, high],
    }
    beside = options.out.with_suffix(".json")
    beside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out}: {found.top1:.3f} ({low:.3f} to {high:.3f}) of {len(found.first)} held-out observations")


def run_options(options: argparse.Namespace) -> None:
    """Measure the options and write the table."""
    kept, page = options.docs / "training" / "options.json", options.docs / "training.md"
    compare_options(options.work, keep=lambda found: write_options(found, kept, page))


def run_default(options: argparse.Namespace) -> None:
    """Make the default model."""
    plan = DefaultPlan(options.genera, options.things, options.steps)
    about = make_default(options.work, options.out, plan, processes=options.processes)
    print(json.dumps(about["measured on drawings never trained on"], indent=1))
