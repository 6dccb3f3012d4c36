"""Polite fetching of photos from other servers: identified, one request at a time, rate-limited, without repetition."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from urllib.parse import urlsplit

import requests

from indexer.photos.photo_facts import inspect_photo, reason_of
from indexer.photos.photo_store import PhotoStore
from indexer.records import RejectedRecord
from retrieval.errors import ForbiddenAddress, PhotoTooLarge, UnreadablePhoto
from retrieval.photos.addresses import SCHEMES, Guard
from retrieval.photos.fetching import guarded_session, open_address
from retrieval.photos.views import CURATED

USER_AGENT = "Fungarium/0.1 (open fungi identification; fetches each reference photo once)"
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT = 120.0  # seconds; a server that asks for longer is not asked again in this run
CHUNK = 2**16


class Fetcher:
    """Fetches photos by URL into a store, skipping stored ones. `sleep` and `clock` are replaced in tests."""

    def __init__(
        self,
        store: PhotoStore,
        *,
        guard: Guard | None = None,  # whether private addresses are allowed: archives are untrusted
        delay: float = 1.0,  # seconds between two requests to one host
        attempts: int = 4,
        timeout: float = 30.0,  # seconds without data
        patience: float = 180.0,  # seconds per photo and attempt
        largest: int = CURATED.bytes,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._delay, self._attempts, self._timeout, self._patience, self._largest = (
            delay,
            attempts,
            timeout,
            patience,
            largest,
        )
        self._sleep, self._clock = sleep, clock
        self._last: dict[str, float] = {}  # host to the time of its last request
        self._session = guarded_session(guard or Guard(), agent=USER_AGENT)

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def fetch(self, address: str) -> str | RejectedRecord:
        """Return the sha256 of the photo at `address`, stored, or the reason for its rejection.

        Reasons: bad-address, unreachable, too-large, not-an-image, unreadable. Incomplete photos are not stored.
        """
        if known := self._store.recall(address):
            return known
        parts = urlsplit(address)
        if parts.scheme.lower() not in SCHEMES or not parts.hostname:
            return RejectedRecord("bad-address", f"{address!r} is no web address", photo=address)
        fault = ""
        for attempt in range(self._attempts):
            self._wait_for_turn(parts.hostname)
            outcome = self._request(address)
            if isinstance(outcome, RejectedRecord):
                return outcome
            if isinstance(outcome, bytes):
                return self._keep(address, outcome)
            fault, wait = outcome
            if wait > LONGEST_WAIT:
                break
            if attempt + 1 < self._attempts:
                self._sleep(max(wait, self._delay * 2**attempt))
        return RejectedRecord("unreachable", f"{address}: {fault}", photo=address)

    def _wait_for_turn(self, host: str) -> None:
        if host in self._last:
            pause = self._last[host] + self._delay - self._clock()
            if pause > 0:
                self._sleep(pause)
        self._last[host] = self._clock()

    def _request(self, address: str) -> bytes | tuple[str, float] | RejectedRecord:
        """Send one request; returns the bytes, (error, seconds to wait) if it can be repeated, or a rejection."""
        try:
            with open_address(self._session, address, timeout=self._timeout) as answer:
                if answer.status_code in TRY_AGAIN:
                    return f"the server answers {answer.status_code}", read_retry_after(
                        answer.headers.get("Retry-After", "")
                    )
                if answer.status_code != requests.codes.ok:
                    return RejectedRecord(
                        "unreachable", f"{address}: the server answers {answer.status_code}", photo=address
                    )
                return self._read(answer, address)
        except ForbiddenAddress as error:
            return RejectedRecord("bad-address", f"{address}: {error}", photo=address)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            return f"the server cannot be reached or breaks off ({type(error).__name__})", 0.0
        except (requests.RequestException, ValueError) as error:
            return RejectedRecord(
                "unreachable", f"{address}: the request fails ({type(error).__name__})", photo=address
            )

    def _read(self, answer: requests.Response, address: str) -> bytes | tuple[str, float] | RejectedRecord:
        too_large = RejectedRecord(
            "too-large", f"{address}: the photo has more than {self._largest:,} bytes", photo=address
        )
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and (len(announced) > 19 or int(announced) > self._largest):
            return too_large
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind.startswith("text/"):  # a page about the photo, or an error page
            return RejectedRecord("not-an-image", f"{address}: the server answers with {kind}", photo=address)
        begun, photo = self._clock(), bytearray()
        for chunk in answer.iter_content(CHUNK):
            photo += chunk
            if len(photo) > self._largest:
                return too_large
            if self._clock() - begun > self._patience:
                return f"the photo did not come within {self._patience:g} seconds", 0.0
        return bytes(photo)

    def _keep(self, address: str, photo: bytes) -> str | RejectedRecord:
        try:
            inspect_photo(photo)
        except (UnreadablePhoto, PhotoTooLarge) as error:
            return RejectedRecord(reason_of(error), f"{address}: {error}", photo=address)
        sha256 = self._store.put(photo)
        self._store.remember(address, sha256)
        return sha256


def read_retry_after(text: str) -> float:
    """Return the seconds of a Retry-After header, given in seconds or as a date; 0 without one."""
    text = text.strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
