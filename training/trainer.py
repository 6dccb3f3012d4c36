"""The training loop. An interrupted training resumes with bit-identical results."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from retrieval.progress import Progress, silent
from training.augment import Augmentation, augment
from training.averaging import Average
from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from training.log import Log
from training.losses import Objective, RankHeads, random_directions, transfer_directions
from training.measure import Judge
from training.network import DIM, Network, Shape, TrainingError
from training.samples import Samples, batches

PRECISIONS = ("f32", "bf16")
AHEAD = 3
"""Batches prepared in advance."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """All settings that determine the result of a training, apart from the images."""

    shape: Shape = field(default_factory=Shape)
    objective: Objective = field(default_factory=Objective)
    augmentation: Augmentation = field(default_factory=Augmentation)
    steps: int = 1000
    batch: int = 64
    rate: float = 2e-3  # peak learning rate of AdamW
    decay: float = 0.02  # weight decay
    warm_up: int = 100  # steps
    average: float = 0.999  # decay of the moving average of weights; 0: none
    balanced: bool = False
    precision: str = "f32"
    seed: int = 1
    judge_every: int = 1000  # steps between evaluations
    keep_every: int = 250  # steps between checkpoints
    transfer: float | None = None  # share of the genus in a species' initial direction; needs a start

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise TrainingError(f"{self.precision!r} is no precision to train in; there are: {', '.join(PRECISIONS)}")
        if self.steps < 1 or self.batch < 2:
            raise TrainingError("a training needs at least one step and two pictures a batch")
        if self.rate <= 0 or self.decay < 0 or self.warm_up < 0 or not 0 <= self.average < 1:
            raise TrainingError(
                "the rate must lie above 0, decay and warm-up not below it, and the average's decay from 0 to below 1"
            )
        if self.judge_every < 1 or self.keep_every < 1:
            raise TrainingError("between two measurements, and two checkpoints, lies at least one step")


@dataclass(slots=True)
class State:
    """The state of a training between two steps."""

    network: Network
    heads: RankHeads
    optimiser: torch.optim.Optimizer
    average: Average
    step: int = 0


def train(
    recipe: TrainingRecipe,
    samples: Samples,
    folder: Path,
    *,
    judge: Judge | None = None,
    start: Path | None = None,
    stop_after: int | None = None,
    progress: Progress = silent,
) -> Network:
    """Train, or resume an earlier run in the same folder; returns the averaged network.

    `start` is a checkpoint of another training to initialise from; with `recipe.transfer`, species are initialised from
    its genera. `stop_after` ends early, like an interruption. Only the process of rank 0 writes.
    """
    torch.manual_seed(recipe.seed)
    rank, world, device = join_processes()
    state = begin(recipe, samples, device, start)
    last = folder / "last.pt"
    if last.exists():
        resume(state, recipe, samples, read_checkpoint(last))
    log = Log(folder, samples.ranks) if rank == 0 else None
    model: nn.Module = Joined(state.network, state.heads)
    if world > 1:
        model = DistributedDataParallel(model)
    end = min(recipe.steps, stop_after if stop_after is not None else recipe.steps)
    order = batches(
        samples,
        recipe.batch,
        balanced=recipe.balanced,
        seed=recipe.seed,
        start=state.step,
        rank=rank,
        world=world,
    )
    fed = feed(order, recipe, samples, state.step, rank, end)
    began, first = time.monotonic(), state.step
    shown = progress if rank == 0 else silent
    shown("training", state.step, recipe.steps)
    while state.step < end:
        rate = set_rate(state.optimiser, recipe, state.step)
        loss, parts = take_step(model, state, recipe, next(fed), device)
        state.step += 1
        shown("training", 1, recipe.steps)
        if log is not None:
            speed = (state.step - first) * recipe.batch / (time.monotonic() - began)
            log.step(state.step, loss, parts, rate, speed)
            due = state.step % recipe.judge_every == 0 or state.step == recipe.steps
            if judge is not None and due:
                log.judged(state.step, judge.measure(state.average.network))
            if state.step % recipe.keep_every == 0 or state.step == end:
                write_checkpoint(last, keep(state, recipe, samples))
    if log is not None:
        log.draw()
    return state.average.network


class Joined(nn.Module):
    """Network and heads as one module, so that distributed training synchronises the gradients of both."""

    def __init__(self, network: Network, heads: RankHeads) -> None:
        super().__init__()
        self.network, self.heads = network, heads

    def forward(self, pictures: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the total loss and the loss of each rank."""
        total, parts = self.heads(self.network(pictures), classes)
        return total, parts


