"""Features are kept beside the embeddings, and another head embeds from them without decoding a photo."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.embedding.embed import PhotoToEmbed, embed_photos
from indexer.embedding.embeddings import UNCONVERTED, EmbeddingStore
from indexer.embedding.features import (
    KeepingEmbedder,
    KeepingStore,
    has_features,
    open_feature_store,
    open_keeping,
    project_stored,
)
from indexer.embedding.fit_head import write_model
from indexer.embedding.projection import fit_pca
from retrieval.errors import BuildError, ModelError
from retrieval.models.embedder import unit_rows
from retrieval.models.handles import open_backbone, open_model
from retrieval.models.network import Backbone, NetworkEmbedder
from retrieval.photos.views import RULE
from tests.retrieval.models.networks import write_card, write_network
from tests.retrieval.photos.oddities import save, scene

WIDTH = 300


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    network = write_network(tmp_path_factory.mktemp("network") / "wide.onnx", width=WIDTH)
    write_card(network)
    return open_backbone(f"onnx:{network}")[0]


def headed(backbone: Backbone, seed: int) -> NetworkEmbedder:
    rows = np.random.default_rng(seed).normal(size=(400, WIDTH)) * np.linspace(1, 3, WIDTH)
    return NetworkEmbedder(backbone, fit_pca(unit_rows(rows)))


def forbid() -> bytes:
    raise AssertionError("the photo was decoded again")


def take_photos(count: int = 5) -> list[PhotoToEmbed]:
    data = [save(scene(60 + 5 * number, 50)) for number in range(count)]
    return [PhotoToEmbed(sha256(photo).hexdigest(), partial(bytes, photo)) for photo in data]


def keep_all(folder: Path, embedder: NetworkEmbedder, photos: list[PhotoToEmbed]) -> None:
    with KeepingStore(folder, embedder.model, embedder.backbone) as store:
        report = embed_photos(photos, store, KeepingEmbedder(embedder))
    assert (report.embedded, report.failed) == (len(photos), 0)


def test_embeddings_are_the_same_to_the_bit_whether_features_are_kept_or_not(
    tmp_path: Path, backbone: Backbone
) -> None:
    photos, embedder = take_photos(), headed(backbone, 1)

    keep_all(tmp_path / "kept", embedder, photos)
    with EmbeddingStore(tmp_path / "plain", embedder.model) as store:
        embed_photos(photos, store, embedder)
        plain = store.read([photo.photo for photo in photos])

    with EmbeddingStore(tmp_path / "kept", embedder.model) as store:
        assert np.array_equal(store.read([photo.photo for photo in photos]), plain)
    assert has_features(tmp_path / "kept", backbone)
    assert not has_features(tmp_path / "plain", backbone)


def test_another_head_embeds_from_stored_features_without_decoding(tmp_path: Path, backbone: Backbone) -> None:
    photos, other = take_photos(), headed(backbone, 2)
    keep_all(tmp_path, headed(backbone, 1), photos)
    unread = [replace(photo, read=forbid) for photo in photos]

    with EmbeddingStore(tmp_path, other.model) as store:
        counts = [project_stored(unread, store, other) for _ in range(2)]
        projected = store.read([photo.photo for photo in photos])

    assert counts == [5, 0]
    with EmbeddingStore(tmp_path / "fresh", other.model) as store:
        embed_photos(photos, store, other)
        exact = store.read([photo.photo for photo in photos])
    assert np.sum(unit_rows(projected) * unit_rows(exact), axis=1).min() > 0.9998  # a network of noise, at float16


def test_features_keep_the_rule_by_which_photos_became_views(tmp_path: Path, backbone: Backbone) -> None:
    photos, other = take_photos(3), headed(backbone, 2)
    names = [photo.photo for photo in photos]
    with open_feature_store(tmp_path, backbone) as features:
        rows = np.random.default_rng(3).normal(size=(3, WIDTH)).astype(np.float32)
        features.add(names[:2], rows[:2], rule=UNCONVERTED)
        features.add(names[2:], rows[2:])

    with EmbeddingStore(tmp_path, other.model) as store:
        project_stored(photos, store, other)

        assert store.rules == [UNCONVERTED, RULE]
        assert store.by_rule(names) == {UNCONVERTED: names[:2], RULE: names[2:]}
        assert store.by_rule(["0" * 64]) == {}


def test_a_photo_without_stored_features_is_left_to_be_embedded(tmp_path: Path, backbone: Backbone) -> None:
    photos, other = take_photos(), headed(backbone, 2)
    keep_all(tmp_path, headed(backbone, 1), photos[:2])

    with EmbeddingStore(tmp_path, other.model) as store:
        assert project_stored(photos, store, other) == 2
        assert store.missing(photo.photo for photo in photos) == [photo.photo for photo in photos[2:]]
    with EmbeddingStore(tmp_path / "none", other.model) as store:
        assert project_stored(photos, store, other) == 0  # nothing is stored there, and no store is begun
        assert not has_features(tmp_path / "none", backbone)


def test_rows_of_the_wrong_width_are_refused(tmp_path: Path, backbone: Backbone) -> None:
    with (
        EmbeddingStore(tmp_path, "narrow") as store,
        pytest.raises(BuildError, match="rows of 200 numbers are no rows of narrow"),
    ):
        store.add(["0" * 64], np.zeros((1, 200), np.float32))
    with KeepingStore(tmp_path, "kept", backbone) as both:  # a part of another run that kept no features
        both.add(["1" * 64], np.ones((1, 256), np.float32))
        assert both.known(["1" * 64]) == {"1" * 64}
    with open_feature_store(tmp_path, backbone) as features:
        assert not len(features)


def test_what_has_no_head_has_no_features_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no features to keep"):
        open_keeping("descriptor")
    with EmbeddingStore(tmp_path, "descriptor@1") as store:
        assert project_stored(take_photos(1), store, open_model("descriptor")) == 0


def test_a_network_that_finds_nothing_stops_no_other_photo(tmp_path: Path, backbone: Backbone) -> None:
    embedder = headed(backbone, 1)
    photos = [*take_photos(2), PhotoToEmbed("f" * 64, lambda: save(Image.new("RGB", (50, 50))))]

    class Blind(KeepingEmbedder):
        def embed(self, views):  # type: ignore[no-untyped-def]
            if any(not view.pixels.any() for view in views):
                raise ModelError("the network finds nothing in the photo")
            return super().embed(views)

    with KeepingStore(tmp_path, embedder.model, backbone) as store:
        report = embed_photos(photos, store, Blind(embedder))
        assert (report.embedded, report.failed) == (2, 1)
        assert list(store.failures()) == ["f" * 64]


def test_a_card_with_another_head_shares_the_features_of_its_network(tmp_path: Path) -> None:
    network = write_network(tmp_path / "wide.onnx", width=WIDTH)
    write_card(network)
    plain = open_backbone(f"onnx:{network}")[0]
    head = headed(plain, 1).head
    assert head is not None

    card = write_model(tmp_path / "mine", head, plain.preprocessing)

    assert open_backbone(f"onnx:{network}", card)[0].name == plain.name
    assert open_keeping(f"onnx:{network}", card).model == NetworkEmbedder(plain, head).model
