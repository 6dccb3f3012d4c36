"""Verified files: an unchanged file is not read again, and every change is detected."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.errors import DamagedSnapshot
from retrieval.snapshots.manifest import read_current
from retrieval.snapshots.publishing import verify_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from retrieval.snapshots.verified_files import (
    STAMPS,
    VerifiedFile,
    describe_file,
    read_verified_files,
    write_verified_files,
)
from tests.catalogues import build, make_references
from tests.floras import make_entries, publish


@pytest.fixture
def root(tmp_path: Path) -> Path:
    publish(tmp_path / "a", make_entries()[:60])
    return tmp_path / "a"


def embeddings(root: Path) -> Path:
    return next((root / "segments").glob("*/embeddings.npy"))


def test_every_file_of_a_published_snapshot_has_a_stamp(root: Path) -> None:
    snapshot = open_snapshot(root)

    verified = read_verified_files(root)

    assert len(verified) == len(snapshot.manifest.files)
    assert {stamp.sha256 for stamp in verified.values()} == {seal.sha256 for seal in snapshot.manifest.files}


def test_a_stamped_file_is_not_read_again(root: Path) -> None:
    """A stamp that lies is believed: so the file was not read. Only `thorough` reads it."""
    path = embeddings(root)
    place = path.relative_to(root).as_posix()
    whole, verified = path.read_bytes(), read_verified_files(root)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    verified[place] = describe_file(path, verified[place].sha256)
    write_verified_files(root, verified)

    open_snapshot(root).close()

    with pytest.raises(DamagedSnapshot, match="changed"):
        open_snapshot(root, thorough=True)


def test_a_file_written_to_is_read_even_if_its_time_is_set_back(root: Path) -> None:
    path = embeddings(root)
    before = path.stat()
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(whole) - 1)
        file.write(bytes([whole[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(DamagedSnapshot, match="changed"):
        open_snapshot(root)


def test_a_copy_is_read_and_opens_whole(root: Path) -> None:
    copy = root.with_name("copy")
    shutil.copytree(root, copy, copy_function=shutil.copy2)

    open_snapshot(copy).close()

    damaged = embeddings(copy)
    whole = damaged.read_bytes()
    damaged.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(DamagedSnapshot):
        open_snapshot(copy)


def as_from_another_machine(root: Path) -> None:
    """Its stamps as older programs wrote them, where what the folder lies on has another number."""
    entries = json.loads((root / STAMPS).read_text())
    for place, entry in entries.items():
        entries[place] = {"device": (root / place).stat().st_dev + 1, **entry}
    (root / STAMPS).write_text(json.dumps(entries))


def test_a_stamp_that_another_machine_left_in_the_same_folder_is_believed(root: Path) -> None:
    path = embeddings(root)
    place = path.relative_to(root).as_posix()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    verified = read_verified_files(root)
    write_verified_files(
        root, {**verified, place: describe_file(path, verified[place].sha256)}
    )  # it lies, so it is seen if it is read
    as_from_another_machine(root)

    open_snapshot(root).close()

    with pytest.raises(DamagedSnapshot, match="changed"):
        open_snapshot(root, thorough=True)


def test_on_another_machine_too_a_file_written_to_is_read(root: Path) -> None:
    as_from_another_machine(root)
    path = embeddings(root)
    before, whole = path.stat(), path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes([whole[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(DamagedSnapshot, match="changed"):
        open_snapshot(root)


def test_a_file_with_another_inode_is_read_even_if_all_its_times_are_those_of_the_stamp(root: Path) -> None:
    path = embeddings(root)
    place = path.relative_to(root).as_posix()
    verified = read_verified_files(root)
    copy = path.with_name("copy.npy")
    copy.write_bytes(path.read_bytes()[:-1] + b"!")
    copy.replace(path)
    same_times = replace(describe_file(path, verified[place].sha256), inode=verified[place].inode)
    write_verified_files(root, {**verified, place: same_times})
    as_from_another_machine(root)

    with pytest.raises(DamagedSnapshot, match="changed"):
        open_snapshot(root)


@pytest.mark.parametrize("body", ["", "nonsense", "[]", '{"a": 1}', '{"a": {"sha256": 1}}'])
def test_without_readable_stamps_everything_is_read(root: Path, body: str) -> None:
    (root / STAMPS).write_text(body)

    assert read_verified_files(root) == {}
    open_snapshot(root).close()


def test_a_stamp_for_another_checksum_is_worth_nothing(root: Path) -> None:
    """A file of an older snapshot that came back under the same name."""
    path = embeddings(root)
    place = path.relative_to(root).as_posix()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    write_verified_files(root, {**read_verified_files(root), place: describe_file(path, "0" * 64)})

    with pytest.raises(DamagedSnapshot):
        open_snapshot(root)


def test_verifying_renews_the_stamps(root: Path) -> None:
    (root / STAMPS).unlink()

    verify_snapshot(root, read_current(root))

    assert len(read_verified_files(root)) > 5


def test_stamps_of_files_that_are_gone_are_dropped(root: Path) -> None:
    write_verified_files(root, {**read_verified_files(root), "gone": VerifiedFile("0", 1, 1, 1, 1)})

    assert "gone" not in read_verified_files(root)


def test_a_folder_that_cannot_be_written_to_goes_without_stamps(tmp_path: Path) -> None:
    write_verified_files(tmp_path / "absent", {})

    assert read_verified_files(tmp_path / "absent") == {}


def test_building_leaves_stamps_too(tmp_path: Path) -> None:
    build(tmp_path / "a", tmp_path / "e", make_references(observations=1))

    assert read_verified_files(tmp_path / "a")
