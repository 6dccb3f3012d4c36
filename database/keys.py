"""Validation and shortening of external identifiers for columns of limited length."""

from __future__ import annotations

import hashlib
import re

from database.errors import DatabaseError

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def short_key(text: str, length: int) -> str:
    """Return `text` if it has at most `length` characters, otherwise its beginning and its SHA-256, still unique."""
    if len(text) <= length:
        return text
    return text[: length - 65] + "#" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_id(kind: str, given: str) -> str:
    """Return `given` if it is a valid id of a dataset, checklist, region or flora, safe in URLs and file names.

    Raises DatabaseError.
    """
    if not _SLUG.fullmatch(given) or ".." in given:
        raise DatabaseError(
            f"{given!r} cannot be the id of a {kind}: use lower-case letters, digits, '-', '_' and '.',"
            " beginning with a letter or digit, at most 64"
        )
    return given
