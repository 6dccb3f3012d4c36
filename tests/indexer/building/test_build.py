"""Builds: reproducible bytes, new references in new segments, floras as bits."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from indexer.building.build import FloraPlan, build_snapshot
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.models.embedder import unit_rows
from retrieval.search.index import ExactIndex
from retrieval.snapshots.history import HISTORY, read_history
from retrieval.snapshots.manifest import checksum, read_manifest
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.verified_files import STAMPS
from tests.catalogues import CARD, SPECIES, build, fill_store, make_catalogue, make_reference, make_references

FLORAS = [
    FloraPlan("north", "North", frozenset(SPECIES[:6])),
    FloraPlan("south", "South", frozenset(SPECIES[4:])),
    FloraPlan("alphas", "Alphas", frozenset(SPECIES[:5])),
]


def all_bytes(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file() and path.name not in {HISTORY, STAMPS, ".lock"})
    return {path.relative_to(root).as_posix(): checksum(path) for path in files}


def test_the_same_catalogue_in_any_order_gives_the_same_bytes(tmp_path: Path) -> None:
    references = make_references()
    shuffled = random.Random(1).sample(references, len(references))

    first = build(tmp_path / "a", tmp_path / "e", references, FLORAS)
    second = build(tmp_path / "b", tmp_path / "e", shuffled, FLORAS[::-1])

    assert first == second
    assert all_bytes(tmp_path / "a") == all_bytes(tmp_path / "b")


def test_building_again_changes_nothing(tmp_path: Path) -> None:
    name = build(tmp_path / "a", tmp_path / "e", make_references(), FLORAS)
    publish_snapshot(tmp_path / "a")
    before = all_bytes(tmp_path / "a")

    again = build(tmp_path / "a", tmp_path / "e", make_references(), FLORAS)

    assert again == name
    assert all_bytes(tmp_path / "a") == before


def test_new_references_go_to_a_new_segment_and_rewrite_nothing(tmp_path: Path) -> None:
    root, references = tmp_path / "a", make_references(observations=3)
    build(root, tmp_path / "e", references)
    publish_snapshot(root)
    before = {name: (root / name).stat().st_mtime_ns for name in all_bytes(root) if name.startswith("segments/")}
    more = [*references, make_reference(10, 10_900), make_reference(24, 24_900)]

    name = build(root, tmp_path / "e", more)

    manifest = read_manifest(root, name)
    assert len(manifest.segments) == 2
    assert manifest.references == len(more)
    assert {name: (root / name).stat().st_mtime_ns for name in before} == before
    added = make_reference(24, 24_900)
    assert open_snapshot(root, name).reference_of_photo(added.photo).observation == added.observation


def test_a_withdrawn_or_changed_reference_rewrites_its_segment_only(tmp_path: Path) -> None:
    root, references = tmp_path / "a", make_references(observations=2)
    build(root, tmp_path / "e", references)
    publish_snapshot(root)
    more = [*references, make_reference(10, 10_900), make_reference(24, 24_900)]
    build(root, tmp_path / "e", more)
    publish_snapshot(root)
    first, second = open_snapshot(root).manifest.segments

    name = build(root, tmp_path / "e", more[:-1])

    assert first in read_manifest(root, name).segments
    assert second not in read_manifest(root, name).segments
    assert read_manifest(root, name).references == len(more) - 1


def test_the_temperature_of_the_votes_is_that_of_the_model_s_head(tmp_path: Path) -> None:
    references = make_references()
    headed = {**CARD, "head": {"kind": "pca", "temperature": 0.08}}

    with fill_store(tmp_path / "e", references) as store:
        names = [build_snapshot(tmp_path, make_catalogue(references), store, card) for card in (CARD, headed)]

    assert [read_manifest(tmp_path, name).voting["temperature"] for name in names] == [0.05, 0.08]


def test_every_flora_answers_as_brute_force_over_its_species(tmp_path: Path) -> None:
    root, references = tmp_path / "a", make_references()
    build(root, tmp_path / "e", references[: len(references) // 2 * 2 - 6], FLORAS)
    publish_snapshot(root)
    build(root, tmp_path / "e", references, FLORAS)
    snapshot = open_snapshot(root, publish_snapshot(root))
    assert len(snapshot.segments) == 2
    with fill_store(tmp_path / "e", references) as store:
        rows = store.read([snapshot.reference(row).photo for row in range(len(references))])
    species = np.array([snapshot.reference(row).species for row in range(len(references))])
    queries = unit_rows(np.random.default_rng(1).normal(size=(7, 256)) + 3 * rows[:7])

    for card in snapshot.floras:
        found = snapshot.flora(card.id).neighbours(queries, 12)
        expected, at = ExactIndex(rows, species).search(queries, 12, snapshot.flora(card.id).species)

        assert [[n.row for n in near] for near in found] == [[row for row in view if row >= 0] for view in at.tolist()]
        for near, similarities in zip(found, expected, strict=True):
            np.testing.assert_allclose([n.similarity for n in near], similarities[: len(near)], atol=1e-5)
            assert all(n.species == species[n.row] for n in near)


def test_overlapping_floras_store_no_reference_twice(tmp_path: Path) -> None:
    references = make_references()
    plain = build(tmp_path / "a", tmp_path / "e", references)
    with_floras = build(tmp_path / "b", tmp_path / "e", references, FLORAS)

    sizes = [
        sum(seal.bytes for seal in read_manifest(root, name).files)
        for root, name in ((tmp_path / "a", plain), (tmp_path / "b", with_floras))
    ]

    assert sizes[1] - sizes[0] == len(FLORAS) * 2  # ten species are two bytes of bits


def test_the_manifest_counts_coverage(tmp_path: Path) -> None:
    references = make_references(SPECIES[:3], observations=2)
    name = build(tmp_path / "a", tmp_path / "e", references, FLORAS)

    floras = {flora.id: flora for flora in read_manifest(tmp_path / "a", name).floras}

    assert (floras["north"].species, floras["north"].covered, floras["north"].references) == (6, 3, 12)
    assert (floras["south"].species, floras["south"].covered, floras["south"].references) == (6, 0, 0)
    assert (floras[WORLD].species, floras[WORLD].references) == (3, 12)


def test_nothing_embedded_is_refused(tmp_path: Path) -> None:
    with (
        fill_store(tmp_path / "e", make_references()) as store,
        pytest.raises(BuildError, match="nothing to build"),
    ):
        build_snapshot(tmp_path / "a", make_catalogue([]), store, CARD)


def test_a_flora_with_unknown_taxa_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="999"):
        build(tmp_path / "a", tmp_path / "e", make_references(), [FloraPlan("odd", "Odd", frozenset({10, 999}))])


def test_world_cannot_be_redefined(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="always there"):
        build(tmp_path / "a", tmp_path / "e", make_references(), [FloraPlan(WORLD, "World", frozenset({10}))])


def test_a_damaged_segment_is_written_anew_rather_than_sealed(tmp_path: Path) -> None:
    root, references = tmp_path / "a", make_references()
    name = build(root, tmp_path / "e", references)
    publish_snapshot(root)
    damaged = root / "segments" / read_manifest(root, name).segments[0] / "embeddings.npy"
    content = bytearray(damaged.read_bytes())
    content[-100] ^= 1
    damaged.write_bytes(content)

    again = build(root, tmp_path / "e", references)

    assert again == name
    open_snapshot(root, again).close()


def test_a_half_written_line_of_the_history_is_passed_over(tmp_path: Path) -> None:
    build(tmp_path / "a", tmp_path / "e", make_references())
    with (tmp_path / "a" / HISTORY).open("a") as history:
        history.write('{"time": "20')

    assert [event["event"] for event in read_history(tmp_path / "a")] == ["built"]
