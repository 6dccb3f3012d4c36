"""Reads the text of a cell, recognising placeholders for missing values."""

from __future__ import annotations

import unicodedata

NOT_SAID = frozenset(
    {"", "-", "--", "?", "n/a", "na", "nan", "null", "none", "none stated", "not stated", "not recorded", "unknown",
     "unspecified", "anonymous", "\\n", "incertae sedis", "not assigned", "unassigned"}
)  # fmt: skip


def read_text(text: str) -> str:
    """Return the text trimmed and in Unicode's form NFC; empty for placeholders of missing values."""
    if not (text := text.strip()):
        return ""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return "" if text.lower() in NOT_SAID else text
