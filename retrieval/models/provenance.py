"""Which photos taught a model: noted in its card, so that none of them is asked to judge it.

A photo is known by the first 32 bits of its SHA-256. Of a hundred thousand photos that taught a model, one in forty
thousand others is taken for one of them, and is then not asked: that is the careful side.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ModelError

DIGITS = 8  # of a hexadecimal SHA-256: 32 bits


def note_taught(photos: Iterable[str]) -> dict[str, Any]:
    """JSON values that name the photos (their SHA-256), for a card; the same photos in any order give the same."""
    digests = np.unique(np.array([int(photo[:DIGITS], 16) for photo in photos], dtype=np.uint32))
    return {"photos": len(digests), "digests": base64.b64encode(digests.astype("<u4").tobytes()).decode("ascii")}


def read_taught(card: Mapping[str, Any]) -> NDArray[np.uint32]:
    """The photos whose species taught the network or its head, ascending; none where the card says nothing of it.

    Principal components know no species: what they were computed from may judge them. Raises ModelError.
    """
    cards = [card, *card.get("members", [])]
    notes = [one.get("preprocessing", {}).get("taught") for one in cards]
    notes += [one["head"].get("taught") for one in cards if (one.get("head") or {}).get("kind") == "learned"]
    found = [np.zeros(0, dtype=np.uint32)]
    for note in notes:
        if note:
            try:
                found.append(np.frombuffer(base64.b64decode(note["digests"], validate=True), dtype="<u4"))
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
                raise ModelError("the model's card does not say readably which photos taught it") from error
    return np.unique(np.concatenate(found)).astype(np.uint32)


def find_taught(photos: Sequence[str], taught: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of the photos (their SHA-256) taught the model, (photos,)."""
    digests = np.array([int(photo[:DIGITS], 16) for photo in photos], dtype=np.uint32)
    return np.asarray(np.isin(digests, taught))


def hide_digests(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card for people: how many photos taught the model, not which."""
    return {
        key: hide_digests(value)
        if isinstance(value, Mapping)
        else [hide_digests(part) for part in value]
        if key == "members"
        else value
        for key, value in card.items()
        if key != "digests"
    }
