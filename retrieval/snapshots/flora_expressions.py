"""Floras of the moment, in words: `north or south`, `taxon:Amanita and near:55.7,12.6`, `world under CC0-1.0`.

A name of a published flora, `taxon:` with a name or id of any rank, or `near:` with latitude and longitude; joined by
`or`, `and` and `without`, and narrowed by `under` with licences, from left to right. Nothing is built for any of it.
"""

from __future__ import annotations

import re
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import Taxon
from retrieval.errors import PlaceUnavailable, UnknownFlora
from retrieval.snapshots.cells import cells_around
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.occurrences import Occurrences

JOINED = re.compile(r"\s+(or|and|without|under)\s+")
TAXON, NEAR = "taxon:", "near:"
MOST_WORDS = 40  # joined in one flora


class Names(Protocol):
    """Finds taxa by name."""

    def find(self, name: str) -> Taxon | None:
        """The taxon of a name."""
        ...


class Floras(Protocol):
    """What an open snapshot knows of floras."""

    def published(self, flora: str) -> Flora:
        """The published flora of an id; raises UnknownFlora."""
        ...

    def flora_of(self, taxa: list[int], title: str) -> Flora:
        """The flora of a list of taxa; raises UnknownTaxon."""
        ...

    def flora_of_bits(self, bits: NDArray[np.bool_], title: str) -> Flora:
        """The flora of a set of species."""
        ...

    @property
    def names(self) -> Names:
        """The taxonomy."""
        ...

    @property
    def licences(self) -> tuple[str, ...]:
        """Those that references stand under."""
        ...

    @property
    def occurrences(self) -> Occurrences | None:
        """Where species were recorded."""
        ...


def in_words(text: str) -> bool:
    """Whether a flora is asked for in words, and not by its id."""
    return text.startswith((TAXON, NEAR)) or JOINED.search(text) is not None


def read_flora(text: str, floras: Floras) -> Flora:
    """The flora that the words name; raises UnknownFlora, UnknownTaxon or PlaceUnavailable, saying which word."""
    first, *rest = JOINED.split(text.strip())
    if len(rest) > MOST_WORDS:
        raise UnknownFlora(f"a flora may be joined of at most {MOST_WORDS // 2 + 1} parts")
    flora = read_term(first, floras)
    for word, term in zip(rest[::2], rest[1::2], strict=True):
        if word == "under":
            flora = flora.under(read_licences(term, floras))
        else:
            other = read_term(term, floras)
            flora = flora | other if word == "or" else flora & other if word == "and" else flora - other
    return flora


def read_term(term: str, floras: Floras) -> Flora:
    """One flora without joining words."""
    if term.startswith(TAXON):
        name = term.removeprefix(TAXON).strip()
        if name.isdecimal():
            return floras.flora_of([int(name)], term)
        taxon = floras.names.find(name)
        if taxon is None:
            raise UnknownFlora(f"there is no taxon {name!r} in this snapshot")
        return floras.flora_of([taxon.id], term)
    if term.startswith(NEAR):
        return near(term.removeprefix(NEAR), floras)
    return floras.published(term)


def near(place: str, floras: Floras) -> Flora:
    """The species recorded in the cells around a place."""
    try:
        latitude, longitude = (float(part) for part in place.split(","))
    except ValueError as error:
        raise PlaceUnavailable(f"{NEAR} takes latitude,longitude in degrees, such as {NEAR}55.68,12.57") from error
    if floras.occurrences is None or not floras.occurrences.placed.any():
        raise PlaceUnavailable("this snapshot does not know where its species were recorded")
    recorded = floras.occurrences.around(cells_around(latitude, longitude)) > 0
    if not recorded.any():
        raise PlaceUnavailable(f"no species of this snapshot was recorded near {place}")
    return floras.flora_of_bits(recorded, f"{NEAR}{place}")


def read_licences(listed: str, floras: Floras) -> list[str]:
    """Licences, separated by commas; raises UnknownFlora for one that no reference stands under."""
    wanted = [part.strip() for part in listed.split(",")]
    if strangers := sorted(set(wanted) - set(floras.licences)):
        known = ", ".join(floras.licences)
        raise UnknownFlora(f"no reference stands under the licence {strangers[0]!r}; there are: {known}")
    return wanted
