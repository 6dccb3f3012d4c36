"""Polite fetching of photos from other servers: identified, one request at a time, rate-limited, without repetition."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from urllib.parse import urlsplit

import requests

from indexer.photos.pacing import Budget, HostHeld, Pace, host_of, wait_for_turn
from indexer.photos.photo_facts import inspect_photo, reason_of
from indexer.photos.photo_store import PhotoStore
from indexer.photos.refusals import Refusals
from indexer.records import RejectedRecord
from retrieval.errors import ForbiddenAddress, PhotoTooLarge, UnreadablePhoto
from retrieval.photos.addresses import SCHEMES, Guard
from retrieval.photos.fetching import guarded_session, open_address
from retrieval.photos.views import CURATED

USER_AGENT = "Fungarium/0.1 (open fungi identification; fetches each reference photo once)"
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
CHUNK = 2**16
GIVEN_UP = 5  # photos in a row: a server that is gone would cost minutes for each


class Fetcher:
    """Fetches photos by URL into a store, skipping stored ones."""

    def __init__(
        self,
        store: PhotoStore,
        *,
        guard: Guard | None = None,  # whether private addresses are allowed: archives are untrusted
        attempts: int = 4,
        timeout: float = 30.0,  # seconds without data
        patience: float = 180.0,  # seconds per photo and attempt
        largest: int = CURATED.bytes,
        pace: Pace | None = None,  # shared with other requests of this run
        budget: Budget | None = None,
        refusals: Refusals | None = None,  # addresses that need not be asked again
    ) -> None:
        self._store = store
        self._pace = pace or Pace()
        self._budget, self._refusals = budget or Budget(), refusals
        self._failed = Counter[str]()  # photos in a row that a host did not deliver
        self._attempts, self._timeout, self._patience, self._largest = attempts, timeout, patience, largest
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
        if self._refusals is not None and (refused := self._refusals.find(address)):
            return refused
        outcome, is_final = self._fetch(address)
        if is_final and isinstance(outcome, RejectedRecord) and self._refusals is not None:
            self._refusals.note(outcome)
        return outcome

    def _fetch(self, address: str) -> tuple[str | RejectedRecord, bool]:
        """Return the outcome, and whether it would be the same another time."""
        parts = urlsplit(address)
        if parts.scheme.lower() not in SCHEMES or not parts.hostname:
            return RejectedRecord("bad-address", f"{address!r} is no web address", photo=address), True
        host, fault = host_of(address), ""
        if (failed := self._failed[host]) >= GIVEN_UP:
            fault = f"the last {failed} photos of {host} did not come, and it is not asked again in this run"
            return RejectedRecord("unreachable", f"{address}: {fault}", photo=address), False
        for attempt in range(self._attempts):
            try:
                outcome = self._request(address)
            except HostHeld as held:
                fault = fault or str(held)
                break
            if isinstance(outcome, RejectedRecord | bytes):
                self._failed[host] = 0
                return (self._keep(address, outcome) if isinstance(outcome, bytes) else outcome), True
            fault, wait, answering = outcome
            self._pace.hold(answering, max(wait, self._pace.pause_of(answering) * 2**attempt))
        self._failed[host] += 1
        return RejectedRecord("unreachable", f"{address}: {fault}", photo=address), False

    def _request(self, address: str) -> bytes | tuple[str, float, str] | RejectedRecord:
        """Send one request; returns the bytes, (error, seconds to wait, host) if it can be repeated, or a rejection."""
        try:
            before = partial(wait_for_turn, self._pace, self._budget)
            with open_address(self._session, address, timeout=self._timeout, before=before) as answer:
                if answer.status_code in TRY_AGAIN:
                    wait = read_retry_after(answer.headers.get("Retry-After", ""))
                    return f"the server answers {answer.status_code}", wait, host_of(answer.url)
                if answer.status_code != requests.codes.ok:
                    return RejectedRecord(
                        "unreachable", f"{address}: the server answers {answer.status_code}", photo=address
                    )
                return self._read(answer, address)
        except ForbiddenAddress as error:
            return RejectedRecord("bad-address", f"{address}: {error}", photo=address)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            return f"the server cannot be reached or breaks off ({type(error).__name__})", 0.0, host_of(address)
        except (requests.RequestException, ValueError) as error:
            return RejectedRecord(
                "unreachable", f"{address}: the request fails ({type(error).__name__})", photo=address
            )

    def _read(self, answer: requests.Response, address: str) -> bytes | tuple[str, float, str] | RejectedRecord:
        too_large = RejectedRecord(
            "too-large", f"{address}: the photo has more than {self._largest:,} bytes", photo=address
        )
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and (len(announced) > 19 or int(announced) > self._largest):
            return too_large
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind.startswith("text/"):  # a page about the photo, or an error page
            return RejectedRecord("not-an-image", f"{address}: the server answers with {kind}", photo=address)
        self._budget.require(int(announced) if announced.isdecimal() else 1)
        begun, photo = self._pace.clock(), bytearray()
        piece = self._budget.piece(CHUNK)
        for chunk in answer.iter_content(piece):
            self._budget.take_bytes(len(chunk))
            photo += chunk
            if len(photo) > self._largest:
                return too_large
            if not announced:  # the rest may be as long
                self._budget.require(piece)
            if self._pace.clock() - begun > self._patience:
                return f"the photo did not come within {self._patience:g} seconds", 0.0, host_of(answer.url)
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
