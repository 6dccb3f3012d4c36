"""Training on a tiny pool: it learns, it resumes bit for bit, and several processes share it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fungarium.cli import main

pytest.importorskip("torch", reason="needs requirements-train.txt")

import torch

from training.augment import Augmentation
from training.checkpoint import read_checkpoint
from training.export import export_network, open_network, run_onnx
from training.losses import Objective
from training.measure import Judge, embed_pool, find_species
from training.network import Network, Shape, TrainingError
from training.pool import Pool
from training.samples import Samples, choose_parts, make_samples
from training.trainer import TrainingRecipe, train

ROOT = Path(__file__).resolve().parents[2]
RECIPE = TrainingRecipe(
    shape=Shape(widths=(8, 8, 16, 16)),
    objective=Objective(ranks=("species", "genus")),
    augmentation=Augmentation(side=32, hue=0.02, blur=0.3, noise=0.05, erase=0.3),
    steps=6,
    batch=16,
    warm_up=2,
    keep_every=2,
    judge_every=6,
)


@pytest.fixture(autouse=True)
def quiet_torch() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def samples(pool: Pool) -> Samples:
    return make_samples(pool, choose_parts(pool, ()), ("species", "genus"))


def same(first: Network, second: Network) -> bool:
    return all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_training_that_was_stopped_goes_on_bit_for_bit(samples: Samples, tmp_path: Path, precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    whole = train(recipe, samples, tmp_path / "whole")

    train(recipe, samples, tmp_path / "parts", stop_after=3)
    parts = train(recipe, samples, tmp_path / "parts")

    assert same(whole, parts)
    one, other = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    for name, weights in one.network.items():
        assert torch.equal(weights, other.network[name])
    for state in ("exp_avg", "exp_avg_sq"):
        for number, kept in one.optimiser["state"].items():
            assert torch.equal(kept[state], other.optimiser["state"][number][state])


def test_a_folder_with_a_training_of_another_recipe_is_refused(samples: Samples, tmp_path: Path) -> None:
    train(RECIPE, samples, tmp_path, stop_after=2)

    with pytest.raises(TrainingError, match=r"another recipe \(rate\)"):
        train(replace(RECIPE, rate=1e-3), samples, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path, samples: Samples) -> None:
    (tmp_path / "last.pt").write_bytes(b"nothing")

    with pytest.raises(TrainingError, match="damaged or no checkpoint"):
        train(RECIPE, samples, tmp_path)
    with pytest.raises(TrainingError, match="no checkpoint at"):
        train(RECIPE, samples, tmp_path / "new", start=tmp_path / "none.pt")


def test_training_finds_species_better_than_chance_and_writes_its_curves(pool: Pool, tmp_path: Path) -> None:
    fungi = choose_parts(pool, ["fungi"])
    samples = make_samples(pool, fungi, ("species", "genus"))
    recipe = replace(RECIPE, steps=150, average=0.95, keep_every=150, judge_every=150, rate=4e-3)

    network = train(recipe, samples, tmp_path, judge=Judge(pool, fungi, 48))

    embeddings = embed_pool(network, pool, fungi, side=48)
    names = pool.names["observation"][fungi].tolist(), pool.names["species"][fungi].tolist()
    assert find_species(embeddings, *names).top5 > 0.6  # chance: 5 of 12
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-4)
    with (tmp_path / "steps.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.8 * losses[0]
    assert "fungi_all" in (tmp_path / "judged.csv").read_text(encoding="utf-8")
    assert (tmp_path / "curves.html").read_text(encoding="utf-8").count("<svg") == 5 + 2


def test_species_begin_from_the_genera_of_an_earlier_training(pool: Pool, tmp_path: Path) -> None:
    fungi = choose_parts(pool, ["fungi"])
    first = replace(RECIPE, objective=Objective(ranks=("genus",)), steps=2)
    train(first, make_samples(pool, fungi, ("genus",)), tmp_path / "genera")
    recipe = replace(RECIPE, steps=1, transfer=1.0, rate=1e-9, decay=0.0)
    samples = make_samples(pool, fungi, ("species", "genus"))

    train(recipe, samples, tmp_path / "species", start=tmp_path / "genera" / "last.pt")

    begun = read_checkpoint(tmp_path / "species" / "last.pt").heads["heads.0.directions"]
    above = read_checkpoint(tmp_path / "genera" / "last.pt").heads["heads.0.directions"]
    unit = torch.nn.functional.normalize
    nearest = (unit(begun, dim=1) @ unit(above, dim=1).T).argmax(dim=1)
    assert nearest.tolist() == samples.parents("genus", of="species").tolist()
    with pytest.raises(TrainingError, match="name a training of genera"):
        train(recipe, samples, tmp_path / "none")


def test_two_processes_train_as_one_and_only_the_first_writes(pool: Pool, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *(
            "-m",
            "fungarium",
            "model",
            "train",
            str(pool.folder),
            str(tmp_path / "both"),
            "--steps",
            "3",
            "--batch",
            "16",
        ),
        *("--widths", "8", "8", "16", "16", "--side", "32", "--held-out", "0", "--warm-up", "1"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}

    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=180)

    assert ran.returncode == 0, ran.stderr[-2000:]
    kept = read_checkpoint(tmp_path / "both" / "last.pt")
    assert kept.step == 3
    lines = (tmp_path / "both" / "steps.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "1"]


def test_the_exported_network_answers_as_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = Network(RECIPE.shape).eval()

    path = export_network(network, tmp_path / "tiny.onnx", side=32, card={"licence": "CC0-1.0"})

    pictures = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = network(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).numpy()
    np.testing.assert_allclose(run_onnx(path, pictures), wanted, atol=1e-3)
    card = json.loads((tmp_path / "tiny.onnx.card.json").read_text(encoding="utf-8"))
    assert (card["resize"], card["crop"], card["licence"]) == (32, 32, "CC0-1.0")


def test_the_commands_train_and_export_with_measured_accuracy(
    pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--widths", "8", "8", "16", "16", "--side", "32", "--steps", "4", "--batch", "16", "--held-out", "0.4"]

    assert (
        main(
            [
                "model",
                "train",
                str(pool.folder),
                str(tmp_path / "run"),
                *small,
                "--rank",
                "species",
                "--loss",
                "arcface",
            ]
        )
        == 0
    )
    kept, out = str(tmp_path / "run" / "last.pt"), str(tmp_path / "mine.onnx")
    assert main(["model", "export", kept, out, "--pool", str(pool.folder), "--held-out", "0.4", "--side", "32"]) == 0

    assert "held-out observations" in capsys.readouterr().out
    about = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert 0 <= about["recall@1"] <= about["recall@5"] <= 1
    assert open_network(tmp_path / "run" / "last.pt").shape.widths == (8, 8, 16, 16)


def test_recall_is_counted_by_observation_without_its_own_pictures() -> None:
    axes = np.eye(4, dtype=np.float32)
    embeddings = axes[[0, 1, 0, 1, 2, 2, 3]]  # a: two observations of both axes; b: two of axis 2; c: one alone
    observations = ["a1", "a1", "a2", "a2", "b1", "b2", "c1"]
    species = ["a", "a", "a", "a", "b", "b", "c"]

    found = find_species(embeddings, observations, species)

    assert found.first.tolist() == [True] * 4  # c's only observation is not judged
    assert find_species(embeddings, observations, species, photos=1).top1 == 1
    asked = np.array([name == "b1" for name in observations])
    assert len(find_species(embeddings, observations, species, asked=asked).first) == 1


def test_only_the_pictures_that_may_answer_do() -> None:
    embeddings = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0.8, 0, 0.6]], np.float32)
    observations, species = ["a1", "a2", "a3", "b1"], ["a", "a", "a", "b"]  # a1 and a2 are twins; b1 is nearer than a3
    asked = np.array([True, True, False, False])

    everybody = find_species(embeddings, observations, species, asked=asked)
    others = find_species(embeddings, observations, species, asked=asked, answering=~asked)
    strangers = find_species(embeddings, observations, species, asked=asked, answering=np.array([False] * 3 + [True]))

    assert everybody.first.tolist() == [True, True]
    assert others.first.tolist() == [False, False]
    assert others.five.tolist() == [True, True]
    assert len(strangers.first) == 0  # nobody could have answered rightly


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: TrainingRecipe(precision="f8"), "no precision"),
        (lambda: TrainingRecipe(steps=0), "at least one step"),
        (lambda: TrainingRecipe(rate=0.0), "the rate must lie above 0"),
        (lambda: TrainingRecipe(average=1.0), "the average's decay"),
        (lambda: TrainingRecipe(keep_every=0), "at least one step"),
        (lambda: Objective(scale=0.0), "scale of cosines"),
        (lambda: Augmentation(side=0), "a side of 16 pixels"),
        (lambda: Augmentation(smallest=0.0), "a share above 0"),
        (lambda: Augmentation(jpeg=2.0), "jpeg is a share"),
        (lambda: Augmentation(turn=-1.0), "turn says how far"),
        (lambda: Shape(widths=(0, 8, 8, 8)), "1 plane wide at least"),
        (lambda: Network(Shape(trunk="oak")), "no trunk"),
        (lambda: Network(Shape(trunk="timm:resnet18")), "needs timm"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(make: object, word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        make()  # type: ignore[operator]
