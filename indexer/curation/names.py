"""Scientific names: parsed into name, authorship and species.

Uses GBIF's own parser. The code around it handles what labels have and taxonomists' lists do not: typography, doubts in
many spellings, alternatives, and plain words instead of an epithet.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import nameparser

from database.taxonomy.register import names_same_species

ABOVE_SPECIES = frozenset((
    "domain", "kingdom", "subkingdom", "phylum", "subphylum", "class", "subclass", "order", "suborder",
    "superfamily", "family", "subfamily", "tribe", "subtribe", "genus", "subgenus", "section", "subsection",
    "series", "subseries", "genushybrid", "supersection", "stirps", "clade", "infragenericname", "infragenus",
    "suprageneric name", "division", "superorder", "infraorder", "cohort", "supergenus", "genusgroup",
))  # fmt: skip
"""Values of taxonRank for records without a species."""

NO_EPITHETS = frozenset((
    "sektion", "untersektion", "untergattung", "gattung", "gruppe", "komplex", "art", "arten", "unbekannt",
    "espece", "especes", "espèce", "especie", "specie", "seccion", "sección", "sezione", "sectie", "sekce", "sekcja",
    "desconocido", "inconnu", "inconnue", "okänd", "ukjent", "ukendt", "onbekend", "tuntematon", "neznámý", "complesso",
    "sp", "spp", "spec", "specs", "species", "subsp", "ssp", "subspecies", "var", "variety", "f", "form", "forma",
    "nov", "ined", "indet", "indetermined", "undetermined", "unidentified", "unknown", "unnamed", "undescribed",
    "unsorted", "unspecified", "uncertain", "doubtful", "mixed", "various", "several", "other", "others", "any",
    "none", "not", "no", "non", "nec", "nom", "comb", "stat", "gen", "genus", "fam", "family", "ord", "order",
    "sect", "section", "subsect", "subsection", "subg", "subgen", "subgenus", "ser", "series", "subser", "stirps",
    "stirp", "tribe", "group", "groups", "grp", "gr", "clade", "complex", "aggregate", "aggregates", "agg", "aggr",
    "coll", "sensu", "sens", "auct", "auctt", "lato", "stricto", "emend", "pro", "like", "type", "and", "or", "und",
    "oder", "et", "ou", "vel", "vs", "versus", "with", "without", "on", "in", "from", "near", "by", "at", "hybrid",
    "hybrids", "mushroom", "mushrooms", "fungus", "fungi", "toadstool", "bolete", "polypore", "collection",
    "specimen", "juvenile", "immature", "button", "mycelium", "spores", "same", "ditto", "idem", "tba", "tbd",
    "todo",
))  # fmt: skip
"""Words after a genus that are not epithets."""

UNCERTAIN = frozenset((
    "cf", "cfr", "conf", "confer", "comp", "aff", "affin", "nr", "near", "prox", "prob", "probably", "poss",
    "possibly", "perhaps", "maybe", "likely", "apparently", "presumably", "id", "incertae",
))  # fmt: skip
REMARKS_OF_DOUBT = re.compile(
    r"[(\[]?(?<![a-z-])(doubtful|dubious|uncertain|unsure|unconfirmed|unverified|tentative(?:ly)?|provisional|prov\.|"
    r"ad int\.?|tbc|to be confirmed|not (?:certain|sure|confirmed)|unsicher|fraglich|vermutlich|wahrscheinlich|"
    r"incertaine?|douteu(?:x|se)|probable(?:ment)?|dudos[ao]|usikker|osäker|onzeker)(?![a-z-])[)\]]?"
)
"""Words after a name that make it doubtful; none of them is an epithet."""
GROUPS = frozenset({"gr", "grp", "group", "agg", "aggr", "aggregate", "coll", "complex", "stirps", "ex gr"})
NO_GENUS = frozenset((
    "Unknown", "Unidentified", "Undetermined", "Indet", "Mixed", "Imageless", "Incertae", "Various", "Fungus",
    "Fungi", "Mushroom", "Mushrooms", "Toadstool", "Unnamed", "Other", "Not", "No", "None", "Species", "Genus",
    "Sp", "Bolete", "Polypore",
))  # fmt: skip
GENUS = re.compile(r"[A-ZÀ-Þ][a-zß-ÿ]+(?:-[a-zß-ÿ]+)?")
BINOMIAL = re.compile(r"([A-Z][a-z]{3,}) ([a-z]{4,}(?:a|ae|i|is|us|um|ens|ans))")
NO_LATIN = frozenset({"virus", "phage", "plasmid", "prion", "species", "genus", "incertae", "bacterium"})
EPITHET = re.compile(r"[a-zß-ÿ]{2,}(?:-[a-zß-ÿ]+)*")
ENDING_OF_FAMILY_AND_ABOVE = re.compile(r"(?:aceae|oideae|ales|ineae|mycetes|mycota|mycotina)$")
LIKE = re.compile(r"-(?:like|group|complex|type|agg|gr|ish)$")
ALTERNATIVES = re.compile(
    r"(?<=[a-zß-ÿ.?)])\s*(?:/|\s(?:or|oder|ou|vel|vs\.?|versus|and/or|og|eller)\s|\s\+\s)\s*(?=[A-Za-zÀ-ÿ])"
    r"|\s&\s+(?!(?:al|de|den|der|van|von|du|da|di|del|ter|ten|zu|le|la|fil)\b)(?=[a-zß-ÿ]{3})"
)
WIDE = re.compile(
    r"(?:s|ss|sens|sensu)\b\.?\s*(?:l|lat|lato|ampl|amplo)\b|^(?:lato|aggr?|coll|complex|group|gr|p\.?\s?p)\b",
    re.I,
)
NARROW = re.compile(r"(?:s|ss|sens|sensu)\b\.?\s*(?:s|str|stricto|orig\w*|typ\w*)\b|^(?:emend|stricto|typ)", re.I)
PROVISIONAL = re.compile(r"\b(?:prov|ined|int|inval|provis\w*|temp|ad int|in ed)\b", re.I)
RANK_MARKS = {
    "SUBSPECIES": "subsp.", "VARIETY": "var.", "SUBVARIETY": "subvar.", "FORM": "f.", "SUBFORM": "subf.",
    "FORMA_SPECIALIS": "f. sp.", "MORPH": "f.",
}  # fmt: skip
UNTIDY = re.compile(r"[&<_\"']| -|- ")
TRANSCRIBED = {
    "æ": "ae", "œ": "oe", "ø": "oe", "å": "ao", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ð": "d", "þ": "th",
    "ł": "l", "đ": "d", "ı": "i",
}  # fmt: skip
"""Diacritics and ligatures, which scientific names replace by article 60.7 of the nomenclatural code (ICN)."""
DIAERESIS = re.compile("(?<=[aeiouy])[äöü]")
"""A diaeresis, which only separates two vowels: `aërugineus` is `aerugineus`."""
HALVES = re.compile(r"^(\S+ (?:\([A-Z]\w+\) )?[a-zß-ÿ]{3,})( - |- | -|_)([a-zß-ÿ]{3,})(?=[\s,]|$)")
"""Halves of a hyphenated epithet, with blanks around the hyphen or an underscore instead."""
LATIN = re.compile(r"(?:a|ae|i|is|us|um|ens|ans|or|on|os|ix|ax)$")
"""Endings of epithets, rare in the words of remarks: `campestris - young` is no epithet."""
HYPHENS = frozenset("\u2212\u2043\u02d7\u2500\u30fb\u2027")
"""Characters used as hyphens besides Unicode's dashes."""
HOMOGLYPHS = str.maketrans("АВЕКМНОРСТХаеорсухі", "ABEKMHOPCTXaeopcyxi")
"""Cyrillic letters that look Latin, in words that also have Latin letters."""
PARTICLES = frozenset((
    "de", "den", "der", "des", "di", "du", "da", "dos", "del", "la", "le", "van", "von", "vom", "zu", "zur", "ter",
    "ten", "ex", "in", "et", "and", "und", "y", "e", "f", "fil", "filius", "bis", "apud", "al", "af", "auct",
    "non", "nec", "emend",
))  # fmt: skip
"""Lower-case words that an authorship can contain."""
SPELLINGS = tuple(
    (re.compile(pattern), plainer)
    for pattern, plainer in (
        (r"\(\s*\)|\[\s*\]", " "),
        (r"^([\"'])(.+?)\1(?= )", r"\2"),  # quotation marks of a table
        (r"^(\S+ )([\"'])([a-zß-ÿ]+)\2(?= |$)", r"\1\3"),
        (r"\bcv\.\s*([A-Z]\w*)", r"'\1'"),
        (r"(?<= )s\.\s?(?=auct\b|[A-ZÀ-Þ][a-zß-ÿ]{2})", "sensu "),
        (r"(?<= )(?:f\.? ?sp\.?|fsp\.?|forma specialis|f\. ?spec\.)(?= [a-zß-ÿ]{3})", "f. sp."),
        (r" coll\.?$", " agg."),
        (r"^(?:\d{1,4}|[IVX]+)[.)] +(?=[A-Z×])", ""),  # the number in a list
        (r"(?<=[a-z]{3})(?:[, +]+(?:0|I{1,3}|IV))+$", ""),  # stages of a rust
    )
)
"""Spellings misread by GBIF's parser, with their usual forms."""
OTHER_SENSE = "used in another sense"


