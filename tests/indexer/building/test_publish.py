"""Publishing is atomic: readers see the old snapshot or the new one, even if the publisher fails."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from indexer.building.build import FloraPlan
from retrieval.errors import BuildError, DamagedSnapshot, NoSnapshot
from retrieval.snapshots.history import HISTORY, log_event, read_history
from retrieval.snapshots.manifest import read_current, read_manifest, switch_current
from retrieval.snapshots.publishing import list_snapshots, publish_snapshot, roll_back, verify_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.staging import writing
from tests.catalogues import SPECIES, build, make_references
from tests.killed import mortals


def publish_three(root: Path, store: Path) -> list[str]:
    names = []
    for observations in (2, 3, 4):
        build(root, store, make_references(observations=observations))
        names.append(publish_snapshot(root))
    return names


def test_publishing_points_readers_at_the_snapshot_built_last(tmp_path: Path) -> None:
    first = build(tmp_path / "a", tmp_path / "e", make_references(observations=2))
    publish_snapshot(tmp_path / "a")
    second = build(tmp_path / "a", tmp_path / "e", make_references(observations=3))

    unpublished = read_current(tmp_path / "a")
    published = publish_snapshot(tmp_path / "a")

    assert unpublished == first
    assert published == second == open_snapshot(tmp_path / "a").name


def test_rolling_back_goes_one_step_each_time(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")

    steps = [roll_back(tmp_path / "a"), roll_back(tmp_path / "a")]

    assert steps == [names[1], names[0]]
    with pytest.raises(BuildError, match="no earlier"):
        roll_back(tmp_path / "a")
    assert read_current(tmp_path / "a") == names[0]


def test_after_rolling_back_a_newer_snapshot_can_be_published_again(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")
    roll_back(tmp_path / "a")

    publish_snapshot(tmp_path / "a", names[2])

    assert read_current(tmp_path / "a") == names[2]
    assert roll_back(tmp_path / "a") == names[1]


def test_a_rollback_killed_before_it_was_written_down_does_not_send_the_next_one_forward(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")
    switch_current(tmp_path / "a", names[1])

    assert roll_back(tmp_path / "a") == names[0]


def test_a_publication_killed_before_it_was_written_down_is_not_forgotten(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")
    killed = build(tmp_path / "a", tmp_path / "e", make_references(observations=5))
    switch_current(tmp_path / "a", killed)
    last = build(tmp_path / "a", tmp_path / "e", make_references(observations=6))

    publish_snapshot(tmp_path / "a", last)

    assert [roll_back(tmp_path / "a") for _ in range(2)] == [killed, names[2]]


def test_what_a_killed_rollback_went_back_from_is_not_gone_back_to(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")
    switch_current(tmp_path / "a", names[1])  # back from the third, and killed before that was written down
    last = build(tmp_path / "a", tmp_path / "e", make_references(observations=5))
    publish_snapshot(tmp_path / "a", last)

    assert [roll_back(tmp_path / "a") for _ in range(2)] == [names[1], names[0]]


def test_a_line_of_the_history_that_was_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    log_event(tmp_path, "published", "0" * 16)
    with (tmp_path / HISTORY).open("a", encoding="utf-8") as history:
        history.write('{"time": "2026-0')  # the power failed

    log_event(tmp_path, "published", "1" * 16)
    log_event(tmp_path, "published", "2" * 16)

    assert [event["snapshot"][0] for event in read_history(tmp_path)] == ["0", "1", "2"]


def test_rolling_back_passes_over_a_damaged_snapshot(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")
    (tmp_path / "a" / "snapshots" / names[1] / "taxonomy.sqlite").unlink()

    assert roll_back(tmp_path / "a") == names[0]


def test_a_damaged_snapshot_is_not_published(tmp_path: Path) -> None:
    old = build(tmp_path / "a", tmp_path / "e", make_references(observations=2))
    publish_snapshot(tmp_path / "a")
    new = build(tmp_path / "a", tmp_path / "e", make_references(observations=3))
    damaged = tmp_path / "a" / "snapshots" / new / "species.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x07")

    with pytest.raises(DamagedSnapshot, match=r"species\.npy"):
        publish_snapshot(tmp_path / "a", new)

    assert read_current(tmp_path / "a") == old


def test_an_index_that_answers_wrongly_is_found_although_its_checksums_agree(tmp_path: Path) -> None:
    from retrieval.search.faiss_index import write_index
    from retrieval.snapshots.manifest import Manifest, seal_file
    from tests.catalogues import fill_store

    root = tmp_path / "a"
    name = build(root, tmp_path / "e", make_references())
    manifest = read_manifest(root, name)
    segment = root / "segments" / manifest.segments[0]
    with fill_store(tmp_path / "e", make_references()) as store:
        rows = store.read([entry.photo for entry in make_references()])
    write_index(segment / "embeddings.npy", 3 * rows)
    files = tuple(
        seal_file(root, root / seal.path) if seal.path.startswith("segments/") else seal for seal in manifest.files
    )
    forged = Manifest(
        **{field: getattr(manifest, field) for field in manifest.__slots__ if field != "files"}, files=files
    )
    (root / "snapshots" / name).rename(root / "snapshots" / forged.name)
    (root / "snapshots" / forged.name / "manifest.json").write_text(forged.text(), encoding="utf-8")

    with pytest.raises(DamagedSnapshot, match="length 1"):
        verify_snapshot(root, forged.name)


def test_the_list_shows_what_is_published_and_what_is_damaged(tmp_path: Path) -> None:
    names = publish_three(tmp_path / "a", tmp_path / "e")
    (tmp_path / "a" / "snapshots" / names[0] / "manifest.json").write_text("{", encoding="utf-8")

    rows = {row.name: row for row in list_snapshots(tmp_path / "a")}

    assert [rows[name].current for name in names] == [False, False, True]
    assert rows[names[2]].references == 80
    assert rows[names[2]].state == "whole"
    assert "cannot be read" in rows[names[0]].state


def test_publishing_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoSnapshot, match="build"):
        publish_snapshot(tmp_path / "a")


def test_two_publishers_do_not_meet(tmp_path: Path) -> None:
    build(tmp_path / "a", tmp_path / "e", make_references())

    with writing(tmp_path / "a"), pytest.raises(BuildError, match="another build or publish"):
        publish_snapshot(tmp_path / "a")


PUBLISHER = """
from pathlib import Path
from retrieval.snapshots.publishing import publish_snapshot
from tests.catalogues import build, make_references
def work(root, store):
    for observations in range(3, 1000):
        build(Path(root), Path(store), make_references(observations=observations))
        print("finished", flush=True)
        publish_snapshot(Path(root))
        print("finished", flush=True)
"""


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_a_whole_snapshot(tmp_path: Path) -> None:
    """Twenty are killed at random moments of building and publishing; a reader opens a whole snapshot each time."""
    root, store = tmp_path / "a", tmp_path / "e"
    build(root, store, make_references(observations=2), [FloraPlan("north", "North", frozenset(SPECIES[:4]))])
    publish_snapshot(root)
    moments = random.Random(20)
    seen = set()

    with mortals(PUBLISHER) as publishers:
        for _ in range(20):
            publishers.begin(root, store).kill_amid(moments, 4)

            snapshot = open_snapshot(root)
            seen.add(snapshot.name)
            assert sum(len(snapshot.references_of(species)) for species in SPECIES) == snapshot.manifest.references
            snapshot.close()

    name = build(root, store, make_references(observations=2))
    assert publish_snapshot(root) == name
    verify_snapshot(root, name)
    assert len(seen) > 1, "no publisher lived long enough to publish anything"
    assert not (root / ".building").exists()
