"""An archive that lies ready for download shows nothing that was hidden or removed after it was written."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from database.accounts.people import change_person, person_by_login
from database.exporting.archive import writing
from database.field.records import observation_by_key
from fungarium.cli import main
from tests.circle import Installation, installation
from tests.snapshots import EMETICA, MUSCARIA, draw_photo
from tests.test_export import SPOT, export
from tests.web.conftest import encode_photos

__all__ = ["installation"]

LIST = "/api/v1/exports/"


class Downloads:
    """An archive as visitors get it."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def fetch(self, name: str = "fungi.zip") -> bytes:
        """The bytes of an archive, or empty if there is none; the status is kept."""
        with self.client.get(LIST + name) as answer:
            self.status = answer.status_code
            return answer.data if self.status == 200 else b""

    def tables(self) -> dict[str, list[dict[str, str]]]:
        with zipfile.ZipFile(io.BytesIO(self.fetch())) as archive:
            assert archive.testzip() is None
            self.packed = {name for name in archive.namelist() if name.startswith("photos/")}
            self.days = [one.text for one in ET.fromstring(archive.read("eml.xml")).iter("calendarDate")]
            return {
                name: list(csv.DictReader(io.StringIO(archive.read(name).decode()), delimiter="\t", quoting=3))
                for name in archive.namelist()
                if name.endswith(".txt")
            }

    def record(self, body: dict[str, Any]) -> dict[str, str]:
        """The row of an observation; an empty one if there is none."""
        rows = [row for row in self.tables()["occurrence.txt"] if row["catalogNumber"] == body["id"]]
        return rows[0] if rows else {}

    def has_word(self, word: str) -> bool:
        return word in json.dumps(self.tables())


@pytest.fixture
def ready(installation: Installation) -> tuple[Installation, Downloads, list[dict[str, Any]]]:
    """An archive with packed photos of three observations: of Olga, of Omar, and of another species."""
    made = [
        installation.approved([draw_photo(EMETICA, 80), draw_photo(EMETICA, 81)], habitat="Olga's garden", **SPOT),
        installation.approved([draw_photo(EMETICA, 82)], login="omar", eventDate="2026-04-01", **SPOT),
        installation.approved([draw_photo(MUSCARIA, 83)], "Amanita muscaria", licence="CC-BY-NC-4.0", **SPOT),
    ]
    assert export(installation.settings.data / "exports" / "fungi.zip", "--pack-photos") == 0
    return installation, Downloads(installation.client()), made


def test_what_is_hidden_or_removed_leaves_the_archive_before_the_next_download(
    ready: tuple[Installation, Downloads, list[dict[str, Any]]],
) -> None:
    installation, downloads, (first, second, third) = ready
    client, olga, omar = installation.client(), installation.keys["olga"], installation.keys["omar"]
    path = installation.settings.data / "exports" / "fungi.zip"

    def change(body: dict[str, Any], login: str, **values: Any) -> None:
        version = client.get(body["url"], headers=installation.keys[login]).get_json()["version"]
        sent = client.patch(body["url"], json=values | {"version": version}, headers=installation.keys[login])
        assert sent.status_code == 200, sent.get_json()

    assert [downloads.record(one)["decimalLatitude"] for one in (first, second, third)] == ["55.676098"] * 3

    change(first, "olga", obscured=True)
    assert downloads.record(first)["decimalLatitude"] == "55.7"
    assert downloads.record(second)["decimalLatitude"] == "55.676098"

    change(first, "olga", habitat=None)
    assert not downloads.has_word("garden")

    gone, left = (photo["sha256"] for photo in first["photos"])
    client.delete(f"{first['url']}/photos/{gone}", headers=olga)
    assert not downloads.has_word(gone)
    assert f"photos/{gone}.jpg" not in downloads.packed
    assert f"photos/{left}.jpg" in downloads.packed

    assert main(["observations", "obscure", "add", "Amanita muscaria"]) == 0
    assert downloads.record(third)["decimalLatitude"] == "55.7"

    client.patch("/api/v1/people/me", json={"obscures": True}, headers=omar)
    with installation.database.writing() as session:
        change_person(session, person_by_login(session, "omar").id, name="Somebody")
    assert not downloads.has_word("Omar")
    assert downloads.has_word("Somebody")

    change(third, "olga", licence="all-rights-reserved")
    assert downloads.record(third) == {}

    assert "2026-04-01" in downloads.days
    client.delete(second["url"], headers=omar)
    assert downloads.record(second) == {}
    assert downloads.days == ["2026-05-03"] * 2
    assert len(downloads.packed) == 1
    notes = json.loads(path.with_name("fungi.zip.json").read_bytes())
    assert set(notes["deleted"]) == {f"urn:uuid:{one['id']}" for one in (second, third)}

    client.delete(f"{first['url']}/approval", headers=installation.keys["erna"])
    assert client.get(LIST).get_json()["exports"] == []
    assert (downloads.fetch(), downloads.status) == (b"", 404)
    assert not path.exists()


