"""Normalises licences in the many spellings and languages of archives to codes.

A licence is recognised only if its whole text is understood: the text is read from left to right, and any remainder (a
condition in an unsupported language, a remark) makes it none. It is better to lose a photo than to use one against its
author's will.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache, lru_cache
from urllib.parse import unquote

from indexer.curation import licence_terms as terms
from indexer.curation.places import parse_country

POLICIES: dict[str, frozenset[str]] = {
    "open": frozenset({"CC0", "PDM", "PD", "CC-BY", "CC-BY-SA"}),
    "noncommercial": frozenset({"CC0", "PDM", "PD", "CC-BY", "CC-BY-SA", "CC-BY-NC", "CC-BY-NC-SA"}),
}
"""The licence families accepted by each policy, in any version. NoDerivatives is in none: an index is a derived work.
The third policy, `any`, accepts everything and is for private use only."""

NEEDS_AUTHOR = frozenset({"CC-BY", "CC-BY-SA", "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-ND", "CC-BY-NC-ND"})
"""Families whose only condition is attribution."""

VERSIONS = frozenset({"1.0", "2.0", "2.1", "2.5", "3.0", "4.0"})
CONDITIONS = frozenset({"by", "nc", "nd", "sa"})

ADDRESS = re.compile(
    r"(?:https?:?/{1,2})?(?:[a-z]+\.)?(?:creativecommons\.org|licensebuttons\.net|spdx\.org)"
    r"(?P<path>(?:/[^\s\"<>|,;()\]]*)?)",
    re.I,
)
TERMS_IN_PATH = re.compile(r"(?:cc[\W_]?)?by(?:[\W_]{0,3}(?:nc|nd|sa))*")
LANGUAGE_IN_PATH = re.compile(
    r"(?:(?:deed|legalcode|rdf)(?:[.-][a-z]{2,4}(?:[_-][a-z]{2,4})?)?(?:\.txt|\.html)?|\d+x\d+\.png|)"
)
OWNER = re.compile(
    r"(?:©|\(c\)|\bcopyright(?:ed)?\b(?!\s+licen))[\s:©]*(?:\(c\))?[\s,]*(?:by\s+)?(?:(?:19|20)\d\d(?:\s?[-–,]\s?(?:19|20)?\d\d)?)?"
    r"[\s,]*(?P<name>[^,;|()\n]*?)(?:\s(?:19|20)\d\d)?\s*(?=[,;|(]|\s[-–—/]\s|(?<=\w\w)\.\s|\.?$)",
    re.I,
)
COMMERCIAL = re.compile(r"com+erc|[ck]om+er[czs]|kaupalli|ticari|ком+ерч|комерц|εμπορικ|商用|商业|商業|상업|영리")
"""Any mention of commerce is a restriction."""
OF_NAMES = (
    "of", "de", "del", "della", "di", "da", "du", "des", "von", "van", "der", "den", "la", "le", "el", "the", "and",
    "und", "et", "y", "e", "og", "och", "&", "for", "ter", "ten", "zu", "zur", "vom", "dos",
)  # fmt: skip
NOT_IN_NAMES = re.compile(
    r"\b(?:non?|not|nc|nd|sa|by|use[sd]?|only|rights?|reserved|permission|permitted|prohibited|forbidden|allowed|without|"
    r"restrict\w*|contact|private|personal|educational?|licen[cs]e\w*|commerc\w*|kommer[cz]\w*|nicht|keine|sans|pas|sin|uso|"
    r"usage|deriv\w*|copy\w*|cc|public|domain|please|ask|request)\b"
)
VERSION = r"(?:v(?:er(?:sion)?)?[\W_]{0,2})?(?P<major>[1-4])(?:[.,_](?P<minor>[015]))?(?!\d|[._]\d)"
SHORT = r"(?:(?P<cc>cc)[\W_]{0,3})?by(?P<terms>(?:[\W_]{0,3}(?:nc|nd|sa))*)"
SEPARATORS = re.compile(r"[\s\-_,;:./|+&()\[\]{}\"'«»!·・•*=<>「」『』【】、。，]+")
LETTER = r"a-zа-яёіїєґα-ω"


@lru_cache(maxsize=4096)
def canonical_licence(text: str) -> str | None:
    """Return the code of a licence text or URL, or None.

    Codes: CC0-1.0, PDM-1.0 (the mark), PD (public domain in words), CC-BY-4.0, CC-BY-SA-3.0-DE (a port), CC-BY-NC
    (unknown version). Texts not fully understood, contradictions and "all rights reserved" are None.
    """
    plain = unescape(text)
    named = terms.NAMED.get(" ".join(plain.lower().split()))
    if named:
        return named
    reading = _Reading()
    plain = ADDRESS.sub(lambda found: reading.add_address(found["path"]), plain)
    plain = OWNER.sub(lambda found: ";" if is_owner(found["name"]) else found[0], plain)
    reading.read(fold_text(re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", plain)))
    return reading.code()


def licence_family(code: str) -> str:
    """Return a code without version and port: the family of CC-BY-SA-3.0-DE is CC-BY-SA."""
    return re.split(r"-\d", code, maxsplit=1)[0]


def is_reserved(text: str) -> bool:
    """Return whether a licence text reserves all rights, as opposed to being unrecognised."""
    return _phrases(("reserved",)).search(fold_text(unescape(text))) is not None


def is_restricted(text: str, code: str = "") -> bool:
    """Return whether a text names a restriction that the licence `code` does not have, whatever else it says."""
    names = ["reserved", *(name for name in ("nc", "nd") if name.upper() not in code.split("-"))]
    folded = fold_text(unescape(text))
    commercial = "nc" in names and COMMERCIAL.search(folded) is not None
    return commercial or _phrases(tuple(names)).search(folded) is not None


def unescape(text: str) -> str:
    """Decode web escapes: entities, percent signs (also twice), full-width letters, unusual hyphens."""
    for _ in range(2):
        text = unquote(html.unescape(text))
    text = "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")
    return re.sub(r"[\u2010-\u2015\u2212]", "-", text).strip()


def fold_text(text: str) -> str:
    """Normalise a text for comparison: lower case, without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    folded = "".join(sign for sign in parts if not unicodedata.combining(sign))
    return folded.translate(FOLDED)


