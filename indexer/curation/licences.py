"""Licences in the many spellings of archives, brought to one code each.

A text that is not understood beyond doubt is no licence: better a photo too few than one used against its author's
will.
"""

from __future__ import annotations

import re
from functools import lru_cache

POLICIES: dict[str, frozenset[str]] = {
    "open": frozenset({"CC0", "PDM", "PD", "CC-BY", "CC-BY-SA"}),
    "noncommercial": frozenset({"CC0", "PDM", "PD", "CC-BY", "CC-BY-SA", "CC-BY-NC", "CC-BY-NC-SA"}),
}
"""The licence families each policy accepts, whatever their version. NoDerivatives is in none: an index is derived work.
The third policy, `any`, accepts everything and so stands for private use only."""

NEEDS_AUTHOR = frozenset({"CC-BY", "CC-BY-SA", "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-ND", "CC-BY-NC-ND"})
"""Families whose one condition for all is that the author is named."""

ADDRESS = re.compile(
    r"creativecommons\.org/licen[cs]es/(?P<terms>by(?:-(?:nc|nd|sa))*)(?:/(?P<version>\d\.\d))?(?:/(?P<port>[a-z]{2,3})\b)?"
)
DOMAIN_ADDRESS = re.compile(
    r"creativecommons\.org/(?:publicdomain/(?P<kind>zero|mark)|licen[cs]es/(?P<old>publicdomain))"
)
SHORT = re.compile(
    r"\bcc[\s_-]*(?P<terms>by(?:[\s_/-]*(?:nc|nd|sa)(?![a-z]))*)(?![a-z])"
    r"[\s_,(-]*(?:v(?:ersion)?[\s.]*)?(?P<version>\d[._]\d)?(?:[\s_(-]+(?P<port>[a-z]{2})\b(?!\w))?"
)
LONG = re.compile(
    r"(?:creative\s+commons[\s:,-]*(?:licen[cs]e[\s:,-]*)?)?attribution"
    r"(?P<terms>(?:[\s,/–—-]*(?:non[\s-]*commercial|share[\s-]*alike|no[\s-]*deriv(?:ative)?s?(?:[\s-]*works)?))*)"
    r"[\s,(–—-]*(?:licen[cs]e)?[\s,(]*(?:v(?:ersion)?[\s.]*)?(?P<version>\d\.\d)?"
    r"[\s,(]*(?P<international>international|unported|generic)?(?:(?<![a-z])(?P<port>[a-z]{2})\b)?"
)
MIXED = re.compile(r"creative\s+commons\W+(?P<version>\d\.\d)?\W*(?P<terms>by(?:-(?:nc|nd|sa))*)(?![a-z-])")
ZERO = re.compile(r"\bcc[\s_-]*(?:0|zero)(?![0-9a-z])|creative\s+commons\s+(?:cc[\s-]?0|zero)\b")
MARK = re.compile(r"\bpublic\s+domain\s+mark\b|\bpdm\b")
DOMAIN = re.compile(r"^\W*(?:public[\s_-]*domain|pd)\b(?!\s+dedication\s+refused)")
RESERVED = re.compile(r"\ball\s+rights\s+reserved\b|\bno\s+rights\s+granted\b")
NONCOMMERCIAL = re.compile(r"non[\s-]*commercial|\bnc\b|not\s+for\s+commercial")
NODERIVATIVES = re.compile(r"no[\s-]*deriv|\bnd\b")
NOT_PORTS = frozenset({"by", "or", "de facto", "in", "on", "at", "to", "is", "as", "if", "of", "no", "we", "do", "an"})
WORDS = {"nc": r"non[\s-]*commercial", "nd": r"no[\s-]*deriv", "sa": r"share[\s-]*alike"}


@lru_cache(maxsize=4096)
def canonical_licence(text: str) -> str | None:
    """Return the code of a licence text or address, else None.

    Codes: CC0-1.0, PDM-1.0 (the mark), PD (public domain, said in words), CC-BY-4.0, CC-BY-SA-3.0-DE (a port),
    CC-BY-NC (version not said). Not understood, contradictory and "all rights reserved" are None.
    """
    plain = " ".join(text.lower().split())
    if not plain or RESERVED.search(plain):
        return None
    code = _creative_commons(plain) or _public_domain(plain)
    if code is None or _contradicts(plain, code):
        return None
    return code


def licence_family(code: str) -> str:
    """Return a code without version and port: CC-BY-SA-3.0-DE is of the family CC-BY-SA."""
    return re.split(r"-\d", code, maxsplit=1)[0]


def is_reserved(text: str) -> bool:
    """Tell a licence text that keeps all rights from one that is merely not understood."""
    return RESERVED.search(" ".join(text.lower().split())) is not None


def _creative_commons(plain: str) -> str | None:
    if found := ADDRESS.search(plain):
        return _code(found["terms"].split("-"), found["version"], found["port"])
    if DOMAIN_ADDRESS.search(plain) or ZERO.search(plain):
        return None
    if found := SHORT.search(plain):
        return _code(re.findall(r"by|nc|nd|sa", found["terms"]), found["version"], found["port"])
    if found := MIXED.search(plain):
        return _code(found["terms"].split("-"), found["version"], None)
    found = LONG.search(plain)
    if found and ("creative commons" in plain or found["terms"] or found["international"]):
        terms = [term for term, words in WORDS.items() if re.search(words, found["terms"])]
        return _code(["by", *terms], found["version"], found["port"])
    return None


def _public_domain(plain: str) -> str | None:
    if found := DOMAIN_ADDRESS.search(plain):
        return {"zero": "CC0-1.0", "mark": "PDM-1.0"}.get(found["kind"] or "", "PD")
    if ZERO.search(plain):
        return "CC0-1.0"
    if MARK.search(plain):
        return "PDM-1.0"
    if DOMAIN.search(plain):
        return "PD"
    return None


def _code(terms: list[str], version: str | None, port: str | None) -> str:
    """Put the terms into the order of the licences' own names: BY, NC, then SA or ND."""
    ordered = [term.upper() for term in ("by", "nc", "sa", "nd") if term in terms]
    parts = ["CC", *ordered]
    if version:
        parts.append(version.replace("_", "."))
        if port and port not in NOT_PORTS and version[0] != "4":  # version 4 has no ports
            parts.append(port.upper())
    return "-".join(parts)


def _contradicts(plain: str, code: str) -> bool:
    """A text that grants freely here and restricts there is not understood."""
    return ("NC" not in code and NONCOMMERCIAL.search(plain) is not None) or (
        "ND" not in code and NODERIVATIVES.search(plain) is not None
    )
