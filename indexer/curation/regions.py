"""Regions: countries (ISO 3166-1), level-2 units of WGSRPD, and custom areas from GeoJSON."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycountry
import shapely
from shapely.geometry import shape

from database.taxonomy.regions import ISO, OWN, WGSRPD, ObservedPlace, RegionEntry
from indexer.curation.places import parse_country
from retrieval.errors import ArchiveError, BuildError

_AREAS = frozenset({"Polygon", "MultiPolygon"})
_FORMER_CODES = {"UK": "GB", "TP": "TL", "BU": "MM", "ZR": "CD"}  # WGSRPD dates from 2001
_FORMER_NAMES = {"turkey": "TR", "czech republic": "CZ", "macedonia": "MK", "bosnia-herzegovina": "BA"}


def country_region(text: str) -> RegionEntry:
    """Return the region of a country by ISO code or English name. Raises BuildError for an unknown one."""
    code, _ = parse_country(text)
    if not code:
        raise BuildError(f"{text!r} is not a country; write a code of ISO 3166-1, such as BE or BEL, or its name")
    country = pycountry.countries.get(alpha_2=code)  # it has no Kosovo
    title = str(getattr(country, "common_name", country.name)) if country else text
    return RegionEntry(f"iso-{code.lower()}", title, ISO, (code,))


def own_region(region_id: str, title: str, geojson: Path, countries: Sequence[str] = ()) -> RegionEntry:
    """Make a region of the polygons in a GeoJSON file: a geometry, a feature or a collection.

    Raises ArchiveError for an invalid file or one without polygons, BuildError for a reserved id.
    """
    parsed = _read_json(geojson)
    drawn = [_shape(geometry, geojson) for geometry in _geometries(parsed)]
    if not drawn:
        raise ArchiveError(f"{geojson}: holds no area; a region needs at least one Polygon or MultiPolygon")
    codes = sorted({country_region(country).country_codes[0] for country in countries})
    if region_id.startswith((f"{ISO}-", f"{WGSRPD}-")):
        raise BuildError(f"{region_id!r} cannot be the id of a region of your own: {ISO}- and {WGSRPD}- are taken")
    united = json.loads(shapely.to_geojson(shapely.union_all(drawn)))
    return RegionEntry(region_id, title or region_id, OWN, tuple(codes), united)


def find_unit(units: Sequence[RegionEntry], text: str) -> RegionEntry:
    """Return the WGSRPD unit of a code, id or name. Raises BuildError."""
    wanted = _slug(text)
    for unit in units:
        if wanted in (unit.id, unit.id.removeprefix(f"{WGSRPD}-"), _slug(unit.title)):
            return unit
    if not units:
        raise BuildError("no WGSRPD units are there yet: run `fungarium collection region import wgsrpd FOLDER` first")
    raise BuildError(
        f"{text!r} is not a level-2 unit of WGSRPD; `fungarium collection region list --kind wgsrpd` lists them"
    )


def read_wgsrpd(folder: Path) -> list[RegionEntry]:
    """Read the level-2 units of a copy of tdwg/wgsrpd: tblLevel2-4.txt and level2.geojson.

    Records without coordinates are assigned by country to the unit that has it. A country in several units belongs to
    the unit of the area of the same name (Spain to Southwestern Europe, not Macaronesia), otherwise to the unit with
    more than half of its areas; without either, as for the United States, only coordinates count. Raises ArchiveError,
    with file and line.
    """
    titles = {
        _code(row, "L2 code"): row["L2 region"] for row in _rows(folder / "tblLevel2.txt", "L2 code", "L2 region")
    }
    level3 = {row["L3 code"]: _code(row, "L2 code") for row in _rows(folder / "tblLevel3.txt", "L3 code", "L2 code")}
    areas: list[tuple[str, str, str]] = []  # (area, country code, unit)
    for row in _rows(folder / "tblLevel4.txt", "L4 country", "L3 code", "L4 ISOcode"):
        if row["L3 code"] not in level3:
            raise ArchiveError(f"{row.place}: level-3 code {row['L3 code']!r} is not in tblLevel3.txt")
        areas.append((row["L4 country"], _country_of(row["L4 country"], row["L4 ISOcode"]), level3[row["L3 code"]]))
    countries = _countries_by_unit(areas)
    geometries = _unit_geometries(folder / "level2.geojson")
    for code in titles:
        if code not in geometries:
            raise ArchiveError(f"{folder / 'level2.geojson'}: has no feature with LEVEL2_COD {code} ({titles[code]})")
    return [
        RegionEntry(f"{WGSRPD}-{code}", title, WGSRPD, tuple(sorted(countries[code])), geometries[code])
        for code, title in sorted(titles.items())
    ]


class RegionMap:
    """A spatial index of regions."""

    def __init__(self, regions: Sequence[RegionEntry]) -> None:
        self._regions = list(regions)
        drawn = [(at, shape(region.geometry)) for at, region in enumerate(regions) if region.geometry is not None]
        self._at = np.array([at for at, _ in drawn], dtype=np.int64)
        geometries = np.array([geometry for _, geometry in drawn], dtype=object)
        shapely.prepare(geometries)
        self._tree = shapely.STRtree(geometries)

    def species_in(self, wanted: RegionEntry, places: Sequence[ObservedPlace]) -> set[int]:
        """Return the species of the `places` in `wanted`, one of the map's regions.

        Coordinates take precedence. Where they are missing, or in no region of the same kind (such as just off a
        coarsely drawn coast), the country decides. A region without geometry is defined by its countries only.
        """
        codes = frozenset(wanted.country_codes)
        if wanted.geometry is None:
            return {place.species for place in places if place.country_code in codes}
        found: set[int] = set()
        for place, inside in zip(places, self._placed(places), strict=True):
            rivals = {region.id for region in inside if region.kind == wanted.kind}
            if wanted.id in rivals or (not rivals and place.country_code in codes):
                found.add(place.species)
        return found

    def _placed(self, places: Sequence[ObservedPlace]) -> list[list[RegionEntry]]:
        inside: list[list[RegionEntry]] = [[] for _ in places]
        located = [at for at, place in enumerate(places) if place.latitude is not None and place.longitude is not None]
        points = shapely.points([(places[at].longitude, places[at].latitude) for at in located]) if located else []
        of_point, of_region = self._tree.query(points, predicate="intersects") if located else ((), ())
        for point, region in zip(of_point, of_region, strict=True):
            inside[located[int(point)]].append(self._regions[int(self._at[region])])
        return inside


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a WGSRPD table, with its file and line number for error messages."""

    place: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


