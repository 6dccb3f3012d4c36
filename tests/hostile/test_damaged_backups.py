"""A damaged byte costs a backup one file: it is named, written again from the source, and the rest is restored."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from database.backups.making import BackupSources, make_backup
from database.backups.repository import CYCLE, Item, Repository
from database.backups.restoring import MARK, restore_backup
from database.errors import BackupError
from database.field.photo_files import PhotoFiles
from fungarium.cli import main
from retrieval.snapshots.manifest import read_current
from retrieval.snapshots.verified_files import STAMPS, describe_file
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.circle import installed
from tests.snapshots import EMETICA, draw_photo
from tests.test_backup import elsewhere, places_of

DAY = date(2026, 5, 3)


@dataclass(frozen=True)
class Kept:
    """A copy of an installation's three backups, and what they were made from."""

    sources: BackupSources
    folder: Path


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """The second backup has one observation and one snapshot more, the third an observation fewer."""
    folder = tmp_path_factory.mktemp("origin")
    with pytest.MonkeyPatch.context() as patch, installed(folder, patch) as installation:
        sources = places_of(installation)
        going = installation.approved([draw_photo(EMETICA, 90)])
        withdraw_photos(sources.snapshots, ["a" * 64])
        make_backup(sources, Repository(folder / "backups"))
        installation.approved([draw_photo(EMETICA, 91)])
        assert main(["observations", "adopt"]) == 0
        make_backup(sources, Repository(folder / "backups"))
        installation.client().delete(going["url"], headers=installation.keys["olga"])
        make_backup(sources, Repository(folder / "backups"))
        yield Kept(sources, folder / "backups")


@pytest.fixture
def kept(origin: Kept, tmp_path: Path) -> Kept:
    shutil.copytree(origin.folder, tmp_path / "backups")
    return Kept(origin.sources, tmp_path / "backups")


