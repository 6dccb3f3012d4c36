from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.harvesting.choosing import (
    PAGE,
    Find,
    choose_finds,
    describe_circumstances,
    drop_copies,
    fold_person,
    identify_address,
    plan_pages,
)

INAT = "https://static.inaturalist.org/photos"


def find(key: int, observer: str = "a", month: int = 9, cell: int = 1, **more: object) -> Find:
    made = Find(f"{key:06}", "atlas", observer, month, cell, 1, True, frozenset({f"id {key}"}), frozenset())
    return replace(made, **more)  # type: ignore[arg-type]


def test_sixty_of_three_busy_observers_and_forty_others_have_thirty_observers_and_every_month() -> None:
    dice = random.Random(4)
    busy = [find(n, f"busy {n % 3}", dice.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 10, 11, 12])) for n in range(1000)]
    others = [find(1000 + n, f"other {n}", dice.choice([9, 10])) for n in range(40)]

    chosen = choose_finds([*busy, *others], 60)

    assert len(chosen) == 60
    assert len({one.observer for one in chosen}) == 43
    assert {one.month for one in chosen} == set(range(1, 13))


def test_a_month_that_one_busy_observer_alone_recorded_is_not_lost_among_many_observers() -> None:
    autumn = [find(n, f"observer {n}", 10) for n in range(100)]
    others = [find(200 + month, "busy", month) for month in range(1, 13)]

    chosen = choose_finds([*autumn, *others], 60)

    assert {one.month for one in chosen} == set(range(1, 13))


def test_verified_finds_come_before_others_of_as_rare_observers() -> None:
    finds = [find(n, f"observer {n}", 9, verified=n % 2 == 0) for n in range(20)]

    chosen = choose_finds(finds, 10)

    assert all(one.verified for one in chosen)


def test_places_are_spread_and_more_photos_come_first() -> None:
    finds = [find(n, "a", 9, cell=n % 4, photos=1 + (n >= 20)) for n in range(40)]

    chosen = choose_finds(finds, 8)

    assert Counter(one.cell for one in chosen) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert all(one.photos == 2 for one in chosen)


def test_what_was_chosen_before_stays_chosen() -> None:
    finds = [find(n, f"observer {n % 7}", 1 + n % 12, n % 5) for n in range(200)]
    first = choose_finds(finds, 30)
    gone = {one.key for one in first[:4]}

    left = [one for one in finds if one.key not in gone]

    later = choose_finds([*left, find(900, "newcomer")], 30, {one.key for one in first})

    assert {one.key for one in first} - gone < {one.key for one in later}
    assert len(later) == 30


observers = st.sampled_from("abcdef")
finds_of = st.lists(st.tuples(observers, st.integers(0, 12), st.integers(0, 3), st.booleans()), max_size=60).map(
    lambda rows: [find(n, o, m, c, verified=v) for n, (o, m, c, v) in enumerate(rows)]
)


@given(finds_of, st.integers(1, 30), st.randoms())
def test_the_choice_does_not_depend_on_the_order_and_never_exceeds_what_is_wanted(
    finds: list[Find], most: int, dice: random.Random
) -> None:
    shuffled = dice.sample(finds, len(finds))

    chosen = choose_finds(finds, most)

    assert chosen == choose_finds(shuffled, most)
    assert len(chosen) == min(most, len(finds))


@given(finds_of, st.integers(12, 40))
def test_every_month_there_is_has_a_find_where_there_is_room(finds: list[Find], most: int) -> None:
    months = {one.month for one in finds}

    chosen = choose_finds(finds, max(most, len(months)))

    assert {one.month for one in chosen} == months


def test_copies_of_a_find_in_two_datasets_are_one() -> None:
    where = describe_circumstances("2024-09-01", 55.12345, 10.5, "jens", 10.0)
    atlas = find(1, identities=frozenset({"urn:1"}), circumstances=where)
    other = find(2, dataset="inaturalist", photos=3, identities=frozenset({"inat:2"}), circumstances=where)

    assert drop_copies([atlas, other]) == [other]
    assert drop_copies([atlas, other], kept={atlas.key}) == [atlas]


def test_two_finds_of_one_dataset_on_one_day_are_two() -> None:
    where = describe_circumstances("2024-09-01", 55.1, 10.5, "jens", 10.0)
    finds = [find(number, circumstances=where) for number in range(2)]

    assert drop_copies(finds) == finds


def test_a_photo_that_two_records_share_is_one_find() -> None:
    photo = frozenset({identify_address("https://inaturalist-open-data.s3.amazonaws.com/photos/77/original.jpg")})
    finds = [find(1, identities=photo), find(2, dataset="other", identities=photo)]

    assert len(drop_copies(finds)) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (f"{INAT}/5/medium.jpg?1", "https://inaturalist-open-data.s3.amazonaws.com/photos/5/original.jpeg", True),
        ("https://www.inaturalist.org/photos/5", "https://static.inaturalist.org/photos/5/large.jpg", True),
        ("https://www.inaturalist.org/observations/5", "http://inaturalist.org/observations/5/", True),
        ("https://www.inaturalist.org/observations/5", "https://www.inaturalist.org/photos/5", False),
        ("http://a.example/p?id=1", "https://a.example/p?id=1", True),
        ("http://a.example/p?id=1", "https://a.example/p?id=2", False),
    ],
)  # fmt: skip
def test_addresses_of_one_picture_are_recognised(one: str, other: str, same: bool) -> None:
    assert (identify_address(one) == identify_address(other)) is same


def test_circumstances_need_a_day_and_a_place() -> None:
    assert describe_circumstances("", 55.0, 10.0, "jens", 10.0) == frozenset()
    assert describe_circumstances("2024-09-01", None, 10.0, "jens", 10.0) == frozenset()
    assert len(describe_circumstances("2024-09-01", 55.0, 10.0, "", 5_000.0)) == 0
    assert len(describe_circumstances("2024-09-01", 55.0, 10.0, "jens", None)) == 2
    assert fold_person("Jens  H. PETERSEN") == fold_person("jens h petersen")


def test_few_records_are_read_whole_and_many_in_every_month() -> None:
    assert plan_pages(0, ()) == []
    assert plan_pages(301, ()) == [(0, 0), (0, PAGE)]

    many = plan_pages(200_000, [10, 0, 299, 300, 301, 1_000, 2_000, 5_000, 60_000, 120_000, 11_390, 0])

    assert {month for month, _ in many} == {1, 3, 4, 5, 6, 7, 8, 9, 10, 11}
    assert len(many) <= 24
    assert all(offset + PAGE <= 10_000 for _, offset in many)
    assert len(set(many)) == len(many)
