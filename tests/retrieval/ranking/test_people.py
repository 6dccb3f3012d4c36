"""Names of one person as archives write them."""

from __future__ import annotations

import pytest

from retrieval.ranking.people import names_alike

ALIKE = [
    ("Mette Holm", "Mette Holm"),
    ("Mette Holm", "Holm, Mette"),
    ("M. Holm", "Mette Holm"),
    ("Holm", "Mette Holm"),
    ("M. K. Holm", "Mette Holm"),
    ("METTE HOLM", "mette holm"),
    ("Björk, Åsa", "Asa Bjork"),
    ("Mette Holm & Jan Berg", "M. Holm"),
    ("mholm77", "mholm77"),
    ("Юрий Орлов", "Ю. Орлов"),
]
APART = [
    ("Mette Holm", "Jan Holm"),
    ("M. Holm", "J. Holm"),
    ("Mette Holm", "Mette Berg"),
    ("M. H.", "M. B."),
    ("M. H.", "M. Holm"),
    ("M. K. Holm", "Mette Jan Holm"),
    ("", ""),
    ("", "Mette Holm"),
    ("123", "123"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_ways_to_write_a_name_are_alike(one: str, other: str) -> None:
    assert names_alike(one, other)
    assert names_alike(other, one)


@pytest.mark.parametrize(("one", "other"), APART)
def test_names_of_others_and_unknown_ones_are_not(one: str, other: str) -> None:
    assert not names_alike(one, other)
    assert not names_alike(other, one)
