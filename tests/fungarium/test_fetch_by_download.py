"""`fungarium fetch gbif --by-download` against a replica of GBIF's download service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from database.collection.datasets import dataset_credits
from database.collection.photos import references
from database.session import open_database
from tests.fungarium.conftest import Run
from tests.replicas.downloads import ACCOUNT
from tests.replicas.gbif import BY, BY_NC, INAT, RESERVED, Replica, make_records, make_taxa, occurrence
from tests.replicas.serving import Reply

TAXA = make_taxa(12)
REQUEST, USER = "/v1/occurrence/download/request", "/v1/occurrence/download/user/ane"


@pytest.fixture
def run(run_region: Run, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> Run:
    name, _, password = ACCOUNT.partition(":")
    monkeypatch.setenv("FUNGARIUM_GBIF_USER", name)
    monkeypatch.setenv("FUNGARIUM_GBIF_PASSWORD", password)
    return run_region


def create(run: Run, replica: Replica, records: list[dict[str, Any]], *area: str) -> None:
    """Make a region of these records."""
    replica.records = records
    assert run("region", "create", "denmark", *(area or ("--country", "DK")))[0] == 0
    replica.api.log.clear()


def fetch(run: Run, *options: str) -> str:
    status, out, err = run("fetch", "gbif", "denmark", "--by-download", *options)
    assert status == 0, err
    return out


def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "regions" / "denmark" / "gbif"


def kept(tmp_path: Path) -> list[tuple[str, str, str, str]]:
    address = f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}"
    with open_database(address) as database, database.reading() as session:
        found = references(session, "denmark-gbif")
        return sorted((one.sha256, one.observation or "", one.author, one.licence) for one in found)


def chosen(tmp_path: Path) -> dict[str, list[int]]:
    files = sorted((folder(tmp_path) / "chosen").glob("*.json"))
    return {file.stem: [one["key"] for one in json.loads(file.read_bytes())["results"]] for file in files}


def odd_records() -> list[dict[str, Any]]:
    """Finds with odd licences and authors, copies in two datasets, one in captivity, and more than are wanted."""
    page = "https://www.inaturalist.org/observations/77"
    return [
        *make_records(TAXA[1:2], 9),
        occurrence(1, TAXA[0], licences=[BY, RESERVED, BY_NC, "", "some rights"], observer="Jytte Doe"),
        occurrence(2, TAXA[0], observer="Ane Doe", references=page, place=(55.2, 9.0)),
        occurrence(3, TAXA[0], observer="ane_doe", licences=[BY, BY], dataset=INAT, occurrenceID=page),
        occurrence(4, TAXA[0], degreeOfEstablishment="captive", place=(55.3, 9.0)),
        occurrence(5, TAXA[0], license="http://creativecommons.org/licenses/by-nc/4.0/legalcode", place=(55.4, 9.0)),
    ]


def test_a_download_leads_to_the_same_photos_as_a_search(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, odd_records())
    assert run("fetch", "gbif", "denmark", "--per-species", "5")[0] == 0
    searched, of_search, photos = chosen(tmp_path), kept(tmp_path), len(replica.media.log)
    shutil.rmtree(folder(tmp_path))
    replica.api.log.clear()

    fetch(run, "--per-species", "5")

    assert chosen(tmp_path) == searched
    assert kept(tmp_path) == of_search
    assert photos >= 10
    assert not [one for one in replica.api.log if one.path == "/v1/occurrence/search"]
    assert not (folder(tmp_path) / "download.zip").exists()


def test_a_download_is_requested_by_area_taxa_media_and_kind_of_record(run: Run, replica: Replica) -> None:
    create(run, replica, make_records(TAXA[:1], 2), "--point", "56,10", "--radius", "200")

    fetch(run)

    asked = replica.downloads.made[0]["request"]
    assert (asked["creator"], asked["format"], asked["sendNotification"]) == ("ane", "DWCA", False)
    assert asked["predicate"] == {
        "type": "and",
        "predicates": [
            {"type": "geoDistance", "latitude": "56", "longitude": "10", "distance": "200km"},
            {"type": "equals", "key": "OCCURRENCE_STATUS", "value": "PRESENT"},
            {"type": "equals", "key": "BASIS_OF_RECORD", "value": "HUMAN_OBSERVATION"},
            {"type": "in", "key": "TAXON_KEY", "values": ["5", "310"]},
            {"type": "equals", "key": "MEDIA_TYPE", "value": "StillImage"},
        ],
    }


def test_the_doi_is_stored_and_cited_with_the_credits(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, make_records(TAXA[:2], 3))

    fetch(run)
    fetch(run)  # nothing is left to do

    cited = (
        "GBIF.org (2026-11-30) GBIF Occurrence Download https://doi.org/10.0000/dl.test1: fungi of Denmark, 6 records"
    )
    assert (folder(tmp_path) / "citation.txt").read_text().startswith(f"{cited}.\n")
    assert json.loads((folder(tmp_path) / "download.json").read_bytes())["doi"] == "10.0000/dl.test1"
    address = f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}"
    with open_database(address) as database, database.reading() as session:
        assert dataset_credits(session, ["denmark-gbif"])["denmark-gbif"].citation == cited
    assert len(replica.downloads.made) == 1


def test_a_run_waits_while_the_download_is_prepared(run: Run, replica: Replica) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    replica.downloads.statuses = ["PREPARING", "PREPARING", "RUNNING", "RUNNING", "RUNNING"]

    out = fetch(run)

    said = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("download ")]
    assert said == ["preparing", "running", "succeeded"]
    assert len([one for one in replica.api.log if one.path.endswith("/0000001-261130120000000")]) == 6


@pytest.mark.parametrize("ended", ["FAILED", "KILLED", "FILE_ERASED"])
def test_a_download_that_ended_otherwise_is_said_and_the_next_run_requests_another(
    run: Run, replica: Replica, tmp_path: Path, ended: str
) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    replica.downloads.statuses = ["RUNNING", ended]

    status, _, err = run("fetch", "gbif", "denmark", "--by-download")
    fetch(run)

    assert status == 1
    key = "0000001-261130120000000"
    wanted = f"GBIF does not deliver download {key} ({ended.lower()}); the same command requests another"
    assert err.rstrip().endswith(wanted)
    assert len(replica.downloads.made) == 2
    assert json.loads((folder(tmp_path) / "download.json").read_bytes())["doi"] == "10.0000/dl.test2"


def test_a_wrong_account_is_said_in_one_sentence_without_its_password(
    run: Run, replica: Replica, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    monkeypatch.setenv("FUNGARIUM_GBIF_PASSWORD", "not-this-one")

    status, out, err = run("fetch", "gbif", "denmark", "--by-download")

    assert status == 1
    assert len(err.splitlines()) == 1
    assert "GBIF does not accept the account: FUNGARIUM_GBIF_USER is the user name at gbif.org" in err
    assert "not-this-one" not in out + err
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert b"not-this-one" not in stored
    assert replica.downloads.made == []


def test_without_an_account_nothing_is_asked(run: Run, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    monkeypatch.delenv("FUNGARIUM_GBIF_USER")

    status, _, err = run("fetch", "gbif", "denmark", "--by-download")

    assert status == 1
    assert "set FUNGARIUM_GBIF_USER and FUNGARIUM_GBIF_PASSWORD" in err
    assert replica.api.log == []


def test_the_account_reaches_only_the_addresses_that_ask_for_it(run: Run, replica: Replica) -> None:
    create(run, replica, make_records(TAXA[:1], 2))

    fetch(run)

    assert replica.api.authorised == [REQUEST]
    assert replica.media.authorised == []


def test_a_password_is_not_sent_unencrypted(run: Run, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    monkeypatch.setenv("FUNGARIUM_GBIF", "http://api.gbif.example/v1")

    status, _, err = run("fetch", "gbif", "denmark", "--by-download")

    assert status == 1
    assert "FUNGARIUM_GBIF is no https address" in err


@pytest.mark.parametrize("refused", [420, 429])
def test_too_many_downloads_of_an_account_end_the_run_with_a_sentence(run: Run, replica: Replica, refused: int) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    replica.downloads.refused = refused

    status, _, err = run("fetch", "gbif", "denmark", "--by-download")
    asked = len(replica.api.authorised)
    replica.downloads.refused = 0
    fetch(run)

    assert status == 1
    assert "GBIF prepares too many downloads for this account" in err
    assert asked == 1
    assert len(replica.downloads.made) == 1


def test_killed_while_waiting_a_run_goes_on_with_the_same_download(
    run: Run, replica: Replica, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    replica.downloads.statuses = ["RUNNING"]

    def die(client: object, pauses: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("indexer.harvesting.client.ApiClient.rest", die)
        status, _, _ = run("fetch", "gbif", "denmark", "--by-download")
    fetch(run)

    assert status != 0
    assert len(replica.downloads.made) == 1
    assert replica.api.authorised == [REQUEST]  # the key was on file
    assert len(kept(tmp_path)) == 3


def test_a_request_whose_reply_was_lost_is_found_again(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    request = replica.downloads.issue

    def lose(wanted: dict[str, Any]) -> Reply:
        request(wanted)
        return Reply(503, b"", "")

    replica.downloads.issue = lose  # type: ignore[method-assign]
    status, _, err = run("fetch", "gbif", "denmark", "--by-download")
    fetch(run)

    assert status == 1
    assert "run the same command again later" in err
    assert len(replica.downloads.made) == 1
    assert replica.api.authorised == [REQUEST, USER]
    assert len(kept(tmp_path)) == 3


def test_an_archive_that_breaks_off_is_fetched_on_from_there(
    run: Run, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.harvesting.client.FILE_PIECE", 100)
    create(run, replica, make_records(TAXA[:1], 20))
    replica.downloads.breaks = [1000, 500, 100]

    fetch(run, "--per-species", "2")

    asked = [one.status for one in replica.media.log if one.path.startswith("/archive/")]
    assert asked == [200, 206, 206, 206]
    assert len(chosen(tmp_path)[str(TAXA[0].key)]) == 2


def test_an_archive_is_fetched_within_the_budget_and_goes_on_in_the_next_run(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    create(run, replica, make_records(TAXA[:1], 200))

    status, out, err = run("fetch", "gbif", "denmark", "--by-download", "--per-species", "1", "--most-bytes", "3000")
    had = (folder(tmp_path) / "download.zip").stat().st_size
    fetch(run, "--per-species", "1")

    assert status == 1, out
    assert "run it again to go on" in err
    assert 1500 < had < 3000
    assert len(replica.downloads.made) == 1
    assert [one.status for one in replica.media.log if one.path.startswith("/archive/")] == [200, 206]


def test_a_damaged_archive_is_fetched_anew_and_not_requested_anew(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, make_records(TAXA[:1], 2))
    request, whole = replica.downloads.issue, dict[str, bytes]()

    def damage(wanted: dict[str, Any]) -> Reply:
        reply = request(wanted)
        whole.update(replica.downloads.archives)
        replica.downloads.archives = {key: bytes(len(body)) for key, body in whole.items()}
        return reply

    replica.downloads.issue = damage  # type: ignore[method-assign]
    status, _, _ = run("fetch", "gbif", "denmark", "--by-download")
    replica.downloads.archives = whole
    fetch(run)

    assert status == 1
    assert len(replica.downloads.made) == 1
    assert len(kept(tmp_path)) == 3


def test_records_withdrawn_and_identified_anew_go_with_the_next_download(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    records = make_records(TAXA[:2], 3)
    create(run, replica, list(records))
    fetch(run)
    moved, gone = records[0], records[4]
    moved |= {"speciesKey": TAXA[1].key, "taxonKey": TAXA[1].key, "species": TAXA[1].name,
              "scientificName": TAXA[1].name, "acceptedScientificName": TAXA[1].name}  # fmt: skip
    replica.records.remove(gone)

    fetch(run, "--update")

    first, second = (chosen(tmp_path)[str(taxon.key)] for taxon in TAXA[:2])
    assert first == [one["key"] for one in records[1:3]]
    assert second == [one["key"] for one in (moved, records[3], records[5])]
    assert len(replica.downloads.made) == 2


def test_gbifs_own_names_of_the_account_are_read() -> None:
    from settings import read_settings

    given = {"GBIF_USER": "ane", "GBIF_PWD": "not told"}

    read = read_settings(given)
    ours = read_settings({**given, "FUNGARIUM_GBIF_USER": "bo"})

    assert (read.gbif_user, read.gbif_password) == ("ane", "not told")
    assert ours.gbif_user == "bo"
    assert "not told" not in repr(read)
