"""What options gain: measures and intervals against hand-made tables, and the whole comparison run small."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs requirements-train.txt")

import torch

from training.augment import Augmentation
from training.network import Shape
from training.pool import Pool
from training.recipes.comparison import BEGIN, END, ComparisonLine, compare_lines, conclude, paired_change, tabulate
from training.recipes.options import BASE, LONG, OPTIONS, TAIL, compare_options, judgeable, slug, thin, write_options
from training.samples import split_observations

SMALL = replace(
    BASE, shape=Shape(widths=(8, 8, 16, 16)), augmentation=Augmentation(side=32), steps=3, batch=8, warm_up=1
)


def test_every_line_is_trained_with_every_seed_and_the_page_gets_its_table(pool: Pool, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    page, kept = tmp_path / "page.md", tmp_path / "docs" / "options.json"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    stages: list[int] = []

    def keep(known: dict[str, Any]) -> None:
        stages.append(len(known["seeds"]))
        write_options(known, kept, page)

    found = compare_options(
        tmp_path / "work",
        base=SMALL,
        pool=pool,
        seeds=(1, 2),
        keep=keep,
    )

    assert stages == [1, 2]  # a run that is stopped after a seed leaves a whole table
    assert json.loads(kept.read_text(encoding="utf-8")) == json.loads(json.dumps(found))
    assert [row["line"] for row in found["lines"]] == [option.name for option in OPTIONS]
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert tabulate(found) in text
    begun = tmp_path / "work" / slug(OPTIONS[2]) / "2"
    assert (begun / "genera" / "last.pt").exists()
    assert (begun / "species" / "last.pt").exists()


def test_a_line_is_compared_species_by_species_and_seed_by_seed() -> None:
    plain, other = ComparisonLine("plain"), ComparisonLine("other", "plain", "genus")
    plain.add({"species": np.array([0.0, 1.0, 0.5]), "genus": np.array([0.5, 1.0, 1.0])})
    plain.add({"species": np.array([0.5, 1.0, 0.0]), "genus": np.array([0.5, 1.0, 1.0])})
    other.add({"species": np.array([1.0, 1.0, 0.5]), "genus": np.array([1.0, 1.0, 1.0])})
    other.add({"species": np.array([0.5, 1.0, 0.5]), "genus": np.array([1.0, 1.0, 1.0])})

    first, second = compare_lines([plain, other], np.array([1, 6, 1]))

    assert first["species"] == pytest.approx((1.5 + 1.5) / 6)
    assert first["frequent"] == pytest.approx((6.5 + 6.5) / 16)  # the second species weighs six times
    assert second["genus"] == pytest.approx(1.0)
    assert second["genus change"]["mean"] == pytest.approx(0.5 / 3)
    assert second["species change"]["mean"] == pytest.approx(1.5 / 6)
    assert second["frequent change"]["mean"] == pytest.approx(1.5 / 16)
    assert "species change" not in first


def test_a_rule_helps_where_the_interval_of_its_own_measure_lies_above_nothing() -> None:
    def line(name: str, measure: str, low: float, high: float) -> dict[str, Any]:
        other = {"low": -1.0, "high": 1.0}
        changes = {f"{one} change": other for one in ("species", "frequent", "genus")}
        return {
            "line": name,
            "against": "plain",
            "judged by": measure,
            **changes,
            f"{measure} change": {"low": low, "high": high},
        }

    rows = [
        {"line": "plain", "against": "", "judged by": ""},
        line("+ ranks", "genus", 0.001, 0.02),
        line("plain, with margin", "species", -0.02, -0.001),
        line("+ balanced", "species", -0.01, 0.01),
    ]

    said = conclude({"lines": rows})

    assert said == "Shown to help: ranks. Shown to harm: with margin. Not shown to do either: balanced."


def test_the_page_has_the_table_of_the_kept_measurement() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    kept = docs / "training" / "options.json"
    if not kept.exists():
        pytest.skip("the second design has not been measured yet")
    page = (docs / "training.md").read_text(encoding="utf-8")

    table = tabulate(json.loads(kept.read_text(encoding="utf-8")))

    assert f"{BEGIN}\n{table}\n{END}" in page


def test_what_is_the_same_in_every_pair_has_no_interval_and_chance_has_one_around_nothing() -> None:
    draw = np.random.default_rng(3)
    weights = np.ones(400, np.int64)

    sure = paired_change(np.full((5, 400), 0.02), weights)
    chance = paired_change(draw.choice([-1.0, 0.0, 1.0], (5, 400)), weights)

    assert (sure["low"], sure["high"]) == pytest.approx((0.02, 0.02))
    assert chance["low"] < 0 < chance["high"]
    assert chance["high"] - chance["low"] < 0.2


def test_seeds_that_disagree_widen_the_interval() -> None:
    weights = np.ones(400, np.int64)
    agree = np.tile(np.random.default_rng(4).choice([0.0, 0.1], 400), (5, 1))
    disagree = agree + np.array([[-0.2], [0.2], [0.0], [-0.1], [0.1]])

    calm, shaken = (paired_change(apart, weights) for apart in (agree, disagree))

    assert shaken["mean"] == pytest.approx(calm["mean"])
    assert shaken["high"] - shaken["low"] > 5 * (calm["high"] - calm["low"])


def test_the_tail_keeps_every_species_and_whole_observations(pool: Pool) -> None:
    everything = np.arange(len(pool), dtype=np.int64)

    kept = thin(pool, everything)

    species, observations = pool.names["species"], pool.names["observation"]
    assert set(species[kept].tolist()) == set(species.tolist())
    assert set(observations[kept].tolist()).isdisjoint(observations[np.setdiff1d(everything, kept)].tolist())
    sizes = sorted(
        (len(set(observations[kept][species[kept] == name].tolist())) for name in set(species)), reverse=True
    )
    names = len(sizes)
    assert sizes == [max(1, round(3 * (1 + LONG * place / names) ** -TAIL)) for place in range(names)]


def test_only_species_that_were_learned_from_are_judged(pool: Pool) -> None:
    learned, judged = split_observations(pool, np.arange(len(pool), dtype=np.int64), 0.4, seed=1)
    gone = pool.names["species"][judged][0]
    learned = learned[pool.names["species"][learned] != gone]

    owners = judgeable(pool, learned, judged)

    assert gone not in owners.values()
    assert set(owners) <= set(pool.names["observation"][judged].tolist())
