"""Scientific names: what is name, what is authorship, and which species is meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

ABOVE_SPECIES = frozenset(
    {"domain", "kingdom", "subkingdom", "phylum", "subphylum", "class", "subclass", "order", "suborder", "superfamily",
     "family", "subfamily", "tribe", "subtribe", "genus", "subgenus", "section", "subsection", "series", "genushybrid"}
)  # fmt: skip
"""Values of taxonRank that say: no species is meant."""

RANK_MARKS = {
    "subsp": "subsp.", "ssp": "subsp.", "subspecies": "subsp.", "var": "var.", "variety": "var.", "varietas": "var.",
    "subvar": "subvar.", "f": "f.", "fo": "f.", "fm": "f.", "form": "f.", "forma": "f.", "morph": "f.", "subf": "subf.",
    "f.sp": "f. sp.", "cv": "cv.",
}  # fmt: skip
UNNAMED = frozenset({"sp", "spp", "spec", "species", "indet", "ined", "gen", "nov", "x", "sect", "subg", "subgen"})
UNCERTAIN = frozenset({"cf", "aff", "nr", "prox", "vel"})
AGGREGATE = re.compile(
    r"\b(?:agg|aggr|aggregate|coll|s\.\s?l|s\.\s?lat|sens\.?\s?lat|sensu\s+lato|species\s+complex|complex|group|gr)\b\.?.*$",
    re.I,
)
OTHER_SENSE = re.compile(
    r"\b(?:sensu|sens\.|ss\.?|auct\.?|auctt\.?|non|nec|s\.\s?str\.?|s\.\s?auct\.?|emend\.?)(?:\s.*|$)"
)
NOMENCLATURE = re.compile(r"[,\s]*\b(?:nom|comb|stat)\.\s?\w+\.?.*$|\bined\.?$", re.I)
GENUS = re.compile(r"^[A-ZÀ-Þ][a-zß-ÿ]+(?:-[a-zß-ÿ]+)?$")
EPITHET = re.compile(r"^[a-zß-ÿ]{2,}(?:-[a-zß-ÿ]+)*$")
PARTICLES = frozenset(
    {"de", "den", "der", "des", "di", "du", "la", "le", "van", "von", "vom", "zu", "zur", "ex", "in", "et", "and", "y",
     "e", "f", "fil", "bis", "apud", "non", "nec"}
)  # fmt: skip
NO_GENUS = frozenset(
    {"Unknown", "Unidentified", "Undetermined", "Indet", "Mixed", "Imageless", "Incertae", "Various", "Fungus", "Fungi",
     "Mushroom", "Mushrooms", "Toadstool", "Unnamed", "Other", "Not", "No"}
)  # fmt: skip
ENDING_OF_FAMILY_AND_ABOVE = re.compile(r"(?:aceae|oideae|ales|ineae|mycetes|mycota|mycotina)$")


@dataclass(frozen=True, slots=True)
class ParsedName:
    """A scientific name taken apart. `species` is empty where none is meant."""

    genus: str
    species: str  # genus and epithet
    authorship: str  # of the species name; empty where it belongs to an infraspecific name
    infraspecific: str = ""  # the whole name with its mark: `Amanita phalloides var. alba`
    uncertain: str = ""  # cf., aff. or ?: the identification is a guess
    loose: str = ""  # the name is used more widely, or otherwise, than its type says

    @property
    def full(self) -> str:
        """The name without authorship, infraspecific part included."""
        return self.infraspecific or self.species or self.genus


NO_NAME = ParsedName("", "", "")


class NameResolver(Protocol):
    """Says which accepted species a name or key belongs to. Must give the same answer on every call."""

    def accepted(self, name: str, key: int | None) -> tuple[str, int | None] | None:
        """Return (accepted species name without authorship, its GBIF key or None), or None where it knows nothing."""
        ...


class KnownNames:
    """A NameResolver over two dictionaries: by GBIF key, which goes first, and by name without authorship."""

    def __init__(
        self,
        by_name: Mapping[str, tuple[str, int | None]] | None = None,
        by_key: Mapping[int, tuple[str, int | None]] | None = None,
    ) -> None:
        self._by_name = dict(by_name or {})
        self._by_key = dict(by_key or {})

    def accepted(self, name: str, key: int | None) -> tuple[str, int | None] | None:
        if key is not None and key in self._by_key:
            return self._by_key[key]
        return self._by_name.get(name)


@lru_cache(maxsize=65536)
def parse_name(text: str) -> ParsedName:
    """Take a scientific name apart: authorship off, markers off, infraspecific names down to their species.

    Pure; never raises. What cannot be read as a name gives empty fields.
    """
    plain = _plain(text)
    if not plain:
        return NO_NAME
    uncertain = "?" if "?" in plain else ""
    plain = " ".join(plain.replace("?", " ").split())
    hybrid, plain = _without_hybrid_signs(plain)
    if hybrid == "formula":
        return NO_NAME
    words = plain.split()
    if words and _mark(words[0]) in UNCERTAIN:
        uncertain = words.pop(0)
    if not words:
        return NO_NAME
    genus = _genus(words)
    if genus is None or genus in NO_GENUS:
        return NO_NAME
    rest = words[1:]
    if rest and re.fullmatch(r"\([A-ZÀ-Þ][a-zß-ÿ-]+\)", rest[0]) and len(rest) > 1 and EPITHET.match(rest[1]):
        rest = rest[1:]  # a subgenus in parentheses
    if rest and _mark(rest[0]) in UNCERTAIN:
        uncertain = rest.pop(0)
    if not rest or not _is_epithet(rest[0]) or ENDING_OF_FAMILY_AND_ABOVE.search(genus):
        return ParsedName(genus, "", "", uncertain=uncertain)
    species = f"{genus} {rest[0]}"
    tail, loose = _without_usage(" ".join(rest[1:]))
    if hybrid:
        loose = loose or "hybrid"
    authorship, infraspecific = _split_tail(species, tail.split())
    if any(_mark(word) in UNCERTAIN for word in tail.split()):
        uncertain = uncertain or "cf."
    return ParsedName(genus, species, authorship, infraspecific, uncertain, loose)


def compose_name(genus: str, specific_epithet: str) -> str:
    """Put a name together from its columns, for archives that leave scientificName empty."""
    return (
        f"{genus.strip()} {specific_epithet.strip()}" if genus.strip() and specific_epithet.strip() else genus.strip()
    )


def same_authorship(text: str) -> str:
    """Bring an authorship to one spacing: `J.Schröt` and `J. Schröt` are written alike."""
    return re.sub(r"\.(?=[^\s).,&\]-])", ". ", " ".join(text.split())).strip(" ,;")


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFC", re.sub(r"<[^>]*>", "", text)).replace("_", " ").replace("\u00a0", " ")
    return " ".join(re.sub("[\"'“”‘’«»]", "", text).split())


def _without_hybrid_signs(plain: str) -> tuple[str, str]:
    words = re.sub("[×✕]", " × ", plain).split()
    signs = [place for place, word in enumerate(words) if word in {"×", "x", "X"}]
    if not signs:
        return "", plain
    kept = [word for place, word in enumerate(words) if place not in signs]
    formula = any(place >= 2 for place in signs) and len([word for word in kept if GENUS.match(word)]) > 1
    if formula or any(place >= 2 and place + 1 < len(words) and EPITHET.match(words[place + 1]) for place in signs):
        return "formula", plain
    return "hybrid", " ".join(kept)


def _genus(words: list[str]) -> str | None:
    first = words[0]
    if len(words) > 1 and first.isupper() and len(first) > 2 and words[1].isupper():
        words[1] = words[1].lower()  # shouted names
        first = first.capitalize()
    elif (first.isupper() and len(first) > 2) or (first.islower() and len(words) > 1 and _is_epithet(words[1])):
        first = first.capitalize()
    return first if GENUS.match(first) else None


def _mark(word: str) -> str:
    return word.lower().rstrip(".")


def _is_epithet(word: str) -> bool:
    mark = _mark(word)
    return bool(EPITHET.match(word)) and mark not in UNNAMED and mark not in UNCERTAIN and mark not in RANK_MARKS


def _without_usage(tail: str) -> tuple[str, str]:
    tail = NOMENCLATURE.sub("", tail)
    if AGGREGATE.search(tail):
        return AGGREGATE.sub("", tail).strip(), "aggregate"
    if found := OTHER_SENSE.search(tail):
        narrow = re.match(r"(?:s\.\s?str|sensu\s+stricto|ss\.?\s+str|emend)", found[0]) is not None
        return tail[: found.start()].strip(), "" if narrow else "used in another sense"
    return tail, ""


def _split_tail(species: str, tail: list[str]) -> tuple[str, str]:
    """Split what follows the epithet into the species' authorship and the infraspecific name."""
    for place, word in enumerate(tail):
        mark = RANK_MARKS.get(_mark(word))
        if mark and place + 1 < len(tail) and _is_epithet(tail[place + 1]) and tail[place + 1] not in PARTICLES:
            return same_authorship(" ".join(tail[:place])), f"{species} {mark} {tail[place + 1]}"
    if tail and _is_epithet(tail[0]) and tail[0] not in PARTICLES:  # a third name without a mark, as zoologists write
        return "", f"{species} {tail[0]}"
    return same_authorship(" ".join(tail)), ""
