from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import select

from database.collection.imports import dropped_values, rejections
from database.collection.photos import references
from database.models import Photo
from database.session import Database, open_database, upgrade
from database.taxonomy.taxa import TaxonEntry, TaxonRegister, taxa
from indexer.archives import read_archive
from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.inspection import PhotoDesk
from indexer.curation.names import KnownNames
from indexer.curation.reasons import REJECTED
from indexer.curation.texts import read_text
from indexer.importing import ImportReport, import_archive
from indexer.photos.finding import Fetcher, PhotoStore
from indexer.photos.pacing import Pace
from indexer.records import ArchiveSource, CuratedRecord, Record, RejectedRecord
from retrieval.errors import ArchiveError
from tests.indexer.collections import POLICY, desk_for, draw_photo, line, mixed_rows, state, write_table
from tests.indexer.photos.servers import LOOPBACK

ROOT = Path(__file__).resolve().parents[2]


def load(database: Database, desk: PhotoDesk, policy: CurationPolicy = POLICY, batch_size: int = 256) -> ImportReport:
    return import_archive(database, desk, policy, dataset="walks", title="Walks", batch_size=batch_size)


def counts(report: ImportReport) -> tuple[int, int, dict[str, int]]:
    return report.read, report.accepted, dict(report.rejected)


