"""The atlas: similar photos are close together, photos among another species are found, nothing is computed twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fungarium.jobs import publishing
from indexer.building.atlas import build_atlas, find_strangers, has_tsne, lay_out_pca, lay_out_tsne, make_atlas
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.snapshots.atlas import atlas_path, forget_atlases, name_references, read_atlas
from retrieval.snapshots.manifest import read_manifest
from retrieval.snapshots.publishing import publish_snapshot
from settings import Settings
from tests.catalogues import build, make_references
from tests.snapshots import CITRINA, EMETICA, MUSCARIA, Made, make_entry, make_snapshot

CLOUDS = {MUSCARIA: 0, CITRINA: 1, EMETICA: 2}  # the direction that each species lies in


def scatter(directions: Sequence[int], seed: int = 5) -> Embeddings:
    """Embeddings near the given directions, none exactly there."""
    rows = 0.05 * np.random.default_rng(seed).normal(size=(len(directions), DIM))
    rows[np.arange(len(directions)), list(directions)] += 1.0
    return unit_rows(rows)


def clouds(root: Path, strays: Sequence[tuple[int, int, int]] = ()) -> Made:
    """Twelve observations of one photo of each species, and `strays`: (observation, species, direction)."""
    entries, directions = [], []
    for species, direction in CLOUDS.items():
        for number in range(12):
            entries.append(make_entry(f"{species:032x}{number:032x}", species * 100 + number, species))
            directions.append(direction)
    for number, (observation, species, direction) in enumerate(strays):
        entries.append(make_entry(f"{99:032x}{number:032x}", observation, species))
        directions.append(direction)
    return make_snapshot(root, entries, scatter(directions), floras={})


def strangers_of(made: Made) -> dict[str, int]:
    """The photos that lie among another species, with that species."""
    with closing(made.open()) as snapshot:
        atlas = make_atlas(snapshot, method="pca")
        found = zip(atlas.rows.tolist(), atlas.strangers.tolist(), strict=True)
        return {snapshot.reference(row).photo: stranger for row, stranger in found if stranger}


def test_a_record_in_another_species_cloud_is_told_with_whose_it_is(tmp_path: Path) -> None:
    made = clouds(tmp_path, [(1, MUSCARIA, CLOUDS[EMETICA])])

    assert strangers_of(made) == {f"{99:032x}{0:032x}": EMETICA}


def test_records_among_their_own_are_not_doubtful(tmp_path: Path) -> None:
    assert strangers_of(clouds(tmp_path)) == {}


def test_photos_of_the_same_find_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    made = clouds(tmp_path, [(1, MUSCARIA, CLOUDS[EMETICA])] * 20)  # twenty photos of one find, and no other near

    found = strangers_of(made)

    assert set(found.values()) == {EMETICA}  # and those of the cloud, whose neighbours they are, are not accused
    assert len(found) == 20


def test_a_photo_of_the_same_find_is_no_witness() -> None:
    # the cloud of MUSCARIA is one find at 0 and one at 1: without the find itself, a photo at 1 is alone
    species = np.array([MUSCARIA] * 6 + [CITRINA] * 6)
    finds = np.array([1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5])
    rows = scatter([0] * 3 + [1] * 3 + [1] * 6)

    strangers, doubts = find_strangers(species, finds, rows)

    assert strangers[3:6].tolist() == [CITRINA] * 3
    assert (doubts[3:6] > 0.5).all()


def test_a_species_of_a_single_find_is_neither_accused_nor_a_cloud() -> None:
    species = np.array([MUSCARIA] + [CITRINA] * 8 + [EMETICA])
    rows = scatter([1] + [1] * 7 + [2] + [2])  # MUSCARIA among CITRINA, one CITRINA beside the only EMETICA

    strangers, _ = find_strangers(species, np.arange(10), rows)

    assert strangers.tolist() == [0] * 10


def test_where_species_cannot_be_told_apart_nobody_is_accused() -> None:
    species = np.repeat([MUSCARIA, CITRINA, EMETICA], 30)

    strangers, doubts = find_strangers(species, np.arange(90), scatter([0] * 90))

    assert np.count_nonzero(strangers) <= 1  # chance alone
    assert np.array_equal(doubts > 0, strangers > 0)


def test_the_most_misplaced_has_most_doubt() -> None:
    species = np.repeat([MUSCARIA, EMETICA], 20)
    rows = scatter([0] * 20 + [2] * 20)
    rows[0] = unit_rows(rows[0:1] + 2 * rows[25:26])[0]  # two thirds of the way over
    rows[1] = rows[26]  # all the way

    strangers, doubts = find_strangers(species, np.arange(40), rows)

    assert strangers[:2].tolist() == [EMETICA, EMETICA]
    assert doubts[1] > doubts[0] > 0


def test_the_layout_puts_a_species_together_and_is_the_same_each_time(tmp_path: Path) -> None:
    made = clouds(tmp_path)

    with closing(made.open()) as snapshot:
        first, second = make_atlas(snapshot, method="pca"), make_atlas(snapshot, method="pca")

    assert np.array_equal(first.places, second.places)
    assert np.array_equal(first.rows, np.arange(36))
    assert np.abs(first.places).max() == pytest.approx(1)
    centres = {species: first.places[first.species == species].mean(axis=0) for species in CLOUDS}
    for species in CLOUDS:
        within = np.linalg.norm(first.places[first.species == species] - centres[species], axis=1).max()
        others = [np.linalg.norm(centres[species] - centres[other]) for other in CLOUDS if other != species]
        assert within < min(others) / 2


def test_the_order_of_references_does_not_turn_the_layout_over() -> None:
    rows = scatter([0] * 10 + [1] * 7 + [2] * 4)
    order = np.random.default_rng(1).permutation(len(rows))

    assert np.allclose(lay_out_pca(rows)[order], lay_out_pca(rows[order]), atol=1e-6)


@pytest.mark.skipif(not has_tsne(), reason="openTSNE is not installed: requirements-atlas.txt")
def test_opentsne_keeps_neighbours_together_and_is_the_same_for_a_seed() -> None:
    rows = scatter([0] * 40 + [1] * 40 + [2] * 40)

    first, second = (lay_out_tsne(rows, lay_out_pca(rows)) for _ in range(2))

    assert np.array_equal(first, second)
    centres = first.reshape(3, 40, 2).mean(axis=1)
    near = np.linalg.norm(first[:, None] - centres, axis=2).argmin(axis=1)
    assert np.array_equal(near, np.repeat([0, 1, 2], 40))


def test_an_atlas_comes_back_as_it_was_written_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    made = clouds(tmp_path)
    with closing(made.open()) as snapshot:
        atlas = build_atlas(tmp_path, snapshot, method="pca")

    read = read_atlas(tmp_path, name_references(made.manifest))

    assert read is not None
    assert read.method == "pca"
    for part in ("rows", "species", "places", "strangers", "doubts"):
        assert np.array_equal(getattr(read, part), getattr(atlas, part))
    path = atlas_path(tmp_path, name_references(made.manifest))
    whole = path.read_bytes()
    for spoilt in (whole[:200], b""):  # a power cut leaves either
        path.write_bytes(spoilt)
        with pytest.raises(DamagedSnapshot, match="make it anew"):
            read_atlas(tmp_path, name_references(made.manifest))


def settings_of(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", flora_indexes=tmp_path / "a")


def atlases_of(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "a" / "atlases").glob("*.npz"))


def test_snapshots_of_the_same_references_share_an_atlas_and_others_do_not(tmp_path: Path) -> None:
    root = tmp_path / "a"
    name = publish(tmp_path, observations=2)
    manifest = read_manifest(root, name)

    calibrated = replace(manifest, calibration={"temperature": 0.05}, floras=())
    withdrawn = read_manifest(root, build(root, tmp_path / "e", make_references(observations=2)[1:]))
    grown = read_manifest(root, build(root, tmp_path / "e", make_references(observations=3)))

    assert name_references(calibrated) == name_references(manifest)
    assert len({name_references(each) for each in (manifest, withdrawn, grown)}) == 3


def publish(tmp_path: Path, observations: int) -> str:
    build(tmp_path / "a", tmp_path / "e", make_references(observations=observations))
    return publish_snapshot(tmp_path / "a")


def test_publishing_lays_out_what_has_no_atlas_and_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = publish(tmp_path, observations=2)

    publishing.lay_out_published(settings_of(tmp_path))
    assert f"atlas of {name}" in capsys.readouterr().out
    publishing.lay_out_published(settings_of(tmp_path))
    assert capsys.readouterr().out == ""
    assert len(atlases_of(tmp_path)) == 1


def test_an_atlas_that_cannot_be_made_does_not_fail_what_was_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path, observations=2)
    (tmp_path / "a" / "atlases").write_text("in the way")

    publishing.lay_out_published(settings_of(tmp_path))

    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("no atlas: ")
    assert said.endswith("`fungarium index atlas` makes it")


def test_an_atlas_is_made_anew_where_somebody_asks_for_it(tmp_path: Path) -> None:
    publish(tmp_path, observations=2)
    publishing.lay_out_published(settings_of(tmp_path))
    (path,) = (tmp_path / "a" / "atlases").iterdir()
    path.write_bytes(b"damaged")

    publishing.lay_out_published(settings_of(tmp_path), wanted=True)

    assert len(path.read_bytes()) > 1000


def test_an_atlas_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "atlases"
    folder.mkdir()
    writing, left, unwanted = (folder / name for name in ("aa.17.npz", "aa.18.npz", "aa.npz"))
    for path in (writing, left, unwanted):
        path.touch()
    os.utime(left, (1, 1))  # from a process that died long ago

    forget_atlases(tmp_path)

    assert list(folder.iterdir()) == [writing]


def test_publishing_leaves_the_atlas_out_where_it_is_told_to(tmp_path: Path) -> None:
    publish(tmp_path, observations=2)

    publishing.lay_out_published(settings_of(tmp_path), wanted=False)

    assert atlases_of(tmp_path) == []


def test_publishing_does_not_wait_for_a_large_atlas_and_says_which_command_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, observations=2)
    monkeypatch.setattr(publishing, "AT_PUBLISH", {"pca": 39, "tsne": 39})  # of 40 references

    publishing.lay_out_published(settings_of(tmp_path))

    said = capsys.readouterr().err
    assert said.startswith("no atlas yet: 40 references")
    assert "`fungarium index atlas`" in said
    assert atlases_of(tmp_path) == []
    publishing.lay_out_published(settings_of(tmp_path), wanted=True)
    assert len(atlases_of(tmp_path)) == 1


def test_an_atlas_goes_with_the_last_snapshot_of_its_references(tmp_path: Path) -> None:
    for observations in (2, 3):
        publish(tmp_path, observations=observations)
        publishing.lay_out_published(settings_of(tmp_path))
    assert len(atlases_of(tmp_path)) == 2
    first = next(path for path in (tmp_path / "a" / "snapshots").iterdir() if path.name != publish(tmp_path, 3))

    first.rename(tmp_path / "cleared away")
    forget_atlases(tmp_path / "a")

    assert len(atlases_of(tmp_path)) == 1
