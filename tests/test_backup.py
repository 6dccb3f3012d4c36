"""Backups: made during use, incremental, and restored with identical answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from database.accounts.api_keys import issue_key
from database.accounts.people import SCOPES_OF, add_person
from database.backups.making import BackupSources, make_backup
from database.backups.repository import Backup, Repository
from database.backups.restoring import restore_backup
from database.errors import BackupError
from database.field.photo_files import PhotoFiles
from database.field.records import missing
from database.models import Dataset
from database.session import open_database, upgrade
from fungarium.cli import main
from fungarium.cli import main as index
from retrieval.snapshots.withdrawals import read_withdrawals, withdraw_photos
from tests.circle import Installation, installation
from tests.postgres import Cluster
from tests.snapshots import EMETICA, draw_photo
from tests.web.conftest import encode_photos
from web.application import create_app
from web.services import make_services

__all__ = ["installation"]

PHOTO = draw_photo(EMETICA, 90)


def places_of(installation: Installation) -> BackupSources:
    given = installation.settings
    return BackupSources(given.database_url, given.photos_at, given.data, given.flora_indexes)


def elsewhere(folder: Path) -> BackupSources:
    return BackupSources(
        f"sqlite:///{folder / 'data' / 'fungarium.sqlite'}",
        str(folder / "data" / "observations"),
        folder / "data",
        folder / "flora_indexes",
    )


@contextmanager
def served(installation: Installation, places: BackupSources) -> Iterator[FlaskClient]:
    """A server over what was restored."""
    settings = replace(
        installation.settings,
        data=places.data,
        flora_indexes=places.snapshots,
        observation_photos=places.observation_photos,
    )
    services = make_services(settings)
    app = create_app(services)
    yield app.test_client()
    app.extensions["serving"].close()
    services.counts.close()
    services.published.close()
    services.database().close()


def test_a_restored_installation_gives_the_same_answers(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = installation.approved([PHOTO, draw_photo(EMETICA, 91)], decimalLatitude="55.6", decimalLongitude="12.5")
    assert index(["observations", "adopt"]) == 0
    asked = ["/api/v1/floras", body["url"], f"{body['url']}/verdicts", f"/api/v1/photos/{body['photos'][0]['sha256']}"]
    before = [installation.client().get(address, headers=installation.keys["olga"]).get_data() for address in asked]
    said = installation.identify(PHOTO)
    assert main(["backup", "make", str(tmp_path / "backups")]) == 0
    there = elsewhere(tmp_path / "there")
    monkeypatch.setenv("FUNGARIUM_DATA", str(there.data))
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(there.snapshots))

    assert main(["backup", "verify", str(tmp_path / "backups")]) == 0
    assert main(["backup", "restore", str(tmp_path / "backups")]) == 0

    with served(installation, there) as client:
        after = [client.get(address, headers=installation.keys["olga"]).get_data() for address in asked]
        again: dict[str, Any] = client.post("/api/v1/identify", **encode_photos([PHOTO])).get_json()
    assert after == before  # keys open what they opened, too
    assert again["species"] == said["species"]
    assert again["snapshot"] == said["snapshot"]
    assert main(["observations", "photos", "check"]) == 0
    assert index(["index", "verify"]) == 0
    assert index(["observations", "adopt"]) == 0
    assert "nothing has changed" in capsys.readouterr().out


def test_what_was_withdrawn_stays_so_after_a_restore_whatever_the_backup_knew(
    installation: Installation, tmp_path: Path
) -> None:
    """Both what the backup had withdrawn, and what was withdrawn since where it is restored to."""
    installation.approved([PHOTO])
    there = elsewhere(tmp_path / "there")
    withdraw_photos(installation.settings.flora_indexes, ["a" * 64])
    withdraw_photos(there.snapshots, ["b" * 64])
    repository = Repository(tmp_path / "backups")
    make_backup(places_of(installation), repository)

    restore_backup(there, repository)

    assert read_withdrawals(there.snapshots) == {"a" * 64, "b" * 64}


def test_the_next_backup_copies_what_is_new_only(installation: Installation, tmp_path: Path) -> None:
    installation.approved([PHOTO])
    repository = Repository(tmp_path / "backups")
    first = make_backup(places_of(installation), repository)
    installation.approved([draw_photo(EMETICA, 92)])

    second = make_backup(places_of(installation), Repository(tmp_path / "backups"))

    assert first.copied_files > 10
    assert second.files == first.files + 1
    assert second.copied_files == 2  # the database and the photo
    assert repository.names() == sorted([first.name, second.name])


def test_nothing_is_restored_over_something(installation: Installation, tmp_path: Path) -> None:
    installation.approved([PHOTO])
    repository = Repository(tmp_path / "backups")
    make_backup(places_of(installation), repository)

    there = elsewhere(tmp_path / "there")
    with pytest.raises(BackupError, match="a database with tables already"):
        restore_backup(places_of(installation), repository)
    for taken, word in (
        (there.snapshots / "snapshots" / "other" / "file", "snapshots"),
        (there.data / "photos" / "ab" / "file", "photos"),
        (Path(there.observation_photos) / "ab" / "file", "observations"),
    ):
        taken.parent.mkdir(parents=True)
        taken.write_text("somebody's")
        with pytest.raises(BackupError, match=f"something at .*{word}"):
            restore_backup(there, repository)
        assert taken.read_text() == "somebody's"
        taken.unlink()
        taken.parent.rmdir()
    assert not (there.data / "fungarium.sqlite").exists()


def test_a_damaged_backup_is_found_and_not_restored(installation: Installation, tmp_path: Path) -> None:
    body = installation.approved([PHOTO])
    repository = Repository(tmp_path / "backups")
    name = make_backup(places_of(installation), repository).name
    victim = repository.path(body["photos"][0]["sha256"])
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + b"?")

    assert repository.check(repository.read()) == [f"observations/{victim.name[:2]}/{victim.name} is damaged"]
    with pytest.raises(BackupError, match="is not whole, and nothing was restored"):
        restore_backup(elsewhere(tmp_path / "there"), repository)
    assert not (tmp_path / "there").exists()
    victim.write_bytes(whole)
    listed = tmp_path / "backups" / "backups" / f"{name}.json"
    listed.write_text(listed.read_text().replace("observations/", "observations/../"))
    with pytest.raises(BackupError, match="its list of files has been changed"):
        restore_backup(elsewhere(tmp_path / "there"), repository)


def test_an_interrupted_restore_is_run_again(installation: Installation, tmp_path: Path) -> None:
    installation.approved([PHOTO])
    repository, there = Repository(tmp_path / "backups"), elsewhere(tmp_path / "there")
    make_backup(places_of(installation), repository)
    seen: list[int] = []

    def interrupt(_: str, done: int = 0, total: int = 0) -> None:
        seen.append(done)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_backup(there, repository, progress=interrupt)
    assert not (there.snapshots / "CURRENT").exists()  # nothing is served that is not whole
    restore_backup(there, repository)

    with served(installation, there) as client:
        assert client.post("/api/v1/identify", **encode_photos([PHOTO])).status_code == 200
    with open_database(there.database_url) as database:
        assert missing(database, PhotoFiles(there.observation_photos)) == []


def test_a_backup_is_of_one_moment_while_people_go_on(installation: Installation, tmp_path: Path) -> None:
    ended, running = threading.Event(), threading.Event()
    faults: list[BaseException] = []

    def go_on() -> None:
        number = 0
        try:
            while not ended.is_set():
                number += 1
                body = installation.record([draw_photo(EMETICA, 1000 + number, side=40)])
                running.set()
                if number % 2:
                    installation.client().delete(body["url"], headers=installation.keys["olga"])
        except BaseException as error:
            faults.append(error)
            running.set()

    person = threading.Thread(target=go_on)
    person.start()
    try:
        running.wait()
        report = make_backup(places_of(installation), Repository(tmp_path / "backups"))
    finally:
        ended.set()
        person.join()
    there = elsewhere(tmp_path / "there")
    restore_backup(there, Repository(tmp_path / "backups"))

    assert faults == []
    assert report.lost == ()
    with open_database(there.database_url) as database:
        assert missing(database, PhotoFiles(there.observation_photos)) == []


def test_a_photo_that_was_lost_before_is_told_and_the_rest_is_kept(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = installation.approved([PHOTO])
    PhotoFiles(installation.settings.photos_at).remove(body["photos"][0]["sha256"])

    assert main(["backup", "make", str(tmp_path / "backups")]) == 1

    assert "missing since an earlier backup: observations/" in capsys.readouterr().err
    assert len(Repository(tmp_path / "backups").names()) == 1


def test_a_damaged_snapshot_is_not_backed_up_as_if_it_were_whole(installation: Installation, tmp_path: Path) -> None:
    victim = next(installation.settings.flora_indexes.glob("segments/*/embeddings.npy"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")

    with pytest.raises(BackupError, match=r"the published snapshot cannot be kept: .* is damaged"):
        make_backup(places_of(installation), Repository(tmp_path / "backups"))

    assert Repository(tmp_path / "backups").names() == []


def test_backups_made_within_one_second_lie_in_the_order_in_which_they_were_made(
    installation: Installation, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "backups")

    made = [make_backup(places_of(installation), repository).name for _ in range(6)]

    assert repository.names() == made


def test_a_backup_whose_time_is_in_whole_seconds_keeps_its_name(tmp_path: Path) -> None:
    backup = Backup("2026-11-20T23:04:05+00:00", "sqlite", "", ())

    name = Repository(tmp_path).finish(backup)

    assert name.startswith("20261120T230405Z-")
    assert Repository(tmp_path).read(name) == backup


def test_old_backups_go_and_the_latest_stays_whole(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "backups")
    gone = installation.record([PHOTO])
    main(["backup", "make", folder])
    installation.client().delete(gone["url"], headers=installation.keys["olga"])
    installation.record([draw_photo(EMETICA, 93)])
    main(["backup", "make", folder])

    assert main(["backup", "prune", folder, "--keep", "1"]) == 0

    assert "1 backups and 2 files removed" in capsys.readouterr().out  # the database and the photo of then
    assert main(["backup", "verify", folder]) == 0
    assert not Repository(tmp_path / "backups").has(gone["photos"][0]["sha256"])
    assert main(["backup", "list", folder]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 2
    assert main(["backup", "prune", folder, "--keep", "0"]) == 1
    assert main(["backup", "restore", str(tmp_path / "nothing")]) == 1


def test_a_postgresql_database_is_dumped_and_restored(postgres: Cluster, tmp_path: Path) -> None:
    for name in ("before", "after"):
        where = (f"--host={postgres.folder}", "--username=tester", "--dbname=postgres")
        postgres.run("psql", *where, f"--command=CREATE DATABASE {name}")
    urls = {name: postgres.address(name) for name in ("before", "after")}
    upgrade(urls["before"])
    here = replace(elsewhere(tmp_path / "here"), database_url=urls["before"])
    with open_database(urls["before"]) as database, database.writing() as session:
        session.add(Dataset(id="walks", title="Walks"))
        issue_key(session, add_person(session, "olga", "Olga", "observer").id, SCOPES_OF["observer"])
    there = replace(elsewhere(tmp_path / "there"), database_url=urls["after"])
    repository = Repository(tmp_path / "backups")
    make_backup(here, repository)

    with pytest.raises(BackupError, match="the backup is of postgresql"):
        restore_backup(elsewhere(tmp_path / "there"), repository)
    restore_backup(there, repository)

    with open_database(urls["after"]) as database, database.reading() as session:
        walks = session.get(Dataset, "walks")
        assert walks is not None
        assert walks.title == "Walks"
    with pytest.raises(BackupError, match="nothing is restored over it"):
        restore_backup(there, repository)
    with closing(open_database(urls["after"])) as database, database.writing() as session:
        add_person(session, "omar", "Omar", "observer")  # numbers go on where they were
