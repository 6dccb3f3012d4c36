"""Identifiers as other people write them, brought to what a column can hold."""

from __future__ import annotations

import hashlib
import re

from database.errors import DatabaseError

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def short_key(text: str, length: int) -> str:
    """Return `text` if it has at most `length` characters, else its beginning and its sha256: still one of a kind."""
    if len(text) <= length:
        return text
    return text[: length - 65] + "#" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_id(kind: str, given: str) -> str:
    """Return `given` where it may name a dataset, checklist, region or flora: it stands in addresses and file names.

    Raises DatabaseError.
    """
    if not _SLUG.fullmatch(given) or ".." in given:
        raise DatabaseError(
            f"{given!r} cannot be the id of a {kind}: use lower-case letters, digits, '-', '_' and '.',"
            " beginning with a letter or digit, at most 64"
        )
    return given
