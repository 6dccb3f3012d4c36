"""What the contracts need beside the answer line. A test gives its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from database.flora_places import FloraPlace
from retrieval.addresses import Guard


def no_places() -> Sequence[FloraPlace]:
    """Where nothing is known of where floras lie."""
    return ()


def no_dates(photos: Sequence[str]) -> Mapping[str, date]:
    """Where nothing is known of when photos were taken."""
    return {}


@dataclass(frozen=True, slots=True)
class Contracts:
    """Opened when they are first asked."""

    places: Callable[[], Sequence[FloraPlace]] = no_places  # raises DatabaseError
    dates: Callable[[Sequence[str]], Mapping[str, date]] = no_dates  # of observations, by photo; raises DatabaseError
    guard: Guard = field(default_factory=Guard)  # decides where photos may be fetched from
    origins: tuple[str, ...] = ()  # of web pages that may ask from a browser; `*`: all