def test_an_archive_is_written_again_only_if_it_shows_something_else(
    ready: tuple[Installation, Downloads, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """New observations wait for the next export; archives by others are left alone; so are those being written."""
    installation, downloads, (first, second, _) = ready
    path, client = installation.settings.data / "exports" / "fungi.zip", installation.client()
    notes = path.with_name("fungi.zip.json")
    before = path.read_bytes()
    with zipfile.ZipFile(path.with_name("other.zip"), "w") as other:
        other.writestr("occurrence.txt", "id\tscientificName\nurn:uuid:1\tBoletus edulis\n")
    foreign = path.with_name("other.zip").read_bytes()

    installation.approved([draw_photo(EMETICA, 84)])
    assert downloads.fetch() == before
    assert downloads.fetch("other.zip") == foreign

    leftover = path.with_name(".fungi.zip-killed")
    leftover.mkdir()
    client.delete(first["url"], headers=installation.keys["olga"])
    with writing(path, wait=False):
        leftover.mkdir()
        assert (downloads.fetch(), downloads.status) == (b"", 503)
    assert downloads.record(first) == {}
    assert not leftover.exists()
    assert export(path, "--pack-photos") == 0
    assert len(downloads.tables()["occurrence.txt"]) == 3

    kept = json.loads(notes.read_bytes())
    notes.write_text(json.dumps({name: kept[name] for name in ("format", "archive", "records", "deleted")}))
    change = {"obscured": True, "version": second["version"]}
    client.patch(second["url"], json=change, headers=installation.keys["omar"])
    with installation.database.writing() as session:  # later than the archive, which tells seconds only
        observation_by_key(session, second["id"]).modified += timedelta(seconds=2)
    assert downloads.record(second) == {}  # of an archive that does not say how it was made, what has changed is lost

    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("identification.txt")
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 90] ^= 255
    path.write_bytes(content)
    assert (downloads.fetch(), downloads.status) == (b"", 503)  # what cannot be checked is not given out


def test_a_removed_photo_leaves_answers_old_and_new_at_once(installation: Installation) -> None:
    """It is a reference until the next night's run otherwise, and share links would name its author for months."""
    photo, client = draw_photo(EMETICA, 85), installation.client()
    body = installation.approved([photo])
    (sha256,) = (one["sha256"] for one in body["photos"])
    assert main(["observations", "adopt"]) == 0
    picture = client.get(f"/api/v1/photos/{sha256}")
    assert "private" in picture.headers["Cache-Control"]  # no cache on the way shows it after it is removed
    assert "immutable" not in picture.headers["Cache-Control"]
    link = client.post("/", **encode_photos([photo], keep="true")).headers["Location"]
    assert sha256 in client.get(link).text
    assert sha256 in installation.evidence(photo)

    client.delete(body["url"], headers=installation.keys["olga"])

    assert sha256 not in client.get(link).text
    assert "Russula emetica" in client.get(link).text
    assert sha256 not in installation.evidence(photo)
    assert len(installation.evidence(photo)) > 1
