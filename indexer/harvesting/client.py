"""A polite client of JSON services: one request at a time, paced, within a budget, and nothing asked twice."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import requests

from database.field.photo_files import write_whole
from indexer.photos.fetching import TRY_AGAIN, read_retry_after
from indexer.photos.pacing import Budget, HostHeld, Pace, host_of, wait_for_turn
from retrieval.errors import ServiceRefusal, ServiceUnavailable
from retrieval.photos.addresses import Guard
from retrieval.photos.fetching import guarded_session, open_address

USER_AGENT = "Fungarium/0.1 (open fungi identification; region checklists and reference photos)"
ATTEMPTS = 6
TIMEOUT = 60.0  # seconds without data
LARGEST = 64 * 2**20  # bytes of a reply, unpacked
PIECE = 2**14
NOTHING = (requests.codes.not_found, requests.codes.no_content)
Parameters = Sequence[tuple[str, str]]


class ApiClient:
    """Gets JSON from services. Replies are kept until `forget`, so that a killed run asks for nothing twice."""

    def __init__(
        self,
        replies: Path,
        *,
        guard: Guard | None = None,
        pace: Pace | None = None,
        budget: Budget | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.replies = replies
        self._pace, self._budget = pace or Pace(), budget or Budget()
        self._session = guarded_session(guard or Guard(), agent=USER_AGENT)
        self._session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip"} | dict(headers))

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def get(self, url: str, parameters: Parameters = (), *, keep: str = "replies") -> Any:
        """Return the JSON at a URL, kept or new; None where the service has nothing there (404).

        `keep` names a group of replies that are forgotten together. Raises ServiceUnavailable, ServiceRefusal,
        BudgetSpent, ForbiddenAddress.
        """
        address = f"{url}?{urlencode(parameters)}" if parameters else url
        file = self.replies / keep / f"{hashlib.sha256(address.encode()).hexdigest()}.json.gz"
        try:
            return json.loads(gzip.decompress(file.read_bytes()))
        except FileNotFoundError:
            pass
        body = self._ask(address)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, gzip.compress(body, 6, mtime=0))
        return json.loads(body)

    def forget(self, keep: str) -> None:
        """Remove a group of replies: what they said is stored elsewhere, or is to be asked again."""
        shutil.rmtree(self.replies / keep, ignore_errors=True)

    def _ask(self, address: str) -> bytes:
        fault, host = "", host_of(address)
        for attempt in range(ATTEMPTS):
            try:
                reply = self._request(address)
            except HostHeld as held:
                raise ServiceUnavailable(f"{fault or held}; run the same command again later") from held
            if isinstance(reply, bytes):
                return reply
            fault, wait, held_host = reply
            self._pace.hold(held_host, max(wait, self._pace.pause_of(held_host) * 2**attempt))
        raise ServiceUnavailable(f"{host} {fault}, {ATTEMPTS} times in a row; run the same command again later")

    def _request(self, address: str) -> bytes | tuple[str, float, str]:
        """Send one request; returns valid JSON, or (fault, seconds to wait, host) if it can be repeated."""
        try:
            before = partial(wait_for_turn, self._pace, self._budget)
            with open_address(self._session, address, timeout=TIMEOUT, before=before) as answer:
                host = host_of(answer.url)
                if answer.status_code in TRY_AGAIN:
                    return (
                        f"answers {answer.status_code}",
                        read_retry_after(answer.headers.get("Retry-After", "")),
                        host,
                    )
                if answer.status_code in NOTHING:
                    return b"null"
                if answer.status_code != requests.codes.ok:
                    raise ServiceRefusal(f"{host} refuses a request with {answer.status_code}: {address[:300]}")
                body = self._read(answer)
        except (requests.RequestException, OSError, ValueError) as error:
            return f"cannot be reached or breaks off ({type(error).__name__})", 0.0, host_of(address)
        try:
            json.loads(body)
        except ValueError:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip() or "something else"
            return f"answers with {kind} that is no JSON", 0.0, host
        return body

    def _read(self, answer: requests.Response) -> bytes:
        """Read a body, counting the bytes as they were sent; a piece needs at most twice its size of them."""
        announced = answer.headers.get("Content-Length", "")
        whole = int(announced) if announced.isdecimal() else 0
        self._budget.require(whole or 2)
        piece = PIECE if whole else self._budget.piece(PIECE)
        body, counted = bytearray(), 0
        for chunk in answer.iter_content(piece):
            counted += self._count(answer, counted)
            body += chunk
            if len(body) > LARGEST:
                raise ValueError("the reply is too long")
            if not whole:  # the rest may be as long
                self._budget.require(2 * piece)
        self._count(answer, counted)
        return bytes(body)

    def _count(self, answer: requests.Response, counted: int) -> int:
        """Count the bytes that came since `counted` had come; returns how many they are."""
        fresh = int(answer.raw.tell()) - counted
        self._budget.take_bytes(fresh)
        return fresh