def damage(path: Path, moments: random.Random) -> None:
    """Flip a bit of a file, cut it off, or lose it."""
    content = path.read_bytes()
    place = moments.randrange(len(content))
    match moments.choice(("flip", "flip", "cut", "lose")):
        case "flip":
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 1 << moments.randrange(8)]) + content[place + 1 :]
            )
        case "cut":
            path.write_bytes(content[:place])
        case _:
            path.unlink()


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder of backups that hold anything."""
    yield from sorted(path for path in folder.glob("*/**/*") if path.is_file())


def restored_path(there: BackupSources, item: Item) -> Path:
    part, _, rest = item.place.partition("/")
    roots = {"observations": Path(there.observation_photos), "snapshots": there.snapshots}
    return roots.get(part, there.data / part) / rest


def test_any_damage_is_named_healed_and_costs_no_other_file(
    kept: Kept, tmp_path: Path, rounds: Callable[..., int]
) -> None:
    moments = random.Random(22)
    for number in range(rounds(3, exhaustively=500)):
        folder = tmp_path / f"round-{number}"
        shutil.copytree(kept.folder, folder / "backups")
        repository = Repository(folder / "backups")
        victim = moments.choice([*files_of(repository.folder)])
        damage(victim, moments)
        of_latest = {item.place for item in repository.read().items if repository.path(item.sha256) == victim}
        is_manifest = victim.stem == repository.names()[-1]

        found = [*repository.check_manifest(repository.read()), *repository.check(repository.read().items).values()]
        assert len(found) == len(of_latest) + is_manifest, victim
        assert all(any(fault.startswith(place) for fault in found) for place in of_latest), (victim, found)

        there = elsewhere(folder / "there")
        report = restore_backup(there, repository, damaged=True)
        assert bool(report.faults) == bool(of_latest), victim
        for item in repository.read().items:
            if item.place not in of_latest and not item.place.startswith("database/"):
                assert restored_path(there, item).stat().st_size == item.bytes, victim
        with closing(sqlite3.connect(there.data / "fungarium.sqlite")) as database:
            expected = 2 if any(place.startswith("database/") for place in of_latest) else 1
            assert database.execute("SELECT count(*) FROM field_observations").fetchone() == (expected,)

        again = Repository(repository.folder)
        make_backup(kept.sources, again)
        assert again.check(again.read().items) == {}, victim
        assert again.check_manifest(again.read(repository.names()[-1])) == [], victim
        shutil.rmtree(folder)


def test_commands_name_what_is_damaged_write_it_again_and_restore_the_rest(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def use(places: BackupSources) -> None:
        monkeypatch.setenv("FUNGARIUM_DATA", str(places.data))
        monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(places.snapshots))

    latest = Repository(kept.folder).read()
    victim = next(item for item in latest.items if item.place.startswith("observations/"))
    Repository(kept.folder).path(victim.sha256).write_bytes(b"?")
    shutil.copytree(kept.folder, tmp_path / "again")
    there = elsewhere(tmp_path / "there")

    use(kept.sources)
    assert main(["backup", "verify", str(kept.folder)]) == 1
    assert capsys.readouterr().out == f"{victim.place} is damaged\n"
    assert main(["backup", "make", str(tmp_path / "again")]) == 0
    assert "1 damaged files of earlier backups were written again" in capsys.readouterr().out
    assert main(["backup", "verify", str(tmp_path / "again")]) == 0
    use(there)
    assert main(["backup", "restore", str(kept.folder)]) == 1
    assert "--damaged restores the rest" in capsys.readouterr().err
    assert not there.data.exists()
    assert main(["backup", "restore", "--damaged", str(kept.folder)]) == 1
    assert f"  {victim.place} is damaged\n" in capsys.readouterr().err
    assert main(["observations", "photos", "check"]) == 1
    assert main(["index", "verify"]) == 0


def damaged_at(repository: Repository, beginning: str, which: int = 0) -> None:
    """Damage one of the files of the latest backup whose place begins so."""
    item = [item for item in repository.read().items if item.place.startswith(beginning)][which]
    repository.path(item.sha256).write_bytes(b"?")


def test_a_damaged_database_is_replaced_by_that_of_an_earlier_backup_with_its_photos(
    kept: Kept, tmp_path: Path
) -> None:
    repository, there = Repository(kept.folder), elsewhere(tmp_path / "there")
    damaged_at(repository, "database/")
    before = repository.read(repository.names()[1]).under("observations")

    report = restore_backup(there, repository, damaged=True)

    assert len(report.faults) == 2
    assert f"that of backup {repository.names()[1]}" in report.faults[1]
    assert len(before) == 2
    assert all(PhotoFiles(there.observation_photos).has(item.sha256) for item in before)


def test_without_any_whole_database_the_photos_come_back(kept: Kept, tmp_path: Path) -> None:
    repository, there = Repository(kept.folder), elsewhere(tmp_path / "there")
    for name in repository.names():
        for item in repository.read(name).under("database"):
            repository.path(item.sha256).write_bytes(b"?")

    report = restore_backup(there, repository, damaged=True)

    assert "no backup has a whole database" in report.faults[1]
    assert not (there.data / "fungarium.sqlite").exists()
    assert len(list(PhotoFiles(there.observation_photos).everything())) == 1


@pytest.mark.parametrize(
    ("beginning", "sentence"),
    [("snapshots/WITHDRAWN", "withdrawn photos are not known"), ("snapshots/snapshots/", "no whole snapshot is left")],
)
def test_nothing_is_published_from_half_a_snapshot_or_without_its_withdrawals(
    kept: Kept, tmp_path: Path, beginning: str, sentence: str
) -> None:
    repository, there = Repository(kept.folder), elsewhere(tmp_path / "there")
    damaged_at(repository, beginning)
    damaged_at(repository, beginning, -1)

    report = restore_backup(there, repository, damaged=True)

    assert sentence in report.faults[-1]
    assert not (there.snapshots / "CURRENT").exists()


def test_where_the_published_snapshot_is_damaged_the_one_before_it_is_published(kept: Kept, tmp_path: Path) -> None:
    repository, there = Repository(kept.folder), elsewhere(tmp_path / "there")
    before, current = (repository.read(name).current for name in (repository.names()[0], ""))
    damaged_at(repository, f"snapshots/snapshots/{current}/manifest.json")

    report = restore_backup(there, repository, damaged=True)

    assert read_current(there.snapshots) == before != current
    assert f"{before} is published" in report.faults[1]


def test_a_restore_that_ended_between_database_and_publication_goes_on(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, there = Repository(kept.folder), elsewhere(tmp_path / "there")
    with monkeypatch.context() as patch:
        patch.setattr("database.backups.restoring.point_to", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                restore_backup(there, repository)

    assert restore_backup(there, repository).faults == ()

    assert read_current(there.snapshots) == repository.read().current
    assert not (there.data / MARK).exists()
    with pytest.raises(BackupError, match="a database with tables already"):
        restore_backup(there, repository)


def test_a_database_that_somebody_made_during_an_interrupted_restore_is_not_taken_for_the_restored_one(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, there = Repository(kept.folder), elsewhere(tmp_path / "there")
    with monkeypatch.context() as patch:
        patch.setattr("database.backups.restoring.restore_files", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            restore_backup(there, repository)
    (there.data / "fungarium.sqlite").write_bytes(b"theirs")

    with pytest.raises(BackupError, match="a database with tables already"):
        restore_backup(there, repository)


def test_no_database_is_restored_beside_the_log_of_another_one(kept: Kept, tmp_path: Path) -> None:
    there = elsewhere(tmp_path / "there")
    there.data.mkdir(parents=True)
    (there.data / "fungarium.sqlite-wal").write_bytes(b"written since")

    with pytest.raises(BackupError, match="a database with tables already"):
        restore_backup(there, Repository(kept.folder))


def test_files_of_earlier_backups_are_read_again_once_in_a_while_only(kept: Kept) -> None:
    """All of them within so many days, each on one of these."""
    with Repository(kept.folder).writing() as repository:
        objects = {path.name for path in kept.folder.glob("objects/*/*") if repository.has(path.name)}
    read = []
    for day in range(CYCLE):
        repository = Repository(kept.folder, DAY + timedelta(day))
        read.append(sum(repository.has(sha256) for sha256 in objects) and repository.read_again)

    assert sum(read) == len(objects)
    assert max(read) < len(objects)


def test_a_bit_that_a_disk_loses_without_a_trace_is_found_within_a_month(kept: Kept) -> None:
    repository = Repository(kept.folder)
    item = next(item for item in repository.read().items if item.place.startswith("observations/"))
    path = repository.path(item.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    stamps = json.loads((kept.folder / STAMPS).read_text())
    stamp = describe_file(path, item.sha256)
    stamps[f"objects/{item.sha256[:2]}/{item.sha256}"] = {name: getattr(stamp, name) for name in stamp.__slots__}
    (kept.folder / STAMPS).write_text(json.dumps(stamps))

    days = [DAY + timedelta(day) for day in range(CYCLE)]
    (due,) = (day for day in days if not Repository(kept.folder, day).has(item.sha256))
    report = make_backup(kept.sources, Repository(kept.folder, due))

    assert item.place in report.healed
    assert Repository(kept.folder).check([item]) == {}


def test_a_photo_that_only_the_backups_have_is_taken_on_from_one_to_the_next(kept: Kept) -> None:
    """One that the store has lost since; pruning the backups in which it was read would remove it otherwise."""
    (item, *_) = Repository(kept.folder).read().under("observations")
    files = PhotoFiles(kept.sources.observation_photos)
    photo = files.get(item.sha256)
    files.remove(item.sha256)
    try:
        report = make_backup(kept.sources, Repository(kept.folder))
    finally:
        files.put(photo)

    assert item in Repository(kept.folder).read(report.name).items


def test_what_a_killed_backup_left_is_removed_by_the_next(kept: Kept) -> None:
    (kept.folder / ".dump-killed").mkdir()
    (kept.folder / ".dump-killed" / "database").write_bytes(b"half")
    for folder in ("objects", "backups"):
        (kept.folder / folder / ".unfinished-killed").write_bytes(b"half")

    make_backup(kept.sources, Repository(kept.folder))

    left = [name for _, folders, files in os.walk(kept.folder) for name in (*folders, *files) if name.startswith(".")]
    assert left == [".lock"]
