"""Caches of answers and embeddings are bounded, and return only results of identical queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, View
from retrieval.snapshots.manifest import switch_current
from tests.snapshots import MUSCARIA, draw_photo, drawn_references, make_snapshot
from tests.web.conftest import LIMITS, HeldPhotos, encode_photos
from web.application import create_app
from web.inference.caching import BoundedCache, make_key
from web.inference.snapshot import Published
from web.services import Services, Throughput

FIND = [draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 7, 1)]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 40))), st.integers(0, 100))
def test_a_cache_never_weighs_more_than_it_may_and_keeps_what_was_used_last(
    puts: list[tuple[str, int]], capacity: int
) -> None:
    cache: BoundedCache[int] = BoundedCache(capacity, lambda weight: weight)

    for key, weight in puts:
        cache.put(key, weight)

        assert cache.weight <= capacity
        if weight <= capacity:
            assert cache.get(key) == weight
    assert cache.weight == sum(found for key in "abcdefgh" if (found := cache.get(key)) is not None)


def test_what_was_unused_for_longest_goes_first() -> None:
    cache: BoundedCache[str] = BoundedCache(2, len)
    cache.put("a", "x")
    cache.put("b", "y")
    cache.get("a")
    cache.put("c", "z")

    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("x", None, "z")


def test_a_key_holds_nothing_that_can_be_read() -> None:
    assert "55.6761" not in make_key("north", (55.6761, 12.5683))
    assert make_key("a", 1) != make_key("a", "1")


class Counting(Descriptor):
    """The descriptor, which remembers how many views it was given."""

    def __init__(self) -> None:
        self.views = 0

    def embed(self, views: Sequence[View]) -> Embeddings:
        self.views += len(views)
        return super().embed(views)


@pytest.fixture
def counted(tmp_path: Path) -> tuple[Flask, Counting, Path]:
    made = make_snapshot(tmp_path)
    embedder = Counting()
    services = Services(Published(tmp_path, patience=0.0), lambda: embedder, HeldPhotos({}), LIMITS)
    return create_app(services), embedder, made.root


def ask(app: Flask, photos: Sequence[bytes], **form: Any) -> Mapping[str, Any]:
    answer = app.test_client().post("/api/v1/identify", **encode_photos(photos, **form))
    assert answer.status_code == 200, answer.get_data()
    body: Mapping[str, Any] = answer.get_json()
    return body


def test_the_same_question_is_answered_from_memory_with_the_same_answer(
    counted: tuple[Flask, Counting, Path],
) -> None:
    app, embedder, _ = counted

    first, second = ask(app, FIND, flora="north"), ask(app, FIND, flora="north")

    assert first == second
    assert embedder.views == 2


@pytest.mark.parametrize(
    "option",
    [
        {"flora": "south"},
        {"count": 3},
        {"fusion": "max"},
        {"target": 0.6},
        {"within": MUSCARIA},
        {"noReject": "true"},
        {"date": "2026-10-01"},
    ],
    ids=str,
)
def test_another_option_is_another_question_about_the_same_embeddings(
    counted: tuple[Flask, Counting, Path], option: dict[str, Any]
) -> None:
    app, embedder, _ = counted
    serving = app.extensions["serving"]
    ask(app, FIND)

    ask(app, FIND, **option)

    assert len(serving.answers) == 2
    assert embedder.views == 2


def test_the_order_of_photos_is_part_of_the_question(counted: tuple[Flask, Counting, Path]) -> None:
    app, _, _ = counted

    forwards, backwards = ask(app, FIND), ask(app, FIND[::-1])

    assert [photo["queryPhoto"] for photo in forwards["species"][0]["evidence"]] != [
        photo["queryPhoto"] for photo in backwards["species"][0]["evidence"]
    ]


def test_a_new_snapshot_is_asked_anew_but_nothing_is_embedded_again(counted: tuple[Flask, Counting, Path]) -> None:
    app, embedder, root = counted
    old = ask(app, FIND)
    entries, embeddings, _ = drawn_references()
    second = make_snapshot(root, entries[:-1], embeddings[:-1], publish=False)
    switch_current(root, second.manifest.name)

    new = ask(app, FIND)

    assert (old["snapshot"] != new["snapshot"], new["snapshot"]) == (True, second.manifest.name)
    assert embedder.views == 2


def test_twice_the_same_photo_in_one_find_is_decoded_once(counted: tuple[Flask, Counting, Path]) -> None:
    app, embedder, _ = counted

    answer = ask(app, [FIND[0], FIND[0]])

    assert answer["photos"] == 2
    assert embedder.views == 1


def test_with_no_room_nothing_is_kept(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path)
    embedder = Counting()
    published = Published(made.root, patience=0.0)
    services = Services(published, lambda: embedder, HeldPhotos({}), LIMITS, Throughput(cache_bytes=0))
    app = create_app(services)

    assert ask(app, FIND) == ask(app, FIND)
    assert embedder.views == 4


def test_a_remembered_answer_is_what_the_engine_answers(
    counted: tuple[Flask, Counting, Path], ask_engine: Callable[..., list[tuple[int, float]]]
) -> None:
    app, _, root = counted

    for _ in range(2):
        answer = ask(app, FIND, flora="north")

        assert [(c["taxon"]["taxonID"], c["score"]) for c in answer["species"]] == ask_engine(root, FIND, "north")


@pytest.fixture
def ask_engine() -> Callable[..., list[tuple[int, float]]]:
    """The engine's own answer, without the server."""
    from retrieval.answers.identify import identify
    from retrieval.snapshots.snapshot import open_snapshot

    def engine(root: Path, photos: Sequence[bytes], flora: str) -> list[tuple[int, float]]:
        answer = identify(photos, open_snapshot(root), Descriptor(), flora=flora)
        return [(candidate.taxon.id, round(candidate.score, 6)) for candidate in answer.species]

    return engine
