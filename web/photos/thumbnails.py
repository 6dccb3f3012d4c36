"""Pictures drawn from photos: WebP for browsers that ask for it, JPEG for everybody else; kept for the next one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from flask import Response, current_app, request

from database.field.photo_files import write_whole
from retrieval.photos.views import PhotoLimits, render_photo

SHELVES: Final = 256  # folders, named by the first two digits of a photo's sha256
SEEN: Final = 3600  # seconds: a picture that is used says so this often at most
DRAWING: Final = 3  # raised when pictures are drawn in another way: it is part of their names and ETags
QUALITY: Final = {"JPEG": 85, "WEBP": 80}  # which look alike


class Thumbnails:
    """A folder of drawn pictures that never holds more than `capacity` bytes; what was unused for longest goes.

    Workers share it without a word between them. Each shelf has its share of the capacity, so that making room means
    looking at one shelf: a few hundred files, whatever the size of the whole.
    """

    def __init__(self, folder: Path | None = None, capacity: int = 0) -> None:
        """Without a folder or a capacity nothing is kept."""
        self._folder = folder if capacity else None
        self._shelf = capacity // SHELVES
        self._drawers = threading.BoundedSemaphore(os.cpu_count() or 1)  # decoding takes a core and much memory

    def draw(self, name: str, draw: Callable[[], bytes], *, keep: Callable[[], bool] = lambda: True) -> bytes:
        """The picture of a name, which begins with its photo's sha256: kept from before, or drawn now.

        `keep` says whether a drawn one may be kept. Raises what `draw` raises.
        """
        found = self._find(name)
        if found is None:
            with self._drawers:
                found = self._find(name)  # somebody may have drawn it while this one waited
                if found is None:
                    found = draw()
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
        with suppress(OSError):  # gone meanwhile, or not ours to touch
            if time.time() - path.stat().st_mtime > SEEN:
                os.utime(path)
        return picture or None  # an empty file is what a power cut leaves

    def _keep(self, path: Path, picture: bytes) -> None:
        """Keep a picture, after making room for it. A disk that is full or may not be written to goes without."""
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
            current_app.logger.warning("a drawn picture could not be kept: %s", error)


def list_files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """When each file was last used, its bytes and its path; those that go meanwhile are left out."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            said = path.stat()
            yield said.st_mtime_ns, said.st_size, path


def accepted_form() -> str:
    """WEBP where the request names it; `*/*` is what programs say, and they know JPEG."""
    named = {kind.lower() for kind, quality in request.accept_mimetypes if quality > 0}
    return "WEBP" if "image/webp" in named else "JPEG"


def picture_response(name: str, form: str) -> Response:
    """An answer for a picture without its bytes, named for what it shows; 304 where the browser has it already."""
    response = Response(mimetype=f"image/{form.lower()}")
    response.vary.add("Accept")
    etag = f"{name}-{form.lower()}"
    response.set_etag(etag)
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
    return response


def draw_picture(photo: bytes, size: int, form: str, limits: PhotoLimits | None = None) -> bytes:
    """Draw a photo at a size, in a form."""
    return render_photo(photo, size, limits, quality=QUALITY[form], form=form)
