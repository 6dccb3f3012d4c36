"""Opaque cursors for paging through long answers."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from retrieval.errors import InvalidOption

LONGEST = 600  # characters


def write_cursor(kind: str, *place: str | int) -> str:
    """Write a cursor for one kind of list; `place` is what `read_cursor` returns."""
    return urlsafe_b64encode(json.dumps([kind, *place], separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(kind: str, text: str, *types: type) -> list[Any]:
    """Return the position of a cursor; raises InvalidOption for one of another list, or an invalid one."""
    strange = InvalidOption("the cursor does not belong to this list: use `next` or `cursor` of an answer unchanged")
    if len(text) > LONGEST or not text.isascii():
        raise strange
    try:
        place = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise strange from error
    if not isinstance(place, list) or place[:1] != [kind] or [type(part) for part in place[1:]] != list(types):
        raise strange
    if any(isinstance(part, int) and not 0 <= part < 2**63 for part in place[1:]):
        raise strange
    return place[1:]
