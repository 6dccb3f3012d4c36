"""What a caller may still ask today, for contracts that tell it in their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

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


def spend() -> Allowance:
    """Take one identification from the caller's day; raises what turns a caller away."""
    return Allowance(None, None)


def left() -> Allowance:
    """What is left of the caller's day."""
    return Allowance(None, None)


def used(first: date, last: date) -> Sequence[tuple[date, int]]:
    """Identifications of the caller by day, days without any left out."""
    return ()


def today() -> date:
    """The day that is counted now: it ends at 00:00 UTC."""
    return datetime.now(UTC).date()
