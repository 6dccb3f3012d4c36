"""When a server may be asked again, and how much a run may still ask for and receive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from database.field.photo_files import write_whole
from retrieval.errors import BudgetSpent

LONGEST_WAIT = 120.0  # seconds; a server that asks for longer is not asked again in this run
LONGEST_MEMORY = 86_400.0  # seconds that a server's wish is remembered by later runs


class HostHeld(Exception):
    """A host asks to be left alone for longer than a run waits."""


class Pace:
    """Waits between requests to one host, and as long as a host asks to be left alone.

    With a `file`, later runs know what a host asked for: a run that was killed and started again waits as well. `clock`
    measures time within a run, `wall` between runs; both, and `sleep`, are replaced in tests.
    """

    def __init__(
        self,
        pause: float = 1.0,  # seconds between two requests to one host
        pauses: Mapping[str, float] | None = None,  # for hosts with rules of their own
        *,
        daily: Mapping[str, int] | None = None,  # most requests of a day, for hosts that ask for that
        file: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.pause = pause
        self.sleep, self.clock = sleep, clock
        self._pauses = dict(pauses or {})
        self._file, self._wall = file, wall
        self._next: dict[str, float] = {}  # host to the time from which it may be asked
        self._daily = dict(daily or {})
        self._wishes, self._days = self._read()
        for host, until in self._wishes.items():
            self._next[host] = clock() + min(max(until - wall(), 0.0), LONGEST_MEMORY)

    def pause_of(self, host: str) -> float:
        """Return the seconds between two requests to a host."""
        return self._pauses.get(host, self.pause)

    def must_wait(self, host: str) -> float:
        """Return the seconds until a host may be asked."""
        return max(0.0, self._next[host] - self.clock()) if host in self._next else 0.0

    def take_turn(self, host: str) -> None:
        """Wait until a host may be asked, for one request; raises HostHeld if that is longer than a run waits."""
        wait = self.must_wait(host)
        if wait > LONGEST_WAIT:
            raise HostHeld(f"{host} asks to be left alone for {wait:,.0f} seconds")
        if host in self._daily:
            self._count_day(host)
        if wait > 0:
            self.sleep(wait)
        self._next[host] = self.clock() + self.pause_of(host)

    def hold(self, host: str, seconds: float) -> None:
        """Leave a host alone for so many seconds, in later runs too."""
        self._next[host] = max(self._next.get(host, 0.0), self.clock() + seconds)
        if self._file is not None:
            self._wishes[host] = self._wall() + seconds
            self._write(self._file)

    def _count_day(self, host: str) -> None:
        """Count a request of today (UTC); raises HostHeld if the host has had its number."""
        today = int(self._wall() // LONGEST_MEMORY)
        day, count = self._days.get(host, (today, 0))
        count = count if day == today else 0
        if count >= self._daily[host]:
            raise HostHeld(f"{host} asks for at most {self._daily[host]:,} requests a day, which it has had today")
        self._days[host] = (today, count + 1)
        if self._file is not None:
            self._write(self._file)

    def _read(self) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
        try:
            known = json.loads(self._file.read_bytes()) if self._file is not None else {}
        except (FileNotFoundError, ValueError):
            return {}, {}
        days = {str(host): (int(day), int(count)) for host, (day, count) in known.get("days", {}).items()}
        return {str(host): float(until) for host, until in known.get("wishes", {}).items()}, days

    def _write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps({"wishes": self._wishes, "days": self._days}, sort_keys=True).encode())


class Budget:
    """How many requests a run may send and how many bytes of replies it may receive; None: as many as it needs.

    Bytes are those of bodies as they are sent.
    """

    def __init__(self, requests: int | None = None, byte_count: int | None = None) -> None:
        self._most_requests, self._most_bytes = requests, byte_count
        self.requests = 0
        self.byte_count = 0

    def take_request(self) -> None:
        """Count a request before it is sent; raises BudgetSpent if it may not be."""
        if self._most_requests is not None and self.requests >= self._most_requests:
            raise BudgetSpent(f"the {self._most_requests:,} requests of this run are spent; run it again to go on")
        self.requests += 1

    def require(self, byte_count: int) -> None:
        """Raise BudgetSpent unless so many more bytes may be received."""
        if self._most_bytes is not None and self.byte_count + byte_count > self._most_bytes:
            raise BudgetSpent(
                f"of the {self._most_bytes:,} bytes of this run {self._most_bytes - self.byte_count:,} are left, and "
                "the next reply is longer; run it again to go on"
            )

    def take_bytes(self, byte_count: int) -> None:
        """Count received bytes."""
        self.byte_count += byte_count

    def piece(self, largest: int) -> int:
        """Return the size of the pieces in which a body of unknown length is to be read: small ones near the end."""
        return largest if self._most_bytes is None else max(1, min(largest, (self._most_bytes - self.byte_count) // 64))


def wait_for_turn(pace: Pace, budget: Budget, url: str) -> None:
    """Wait until a URL may be requested, and count the request. Raises HostHeld and BudgetSpent."""
    pace.take_turn(host_of(url))
    budget.take_request()


def host_of(url: str) -> str:
    """Return the host that a URL is requested from, with its port if it names one."""
    return urlsplit(url).netloc.lower()