@dataclass(frozen=True, slots=True)
class ParsedName:
    """A parsed scientific name. `species` is empty if there is none."""

    genus: str
    species: str  # genus and epithet
    authorship: str  # of the species name; empty if it belongs to an infraspecific name
    infraspecific: str = ""  # the whole name with its rank marker: `Amanita phalloides var. alba`
    uncertain: str = ""  # cf., aff., ?, auct. non: the identification is doubtful or denied
    loose: str = ""  # the name is used in a wider or another sense than its type

    @property
    def full(self) -> str:
        """Return the name without authorship, with its infraspecific part."""
        return self.infraspecific or self.species or self.genus


NO_NAME = ParsedName("", "", "")


class NameResolver(Protocol):
    """Resolves a name or key to its accepted species. Must be deterministic."""

    def accepted(self, name: str, key: int | None) -> tuple[str, int | None] | None:
        """Return (accepted species name without authorship, its GBIF key or None), or None if unknown."""
        ...


class KnownNames:
    """A NameResolver over two dictionaries: by GBIF key and by name without authorship.

    A key takes precedence if the name can be that species' own in another spelling or combination. Some archives have
    keys of other rows: keys that contradict the name are ignored.
    """

    def __init__(
        self,
        by_name: Mapping[str, tuple[str, int | None]] | None = None,
        by_key: Mapping[int, tuple[str, int | None]] | None = None,
    ) -> None:
        self._by_name = dict(by_name or {})
        self._by_key = dict(by_key or {})

    def accepted(self, name: str, key: int | None) -> tuple[str, int | None] | None:
        by_name = self._by_name.get(name)
        by_key = self._by_key.get(key) if key is not None else None
        if by_key is not None and (by_key == by_name or names_same_species(name, by_key[0])):
            return by_key
        return by_name


