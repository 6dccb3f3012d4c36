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
from typing import Any, BinaryIO
from urllib.parse import urlencode

import requests
from requests.auth import HTTPBasicAuth

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
FILE_PIECE = 2**14  # of a file; one that breaks off is lost
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

    def ask_as(self, account: tuple[str, str], url: str, body: object = None) -> tuple[int, str]:
        """Send one request with an account (name, password), a POST if there is a body; returns status and text.

        It is neither repeated nor redirected, so that the account reaches this URL alone. Raises ServiceUnavailable
        where there is no reply, BudgetSpent, ForbiddenAddress.
        """
        host, method = host_of(url), "GET" if body is None else "POST"
        named = HTTPBasicAuth(*(part.encode() for part in account))  # requests would write text as Latin-1
        try:
            wait_for_turn(self._pace, self._budget, url)
            with self._session.request(
                method, url, json=body, auth=named, stream=True, timeout=TIMEOUT
            ) as answer:  # fmt: skip
                self._session.cookies.clear()
                if answer.status_code in TRY_AGAIN:
                    self._pace.hold(host, read_retry_after(answer.headers.get("Retry-After", "")))
                return answer.status_code, self._read(answer).decode()
        except HostHeld as held:
            raise ServiceUnavailable(f"{held}; run the same command again later") from held
        except (requests.RequestException, OSError, ValueError) as error:
            raise ServiceUnavailable(
                f"{host} cannot be reached or breaks off ({type(error).__name__}); run the same command again later"
            ) from error

    def download(self, url: str, file: Path, size: int) -> None:
        """Fetch a file of `size` bytes. What was received stays after an interruption; the next call asks for the rest.

        Raises as `get` does, and ServiceRefusal for a reply longer than `size`.
        """
        fruitless, fault, host = 0, "", host_of(url)
        while (had := size_of(file)) != size:
            if fruitless == ATTEMPTS:
                raise ServiceUnavailable(f"{host} {fault}, {ATTEMPTS} times in a row; run the same command again later")
            try:
                fault, wait, held_host = self._receive(url, file, size)
            except HostHeld as held:
                raise ServiceUnavailable(f"{fault or held}; run the same command again later") from held
            fruitless = fruitless + 1 if size_of(file) <= had else 0
            if fault:
                self._pace.hold(held_host, max(wait, self._pace.pause_of(held_host) * 2**fruitless))

    def rest(self, pauses: int) -> None:
        """Wait for so many times the pause between two requests."""
        self._pace.sleep(pauses * self._pace.pause)

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

    def _receive(self, url: str, file: Path, size: int) -> tuple[str, float, str]:
        """Append to a file what is missing of it; returns (fault or nothing, seconds to wait, host)."""
        had = size_of(file)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
        before = partial(wait_for_turn, self._pace, self._budget)
        try:
            with open_address(self._session, url, timeout=TIMEOUT, before=before, headers=headers) as answer:
                host, status = host_of(answer.url), answer.status_code
                if status in TRY_AGAIN:
                    return f"answers {status}", read_retry_after(answer.headers.get("Retry-After", "")), host
                goes_on = status == requests.codes.partial and answer.headers.get("Content-Range", "").startswith(
                    f"bytes {had}-"
                )
                if not goes_on and status != requests.codes.ok:
                    file.unlink(missing_ok=True)  # asked for from its beginning the next time
                    raise ServiceRefusal(f"{host} refuses a file with {status}: {url[:300]}")
                with file.open("ab" if goes_on else "wb") as received:
                    self._append(answer, received, size - (had if goes_on else 0))
        except (requests.RequestException, OSError, ValueError) as error:
            return f"cannot be reached or breaks off ({type(error).__name__})", 0.0, host_of(url)
        if size_of(file) > size:
            file.unlink()
            raise ServiceRefusal(f"{host} sends more than the {size:,} bytes that it announced: {url[:300]}")
        return "" if size_of(file) == size else "breaks off", 0.0, host

    def _append(self, answer: requests.Response, received: BinaryIO, missing: int) -> None:
        """Write a body to a file, within the budget, and no more than a piece beyond what is missing."""
        piece = self._budget.piece(FILE_PIECE)
        self._budget.require(min(piece, max(missing, 1)))
        for chunk in answer.iter_content(piece):
            self._budget.take_bytes(len(chunk))
            received.write(chunk)
            missing -= len(chunk)
            if missing < 0:
                return
            self._budget.require(min(piece, missing))

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


def size_of(file: Path) -> int:
    """Return the bytes of a file; 0 where there is none."""
    return file.stat().st_size if file.exists() else 0