def rewrite_unseen(path: Path, content: bytes) -> None:
    """Give a file other bytes, with the size and time it had: only who reads it anew would notice."""
    before = path.stat()
    path.write_bytes(content.ljust(before.st_size, b"\0")[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_gbif_key_of_another_species_is_counted_on_every_record_that_has_it(
    database: Database, tmp_path: Path
) -> None:
    rows = [line("a.png", "Amanita citrina", taxonKey="77"), line("b.png", "Boletus calopus", taxonKey="77")]
    rows += [line("c.png", "Boletus calopus", taxonKey="77"), line("d.png", "Boletus calopus", taxonKey="78")]

    report = load(database, desk_for(write_table(tmp_path / "walks", rows)), batch_size=1)

    assert (report.read, report.accepted, report.rejected) == (4, 4, ())
    assert report.dropped == (("key-of-another-species", 2),)
    with database.reading() as session:
        said = list(dropped_values(session, "walks"))
        keys = {taxon.name: taxon.gbif_key for taxon in taxa(session) if taxon.rank == "species"}
    assert keys == {"Amanita citrina": 77, "Boletus calopus": 78}
    assert [(value.line, value.term, value.text) for value in said] == [(3, "taxonKey", "77"), (4, "taxonKey", "77")]
    assert said[0].detail == "key 77 is that of Amanita citrina, not of Boletus calopus; the name was believed"


def test_finds_that_are_probably_in_another_dataset_too_are_kept_and_counted(
    database: Database, tmp_path: Path
) -> None:
    said = {"eventDate": "2019-09-05", "decimalLatitude": "55.676", "decimalLongitude": "12.568"}
    rows = [line("a.png", recordedBy="Mette Holm", **said), line("b.png", recordedBy="Jan Berg", **said)]
    rounded = {**said, "decimalLatitude": "55.68", "decimalLongitude": "12.57"}
    load(database, desk_for(write_table(tmp_path / "walks", rows)))

    again = [line("c.png", recordedBy="Holm, M.", **rounded), line("d.png", recordedBy="Ida Lund", **rounded)]
    desk = desk_for(write_table(tmp_path / "portal", again))
    report = import_archive(database, desk, POLICY, dataset="portal")

    assert (report.accepted, report.rejected) == (2, ())
    assert report.duplicates == (("walks", 1),)


def test_every_record_is_accepted_or_rejected_with_its_reason(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "walks"
    draw_photo(folder / "twin.png", "a.png")
    (folder / "letter.png").write_text("Dear all,")
    table = write_table(
        folder,
        [
            line("a.png", observation="1"),
            line("b.png", observation="1"),
            line("twin.png", observation="1"),
            line("twin.png", "Amanita phalloides", observation="2"),
            line("c.png", "Amanita phalloides", observation="1"),
            line("d.png", "Amanita"),
            line("e.png", license="all rights reserved"),
            line("f.png", license=""),
            line("g.png", creator="", license="CC0"),
            line("absent.png"),
            line("letter.png"),
            line("../../outside.png"),
        ],
    )

    report = load(database, desk_for(table))

    assert report.read == 12
    assert report.accepted == report.added == 2
    assert report.accepted + sum(dict(report.rejected).values()) == report.read
    with database.reading() as session:
        found = [(entry.line, entry.reason) for entry in rejections(session, "walks")]
    reasons = dict(found)
    assert [number for number, _ in found] == list(range(4, 14))
    assert reasons[4] == "duplicate"
    assert reasons[5] == "conflicting-duplicate"
    assert reasons[6] == "conflicting-identification"
    assert reasons[7] == "not-to-species"
    assert reasons[8] == "licence-reserved"
    assert reasons[9] == "licence-missing"
    assert reasons[10] == "no-author"
    assert reasons[11] == "photo-missing"
    assert reasons[13] == "outside-folder"


def test_a_photo_comes_with_author_licence_place_and_date(database: Database, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png", eventDate="2024-09-01", countryCode="BE", observation="7")])

    load(database, desk_for(table))

    with database.reading() as session:
        (photo,) = references(session)
        names = {taxon.id: taxon.name for taxon in taxa(session)}
    assert (photo.author, photo.licence, photo.observation) == ("A. Adams", "CC-BY-4.0", "walks:7")
    assert (str(photo.event_date), photo.country_code) == ("2024-09-01", "BE")
    assert names[photo.species] == "Amanita muscaria"
    assert photo.location == str(tmp_path / "walks" / "a.png")


def test_photos_that_name_no_observation_are_observations_of_their_own(database: Database, tmp_path: Path) -> None:
    rows = [line("a.png"), line("b.png")]
    table = write_table(tmp_path / "walks", [row | {"observation": ""} for row in rows])

    load(database, desk_for(table))

    with database.reading() as session:
        assert {photo.observation for photo in references(session)} == {"walks:photo:a.png", "walks:photo:b.png"}


def test_without_an_author_only_the_policy_any_accepts(database: Database, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png", creator="", license="none stated")])

    report = load(database, desk_for(table), CurationPolicy(today=POLICY.today, licences="any"))

    assert report.accepted == 1
    with database.reading() as session:
        assert [(photo.author, photo.licence) for photo in references(session)] == [("", "")]


def test_a_second_run_reports_the_same_and_reads_no_photo_again(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "walks"
    draw_photo(folder / "twin.png", "a.png")
    (folder / "letter.png").write_bytes(b"Dear all," * 20)
    table = write_table(folder, [line("a.png"), line("twin.png"), line("letter.png"), line("b.png", "Amanita")])
    first = load(database, desk_for(table))
    before = state(database)
    for photo in ("a.png", "twin.png"):
        rewrite_unseen(folder / photo, b"unreadable")

    second = load(database, desk_for(table))

    assert counts(second) == counts(first)
    assert (second.added, second.known) == (0, 1)
    assert state(database) == before


def test_a_file_that_has_changed_is_read_again(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "walks"
    (folder / "a.png").parent.mkdir()
    (folder / "a.png").write_text("not finished downloading")
    table = write_table(folder, [line("a.png")])
    first = load(database, desk_for(table))
    draw_photo(folder / "a.png", "a.png")

    second = load(database, desk_for(table))

    assert (first.accepted, second.accepted) == (0, 1)


def test_a_licence_that_is_taken_back_takes_the_photo_back(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "walks"
    load(database, desk_for(write_table(folder, [line("a.png"), line("b.png")])))
    table = write_table(folder, [line("a.png", license="all rights reserved"), line("b.png")])

    report = load(database, desk_for(table))

    assert counts(report) == (2, 1, {"licence-reserved": 1})
    with database.reading() as session:
        assert [photo.observation for photo in references(session)] == ["walks:b.png"]


def test_photos_keep_their_place_until_a_copy_is_asked_for(database: Database, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png")])
    load(database, desk_for(table))

    load(database, desk_for(table, copy=True))

    with database.reading() as session:
        (photo,) = references(session)
    assert photo.location == f"store:{photo.sha256}"
    assert PhotoStore(tmp_path / "store").path(photo.sha256).read_bytes() == (tmp_path / "walks" / "a.png").read_bytes()


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", mixed_rows(40))
    states = []
    for size in (1, 7, 1000):
        url = f"sqlite:///{tmp_path / f'{size}.sqlite'}"
        upgrade(url)
        with open_database(url) as database:
            load(database, desk_for(table), batch_size=size)
            states.append(state(database))

    assert states[0] == states[1] == states[2]
    assert states[0]["photos"]
    assert states[0]["rejections"]


def test_a_synonym_that_the_catalogue_knows_is_resolved(database: Database, tmp_path: Path) -> None:
    with database.writing() as session:
        known = TaxonEntry("Clitocybe nebularis", synonyms=(("Lepista nebularis", None),))
        accepted = TaxonRegister().file(session, known)
    table = write_table(tmp_path / "walks", [line("a.png", "Lepista nebularis (Batsch) Harmaja")])

    load(database, desk_for(table))

    with database.reading() as session:
        assert [photo.species for photo in references(session)] == [accepted]


def test_text_that_no_database_takes_is_stored_without_it(database: Database, tmp_path: Path) -> None:
    draw_photo(tmp_path / "walks" / "a.png", "a")
    collection = {
        "images": [{"id": 1, "file_name": "a.png", "license": 1, "rights_holder": "A.\0 Adams\udc80"}],
        "categories": [{"id": 1, "name": "Amanita muscaria", "supercategory": "Amanita"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
        "licenses": [{"id": 1, "name": "CC0", "url": "http://creativecommons.org/publicdomain/zero/1.0/"}],
    }
    (tmp_path / "walks" / "val.json").write_text(json.dumps(collection))
    source = ArchiveSource("coco", tmp_path / "walks" / "val.json")

    report = load(database, PhotoDesk(source, PhotoStore(tmp_path / "store")))

    assert report.accepted == 1
    with database.reading() as session:
        assert [photo.author for photo in references(session)] == ["A. Adams"]


def test_an_archive_that_breaks_off_keeps_what_was_read(database: Database, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png")])

    with pytest.raises(ArchiveError, match="no archive kind 'letters'"):
        load(database, PhotoDesk(ArchiveSource("letters", table), PhotoStore(tmp_path / "store")))

    assert load(database, desk_for(table)).added == 1


META = """<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core rowType="http://rs.tdwg.org/dwc/terms/Occurrence" fieldsTerminatedBy="," linesTerminatedBy="\\n"
        fieldsEnclosedBy='"' ignoreHeaderLines="1" encoding="UTF-8">
    <files><location>occurrence.csv</location></files><id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
  </core>
  <extension rowType="http://rs.gbif.org/terms/1.0/Multimedia" fieldsTerminatedBy="," linesTerminatedBy="\\n"
        fieldsEnclosedBy='"' ignoreHeaderLines="1" encoding="UTF-8">
    <files><location>multimedia.csv</location></files><coreid index="0"/>
    <field index="1" term="http://purl.org/dc/terms/identifier"/>
    <field index="2" term="http://purl.org/dc/terms/license"/>
    <field index="3" term="http://purl.org/dc/terms/creator"/>
  </extension>
</archive>
"""


def test_photos_inside_an_archive_are_kept_in_the_store_and_read_once(database: Database, tmp_path: Path) -> None:
    draw_photo(tmp_path / "a.png", "a")
    archive = tmp_path / "walks.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("meta.xml", META)
        file.writestr("occurrence.csv", "id,scientificName\n1,Amanita muscaria\n")
        file.writestr("multimedia.csv", "id,identifier,license,creator\n1,a.png,CC0,A. Adams\n")
        file.write(tmp_path / "a.png", "a.png")
    desk = PhotoDesk(ArchiveSource("dwca", archive), PhotoStore(tmp_path / "store"))
    first = load(database, desk)

    second = load(database, desk)

    assert counts(first) == counts(second) == (1, 1, {})
    with database.reading() as session:
        (photo,) = references(session)
    assert photo.location == f"store:{photo.sha256}"
    assert desk.store.path(photo.sha256).read_bytes() == (tmp_path / "a.png").read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine that gives drawn photos; second, the paths that were asked for."""
    asked: list[str] = []
    draw_photo(tmp_path / "served.png", "served")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = (tmp_path / "served.png").read_bytes() if "gone" not in self.path else b""
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()


def test_photos_behind_addresses_are_fetched_once_and_show_their_address(
    database: Database, tmp_path: Path, server: tuple[str, list[str]]
) -> None:
    base, asked = server
    table = write_table(tmp_path / "walks", [line(f"{base}/a.png"), line(f"{base}/gone.png")])
    with PhotoStore(tmp_path / "store") as store, Fetcher(store, guard=LOOPBACK, pace=Pace(0.0)) as fetcher:
        desk = PhotoDesk(ArchiveSource("csv", table), store, fetcher)
        first = load(database, desk)
        second = load(database, desk)

    assert (first.accepted, second.accepted, second.added) == (1, 1, 0)
    assert asked.count("/a.png") == 1
    with database.reading() as session:
        assert [photo.source for photo in references(session)] == [f"{base}/a.png"]


def test_paths_can_be_relative_to_an_address(database: Database, tmp_path: Path, server: tuple[str, list[str]]) -> None:
    base, asked = server
    table = write_table(tmp_path / "walks", [line("absent here/1.png")])
    with PhotoStore(tmp_path / "store") as store, Fetcher(store, guard=LOOPBACK, pace=Pace(0.0)) as fetcher:
        desk = PhotoDesk(ArchiveSource("csv", table), store, fetcher, base_url=f"{base}/photos/")
        report = load(database, desk)

    assert report.accepted == 1
    assert asked == ["/photos/absent%20here/1.png"]


def test_nothing_is_fetched_that_was_not_asked_for(
    database: Database, tmp_path: Path, server: tuple[str, list[str]]
) -> None:
    base, asked = server
    table = write_table(tmp_path / "walks", [line(f"{base}/a.png")])

    report = load(database, desk_for(table))

    assert counts(report) == (1, 0, {"not-fetched": 1})
    assert asked == []


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from database.session import open_database
from indexer.importing import import_archive
from tests.indexer.collections import POLICY, desk_for
url, table, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
database, statements = open_database(url), iter(range(10**9))
def count(*_):
    if next(statements) == last:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", count)  # readers and the writer have pools of their own
import_archive(database, desk_for(table), POLICY, dataset="walks", title="Walks", batch_size=8)
"""


def test_an_import_killed_part_way_and_run_again_ends_as_if_undisturbed(database_url: str, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", mixed_rows(60))
    url = f"sqlite:///{tmp_path / 'undisturbed.sqlite'}"
    upgrade(url)
    with open_database(url) as undisturbed:
        expected = counts(load(undisturbed, desk_for(table), batch_size=8))
        whole = state(undisturbed)
    upgrade(database_url)

    photos = []
    for last in (90, 120):
        command = [sys.executable, "-c", KILLED, database_url, str(table), str(last)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        with open_database(database_url) as database:
            photos.append(len(state(database)["photos"]))
    with open_database(database_url) as database:
        report = load(database, desk_for(table), batch_size=8)
        after = state(database)

    assert 0 < photos[0] < photos[1] < len(whole["photos"])  # it was indeed cut short, each time later
    assert counts(report) == expected
    assert after == whole


def test_a_photo_refused_in_one_find_and_kept_in_another_stays_the_same_photo(
    database: Database, tmp_path: Path
) -> None:
    lines = [
        line("a.png", "Amanita sp.", observation="1"),
        line("a.png", "Amanita muscaria", observation="2"),
    ]
    table = write_table(tmp_path / "walks", lines)

    first = load(database, desk_for(table), batch_size=1)
    with database.reading() as session:
        before = session.execute(select(Photo.id, Photo.observation_id)).all()
    again = load(database, desk_for(table), batch_size=1)

    assert (first.accepted, first.added) == (again.accepted, 1) == (1, 1)
    assert again.added == 0
    with database.reading() as session:
        assert session.execute(select(Photo.id, Photo.observation_id)).all() == before


def sample_archives(shared: Path) -> list[Path]:
    """Everything below the samples and cases that may be an archive."""
    folders = [shared / "samples" / name for name in ("dwca", "mo", "fgvcx-fungi-2018", "gbif-multimedia")]
    found = [path for folder in folders for path in sorted(folder.rglob("*"))]
    found += sorted((shared / "cases" / "import").glob("*/*"))
    return [path for path in found if path.is_dir() or path.suffix in {".zip", ".csv", ".tsv", ".txt", ".tgz", ".json"}]


@pytest.mark.slow
def test_every_line_of_every_sample_is_kept_or_refused_and_every_value_too(shared: Path) -> None:
    """accepted + rejected = read, and no date or place of an accepted record vanishes without a doubt."""
    read = 0
    for path in sample_archives(shared):
        try:
            for item in read_archive(ArchiveSource("auto", path)):
                read += 1
                checked = curate(item, POLICY, KnownNames()) if isinstance(item, Record) else item
                if isinstance(item, Record) and isinstance(checked, CuratedRecord):
                    told = {doubt.field for doubt in checked.doubts}
                    assert checked.event_date or not read_text(item.event_date).strip("0-") or "eventDate" in told, item
                    assert checked.country_code or not read_text(item.country_code) or "countryCode" in told, item
                    assert checked.decimal_latitude is not None or not read_text(item.decimal_latitude) or (
                        "decimalLatitude" in told
                    ), item  # fmt: skip
                else:
                    assert isinstance(checked, RejectedRecord)
                    assert checked.reason in REJECTED, checked
        except ArchiveError:
            continue  # no archive, or one that is refused as a whole
    assert read > 5000