@lru_cache(maxsize=16_384)
def parse_name(text: str) -> ParsedName:
    """Parse a scientific name: without authorship and markers, infraspecific names reduced to their species.

    Pure; never raises. Unreadable names give empty fields.
    """
    if binomial := _read_binomial(text):
        return binomial
    uncertain, plain = _take_doubt(_transcribe_name(clean_text(text)))
    words = plain.split()
    genus = _find_genus([word for word in words if word not in {"×", "x", "X"}])
    if not genus:
        return NO_NAME
    if ALTERNATIVES.search(plain):
        return ParsedName(genus, "", "", uncertain="one of several")
    if len(words) > 1 and "," in words[1] and not _is_authorship(plain.partition(",")[2]):
        return ParsedName(genus, "", "", uncertain=uncertain)  # a list or a remark: no author follows
    try:
        parsed = nameparser.parse(plain)
    except nameparser.UnparsableNameError as unread:
        return NO_NAME if unread.name_type == "FORMULA" else ParsedName(genus, "", "", uncertain=uncertain)
    if isinstance(parsed, nameparser.Informal):
        return ParsedName(genus, "", "", uncertain=uncertain)
    return _read(parsed, genus, uncertain)


def _read_binomial(text: str) -> ParsedName | None:
    """Parse a plain genus and epithet, as most names of lists are, with the parser's result."""
    if not (found := BINOMIAL.fullmatch(text)):
        return None
    genus, epithet = found.groups()
    if epithet in NO_EPITHETS or epithet in UNCERTAIN or epithet in NO_LATIN or genus in NO_GENUS:
        return None
    return None if ENDING_OF_FAMILY_AND_ABOVE.search(genus) else ParsedName(genus, text, "")


