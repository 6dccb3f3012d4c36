from __future__ import annotations

import csv
from pathlib import Path

import pytest

from indexer.records import RejectedRecord
from tests.indexer.archives.samples import read

HEADER = ("picture_url", "species", "title", "caption", "page_text", "licence", "author", "page_url")


def line(picture: str, species: str, title: str = "", caption: str = "", page: str = "") -> tuple[str, ...]:
    address = f"https://web.example/{picture}"
    return (address, species, title, caption, page, "CC BY 4.0", "A. Doe", "https://web.example/page")


def found(folder: Path, *lines: tuple[str, ...]) -> tuple[list[str], list[tuple[str, int]]]:
    """The kept pictures, and the reasons of the others with their lines."""
    path = folder / "found.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *lines])
    records, rejections = read(path, "found-pictures", columns=(("photo", "picture_url"),))
    assert len(records) + len(rejections) == len(lines)
    return [one.photo.rpartition("/")[2] for one in records], [(one.reason, one.line) for one in rejections]


@pytest.mark.parametrize(
    ("title", "caption", "kept"),
    [
        ("Boletus edulis in a wood", "", True),
        ("", "A BOLETUS EDULIS.", True),
        ("Edulis, a species of Boletus", "", True),
        ("Boletus", "edulis", False),  # each in another text
        ("Boletus edulisoides", "", False),
        ("B. edulis", "a cep", False),
        ("", "", False),
    ],
)
def test_genus_and_species_must_stand_in_the_title_or_in_the_caption(
    tmp_path: Path, title: str, caption: str, kept: bool
) -> None:
    photos, left_out = found(tmp_path, line("a.jpg", "Boletus edulis Bull.", title, caption, "Boletus edulis"))

    assert photos == (["a.jpg"] if kept else [])
    assert left_out == ([] if kept else [("name-not-beside-picture", 2)])


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ("In this wood Boletus aereus grows as well", False),
        ("B. aereus is darker", False),
        ("Amanita aereus, or the word aereus alone", True),
        ("Boletus mushrooms of many kinds", True),
        ("Boletus edulis, edulis and again Boletus edulis", True),
    ],
)
def test_another_species_of_the_genus_on_the_page_drops_a_picture(tmp_path: Path, page: str, kept: bool) -> None:
    photos, left_out = found(
        tmp_path,
        line("a.jpg", "Boletus edulis", "Boletus edulis", page=page),
        line("b.jpg", "Boletus aereus", "Boletus aereus"),
    )

    assert photos == (["a.jpg", "b.jpg"] if kept else ["b.jpg"])
    assert left_out == ([] if kept else [("another-species-on-page", 2)])


def test_the_same_picture_for_two_species_is_dropped_for_both(tmp_path: Path) -> None:
    photos, left_out = found(
        tmp_path,
        line("a.jpg", "Boletus edulis", "Boletus edulis"),
        line("b.jpg", "Boletus edulis", "Boletus edulis"),
        line("a.jpg", "Amanita muscaria", "Amanita muscaria"),
    )

    assert photos == ["b.jpg"]
    assert left_out == [("picture-of-two-species", 2), ("picture-of-two-species", 4)]


def test_at_most_fifty_pictures_of_a_species_are_kept_and_dropped_ones_do_not_count(tmp_path: Path) -> None:
    lines = [line("x.jpg", "Boletus edulis", "something else")]
    lines += [line(f"{n}.jpg", "Boletus edulis", "Boletus edulis") for n in range(52)]
    lines += [line("y.jpg", "Amanita muscaria", "Amanita muscaria")]

    photos, left_out = found(tmp_path, *lines)

    assert photos == [*(f"{n}.jpg" for n in range(50)), "y.jpg"]
    assert left_out == [("name-not-beside-picture", 2), ("enough-of-species", 53), ("enough-of-species", 54)]


def test_a_name_that_is_no_species_is_left_out(tmp_path: Path) -> None:
    assert found(tmp_path, line("a.jpg", "Boletus", "Boletus"))[1] == [("not-to-species", 2)]


def test_author_licence_and_page_come_with_a_picture(tmp_path: Path) -> None:
    found(tmp_path, line("a.jpg", "Boletus edulis", "Boletus edulis"))

    ((record, *_), _) = read(tmp_path / "found.csv", "found-pictures", columns=(("photo", "picture_url"),))
    assert not isinstance(record, RejectedRecord)
    assert (record.licence, record.creator, record.references) == ("CC BY 4.0", "A. Doe", "https://web.example/page")
