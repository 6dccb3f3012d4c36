from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from database.models import Dataset, Observation, Photo, Taxon
from database.session import open_database, upgrade
from indexer.photos.photo_store import PhotoStore
from retrieval.errors import SettingsError, UnknownModel, UnknownPhoto
from settings import Settings
from tests.retrieval.photos.oddities import save, scene
from tests.snapshots import make_snapshot
from web.application import create_app
from web.mail import Mailer
from web.services import make_mailer, make_services

LOOSE, STORED = save(scene()), save(scene(200, 300))


def digest(photo: bytes) -> str:
    return hashlib.sha256(photo).hexdigest()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation with one photo that lies in a folder of its owner, and one in the store."""
    settings = Settings(data=tmp_path / "data", flora_indexes=tmp_path / "flora_indexes", max_photos=2)
    (tmp_path / "loose.jpg").write_bytes(LOOSE)
    PhotoStore(settings.data / "photos").put(STORED)
    upgrade(settings.database_url)
    with open_database(settings.database_url) as database, database.writing() as session:
        taxon = Taxon(scientific_name="Amanita muscaria", taxon_rank="species")
        session.add_all([taxon, Dataset(id="made", title="Made")])
        session.flush()
        observation = Observation(dataset_id="made", observation_key="1", taxon_id=taxon.id)
        session.add(observation)
        session.flush()
        for photo, location in ((LOOSE, str(tmp_path / "loose.jpg")), (STORED, f"store:{digest(STORED)}")):
            session.add(
                Photo(
                    sha256=digest(photo),
                    observation_id=observation.id,
                    dataset_id="made",
                    record_key=location,
                    location=location,
                    byte_count=len(photo),
                    width=1,
                    height=1,
                    media_format="JPEG",
                )
            )
    return settings


def test_reference_photos_are_read_from_where_the_catalogue_says_that_they_lie(settings: Settings) -> None:
    source = make_services(settings).photos

    assert source.read(digest(LOOSE)) == LOOSE
    assert source.read(digest(STORED)) == STORED


def test_a_photo_that_is_gone_changed_or_unknown_is_refused(settings: Settings, tmp_path: Path) -> None:
    source = make_services(settings).photos

    (tmp_path / "loose.jpg").write_bytes(STORED)  # another picture in its place
    PhotoStore(settings.data / "photos").path(digest(STORED)).unlink()

    with pytest.raises(UnknownPhoto, match="has been changed"):
        source.read(digest(LOOSE))
    with pytest.raises(UnknownPhoto, match="not where it was"):
        source.read(digest(STORED))
    with pytest.raises(UnknownPhoto, match="no reference photo"):
        source.read("0" * 64)


def test_the_limits_are_those_of_the_settings(settings: Settings) -> None:
    limits = make_services(settings).limits

    assert (limits.photos, limits.bytes, limits.pixels) == (2, 20_000_000, 64_000_000)


def test_putting_the_services_together_opens_and_makes_nothing(tmp_path: Path) -> None:
    make_services(Settings(data=tmp_path / "data", flora_indexes=tmp_path / "none", model="onnx:/nowhere"))

    assert not list(tmp_path.iterdir())


def test_a_model_that_is_missing_is_told_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = make_snapshot(tmp_path / "flora_indexes")
    client = create_app(make_services(Settings(flora_indexes=made.root, model="onnx:/nowhere.onnx"))).test_client()

    answer = client.get("/api/v1/floras")

    assert answer.status_code == 503
    assert answer.get_json()["type"] == "/api/v1/docs#model-unavailable"
    assert "/nowhere.onnx" in caplog.text
    assert "/nowhere.onnx" not in answer.get_json()["detail"]
    assert UnknownModel.__name__ not in answer.get_json()["detail"]


def test_a_database_that_is_missing_spoils_the_pictures_and_nothing_else(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path / "flora_indexes")
    client = create_app(make_services(Settings(tmp_path / "data", made.root, model="descriptor"))).test_client()

    picture = client.get(f"/api/v1/photos/{made.entries[0].photo}")

    assert (picture.status_code, picture.get_json()["type"]) == (503, "/api/v1/docs#database-unavailable")
    assert client.get("/api/v1/floras").status_code == 200


@pytest.mark.parametrize("missing", ["mail_sender", "public_url"])
def test_a_mail_server_needs_a_sender_and_the_address_that_links_lead_to(missing: str) -> None:
    whole = Settings(smtp="smtps://mail.example.org", mail_sender="a@example.org", public_url="https://fungi.example")

    assert make_mailer(whole) == Mailer("smtps", "mail.example.org", 465, "a@example.org")
    assert make_mailer(Settings()) is None
    with pytest.raises(SettingsError, match=missing.upper()):
        make_mailer(replace(whole, mail_sender="") if missing == "mail_sender" else replace(whole, public_url=""))
