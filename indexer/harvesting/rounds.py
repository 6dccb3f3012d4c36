"""A round of fetching from a service: what was asked for, and what was chosen for each species so far.

A round that was cut short is finished by the next run. The next round keeps what the one before it chose, where it is
still there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from database.field.photo_files import write_whole


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """What photos are wanted."""

    per_species: int = 60  # finds
    photos_per_find: int = 6
    licences: str = "open"  # open or noncommercial


@dataclass(frozen=True, slots=True)
class SpeciesChoice:
    """What was chosen for a species."""

    species: int  # the service's key
    round: int
    read: int  # records that were read
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason to number of photos, or of finds
    cells: Mapping[str, int] = field(default_factory=dict)  # H3 cell to number of the records read
    identities: Sequence[str] = ()  # of the chosen finds: what only copies of them share
    results: Sequence[Mapping[str, Any]] = ()  # the chosen records, as the service gave them


class Rounds:
    """The folder of a service in a region's folder: `round.json`, and `chosen/` with a file for each species."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chosen = path / "chosen"
        self.refused = path / "refused.jsonl"
        self._state = path / "round.json"

    def begin(self, options: ChoiceOptions, *, renew: bool = False) -> int:
        """Begin a round, or go on with one that is not finished; returns its number.

        A new one begins if `renew` is asked for and the last one is finished, or if other photos are wanted.
        """
        state = self._read_state()
        number, finished = int(state.get("round", 0)), bool(state.get("finished"))
        if number == 0 or state.get("options") != asdict(options) or (renew and finished):
            number, finished = number + 1, False
        self._write_state(number, options, finished="" if not finished else str(state["finished"]))
        return number

    def finish(self, options: ChoiceOptions, number: int, day: str) -> None:
        """Mark a round as finished."""
        self._write_state(number, options, finished=day)

    @property
    def finished(self) -> str:
        """The day on which the last round was finished; empty while it is not."""
        return str(self._read_state().get("finished", ""))

    def write(self, choice: SpeciesChoice) -> None:
        """Store what was chosen for a species."""
        text = json.dumps(asdict(choice), ensure_ascii=False, separators=(",", ":"))
        write_whole(self.chosen / f"{choice.species}.json", text.encode())

    def read(self, species: int) -> SpeciesChoice | None:
        """Return what was chosen for a species, in whatever round."""
        try:
            return SpeciesChoice(**json.loads((self.chosen / f"{species}.json").read_bytes()))
        except FileNotFoundError:
            return None

    def choices(self) -> Iterator[SpeciesChoice]:
        """Yield what was chosen for every species, in order of their keys."""
        for file in sorted(self.chosen.glob("*.json"), key=lambda file: int(file.stem)):
            yield SpeciesChoice(**json.loads(file.read_bytes()))

    def drop_others(self, species: set[int]) -> None:
        """Remove what was chosen for species that are no longer on the checklist."""
        for file in self.chosen.glob("*.json"):
            if int(file.stem) not in species:
                file.unlink()

    def _read_state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(self._state.read_bytes())
        except FileNotFoundError:
            return {}
        return state

    def _write_state(self, number: int, options: ChoiceOptions, *, finished: str) -> None:
        state = {"round": number, "options": asdict(options), "finished": finished}
        write_whole(self._state, (json.dumps(state, indent=1) + "\n").encode())
