"""Segments: round trip, reproducible bytes, and refusal of invalid input."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.domain import Neighbour, Reference
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.search.recipes import Recipe
from retrieval.segments.segment import FILES, ReferenceEntry, Segment, name_entries, write_segment
from retrieval.segments.store import SegmentPart, search_parts
from tests.snapshots import make_entry


def some_entries(count: int = 40) -> tuple[list[ReferenceEntry], Embeddings]:
    noise = np.random.default_rng(21)
    entries = [
        make_entry(f"{number:064x}", observation=number // 2, species=(number // 2) % 6 * 10, aspect="cap")
        for number in noise.permutation(count).tolist()
    ]
    return sorted(entries, key=lambda entry: entry.place), unit_rows(noise.normal(size=(count, DIM)))


def search(segment: Segment, embeddings: Embeddings, k: int) -> list[list[Neighbour]]:
    """Search all six lists of a segment."""
    return search_parts([SegmentPart(segment, np.arange(6))], embeddings, k, Recipe()).neighbours()


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    write_segment(tmp_path / "segment", *some_entries())
    return Segment(tmp_path / "segment", 0)


def test_references_come_back_as_they_were_given(segment: Segment) -> None:
    entries, _ = some_entries()

    for row, entry in enumerate(entries):
        assert segment.reference(row) == Reference(
            row,
            entry.photo,
            entry.observation,
            entry.species,
            entry.author,
            entry.licence,
            entry.source,
            entry.aspect,
        )


def test_embeddings_come_back_to_half_precision(segment: Segment) -> None:
    _, embeddings = some_entries()

    stored, rows = segment.index.embeddings(np.arange(6))

    assert rows.tolist() == list(range(40))
    assert np.array_equal(stored, embeddings.astype(np.float16).astype(np.float32))


def test_the_references_of_a_species_lie_together(segment: Segment) -> None:
    entries, _ = some_entries()

    for species in (0, 10, 20, 30, 40, 50):
        rows = [reference.row for reference in segment.references_of(species)]
        assert rows == [row for row, entry in enumerate(entries) if entry.species == species]
    assert segment.references_of(15) == []
    assert segment.references_of(60) == []
    assert segment.references_of(-1) == []


def test_lists_are_found_for_the_species_that_are_here(segment: Segment) -> None:
    lists = segment.lists_of(np.array([-5, 0, 20, 25, 50, 99]))

    assert lists.tolist() == [0, 2, 5]
    assert segment.count_rows(lists) == sum(len(segment.references_of(species)) for species in (0, 20, 50))


def test_neighbours_carry_species_observation_and_row_of_their_reference(segment: Segment) -> None:
    entries, embeddings = some_entries()

    found = search(segment, embeddings, 5)

    for row, near in enumerate(found):
        assert near[0].row == row
        for neighbour in near:
            entry = entries[neighbour.row]
            assert (neighbour.species, neighbour.observation) == (entry.species, entry.observation_id)
            assert neighbour.similarity == pytest.approx(float(embeddings[row] @ embeddings[neighbour.row]), abs=2e-3)


def test_the_base_moves_rows_and_nothing_else(tmp_path: Path, segment: Segment) -> None:
    _, embeddings = some_entries()
    moved = Segment(tmp_path / "segment", 1000)

    here, there = search(segment, embeddings[:3], 9), search(moved, embeddings[:3], 9)

    assert [[replace(near, row=near.row + 1000) for near in view] for view in here] == there
    assert moved.reference(4) == replace(segment.reference(4), row=1004)
    assert moved.reference_of_photo(segment.reference(4).photo) == moved.reference(4)


def test_a_photo_is_found_by_its_digest(segment: Segment) -> None:
    reference = segment.reference(17)

    assert segment.reference_of_photo(reference.photo) == reference
    assert segment.reference_of_photo("f" * 64) is None
    assert segment.reference_of_photo("' OR 1=1 --") is None


def test_the_same_references_give_the_same_bytes_and_the_same_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_segment(tmp_path / name, *some_entries())

    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(FILES)


def test_a_name_depends_on_every_field_and_on_the_model() -> None:
    entry = make_entry("a" * 64, 1, 2)
    changed = [
        replace(entry, photo="b" * 64),
        replace(entry, observation_id=2),
        replace(entry, observation="x"),
        replace(entry, species=3),
        replace(entry, author="x"),
        replace(entry, licence="x"),
        replace(entry, source="x"),
        replace(entry, aspect="cap"),
    ]

    names = {name_entries([other], "model") for other in [entry, *changed]}
    names |= {name_entries([entry], "other model"), name_entries([entry, changed[0]], "model"), name_entries([], "m")}

    assert len(names) == 12
    assert name_entries([entry], "model") == name_entries([replace(entry)], "model")


@pytest.mark.parametrize("count", [0, 3])
def test_references_and_embeddings_must_be_as_many(tmp_path: Path, count: int) -> None:
    entries, embeddings = some_entries()

    with pytest.raises(ValueError, match="make no segment"):
        write_segment(tmp_path / "segment", entries[:count], embeddings[: 2 * count])
    assert not (tmp_path / "segment").exists()


def test_references_out_of_order_or_twice_are_refused(tmp_path: Path) -> None:
    entries, embeddings = some_entries()

    for wrong in (entries[::-1], [entries[0], *entries[:-1]]):
        with pytest.raises(ValueError, match="sorted by species, observation and photo"):
            write_segment(tmp_path / "segment", wrong, embeddings)
    assert not (tmp_path / "segment").exists()


def test_a_segment_is_never_written_over(tmp_path: Path) -> None:
    write_segment(tmp_path / "segment", *some_entries())

    with pytest.raises(FileExistsError):
        write_segment(tmp_path / "segment", *some_entries())


@pytest.mark.parametrize("file", FILES)
def test_a_segment_without_one_of_its_files_is_damaged(tmp_path: Path, file: str) -> None:
    write_segment(tmp_path / "segment", *some_entries())
    (tmp_path / "segment" / file).unlink()

    with pytest.raises(DamagedSnapshot):
        Segment(tmp_path / "segment", 0)


@pytest.mark.parametrize("file", FILES)
def test_a_file_full_of_nonsense_is_damaged(tmp_path: Path, file: str) -> None:
    write_segment(tmp_path / "segment", *some_entries())
    (tmp_path / "segment" / file).write_bytes(b"nonsense" * 20)

    with pytest.raises(DamagedSnapshot):
        Segment(tmp_path / "segment", 0)


def test_files_of_two_segments_do_not_belong_together(tmp_path: Path) -> None:
    write_segment(tmp_path / "one", *some_entries(40))
    write_segment(tmp_path / "other", *some_entries(38))
    (tmp_path / "other" / "embeddings.npy").replace(tmp_path / "one" / "embeddings.npy")

    with pytest.raises(DamagedSnapshot, match="belong together"):
        Segment(tmp_path / "one", 0)


def test_nobody_can_write_to_an_open_table(segment: Segment) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        segment._references.execute("DELETE FROM photo_references")
