"""Detection of legacy encodings, for lines that are not UTF-8, by the letters they would contain.

Detectors made for web pages need long texts. A table's line has a few names, and a wrong guess is worse than none: a
reading is accepted only if all others are implausible, as no language writes them: letters outside every single
language of the encoding, mixed alphabets or capitals within a word, symbols next to letters, long runs of consonants or
vowels around a non-ASCII letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

WESTERN = (
    "æøåéèóôüäö", "åäöéüàæø", "äöüßéèáç", "àâæçéèêëîïôœùûüÿ", "áéíóúüñç", "áâãàçéêíóôõú", "àèéìíòóù", "áèéëïíóöüú",
    "áðéíóúýþæö",
)  # fmt: skip
EASTERN = (
    "áčďéěíňóřšťúůýžäöüľ", "áäčďéíĺľňóôŕšťúýž", "ąćęłńóśźżéöüáä", "áéíóöőúüűä", "čćđšžéáäöü", "ăâîşţëéáäöü",
    "äöüßéáóíç",
)  # fmt: skip
CYRILLIC = ("абвгдежзийклмнопрстуфхцчшщъыьэюяёђѓєѕіїјљњћќўџґ",)
GREEK = ("αβγδεζηθικλμνξοπρσςτυφχψωΐάέήίΰϊϋόύώ",)
ALPHABETS: dict[str, tuple[str, ...]] = {
    "cp1252": WESTERN, "iso8859-15": WESTERN, "mac-roman": WESTERN, "cp850": WESTERN[:-1], "cp1250": EASTERN,
    "iso8859-2": EASTERN, "cp1254": ("çğıöşü",), "cp1251": CYRILLIC, "koi8-r": CYRILLIC, "cp1253": GREEK,
}  # fmt: skip
"""The supported encodings, with the non-ASCII letters of each of their languages."""

DAILY = {
    "shift_jis": (b"\x88\x9f", b"\x98\x72"), "gb2312": (b"\xb0\xa1", b"\xd7\xf9"), "big5": (b"\xa4\x40", b"\xc6\x7e"),
    "euc_kr": (b"\xb0\xa1", b"\xc8\xfe"), "euc_jp": (b"\xb0\xa1", b"\xcf\xd3"),
}  # fmt: skip
"""Two-byte encodings, with the range of their common characters: wrong readings use the rest."""
TELLING = (("euc_kr", 24), ("euc_jp", 48))
"""Number of different characters, all common, that cannot be chance: the common ranges of gb2312 and others overlap."""
WIDER = {"shift_jis": "cp932", "gb2312": "gb18030", "big5": "cp950", "euc_kr": "cp949"}

CHINESE = frozenset({"gb2312", "big5"})

QUOTES = "’‘“”„‚«»´`–—…\u00a0"  # can be adjacent to a letter
SIGNS = frozenset(QUOTES + "×°±©®§·•µ¹²³½¼¾€™†")
WORD = re.compile(r"[^\W\d_]+")
VOWELS = frozenset("aeiouyæøœıаеиоуыэюяєіїαεηιουω")
NASAL = frozenset("ãõ")  # João: longer runs of vowels are plausible
MOST_CONSONANTS, MOST_VOWELS = 3, 2


def read_legacy(lines: Sequence[bytes]) -> list[str]:
    """Return the encodings in which all of these lines are plausible; several if they cannot be distinguished."""
    found = [name for name in (*ALPHABETS, *DAILY) if all(_makes_sense(line, name) for line in lines)]
    for name, enough in TELLING:
        if name in found and len({sign for line in lines for sign in line.decode(name) if ord(sign) > 0x2E7F}) > enough:
            return [name]
    return found


def explain_reading(lines: Sequence[bytes], encodings: Sequence[str]) -> str:
    """Return a sentence on the encoding in which lines are read, or on why some are unreadable."""
    if not encodings:
        return "in which encoding it is cannot be told; such lines are left out (say it with --encoding)"
    if all(decode_legacy(line, encodings) is not None for line in lines):
        return f"it is read as {encodings[0]} (--encoding says otherwise)"
    named = f"{', '.join(encodings[:-1])} or {encodings[-1]}"
    return f"it may be in {named}; lines that these read differently are left out (say with --encoding which it is)"


def decode_legacy(line: bytes, encodings: Iterable[str]) -> str | None:
    """Decode a line in the possible encodings; None if their readings differ, or none is possible."""
    readings = set()
    for encoding in encodings:
        try:
            readings.add(line.decode(WIDER.get(encoding, encoding)))
        except UnicodeDecodeError:
            continue
    return readings.pop() if len(readings) == 1 else None


def _makes_sense(line: bytes, encoding: str) -> bool:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return False
    cells = [cell for cell in re.split(r"[\t;,|\r\n]", text) if not cell.isascii()]
    if encoding in DAILY:
        return all(_is_ideographic(cell, encoding) for cell in cells)
    return all(_is_alphabetic(cell, ALPHABETS[encoding]) for cell in cells)


@lru_cache(maxsize=65536)
def _is_alphabetic(cell: str, alphabets: tuple[str, ...]) -> bool:
    """Return whether the cell has only letters of one language, in plausible words."""
    foreign = {sign for sign in cell.lower() if not sign.isascii() and sign not in SIGNS}
    if not any(foreign <= set(alphabet) for alphabet in alphabets) or (not foreign and alphabets in (CYRILLIC, GREEK)):
        return False
    for place, sign in enumerate(cell):
        touching = cell[place - 1 : place].isalpha() or (cell[place + 1 : place + 2].isalpha() and sign != "×")
        if touching and sign in SIGNS and sign not in QUOTES:
            return False
    return all(_is_word(word) for word in WORD.findall(cell) if not word.isascii())


def _is_word(word: str) -> bool:
    if len({unicodedata.name(sign, "?").split()[0] for sign in word}) > 1:
        return False  # letters of two scripts
    if not word.isupper() and any(sign.isupper() and not sign.isascii() for sign in word[1:]):
        return False
    kinds = [unicodedata.normalize("NFD", sign)[0] in VOWELS and sign not in NASAL for sign in word.lower()]
    start = 0
    for place in range(1, len(word) + 1):
        if place == len(word) or kinds[place] != kinds[start]:
            most = MOST_VOWELS if kinds[start] else MOST_CONSONANTS
            if place - start > most and not word[start:place].isascii():
                return False
            start = place
    return True


def _is_ideographic(cell: str, encoding: str) -> bool:
    first, last = DAILY[encoding]
    for place, sign in enumerate(cell):
        if sign.isascii():
            continue
        name = unicodedata.name(sign, "?")
        if name.startswith(("HALFWIDTH", "LATIN", "GREEK", "CYRILLIC", "BOX", "?")):
            return False
        if encoding in CHINESE and name.startswith(("HIRAGANA", "KATAKANA")):
            return False
        if name.startswith(("CJK UNIFIED", "HANGUL")) and not first <= sign.encode(encoding) <= last:
            return False
        if cell[place - 1 : place].islower() or cell[place + 1 : place + 2].islower():
            return False  # within a word of Latin letters
    return True
