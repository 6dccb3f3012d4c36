"""Keeps the published snapshots open for requests, and reports the server's health."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UnknownLine
from retrieval.snapshots.current import PATIENCE, CurrentSnapshot, accept_all
from retrieval.snapshots.lines import line_names
from retrieval.snapshots.manifest import STABLE, read_current
from retrieval.snapshots.snapshot import Snapshot
from web.http.errors import public_message


@dataclass(frozen=True, slots=True)
class Health:
    """The health of the server, or of a published line.

    The status is ok, starting, degraded (an older snapshot than the published one is in use), unavailable, or, of a
    line, idle: no request to this process has named it. `snapshot` is None if none is open; `detail` is empty if all is
    well.
    """

    status: str
    detail: str
    snapshot: Snapshot | None


class Published(CurrentSnapshot):
    """The published snapshot, with its health for /healthz, and those of further published lines.

    A line is opened when a request first names it. What a retired line held is closed once its last lease has ended.
    """

    def __init__(
        self, root: Path, accept: Callable[[Snapshot], None] = accept_all, *, patience: float = PATIENCE
    ) -> None:
        super().__init__(root, accept, patience=patience)
        self._lines: dict[str, CurrentSnapshot] = {}
        self._changing = threading.Lock()  # of the lines

    @contextmanager
    def lease(self, line: str = STABLE) -> Iterator[Snapshot]:
        """Yield the snapshot of a line; raises UnknownLine, and the errors of `CurrentSnapshot.lease`."""
        leased = super().lease() if line == STABLE else self._line_of(line).lease()
        with leased as snapshot:
            yield snapshot

    def lines(self) -> tuple[str, ...]:
        """The lines that a request may name besides the stable one."""
        return line_names(self._root)

    def line_healths(self) -> Iterator[tuple[str, str, Health]]:
        """Yield the name of each line, the snapshot that it names, and its health; opens none for this."""
        for line in self.lines():
            with suppress(UnknownLine):  # retired this moment
                name = read_current(self._root, line)
                with self._changing:
                    opened = line in self._lines
                yield line, name, self.health(line) if opened else Health("idle", "", None)

    def health(self, line: str = STABLE) -> Health:
        """Return the health of a line, without waiting for a snapshot that is being opened; raises UnknownLine."""
        state = self.state() if line == STABLE else self._line_of(line).state()
        problem = public_message(state.error) if state.error else ""
        if state.snapshot is not None:
            return Health("degraded" if problem else "ok", problem, state.snapshot)
        if not problem:
            return Health("starting", "the published snapshot is being opened", None)
        return Health("unavailable", problem, None)

    def close(self) -> None:
        """Close all snapshots when their last leases have ended."""
        super().close()
        with self._changing:
            lines, self._lines = self._lines, {}
        for held in lines.values():
            held.close()

    def _line_of(self, line: str) -> CurrentSnapshot:
        """Return what follows a line, closing it if the line was retired; raises UnknownLine."""
        try:
            read_current(self._root, line)
        except UnknownLine:
            with self._changing:
                retired = self._lines.pop(line, None)
            if retired is not None:
                retired.close()
            raise
        with self._changing:
            if line not in self._lines:
                self._lines[line] = CurrentSnapshot(self._root, self._accept, line=line, patience=self._patience)
            return self._lines[line]
