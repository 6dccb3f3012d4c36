"""A build reads references one after the other: its memory does not grow with them, and its bytes are the same."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.building.build_memory import draw
from database.collection.photos import digests
from database.field.photo_files import PhotoFiles
from database.session import open_database
from indexer.building.build import WantedReferences, build_snapshot, compare_published
from indexer.building.catalogue import PhotosToEmbed
from indexer.building.grow import append_references
from indexer.building.recall import draw_queries
from indexer.curation.placed import PlacedReferences
from indexer.embedding.embeddings import EmbeddingStore, StoredRows
from indexer.photos.finding import PhotoStore
from retrieval.domain import WORLD
from retrieval.progress import counted
from retrieval.ranking.prototypes import sum_observations
from retrieval.segments.segment import ReferenceEntry, Segment, name_entries, write_segment
from retrieval.snapshots.learned_arrays import sum_segments
from retrieval.snapshots.manifest import checksum, read_current, read_manifest
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from tests.catalogues import CARD, SPECIES, build, fill_store, make_catalogue, make_reference, make_references
from tests.floras import make_entries, publish

ROOT = Path(__file__).resolve().parents[3]
PLACED = sorted(make_references(), key=lambda entry: entry.place)


def make_many(count: int) -> Iterator[ReferenceEntry]:
    """Sorted references of forty species."""
    for row in range(count):
        yield ReferenceEntry(
            f"{row:064x}", row // 2, f"made:{row // 2}", row * 40 // count, "Someone", "CC0-1.0", "made"
        )


def peak_bytes(folder: Path, count: int) -> int:
    """The most memory that placing and writing so many references took at a time."""
    rows = np.zeros((count, 256), dtype=np.float16)
    tracemalloc.start()
    try:
        with closing(PlacedReferences(folder, make_many(count))) as placed:
            compare_published(folder, placed, "model", [])
            write_segment(folder / str(count), placed, rows)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_a_reference_more_costs_is_a_few_numbers(tmp_path: Path) -> None:
    few, many = peak_bytes(tmp_path, 4_000), peak_bytes(tmp_path, 12_000)

    assert (many - few) / 8_000 < 40  # an entry as an object is 500 bytes, an embedding 512


def test_placed_references_are_what_was_given_each_time_they_are_gone_through(tmp_path: Path) -> None:
    odd = [replace(entry, author="a\nb\x1f\x00\ud800 Ø", source='"quoted"') for entry in PLACED]

    with closing(PlacedReferences(tmp_path, odd)) as placed:
        both = list(zip(placed, placed, strict=True))
        assert [one for one, _ in both] == odd == [other for _, other in both]
        assert len(placed) == len(odd)
        assert list(tmp_path.iterdir()) == []  # nothing to be left behind by a process that is killed


@pytest.mark.parametrize("published", [0, 30], ids=["first", "over a published one"])
def test_references_on_disk_build_the_bytes_that_a_list_builds(tmp_path: Path, published: int) -> None:
    names, files = [], []
    for folder, placed in ((tmp_path / "a", False), (tmp_path / "b", True)):
        if published:
            build(folder, tmp_path / "e", PLACED[:published])
            publish_snapshot(folder)
        with fill_store(tmp_path / "e", PLACED) as store:
            shuffled = random.Random(3).sample(PLACED, len(PLACED))
            catalogue = make_catalogue(shuffled)
            if placed:
                catalogue = replace(catalogue, references=PlacedReferences(folder, PLACED))
            names.append(build_snapshot(folder, catalogue, store, CARD))
            catalogue.close()
        found = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".jsonl", ".json"})
        files.append({path.relative_to(folder): checksum(path) for path in found})

    assert names[0] == names[1]
    assert files[0] == files[1]


def test_published_rows_are_compared_with_what_is_wanted_as_by_photo(tmp_path: Path) -> None:
    draw = random.Random(8)
    for turn in range(8):
        held = sorted(draw.sample(PLACED, 50), key=lambda entry: entry.place)
        wanted = sorted(
            (replace(entry, author="Another") if draw.random() < 0.2 else entry for entry in draw.sample(PLACED, 50)),
            key=lambda entry: entry.place,
        )
        name, other = name_entries(held, "model"), f"{turn:016x}"
        for folder in (name, other):
            write_segment(tmp_path / "segments" / folder, held, np.zeros((50, 256), np.float16))

        belongs = WantedReferences()
        found = compare_published(tmp_path, belongs.follow(wanted), "model", [name, other])

        numbers = {entry: number for number, entry in enumerate(wanted)}
        assert list(found) == [name]  # the other is not what its name says
        assert found[name].tolist() == [numbers.get(entry, -1) for entry in held]
        assert belongs.species.tolist() == sorted({entry.species for entry in wanted})
        assert belongs.observations.tolist() == sorted({entry.observation_id for entry in wanted})


def test_a_reference_that_stands_in_two_published_segments_answers_from_one(tmp_path: Path) -> None:
    root, again = tmp_path / "a", PLACED[7]
    publish_snapshot(root, build(root, tmp_path / "e", PLACED))
    publish_snapshot(root, build(root, tmp_path / "e", [entry for entry in PLACED if entry != again]))
    with fill_store(tmp_path / "e", PLACED) as store:
        publish_snapshot(root, append_references(root, [again], store.read([again.photo])))
    assert len(read_manifest(root, read_current(root)).segments) == 2

    manifest = read_manifest(root, build(root, tmp_path / "e", PLACED))

    assert manifest.references == len(PLACED)
    assert len(manifest.segments) == 1  # the other holds nothing that is still wanted of it


def listing_bytes(folder: Path, count: int) -> int:
    """The most memory that listing about so many photos for embedding took at a time."""
    draw(folder, count, 5)
    with open_database(f"sqlite:///{folder / 'data' / 'catalogue.sqlite'}") as database, database.reading() as session:
        tracemalloc.start()
        try:
            store, files = PhotoStore(folder / "photos"), PhotoFiles(str(folder / "field"))
            with closing(PhotosToEmbed(session, store, files, folder)) as photos:
                listed = [sum(1 for _ in photos), sum(1 for _ in photos)]
                assert listed == [len(photos)] * 2
                assert len(photos) > 0.9 * count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


LISTING = """
from pathlib import Path
from sys import argv
from tests.indexer.building.test_bounded import listing_bytes
listing_bytes(Path(argv[1]) / "first", 500)  # what is loaded once
print(listing_bytes(Path(argv[1]) / "few", 8_000), listing_bytes(Path(argv[1]) / "many", 20_000))  # portions are 2,000
"""


def test_what_a_photo_more_costs_before_it_is_embedded_is_nothing(tmp_path: Path) -> None:
    # In a process of its own: threads that earlier tests left are counted too, and their garbage moves the collector.
    ran = subprocess.run(
        [sys.executable, "-c", LISTING, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    few, many = map(int, ran.stdout.split())

    assert (many - few) / 12_000 < 20  # a photo as an object is 800 bytes


def test_photos_to_embed_are_the_catalogues_by_digest_with_the_way_to_their_bytes(tmp_path: Path) -> None:
    draw(tmp_path, 300, 5)
    with (
        open_database(f"sqlite:///{tmp_path / 'data' / 'catalogue.sqlite'}") as database,
        database.reading() as session,
    ):
        store = PhotoStore(tmp_path / "photos")
        with closing(PhotosToEmbed(session, store, PhotoFiles(str(tmp_path / "field")), tmp_path)) as photos:
            first, *others = photos
            assert [first.photo, *(photo.photo for photo in others)] == list(digests(session))
    with pytest.raises(FileNotFoundError):
        first.read()
    store.path(first.photo).parent.mkdir(parents=True)
    store.path(first.photo).write_bytes(b"a photo")

    assert first.read() == b"a photo"


def test_embeddings_are_read_in_the_order_asked_for_and_what_is_missing_is_named(tmp_path: Path) -> None:
    photos = [f"{number * 7919 % 1300:064x}" for number in range(1300)]
    rows = np.zeros((1300, 256), dtype=np.float32)
    rows[:, 0] = np.arange(1300)
    with EmbeddingStore(tmp_path, "made") as store:
        store.add(photos, rows)

        asked = [photos[number] for number in (1299, 0, 700, 0, 3)]
        assert store.read(asked)[:, 0].tolist() == [1299, 0, 700, 0, 3]
        assert store.read(photos[::-1])[:, 0].tolist() == list(range(1300))[::-1]
        assert store.missing(["none", *photos, "neither"]) == ["none", "neither"]
        with pytest.raises(KeyError, match="none"):
            store.read([photos[0], "none"])


def test_a_segments_own_table_says_which_embeddings_it_gets(tmp_path: Path) -> None:
    with fill_store(tmp_path / "e", PLACED) as store:
        expected = store.read([entry.photo for entry in PLACED])
        rows = StoredRows(store, tmp_path / "segment" / "references.sqlite")

        write_segment(tmp_path / "segment", iter(PLACED), rows)

        assert np.array_equal(np.load(tmp_path / "segment" / "embeddings.npy"), expected.astype(np.float16))
        assert np.array_equal(rows[5:9], expected[5:9])


def test_a_large_species_is_summed_in_parts_to_the_last_bit(tmp_path: Path) -> None:
    count = 40_000
    rows = np.random.default_rng(2).normal(size=(count, 256)).astype(np.float16)
    entries = [
        replace(entry, species=3 if row < 39_000 else 4, observation_id=row // 3)
        for row, entry in enumerate(make_many(count))
    ]
    write_segment(tmp_path / "segment", entries, rows)
    segment = Segment(tmp_path / "segment", 0, np.array([0, 5, 6, 39_500]))

    found = sum_segments([segment])

    standing = np.delete(np.arange(count), [0, 5, 6, 39_500])
    columns = (standing >= 39_000).astype(np.int64)
    for species in (0, 1):  # as one block each would be
        own = standing[columns == species]
        sums, counts = sum_observations(rows[own], np.zeros(len(own), np.int64), own // 3, 1)
        assert found.sums[species].tobytes() == sums[0].tobytes()
        assert found.observations[species] == counts[0]
    segment.close()


def test_queries_are_those_that_are_drawn_from_a_list_of_all_standing_rows(tmp_path: Path) -> None:
    publish(tmp_path, make_entries(), segments=2)
    snapshot = open_snapshot(tmp_path)
    hidden = [
        np.random.default_rng(number).random(segment.rows) < 0.4 for number, segment in enumerate(snapshot.segments)
    ]
    for some in (False, True):
        parts = snapshot.flora(WORLD).parts()
        if some:
            parts = tuple(replace(part, hidden=gone) for part, gone in zip(parts, hidden, strict=True))
        every: Sequence[tuple[int, int]] = [
            (number, row)
            for number, part in enumerate(parts)
            for row in range(part.segment.rows)
            if part.hidden is None or not part.hidden[row]
        ]

        embeddings, observations = draw_queries(parts)

        drawn = np.sort(np.random.default_rng(11).choice(len(every), min(192, len(every)), replace=False))
        expected = [every[place] for place in drawn.tolist()]
        assert observations.tolist() == [int(parts[n].segment.observations[row]) for n, row in expected]
        stored = np.concatenate([parts[n].segment.store.take(np.array([row])) for n, row in expected])
        np.testing.assert_allclose(embeddings, stored.astype(np.float32), atol=1e-3)
    snapshot.close()


def test_licences_are_counted_without_what_is_withdrawn(tmp_path: Path) -> None:
    entries = [replace(entry, licence=f"CC{row % 3}") for row, entry in enumerate(PLACED)]
    write_segment(tmp_path / "segment", entries, np.zeros((len(entries), 256), np.float16))
    gone = np.array([row for row in range(len(entries)) if row % 3 == 1 or row < 10])
    segment = Segment(tmp_path / "segment", 0, gone)

    kept = [entry.licence for row, entry in enumerate(entries) if row not in set(gone.tolist())]
    assert segment.licences() == {licence: kept.count(licence) for licence in ("CC0", "CC2")}
    assert np.flatnonzero(segment.under_other_licences(["CC1"])).tolist() == [
        row for row in range(len(entries)) if row % 3 != 1
    ]
    segment.close()


def test_what_goes_by_is_told_in_all(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    seen = list(counted(range(2_500), "read", 2_500, lambda *what: told.append(what)))

    assert seen == list(range(2_500))
    assert told == [("read", 1_000, 2_500), ("read", 1_000, 2_500), ("read", 500, 2_500)]
    with fill_store(tmp_path / "e", PLACED) as store:
        told.clear()
        build_snapshot(
            tmp_path / "a", make_catalogue(PLACED), store, CARD, codes_from=0, progress=lambda *what: told.append(what)
        )
    for stage in ("references", "embeddings", "codes"):
        assert sum(done for name, done, _ in told if name == stage) == len(PLACED)
    assert make_reference(SPECIES[0], 1) not in PLACED
