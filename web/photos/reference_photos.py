"""Reads the files of reference photos, which leave the server only re-encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from database.collection.photos import OBSERVED, STORED
from retrieval.errors import UnknownPhoto


class PhotoSource(Protocol):
    """A source of reference photos."""

    def read(self, sha256: str) -> bytes:
        """Return the original bytes of a reference photo; raises UnknownPhoto."""
        ...

    def is_cacheable(self, sha256: str) -> bool:
        """Return whether images of the photo may be cached: not if somebody may remove it; raises UnknownPhoto."""
        ...


class LocatedPhotos:
    """Reads photos from their locations in a catalogue: an absolute path, `store:...` or `observation:...`."""

    def __init__(
        self,
        locate: Callable[[str], str],
        stored: Callable[[str], Path],
        observed: Callable[[str], bytes] | None = None,
    ) -> None:
        """`locate` returns the location of a photo, `stored` the path of one in the store; both take its SHA-256.

        `observed` reads one from the store of observations, and raises UnknownPhoto.
        """
        self._locate = locate
        self._stored = stored
        self._observed = observed

    def is_cacheable(self, sha256: str) -> bool:
        return not self._locate(sha256).startswith(OBSERVED)  # the observer may remove those at any moment

    def read(self, sha256: str) -> bytes:
        location = self._locate(sha256)
        if location.startswith(OBSERVED) and self._observed is not None:
            return self._observed(location.removeprefix(OBSERVED))
        path = self._stored(location.removeprefix(STORED)) if location.startswith(STORED) else Path(location)
        try:
            photo = path.read_bytes()
        except OSError as error:
            raise UnknownPhoto(f"the file of reference photo {sha256} is not where it was when it was added") from error
        # Author and licence apply to these bytes; another image in the same file may be somebody else's.
        if hashlib.sha256(photo).hexdigest() != sha256:
            raise UnknownPhoto(f"the file of reference photo {sha256} has been changed since it was added")
        return photo