def join_processes() -> tuple[int, int, torch.device]:
    """Join the process group of torch's launcher, if any; returns rank, number of processes and device."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo")
    if cuda:
        torch.cuda.set_device(device)
    return rank, world, device


def begin(recipe: TrainingRecipe, samples: Samples, device: torch.device, start: Path | None) -> State:
    """Initialise the state of a training."""
    network = Network(recipe.shape)
    heads = RankHeads(recipe.objective, [len(names) for names in samples.names], DIM)
    if start is not None:
        take_over(network, heads, recipe, samples, read_checkpoint(start))
    elif recipe.transfer is not None:
        raise TrainingError("to begin species from their genera, name a training of genera to start from")
    network.to(device, memory_format=torch.channels_last)
    heads.to(device)
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for module in (network, heads):
        for parameter in module.parameters():
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": recipe.decay}, {"params": plain, "weight_decay": 0.0}]
    return State(network, heads, torch.optim.AdamW(groups, lr=recipe.rate), Average(network, recipe.average))


def take_over(network: Network, heads: RankHeads, recipe: TrainingRecipe, samples: Samples, found: Checkpoint) -> None:
    """Initialise from another training: its averaged network, and the directions of shared classes."""
    if Shape(**found.recipe["shape"]) != recipe.shape:
        raise TrainingError("the training to start from has a network of another shape; give the same --widths")
    network.load_state_dict(found.average)
    known = {rank: place for place, rank in enumerate(found.ranks)}
    for place, rank in enumerate(samples.ranks):
        if rank in known:
            before = {name: number for number, name in enumerate(found.names[known[rank]])}
            weights = found.heads[f"heads.{known[rank]}.directions"]
            with torch.no_grad():
                for number, name in enumerate(samples.names[place]):
                    if name in before:
                        heads.heads[place].directions[number] = weights[before[name]]
    if recipe.transfer is None:
        return
    if "genus" not in known or "species" not in samples.ranks:
        raise TrainingError("to begin species from their genera, start from a training of the rank genus")
    genus_of = {name: place for place, name in enumerate(found.names[known["genus"]])}
    genera = dict(zip(samples.pool.names["species"].tolist(), samples.pool.names["genus"].tolist(), strict=True))
    at = samples.ranks.index("species")
    parents = np.array([genus_of.get(genera[name], -1) for name in samples.names[at]], np.int64)
    directions = heads.heads[at].directions
    above = found.heads[f"heads.{known['genus']}.directions"]
    with torch.no_grad():
        drawn = random_directions(*directions.shape)
        directions.copy_(transfer_directions(above, parents, recipe.transfer, drawn))


def feed(
    order: Iterator[NDArray[np.int64]], recipe: TrainingRecipe, samples: Samples, step: int, rank: int, end: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield augmented images and classes for each step, prepared in a background thread."""

    def make(step: int, positions: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = samples.pool.pictures(samples.numbers[positions])
        changed = augment(pictures, recipe.augmentation, (recipe.seed, 3, step, rank))
        return changed.contiguous(memory_format=torch.channels_last), torch.from_numpy(samples.classes[positions])

    with ThreadPoolExecutor(1) as worker:
        ahead = deque(worker.submit(make, at, next(order)) for at in range(step, min(step + AHEAD, end)))
        while ahead:
            step += 1
            ready = ahead.popleft().result()
            if step + AHEAD <= end:
                ahead.append(worker.submit(make, step + AHEAD - 1, next(order)))
            yield ready


def take_step(
    model: nn.Module,
    state: State,
    recipe: TrainingRecipe,
    batch: tuple[torch.Tensor, torch.Tensor],
    device: torch.device,
) -> tuple[float, list[float]]:
    """Train on one batch; returns the total loss and the loss of each rank. Raises TrainingError if it diverges."""
    pictures = batch[0].to(device, memory_format=torch.channels_last)
    classes = batch[1].to(device)
    state.network.train()
    state.optimiser.zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
        loss, parts = model(pictures, classes)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    state.optimiser.step()
    state.average.update(state.network, state.step)
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is {float(loss)} at step {state.step}: lower --rate, or raise --warm-up")
    return float(loss.detach()), [float(part) for part in parts]


def set_rate(optimiser: torch.optim.Optimizer, recipe: TrainingRecipe, step: int) -> float:
    """Set the learning rate: linear warm-up, then cosine decay; returns it."""
    if step < recipe.warm_up:
        rate = recipe.rate * (step + 1) / recipe.warm_up
    else:
        done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
        rate = recipe.rate * 0.5 * (1 + float(np.cos(np.pi * done)))
    for group in optimiser.param_groups:
        group["lr"] = rate
    return rate


def keep(state: State, recipe: TrainingRecipe, samples: Samples) -> Checkpoint:
    """Make a checkpoint of everything that the next step depends on."""
    return Checkpoint(
        recipe=asdict(recipe),
        step=state.step,
        network=state.network.state_dict(),
        heads=state.heads.state_dict(),
        optimiser=state.optimiser.state_dict(),
        average=state.average.network.state_dict(),
        ranks=samples.ranks,
        names=samples.names,
    )


def resume(state: State, recipe: TrainingRecipe, samples: Samples, found: Checkpoint) -> None:
    """Resume from a checkpoint; raises TrainingError if recipe or classes differ."""
    same = ("steps", "judge_every", "keep_every")
    wanted = {name: value for name, value in as_plain(asdict(recipe)).items() if name not in same}
    there = {name: value for name, value in as_plain(found.recipe).items() if name not in same}
    if wanted != there or found.recipe["steps"] != recipe.steps:
        other = sorted(name for name in wanted if wanted[name] != there.get(name)) or ["steps"]
        what = ", ".join(other)
        raise TrainingError(f"the folder holds a training of another recipe ({what}); choose another folder")
    if found.names != samples.names:
        raise TrainingError("the folder holds a training on other classes; choose another folder")
    state.network.load_state_dict(found.network)
    state.heads.load_state_dict(found.heads)
    state.optimiser.load_state_dict(found.optimiser)
    state.average.network.load_state_dict(found.average)
    state.step = found.step


def as_plain(value: Any) -> Any:
    """Convert tuples to lists, as they are read from a file."""
    if isinstance(value, dict):
        return {name: as_plain(part) for name, part in value.items()}
    return [as_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
