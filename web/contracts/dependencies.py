"""What the contracts need beside the answer line. A test gives its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from database.taxonomy.flora_places import FloraPlace
from retrieval.photos.addresses import Guard


def no_places() -> Sequence[FloraPlace]:
    """Where nothing is known of where floras lie."""
    return ()


@dataclass(frozen=True, slots=True)
class Contracts:
    """Opened when they are first asked."""

    places: Callable[[], Sequence[FloraPlace]] = no_places  # raises DatabaseError
    guard: Guard = field(default_factory=Guard)  # decides where photos may be fetched from
    origins: tuple[str, ...] = ()  # of web pages that may ask from a browser; `*`: all
