"""The area of a region: a country, a unit of GADM or WGSRPD, a polygon, or a circle, and how GBIF is asked for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pycountry
import shapely
from shapely.geometry import Polygon, shape
from shapely.geometry.polygon import orient

from database.taxonomy.regions import OWN, RegionEntry
from indexer.curation.regions import country_region, find_unit, own_region
from retrieval.errors import BuildError

EARTH = 6_371_008.8  # mean radius, metres
CORNERS = 64  # of a circle drawn as a polygon
LONGEST_WKT = 3_000  # characters: GBIF refuses long addresses
WORLD = shapely.box(-180, -90, 180, 90)
GADM = re.compile(r"([A-Z]{3})(?:\.[0-9]+){0,4}(?:_[0-9]+)?")


@dataclass(frozen=True)
class Area:
    """An area, as it is stored with its region and as GBIF is asked for it."""

    region: RegionEntry
    gbif: tuple[tuple[str, str], ...]  # parameters of occurrence search

    def contains(self, latitude: float, longitude: float) -> bool:
        """Return whether a place is within the area; True where no outline is known, since GBIF was asked for it."""
        return self._outline is None or bool(self._outline.intersects(shapely.Point(longitude, latitude)))

    @cached_property
    def _outline(self) -> Any:
        if self.region.geometry is None:
            return None
        drawn = shape(self.region.geometry)
        shapely.prepare(drawn)
        return drawn


def country_area(name: str, title: str, text: str) -> Area:
    """Return the area of a country by ISO code or name. Raises BuildError."""
    country = country_region(text)
    entry = RegionEntry(name, title or country.title, OWN, country.country_codes)
    return Area(entry, (("country", country.country_codes[0]),))


def gadm_area(name: str, title: str, gid: str) -> Area:
    """Return the area of a GADM unit, such as DNK.2_1; its outline is GBIF's. Raises BuildError."""
    found = GADM.fullmatch(gid.strip())
    country = pycountry.countries.get(alpha_3=found[1]) if found else None
    if found is None or country is None:
        raise BuildError(f"{gid!r} is no unit of GADM; write its id, such as DNK.2_1 or DNK for a country")
    codes = (country.alpha_2,) if gid.strip() == found[1] else ()  # records without a place are not of its parts
    return Area(RegionEntry(name, title or f"GADM {gid}", OWN, codes), (("gadmGid", gid.strip()),))


def unit_area(name: str, title: str, units: Sequence[RegionEntry], text: str) -> Area:
    """Return the area of a level-2 unit of WGSRPD, whose outline was imported. Raises BuildError."""
    unit = find_unit(units, text)
    entry = RegionEntry(name, title or unit.title, OWN, unit.country_codes, unit.geometry)
    return Area(entry, (("geometry", write_wkt(shape(unit.geometry))),))


def polygon_area(name: str, title: str, geojson: Path) -> Area:
    """Return the area of the polygons in a GeoJSON file. Raises ArchiveError or BuildError."""
    entry = own_region(name, title, geojson)
    return Area(entry, (("geometry", write_wkt(shape(entry.geometry))),))


def circle_area(name: str, title: str, point: str, radius: float) -> Area:
    """Return the area around a point, `latitude,longitude`, with a radius in kilometres. Raises BuildError."""
    try:
        latitude, longitude = (float(part) for part in point.split(","))
    except ValueError as error:
        raise BuildError(f"{point!r} is no point; write latitude and longitude, such as 55.68,12.57") from error
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise BuildError(f"{point!r} is no place: latitude is at most 90, longitude at most 180")
    if not 0 < radius <= 2_000:
        raise BuildError("--radius is a number of kilometres, above 0 and at most 2,000")
    drawn = draw_circle(latitude, longitude, radius * 1_000)
    entry = RegionEntry(name, title or f"{radius:g} km around {point}", OWN, (), to_geojson(drawn))
    return Area(entry, (("geoDistance", f"{latitude:g},{longitude:g},{radius:g}km"),))


def draw_circle(latitude: float, longitude: float, metres: float) -> Any:
    """Return the polygon of the points at a distance on the sphere; split where it crosses the date line."""
    angle, north, east = metres / EARTH, math.radians(latitude), math.radians(longitude)
    bearings = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    latitudes = np.arcsin(np.sin(north) * np.cos(angle) + np.cos(north) * np.sin(angle) * np.cos(bearings))
    across = np.sin(bearings) * np.sin(angle) * np.cos(north)
    longitudes = east + np.arctan2(across, np.cos(angle) - np.sin(north) * np.sin(latitudes))
    drawn = Polygon(np.degrees(np.column_stack([longitudes, latitudes])))
    if abs(latitude) + math.degrees(angle) >= 90:
        raise BuildError("a circle around a pole cannot be drawn; give a polygon")
    turned = [shapely.affinity.translate(drawn, turn) for turn in (-360, 0, 360)]
    return shapely.union_all([part.intersection(WORLD) for part in turned])


def to_geojson(geometry: Any) -> dict[str, Any]:
    """Return a geometry as GeoJSON."""
    parsed: dict[str, Any] = json.loads(shapely.to_geojson(geometry))
    return parsed


def write_wkt(geometry: Any) -> str:
    """Write an area as WKT that is short enough for an address, counter-clockwise as GBIF wants it.

    A long outline is simplified outwards: it covers the whole area and somewhat more, and what lies beyond is left out
    when the records have been read.
    """
    for tolerance in (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0):
        drawn = geometry
        if tolerance:  # simplifying moves the outline by so much at most, inwards too
            drawn = geometry.buffer(2 * tolerance, quad_segs=2).simplify(tolerance).intersection(WORLD)
        text = shapely.to_wkt(turn_outwards(drawn), rounding_precision=3, trim=True)
        if len(text) <= LONGEST_WKT:
            return str(text)
    box = shapely.to_wkt(turn_outwards(shapely.box(*geometry.bounds)), rounding_precision=3, trim=True)
    return str(box)


def turn_outwards(geometry: Any) -> Any:
    """Orient every outer ring counter-clockwise: the other way round is the rest of the world."""
    parts = [orient(part, 1.0) for part in getattr(geometry, "geoms", [geometry]) if part.geom_type == "Polygon"]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