def compose_name(genus: str, specific_epithet: str) -> str:
    """Compose a name from its columns, for archives with an empty scientificName."""
    return (
        f"{genus.strip()} {specific_epithet.strip()}" if genus.strip() and specific_epithet.strip() else genus.strip()
    )


def same_authorship(text: str) -> str:
    """Normalise the spacing of an authorship: `J.Schröt` and `J. Schröt` become equal."""
    return re.sub(r"\.(?=[^\s).,&\]-])", ". ", " ".join(clean_text(text).split())).strip(" ,;")


def clean_text(text: str) -> str:
    """Normalise the typography of a name.

    HTML entities and tags are decoded and removed, as are invisible characters and enclosing quotation marks; hyphens
    and ligatures are replaced; the result is in Unicode's form NFC.
    """
    if text.isascii() and not UNTIDY.search(text):
        return " ".join(text.split())
    text = re.sub(r"<[^<>]*>", "", html.unescape(html.unescape(text)))
    text = re.sub("[ﬀ-ﬆⅠ-ⅿ！-～\u3000]", lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = re.sub(r"\w*[A-Za-z]\w*", lambda found: found[0].translate(HOMOGLYPHS), text)
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    text = "".join("-" if sign in HYPHENS or unicodedata.category(sign) == "Pd" else sign for sign in text)
    text = HALVES.sub(_join_halves, " ".join(text.split())).replace("_", " ")
    text = re.sub("[“”„‟«»]", '"', re.sub("[‘’‚‛`´]", "'", text))
    text = " ".join(unicodedata.normalize("NFC", text).split())
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text


def _join_halves(found: re.Match[str]) -> str:
    start, between, end = found.groups()
    is_remark = end in NO_EPITHETS or end in UNCERTAIN or (between == " - " and not LATIN.search(end))
    return found[0] if is_remark else f"{start}-{end}"


def transcribe(word: str) -> str:
    """Transcribe a word of a scientific name to plain letters: without diacritics, ligatures and apostrophes."""
    if word.isascii() and "'" not in word:
        return word
    plain = DIAERESIS.sub(lambda found: unicodedata.normalize("NFD", found[0])[0], word.lower())
    plain = "".join(TRANSCRIBED.get(sign, sign) for sign in plain)
    plain = "".join(sign for sign in unicodedata.normalize("NFD", plain) if not unicodedata.combining(sign))
    plain = re.sub(r"(?<=[a-z])'(?=[a-z])", "", plain)
    return plain[:1].upper() + plain[1:] if word[:1].isupper() else plain


def _transcribe_name(plain: str) -> str:
    """Transcribe the genus and lower-case words; authors keep their letters."""
    words = plain.split()
    return " ".join(transcribe(word) if place == 0 or word.islower() else word for place, word in enumerate(words))


def _take_doubt(plain: str) -> tuple[str, str]:
    """Return (marker of doubt or "", the name without it)."""
    uncertain = "?" if "?" in plain else ""
    plain = plain.replace("?", " ")
    if (remark := REMARKS_OF_DOUBT.search(plain)) and remark.start():
        uncertain = uncertain or remark[1]
        plain = REMARKS_OF_DOUBT.sub(" ", plain).strip(" ,;:-")
    for pattern, plainer in SPELLINGS:
        plain = pattern.sub(plainer, plain)
    words = plain.split()
    kept: list[str] = []
    for place, word in enumerate(words):
        mark = _mark(word)
        before_epithet = place + 1 < len(words) and EPITHET.match(words[place + 1]) is not None
        if (
            mark in UNCERTAIN
            and (place == 0 or before_epithet or place + 1 == len(words))
            and (place == 0 or word[0].islower())
        ) or (place == 1 and mark in GROUPS and before_epithet and word[0].islower()):
            uncertain = uncertain or mark
        else:
            kept.append(word)
    return uncertain, " ".join(kept)


def _read(parsed: Any, genus: str, uncertain: str) -> ParsedName:
    """Convert the result of GBIF's parser."""
    epithet = transcribe(parsed.specific_epithet or "")
    if parsed.epithet_qualifier:
        uncertain = uncertain or next(iter(parsed.epithet_qualifier.values()))
    note = parsed.taxonomic_note or ""
    loose = ""
    if parsed.rank == "SPECIES_AGGREGATE" or WIDE.search(note):
        loose = "aggregate"
    elif note and not NARROW.search(note):
        loose, uncertain = OTHER_SENSE, uncertain or note
    elif set(parsed.notho or ()) - {"INFRASPECIFIC"}:  # a hybrid of two varieties belongs to one species
        loose = "hybrid"
    if parsed.manuscript or PROVISIONAL.search(parsed.nomenclatural_note or ""):
        uncertain = uncertain or parsed.nomenclatural_note or "not published"
    if LIKE.search(epithet):
        return ParsedName(genus, "", "", uncertain=uncertain or epithet)
    if (
        not genus
        or not EPITHET.fullmatch(epithet)
        or _mark(epithet) in NO_EPITHETS
        or ENDING_OF_FAMILY_AND_ABOVE.search(genus)
    ):
        return ParsedName(genus, "", "", uncertain=uncertain)
    if parsed.doubtful:
        uncertain = uncertain or "?"
    species, below = f"{genus} {epithet}", transcribe(parsed.infraspecific_epithet or "")
    authorship = same_authorship(parsed.authorship_complete() or "")
    if genus in authorship:
        return ParsedName(genus, "", "", uncertain="one of several")
    if EPITHET.fullmatch(below) and _mark(below) not in NO_EPITHETS and "name was quadrinomial" not in parsed.warnings:
        mark = RANK_MARKS.get(parsed.rank, "")
        whole = " ".join(part for part in (species, mark, below) if part)
        return ParsedName(genus, species, _specific_authorship(parsed.specific_authorship), whole, uncertain, loose)
    return ParsedName(genus, species, authorship if _is_authorship(authorship) else "", "", uncertain, loose)


def _specific_authorship(both: Mapping[str, Any] | None) -> str:
    """Return the authorship of the species within a cited infraspecific name."""
    if not both:
        return ""
    basionym, combination = (_cite(both.get(part) or {}) for part in ("basionymAuthorship", "combinationAuthorship"))
    return same_authorship(f"({basionym}) {combination}" if basionym else combination)


def _cite(authorship: Mapping[str, Any]) -> str:
    teams = [authorship.get("exAuthors") or [], authorship.get("authors") or []]
    named = " ex ".join(" & ".join(filter(None, [", ".join(team[:-1]), team[-1]])) for team in teams if team)
    sanctioning = authorship.get("sanctioningAuthor")
    return ", ".join(filter(None, [f"{named} : {sanctioning}" if sanctioning else named, authorship.get("year")]))


def _find_genus(words: list[str]) -> str:
    """Return the genus as spelt; empty if the first word cannot be one.

    A lower-case word is a genus only before an epithet: headers and remarks are not.
    """
    if not words:
        return ""
    word = transcribe(words[0].lstrip("×"))
    if (word.isupper() and len(word) > 2) or (word.islower() and _is_epithet(words[1:2])):
        word = word.capitalize()
    return word if GENUS.fullmatch(word) and word not in NO_GENUS else ""


def _mark(word: str) -> str:
    return word.lower().replace(".", "").strip(",:;()[]")


def _is_epithet(words: list[str]) -> bool:
    return bool(words) and EPITHET.fullmatch(words[0]) is not None and _mark(words[0]) not in NO_EPITHETS


def _is_authorship(text: str) -> bool:
    """Return whether a text is an authorship, not a remark with lower-case words."""
    words = [word for word in re.findall(r"[^\W\d_]+", text) if word[0].islower() and len(word) > 1]
    return all(word in PARTICLES for word in words)
