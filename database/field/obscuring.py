"""Obscuring of places to the centre of a grid cell, and distances. Pure functions of coordinates in degrees."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

NEAR = re.compile(r"near:\s*([+-]?\d+(?:\.\d*)?)\s*,\s*([+-]?\d+(?:\.\d*)?)")
CELL = 0.2  # degrees: about 22 km from south to north
KM_PER_DEGREE = 111.195  # of a great circle on a sphere of 6,371 km
CELL_KM = CELL * KM_PER_DEGREE * 2**0.5  # no place is farther than this from the centre of its cell


@dataclass(frozen=True, slots=True)
class Place:
    """A point in degrees (WGS 84), with its uncertainty in metres; None where unknown."""

    latitude: float
    longitude: float
    uncertainty: float | None = None


def obscure(place: Place) -> Place:
    """Return the centre of the place's grid cell, with an uncertainty that covers the whole cell.

    The result is the same for every place in the cell, so that repeated observations of one spot do not reveal it, as
    random offsets would.
    """
    rows, columns = round(180 / CELL), round(360 / CELL)
    row = min(rows - 1, math.floor((place.latitude + 90) / CELL))
    column = math.floor((place.longitude + 180) / CELL) % columns
    latitude = round(-90 + (row + 0.5) * CELL, 6)
    longitude = round(-180 + (column + 0.5) * CELL, 6)
    corners = [
        distance_km(latitude, longitude, latitude + side * CELL / 2, longitude + CELL / 2) for side in (-1.0, 1.0)
    ]
    return Place(latitude, longitude, float(math.ceil(1000 * max(corners))))


def obscure_flora(flora: str) -> str:
    """Return a flora expression with the place of each `near:latitude,longitude` moved to its cell's centre."""

    def centre(found: re.Match[str]) -> str:
        shown = obscure(Place(float(found[1]), float(found[2])))
        return f"near:{shown.latitude},{shown.longitude}"

    return NEAR.sub(centre, flora)


def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the great-circle distance in km by the haversine formula, accurate for small and large distances."""
    one, other = math.radians(latitude), math.radians(other_latitude)
    across = math.radians(other_longitude - longitude)
    half = math.sin((other - one) / 2) ** 2 + math.cos(one) * math.cos(other) * math.sin(across / 2) ** 2
    return 2 * math.degrees(math.asin(min(1.0, math.sqrt(half)))) * KM_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Box:
    """A bounding box in degrees; `west` > `east` means that it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float


def box_around(latitude: float, longitude: float, km: float) -> Box:
    """Return a box that contains everything within `km` of a point, also near the poles and the antimeridian."""
    high = km / KM_PER_DEGREE * 1.001
    south, north = max(-90.0, latitude - high), min(90.0, latitude + high)
    if south == -90.0 or north == 90.0:
        return Box(-180.0, south, 180.0, north)
    ratio = math.sin(math.radians(high)) / math.cos(math.radians(latitude))
    if ratio >= 1:
        return Box(-180.0, south, 180.0, north)
    wide = math.degrees(math.asin(ratio))
    if wide >= 180:
        return Box(-180.0, south, 180.0, north)
    return Box((longitude - wide + 180) % 360 - 180, south, (longitude + wide + 180) % 360 - 180, north)
