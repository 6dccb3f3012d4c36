"""Names of countries, languages and months in many languages, from Unicode's CLDR through Babel."""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from babel import localedata

LOCALES = (
    "en", "de", "fr", "es", "it", "pt", "nl", "da", "sv", "nb", "nn", "no", "fi", "is", "et", "lv", "lt", "pl", "cs",
    "sk", "hu", "sl", "hr", "sr", "bs", "mk", "bg", "ro", "sq", "el", "tr", "ru", "uk", "be", "ka", "hy", "ca",
    "eu", "gl", "ga", "cy", "ja", "zh", "zh_Hant", "ko", "vi", "th", "id", "ms", "ar", "he", "fa", "hi", "af", "sw",
)  # fmt: skip
"""Europe's languages, and the largest of the world's."""


@dataclass(frozen=True, slots=True)
class WorldNames:
    """Names normalised by `fold_name`; ambiguous names have all their meanings."""

    countries: Mapping[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # ISO 3166-1 alpha-2
    english_countries: Mapping[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    languages: Mapping[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # in English and natively
    months: Mapping[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # full and abbreviated
    english_months: Mapping[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    weekdays: set[str] = field(default_factory=set)  # full and abbreviated


@cache
def read_names() -> WorldNames:
    """Read the names of all LOCALES, one at a time: a locale takes megabytes, its names some kilobytes."""
    names = WorldNames()
    for tag in LOCALES:
        locale = _read_locale(tag)
        for code, name in locale.get("territories", {}).items():
            if re.fullmatch("[A-Z]{2}", code):
                names.countries[fold_name(name)].add(code)
                if tag == "en":
                    names.english_countries[fold_name(name)].add(code)
        for code, name in locale.get("languages", {}).items():
            if re.fullmatch("[a-z]{2,3}", code) and (tag == "en" or code == tag.split("_")[0]):
                names.languages[fold_name(name)].add(code)
        for number, name in _calendar_names(locale.get("months", {})):
            names.months[fold_name(name)].add(number)
            if tag == "en":
                names.english_months[fold_name(name)].add(number)
        names.weekdays.update(fold_name(name) for _, name in _calendar_names(locale.get("days", {})))
    return names


def _read_locale(tag: str) -> dict[str, Any]:
    """Return a locale's own data from Babel's file of it.

    `localedata.load` shares one cache with the translations of the pages: it keeps every locale in memory, and returns
    what was merged with the root locale there, which hides names behind aliases.
    """
    with Path(localedata.resolve_locale_filename(tag)).open("rb") as file:
        locale: dict[str, Any] = pickle.load(file)  # noqa: S301 - part of the installed package
    return locale


def _calendar_names(contexts: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield names that are words, since some locales abbreviate to numbers or reuse other widths."""
    for widths in contexts.values():
        for width in ("wide", "abbreviated"):
            named = widths.get(width) if isinstance(widths, Mapping) else None
            if isinstance(named, Mapping):
                yield from (
                    (number, name)
                    for number, name in named.items()
                    if fold_name(name) and not fold_name(name).isdigit()
                )


def fold_name(text: str) -> str:
    """Normalise a name for comparison: lower case, without accents, punctuation and a leading `the`."""
    parts = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    plain = "".join(sign for sign in parts if not unicodedata.combining(sign))
    plain = re.sub(r"\b([a-z])\.(?=\s?[a-z]\b)", r"\1", plain)  # U.S.A.
    return re.sub(r"^(?:the )+", "", " ".join(re.sub(r"[\W_]+", " ", plain).split()))
