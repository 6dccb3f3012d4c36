"""Downloads photos whose URLs a caller gives: only from allowed addresses, and within limits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, repeat
from typing import Final, cast

from flask import current_app

from retrieval.errors import FungariumError
from retrieval.photos.addresses import Guard
from retrieval.photos.fetching import fetch_photo
from retrieval.photos.views import PhotoLimits, sniff
from web.http.refusals import RemoteServersBusy

AGENT: Final = "Fungarium/0.1 (open fungi identification; fetches a photo that a caller gave the address of)"
SECONDS: Final = 15.0  # for one photo
AT_ONCE: Final = 4  # requests that wait for other servers; further ones are refused


class RemotePhotos:
    """Downloads the photos of a request in parallel."""

    def __init__(self, guard: Guard, limits: PhotoLimits, *, at_once: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._guard = guard
        self._limits = limits
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(at_once)

    def fetch(self, addresses: Sequence[str]) -> list[bytes]:
        """Return the photos in the order of their URLs.

        Raises RemoteServersBusy; for the first photo that fails, ForbiddenAddress, PhotoNotFetched, PhotoTooLarge or
        UnsupportedPhoto with its number.
        """
        if not self._places.acquire(blocking=False):
            raise RemoteServersBusy(
                "too many photos are being fetched from other servers at this moment; send the photo itself"
            )
        try:
            with ThreadPoolExecutor(len(addresses), thread_name_prefix="fetching") as pool:
                return list(pool.map(self._fetch, addresses, count(1), repeat(len(addresses))))
        finally:
            self._places.release()

    def _fetch(self, address: str, number: int, of: int) -> bytes:
        try:
            photo = fetch_photo(address, self._guard, agent=AGENT, largest=self._limits.bytes, seconds=self._seconds)
            sniff(photo)
        except FungariumError as error:
            raise type(error)(f"photo {number} of {of}, {address[:200]!r}: {error}") from error
        return photo


def remote_photos() -> RemotePhotos:
    """Return the downloader of the current application."""
    return cast(RemotePhotos, current_app.extensions["remote_photos"])
