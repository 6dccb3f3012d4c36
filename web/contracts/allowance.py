"""Who asks, and what they may still ask today, for contracts that tell it in their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from web.http import access
from web.http.quotas import Quota
from web.services import services

IDENTIFY: Final = "identify"
UNLIMITED: Final = 1_000_000  # what is said to be left where nothing is counted: clients want a number


@dataclass(frozen=True, slots=True)
class Allowance:
    """Identifications of a day; None: not limited."""

    limit: int | None
    remaining: int | None

    @property
    def left(self) -> int:
        """What is left, as a number."""
        return UNLIMITED if self.remaining is None else self.remaining


def spend(amount: int = 1) -> Allowance:
    """Take identifications from the caller's day; raises Refusal."""
    return allowed(access.spend(IDENTIFY, amount))


def left() -> Allowance:
    """What is left of the caller's day."""
    return allowed(access.left(IDENTIFY))


def allowed(quota: Quota) -> Allowance:
    """A quota without whose it is."""
    return Allowance(quota.limit, quota.remaining)


def used(first: date, last: date) -> Mapping[date, int]:
    """Identifications of the caller by day, days without any left out; none of a caller who is nobody in particular."""
    counts: Counter[date] = Counter()
    person = access.caller().person
    if person is not None:
        for day, action, count in services().counts.history(f"person:{person.id}", first, last):
            counts[day] += count if action == IDENTIFY else 0
    return +counts


def today() -> date:
    """The day that is counted now: it ends at 00:00 UTC."""
    return datetime.now(UTC).date()
