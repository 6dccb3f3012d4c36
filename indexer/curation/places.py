"""Places and languages as archives write them, in one form. What is not believable is dropped with its reason."""

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
EARTH = 20_037_500.0  # metres: half the way round; no uncertainty can be larger
NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)"
DECIMAL = re.compile(rf"{NUMBER}(?:[eE][+-]?\d{{1,2}})?")
DEGREES = re.compile(
    rf"(?P<before>[NSEW])?\s*(?P<degrees>{NUMBER})\s*(?:°|d(?:eg(?:rees?)?)?\.?)?\s*"
    rf"(?:[:\s]?\s*(?P<minutes>\d{{1,2}}(?:[.,]\d+)?)\s*(?:'|:|(?P<word>m(?:in(?:utes?)?)?\.?))?\s*"
    rf"(?:(?P<seconds>\d{{1,2}}(?:[.,]\d+)?)\s*(?:\"|''|(?(word)s(?:ec(?:onds?)?)?\.?|(?!)))?)?)?\s*(?P<behind>[NSEW])?",
    re.I,
)
"""Degrees with or without minutes and seconds; `s` is seconds behind minutes written `m`, and south elsewhere."""
SIGNS = str.maketrans("º˚′’‘´`″”“−–\u00a0", "°°'''''\"\"\"-- ")
BETWEEN = (
    r"\s*[;|/]\s*", r"(?<=[NSEWnsew])[\s,]+(?=[\d+-])", r",\s+", r"\s+(?=[NSEWnsew]\s*\d)", r",(?=[^,]*$)",
    r"(?<=\d)\s+(?=[+-]?\d)",
)  # fmt: skip
"""What stands between two coordinates in one cell, the surest first."""
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
"""Words beside a country, outside its name or within brackets, that make it a guess."""
SPOKEN_IN = re.compile(r"(?P<language>[^()]+?)\s*\((?P<country>[^()]+)\)")
"""A language with where it is spoken: `English (US)`."""
NOT_COUNTRIES = frozenset({"ZZ", "XZ", "XX", "-", "UNKNOWN", "ZZZ"})
DIRECTIONS = frozenset((
    "the", "north", "south", "east", "west", "northern", "southern", "eastern", "western", "central", "centre",
    "center", "middle", "upper", "lower", "inner", "outer", "capital", "city", "region", "district", "province",
    "coast", "coastal", "interior", "highlands", "lowlands", "islands", "island", "nord", "sud", "est", "ouest",
    "norte", "sur", "este", "oeste", "centro", "littoral", "metropolitan", "northeast", "northwest", "southeast",
    "southwest", "north-east", "north-west", "south-east", "south-west",
))  # fmt: skip
"""A subdivision named by these alone (North, of Cameroon) is not what a person means by the word."""
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
"""What people write and neither ISO 3166-1 nor CLDR has; nothing for what is several countries today."""


def parse_coordinates(latitude: str, longitude: str) -> tuple[float | None, float | None, DroppedValue | None]:
    """Return (latitude, longitude, doubt): decimal degrees, both or neither.

    Read are decimal degrees, degrees with minutes and seconds, and the letters N, S, E and W, which say which of the
    two a number is. O is neither: it is east in German, west in French and Spanish.
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
    """Split a cell that holds both coordinates; two empty texts where it does not."""
    plain = text.translate(SIGNS).strip(" ()[]")
    if DECIMAL.fullmatch(plain):
        return "", ""  # one number: `46,95` is a decimal comma and no pair
    for pattern in BETWEEN:
        parts = re.split(pattern, plain)
        if len(parts) == 2 and all(_degrees(part) for part in parts):
            return parts[0], parts[1]
    return "", ""


def _degrees(text: str) -> tuple[float, str] | None:
    """Return (degrees, axis): axis is N or E where a letter says it, else empty."""
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
    """Return (metres or None, doubt). Kilometres, feet and miles are turned into metres."""
    text = text.strip()
    if not text:
        return None, None
    found = METRES.fullmatch(text)
    if found and text.isascii() | ("±" in text) | ("≤" in text) | ("≈" in text) | ("è" in text):
        number, unit = found["number"], (found["unit"] or "").lower()
        thousands = re.fullmatch(r"\d{1,3}(?:,\d{3})+", number)  # a decimal comma has no business with millimetres
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
    """Tell whether a country is doubted: by a question mark, by words in brackets, or by another country in them."""
    if text.isalpha():
        return False
    within = re.findall(r"[(\[]([^()\[\]]*)", text) if not _named_country(text) else []
    return "?" in text or any(IN_DOUBT.search(words) or _country(words) not in ("", code) for words in within)


@lru_cache(maxsize=1024)
def parse_language(text: str) -> str:
    """Return the BCP 47 tag of a language: of a tag, an ISO 639 code, or its name in English or in itself.

    Script and region stay: `en_US` is en-US, `zh-hant-tw` zh-Hant-TW. Nothing where it is no language.
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
    """Say whether a text is the tag for no certain language: `und`, `mul`, `zxx`."""
    return text.strip().lower() in NO_LANGUAGE


def _language(text: str) -> str:
    """Look a code up by its length: looked up by anything, `en` is a language called En."""
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
    """Countries by their names in ISO 3166 and by their English ones in CLDR, folded."""
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
    """Countries by their names in other languages; what is the name of two is no name of either.

    Subdivisions of one country alone (Scotland, Bayern) stand for it.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for part in json.loads(SUBDIVISIONS.read_text("utf-8"))["3166-2"]:  # as objects of pycountry, they take 6 MB
        if not DIRECTIONS.issuperset((name := fold_name(part["name"])).split()):
            parts[name].add(part["code"].partition("-")[0])
    others = {name: codes & _codes() for name, codes in read_names().countries.items()}
    return {name: next(iter(codes)) for table in (parts, others) for name, codes in table.items() if len(codes) == 1}


def _finite(text: str) -> float:
    value = float(text.replace(",", "."))
    return value if math.isfinite(value) else math.inf
