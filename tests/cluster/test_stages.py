"""What a worker does with a batch, tested without a cluster."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.parts import PartFiles, ShardPart, decode_part
from cluster.stages import InferBatch, Order, decode_batch, package_versions
from indexer.embedding.embed import BATCH, PhotoToEmbed
from indexer.embedding.features import open_features
from retrieval.errors import ClusterError, ModelError
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, View
from retrieval.models.handles import absolute_handle, open_model
from retrieval.photos.crops import AUGMENTATIONS
from retrieval.photos.views import PhotoLimits, decode_view

MADE_WITH = "descriptor@1"


def draw(seed: int, size: tuple[int, int] = (24, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def to_embed(photo: bytes) -> PhotoToEmbed:
    return PhotoToEmbed(hashlib.sha256(photo).hexdigest(), partial(bytes, photo))


def batch_of(photos: Sequence[PhotoToEmbed], place: int = 3) -> Mapping[str, Any]:
    listed = np.empty(1, dtype=object)
    listed[0] = list(photos)
    return {"place": np.array([place]), "photos": listed}


def decoded(photos: Sequence[PhotoToEmbed], order: Order) -> Mapping[str, Any]:
    return {name: np.array(values, dtype=object) for name, values in decode_batch(batch_of(photos), order).items()}


class Blind(Descriptor):
    """The descriptor, which finds nothing in any picture."""

    def embed(self, views: Sequence[View]) -> Embeddings:
        raise ModelError("an embedding has no direction")


def open_blind(*, threads: int = 0) -> Blind:
    return Blind()


@pytest.fixture
def order(tmp_path: Path) -> Order:
    storage = str(tmp_path / "parts")
    return Order(
        opener=partial(open_model, "descriptor"),
        model=MADE_WITH,
        made_with=MADE_WITH,
        storage=storage,
        token=PartFiles(storage).put(b"a job"),
        versions=package_versions(),
        short_side=Descriptor.short_side,
        limits=PhotoLimits(),
        augmentation="none",
    )


def test_a_batch_leaves_a_part_that_says_what_it_is(order: Order) -> None:
    photos = [to_embed(draw(seed)) for seed in range(3)]

    receipt = InferBatch(order)(batch_of(photos))

    ((name, part),) = PartFiles(order.storage).found(MADE_WITH)
    assert [name] == receipt["kept"]
    assert part.encode() == receipt["part"][0]
    assert (receipt["place"], receipt["stop"], part.photos) == ([3], [""], tuple(photo.photo for photo in photos))
    alone = [Descriptor().embed([decode_view(photo.read(), Descriptor.short_side)])[0] for photo in photos]
    np.testing.assert_array_equal(part.rows, np.stack(alone).astype("<f2"))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_decoding_apart_gives_the_same_part(order: Order, augmentation: str) -> None:
    order = replace(order, augmentation=augmentation)
    photos = [to_embed(draw(1)), to_embed(b"no photo"), to_embed(draw(2, (40, 25)))]

    together, apart = InferBatch(order)(batch_of(photos)), InferBatch(order)(decoded(photos, order))

    assert apart == together
    assert list(decode_part(apart["part"][0]).failures) == [photos[1].photo]


@pytest.mark.parametrize("handle", ["descriptor", "default"])
def test_a_row_does_not_depend_on_what_else_is_in_the_batch_nor_on_threads(handle: str) -> None:
    views = [View(np.random.default_rng(seed).integers(0, 255, (256, 300, 3), dtype=np.uint8)) for seed in range(5)]
    one, all_cores = open_model(handle, threads=1), open_model(handle)

    together = one.embed(views)

    np.testing.assert_array_equal(all_cores.embed(views), together)
    np.testing.assert_array_equal(np.concatenate([one.embed(views[:1]), one.embed(views[1:])]), together)


def test_a_photo_that_cannot_be_read_now_leaves_no_part_so_that_the_batch_is_tried_again(
    order: Order, tmp_path: Path
) -> None:
    gone = PhotoToEmbed("f" * 64, (tmp_path / "gone.jpg").read_bytes)

    receipt = InferBatch(order)(batch_of([to_embed(draw(1)), gone]))

    assert json.loads(receipt["unread"][0]) == {
        gone.photo: f"{tmp_path / 'gone.jpg'} cannot be read: No such file or directory"
    }
    assert receipt["kept"] == [""]
    assert list(PartFiles(order.storage).found(MADE_WITH)) == []


def test_a_model_that_finds_nothing_in_any_photo_is_told_and_leaves_no_part(order: Order) -> None:
    receipt = InferBatch(replace(order, opener=open_blind))(batch_of([to_embed(draw(1)), to_embed(draw(2))]))

    assert (receipt["refused"], receipt["kept"]) == (["an embedding has no direction"], [""])


def stop_of(order: Order) -> str:
    return str(InferBatch(order)(batch_of([to_embed(draw(1))]))["stop"][0])


def test_a_machine_that_would_make_other_rows_is_refused(order: Order) -> None:
    assert "a worker has other package versions (numpy" in stop_of(
        replace(order, versions={**order.versions, "numpy": "1.0"})
    )
    assert "a worker has the model descriptor@1 where" in stop_of(replace(order, model="descriptor@2"))
    assert "is not the same folder on every machine" in stop_of(replace(order, token="e" * 64))


@contextmanager
def no_room() -> Iterator[None]:
    """As on a full disk. It holds for all that this process writes, so that nothing else may happen meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_storage_is_one_sentence_and_nothing_half_written(order: Order) -> None:
    with no_room():
        said = stop_of(order)

    assert said.startswith(f"the storage at {order.storage} is full: free some space and run")
    assert [path.name for path in Path(order.storage).rglob("*") if path.is_file()] == [order.token]


