"""Counts usage: at once in memory or Redis, and a few seconds later in the database's history.

Memory serves one process, Redis several. Only this module imports the package limits. If Redis is unavailable, memory
replaces it until it is back: a quota is for sharing a server, and not worth refusing everybody for.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string

from database.collection.uses import Counted, add_uses, history, used_on
from database.errors import DatabaseError
from database.session import Database
from retrieval.errors import SettingsError

DAY = 86_400  # seconds
PROMPT = 1.0  # time limit of Redis, in seconds
LULL = 5.0  # seconds between writes of the history
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a daily quota. `limit` and `remaining` are None if it is unlimited."""

    holder: str  # `person:ID`, `key:ID` or `address:...`; empty if not counted
    limit: int | None
    remaining: int | None
    reset_seconds: int  # until 00:00 UTC

    @property
    def partition(self) -> str:
        """An opaque id of the quota, by which a client can distinguish quotas."""
        return b64encode(hashlib.sha256(self.holder.encode()).digest()[:12]).decode()

    def headers(self) -> dict[str, str]:
        """Return RateLimit fields of draft-ietf-httpapi-ratelimit-headers-08, and the older ones that clients read."""
        if self.limit is None or self.remaining is None:
            return {}
        return {
            "RateLimit-Policy": f'"dailyQuota";q={self.limit};w={DAY};pk=:{self.partition}:',
            "RateLimit": f'"dailyQuota";r={self.remaining};t={self.reset_seconds};pk=:{self.partition}:',
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_seconds),
        }


@dataclass(frozen=True, slots=True)
class Throttle:
    """A limit of attempts in a number of minutes."""

    attempts: int
    minutes: int


