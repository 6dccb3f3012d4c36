"""Snapshots: validation when opening, and look-ups across segments and floras."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from retrieval.domain import WORLD
from retrieval.errors import DamagedSnapshot, NoSnapshot, SnapshotMismatch, UnknownFlora, UnknownPhoto, UnknownTaxon
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import unit_rows
from retrieval.snapshots.manifest import Manifest, read_current, read_manifest, sealed_path, switch_current
from retrieval.snapshots.snapshot import open_snapshot
from tests.snapshots import (
    CIBARIUS,
    CITRINA,
    COLOURS,
    CYANOXANTHA,
    EMETICA,
    MUSCARIA,
    PANTHERINA,
    TORMINOSUS,
    Made,
    make_snapshot,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two segments; nobody changes it."""
    return make_snapshot(tmp_path_factory.mktemp("indexes"), segments=2)


def manifest_path(made: Made) -> Path:
    return made.root / "snapshots" / made.manifest.name / "manifest.json"


def rewrite(made: Made, old: str, new: str) -> None:
    path = manifest_path(made)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_manifest_comes_back_as_it_was_written(made: Made) -> None:
    assert read_manifest(made.root, made.manifest.name) == made.manifest
    assert made.manifest.text().encode() == manifest_path(made).read_bytes()


def test_the_same_content_gives_the_same_name_and_bytes_in_any_folder(tmp_path: Path, made: Made) -> None:
    again = make_snapshot(tmp_path, segments=2)

    assert again.manifest == made.manifest
    for seal in made.manifest.files:
        one, other = (sealed_path(m.root, m.manifest.name, seal) for m in (made, again))
        assert one.read_bytes() == other.read_bytes(), seal.path


def test_another_content_gives_another_name(tmp_path: Path, made: Made) -> None:
    other = make_snapshot(tmp_path, segments=2, floras={"north": [MUSCARIA]})

    assert other.manifest.name != made.manifest.name


def test_the_published_snapshot_is_opened_unless_another_is_named(tmp_path: Path) -> None:
    first = make_snapshot(tmp_path)
    second = make_snapshot(tmp_path, floras={"east": [MUSCARIA]})

    assert open_snapshot(tmp_path).name == second.manifest.name
    assert open_snapshot(tmp_path, first.manifest.name).name == first.manifest.name


def test_where_nothing_is_published_the_command_to_do_so_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSnapshot, match=r"nothing has been published under .*: run `fungarium index publish`"):
        open_snapshot(tmp_path)


def test_a_snapshot_that_is_not_there_is_named(made: Made) -> None:
    with pytest.raises(NoSnapshot, match="there is no snapshot 0123456789abcdef"):
        open_snapshot(made.root, "0123456789abcdef")


@pytest.mark.parametrize("name", ["../../etc", "0123", "ABCDEF0123456789", "0123456789abcdef/..", "x" * 16])
def test_what_is_no_name_of_a_snapshot_is_not_looked_for(made: Made, name: str) -> None:
    with pytest.raises(DamagedSnapshot, match="is no name of a snapshot"):
        open_snapshot(made.root, name)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"nonsense\n"])
def test_a_damaged_pointer_is_refused(tmp_path: Path, body: bytes) -> None:
    make_snapshot(tmp_path)
    (tmp_path / "CURRENT").write_bytes(body)

    with pytest.raises(DamagedSnapshot):
        open_snapshot(tmp_path)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_changed_byte_in_any_file_is_found(tmp_path: Path, made: Made, place: str) -> None:
    root = shutil.copytree(made.root, tmp_path / "copy")
    for seal in made.manifest.files:
        path = sealed_path(root, made.manifest.name, seal)
        whole = path.read_bytes()
        at = {"first": 0, "middle": len(whole) // 2, "last": len(whole) - 1}[place]
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])

        with pytest.raises(DamagedSnapshot, match=f"has been changed since it was built: .*{path.name}"):
            open_snapshot(root)

        path.write_bytes(whole)
    open_snapshot(root).close()


