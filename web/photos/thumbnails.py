"""Thumbnails of photos, cached on disk: WebP for browsers that accept it, else JPEG."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from flask import Response, current_app, request

from database.field.photo_files import write_whole

SHELVES: Final = 256  # folders, named by the first two digits of a photo's SHA-256
SEEN: Final = 3600  # seconds: a picture that is used says so this often at most
DRAWING: Final = 3  # raised when pictures are drawn in another way: it is part of their names and ETags


class Thumbnails:
    """A least-recently-used cache of images in a folder, of at most `capacity` bytes.

    Workers share it without coordination. The capacity is divided among subfolders, so that an eviction lists only one
    of them: a few hundred files, whatever the size of the cache.
    """

    def __init__(self, folder: Path | None = None, capacity: int = 0) -> None:
        """Without a folder or a capacity nothing is cached."""
        self._folder = folder if capacity else None
        self._shelf = capacity // SHELVES

    def draw(self, name: str, make: Callable[[], bytes], *, keep: Callable[[], bool] = lambda: True) -> bytes:
        """Return the image of a name, from the cache or from `make`. The name begins with the photo's SHA-256.

        `keep` returns whether the image may be cached. Raises the errors of `make`.
        """
        found = self._find(name)
        if found is None:
            found = make()
            if self._folder is not None and len(found) <= self._shelf and keep():
                self._keep(self._path(name), found)
        return found

    def _path(self, name: str) -> Path:
        return (self._folder or Path()) / name[:2] / name

    def _find(self, name: str) -> bytes | None:
        if self._folder is None:
            return None
        path = self._path(name)
        try:
            picture = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):  # removed meanwhile, or not writable
            if time.time() - path.stat().st_mtime > SEEN:
                os.utime(path)
        return picture or None  # a power cut can leave an empty file

    def _keep(self, path: Path, picture: bytes) -> None:
        """Write an image after evicting others; errors of the disk are only logged."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held = sorted(list_files(path.parent))
            weight = sum(size for _, size, _ in held) + len(picture)
            for _, size, oldest in held:
                if weight <= self._shelf:
                    break
                oldest.unlink(missing_ok=True)
                weight -= size
            write_whole(path, picture)
        except OSError as error:
            current_app.logger.warning("a thumbnail could not be cached: %s", error)


def list_files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield time of last use (ns), size (bytes) and path of each file, without files removed meanwhile."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            yield status.st_mtime_ns, status.st_size, path


def accepted_form() -> str:
    """Return WEBP if `Accept` names it, else JPEG: programs send `*/*`, and all of them read JPEG."""
    named = {kind.lower() for kind, quality in request.accept_mimetypes if quality > 0}
    return "WEBP" if "image/webp" in named else "JPEG"


def picture_response(name: str, form: str) -> Response:
    """Return a response without a body, with an ETag from the image's name; 304 if the client has the image."""
    response = Response(mimetype=f"image/{form.lower()}")
    response.vary.add("Accept")
    etag = f"{name}-{form.lower()}"
    response.set_etag(etag)
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
    return response
