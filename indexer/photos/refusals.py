"""Addresses that gave no photo, so that a run that was cut short does not ask for them again."""

from __future__ import annotations

import json
from pathlib import Path

from indexer.records import RejectedRecord


class Refusals:
    """A list of refused addresses with reasons, in a file of JSON lines that is only appended to."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, RejectedRecord] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    address, reason, detail = json.loads(line)
                except ValueError:  # the last line of a run that was killed
                    continue
                self._known[address] = RejectedRecord(reason, detail, photo=address)

    def find(self, address: str) -> RejectedRecord | None:
        """Return why an address was refused, or None."""
        return self._known.get(address)

    def note(self, refused: RejectedRecord) -> None:
        """Remember a refusal."""
        self._known[refused.photo] = refused
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps([refused.photo, refused.reason, refused.detail]) + "\n")

    def forget(self) -> None:
        """Let every address be asked again."""
        self._known.clear()
        self._file.unlink(missing_ok=True)
