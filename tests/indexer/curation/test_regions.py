from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from database.taxonomy.regions import ISO, OWN, WGSRPD, ObservedPlace, RegionEntry
from indexer.curation.regions import RegionMap, country_region, find_unit, own_region, read_wgsrpd
from retrieval.errors import ArchiveError, BuildError


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


LEVEL2 = "L2 code*L2 region*L1 code*L2 ISOcode\r\n10,00*Northern Land*1,00*\r\n11,00*Southern Land*1,00*\r\n"
LEVEL3 = (
    "L3 code*L3 area*L2 code*L3 ISOcode*Ed2status*Notes\r\n"
    "BGM*Belgium*10,00*BE**\r\nSPA*Spain*11,00*ES**\r\nCNY*Canary Is.*10,00*ES**\r\n"
    "USA*Some States*10,00*US**\r\nUSB*Other States*11,00*US**\r\n"
)
LEVEL4 = (
    "L4 code*L4 country*L3 code*L4 ISOcode*Ed2status*Notes\r\n"
    "BGM-BE*Belgium*BGM*BE**\r\nSPA-SP*Spain*SPA*ES**\r\n"
    "CNY-1*Canary Is.*CNY*ES**\r\nCNY-2*More \xcdslands*CNY*ES**\r\n"
    "USA-1*Ohio*USA*US**\r\nUSB-1*Utah*USB*US**\r\nSPA-SL*Slovenia*SPA*SL**\r\nSPA-GB*Gibraltar*SPA*UK**\r\n"
)
FEATURES = [
    {
        "type": "Feature",
        "properties": {"LEVEL2_COD": 10, "LEVEL2_NAM": "Northern Land"},
        "geometry": square(0, 10, 10, 20),
    },
    {
        "type": "Feature",
        "properties": {"LEVEL2_COD": 11, "LEVEL2_NAM": "Southern Land"},
        "geometry": square(0, 0, 10, 10),
    },
]


