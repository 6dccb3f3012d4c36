"""Floras under the names that Pl@ntNet's clients know projects by, and which of them is the best for a place or a find.

A flora is a project under its own id; one that is a unit of WGSRPD, level 2, also under `k-` and the unit's name.
`all` and `k-world-flora` are every species that has references, `best` is chosen for each question. Aliases are names
that clients have in their code and that no flora here has: each stands for a flora, or for `best`.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import asin, cos, inf, radians, sin, sqrt
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, cast

import shapely
from flask import current_app
from shapely.geometry import Point, shape
from shapely.ops import nearest_points

from database.errors import DatabaseError
from database.taxonomy.flora_places import FloraPlace
from retrieval.domain import WORLD, Candidate
from retrieval.errors import PlaceUnavailable, UnknownFlora
from retrieval.snapshots.cells import cells_around
from retrieval.snapshots.manifest import FloraCard
from retrieval.snapshots.snapshot import Snapshot
from web.services import services

ALL: Final = "all"
BEST: Final = "best"
WORLD_FLORA: Final = "k-world-flora"
EARTH: Final = 6371.0  # kilometres, its mean radius

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Project:
    """A flora under one of its names."""

    id: str
    flora: FloraCard

    def described(self) -> dict[str, Any]:
        """As the list of projects shows it."""
        card = self.flora
        return {
            "id": self.id,
            "title": card.title,
            "description": f"{card.covered:,} of {card.species:,} species of fungi have reference photos here",
            "speciesCount": card.species,
        }


class Projects:
    """The projects of one snapshot, and where those lie of which a place is known."""

    def __init__(
        self, snapshot: Snapshot, places: Iterable[FloraPlace], aliases: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._aliases = aliases
        self._cards = {card.id: card for card in snapshot.floras}
        self._places = {place.flora: place for place in places if place.flora in self._cards}
        units = {WORLD_FLORA: WORLD}
        for flora in sorted(self._places):
            unit = self._places[flora].unit
            if unit is not None:
                units.setdefault(f"k-{slug(unit.title)}", flora)
        self._floras = {ALL: WORLD, **units, **{flora: flora for flora in self._cards}}

    @cached_property
    def areas(self) -> Mapping[str, Any]:
        """The drawn area of each flora that has one."""
        areas = {}
        for flora, place in self._places.items():
            drawn = [shape(region.geometry) for region in place.regions if region.geometry is not None]
            if drawn:
                areas[flora] = drawn[0] if len(drawn) == 1 else shapely.union_all(drawn)
        return areas

    def find(self, project: str) -> str | None:
        """The id of the flora behind a project's name; None where it is to be chosen. Raises UnknownFlora."""
        name = project if project in self._floras else self._aliases.get(project, project)
        if BEST in (project, name):
            return None
        if name not in self._floras:
            raise UnknownFlora(f"there is no project {name[:64]!r}")
        return self._floras[name]

    def list_of(self, project: str) -> str:
        """The flora whose species a project lists: the world's, where the flora is chosen for each question."""
        return self.find(project) or WORLD

    def name_of(self, flora: str) -> str:
        """The name that clients know a flora by: `k-...` where it has one."""
        named = [project for project, known in self._floras.items() if known == flora and project.startswith("k-")]
        return min(named, default=flora)

    def countries_of(self, flora: str) -> frozenset[str]:
        """The countries of a flora; empty where they are not known."""
        place = self._places.get(flora)
        return place.country_codes if place else frozenset()

    def listed(self, floras: Sequence[str]) -> list[Project]:
        """All names of some floras, each flora's own id first."""
        found = []
        for flora in floras:
            other = sorted(name for name, known in self._floras.items() if known == flora and name not in (flora, ALL))
            found += [Project(name, self._cards[flora]) for name in (flora, *other)]
        return found

    def by_place(self, snapshot: Snapshot, latitude: float, longitude: float) -> list[str]:
        """All floras, the best for a place first.

        First those whose area holds the place, the smallest first; then those of which no area is known, by the
        share of what was recorded around the place that is on their list; then the others by distance. The world
        comes before those of which nothing is known.
        """
        shares = nearby_shares(snapshot, list(self._cards), latitude, longitude)

        def rank(flora: str) -> tuple[int, float, float, str]:
            card = self._cards[flora]
            if flora == WORLD:
                return 3, 0, 0, flora
            if flora in self.areas:
                away = distance(self.areas[flora], latitude, longitude)
                return (0, self.areas[flora].area, 0, flora) if away == 0 else (2, away, 0, flora)
            share = shares.get(flora, 0.0)
            return (1, -share, card.species, flora) if share else (4, 0, 0, flora)

        return sorted(self._cards, key=rank)

    def by_answer(self, snapshot: Snapshot, candidates: Sequence[Candidate]) -> str:
        """The flora that holds most of an answer's score, the first species with it; of equals the one with fewer
        species, then by id. The world where none does.
        """
        first = candidates[0].taxon.id if candidates else 0
        fitting = [flora for flora in self._cards if flora != WORLD and first in snapshot.flora(flora)]

        def rank(flora: str) -> tuple[float, int, str]:
            held = snapshot.flora(flora)
            score = sum(candidate.score for candidate in candidates if candidate.taxon.id in held)
            return -round(score, 9), self._cards[flora].species, flora

        return min(fitting, key=rank, default=WORLD)


def slug(title: str) -> str:
    """A title as part of an address: Northern Europe -> northern-europe."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower().replace(".", "")).strip("-")


def nearby_shares(snapshot: Snapshot, floras: Sequence[str], latitude: float, longitude: float) -> dict[str, float]:
    """The share of the records around a place that are of a flora's species; nothing where none are known."""
    records = snapshot.occurrences
    if records is None:
        return {}
    try:
        near = records.around(cells_around(latitude, longitude))
    except PlaceUnavailable:
        return {}
    total = float(near.sum())
    if not total:
        return {}
    return {flora: float(near[snapshot.flora(flora).bits].sum()) / total for flora in floras}


def distance(area: Any, latitude: float, longitude: float) -> float:
    """Kilometres from a place to the nearest point of an area, 0 within it; round the globe, too."""
    found = inf
    for turn in (0.0, 360.0, -360.0):
        here = Point(longitude + turn, latitude)
        near = nearest_points(area, here)[0]
        found = min(found, great_circle(latitude, here.x, near.y, near.x))
    return found


def great_circle(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Kilometres between two places on a sphere (haversine)."""
    one, other = radians(latitude), radians(other_latitude)
    step = radians(other_longitude - longitude)
    chord = sin((other - one) / 2) ** 2 + cos(one) * cos(other) * sin(step / 2) ** 2
    return 2 * EARTH * asin(min(1.0, sqrt(chord)))


class KnownProjects:
    """Remembers the projects of the snapshot that answers: areas are large, and drawn once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: tuple[str, Projects] | None = None

    def of(self, snapshot: Snapshot) -> Projects:
        """The projects of a snapshot; without places where the database cannot be read."""
        with self._lock:
            if self._known is None or self._known[0] != snapshot.edition:
                try:
                    places = services().catalogue.flora_places()
                    self._known = snapshot.edition, Projects(snapshot, places, services().project_aliases)
                except DatabaseError as error:
                    log.warning("where floras lie is not known: %s", error)
                    return Projects(snapshot, (), services().project_aliases)
            return self._known[1]


def projects(snapshot: Snapshot) -> Projects:
    """The projects of the snapshot that answers the request."""
    return cast(KnownProjects, current_app.extensions["projects"]).of(snapshot)
