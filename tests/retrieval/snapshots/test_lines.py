"""Published lines: names beside CURRENT that are published, promoted, retired and built upon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from indexer.building.build import build_snapshot
from retrieval.domain import WORLD
from retrieval.errors import BuildError, DamagedSnapshot, NoSnapshot, UnknownLine
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.lines import line_names, list_lines, promote_line, retire_line
from retrieval.snapshots.manifest import current_or_none, find_snapshot, read_current, read_manifest
from retrieval.snapshots.publishing import list_snapshots, publish_snapshot, roll_back
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.catalogues import CARD, build, fill_store, make_catalogue, make_references

OTHER = {**CARD, "model": "other@1"}


def build_other(root: Path, references: Sequence[ReferenceEntry]) -> str:
    """Build with another model than `build` does, beside what is published."""
    with fill_store(root / "other", references) as store:
        return build_snapshot(root, make_catalogue(references), store, OTHER)


@pytest.fixture
def lines(tmp_path: Path) -> tuple[str, str]:
    """The stable snapshot, and that of the line `candidate`, of another model."""
    stable = publish_snapshot(tmp_path, build(tmp_path, tmp_path / "store", make_references()))
    candidate = publish_snapshot(tmp_path, build_other(tmp_path, make_references()), line="candidate")
    return stable, candidate


def test_a_line_is_published_beside_what_is_stable(tmp_path: Path, lines: tuple[str, str]) -> None:
    stable, candidate = lines

    assert (read_current(tmp_path), read_current(tmp_path, "candidate")) == lines
    assert [(row.line, row.snapshot, row.model) for row in list_lines(tmp_path)] == [
        ("stable", stable, "made@1"),
        ("candidate", candidate, "other@1"),
    ]
    assert {row.name: (row.current, bool(row.published)) for row in list_snapshots(tmp_path)} == {
        stable: (True, True),
        candidate: (False, False),
    }
    assert (find_snapshot(tmp_path), find_snapshot(tmp_path, "candidate")) == lines
    publish_snapshot(tmp_path, build(tmp_path, tmp_path / "store", make_references(observations=5)))
    assert roll_back(tmp_path) == stable  # what only a line published was never stable


def test_a_promoted_line_is_stable_until_it_is_rolled_back_and_a_line_until_it_is_retired(
    tmp_path: Path, lines: tuple[str, str]
) -> None:
    stable, candidate = lines

    assert promote_line(tmp_path, "candidate") == candidate
    assert (read_current(tmp_path), read_current(tmp_path, "candidate")) == (candidate, candidate)
    assert roll_back(tmp_path) == stable
    assert promote_line(tmp_path, "candidate") == candidate  # again, and now a return
    assert retire_line(tmp_path, "candidate") == candidate

    assert line_names(tmp_path) == ()
    assert read_current(tmp_path) == candidate
    with pytest.raises(UnknownLine, match="no published line 'candidate'"):
        promote_line(tmp_path, "candidate")
    with pytest.raises(UnknownLine):
        retire_line(tmp_path, "candidate")


def test_promoting_loses_no_reference_that_was_published_meanwhile(tmp_path: Path, lines: tuple[str, str]) -> None:
    grown = publish_snapshot(tmp_path, build(tmp_path, tmp_path / "store", make_references(observations=5)))

    with pytest.raises(BuildError, match="20 of its references would be lost"):
        promote_line(tmp_path, "candidate")
    assert read_current(tmp_path) == grown

    publish_snapshot(tmp_path, build_other(tmp_path, make_references(observations=5)), line="candidate")
    assert promote_line(tmp_path, "candidate") == read_current(tmp_path, "candidate")
    roll_back(tmp_path)
    with pytest.raises(BuildError, match="20 of its references would be lost"):
        publish_snapshot(tmp_path, lines[1])  # what only a line has published is no return
    assert promote_line(tmp_path, "candidate", as_it_is=True) != grown


def test_a_build_with_the_model_of_a_line_continues_that_line(tmp_path: Path, lines: tuple[str, str]) -> None:
    grown = build_other(tmp_path, make_references(observations=5))

    before, after = read_manifest(tmp_path, lines[1]), read_manifest(tmp_path, grown)
    assert after.segments[: len(before.segments)] == before.segments
    assert len(after.segments) == len(before.segments) + 1
    assert after.references == before.references + 20


def test_all_lines_obey_the_list_of_withdrawals(tmp_path: Path, lines: tuple[str, str]) -> None:
    gone = make_references()[0].photo
    withdraw_photos(tmp_path, [gone])

    for line in (None, "candidate"):
        snapshot = open_snapshot(tmp_path, line)
        assert snapshot.references == snapshot.manifest.references - 1
        assert snapshot.flora(WORLD).card.references == snapshot.references
        snapshot.close()


def test_what_is_no_name_of_a_line_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("", "Stable", "0123456789abcdef", "a/b", "../CURRENT", "x" * 33, "-a", "a b", "a\n"):
        with pytest.raises(UnknownLine, match="is no name of a published line"):
            publish_snapshot(tmp_path, "0123456789abcdef", line=name)


def test_the_stable_line_is_always_there(tmp_path: Path) -> None:
    assert list_lines(tmp_path) == []
    assert current_or_none(tmp_path, "candidate") is None
    with pytest.raises(NoSnapshot, match="nothing has been published"):
        open_snapshot(tmp_path, "stable")
    with pytest.raises(BuildError, match="cannot be retired"):
        retire_line(tmp_path, "stable")
    with pytest.raises(BuildError, match="name the line to promote"):
        promote_line(tmp_path, "stable")
    with pytest.raises(DamagedSnapshot, match="no name of a snapshot"):
        find_snapshot(tmp_path, "unheard-of")