@pytest.fixture
def scheme(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small copy of the scheme, with the files given in place of its own."""

    def write(**other: str) -> Path:
        files = {"tblLevel2.txt": LEVEL2, "tblLevel3.txt": LEVEL3, "tblLevel4.txt": LEVEL4}
        files |= {f"tblLevel{name[-1]}.txt": text for name, text in other.items() if name != "geojson"}
        for name, text in files.items():
            (tmp_path / name).write_bytes(text.encode("iso-8859-1"))
        geojson = other.get("geojson", json.dumps({"type": "FeatureCollection", "features": FEATURES}))
        (tmp_path / "level2.geojson").write_text(geojson)
        return tmp_path

    return write


def test_units_are_read_with_names_codes_and_geometry(scheme: Callable[..., Path]) -> None:
    units = read_wgsrpd(scheme())

    assert [(unit.id, unit.title, unit.kind) for unit in units] == [
        ("wgsrpd-10", "Northern Land", WGSRPD),
        ("wgsrpd-11", "Southern Land", WGSRPD),
    ]
    assert all(unit.geometry is not None and unit.geometry["type"] == "Polygon" for unit in units)


def test_countries_count_where_they_lie_and_divided_ones_where_their_name_is(scheme: Callable[..., Path]) -> None:
    north, south = read_wgsrpd(scheme())

    assert north.country_codes == ("BE",)  # not ES, though two of its three areas are here; not US, half of which is
    assert south.country_codes == ("ES", "GI", "SI")  # Slovenia and Gibraltar by name: the table's codes are wrong


def test_the_real_scheme_is_read(shared: Path) -> None:
    units = {unit.title: unit for unit in read_wgsrpd(shared / "samples" / "wgsrpd")}

    assert len(units) == 52
    assert " ".join(units["Middle Europe"].country_codes) == "AT BE CH CZ DE HU LI LU NL PL SK"
    assert {"ES", "PT", "FR"} <= set(units["Southwestern Europe"].country_codes)
    assert "SI" in units["Southeastern Europe"].country_codes
    assert units["Northwestern U.S.A."].country_codes == ()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"level2": "Code*Name\r\n"}, r"tblLevel2.txt, line 1: has no column L2 code, L2 region"),
        ({"level2": LEVEL2 + "12,00*Torn\r\n"}, r"tblLevel2.txt, line 4: has 2 fields where the header has 4"),
        ({"level2": LEVEL2 + "X*Odd*1,00*\r\n"}, r"tblLevel2.txt, line 4: L2 code 'X' is not a number"),
        ({"level2": LEVEL2 + "12,00*New*1,00*\r\n"}, r"has no feature with LEVEL2_COD 12 \(New\)"),
        ({"level4": LEVEL4 + "Z-1*Zed*ZZZ*BE**\r\n"}, r"tblLevel4.txt, line 10: level-3 code 'ZZZ'"),
        ({"level3": ""}, r"tblLevel3.txt, line 1: has no column"),
        ({"geojson": "{\n["}, r"level2.geojson, line 2: is not JSON"),
        ({"geojson": "[]"}, r"is not a GeoJSON object"),
        ({"geojson": "{}"}, r"is not a GeoJSON collection"),
        ({"geojson": '{"features": [{"properties": {}}]}'}, r"feature 1: has no LEVEL2_COD"),
    ],
)
def test_a_damaged_scheme_is_refused_with_file_and_line(
    scheme: Callable[..., Path], files: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ArchiveError, match=sentence):
        read_wgsrpd(scheme(**files))


def test_a_folder_without_the_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"tblLevel2.txt: cannot be read: No such file"):
        read_wgsrpd(tmp_path)


@pytest.mark.parametrize("text", ["wgsrpd-11", "11", "Southern Land", "southern-land", " SOUTHERN  LAND "])
def test_a_unit_is_found_by_code_id_or_name(scheme: Callable[..., Path], text: str) -> None:
    units = read_wgsrpd(scheme())

    assert find_unit(units, text).id == "wgsrpd-11"


def test_a_unit_that_is_not_there_is_told_apart_from_a_scheme_that_is_not_there(scheme: Callable[..., Path]) -> None:
    with pytest.raises(BuildError, match="is not a level-2 unit"):
        find_unit(read_wgsrpd(scheme()), "Atlantis")
    with pytest.raises(BuildError, match="region import wgsrpd FOLDER"):
        find_unit([], "11")


@pytest.mark.parametrize("text", ["BE", "be", "BEL", "Belgium"])
def test_a_country_is_found_by_code_or_name(text: str) -> None:
    assert country_region(text) == RegionEntry("iso-be", "Belgium", ISO, ("BE",))


@pytest.mark.parametrize("text", ["XX", "Atlantis", ""])
def test_what_is_no_country_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="is not a country; write a code of ISO 3166-1"):
        country_region(text)


def test_a_region_of_ones_own_unites_every_area_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "garden.geojson"
    point = {"type": "Point", "coordinates": [50, 50]}
    areas = [square(0, 0, 1, 1), {"type": "GeometryCollection", "geometries": [square(5, 5, 6, 6), point]}]
    features = [{"type": "Feature", "properties": {}, "geometry": area} for area in areas]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    garden = own_region("garden", "Garden", file, ["Belgium"])

    places = [ObservedPlace(1, "", 0.5, 0.5), ObservedPlace(2, "", 5.5, 5.5), ObservedPlace(3, "", 50, 50)]
    assert (garden.kind, garden.country_codes) == (OWN, ("BE",))
    assert RegionMap([garden]).species_in(garden, places) == {1, 2}


@pytest.mark.parametrize(
    ("geojson", "sentence"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "holds no area"),
        ({"type": "FeatureCollection", "features": []}, "holds no area"),
        (square(500000, 5000000, 510000, 5010000), "outside longitude -180 to 180"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": []}, "outside longitude"),
        ({"type": "Polygon"}, "cannot be read"),
    ],
)
def test_a_region_without_a_usable_area_is_refused(tmp_path: Path, geojson: object, sentence: str) -> None:
    file = tmp_path / "garden.geojson"
    file.write_text(json.dumps(geojson))

    with pytest.raises(ArchiveError, match=sentence):
        own_region("garden", "", file)


def test_an_area_that_crosses_itself_is_untangled(tmp_path: Path) -> None:
    file = tmp_path / "tie.geojson"
    file.write_text(json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}))

    tie = own_region("tie", "", file)

    places = [ObservedPlace(1, "", 1, 0.5), ObservedPlace(2, "", 1, 1.5), ObservedPlace(3, "", 0.2, 1)]
    assert RegionMap([tie]).species_in(tie, places) == {1, 2}


def test_a_reserved_id_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    file.write_text(json.dumps(square(0, 0, 1, 1)))

    with pytest.raises(BuildError, match="iso- and wgsrpd- are taken"):
        own_region("iso-mine", "", file)


NORTH = RegionEntry("wgsrpd-10", "North", WGSRPD, ("BE",), square(0, 10, 10, 20))
SOUTH = RegionEntry("wgsrpd-11", "South", WGSRPD, ("ES",), square(0, 0, 10, 10))


@pytest.mark.parametrize(
    ("place", "north"),
    [
        (ObservedPlace(1, "", 15, 5), True),
        (ObservedPlace(1, "ES", 15, 5), True),  # coordinates speak before the country
        (ObservedPlace(1, "BE", 5, 5), False),
        (ObservedPlace(1, "BE", None, None), True),
        (ObservedPlace(1, "ES", None, None), False),
        (ObservedPlace(1, "", None, None), False),
        (ObservedPlace(1, "BE", 15, 10.01), True),  # just off the coast: in no unit, so the country speaks
        (ObservedPlace(1, "", 15, 10.01), False),
    ],
)
def test_where_a_place_lies(place: ObservedPlace, north: bool) -> None:
    assert RegionMap([NORTH, SOUTH]).species_in(NORTH, [place]) == ({1} if north else set())


def test_a_country_without_geometry_has_the_places_that_name_it() -> None:
    belgium = country_region("BE")
    places = [ObservedPlace(1, "BE", 51, 4), ObservedPlace(2, "NL", 51, 4), ObservedPlace(3, "", 51, 4)]

    assert RegionMap([]).species_in(belgium, places) == {1}
