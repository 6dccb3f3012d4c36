"""Photos of two finds sent as one are named; two sides of one find are not."""

from __future__ import annotations

import pytest

from retrieval.domain import Taxon
from retrieval.ranking.mixed import HARDLY, SURE, unlike_photos

FLY, CAP, BRITTLE = (
    Taxon(number, name, "species")
    for number, name in enumerate(("Amanita muscaria", "Amanita pantherina", "Russula emetica"))
)


def test_two_photos_that_are_sure_of_different_genera_look_like_two_finds() -> None:
    assert unlike_photos([[(FLY, 0.9)], [(BRITTLE, 0.8), (FLY, 0.05)]]) == ((0, 1),)


def test_each_pair_is_named() -> None:
    rankings = [[(FLY, 0.9)], [(BRITTLE, 0.8)], [(CAP, 0.7), (FLY, 0.3)]]

    assert unlike_photos(rankings) == ((0, 1), (1, 2))


@pytest.mark.parametrize(
    "second",
    [
        [(CAP, 0.9)],  # of the same genus
        [(BRITTLE, SURE - 0.01)],  # not sure
        [(BRITTLE, 0.8), (FLY, HARDLY + 0.01)],  # takes the other for possible
        [(FLY, 0.9)],
        [],
    ],
)
def test_two_sides_of_one_find_do_not(second: list[tuple[Taxon, float]]) -> None:
    assert unlike_photos([[(FLY, 0.9)], second]) == ()


def test_one_photo_is_one_find() -> None:
    assert unlike_photos([[(FLY, 0.9)]]) == ()
