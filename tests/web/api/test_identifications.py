from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from retrieval.answers.identify import identify
from retrieval.answers.present import identification_json
from retrieval.domain import NOTICE
from retrieval.models.descriptor import Descriptor
from retrieval.photos.views import decode_view
from tests.snapshots import CITRINA, CYANOXANTHA, FLORAS, MUSCARIA, TORMINOSUS, Made, draw_photo

Ask = Callable[..., TestResponse]
FIND = [draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 7, 1)]


def without_addresses(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: without_addresses(value) for name, value in answer.items() if name != "url"}
    return [without_addresses(value) for value in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize("flora", ["world", "north", "south"])
def test_the_answer_is_the_engines_own_to_the_last_field(ask: Ask, made: Made, flora: str) -> None:
    snapshot = made.open()
    expected = identification_json(identify(FIND, snapshot, Descriptor(), flora=flora, candidates=4), snapshot)

    answer = ask("/api/v1/identify", FIND, flora=flora, count=4)

    assert answer.status_code == 200
    assert without_addresses(answer.get_json()) == expected
    snapshot.close()


def test_the_right_species_comes_first_with_the_reference_photos_that_speak_for_it(ask: Ask, made: Made) -> None:
    answer = ask("/api/v1/identify", FIND).get_json()

    best = answer["species"][0]
    assert best["taxon"]["scientificName"] == "Amanita muscaria"
    assert {evidence["photo"] for evidence in best["evidence"]} <= {
        entry.photo for entry in made.entries if entry.species == MUSCARIA
    }
    assert all(evidence["author"] and evidence["licence"] for evidence in best["evidence"])


def test_every_identification_names_snapshot_model_and_notice(ask: Ask, made: Made) -> None:
    for address in ("/api/v1/identify", "/api/v1/similar"):
        answer = ask(address, FIND).get_json()

        assert (answer["snapshot"], answer["model"], answer["notice"]) == (made.manifest.name, "descriptor@1", NOTICE)
        assert answer["photos"] == 2


def test_species_outside_the_flora_are_told_apart(ask: Ask) -> None:
    answer = ask("/api/v1/identify", FIND, flora="south").get_json()

    assert {found["taxon"]["taxonID"] for found in answer["species"]} <= set(FLORAS["south"])
    assert answer["notOnTheList"][0]["taxon"]["taxonID"] == MUSCARIA


def test_the_address_of_every_reference_photo_gives_a_picture(ask: Ask, client: FlaskClient) -> None:
    answer = ask("/api/v1/identify", FIND, flora="south").get_json()
    addresses = {
        evidence["url"]
        for ranked in ("species", "notOnTheList")
        for candidate in answer[ranked]
        for evidence in candidate["evidence"]
    }

    pictures = [client.get(address) for address in sorted(addresses)]

    assert len(pictures) > 4
    assert {(picture.status_code, picture.mimetype) for picture in pictures} == {(200, "image/jpeg")}


def test_photos_may_also_be_called_images_or_both(ask: Ask, client: FlaskClient) -> None:
    photos = ask("/api/v1/identify", FIND).get_json()

    assert ask("/api/v1/identify", FIND, part="images").get_json() == photos


def test_similar_photos_are_those_of_brute_force(ask: Ask, made: Made) -> None:
    query = draw_photo(TORMINOSUS, 9)
    held = made.embeddings.astype(np.float16).astype(np.float32)  # as the index keeps them
    similarities = held @ Descriptor().embed([decode_view(query, Descriptor.short_side)])[0]
    expected = [made.entries[row].photo for row in np.lexsort((np.arange(len(held)), -similarities))[:7]]

    answer = ask("/api/v1/similar", [query], count=7).get_json()

    assert [found["photo"] for found in answer["references"]] == expected
    assert [found["similarity"] for found in answer["references"]] == pytest.approx(
        sorted(similarities.tolist(), reverse=True)[:7], abs=1e-5
    )
    assert answer["references"][0]["taxon"]["taxonID"] == TORMINOSUS


def test_similar_photos_stay_in_the_flora(ask: Ask) -> None:
    answer = ask("/api/v1/similar", FIND, flora="south", count=100).get_json()

    taxa = {found["taxon"]["taxonID"] for found in answer["references"]}
    assert taxa == set(FLORAS["south"])
    assert {CITRINA, CYANOXANTHA} <= taxa
