"""Layouts of archives: nested folders, events, repeated ids, exports."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.archives.terms import split_photos
from indexer.curation.curate import curate
from indexer.curation.names import KnownNames
from indexer.photos.finding import LocalPhoto, MemberPhoto, PhotoStore, locate, open_photo, read_member
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import (
    DC,
    DWC,
    MULTIMEDIA,
    OCCURRENCE,
    POLICY,
    descriptor,
    occurrence_files,
    photo_bytes,
    read,
    section,
    write_archive,
    write_photos,
)  # fmt: skip

EVENT = "http://rs.tdwg.org/dwc/terms/Event"
README = "Data of our society\nsent by the secretary\nsee the folder\n"


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"data/{name}",
        lambda name: f"data\\{name}",
        lambda name: f"./{name}",
        lambda name: f"/{name}",
        lambda name: f"\\{name}",
        lambda name: name.upper() if name != "meta.xml" else name,
    ],
    ids=["folder", "backslashes", "dot", "slash", "leading backslash", "other case"],
)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "with a readme"])
def test_an_archive_is_found_however_it_is_packed(tmp_path: Path, rename: Callable[[str], str], beside: bool) -> None:
    files = {rename(name): content for name, content in occurrence_files().items()}
    path = write_archive(tmp_path / "a.zip", files | ({"README.txt": README} if beside else {}))

    records, rejections = read(path)

    assert len(records) == 3
    assert sorted(rejection.reason for rejection in rejections) == ["no-photo", "orphan"]


def test_a_readme_is_no_table_of_occurrences(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.zip", {"README.txt": README, "photos/a.jpg": photo_bytes()})

    with pytest.raises(ArchiveError, match=r"one table has to be the core; of its tables \(README.txt\) none has"):
        read(path)


def test_the_only_table_with_names_is_taken_beside_others(tmp_path: Path) -> None:
    table = "file,species,obsid\na.jpg,Amanita muscaria,1\nb.jpg; c.jpg,Boletus edulis,2\nd.jpg,Mycena pura,2\n"
    path = write_archive(tmp_path / "a.zip", {"README.txt": README, "photos.csv": table, "a.jpg": photo_bytes()})

    records, rejections = read(path)

    assert rejections == []
    assert [(record.photo, record.scientific_name, record.observation) for record in records] == [
        ("a.jpg", "Amanita muscaria", "1"),
        ("b.jpg", "Boletus edulis", "2"),
        ("c.jpg", "Boletus edulis", "2"),
        ("d.jpg", "Mycena pura", "2"),
    ]


def test_an_archive_within_an_archive_is_refused(tmp_path: Path) -> None:
    inner = write_archive(tmp_path / "inner.zip", occurrence_files())

    with pytest.raises(ArchiveError, match=r"there is an archive 'inner.zip' within this archive"):
        read(write_archive(tmp_path / "a.zip", {"inner.zip": inner.read_bytes()}))


def test_a_row_wider_or_narrower_than_its_header_has_lost_its_columns(tmp_path: Path) -> None:
    files = occurrence_files()
    files["occurrence.txt"] = (
        "id\tocc\tname\tday\n1\turn:a\tAmanita\tmuscaria\t2024-09-30\n2\turn:b\tBoletus edulis\n"
        "3\turn:c\tRussula emetica\t2023-08-01\t\n"
    )

    records, rejections = read(write_archive(tmp_path / "a.zip", files))

    assert [record.scientific_name for record in records] == ["Russula emetica"]
    assert [(rejection.reason, rejection.line) for rejection in rejections if rejection.file == "occurrence.txt"] == [
        ("malformed-line", 2), ("malformed-line", 3),
    ]  # fmt: skip


def test_a_table_without_a_header_is_as_wide_as_most_of_its_rows(tmp_path: Path) -> None:
    files = occurrence_files()
    files["meta.xml"] = str(files["meta.xml"]).replace('ignoreHeaderLines="1"', 'ignoreHeaderLines="0"')
    files["occurrence.txt"] = "1\tu:a\tAmanita\tmuscaria\t2024\tx\n" + "".join(
        f"{key}\tu:{key}\tBoletus edulis\t2024\tx\n" for key in "34"
    )
    files["multimedia.txt"] = "3\tStillImage\ta.jpg\tCC0\tN. N.\n4\tStillImage\tb.jpg\tCC0\tN. N.\n"

    records, rejections = read(write_archive(tmp_path / "a.zip", files))

    assert [record.photo for record in records] == ["a.jpg", "b.jpg"]
    assert [(rejection.reason, rejection.line) for rejection in rejections] == [("malformed-line", 1)]


def two_publishers(tmp_path: Path, *ids: str) -> list[str]:
    files = occurrence_files()
    files["occurrence.txt"] = "id\to\tn\td\n" + "".join(
        f"{place}\t{own}\tAmanita muscaria\t2019\n" for place, own in enumerate(ids, start=5001)
    )
    files["multimedia.txt"] = "id\tt\ti\tl\tc\n" + "".join(
        f"{place}\tStillImage\t{place}.jpg\tCC0\tN.\n" for place in range(5001, 5001 + len(ids))
    )
    return [record.observation for record in read(write_archive(tmp_path / "a.zip", files))[0]]


def test_finds_are_keyed_by_the_archive_where_publishers_number_from_one(tmp_path: Path) -> None:
    assert two_publishers(tmp_path, "17", "17", "18") == ["5001", "5002", "5003"]
    assert two_publishers(tmp_path, "urn:a", "urn:b", "") == ["urn:a", "urn:b", "5003"]


def event_archive(tmp_path: Path, media: str, occurrences: str) -> Path:
    events = {DWC + name: place for place, name in enumerate(["eventID", "parentEventID", "eventDate", "countryCode"])}
    return write_archive(tmp_path / "a.zip", {
        "meta.xml": descriptor(
            section("core", EVENT, "event.txt", dict(events)),
            section("extension", OCCURRENCE, "o.txt", {
                DWC + "occurrenceID": 1, DWC + "scientificName": 2, DWC + "associatedMedia": 3, DWC + "eventDate": 4}),
            section("extension", MULTIMEDIA, "m.txt", {DC + "identifier": 1, DWC + "occurrenceID": 2}),
        ),
        "event.txt": "id\tparent\tday\tcountry\ntrip\t\t\tCH\ne1\ttrip\t2019-09-01\t\ne2\ttrip\t2019-09-02\tFR\n"
                     "e3\t\t2019-09-03\tDE\n",
        "o.txt": "event\tid\tname\tmedia\tday\n" + occurrences,
        "m.txt": "event\tphoto\toccurrence\n" + media,
    })  # fmt: skip


def test_occurrences_of_events_take_place_and_day_from_them(tmp_path: Path) -> None:
    occurrences = (
        "e1\to1\tAmanita muscaria\ta.jpg | b.jpg\t\ne1\to2\tBoletus edulis\tc.jpg\t2019-09-05\n"
        "e2\to3\tRussula emetica\t\t\ne9\to4\tMycena pura\td.jpg\t\n"
    )
    media = "e2\te.jpg\t\ne1\tf.jpg\to2\ne1\tg.jpg\t\ne9\th.jpg\t\n"

    records, rejections = read(event_archive(tmp_path, media, occurrences))

    assert sorted((r.photo, r.observation, r.scientific_name, r.event_date, r.country_code) for r in records) == [
        ("a.jpg", "o1", "Amanita muscaria", "2019-09-01", "CH"),
        ("b.jpg", "o1", "Amanita muscaria", "2019-09-01", "CH"),
        ("e.jpg", "o3", "Russula emetica", "2019-09-02", "FR"),
        ("f.jpg", "o2", "Boletus edulis", "2019-09-05", "CH"),
    ]
    assert sorted((rejection.reason, rejection.file, rejection.line) for rejection in rejections) == [
        ("ambiguous-identification", "m.txt", 4),
        ("no-photo", "event.txt", 5),
        ("orphan", "m.txt", 5),
        ("orphan", "o.txt", 5),
    ]


def test_a_photo_of_an_event_without_an_occurrence_says_so(tmp_path: Path) -> None:
    media = "trip\tz.jpg\t\ne3\ty.jpg\t\ne1\tx.jpg\t\n"

    _, rejections = read(event_archive(tmp_path, media, "e1\to1\tMycena pura\t\t\ne1\to2\tMycena rosea\t\t\n"))

    said = {rejection.photo: (rejection.reason, rejection.detail) for rejection in rejections if rejection.photo}
    assert said["z.jpg"] == (
        "orphan", "m.txt, line 2: no occurrence of event trip was read, so nothing says what this photo shows"
    )  # fmt: skip
    assert said["y.jpg"][0] == "orphan"
    assert said["x.jpg"] == (
        "ambiguous-identification",
        "m.txt, line 4: event e1 has 2 occurrences, and the row has no occurrenceID that says which one it shows",
    )


def test_photos_of_a_key_that_two_species_share_are_refused(tmp_path: Path) -> None:
    files = occurrence_files()
    files["occurrence.txt"] = str(files["occurrence.txt"]) + (
        "1\turn:x\tTricholoma scalpturatum (Fr.) Quél.\t2024-09-30\n3\turn:y\tRussula emetica\t2023-08-01\n"
    )

    records, rejections = read(write_archive(tmp_path / "a.zip", files))

    assert [record.photo for record in records] == ["photos/3.jpg"]
    refused = [rejection for rejection in rejections if rejection.reason == "ambiguous-identification"]
    assert [(rejection.photo, rejection.line) for rejection in refused] == [
        ("https://photos.example/1.jpg", 2),
        ("https://photos.example/2.jpg", 4),
    ]
    assert refused[0].detail.endswith("1 is the key of two rows, of Amanita muscaria and Tricholoma scalpturatum")
    assert [rejection.line for rejection in rejections if rejection.reason == "duplicate"] == [5, 6]


def test_an_event_that_stands_in_two_ways_gives_no_day_and_place(tmp_path: Path) -> None:
    path = event_archive(
        tmp_path, "e1\ta.jpg\to1\ne2\tb.jpg\to2\n", "e1\to1\tMycena pura\t\t\ne2\to2\tMycena alba\t\t\n"
    )
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["event.txt"] += b"e1\ttrip\t2019-10-31\tDK\ne2\ttrip\t2019-09-02\tFR\n"

    records, rejections = read(write_archive(path, files))

    assert sorted((r.photo, r.event_date, r.country_code) for r in records) == [
        ("a.jpg", "", ""),
        ("b.jpg", "2019-09-02", "FR"),
    ]
    said = {rejection.line: rejection.detail for rejection in rejections if rejection.reason == "duplicate"}
    assert said[6].endswith("with another day or place: neither is taken")
    assert said[7].endswith("has been there before")


def test_photos_of_an_occurrence_id_that_two_species_share_are_refused_in_event_archives(tmp_path: Path) -> None:
    occurrences = "e1\to1\tMycena pura\t\t\ne2\to1\tRussula emetica\t\t\ne2\to2\tAmanita citrina\t\t\n"

    records, rejections = read(event_archive(tmp_path, "e1\ta.jpg\to1\ne2\tb.jpg\to2\n", occurrences))

    assert [record.photo for record in records] == ["b.jpg"]
    assert ("ambiguous-identification", "a.jpg") in {(one.reason, one.photo) for one in rejections}


def test_cores_of_other_things_are_refused(tmp_path: Path) -> None:
    measured = section("core", "http://rs.iobis.org/obis/terms/ExtendedMeasurementOrFact", "m.txt", {DWC + "day": 1})
    path = write_archive(tmp_path / "a.zip", {"meta.xml": descriptor(measured), "m.txt": "id\tday\n1\t2\n"})

    with pytest.raises(ArchiveError, match="the core is of extendedmeasurementorfact"):
        read(path)


@pytest.mark.parametrize(
    ("text", "photos"),
    [
        ("a.jpg | b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg; b.jpg;", ["a.jpg", "b.jpg"]),
        ("a.jpg,b.PNG", ["a.jpg", "b.PNG"]),
        ("https://x.org/a.jpg https://x.org/b.jpg", ["https://x.org/a.jpg", "https://x.org/b.jpg"]),
        ("https://x.org/a;https://x.org/b?c=1,2", ["https://x.org/a", "https://x.org/b?c=1,2"]),
        ("https://x.org/a.jpg?x=1;y=2", ["https://x.org/a.jpg?x=1;y=2"]),
        ("my photo, the best.jpg", ["my photo, the best.jpg"]),
        ("", []),
    ],
)
def test_a_cell_may_name_several_photos(text: str, photos: list[str]) -> None:
    assert split_photos(text) == photos


def test_the_text_of_a_repeated_column_is_taken_from_whichever_has_one(tmp_path: Path) -> None:
    files = occurrence_files()
    old = "http://purl.org/dc/elements/1.1/"
    terms = {
        old + "type": 1,
        DC + "type": 2,
        old + "creator": 3,
        DC + "creator": 4,
        DC + "identifier": 5,
        DC + "license": 6,
    }
    files["meta.xml"] = descriptor(
        section("core", OCCURRENCE, "occurrence.txt", {DWC + "occurrenceID": 1, DWC + "scientificName": 2}),
        section("extension", MULTIMEDIA, "multimedia.txt", dict(terms)),
    )
    files["multimedia.txt"] = (
        "id\tt1\tt2\tc1\tc2\ti\tl\n1\t\tStillImage\tA. Adams\thttps://orcid.org/1\ta.jpg\tCC0\n"
        "2\tStillImage\t\t\tB. Brown\tb.jpg\tCC0\n3\t\t\thttps://orcid.org/3\tC. Clark\tc.jpg\tCC0\n"
    )

    records, _ = read(write_archive(tmp_path / "a.zip", files))

    assert [(record.media_type, record.creator) for record in records] == [
        ("StillImage", "A. Adams"), ("StillImage", "B. Brown"), ("", "C. Clark"),
    ]  # fmt: skip


EXPORT = (
    "id,uuid,observed_on,user_login,user_name,quality_grade,license,url,image_url,captive_cultivated,latitude,longitude,"
    "positional_accuracy,private_latitude,public_positional_accuracy,coordinates_obscured,scientific_name,common_name,"
    "iconic_taxon_name,taxon_id\n"
    "1,u1,2023-10-01,anna_a,Anna Adams,research,CC-BY,https://i.org/observations/1,https://p.org/1/medium.jpg,false,46.9,"
    "7.4,12,,28000,true,Amanita muscaria,Fly agaric,Fungi,48715\n"
    "2,u2,2023-10-02,bert_b,,needs_id,CC-BY,https://i.org/observations/2,https://p.org/2/medium.jpg,true,46.9,"
    "7.4,12,45.1,,true,Turdus merula,Blackbird,Aves,12716\n"
)


def test_an_export_of_inaturalist_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "observations-1.csv").write_text(EXPORT)

    records, rejections = read(tmp_path / "observations-1.csv")
    told, _ = read(tmp_path / "observations-1.csv", columns=(("licence", "license"),))

    assert rejections == []
    first, second = records
    assert (first.photo, first.references) == ("https://p.org/1/medium.jpg", "https://i.org/observations/1")
    assert (first.creator, second.creator) == ("Anna Adams", "bert_b")
    assert (first.coordinate_uncertainty, second.coordinate_uncertainty) == ("28000", "31400")
    assert (first.kingdom, second.kingdom, second.verification_status) == ("Fungi", "Aves", "needs_id")
    assert (first.establishment_means, second.establishment_means) == ("", "captive")
    assert (first.observation, first.taxon_key) == ("u1", "")
    assert (first.licence, told[0].licence) == ("", "CC-BY"), "the export has the licence of the observation only"


def test_an_export_with_a_column_of_the_photos_licence_is_read_by_it(tmp_path: Path) -> None:
    for header in ("photo_license", "photo_license_code", "photos.0.license_code", "Image licence"):
        first, second, _ = EXPORT.replace("taxon_id\n", f"taxon_id,{header}\n").splitlines()
        (tmp_path / "observations-1.csv").write_text(f"{first}\n{second},cc-by-sa\n")
        records, rejections = read(tmp_path / "observations-1.csv")
        assert [record.licence for record in records] == ["cc-by-sa"], header
        assert rejections == []


def test_a_photo_of_an_export_without_licence_says_what_there_is_beside(tmp_path: Path) -> None:
    reserved = EXPORT.replace("https://p.org/2/", "https://static.inaturalist.org/photos/2/")
    (tmp_path / "observations-1.csv").write_text(reserved)

    records, _ = read(tmp_path / "observations-1.csv")
    missing, kept = (curate(replace(record, kingdom="Fungi", verification_status="research", establishment_means=""),
                            POLICY, KnownNames()) for record in records)  # fmt: skip

    assert isinstance(missing, RejectedRecord)
    assert isinstance(kept, RejectedRecord)
    assert (missing.reason, kept.reason) == ("licence-missing", "licence-reserved")
    assert missing.detail == (
        "no licence is given for the photo; beside it stands CC-BY, of the observation and not of its photos"
    )


def test_file_names_in_composed_and_decomposed_letters_are_the_same(tmp_path: Path) -> None:
    name = "Jørgen å é.jpg"
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    for written, asked in ((composed, decomposed), (decomposed, composed)):
        folder = tmp_path / str(len(written))
        write_photos(folder, written)
        found = locate(Record(asked), ArchiveSource("csv", folder / "t.csv"))
        assert found == LocalPhoto((folder / written).resolve())


@pytest.mark.parametrize("flagged", [True, False], ids=["utf-8", "utf-8 that the zip does not declare"])
def test_photos_in_a_zip_are_found_in_any_spelling(tmp_path: Path, flagged: bool) -> None:
    path = tmp_path / "a.zip"
    stored = unicodedata.normalize("NFD", "bilder/é.jpg")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(stored if flagged else "bilder/e??.jpg", photo_bytes())
        archive.writestr("occurrence.txt", "id\tscientificName\n1\tBoletus edulis\n")
    if not flagged:  # as some packers do: the bytes of UTF-8, and no word of it
        path.write_bytes(path.read_bytes().replace(b"bilder/e??.jpg", stored.encode()))
    source = ArchiveSource("dwca", path)

    found = locate(Record("bilder\\É.jpg".lower()), source)

    assert isinstance(found, MemberPhoto)
    with PhotoStore(tmp_path / "store") as store:
        assert read_member(store.archive(path), found.member) == photo_bytes()
        assert not hasattr(open_photo(Record("bilder/é.jpg"), source, store), "reason")


def test_a_second_column_of_the_licence_can_contradict_the_first(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "photo,species,creator,licence,licence,dc:license\n"
        "a.jpg,Mycena pura,A. Bell,CC0,,\n"
        "b.jpg,Mycena pura,A. Bell,,CC BY 4.0,\n"
        "c.jpg,Mycena pura,A. Bell,CC BY 4.0,,CC BY-NC 4.0\n"
        "d.jpg,Mycena pura,A. Bell,CC BY 4.0,CC BY 4.0,http://creativecommons.org/licenses/by/4.0/\n"
    )

    records, _ = read(tmp_path / "t.csv", "csv")
    curated = [curate(record, POLICY, KnownNames()) for record in records]

    said = [getattr(one, "licence", None) or getattr(one, "reason", "") for one in curated]
    assert said == ["CC0-1.0", "CC-BY-4.0", "licence-unknown", "CC-BY-4.0"]


def test_a_nul_in_a_cell_makes_no_binary_file_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("photo,species,habitat\na.jpg,Mycena pura,be\0ech\nb.jpg,Mycena rosea,oak\n")

    records, rejections = read(tmp_path / "t.csv")

    assert [record.photo for record in records] == ["a.jpg", "b.jpg"]
    assert rejections == []


@pytest.mark.parametrize("core", ["taxon", "occurrence"])
def test_media_beside_a_core_are_joined_without_a_descriptor_and_other_tables_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, core: str
) -> None:
    key = "taxonID" if core == "taxon" else "occurrenceID"
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / f"{core}.txt").write_text(f"{key}\tscientificName\n1\tMycena pura\n2\tMycena rosea\n")
    (folder / "multimedia.txt").write_text(f"{key}\tidentifier\n2\ta.jpg\n")
    (folder / "measurements.txt").write_text(f"{key}\tlength\n2\t4 cm\n")

    records, rejections = read(folder)

    assert [(record.photo, record.scientific_name) for record in records] == [("a.jpg", "Mycena rosea")]
    assert [rejection.reason for rejection in rejections] == ["no-photo"]
    assert caplog.messages == ["a: nothing is read from measurements.txt: there is no meta.xml"]
