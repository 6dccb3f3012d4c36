from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from indexer.photos.finding import (
    FoundPhoto,
    LocalPhoto,
    MemberPhoto,
    PhotoStore,
    RemotePhoto,
    inspect_photo,
    locate,
    open_photo,
)
from indexer.photos.photo_facts import is_whole
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import PhotoTooLarge, UnreadablePhoto, UnsupportedPhoto
from retrieval.photos.views import PhotoLimits, decode_view
from tests.indexer.archives.samples import occurrence_files, photo_bytes, write_archive, write_folder, write_photos


def record(photo: str) -> Record:
    return Record(photo=photo, file="photos.csv", line=7)


def reason(item: object) -> str:
    assert isinstance(item, RejectedRecord), item
    assert (item.file, item.line) == ("photos.csv", 7)
    assert item.detail
    return item.reason


def test_the_store_keeps_the_same_bytes_once_under_their_digest(tmp_path: Path) -> None:
    store = PhotoStore(tmp_path / "photos")

    first, second = store.put(photo_bytes()), store.put(photo_bytes())

    assert first == second == hashlib.sha256(photo_bytes()).hexdigest()
    assert store.path(first).read_bytes() == photo_bytes()
    assert len([path for path in store.folder.rglob("*") if path.is_file()]) == 1


def test_the_store_recalls_an_address_only_while_its_photo_is_there(tmp_path: Path) -> None:
    store = PhotoStore(tmp_path)
    sha256 = store.put(photo_bytes())
    store.remember("https://photos.example/1.jpg", sha256)

    assert store.recall("https://photos.example/1.jpg") == sha256
    assert store.recall("https://photos.example/2.jpg") is None
    store.path(sha256).unlink()
    assert store.recall("https://photos.example/1.jpg") is None