def test_a_missing_or_longer_or_shorter_file_is_found(tmp_path: Path, made: Made) -> None:
    root = shutil.copytree(made.root, tmp_path / "copy")
    for seal in made.manifest.files:
        path = sealed_path(root, made.manifest.name, seal)
        whole = path.read_bytes()

        path.unlink()
        with pytest.raises(DamagedSnapshot, match=f"is missing: .*{path.name}"):
            open_snapshot(root)
        for other in (whole[:-1], whole + b"\0", b""):
            path.write_bytes(other)
            with pytest.raises(DamagedSnapshot, match=f"another length than when it was built: .*{path.name}"):
                open_snapshot(root)

        path.write_bytes(whole)


def test_every_file_of_a_snapshot_is_sealed(made: Made) -> None:
    own = made.root / "snapshots" / made.manifest.name
    segments = [made.root / "segments" / name for name in made.manifest.segments]
    written = {path for folder in [own, *segments] for path in folder.rglob("*") if path.is_file()}

    sealed = {sealed_path(made.root, made.manifest.name, seal) for seal in made.manifest.files}

    assert written - sealed == {manifest_path(made)}


def test_any_changed_byte_of_the_manifest_is_found(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path)
    path = manifest_path(made)
    whole = path.read_bytes()

    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 7]) + whole[at + 1 :])
        with pytest.raises((DamagedSnapshot, SnapshotMismatch)):
            read_manifest(tmp_path, made.manifest.name)
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    with pytest.raises(DamagedSnapshot, match="has been changed"):
        read_manifest(tmp_path, made.manifest.name)


def test_a_renamed_snapshot_is_refused(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path)
    manifest_path(made).parent.rename(tmp_path / "snapshots" / "0123456789abcdef")

    with pytest.raises(DamagedSnapshot, match="manifest of snapshot 0123456789abcdef has been changed"):
        open_snapshot(tmp_path, "0123456789abcdef")


def test_a_manifest_of_something_else_is_refused(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path)

    rewrite(made, '"fungarium-snapshot"', '"moss-snapshot"')
    with pytest.raises(SnapshotMismatch, match="is not the manifest of a Fungarium snapshot"):
        open_snapshot(tmp_path)
    manifest_path(made).write_text("[]", encoding="utf-8")
    with pytest.raises(SnapshotMismatch, match="is not the manifest of a Fungarium snapshot"):
        open_snapshot(tmp_path)


def test_a_snapshot_of_a_later_format_is_refused_with_both_versions(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path)
    rewrite(made, '"version": 1', '"version": 2')

    with pytest.raises(SnapshotMismatch, match="has format version 2; this program reads version 1"):
        open_snapshot(tmp_path)


def test_another_model_is_refused_with_both_names(made: Made) -> None:
    snapshot = made.open()

    snapshot.require_model(Descriptor().model)

    with pytest.raises(SnapshotMismatch, match=r"made with the model descriptor@1, but descriptor@2 is open"):
        snapshot.require_model("descriptor@2")


def test_a_collection_of_the_former_default_model_is_told_what_it_must_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = make_snapshot(tmp_path).open()
    monkeypatch.setitem(cast(dict[str, object], snapshot.manifest.model), "model", "fungarium_small@57280c3cee1b")

    with pytest.raises(
        SnapshotMismatch,
        match=r"made with fungarium_small@57280c3cee1b, the network trained on drawings, .* no longer included: "
        r"run `fungarium index embed`, `index build`, .* once, for efficientnet-lite0@1",
    ):
        snapshot.require_model("efficientnet-lite0@1")


def test_a_snapshot_that_holds_other_than_it_promises_is_refused(tmp_path: Path, made: Made) -> None:
    shutil.copytree(made.root, tmp_path / "copy")
    fewer = Manifest(
        **{field: getattr(made.manifest, field) for field in Manifest.__dataclass_fields__ if field != "references"},
        references=35,
    )
    folder = tmp_path / "copy" / "snapshots" / fewer.name
    shutil.copytree(manifest_path(made).parent, folder)
    (folder / "manifest.json").write_text(fewer.text(), encoding="utf-8")

    with pytest.raises(DamagedSnapshot, match="promises 35 references and holds 36"):
        open_snapshot(tmp_path / "copy", fewer.name)