def test_storage_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ClusterError, match=r"cannot be stored at .*file/parts \(.*FUNGARIUM_CLUSTER_STORAGE"):
        PartFiles(str(tmp_path / "file" / "parts")).put(b"a job")
    with pytest.raises(ClusterError, match="cannot be stored"):
        PartFiles("nowhere://bucket/prefix")


def test_parts_may_lie_in_any_storage_that_fsspec_reaches(order: Order) -> None:
    storage = "memory://parts/of-a-job"
    files = PartFiles(storage)
    order = replace(order, storage=storage, token=files.put(b"a job"))

    receipt = InferBatch(order)(batch_of([to_embed(draw(1))]))
    ((name, part),) = files.found(MADE_WITH)
    for kept in (name, order.token):
        files.remove(kept)

    assert part.encode() == receipt["part"][0]
    assert list(files.found(MADE_WITH)) == []


def test_a_network_gives_its_own_rows_where_a_head_is_fitted(order: Order) -> None:
    bare = open_features("default", threads=1)
    photo = to_embed(draw(1, (260, 300)))

    receipt = InferBatch(
        replace(order, opener=partial(open_features, "default"), model=bare.model, short_side=bare.short_side)
    )(batch_of([photo]))

    part = decode_part(receipt["part"][0])
    np.testing.assert_array_equal(part.rows, bare.embed([decode_view(photo.read(), bare.short_side)]).astype("<f2"))


def test_what_is_no_part_or_a_damaged_one_is_passed_over(order: Order) -> None:
    files = PartFiles(order.storage)
    part = ShardPart(MADE_WITH, ("a", "b"), np.ones((2, 256), dtype="<f2"), {"c": "no photo"})
    whole, damaged, other = (
        files.put(content)
        for content in (part.encode(), part.encode()[:-1], replace(part, made_with="other@1").encode())
    )
    (path,) = Path(order.storage).rglob(damaged)
    path.write_bytes(b"something else")

    assert [name for name, _ in files.found(MADE_WITH)] == [whole]
    assert [name for name, _ in files.found("other@1")] == [other]
    assert decode_part(part.encode()).failures == {"c": "no photo"}


def test_a_model_is_named_so_that_another_folder_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    named = [absolute_handle(handle) for handle in ("default", "onnx:my/net.onnx", "hub:https://x.org/a", "timm:a")]

    assert named == ["default", f"onnx:{tmp_path}/my/net.onnx", "hub:https://x.org/a", "timm:a"]
    assert BATCH == 32


def test_what_a_killed_worker_was_writing_is_removed_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    files = PartFiles(str(tmp_path / "parts"))
    files.put(b"a job")
    stale, fresh = (tmp_path / "parts" / name for name in (".unfinished-a", ".unfinished-b"))
    for path in (stale, fresh):
        path.write_bytes(b"half a part")
    hours_ago = stale.stat().st_mtime - 2 * 3600
    os.utime(stale, (hours_ago, hours_ago))

    assert list(files.found(MADE_WITH)) == []

    assert not stale.exists()
    assert fresh.exists()
