"""Answers with a share link: at an unguessable URL, for a limited time, without coordinates.

An answer is a folder under `answers` in the data folder: `answer.json`, as in the API, and the person's photos,
re-encoded, small and without metadata.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from database.errors import StoreFull, StoreUnavailable
from database.field.photo_files import NO_ROOM
from retrieval.errors import InvalidOption
from web.http.refusals import UnknownAnswer

NAME: Final = re.compile(r"[A-Za-z0-9_-]{24}")
DAY: Final = 86_400  # seconds


class KeptAnswers:
    """The folder of shared answers; each is stored for `days` days. Without a folder, sharing is disabled.

    There are at most `most`, so that nobody fills the disk with them: the oldest are removed first.
    """

    def __init__(self, folder: Path | None, days: int, most: int = 10_000) -> None:
        self.days = days if folder else 0
        self._most = most
        self._folder = folder

    def keep(self, answer: dict[str, Any], photos: Sequence[bytes]) -> str:
        """Store an answer with the person's photos, scaled down. Returns its id. Expired answers are removed.

        Raises StoreFull if the disk is full, StoreUnavailable if it cannot be written to; then nothing is left behind.
        """
        if self._folder is None:
            raise InvalidOption("share links are not available on this server")
        name = secrets.token_urlsafe(18)
        staging = self._folder / f".{name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.clear()
            staging.mkdir()
            for number, photo in enumerate(photos):
                (staging / f"{number}.jpg").write_bytes(photo)
            (staging / "answer.json").write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
            staging.rename(self._folder / name)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            if error.errno in NO_ROOM:
                raise StoreFull(
                    "the storage of share links is full; the administrator has to free some space"
                ) from error
            raise StoreUnavailable(f"the answer could not be stored ({error.strerror})") from error
        return name

    def read(self, name: str) -> dict[str, Any]:
        """Return the answer of an id; raises UnknownAnswer."""
        try:
            body: dict[str, Any] = json.loads((self._find(name) / "answer.json").read_bytes())
        except FileNotFoundError as error:
            raise self._unknown() from error
        return body

    def photo(self, name: str, number: int) -> bytes:
        """Return one of the person's photos, scaled down; raises UnknownAnswer."""
        try:
            return (self._find(name) / f"{number}.jpg").read_bytes()
        except FileNotFoundError as error:
            raise self._unknown() from error

    def clear(self) -> None:
        """Remove expired answers, incomplete ones left by an interrupted request, and the oldest above the maximum."""
        stored: list[tuple[float, str]] = []
        for entry in os.scandir(self._folder) if self._folder else ():
            with suppress(FileNotFoundError):  # another worker removed it
                stored.append((entry.stat().st_mtime, entry.path))
        expired = time.time() - self.days * DAY
        surplus = len(stored) - self._most + 1  # there will be one more
        for place, (written, folder) in enumerate(sorted(stored)):
            if written >= expired and place >= surplus:
                break
            shutil.rmtree(folder, ignore_errors=True)

    def _find(self, name: str) -> Path:
        folder = (self._folder or Path()) / name
        if self._folder is None or not NAME.fullmatch(name) or not folder.is_dir() or self._has_expired(folder):
            raise self._unknown()
        return folder

    def _has_expired(self, folder: Path) -> bool:
        return time.time() - folder.stat().st_mtime > self.days * DAY

    def _unknown(self) -> UnknownAnswer:
        return UnknownAnswer(f"this share link has expired or never existed; links last {self.days} days")
