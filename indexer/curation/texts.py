"""What a cell says, and whether it says anything."""

from __future__ import annotations

import unicodedata

NOT_SAID = frozenset(
    {"", "-", "--", "?", "n/a", "na", "nan", "null", "none", "none stated", "not stated", "not recorded", "unknown",
     "unspecified", "anonymous", "\\n", "incertae sedis", "not assigned", "unassigned"}
)  # fmt: skip


def read_text(text: str) -> str:
    """Return the text trimmed and in Unicode's form NFC, or nothing where it only says that nothing is said."""
    if not (text := text.strip()):
        return ""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return "" if text.lower() in NOT_SAID else text