def test_a_photo_is_found_below_its_folder_and_nowhere_else(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    write_photos(tmp_path, "inside/a b/1.jpg", "outside.jpg")
    (inside / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    source = ArchiveSource("csv", inside / "photos.csv")

    assert locate(record("a b/1.jpg"), source) == LocalPhoto(inside / "a b" / "1.jpg")
    assert locate(record("a b\\1.jpg"), source) == LocalPhoto(inside / "a b" / "1.jpg")
    assert locate(record("./a b/../a b/1.jpg"), source) == LocalPhoto(inside / "a b" / "1.jpg")
    assert locate(record(str(inside / "a b/1.jpg")), source) == LocalPhoto(inside / "a b" / "1.jpg")
    for outside in ("../outside.jpg", str(tmp_path / "outside.jpg"), "link.jpg", "/etc/passwd"):
        assert reason(locate(record(outside), source)) == "outside-folder"
    assert reason(locate(record("none.jpg"), source)) == "photo-missing"
    assert reason(locate(record(" "), source)) == "no-photo"


def test_only_web_addresses_are_addresses(tmp_path: Path) -> None:
    source = ArchiveSource("csv", tmp_path)

    assert locate(record("https://photos.example/1.jpg"), source) == RemotePhoto("https://photos.example/1.jpg")
    for address in (
        "ftp://photos.example/1.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AA",
        "http:///a",
        "https://[::",
    ):
        assert reason(locate(record(address), source)) == "bad-address"


def test_photos_fetched_by_other_means_are_found_by_their_address(tmp_path: Path) -> None:
    write_photos(tmp_path, "photos.example/x/1.jpg", "y/2.jpg", "3.jpg")
    source = ArchiveSource("dwca", tmp_path / "a.zip", photos=tmp_path)

    assert locate(record("https://photos.example/x/1.jpg?size=large"), source) == LocalPhoto(
        tmp_path / "photos.example/x/1.jpg"
    )
    assert locate(record("https://photos.example/y/2.jpg"), source) == LocalPhoto(tmp_path / "y/2.jpg")
    elsewhere = "https://photos.example/z/3.jpg"  # of the same name, and of another photo
    assert locate(record(elsewhere), source) == RemotePhoto(elsewhere)
    upward = "https://photos.example/..%2f3.jpg"
    assert locate(record(upward), ArchiveSource("dwca", source.path, photos=tmp_path / "y")) == RemotePhoto(upward)


@pytest.mark.parametrize("prefix", ["", "inner/"])
def test_a_photo_within_an_archive_is_kept_in_the_store(tmp_path: Path, prefix: str) -> None:
    files = {
        f"{prefix}{name}": content for name, content in (occurrence_files() | {"photos/3.jpg": photo_bytes()}).items()
    }
    source = ArchiveSource("dwca", write_archive(tmp_path / "a.zip", files))

    with PhotoStore(tmp_path / "photos") as store:
        found = open_photo(record("photos/3.jpg"), source, store)
        missing = open_photo(record("photos/4.jpg"), source, store)
        outside = open_photo(record("../3.jpg"), source, store)

    assert locate(record("photos/3.jpg"), source) == MemberPhoto(source.path, "photos/3.jpg")
    assert isinstance(found, FoundPhoto)
    assert found.location == f"store:{found.facts.sha256}"
    assert found.path.read_bytes() == photo_bytes()
    assert (reason(missing), reason(outside)) == ("photo-missing", "outside-folder")


def test_a_photo_in_a_folder_stays_where_it_is(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg")
    store = PhotoStore(tmp_path / "photos")

    found = open_photo(record("a.jpg"), ArchiveSource("csv", tmp_path / "photos.csv"), store)

    assert isinstance(found, FoundPhoto)
    assert found.location == str(tmp_path / "a.jpg")
    assert found.modified == (tmp_path / "a.jpg").stat().st_mtime
    assert not store.folder.exists()


def test_nothing_is_fetched_unless_it_is_asked_for(tmp_path: Path) -> None:
    found = open_photo(record("https://photos.example/1.jpg"), ArchiveSource("csv", tmp_path), PhotoStore(tmp_path))

    assert reason(found) == "not-fetched"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not-an-image"),
        (b"<html>", "not-an-image"),
        (b"GIF89a" + bytes(60), "not-an-image"),
        (photo_bytes()[:-30], "unreadable"),
        (photo_bytes(kind="PNG")[:-30], "unreadable"),
        (photo_bytes(kind="WEBP")[:-10], "unreadable"),
        (photo_bytes()[:12], "unreadable"),
    ],
)
def test_files_that_are_no_whole_photos_are_left_out(tmp_path: Path, content: str | bytes, expected: object) -> None:
    write_folder(tmp_path, {"a.jpg": content})

    found = open_photo(record("a.jpg"), ArchiveSource("csv", tmp_path / "photos.csv"), PhotoStore(tmp_path / "photos"))

    assert reason(found) == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_facts_are_those_of_the_file_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    photo = photo_bytes(kind=kind, side=40)
    write_folder(tmp_path, {"a.jpg": photo})

    facts = inspect_photo(tmp_path / "a.jpg")

    assert facts == inspect_photo(photo)
    assert (facts.media_format, facts.width, facts.height, facts.byte_count) == (kind, 40, 40, len(photo))
    assert facts.sha256 == hashlib.sha256(photo).hexdigest()


def test_sizes_beyond_the_limits_are_refused_before_reading(tmp_path: Path) -> None:
    photo = photo_bytes(side=100)
    write_folder(tmp_path, {"a.jpg": photo})

    with pytest.raises(PhotoTooLarge):
        inspect_photo(tmp_path / "a.jpg", PhotoLimits(bytes=len(photo) - 1))
    with pytest.raises(PhotoTooLarge):
        inspect_photo(photo, PhotoLimits(pixels=9_999))
    with pytest.raises(UnsupportedPhoto):
        inspect_photo(b"no photo at all")


def jpeg_with_thumbnail() -> bytes:
    """A JPEG that carries another, whole one in a segment before its own picture."""
    thumbnail = photo_bytes(side=16)
    photo = photo_bytes(side=64)
    segment = b"\xff\xe2" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    return photo[:2] + segment + photo[2:]


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo() -> None:
    photo = jpeg_with_thumbnail()

    assert inspect_photo(photo).width == 64
    with pytest.raises(UnreadablePhoto, match="breaks off"):
        inspect_photo(photo[:-20])


def test_what_cameras_append_to_a_photo_does_not_matter() -> None:
    assert is_whole(photo_bytes() + b"appended by a camera" * 9999, "JPEG")
    assert is_whole(photo_bytes(kind="PNG") + bytes(99), "PNG")


def test_a_progressive_photo_is_whole_only_with_its_end() -> None:
    drawn = io.BytesIO()
    Image.effect_noise((80, 80), 60).save(drawn, "JPEG", progressive=True)

    assert is_whole(drawn.getvalue(), "JPEG")
    assert not any(is_whole(drawn.getvalue()[:-cut], "JPEG") for cut in range(1, 400, 7))


def test_real_photos_are_told_from_the_one_that_breaks_off(shared: Path) -> None:
    folder = shared / "samples" / "images"
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})

    broken = []
    for photo in photos:
        try:
            inspect_photo(photo)
        except UnreadablePhoto:
            broken.append(photo.name)

    assert len(photos) == 11
    assert broken == ["african_elephants_truncated_file.jpg"]


def test_every_real_reference_photo_passes(shared: Path) -> None:
    folder = shared / "photos" / "reference"

    facts = [inspect_photo(path) for path in sorted(folder.rglob("*.*")) if path.is_file()]

    assert len(facts) == 527
    assert all(fact.width and fact.height and fact.media_format == "JPEG" for fact in facts)


def test_a_stranger_to_paths_is_no_path(tmp_path: Path) -> None:
    assert reason(locate(record("a\0b.jpg"), ArchiveSource("csv", Path(tmp_path)))) == "bad-address"
    assert reason(locate(record("a" * 5000), ArchiveSource("csv", Path(tmp_path)))) in ("photo-missing", "bad-address")


def test_what_the_identifying_decoder_reads_can_be_imported() -> None:
    photo = photo_bytes(side=64)
    stray = photo[:2] + b"\x00\x13" + photo[2:]  # between two segments, as some editors leave them
    padded = photo[:20] + b"\xff\xff" + photo[20:]

    read_by_decoder = []
    for damaged in (stray, padded, photo[:-2], photo + bytes(3)):
        try:
            decode_view(damaged, 32)
        except UnreadablePhoto:
            with pytest.raises(UnreadablePhoto):
                inspect_photo(damaged)
        else:
            read_by_decoder.append(inspect_photo(damaged).width)

    assert read_by_decoder
    assert set(read_by_decoder) == {64}
