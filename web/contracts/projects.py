"""Floras as Pl@ntNet's projects, and the choice of the best one for a place or an answer.

The id of a flora names a project; so does `k-` with the unit's name if the flora is a WGSRPD level 2 unit. `all` and
`k-world-flora` are all species with references; `best` is chosen for each query. Aliases are project names hard-coded
in clients for which no flora exists: each stands for a flora or for `best`.
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
KNOWN: Final = 4  # snapshots whose projects are cached
WORLD_FLORA: Final = "k-world-flora"
EARTH: Final = 6371.0  # kilometres, its mean radius

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Project:
    """A flora under one of its names."""

    id: str
    flora: FloraCard

    def described(self) -> dict[str, Any]:
        """Return the project as an entry of the list of projects."""
        card = self.flora
        return {
            "id": self.id,
            "title": card.title,
            "description": f"{card.covered:,} of {card.species:,} species of fungi have reference photos here",
            "speciesCount": card.species,
        }


class Projects:
    """The projects of one snapshot, and the locations of those for which one is known."""

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
        """Return the mapped area of each flora that has one."""
        areas = {}
        for flora, place in self._places.items():
            drawn = [shape(region.geometry) for region in place.regions if region.geometry is not None]
            if drawn:
                areas[flora] = drawn[0] if len(drawn) == 1 else shapely.union_all(drawn)
        return areas

    def find(self, project: str) -> str | None:
        """Return the id of a project's flora, or None if it is chosen for each query. Raises UnknownFlora."""
        name = project if project in self._floras else self._aliases.get(project, project)
        if BEST in (project, name):
            return None
        if name not in self._floras:
            raise UnknownFlora(f"there is no project {name[:64]!r}")
        return self._floras[name]

    def list_of(self, project: str) -> str:
        """Return the flora whose species are listed for a project: the world if the flora is chosen for each query."""
        return self.find(project) or WORLD

    def name_of(self, flora: str) -> str:
        """Return the name of a flora that clients know: `k-...` if it has one."""
        named = [project for project, known in self._floras.items() if known == flora and project.startswith("k-")]
        return min(named, default=flora)

    def countries_of(self, flora: str) -> frozenset[str]:
        """Return the countries of a flora; empty if unknown."""
        place = self._places.get(flora)
        return place.country_codes if place else frozenset()

    def listed(self, floras: Sequence[str]) -> list[Project]:
        """Return all project names of floras, each flora's own id first."""
        found = []
        for flora in floras:
            other = sorted(name for name, known in self._floras.items() if known == flora and name not in (flora, ALL))
            found += [Project(name, self._cards[flora]) for name in (flora, *other)]
        return found

    def by_place(self, snapshot: Snapshot, latitude: float, longitude: float) -> list[str]:
        """Return all floras, the best one for a place first.

        First those whose area contains the place, smallest first; then those without a known area, by the share of the
        records around the place that belongs to their species; then the others by distance. The world comes before
        those about which nothing is known.
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
        """Return the flora with the highest sum of scores that has the first species, else the world.

        Ties go to the flora with fewer species, then to the lower id.
        """
        first = candidates[0].taxon.id if candidates else 0
        fitting = [flora for flora in self._cards if flora != WORLD and first in snapshot.flora(flora)]

        def rank(flora: str) -> tuple[float, int, str]:
            held = snapshot.flora(flora)
            score = sum(candidate.score for candidate in candidates if candidate.taxon.id in held)
            return -round(score, 9), self._cards[flora].species, flora

        return min(fitting, key=rank, default=WORLD)


def slug(title: str) -> str:
    """Return a title as part of a URL: Northern Europe -> northern-europe."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower().replace(".", "")).strip("-")


def nearby_shares(snapshot: Snapshot, floras: Sequence[str], latitude: float, longitude: float) -> dict[str, float]:
    """Return the share of a flora's species in the records around a place; empty without records."""
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
    """Return the distance in km from a place to the nearest point of an area, 0 within it; crosses the antimeridian."""
    found = inf
    for turn in (0.0, 360.0, -360.0):
        here = Point(longitude + turn, latitude)
        near = nearest_points(area, here)[0]
        found = min(found, great_circle(latitude, here.x, near.y, near.x))
    return found


def great_circle(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the distance in km between two places on a sphere (haversine)."""
    one, other = radians(latitude), radians(other_latitude)
    step = radians(other_longitude - longitude)
    chord = sin((other - one) / 2) ** 2 + cos(one) * cos(other) * sin(step / 2) ** 2
    return 2 * EARTH * asin(min(1.0, sqrt(chord)))


class KnownProjects:
    """Caches the projects of the snapshots asked for last, since areas are large."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, Projects] = {}

    def of(self, snapshot: Snapshot) -> Projects:
        """Return the projects of a snapshot; without locations if the database is unavailable."""
        with self._lock:
            if snapshot.edition not in self._known:
                try:
                    places = services().catalogue.flora_places()
                except DatabaseError as error:
                    log.warning("where floras lie is not known: %s", error)
                    return Projects(snapshot, (), services().project_aliases)
                for oldest in list(self._known)[: 1 - KNOWN]:
                    del self._known[oldest]
                self._known[snapshot.edition] = Projects(snapshot, places, services().project_aliases)
            return self._known[snapshot.edition]


def projects(snapshot: Snapshot) -> Projects:
    """Return the projects of the snapshot that answers the request."""
    return cast(KnownProjects, current_app.extensions["projects"]).of(snapshot)