FOLDED = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ı": "i", "’": "'", "‘": "'"})


def is_owner(name: str) -> bool:
    """Return whether the text after © is a name: capitalised except for `of` and `von`, or one word such as a login."""
    words = name.replace(".", ". ").split()
    if not words:
        return True
    folded = fold_text(name)
    if NOT_IN_NAMES.search(folded) or is_restricted(name) or len(words) > 9:
        return False
    return len(words) == 1 or all(not word[0].islower() or word.lower() in OF_NAMES for word in words)


def find_port(text: str) -> str:
    """Return the jurisdiction in a text, by code or name, as in URLs; empty without one."""
    if text in terms.PORTS:
        return text
    code = parse_country(text)[0] if len(text) > 3 or not text.isascii() else ""
    port = {"GB": "uk"}.get(code, code.lower())
    return port if port in terms.PORTS else ""


@dataclass(slots=True)
class _Grant:
    """One mention of a licence, with its conditions in any notation."""

    conditions: set[str]
    versions: list[str] = field(default_factory=list)
    port: str = ""
    closed: bool = False  # no more conditions can follow


@dataclass(slots=True)
class _Reading:
    """What has been read of a text."""

    grants: list[_Grant] = field(default_factory=list)
    dedications: set[str] = field(default_factory=set)  # CC0, PDM or PD
    loose: set[str] = field(default_factory=set)  # conditions outside a mention
    version: list[str] = field(default_factory=list)  # version before the conditions: Creative Commons 4.0 BY
    known: bool = False  # whether these are Creative Commons' conditions: `Attribution` alone can be a remark
    understood: bool = True

    def add_address(self, path: str) -> str:
        """Read the path of a licence's URL; returns the text that replaces it for further reading."""
        parts = [part for part in re.split(r"[?#]", path.lower().rstrip(".,:!'"))[0].split("/") if part]
        if parts and re.fullmatch("licen[cs]es?|[lp]", parts[0]):
            parts = parts[1:]
        kind, *rest = parts or [""]
        if kind == "publicdomain":
            code = {"zero": "CC0", "mark": "PDM", "certification": "PD", "": "PD"}.get(rest[0] if rest else "", "")
            self.dedications.add(code)
            self.understood &= bool(code)
        elif kind in ("zero", "cc0", "mark") or kind.startswith(("cc0-", "cc-pddc")):
            self.dedications.add({"mark": "PDM", "cc-pddc": "PD"}.get(kind, "CC0"))
        elif kind.startswith("cc-by"):  # SPDX
            return f" {re.sub(r'[.](?:html|json|txt)$', '', kind)} "
        elif TERMS_IN_PATH.fullmatch(kind):
            self._add_licence_address(kind, rest)
        else:
            self.understood = False
        return ";"

    def _add_licence_address(self, kind: str, rest: list[str]) -> None:
        grant = _Grant(set(re.findall("by|nc|nd|sa", kind)), closed=True)
        if rest and (found := re.fullmatch(VERSION, rest[0])):
            grant.versions.append(f"{found['major']}.{found['minor'] or 0}")
            rest = rest[1:]
            if rest and rest[0] in terms.PORTS and grant.versions != ["4.0"]:
                grant.port = rest[0].upper()
                rest = rest[1:]
        self.grants.append(grant)
        self.known = True
        self.understood &= len(rest) < 2 and all(LANGUAGE_IN_PATH.fullmatch(part) for part in rest)

    def read(self, text: str) -> None:
        """Read normalised text to its end, or to the first part not understood."""
        place, tokens = 0, _tokens()
        while place < len(text) and self.understood:
            if found := SEPARATORS.match(text, place):
                place = found.end()
            elif found := tokens.match(text, place):
                self._take(found)
                place = found.end()
            elif found := self._port(text, place):
                place = found.end()
            else:
                self.understood = False

    def _take(self, found: re.Match[str]) -> None:
        if found["version"]:
            self._add_version(f"{found['major']}.{found['minor'] or 0}")
            return
        if found["short"]:
            conditions = {"by", *re.findall("nc|nd|sa", found["terms"])}
            self.known |= found["cc"] is not None or len(conditions) > 1
            self.grants.append(_Grant(conditions, versions=self._waiting(), closed=True))
            return
        kind = _kinds()[_bare(found["phrase"])]
        if kind == "by":
            self.grants.append(_Grant({"by"}, versions=self._waiting()))
        elif kind in CONDITIONS:
            open_grant = self.grants[-1] if self.grants and not self.grants[-1].closed else None
            (open_grant.conditions if open_grant else self.loose).add(kind)
            self.known |= open_grant is not None
        elif kind in DEDICATIONS:
            self.dedications.add(kind)
        elif kind in ("commons", "version name"):
            self.known = True
        elif kind == "reserved":
            self.understood = False

    def _waiting(self) -> list[str]:
        versions, self.version = self.version, []
        return versions

    def _add_version(self, version: str) -> None:
        self.understood &= version in VERSIONS
        if self.grants:
            self.grants[-1].versions.append(version)
            self.grants[-1].closed = True
        else:
            self.version.append(version)

    def _port(self, text: str, place: int) -> re.Match[str] | None:
        """Read a jurisdiction after a version, by code or name."""
        grant = self.grants[-1] if self.grants else None
        if grant is None or not grant.versions or grant.port:
            return None
        for words in (3, 2, 1):
            found = re.compile(rf"[^\W\d_]+(?:[ .]+[^\W\d_]+){{{words - 1}}}").match(text, place)
            if found and (port := find_port(found[0])):
                if grant.versions != ["4.0"]:  # version 4 has no ports: the letters are a language
                    grant.port = port.upper()
                return found
        return None

    def code(self) -> str | None:
        """Return the code; None if the text is not fully understood or contradicts itself."""
        if not self.understood:
            return None
        if self.grants:
            return self._licence_code()
        if self.loose or len(self.dedications - {"PD"}) > 1:
            return None
        return next((code for name, code in DEDICATIONS.items() if name in self.dedications), None)

    def _licence_code(self) -> str | None:
        conditions = self.grants[0].conditions
        versions = [version for grant in self.grants for version in grant.versions]
        if (
            self.dedications
            or any(grant.conditions != conditions for grant in self.grants)
            or not self.loose <= conditions
            or {"nd", "sa"} <= conditions
            or not (self.known or versions)
        ):
            return None
        parts = ["CC", *(name.upper() for name in ("by", "nc", "sa", "nd") if name in conditions)]
        if versions:
            parts.append(max(versions))
            ports = {grant.port for grant in self.grants if grant.port}
            if len(ports) == 1 and max(versions) != "4.0":
                parts.append(ports.pop())
        return "-".join(parts)


