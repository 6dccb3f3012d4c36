"""Embedding photos: each once, whatever the state of its file, and resumable."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.embedding.embed import BATCH, PhotoToEmbed, embed_photos
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.errors import BuildError, ModelError
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, View, unit_rows
from retrieval.photos.crops import AUGMENTATIONS, decode_crops
from retrieval.photos.views import RULE, PhotoLimits, decode_view
from tests.progress import Recorder


def draw(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def to_embed(photo: bytes, read: Callable[[], bytes] | None = None) -> PhotoToEmbed:
    return PhotoToEmbed(hashlib.sha256(photo).hexdigest(), read or (lambda: photo))


class CountingDescriptor(Descriptor):
    """The descriptor, which also says how many views it was given."""

    views = 0

    def embed(self, views: Sequence[View]) -> Embeddings:
        self.views += len(views)
        return super().embed(views)


class Particular(Descriptor):
    """The descriptor, which finds nothing in black pictures, as a network may."""

    def embed(self, views: Sequence[View]) -> Embeddings:
        if any(not view.pixels.any() for view in views):
            raise ModelError("an embedding has no direction")
        return super().embed(views)


def draw_black() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (40, 50)).save(written, "PNG")
    return written.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddingStore]:
    with EmbeddingStore(tmp_path, "descriptor@1") as opened:
        yield opened


def test_every_photo_gets_the_embedding_it_has_alone(store: EmbeddingStore) -> None:
    photos = [draw(seed) for seed in range(2 * BATCH + 5)]

    report = embed_photos([to_embed(photo) for photo in photos], store, Descriptor())

    assert (report.embedded, report.already, report.failed) == (len(photos), 0, 0)
    for photo in photos[:: BATCH // 2]:
        alone = Descriptor().embed([decode_view(photo, Descriptor.short_side)])
        stored = store.read([hashlib.sha256(photo).hexdigest()])
        np.testing.assert_allclose(stored, alone, atol=1e-3)  # float16


def test_a_second_run_does_no_work_twice(store: EmbeddingStore) -> None:
    photos = [to_embed(draw(seed)) for seed in range(10)]
    embed_photos(photos[:6], store, Descriptor())
    embedder = CountingDescriptor()

    report = embed_photos(photos, store, embedder)

    assert (report.embedded, report.already, report.failed) == (4, 6, 0)
    assert embedder.views == 4


def test_what_was_embedded_before_an_interruption_is_kept(store: EmbeddingStore) -> None:
    def interrupt() -> bytes:
        raise KeyboardInterrupt

    photos = [to_embed(draw(seed)) for seed in range(8 * BATCH)]
    photos[5 * BATCH] = PhotoToEmbed("interrupting", interrupt)

    with pytest.raises(KeyboardInterrupt):
        embed_photos(photos, store, Descriptor())

    assert len(store) == 5 * BATCH


def test_a_bad_photo_is_remembered_with_its_reason_and_stops_nobody(store: EmbeddingStore, tmp_path: Path) -> None:
    good, damaged, gone = draw(1), draw(2)[:200], tmp_path / "gone.jpg"

    report = embed_photos(
        [to_embed(damaged), PhotoToEmbed("f" * 64, gone.read_bytes), to_embed(good)], store, Descriptor()
    )

    assert (report.embedded, report.failed) == (1, 2)
    assert list(store.failures()) == [hashlib.sha256(damaged).hexdigest()]
    assert "cut short" in store.failures()[hashlib.sha256(damaged).hexdigest()]
    assert report.unread == (("f" * 64, f"{gone} cannot be read: No such file or directory"),)


def test_a_file_that_was_away_is_embedded_when_it_is_back(store: EmbeddingStore, tmp_path: Path) -> None:
    photo, file = draw(1), tmp_path / "away.png"
    away = PhotoToEmbed(hashlib.sha256(photo).hexdigest(), file.read_bytes)
    embed_photos([away], store, Descriptor())

    file.write_bytes(photo)
    report = embed_photos([away], store, Descriptor())

    assert (report.embedded, report.already, report.failed) == (1, 0, 0)


def test_a_photo_in_which_the_model_finds_nothing_stops_nobody(store: EmbeddingStore) -> None:
    good, black = [draw(1), draw(2)], draw_black()

    report = embed_photos([to_embed(photo) for photo in (good[0], black, good[1])], store, Particular())

    assert (report.embedded, report.failed) == (2, 1)
    assert store.failures() == {hashlib.sha256(black).hexdigest(): "an embedding has no direction"}
    digests = [hashlib.sha256(photo).hexdigest() for photo in good]
    alone = Descriptor().embed([decode_view(photo, Descriptor().short_side) for photo in good])
    np.testing.assert_allclose(store.read(digests), alone, atol=1e-3)


def test_a_model_that_has_never_embedded_anything_is_at_fault_and_no_photo_is(store: EmbeddingStore) -> None:
    for photos in ([draw_black()], [draw_black(), draw_black() + b"."]):
        with pytest.raises(ModelError, match="no direction"):
            embed_photos([to_embed(photo) for photo in photos], store, Particular())

    assert store.failures() == {}

    embed_photos([to_embed(draw(1))], store, Particular())
    again = embed_photos([to_embed(draw(1)), to_embed(draw_black())], store, Particular())

    assert (again.already, again.failed) == (1, 1)


def test_a_failed_photo_is_tried_again_only_when_asked(store: EmbeddingStore) -> None:
    damaged = to_embed(b"\xff\xd8\xff no photo")
    embed_photos([damaged], store, Descriptor())

    again = embed_photos([damaged], store, Descriptor())
    forgotten = store.forget_failures()
    retried = embed_photos([damaged], store, Descriptor())

    assert (again.already, again.failed, forgotten) == (1, 0, 1)
    assert (retried.already, retried.failed) == (0, 1)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_a_row_is_the_direction_of_the_mean_of_the_crops(store: EmbeddingStore, augmentation: str) -> None:
    photos = [draw(1), draw(2)]

    embed_photos([to_embed(photo) for photo in photos], store, Descriptor(), augmentation=augmentation)

    crops = [decode_crops(photo, Descriptor.short_side, PhotoLimits(), augmentation=augmentation) for photo in photos]
    assert len(crops[0]) == {"none": 1, "mirrored": 2, "two-scale": 2, "full": 14}[augmentation]
    by_hand = unit_rows(np.stack([Descriptor().embed(views).mean(axis=0) for views in crops]))
    stored = store.read([hashlib.sha256(photo).hexdigest() for photo in photos])
    np.testing.assert_allclose(stored, by_hand, atol=1e-3)


def test_limits_hold_while_embedding(store: EmbeddingStore) -> None:
    report = embed_photos([to_embed(draw(1))], store, Descriptor(), limits=PhotoLimits(pixels=100))

    assert report.failed == 1
    assert "50 x 40 pixels" in next(iter(store.failures().values()))


def test_progress_counts_every_photo_once(store: EmbeddingStore) -> None:
    photos = [to_embed(draw(seed)) for seed in range(BATCH + 3)]
    embed_photos(photos[:4], store, Descriptor())
    told = Recorder()

    embed_photos([*photos, to_embed(b"nothing")], store, Descriptor(), progress=told)

    assert sum(told.done) == told.totals[0] == len(photos) + 1


def test_reading_an_embedding_that_is_not_there_names_the_photo(store: EmbeddingStore) -> None:
    with pytest.raises(KeyError, match="no such photo"):
        store.read(["no such photo"])


def test_models_do_not_share_a_store(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path, "one@1") as one, EmbeddingStore(tmp_path, "one@2") as other:
        one.add(["photo"], Descriptor().embed([decode_view(draw(1), 96)]))

        assert other.missing(["photo"]) == ["photo"]


def test_a_store_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "descriptor@1.sqlite").write_bytes(b"something else altogether")

    with pytest.raises(BuildError, match=r"descriptor@1\.sqlite cannot be opened: file is not a database"):
        EmbeddingStore(tmp_path, "descriptor@1")


def test_a_batch_that_broke_off_is_not_there_and_the_next_one_is(store: EmbeddingStore) -> None:
    rows = Descriptor().embed([decode_view(draw(number), 96) for number in (1, 2)])
    with pytest.raises(ValueError, match="shorter"):  # wherever it breaks off, by Control-C for one
        store.add(["one", "two", "three"], rows)

    store.add(["two"], rows[1:])

    assert store.missing(["one", "two", "three"]) == ["one", "three"]


def test_a_store_that_cannot_be_written_is_named(store: EmbeddingStore) -> None:
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("DROP TABLE embeddings")  # as a full disk or another process would, it refuses what is written

    with pytest.raises(BuildError, match=r"\.sqlite cannot be written: no such table"):
        store.add(["one"], Descriptor().embed([decode_view(draw(1), 96)]))


# --- by which rule photos became views


def old_store(folder: Path, photos: Sequence[bytes]) -> Path:
    """A store as it was before embeddings said by which rule they were made."""
    with EmbeddingStore(folder, Descriptor().model) as store:
        path = store.path
    with closing(sqlite3.connect(path)) as table, table:
        table.execute("DROP TABLE embeddings")
        table.execute("DROP TABLE notes")
        table.execute("CREATE TABLE embeddings (photo TEXT PRIMARY KEY, embedding BLOB NOT NULL) WITHOUT ROWID")
        rows = [(to_embed(photo).photo, np.full(256, 1 / 16, dtype="<f2").tobytes()) for photo in photos]
        table.executemany("INSERT INTO embeddings VALUES (?, ?)", rows)
    return path


def test_embeddings_say_by_which_photo_rule_they_were_made(tmp_path: Path) -> None:
    path = old_store(tmp_path, [draw(1), draw(2)])

    with EmbeddingStore(tmp_path, Descriptor().model) as store:
        before = store.rules
        report = embed_photos([to_embed(draw(seed)) for seed in (1, 2, 3)], store, Descriptor())
        after, old = store.rules, store.read([to_embed(draw(1)).photo])

    assert (before, after) == ([1], [1, RULE])
    assert (report.already, report.embedded) == (2, 1)  # what was embedded keeps working
    assert np.allclose(old, 1 / 16, atol=1e-4)
    with closing(sqlite3.connect(path)) as table:
        assert table.execute("SELECT rule, count(*) FROM embeddings GROUP BY rule").fetchall() == [(1, 2), (RULE, 1)]


def test_whoever_has_old_embeddings_is_told_once(tmp_path: Path) -> None:
    old_store(tmp_path / "old", [draw(1)])
    told = []

    for _ in range(2):
        with EmbeddingStore(tmp_path / "old", Descriptor().model) as store:
            told.append(store.tell_once())
    with EmbeddingStore(tmp_path / "new", Descriptor().model) as store:
        told.append(store.tell_once())
        embed_photos([to_embed(draw(1))], store, Descriptor())
        told.append(store.tell_once())
        assert store.rules == [RULE]

    assert "before colour profiles were read" in told[0]
    assert told[1:] == ["", "", ""]
