"""Whether two names may be of one person, as different archives write them: "M. Petersen", "Petersen, Mette"."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

FULL = 3  # letters of a word that is a name and no initial
WORDS = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=4_096)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name without case, accents and digits, sorted; a word may be an initial."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(letter)
    )
    return tuple(sorted(WORDS.findall(plain)))


def names_alike(one: str, other: str) -> bool:
    """Return whether two names share a word of FULL letters, and no other word of the shorter one speaks against it.

    Each word of the name with fewer words must be in the other one, or be an initial of a word there, or the other way
    round. Names without such a word are alike only if they are equal; an unknown name is like none.
    """
    short, long = sorted((words_of(one), words_of(other)), key=len)
    if not short:
        return False
    if short == long:
        return True
    if not any(len(word) >= FULL for word in set(short) & set(long)):
        return False
    left = list(long)
    for word in sorted(short, key=lambda word: (word not in left, -len(word))):
        partner = next((there for there in left if there == word), None) or next(
            (there for there in left if abbreviates(word, there) or abbreviates(there, word)), None
        )
        if partner is None:
            return False
        left.remove(partner)
    return True


def abbreviates(word: str, other: str) -> bool:
    """Return whether a word is the initial of another."""
    return len(word) == 1 and other.startswith(word)
