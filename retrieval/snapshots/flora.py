"""Floras: sets of species, stored as one bit for each species of the snapshot, and their search."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.devices.accelerator import Accelerator
from retrieval.domain import Neighbour
from retrieval.models.embedder import Embeddings
from retrieval.search.faiss_coarse import CoarseQuantiser
from retrieval.search.partial_results import PartialSearch
from retrieval.search.recipes import Recipe, recipe_for
from retrieval.segments.segment import Segment
from retrieval.segments.store import CoarseSearch, NearestReferences, SegmentPart, search_parts
from retrieval.snapshots.manifest import FloraCard

AD_HOC = "ad hoc"
PREPARED = 64  # floras in the LRU cache of prepared searches


class Searcher(Protocol):
    """Searches floras elsewhere, such as on other machines."""

    def search(self, flora: Flora, embeddings: Embeddings, k: int) -> NearestReferences:
        """Return the same neighbours as `Flora.search`; unreachable shards are recorded in `partial`, or raised."""
        ...

    def forget(self) -> None:
        """Release what is held for a closed snapshot."""
        ...


class ReferenceShelf:
    """All references of a snapshot and its ordered species; makes floras."""

    def __init__(
        self,
        species: NDArray[np.int64],
        segments: Sequence[Segment],
        recipes: dict[str, Recipe] | None = None,
        name: str = "",
        quantiser: CoarseQuantiser | None = None,
    ) -> None:
        self.name = name  # of the snapshot
        self.species = species  # ascending taxon ids, one for each bit of a flora
        self.segments = tuple(segments)
        self.recipes = recipes or {}
        self.accelerator: Accelerator | None = None  # set by the server, which shares one
        self.searcher: Searcher | None = None  # set where other machines search
        self._places = [np.searchsorted(species, segment.species) for segment in self.segments]
        self._counts = np.zeros(len(species), dtype=np.int64)
        for segment, places in zip(self.segments, self._places, strict=True):
            self._counts[places] += segment.count_references()
        self.quantiser = quantiser
        self._lists_of_lines = [lists_of_lines(quantiser, segment) if quantiser else None for segment in self.segments]
        self.other_licences = lru_cache(maxsize=8)(self._other_licences)
        self.prepared = lru_cache(maxsize=PREPARED)(self._prepared)

    def cut(self, bits: NDArray[np.bool_], card: FloraCard, recipe: Recipe) -> Flora:
        """Make the flora of the species whose bits are set."""
        return Flora(self, np.packbits(bits), card, recipe)

    def cut_ad_hoc(self, bits: NDArray[np.bool_], title: str) -> Flora:
        """Make an ad-hoc flora, with a card and a recipe estimated from the measured floras."""
        counts = self._counts[bits]
        rows, covered = int(counts.sum()), int(np.count_nonzero(counts))
        card = FloraCard(AD_HOC, title, int(np.count_nonzero(bits)), covered, rows)
        return self.cut(bits, card, recipe_for(rows, covered, self.recipes.values()))

    def bits_of(self, species: Iterable[int]) -> NDArray[np.bool_]:
        """Return the bits of the given species; unknown species are ignored."""
        return np.isin(self.species, np.fromiter(species, dtype=np.int64))

    def counts(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of references of each given species."""
        places = np.minimum(np.searchsorted(self.species, species), max(len(self.species) - 1, 0))
        if not len(self.species):
            return np.zeros(len(species), dtype=np.int64)
        return np.where(self.species[places] == species, self._counts[places], 0)

    def counts_where(self, bits: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the number of references of each species whose bit is set."""
        return self._counts[bits]

    def _prepared(self, packed: bytes, licences: tuple[str, ...]) -> Prepared:
        """Look up the species' lists in each segment, and their lines in the coarse quantiser."""
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=len(self.species)).astype(np.bool_)
        parts = []
        for number, (segment, places) in enumerate(zip(self.segments, self._places, strict=True)):
            lists = np.flatnonzero(bits[places]).astype(np.int64)
            hidden = self.other_licences(number, licences) if licences else segment.withdrawn
            if len(lists):
                parts.append(SegmentPart(segment, lists, hidden, self._lists_of_lines[number]))
        coarse = (
            None
            if self.quantiser is None
            else CoarseSearch(self.quantiser, self.quantiser.lines_of(self.species[bits]))
        )
        return Prepared(tuple(parts), coarse)

    def _other_licences(self, segment: int, licences: tuple[str, ...]) -> NDArray[np.bool_]:
        """Return the mask of a segment's rows that are withdrawn or under other licences."""
        hidden = self.segments[segment].under_other_licences(licences)
        withdrawn = self.segments[segment].withdrawn
        return hidden if withdrawn is None else hidden | withdrawn


@dataclass(frozen=True, slots=True)
class Prepared:
    """A flora's lists, prepared for search."""

    parts: tuple[SegmentPart, ...]
    coarse: CoarseSearch | None