def _rows(table: Path, *needed: str) -> Iterator[_Row]:
    """Read a table with fields separated by '*', in ISO 8859-1, with a header line."""
    try:
        lines = table.read_text(encoding="iso-8859-1").splitlines()
    except OSError as error:
        raise ArchiveError(f"{table}: cannot be read: {error.strerror}") from error
    header = [column.strip() for column in lines[0].split("*")] if lines else []
    if missing := [column for column in needed if column not in header]:
        raise ArchiveError(f"{table}, line 1: has no column {', '.join(missing)}; this is not a table of WGSRPD")
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("*")]
        if len(cells) != len(header):
            raise ArchiveError(f"{table}, line {number}: has {len(cells)} fields where the header has {len(header)}")
        yield _Row(f"{table}, line {number}", dict(zip(header, cells, strict=True)))


def _code(row: _Row, column: str) -> str:
    found = re.fullmatch(r"(\d+)(?:[.,]0*)?", row[column])  # spreadsheets wrote 10 as `10,00`
    if found is None:
        raise ArchiveError(f"{row.place}: {column} {row[column]!r} is not a number")
    return found[1]


def _country_of(area: str, code: str) -> str:
    """Return the ISO code of an area. The name takes precedence: the table has Slovenia as SL and Latvia as RU."""
    named = _country_names().get(area.casefold())
    if named:
        return named
    code = _FORMER_CODES.get(code, code)
    return code if pycountry.countries.get(alpha_2=code) else ""


def _country_names() -> dict[str, str]:
    names = dict(_FORMER_NAMES)
    for country in pycountry.countries:
        for attribute in ("name", "common_name", "official_name"):
            if name := getattr(country, attribute, None):
                names[name.casefold()] = country.alpha_2
    return names


def _countries_by_unit(areas: Sequence[tuple[str, str, str]]) -> dict[str, set[str]]:
    names = _country_names()
    units: dict[str, Counter[str]] = defaultdict(Counter)
    homes: dict[str, set[str]] = defaultdict(set)
    for area, code, unit in areas:
        if code:
            units[code][unit] += 1
            if names.get(area.casefold()) == code:
                homes[code].add(unit)
    countries: dict[str, set[str]] = defaultdict(set)
    for code, counted in units.items():
        unit, most = counted.most_common(1)[0]
        if len(homes[code]) == 1:
            countries[next(iter(homes[code]))].add(code)
        elif 2 * most > counted.total():
            countries[unit].add(code)
    return countries


def _unit_geometries(path: Path) -> dict[str, dict[str, Any]]:
    features = _read_json(path).get("features")
    if not isinstance(features, list):
        raise ArchiveError(f"{path}: is not a GeoJSON collection of features")
    geometries: dict[str, dict[str, Any]] = {}
    for number, feature in enumerate(features, start=1):
        try:
            code = str(feature["properties"]["LEVEL2_COD"])
            geometry = feature["geometry"]
        except (KeyError, TypeError) as error:
            raise ArchiveError(f"{path}, feature {number}: has no LEVEL2_COD or no geometry") from error
        geometries[code] = json.loads(shapely.to_geojson(_shape(geometry, path)))
    return geometries


def _read_json(path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ArchiveError(f"{path}, line {error.lineno}: is not JSON: {error.msg}") from error
    if not isinstance(parsed, dict):
        raise ArchiveError(f"{path}, line 1: is not a GeoJSON object")
    return parsed


def _geometries(parsed: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the polygons of any GeoJSON object."""
    kind = parsed.get("type")
    if kind == "FeatureCollection":
        for feature in parsed.get("features") or []:
            yield from _geometries(feature)
    elif kind == "Feature":
        yield from _geometries(parsed.get("geometry") or {})
    elif kind == "GeometryCollection":
        for geometry in parsed.get("geometries") or []:
            yield from _geometries(geometry)
    elif kind in _AREAS:
        yield parsed


def _shape(geometry: Any, path: Path) -> Any:
    """Return a valid geometry; self-intersecting rings, as in real maps, are repaired. Raises ArchiveError."""
    try:
        drawn = shape(geometry)
    except (shapely.errors.ShapelyError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: holds a geometry that cannot be read: {error}") from error
    west, south, east, north = drawn.bounds
    if drawn.is_empty or not (west >= -180.001 and east <= 180.001 and south >= -90.001 and north <= 90.001):
        raise ArchiveError(f"{path}: holds a geometry outside longitude -180 to 180 and latitude -90 to 90 (WGS 84)")
    return drawn if drawn.is_valid else shapely.make_valid(drawn)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.strip().casefold()).strip("-")