def test_world_is_every_species_with_references(made: Made) -> None:
    assert made.open().flora(WORLD).species.tolist() == sorted(COLOURS)


def test_a_flora_is_its_list_whether_there_are_references_or_not(made: Made) -> None:
    snapshot = made.open()

    north, south = snapshot.flora("north"), snapshot.flora("south")

    assert north.species.tolist() == [MUSCARIA, CITRINA, PANTHERINA, EMETICA]
    assert south.species.tolist() == [CITRINA, CYANOXANTHA, CIBARIUS]
    assert CITRINA in north
    assert PANTHERINA in north
    assert TORMINOSUS not in north
    assert 10**9 not in north
    assert [card.id for card in snapshot.floras] == [WORLD, "north", "south"]
    assert (north.card.species, north.card.covered, north.card.references) == (4, 3, 18)


def test_an_unknown_flora_is_refused_and_the_known_ones_are_named(made: Made) -> None:
    with pytest.raises(UnknownFlora, match=r"no flora '\.\./x' in snapshot .*; there are: north, south, world"):
        made.open().flora("../x")


@pytest.mark.parametrize("flora", [WORLD, "north", "south"])
@pytest.mark.parametrize("segments", [1, 2, 5])
def test_a_flora_finds_what_brute_force_over_its_references_finds(tmp_path: Path, flora: str, segments: int) -> None:
    made = make_snapshot(tmp_path, segments=segments)
    snapshot = made.open()
    chosen = snapshot.flora(flora)
    stored = made.embeddings.astype(np.float16).astype(np.float32)
    queries = unit_rows(made.embeddings[[3, 17, 30]] + 0.3 * np.random.default_rng(6).normal(size=(3, 256)))
    members = [number for number, entry in enumerate(made.entries) if entry.species in chosen]

    found = chosen.neighbours(queries, 10)

    for query, near in zip(queries, found, strict=True):
        expected = sorted((float(stored[number] @ query), made.entries[number].photo) for number in members)[::-1][:10]
        assert [snapshot.reference(neighbour.row).photo for neighbour in near] == [photo for _, photo in expected]
        assert [neighbour.similarity for neighbour in near] == pytest.approx([best for best, _ in expected], abs=1e-5)
        for neighbour in near:
            assert snapshot.reference(neighbour.row).species == neighbour.species


def test_a_flora_without_references_finds_nothing(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path, floras={"empty": [PANTHERINA]}, segments=2)

    assert made.open().flora("empty").neighbours(made.embeddings[:2], 5) == [[], []]


def test_references_are_stored_once_however_many_floras_they_belong_to(tmp_path: Path) -> None:
    few = make_snapshot(tmp_path / "few", floras={})
    many = make_snapshot(tmp_path / "many", floras={f"flora-{n}": sorted(COLOURS) for n in range(30)})

    assert few.manifest.segments == many.manifest.segments
    sizes = [sum(seal.bytes for seal in made.manifest.files) for made in (few, many)]
    assert sizes[1] - sizes[0] == 30  # a byte each: eight species


def test_look_ups_reach_every_segment(made: Made) -> None:
    snapshot = made.open()

    rows = [snapshot.reference(row) for row in range(36)]

    assert sorted(reference.photo for reference in rows) == sorted(entry.photo for entry in made.entries)
    for row, reference in enumerate(rows):
        assert reference.row == row
        assert snapshot.reference_of_photo(reference.photo) == reference
    for species in COLOURS:
        assert snapshot.references_of(species) == [reference for reference in rows if reference.species == species]
    assert snapshot.references_of(PANTHERINA) == []


def test_references_of_several_species_are_counted_at_once(made: Made) -> None:
    counts = made.open().count_references(np.array([1, MUSCARIA, PANTHERINA, CIBARIUS, 99]))

    assert counts.tolist() == [0, 6, 0, 6, 0]