@dataclass
class Counts:
    """Usage by holder, day and action. Opens nothing before its first use."""

    storage: str = "memory://"
    database: Callable[[], Database] | None = None  # None: no history is stored
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _unwritten: Counter[Counted] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _memory: MemoryStorage | None = None
    _shared: Storage | None = None
    _seeded: set[Counted] = field(default_factory=set)
    _writer: threading.Thread | None = None
    _ending: threading.Event = field(default_factory=threading.Event)

    def spend(self, holder: str, action: str, limit: int | None, amount: int = 1) -> Quota | None:
        """Use `amount` of a daily `limit`. Returns None, and uses nothing, if less is left."""
        counted = (holder, self.now().date(), action)
        used = self._add(counted, amount)
        if limit is not None and used > limit:
            self._add(counted, -amount)
            return None
        self._note(counted, amount)
        return self._quota(holder, limit, used)

    def give_back(self, holder: str, action: str, amount: int = 1) -> None:
        """Give back a use, because the request failed."""
        counted = (holder, self.now().date(), action)
        self._add(counted, -amount)
        self._note(counted, -amount)

    def left(self, holder: str, action: str, limit: int | None) -> Quota:
        """Return what is left of the day, without using it."""
        return self._quota(holder, limit, self._add((holder, self.now().date(), action), 0))

    def history(self, holder: str, first: date, last: date) -> list[tuple[date, str, int]]:
        """Return day, action and count from the first day to the last. Raises DatabaseError."""
        self.write_history()
        if self.database is None:
            return []
        with self.database().reading() as session:
            return history(session, holder, first, last)

    def attempt(self, what: str, throttle: Throttle) -> bool:
        """Count an attempt before it is made; False if there were too many recently, this one included."""
        return self._count_attempt(what, throttle, 1) <= throttle.attempts

    def forgive(self, what: str, throttle: Throttle) -> None:
        """Take back an attempt that turned out to be right."""
        self._count_attempt(what, throttle, -1)

    def is_shared(self) -> bool:
        """Return whether usage is counted where it is meant to be; False while memory stands in for Redis."""
        return self.storage == "memory://" or self._storage().check()

    def write_history(self) -> None:
        """Write what was counted since the last write. Raises DatabaseError, and then keeps the counts for later."""
        with self._lock:
            if self.database is None or not self._unwritten:
                return
            counts, self._unwritten = self._unwritten, Counter()
        try:
            with self.database().writing() as session:
                add_uses(session, counts)
                written = {counted: used_on(session, *counted) for counted in self._seeded}
        except BaseException:
            with self._lock:
                self._unwritten.update(counts)
            raise
        memory = self._own_memory()
        with self._lock:  # includes what other workers wrote: without Redis they agree within seconds
            for counted, used in written.items():
                key = key_of(counted)
                memory.incr(key, 2 * DAY, used + self._unwritten[counted] - memory.get(key))

    def close(self) -> None:
        """Write unwritten counts and stop."""
        self._ending.set()
        try:
            self.write_history()
        except DatabaseError as error:
            log.warning("the latest usage could not be written: %s", error)
        shared = getattr(self._shared, "storage", None)  # the library's own name for the client of Redis
        if shared is not None:
            shared.close()

    def _add(self, counted: Counted, amount: int) -> int:
        key = key_of(counted)
        storage = self._storage()
        try:
            if isinstance(storage, MemoryStorage):
                return self._add_here(storage, key, counted, amount)
            return storage.incr(key, 2 * DAY, amount) if amount else storage.get(key)
        except StorageError as error:
            log.warning("Redis is unavailable, counting in memory: %s", error)
            return self._add_here(self._own_memory(), key, counted, amount)

    def _add_here(self, storage: MemoryStorage, key: str, counted: Counted, amount: int) -> int:
        """Count in memory, starting from the history at the start of this process."""
        before = 0
        with self._lock:
            seeded = counted in self._seeded
        if not seeded and self.database is not None and not counted[0].startswith("address:"):
            try:
                with self.database().reading() as session:
                    before = used_on(session, *counted)
            except DatabaseError as error:
                log.warning("today's usage could not be read, counting from 0: %s", error)
        with self._lock:
            if counted not in self._seeded:
                self._seeded = {one for one in self._seeded if one[1] == counted[1]} | {counted}
                storage.incr(key, 2 * DAY, before)
            return storage.incr(key, 2 * DAY, amount) if amount else storage.get(key)

    def _note(self, counted: Counted, amount: int) -> None:
        if counted[0].startswith("address:"):
            return  # usage of anonymous callers is not stored
        with self._lock:
            self._unwritten[counted] += amount
            if self.database is not None and self._writer is None:
                self._writer = threading.Thread(target=self._keep_writing, name="uses", daemon=True)
                self._writer.start()

    def _keep_writing(self) -> None:
        while not self._ending.wait(LULL):
            try:
                self.write_history()
            except DatabaseError as error:
                log.warning("usage stays in memory until it can be written: %s", error)

    def _quota(self, holder: str, limit: int | None, used: int) -> Quota:
        now = self.now()
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        remaining = None if limit is None else max(0, limit - used)
        return Quota(holder, limit, remaining, max(1, round((midnight - now).total_seconds())))

    def _count_attempt(self, what: str, throttle: Throttle, amount: int) -> int:
        seconds = 60 * throttle.minutes
        key = f"fungarium/attempts/{what}/{int(self.now().timestamp()) // seconds}"
        storage = self._storage()
        try:
            if not isinstance(storage, MemoryStorage):
                return storage.incr(key, seconds, amount)
        except StorageError:
            pass  # Redis is away: counted in memory
        memory = self._own_memory()
        with self._lock:
            return memory.incr(key, seconds, amount)

    def _own_memory(self) -> MemoryStorage:
        with self._lock:
            if self._memory is None:
                self._memory = MemoryStorage()
            return self._memory

    def _storage(self) -> Storage:
        if self.storage == "memory://":
            return self._own_memory()
        with self._lock:
            if self._shared is None:
                self._shared = open_storage(self.storage)
            return self._shared


def key_of(counted: Counted) -> str:
    """Return the key of a count in memory and in Redis."""
    holder, day, action = counted
    return f"fungarium/uses/{action}/{holder}/{day.isoformat()}"


def open_storage(address: str) -> Storage:
    """Open the storage at a URL such as `redis://HOST:PORT/NUMBER`. Raises SettingsError."""
    quick = {"socket_connect_timeout": PROMPT, "socket_timeout": PROMPT} if address.startswith("redis") else {}
    try:
        return storage_from_string(address, wrap_exceptions=True, **quick)  # type: ignore[return-value] # not one of asyncio's
    except Exception as error:  # any error that the library raises for a missing package or an invalid URL
        raise SettingsError(
            f"FUNGARIUM_LIMITS cannot be {address.rpartition('@')[2]!r}: write memory://, or redis://HOST:PORT/0, which"
            " needs the packages of requirements-redis.txt"
        ) from error
