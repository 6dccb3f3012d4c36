"""Normalises occurrence statuses of lists to present, absent or doubtful; others are kept as written."""

from __future__ import annotations

import re
from functools import lru_cache

PRESENT, ABSENT, DOUBTFUL = "present", "absent", "doubtful"

WORDS = {
    ABSENT: (
        "absent", "not present", "not recorded", "no", "n", "0", "false", "excluded", "extinct", "extirpated",
        "eradicated", "exterminated", "lost", "gone", "vanished", "disappeared", "formerly present", "formerly",
        "former", "historic", "historical", "erroneous", "reported in error", "error", "misidentified",
        "intercepted", "ausgestorben", "erloschen", "verschollen", "fehlt", "disparu", "disparue", "éteint",
        "éteinte", "extinto", "extinta", "estinto", "estinta", "uddød", "forsvundet", "utdöd", "utdødd",
        "uitgestorven", "verdwenen",
    ),
    DOUBTFUL: (
        "doubtful", "dubious", "?", "uncertain", "unconfirmed", "unverified", "questionable", "suspected",
        "possible", "possibly", "probable", "probably", "presumed", "likely", "expected", "potential",
        "presence uncertain", "unclear", "fraglich", "zweifelhaft", "unsicher", "douteux", "douteuse",
        "incertain", "incertaine", "dudoso", "dudosa", "dubbio", "tvivlsom", "tveksam", "twijfelachtig",
    ),
    PRESENT: (
        "present", "yes", "y", "1", "true", "x", "+", "common", "very common", "abundant", "frequent",
        "occasional", "rare", "very rare", "uncommon", "scarce", "irregular", "sporadic", "widespread", "local",
        "locally", "regular", "extant", "native", "endemic", "indigenous", "resident", "recorded", "confirmed",
        "established", "naturalised", "naturalized", "introduced", "alien", "non native", "exotic", "invasive",
        "adventive", "casual", "vagrant", "cultivated", "domesticated", "managed", "reintroduced", "current",
        "accepted", "vorhanden", "häufig", "verbreitet", "mäßig", "zerstreut", "selten", "sehr", "heimisch",
        "présent", "présente", "commun", "commune", "fréquent", "presente", "común", "comune", "raro", "rara",
        "almindelig", "sjælden", "hyppig", "allmän", "sällsynt", "vanlig", "sjelden", "algemeen", "zeldzaam",
        "aanwezig",
    ),
}  # fmt: skip
CONNECTING = frozenset({"and", "or", "to", "but", "in", "species", "taxon", "et", "und", "rather", "fairly"})
EVERY_WORD = frozenset(word for words in WORDS.values() for word in words) | CONNECTING


@lru_cache(maxsize=4096)
def read_status(text: str) -> str:
    """Return present, absent or doubtful, or else the text in lower case; empty text is present.

    Of several words, the strictest applies: `rare, probably extinct` is absent.
    """
    plain = " ".join(re.sub(r"[\W_]+", " ", text.lower()).split()) or text.strip()
    for status, words in WORDS.items():
        if plain in words:
            return DOUBTFUL if "?" in text and status == PRESENT else status
    parts = set(plain.split())
    found = [status for status, words in WORDS.items() if parts & set(words)]
    if not plain:
        return PRESENT
    if ABSENT in found and "not" not in parts:
        return ABSENT
    if not found or not parts <= EVERY_WORD:
        return text.strip().lower()
    return DOUBTFUL if "?" in text else found[0]