@dataclass(frozen=True, slots=True)
class Flora:
    """A set of species, such as those of a region, with its search. It holds bits only; embeddings are shared.

    Floras support union (`|`), intersection (`&`) and difference (`-`) without building an index.
    """

    shelf: ReferenceShelf
    packed: NDArray[np.uint8]
    card: FloraCard
    recipe: Recipe
    licences: tuple[str, ...] = ()  # empty: all
    partial: PartialSearch | None = None  # records skipped shards; None: a skipped shard is an error

    @property
    def bits(self) -> NDArray[np.bool_]:
        """One boolean for each species of the snapshot."""
        return np.unpackbits(self.packed, count=len(self.shelf.species)).astype(np.bool_)

    @property
    def species(self) -> NDArray[np.int64]:
        """Ascending taxon ids, including species without references."""
        return np.asarray(self.shelf.species)[self.bits]

    def __contains__(self, species: int) -> bool:
        return bool(self.contains(np.array([species], dtype=np.int64))[0])

    def contains(self, species: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the given species it has, (species,)."""
        known = self.shelf.species
        if not len(known):
            return np.zeros(len(species), dtype=np.bool_)
        places = np.minimum(np.searchsorted(known, species), len(known) - 1)
        held = (self.packed[places >> 3] >> (7 - (places & 7)).astype(np.uint8)) & 1  # one bit each: all are many
        return np.asarray((known[places] == species) & (held > 0))

    @property
    def counts(self) -> NDArray[np.int64]:
        """References of each of `species`, (species,)."""
        return self.shelf.counts_where(self.bits)

    def __or__(self, other: Flora) -> Flora:
        return self._combined(self.bits | other.bits, other, "and")

    def __and__(self, other: Flora) -> Flora:
        return self._combined(self.bits & other.bits, other, "within")

    def __sub__(self, other: Flora) -> Flora:
        return self._combined(self.bits & ~other.bits, other, "without")

    def under(self, licences: Collection[str]) -> Flora:
        """Return the flora restricted to references under one of the licences."""
        return replace(self, licences=tuple(sorted(set(licences))))

    def with_partial(self, partial: PartialSearch | None) -> Flora:
        """Return the flora with partial results allowed: skipped shards are recorded in `partial`."""
        return replace(self, partial=partial)

    def search(self, embeddings: Embeddings, k: int, *, threads: int = 1) -> NearestReferences:
        """Return the `k` nearest references for each view; ties by species, observation and row."""
        if self.shelf.searcher is not None:
            return self.shelf.searcher.search(self, embeddings, k)
        accelerator = self.shelf.accelerator
        choose = None if accelerator is None else partial(accelerator.choose, self.key)
        prepared = self.prepared
        return search_parts(prepared.parts, embeddings, k, self.recipe, threads, choose, prepared.coarse)

    @property
    def key(self) -> str:
        """Identifies the references searched: the snapshot's name and a hash of species and licences."""
        words = "\x1f".join(self.licences)
        return f"{self.shelf.name}/{sha256(self.packed.tobytes() + words.encode()).hexdigest()}"

    def neighbours(self, embeddings: Embeddings, k: int) -> list[list[Neighbour]]:
        """Return the `k` nearest references for each view, best first; fewer where the flora has fewer."""
        return self.search(embeddings, k).neighbours()

    def neighbours_of_many(
        self, observations: Sequence[Embeddings], k: int, *, threads: int = 1
    ) -> list[list[list[Neighbour]]]:
        """Return the `neighbours` of each observation's views, searched in one batch."""
        if not observations:
            return []
        found = self.search(np.concatenate(observations), k, threads=threads).neighbours()
        ends = np.cumsum([len(views) for views in observations]).tolist()
        return [found[end - len(views) : end] for end, views in zip(ends, observations, strict=True)]

    @property
    def prepared(self) -> Prepared:
        """The prepared lists, from an LRU cache."""
        return self.shelf.prepared(self.packed.tobytes(), self.licences)

    def parts(self) -> tuple[SegmentPart, ...]:
        """The lists searched in each segment."""
        return self.prepared.parts

    def _combined(self, bits: NDArray[np.bool_], other: Flora, word: str) -> Flora:
        """Make a flora of the same snapshot, with the licences allowed by both; raises ValueError where none is."""
        if self.shelf is not other.shelf:
            raise ValueError("floras of two snapshots cannot be combined: their species and rows differ")
        flora = self.shelf.cut_ad_hoc(bits, f"{self.card.title} {word} {other.card.title}")
        both = set(self.licences) & set(other.licences) if self.licences and other.licences else None
        kept = tuple(sorted(both)) if both is not None else self.licences or other.licences
        if both is not None and not both:
            raise ValueError("no licence is allowed by both floras")
        return replace(flora, licences=kept)


def lists_of_lines(quantiser: CoarseQuantiser, segment: Segment) -> NDArray[np.int64]:
    """Return the segment's list (or -1) of each species of the coarse quantiser, and a final -1 for padding."""
    places = np.minimum(np.searchsorted(segment.species, quantiser.species), len(segment.species) - 1)
    return np.append(np.where(segment.species[places] == quantiser.species, places, -1), -1).astype(np.int64)