DEDICATIONS = {"CC0": "CC0-1.0", "PDM": "PDM-1.0", "PD": "PD"}

GROUPS: dict[str, tuple[str, ...]] = {
    "plain": (*terms.PLAIN, *terms.ALTERNATIVES),
    "version name": terms.VERSION_NAMES,
    "commons": terms.CREATIVE_COMMONS,
    "by": terms.BY,
    "sa": (*terms.SA, "sa"),
    "PD": terms.DOMAIN,
    "PDM": terms.MARK,
    "CC0": terms.ZERO,
    "nd": (*terms.ND, "nd"),
    "nc": (*terms.NC, "nc"),
    "reserved": terms.RESERVED,
}
"""The meaning of each kind of phrase; of a phrase in two kinds, the later one applies."""


def _phrase(words: str) -> str:
    """Return a pattern of one phrase, with optional hyphens or blanks for its blanks, ending at a word boundary."""
    folded = fold_text(words)
    before = rf"(?<![{LETTER}])" if re.match(f"[{LETTER}]", folded) else ""
    after = rf"(?![{LETTER}])" if re.search(f"[{LETTER}]$", folded) else r"(?!\d)" if folded[-1].isdigit() else ""
    return before + r"[\s\-_'.・]{0,3}".join(map(re.escape, folded.replace("-", " ").split())) + after


@cache
def _phrases(names: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of the phrases of groups, longest first, so that prefixes do not match early."""
    phrases = {fold_text(words) for name in names for words in GROUPS[name]}
    return re.compile("|".join(map(_phrase, sorted(phrases, key=lambda words: (-len(words), words)))))


@cache
def _kinds() -> dict[str, str]:
    return {_bare(words): name for name, phrases in GROUPS.items() for words in phrases}


def _bare(text: str) -> str:
    return re.sub(r"[\s\-_'.・]", "", fold_text(text))


@cache
def _tokens() -> re.Pattern[str]:
    """Return the pattern of all tokens."""
    return re.compile(
        rf"(?P<short>(?<![{LETTER}]){SHORT}(?![{LETTER}]))|(?P<version>{VERSION})|(?P<phrase>{_phrases(tuple(GROUPS)).pattern})"
    )