def test_an_unknown_photo_is_refused(made: Made) -> None:
    with pytest.raises(UnknownPhoto, match="has no reference photo 'ffff"):
        made.open().reference_of_photo("f" * 64)


def test_the_taxonomy_knows_names_lineage_and_poison(made: Made) -> None:
    taxonomy = made.open().taxonomy

    assert [taxon.name for taxon in taxonomy.lineage(MUSCARIA)] == [
        "Fungi",
        "Amanitaceae",
        "Amanita",
        "Amanita muscaria",
    ]
    genus = taxonomy.ancestor(MUSCARIA, "genus")
    assert genus is not None
    assert genus.name == "Amanita"
    assert taxonomy.ancestor(CIBARIUS, "genus") is None
    assert taxonomy.toxicity(MUSCARIA) == "poisonous"
    assert taxonomy.toxicity(CITRINA) == ""
    assert taxonomy.synonyms(MUSCARIA) == ["Agaricus muscarius"]
    assert taxonomy.vernacular_names(MUSCARIA) == [("da", "rød fluesvamp"), ("en", "fly agaric")]
    with pytest.raises(UnknownTaxon, match="no taxon 999"):
        taxonomy.taxon(999)


def test_a_taxon_is_found_by_its_name_or_a_synonym(made: Made) -> None:
    taxonomy = made.open().taxonomy

    found = [taxonomy.find(name) for name in ("Amanita muscaria", "Agaricus muscarius", "Amanita", "Nothing here")]

    assert [taxon.id if taxon else None for taxon in found] == [MUSCARIA, MUSCARIA, 4, None]


def test_new_references_are_found_without_the_old_segment_being_touched(tmp_path: Path) -> None:
    """Appended as the builder does it: the old segment and a new one under a new manifest."""
    made = make_snapshot(tmp_path / "all", segments=1)
    first, rest = list(made.entries[::2]), list(made.entries[1::2])
    root = tmp_path / "grown"
    before = make_snapshot(root, first, made.embeddings[::2])
    old = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and "segments" in path.parts}

    after = make_snapshot(root, made.entries, made.embeddings, segments=2)

    assert after.manifest.segments[0] == before.manifest.segments[0]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in old.items())
    assert {entry.photo for entry in rest} <= {
        open_snapshot(root).reference(near.row).photo
        for view in after.open().flora(WORLD).neighbours(made.embeddings[1::2], 1)
        for near in view
    }


def test_readers_see_the_old_snapshot_or_the_new_one_and_never_half(tmp_path: Path) -> None:
    names = [make_snapshot(tmp_path, floras={flora: [MUSCARIA]}).manifest.name for flora in ("east", "west")]
    stop = threading.Event()
    seen: list[str] = []

    def watch() -> None:
        while not stop.is_set():
            seen.append(read_current(tmp_path))

    with ThreadPoolExecutor(2) as pool:
        watchers = [pool.submit(watch) for _ in range(2)]
        for number in range(60):
            switch_current(tmp_path, names[number % 2])
        stop.set()
        for watcher in watchers:
            watcher.result()

    assert set(seen) == set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CURRENT", "segments", "snapshots"]


def test_an_open_snapshot_answers_after_its_folder_was_cleared_away(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path / "indexes", segments=2)
    snapshot = made.open()
    shutil.rmtree(tmp_path / "indexes")

    near = snapshot.flora("north").neighbours(made.embeddings[:1], 3)

    assert near[0][0].similarity == pytest.approx(1, abs=1e-3)
    assert snapshot.reference(near[0][0].row).author
    assert snapshot.taxonomy.taxon(MUSCARIA).name == "Amanita muscaria"


def test_many_threads_may_read_one_snapshot(made: Made) -> None:
    snapshot = made.open()

    def ask(number: int) -> list[str]:
        flora = snapshot.flora((WORLD, "north", "south")[number % 3])
        near = flora.neighbours(made.embeddings[number : number + 1], 6)[0]
        return [snapshot.reference(n.row).photo + snapshot.taxonomy.taxon(n.species).name for n in near]

    expected = [ask(number) for number in range(36)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, list(range(36)) * 4))

    assert found == expected * 4
