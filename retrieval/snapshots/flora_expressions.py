"""Ad-hoc floras as expressions: `north or south`, `taxon:Amanita and near:55.7,12.6`, `world under CC0-1.0`.

A term is the id of a published flora, `taxon:` with a name or id of any rank, or `near:` with latitude and longitude.
Terms are combined by `or`, `and` and `without`, and restricted by `under` with licences, from left to right. No index
is built for them.
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
MOST_WORDS = 40  # operators and terms after the first, in one expression
MOST_DIGITS = 18  # of a number that databases and arrays can hold


class Names(Protocol):
    """Looks taxa up by name."""

    def find(self, name: str) -> Taxon | None:
        """Return the taxon of a name, or None."""
        ...


class Floras(Protocol):
    """What is needed of an open snapshot to evaluate expressions."""

    def published(self, flora: str) -> Flora:
        """Return the published flora of an id; raises UnknownFlora."""
        ...

    def flora_of(self, taxa: list[int], title: str) -> Flora:
        """Return the flora of the species in the given taxa; raises UnknownTaxon."""
        ...

    def flora_of_bits(self, bits: NDArray[np.bool_], title: str) -> Flora:
        """Return the flora of a set of species."""
        ...

    @property
    def names(self) -> Names:
        """The taxonomy."""
        ...

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences of the references."""
        ...

    @property
    def occurrences(self) -> Occurrences | None:
        """Counts of records by species and grid cell."""
        ...


def in_words(text: str) -> bool:
    """Whether a text is an expression rather than the id of a flora."""
    return text.startswith((TAXON, NEAR)) or JOINED.search(text) is not None


def read_flora(text: str, floras: Floras) -> Flora:
    """Evaluate an expression; raises UnknownFlora, UnknownTaxon or PlaceUnavailable, with the faulty term."""
    first, *rest = JOINED.split(text.strip())
    if len(rest) > MOST_WORDS:
        raise UnknownFlora(f"a flora may be combined of at most {MOST_WORDS // 2 + 1} parts")
    flora = read_term(first, floras)
    for word, term in zip(rest[::2], rest[1::2], strict=True):
        if word == "under":
            flora = flora.under(read_licences(term, floras))
        else:
            other = read_term(term, floras)
            flora = flora | other if word == "or" else flora & other if word == "and" else flora - other
    return flora


def read_term(term: str, floras: Floras) -> Flora:
    """Evaluate a single term, without operators."""
    if term.startswith(TAXON):
        name = term.removeprefix(TAXON).strip()
        if name.isdecimal():
            if len(name) > MOST_DIGITS:
                raise UnknownFlora("there is no taxon with so long a number in this snapshot")
            return floras.flora_of([int(name)], term)
        taxon = floras.names.find(name)
        if taxon is None:
            raise UnknownFlora(f"there is no taxon {name!r} in this snapshot")
        return floras.flora_of([taxon.id], term)
    if term.startswith(NEAR):
        return near(term.removeprefix(NEAR), floras)
    return floras.published(term)


def near(place: str, floras: Floras) -> Flora:
    """Return the flora of the species recorded in the grid cells around a place; raises PlaceUnavailable."""
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
    """Parse licences separated by commas; raises UnknownFlora for one that no reference has."""
    wanted = [part.strip() for part in listed.split(",")]
    if strangers := sorted(set(wanted) - set(floras.licences)):
        known = ", ".join(floras.licences)
        raise UnknownFlora(f"no reference has the licence {strangers[0]!r}; there are: {known}")
    return wanted
