"""Places as others see them: the middle of a grid cell in place of the spot. A rule over plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

CELL = 0.2  # degrees: some 22 km from south to north
KM_PER_DEGREE = 111.195  # of a great circle on a sphere of 6,371 km


@dataclass(frozen=True, slots=True)
class Place:
    """A point on Earth with the metres by which it may be wrong; None where that was not said."""

    latitude: float
    longitude: float
    uncertainty: float | None = None


def obscure(place: Place) -> Place:
    """The middle of the place's cell, with an uncertainty that holds the whole cell.

    The same for every place of the cell, so that many observations of one spot do not betray it as a shifted point
    would.
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


def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The great circle between two points, by haversines: exact enough next door and half the way round."""
    one, other = math.radians(latitude), math.radians(other_latitude)
    across = math.radians(other_longitude - longitude)
    half = math.sin((other - one) / 2) ** 2 + math.cos(one) * math.cos(other) * math.sin(across / 2) ** 2
    return 2 * math.degrees(math.asin(min(1.0, math.sqrt(half)))) * KM_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Box:
    """An area between two latitudes and two longitudes; `west` beyond `east` means across the date line."""

    west: float
    south: float
    east: float
    north: float


def box_around(latitude: float, longitude: float, km: float) -> Box:
    """A box that holds everything within `km` of a point, poles and date line included."""
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
