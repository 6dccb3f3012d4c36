"""Which finds of a species become references: spread over observers, months and places, and each find once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

PAGES = 10  # of a species: those of one with more records are spread over its months
PAGE = 300
DEEPEST = 10_000  # GBIF answers up to 100,000, and restricts those who ask for more than this often
INAT_PHOTO = re.compile(r"^(?:[\w.-]*inaturalist[\w.-]*)(?:/[\w.-]+)*?/photos/(\d+)(?:/|$)")
INAT_OBSERVATION = re.compile(r"^(?:www\.)?inaturalist\.org/observations/(\d+)$")
WIDE = 1_000.0  # metres: coordinates that are less certain say little about being the same find


@dataclass(frozen=True, slots=True)
class Find:
    """A find of a species, as far as the choice is concerned."""

    key: str  # as the service calls it
    dataset: str
    observer: str  # folded; empty where nobody is named
    month: int  # 1 to 12, 0 where it is not known
    cell: int  # H3 cell, 0 where the place is not known
    photos: int
    verified: bool
    identities: frozenset[str]  # what only copies of the same find share
    circumstances: frozenset[str]  # what finds of two datasets share only if they are copies


def plan_pages(total: int, months: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pages to read as (month or 0 for any, offset): all, or PAGES or so over all months.

    `months` are the records of each month, needed only where there are more than PAGES full pages. Pages of a month
    lie at equal distances, since neighbours in a list often come from one observer.
    """
    if total <= PAGES * PAGE:
        return [(0, offset) for offset in range(0, total, PAGE)]
    planned = []
    for month, count in enumerate(months, start=1):
        if count:
            share = min(-(-count // PAGE), max(1, round(PAGES * count / sum(months))))
            last = min(count, DEEPEST) - PAGE
            planned += [(month, max(0, last * place // max(1, share - 1))) for place in range(share)]
    return planned


def choose_finds(finds: Iterable[Find], most: int, kept: Collection[str] = ()) -> list[Find]:
    """Choose at most `most` finds; those of `kept` (by key) first, so that a later choice changes as little as it can.

    Every month there is gets a find, the rarest first. Then the observer with the fewest chosen is next; among these
    verified finds, the month and the cell with the fewest chosen, and the find with the most photos.
    """
    distinct = drop_copies(finds, kept)
    if len(distinct) <= most:
        return distinct
    observers, months, cells = (
        count_from_zero([getattr(find, name) for find in distinct]) for name in ("observer", "month", "cell")
    )
    chosen = np.zeros(len(distinct), dtype=bool)
    used = [np.zeros(int(part.max()) + 1, dtype=np.int64) for part in (observers, months, cells)]
    unverified = np.array([not find.verified for find in distinct], dtype=np.int64)
    fewer_photos = 63 - np.array([min(find.photos, 63) for find in distinct], dtype=np.int64)
    order = np.arange(len(distinct), dtype=np.int64)

    def take(place: int) -> None:
        chosen[place] = True
        for counts, part in zip(used, (observers, months, cells), strict=True):
            counts[part[place]] += 1

    def cheapest(among: NDArray[np.bool_]) -> int:
        places = order[among]
        costs = (used[0][observers], unverified, used[1][months], used[2][cells], fewer_photos)
        return int(places[np.lexsort([places, *(cost[places] for cost in reversed(costs))])[0]])

    for place, find in enumerate(distinct):
        if find.key in kept and chosen.sum() < most:
            take(place)
    frequency = np.bincount(months)
    for month in np.argsort(frequency, kind="stable").tolist():
        known = months == month
        if chosen.sum() < most and not chosen[known].any():
            take(cheapest(known))
    while chosen.sum() < most:
        take(cheapest(~chosen))
    return [find for find, is_chosen in zip(distinct, chosen.tolist(), strict=True) if is_chosen]


def drop_copies(finds: Iterable[Find], kept: Collection[str] = ()) -> list[Find]:
    """Return each find once, by key: of copies, the one that is kept, is verified, or has more photos."""
    ranked = sorted(finds, key=lambda find: (find.key not in kept, not find.verified, -find.photos, find.key))
    seen: set[str] = set()
    datasets: dict[str, set[str]] = {}
    distinct = []
    for find in ranked:
        elsewhere = any(datasets.get(mark, {find.dataset}) - {find.dataset} for mark in find.circumstances)
        if elsewhere or not find.identities.isdisjoint(seen):
            continue
        distinct.append(find)
        seen |= find.identities
        for mark in find.circumstances:
            datasets.setdefault(mark, set()).add(find.dataset)
    return sorted(distinct, key=lambda find: find.key)


def count_from_zero(values: Sequence[object]) -> NDArray[np.int64]:
    """Number the distinct values, in order of their appearance."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)


def fold_person(text: str) -> str:
    """Return a person's name as it is compared."""
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def identify_address(address: str) -> str:
    """Return what an address of a photo or record names, whatever its server, size and form."""
    parts = urlsplit(address.strip())
    plain = f"{parts.hostname or ''}{parts.path}".rstrip("/")
    if photo := INAT_PHOTO.match(plain):
        return f"inaturalist photo {photo[1]}"
    if observation := INAT_OBSERVATION.match(plain):
        return f"inaturalist observation {observation[1]}"
    return f"{plain}?{parts.query}" if parts.query else plain


def describe_circumstances(
    day: str, latitude: float | None, longitude: float | None, observer: str, uncertainty: float | None
) -> frozenset[str]:
    """Return what two copies of a find share: day and place with the observer, or day and place to ten metres."""
    if not day or latitude is None or longitude is None:
        return frozenset()
    marks = {f"{day} {latitude:.3f} {longitude:.3f} {observer}"} if observer else set()
    if uncertainty is None or uncertainty <= WIDE:
        marks.add(f"{day} {latitude:.4f} {longitude:.4f}")
    return frozenset(marks)
