"""Losses against plain arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs requirements-train.txt")

import torch

from training.losses import (
    UNKNOWN,
    Objective,
    RankHead,
    RankHeads,
    add_margin,
    proxy_anchor,
    transfer_directions,
)
from training.network import TrainingError


def unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


@pytest.fixture
def embeddings() -> torch.Tensor:
    return unit(torch.randn(5, 8, generator=torch.Generator().manual_seed(1)))


def test_softmax_is_the_mean_of_minus_log_shares(embeddings: torch.Tensor) -> None:
    head = RankHead(Objective(scale=10.0), 4, 8)
    classes = torch.tensor([0, 1, 3, 3, 2])

    loss = float(head(embeddings, classes).detach())

    directions = head.directions.detach().numpy()
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    powers = np.exp(10 * embeddings.numpy() @ directions.T)
    shares = powers / powers.sum(axis=1, keepdims=True)
    wanted = -np.log(shares[np.arange(5), classes.numpy()]).mean()
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_arcface_turns_a_picture_away_from_its_own_class_and_no_other() -> None:
    cosines = torch.tensor([[0.5, -0.2], [0.1, 0.9], [-0.999, 0.0]])
    classes = torch.tensor([0, 1, 0])

    turned = add_margin(cosines, classes, 0.3)

    assert turned[0, 0] == pytest.approx(math.cos(math.acos(0.5) + 0.3), abs=1e-6)
    assert turned[1, 1] == pytest.approx(math.cos(math.acos(0.9) + 0.3), abs=1e-6)
    assert turned[0, 1] == cosines[0, 1]
    assert turned[2, 0] < cosines[2, 0]  # past the opposite direction it still falls


@pytest.mark.parametrize("kind", ["arcface", "proxy-anchor"])
def test_a_picture_that_lies_on_its_class_has_a_slope_in_mixed_precision_too(kind: str) -> None:
    head = RankHead(Objective(kind), 3, 8)
    rows = unit(head.directions.detach()).requires_grad_()

    with torch.autocast("cpu", torch.bfloat16):
        loss = head(rows, torch.tensor([0, 1, 2]))
    loss.backward()

    assert loss.dtype == torch.float32
    assert rows.grad is not None
    assert bool(torch.isfinite(rows.grad).all())


def test_proxy_anchor_is_what_its_authors_wrote() -> None:
    generator = torch.Generator().manual_seed(2)
    cosines = torch.rand(6, 4, generator=generator) * 2 - 1
    classes = torch.tensor([0, 0, 1, 1, 1, 0])  # classes 2 and 3 have no picture

    loss = float(proxy_anchor(cosines, classes, margin=0.1, sharpness=8.0))

    pull = push = 0.0
    for proxy in range(4):
        own = [float(cosines[k, proxy]) for k in range(6) if int(classes[k]) == proxy]
        others = [float(cosines[k, proxy]) for k in range(6) if int(classes[k]) != proxy]
        if own:
            pull += math.log(1 + sum(math.exp(-8 * (value - 0.1)) for value in own)) / 2
        push += math.log(1 + sum(math.exp(8 * (value + 0.1)) for value in others)) / 4
    assert loss == pytest.approx(pull + push, rel=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "arcface", "proxy-anchor"])
def test_pictures_of_no_known_class_count_nothing(kind: str, embeddings: torch.Tensor) -> None:
    head = RankHead(Objective(kind), 4, 8)
    classes = torch.tensor([0, UNKNOWN, 3, UNKNOWN, 2])

    loss = head(embeddings, classes)

    torch.testing.assert_close(loss, head(embeddings[[0, 2, 4]], torch.tensor([0, 3, 2])))
    assert float(head(embeddings, torch.full((5,), UNKNOWN)).detach()) == 0


def test_the_losses_of_all_ranks_are_added_with_their_weights(embeddings: torch.Tensor) -> None:
    heads = RankHeads(Objective(ranks=("species", "genus"), weights=(1.0, 0.25)), [4, 2], 8)
    classes = torch.tensor([[0, 0], [1, 0], [2, 1], [3, 1], [3, 1]])

    total, parts = heads(embeddings, classes)

    apart = [float(head(embeddings, classes[:, place]).detach()) for place, head in enumerate(heads.heads)]
    assert parts.tolist() == pytest.approx(apart)
    assert float(total.detach()) == pytest.approx(apart[0] + 0.25 * apart[1])


def test_a_species_begins_between_its_genus_and_chance() -> None:
    generator = torch.Generator().manual_seed(3)
    genera, drawn = torch.randn(2, 512, generator=generator), torch.randn(3, 512, generator=generator)

    begun = transfer_directions(genera, np.array([1, 0, -1]), 0.64, drawn)

    cosines = unit(begun) @ unit(genera).T
    assert float(cosines[0, 1]) == pytest.approx(0.8, abs=0.1)  # sqrt(a)
    assert float(cosines[1, 0]) == pytest.approx(0.8, abs=0.1)
    assert float(cosines[0, 0]) == pytest.approx(0.0, abs=0.15)
    torch.testing.assert_close(begun[2], unit(drawn)[2])
    torch.testing.assert_close(
        begun[0], 0.8 * unit(genera)[1] + 0.6 * unit(drawn)[0]
    )  # w = sqrt(a) w_genus + sqrt(1 - a) w_random


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"kind": "hinge"}, "no loss"), ({"ranks": ()}, "at least one rank"), ({"weights": (1.0, 2.0)}, "do not fit")],
)
def test_an_objective_that_cannot_be_is_refused(arguments: dict[str, object], word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        Objective(**arguments)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="between 0 and 1"):
        transfer_directions(torch.ones(1, 2), np.array([0]), 1.5, torch.ones(1, 2))
