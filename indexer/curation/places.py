"""Normalises places and languages of archives. Implausible values are dropped with a reason."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import pycountry

from indexer.curation.cldr import fold_name, read_names
from indexer.records import DroppedValue

SUBDIVISIONS = resources.files(pycountry) / "databases" / "iso3166-2.json"
EARTH = 20_037_500.0  # metres: half the Earth's circumference, the largest possible uncertainty
NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)"
DECIMAL = re.compile(rf"{NUMBER}(?:[eE][+-]?\d{{1,2}})?")
DEGREES = re.compile(
    rf"(?P<before>[NSEW])?\s*(?P<degrees>{NUMBER})\s*(?:°|d(?:eg(?:rees?)?)?\.?)?\s*"
    rf"(?:[:\s]?\s*(?P<minutes>\d{{1,2}}(?:[.,]\d+)?)\s*(?:'|:|(?P<word>m(?:in(?:utes?)?)?\.?))?\s*"
    rf"(?:(?P<seconds>\d{{1,2}}(?:[.,]\d+)?)\s*(?:\"|''|(?(word)s(?:ec(?:onds?)?)?\.?|(?!)))?)?)?\s*(?P<behind>[NSEW])?",
    re.I,
)
"""Degrees with optional minutes and seconds; `s` is seconds after minutes written as `m`, otherwise south."""
SIGNS = str.maketrans("º˚′’‘´`″”“−–\u00a0", "°°'''''\"\"\"-- ")
BETWEEN = (
    r"\s*[;|/]\s*", r"(?<=[NSEWnsew])[\s,]+(?=[\d+-])", r",\s+", r"\s+(?=[NSEWnsew]\s*\d)", r",(?=[^,]*$)",
    r"(?<=\d)\s+(?=[+-]?\d)",
)  # fmt: skip
"""Separators of two coordinates in one cell, the most reliable first."""
METRES = re.compile(
    rf"(?:±|\+/-|<=?|≤|~|≈|ca\.?|circa|approx\.?)?\s*(?P<number>{NUMBER}|\d{{1,3}}(?:,\d{{3}})+)\s*"
    r"(?P<unit>m|metres?|meters?|mètres?|metros?|metri|meter|mts?|km|kilomet(?:re|er)s?|ft|feet|foot|miles?|mi)?\.?",
    re.I,
)
UNITS = {"k": 1000.0, "f": 0.3048, "mi": 1609.344}
IN_DOUBT = re.compile(
    r"\?|\b(?:un(?:certain|sure|clear|confirmed|likely)|prob(?:able|ably)?|poss(?:ible|ibly)?|perhaps|maybe|presumabl[ey]|"
    r"presumed|doubtful|dubious|likely|cf|aff|not|or|approx\w*|ca|circa|near|fraglich|unsicher|vermutlich|vielleicht|"
    r"wohl|wahrscheinlich|oder|nicht|incertaine?|probablement|peut|ou|incierto|dudos[ao]|quiz[aá]s?|forse|incerto|"
    r"dubbio|usikker|muligvis|eller|osäker|kanske|misschien|onzeker)\b",
    re.I,
)
"""Words beside a country, outside its name or in brackets, that make it doubtful."""
SPOKEN_IN = re.compile(r"(?P<language>[^()]+?)\s*\((?P<country>[^()]+)\)")
"""A language with a region: `English (US)`."""
NOT_COUNTRIES = frozenset({"ZZ", "XZ", "XX", "-", "UNKNOWN", "ZZZ"})
DIRECTIONS = frozenset((
    "the", "north", "south", "east", "west", "northern", "southern", "eastern", "western", "central", "centre",
    "center", "middle", "upper", "lower", "inner", "outer", "capital", "city", "region", "district", "province",
    "coast", "coastal", "interior", "highlands", "lowlands", "islands", "island", "nord", "sud", "est", "ouest",
    "norte", "sur", "este", "oeste", "centro", "littoral", "metropolitan", "northeast", "northwest", "southeast",
    "southwest", "north-east", "north-west", "south-east", "south-west",
))  # fmt: skip
"""Names too general for a subdivision: North alone does not mean that of Cameroon."""
NO_LANGUAGE = frozenset((
    "und", "mul", "mis", "zxx",
))  # fmt: skip
COUNTRIES = {
    "uk": "GB", "el": "GR", "xk": "XK", "xkx": "XK", "england": "GB", "scotland": "GB", "wales": "GB",
    "northern ireland": "GB", "great britain": "GB", "britain": "GB", "czech republic": "CZ", "turkey": "TR",
    "holland": "NL", "ivory coast": "CI", "macedonia": "MK", "fyrom": "MK", "swaziland": "SZ", "burma": "MM",
    "cape verde": "CV", "east timor": "TL", "republic of ireland": "IE", "eire": "IE", "viet nam": "VN",
    "korea": "", "republic of korea": "KR", "congo": "", "dr congo": "CD", "democratic republic of the congo": "CD",
    "republic of the congo": "CG", "england and wales": "GB", "中国大陆": "CN", "vatican": "VA", "palestine": "PS",
    "reunion": "RE", "hawaii": "US", "america": "", "hong kong": "HK", "macau": "MO", "soviet union": "",
    "ussr": "", "yugoslavia": "", "czechoslovakia": "", "gdr": "DE", "east germany": "DE", "west germany": "DE",
    "zaire": "CD", "ceylon": "LK", "persia": "IR", "siam": "TH", "crimea": "", "serbia and montenegro": "",
    "netherlands antilles": "", "espanya": "ES", "brasil": "BR", "uae": "AE", "drc": "CD", "prc": "CN", "roc": "TW",
    "bosnia": "BA", "st lucia": "LC", "usa": "US", "us": "US",
}  # fmt: skip
"""Common names missing in ISO 3166-1 and CLDR; empty for former countries that are several today."""


def parse_coordinates(latitude: str, longitude: str) -> tuple[float | None, float | None, DroppedValue | None]:
    """Return (latitude, longitude, doubt): decimal degrees, both or neither.

    Accepts decimal degrees, degrees with minutes and seconds, and the letters N, S, E and W, which determine the axis.
    O is ambiguous: it is east in German, west in French and Spanish.
    """
    texts = f"{latitude}, {longitude}".strip(" ,")
    if not texts:
        return None, None, None
    north, east = _degrees(latitude), _degrees(longitude)
    if north is None or east is None:
        return (
            None,
            None,
            DroppedValue("coordinates-not-read", "decimalLatitude", texts, "these are not two numbers of degrees"),
        )
    if north[1] == "E" and east[1] == "N":
        north, east = east, north
    if north[1] == "E" or east[1] == "N":
        return (
            None,
            None,
            DroppedValue("coordinates-not-read", "decimalLatitude", texts, "the letters contradict the columns"),
        )
    y, x = north[0], east[0]
    if abs(y) > 90 or abs(x) > 180:
        return (
            None,
            None,
            DroppedValue("coordinates-not-on-earth", "decimalLatitude", texts, f"{y:g}, {x:g} is not on Earth"),
        )
    if y == 0 and x == 0:
        return None, None, DroppedValue("coordinates-zero", "decimalLatitude", texts, "0, 0 stands for none")
    return y, x, None


def split_coordinates(text: str) -> tuple[str, str]:
    """Split a cell with both coordinates; returns two empty texts if it does not have both."""
    plain = text.translate(SIGNS).strip(" ()[]")
    if DECIMAL.fullmatch(plain):
        return "", ""  # one number: `46,95` has a decimal comma
    for pattern in BETWEEN:
        parts = re.split(pattern, plain)
        if len(parts) == 2 and all(_degrees(part) for part in parts):
            return parts[0], parts[1]
    return "", ""


def _degrees(text: str) -> tuple[float, str] | None:
    """Return (degrees, axis): axis is N or E if a letter determines it, else empty."""
    text = text.translate(SIGNS).strip()
    if DECIMAL.fullmatch(text):
        return _finite(text), ""
    found = DEGREES.fullmatch(text)
    if found is None or (found["before"] and found["behind"]):
        return None
    letter = (found["before"] or found["behind"] or "").upper()
    whole, minutes, seconds = (_finite(found[part] or "0") for part in ("degrees", "minutes", "seconds"))
    negative = found["degrees"].startswith("-")
    if (
        minutes >= 60
        or seconds >= 60
        or (found["minutes"] and not whole.is_integer())
        or (letter in "NE" and letter and negative)
    ):
        return None
    size = abs(whole) + minutes / 60 + seconds / 3600
    return (-size if negative or letter in ("S", "W") else size), {"S": "N", "W": "E"}.get(letter, letter)


def parse_uncertainty(text: str) -> tuple[float | None, DroppedValue | None]:
    """Return (metres or None, doubt), converted from kilometres, feet and miles."""
    text = text.strip()
    if not text:
        return None, None
    found = METRES.fullmatch(text)
    if found and text.isascii() | ("±" in text) | ("≤" in text) | ("≈" in text) | ("è" in text):
        number, unit = found["number"], (found["unit"] or "").lower()
        thousands = re.fullmatch(r"\d{1,3}(?:,\d{3})+", number)  # no decimal comma: nobody gives millimetres
        metres = _finite(number.replace(",", "") if thousands else number)
        metres *= UNITS.get(unit[:2], UNITS.get(unit[:1], 1.0)) if unit else 1.0
    elif DECIMAL.fullmatch(text):
        metres = _finite(text)
    else:
        metres = -1.0
    if not 0 < metres <= EARTH:
        return None, DroppedValue(
            "uncertainty-not-read", "coordinateUncertaintyInMeters", text, "this is no distance in metres"
        )
    return metres, None


def parse_country(text: str) -> tuple[str, DroppedValue | None]:
    """Return (ISO 3166-1 alpha-2 code or "", doubt) of a code of two or three letters, or a name in many languages."""
    text = " ".join(text.split())
    if not text or text.upper() in NOT_COUNTRIES:
        return "", None
    code = _country(text)
    if not code:
        return "", DroppedValue("country-not-known", "countryCode", text, "no country is known by this name")
    if _is_guess(text, code):
        return "", DroppedValue("country-uncertain", "countryCode", text, "what stands beside the country is a doubt")
    return code, None


@lru_cache(maxsize=4096)
def _is_guess(text: str, code: str) -> bool:
    """Return whether a country is doubtful: by a question mark, words in brackets, or another country in them."""
    if text.isalpha():
        return False
    within = re.findall(r"[(\[]([^()\[\]]*)", text) if not _named_country(text) else []
    return "?" in text or any(IN_DOUBT.search(words) or _country(words) not in ("", code) for words in within)


@lru_cache(maxsize=1024)
def parse_language(text: str) -> str:
    """Return the BCP 47 tag of a language tag, an ISO 639 code, or a name in English or in the language itself.

    Script and region are kept: `en_US` is en-US, `zh-hant-tw` zh-Hant-TW. Empty if it is no language.
    """
    text = text.strip()
    if spoken := SPOKEN_IN.fullmatch(text):
        language, (country, _) = parse_language(spoken["language"]), parse_country(spoken["country"])
        return f"{language}-{country}" if language and country else language
    head, *tail = re.split("[-_]", text)
    language = _language(head.lower()) or (
        _languages_by_name().get(fold_name(text), "") if len(text) > 3 or not text.isascii() else ""
    )
    if not language or language in NO_LANGUAGE:
        return ""
    shaped = [
        part.title() if len(part) == 4 and part.isalpha() else part.upper() if len(part) in (2, 3) else part.lower()
        for part in tail
    ]
    tag = "-".join([language, *shaped])
    return tag if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", tag) else language


def is_no_language(text: str) -> bool:
    """Return whether a text is the tag of no specific language: `und`, `mul`, `zxx`."""
    return text.strip().lower() in NO_LANGUAGE


def _language(text: str) -> str:
    """Look up a code by its length: by any attribute, `en` would be a language called En."""
    languages = pycountry.languages
    found: Any = None
    if len(text) == 2:
        found = languages.get(alpha_2=text)
    elif len(text) == 3:
        found = languages.get(alpha_3=text) or languages.get(bibliographic=text)
    return str(getattr(found, "alpha_2", None) or found.alpha_3) if found else ""


@cache
def _languages_by_name() -> dict[str, str]:
    names = {fold_name(one.name): str(getattr(one, "alpha_2", None) or one.alpha_3) for one in pycountry.languages}
    elsewhere = {name: next(iter(codes)) for name, codes in read_names().languages.items() if len(codes) == 1}
    return names | elsewhere | {"norsk": "no", "castellano": "es", "flemish": "nl", "vlaams": "nl"}


@lru_cache(maxsize=4096)
def _country(text: str) -> str:
    if found := _named_country(text):
        return found
    without = re.sub(r"[(\[].*", "", text)  # `Germany (DE)`
    return _named_country(without) if fold_name(without) not in ("", fold_name(text)) else ""


def _named_country(text: str) -> str:
    name = fold_name(text)
    if name in COUNTRIES:
        return COUNTRIES[name]
    letters = name.replace(" ", "")
    if len(letters) in (2, 3) and letters.isascii():
        code = pycountry.countries.get(**{f"alpha_{len(letters)}": letters.upper()})
        if code is not None:
            return str(code.alpha_2)
    return _english_countries().get(name) or _countries_elsewhere().get(name, "")


@cache
def _english_countries() -> dict[str, str]:
    """Return countries by their names in ISO 3166 and English CLDR, normalised."""
    codes = _codes()
    names = {name: code for name, found in read_names().english_countries.items() for code in found if code in codes}
    for country in pycountry.countries:
        for attribute in ("name", "common_name", "official_name"):
            if name := getattr(country, attribute, None):
                names[fold_name(name)] = country.alpha_2
    return names


@cache
def _codes() -> frozenset[str]:
    return frozenset(country.alpha_2 for country in pycountry.countries) | {"XK"}


@cache
def _countries_elsewhere() -> dict[str, str]:
    """Return countries by their names in other languages; ambiguous names are omitted.

    Subdivisions of a single country (Scotland, Bayern) map to it.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for part in json.loads(SUBDIVISIONS.read_text("utf-8"))["3166-2"]:  # as pycountry objects they take 6 MB
        if not DIRECTIONS.issuperset((name := fold_name(part["name"])).split()):
            parts[name].add(part["code"].partition("-")[0])
    others = {name: codes & _codes() for name, codes in read_names().countries.items()}
    return {name: next(iter(codes)) for table in (parts, others) for name, codes in table.items() if len(codes) == 1}


def _finite(text: str) -> float:
    value = float(text.replace(",", "."))
    return value if math.isfinite(value) else math.inf
