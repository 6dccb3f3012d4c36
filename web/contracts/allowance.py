"""The caller's remaining daily quota, for contracts that report it in their responses."""

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
UNLIMITED: Final = 1_000_000  # remaining identifications reported without a quota: clients expect a number


@dataclass(frozen=True, slots=True)
class Allowance:
    """Daily number of identifications; None: unlimited."""

    limit: int | None
    remaining: int | None

    @property
    def left(self) -> int:
        """Return the remaining identifications, as a number."""
        return UNLIMITED if self.remaining is None else self.remaining


def spend(amount: int = 1) -> Allowance:
    """Deduct identifications from the caller's daily quota; raises Refusal."""
    return allowed(access.spend(IDENTIFY, amount))


def left() -> Allowance:
    """Return the caller's remaining quota of today."""
    return allowed(access.left(IDENTIFY))


def allowed(quota: Quota) -> Allowance:
    """Return the quota, without its holder."""
    return Allowance(quota.limit, quota.remaining)


def used(first: date, last: date) -> Mapping[date, int]:
    """Return the caller's identifications by day, without days of none; empty for anonymous callers."""
    counts: Counter[date] = Counter()
    person = access.caller().person
    if person is not None:
        for day, action, count in services().counts.history(f"person:{person.id}", first, last):
            counts[day] += count if action == IDENTIFY else 0
    return +counts


def today() -> date:
    """Return the current quota day, which ends at 00:00 UTC."""
    return datetime.now(UTC).date()
