"""The photos that a model was trained on: recorded, read, and not printed in full."""

from __future__ import annotations

import hashlib

import pytest

from retrieval.errors import ModelError
from retrieval.models.provenance import find_taught, hide_digests, note_taught, read_taught

PHOTOS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(50)]


def test_a_card_names_the_photos_that_taught_a_learned_head() -> None:
    card = {"model": "m@1", "head": {"kind": "learned", "taught": note_taught(PHOTOS[:20])}}

    assert find_taught(PHOTOS, read_taught(card)).tolist() == [True] * 20 + [False] * 30
    assert note_taught(PHOTOS[:20]) == note_taught(PHOTOS[19::-1])


def test_a_network_s_own_photos_count_too() -> None:
    card = {
        "preprocessing": {"taught": note_taught(PHOTOS[:5])},
        "head": {"kind": "learned", "taught": note_taught(PHOTOS[10:12])},
    }

    assert find_taught(PHOTOS, read_taught(card)).nonzero()[0].tolist() == [0, 1, 2, 3, 4, 10, 11]


@pytest.mark.parametrize("card", [{}, {"head": None}, {"head": {"kind": "pca", "taught": note_taught(PHOTOS)}}])
def test_components_that_know_no_species_taught_nothing(card: dict[str, object]) -> None:
    assert not find_taught(PHOTOS, read_taught(card)).any()


def test_a_note_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ModelError, match="which photos taught it"):
        read_taught({"head": {"kind": "learned", "taught": {"digests": "?"}}})


def test_people_are_shown_how_many_not_which() -> None:
    card = {"head": {"taught": note_taught(PHOTOS)}, "width": 3}

    assert hide_digests(card) == {"head": {"taught": {"photos": 50}}, "width": 3}
