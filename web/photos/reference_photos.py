"""The bytes of reference photos, wherever they lie. They leave the server only as pictures drawn anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from database.collection.photos import OBSERVED, STORED
from retrieval.errors import UnknownPhoto


class PhotoSource(Protocol):
    """Where the server gets reference photos from."""

    def read(self, sha256: str) -> bytes:
        """Give the original bytes of a reference photo; raises UnknownPhoto."""
        ...

    def lasts(self, sha256: str) -> bool:
        """Whether pictures drawn from it may be kept: not where somebody may remove the photo at any moment."""
        ...


class LocatedPhotos:
    """Reads photos from where a catalogue says that they lie: an absolute path, `store:...` or `observation:...`."""

    def __init__(
        self,
        locate: Callable[[str], str],
        stored: Callable[[str], Path],
        observed: Callable[[str], bytes] | None = None,
    ) -> None:
        """`locate` gives the location of a photo, `stored` the path of one in the store; both take its sha256.

        `observed` reads one from the store of observations; it raises UnknownPhoto.
        """
        self._locate = locate
        self._stored = stored
        self._observed = observed

    def lasts(self, sha256: str) -> bool:
        return not self._locate(sha256).startswith(OBSERVED)  # its observer's to remove, and then it is gone at once

    def read(self, sha256: str) -> bytes:
        location = self._locate(sha256)
        if location.startswith(OBSERVED) and self._observed is not None:
            return self._observed(location.removeprefix(OBSERVED))
        path = self._stored(location.removeprefix(STORED)) if location.startswith(STORED) else Path(location)
        try:
            photo = path.read_bytes()
        except OSError as error:
            raise UnknownPhoto(f"the file of reference photo {sha256} is not where it was when it was added") from error
        # Author and licence were stated for these bytes; another picture under the same name is somebody else's.
        if hashlib.sha256(photo).hexdigest() != sha256:
            raise UnknownPhoto(f"the file of reference photo {sha256} has been changed since it was added")
        return photo
