"""Choosing the photos of a region's species from a service, whichever it is, in rounds that can be cut short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from indexer.archives.coco import text_of
from indexer.harvesting.choosing import choose_finds
from indexer.harvesting.client import ApiClient
from indexer.harvesting.finds import FindRules, UsableFind, read_find
from indexer.harvesting.rounds import ChoiceOptions, Rounds, SpeciesChoice
from indexer.harvesting.stored import SpeciesCounts
from indexer.records import Record, RejectedRecord
from retrieval.progress import Progress, silent
from retrieval.snapshots.cells import cell_of


class PhotoService(Protocol):
    """A service with records of species and their photos."""

    @property
    def client(self) -> ApiClient:
        """The client, whose replies about a species are forgotten when it has been chosen from."""
        ...

    def wanted(self, counts: Sequence[SpeciesCounts]) -> Sequence[SpeciesCounts]:
        """Return the species that the service may have photos of."""
        ...

    def list_records(self, species: SpeciesCounts) -> Sequence[Mapping[str, Any]]:
        """Return the records of a species with photos, or a spread of them where they are very many."""
        ...

    def ask_again(self, species: SpeciesCounts, keys: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """Return those records that are still there, as they are now."""
        ...

    def read(self, record: Mapping[str, Any], /) -> Iterator[Record | RejectedRecord]:
        """Yield the photos of a record."""
        ...

    def is_of(self, record: Mapping[str, Any], species: SpeciesCounts) -> bool:
        """Return whether a record is identified as a species."""
        ...

    def name(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return the key of a record, and its dataset."""
        ...

    def shorten(self, one: UsableFind) -> dict[str, Any]:
        """Return a record with its usable photos alone, and those members that an import reads."""
        ...

    def place(self, record: Mapping[str, Any]) -> tuple[object, object]:
        """Return latitude and longitude of a record as everybody may see them."""
        ...


def group_of(species: int) -> str:
    """Return the group of replies about a species."""
    return f"species-{species}"


def choose_photos(
    service: PhotoService,
    counts: Sequence[SpeciesCounts],
    rounds: Rounds,
    *,
    options: ChoiceOptions,
    number: int,
    rules: FindRules,
    others: Rounds | None = None,
    progress: Progress = silent,
) -> None:
    """Choose photos for every species; what this round has chosen already is not chosen again.

    What was chosen from `others`, another service, takes its places, and is not taken a second time.
    """
    wanted = service.wanted(counts)
    for one in wanted:
        before = rounds.read(one.key)
        if before is None or before.round != number:
            elsewhere = others.read(one.key) if others is not None else None
            choice = choose_species(
                service, one, before, elsewhere=elsewhere, options=options, number=number, rules=rules
            )
            rounds.write(choice)
        service.client.forget(group_of(one.key))
        progress("species", 1, len(wanted))
    rounds.drop_others({one.key for one in wanted})


def choose_species(
    service: PhotoService,
    species: SpeciesCounts,
    before: SpeciesChoice | None,
    *,
    elsewhere: SpeciesChoice | None,
    options: ChoiceOptions,
    number: int,
    rules: FindRules,
) -> SpeciesChoice:
    """Choose the finds of a species; those chosen `before` stay, as far as they are still there and may be used."""
    left_out = Counter[str]()
    places = max(0, options.per_species - (len(elsewhere.results) if elsewhere else 0))
    taken = frozenset(elsewhere.identities) if elsewhere else frozenset()
    known = [text_of(record.get("key") or record.get("id")) for record in before.results] if before else []
    again = service.ask_again(species, known) if known else ()
    standing = [one for one in read_finds(service, again, species, rules, left_out) if is_free(one, taken)]
    if before and len(standing) >= places:
        chosen, read, cells = standing[:places], before.read, dict(before.cells)
    else:
        left_out.clear()  # the list holds them again
        records = service.list_records(species) if places else ()
        finds = {one.find.key: one for one in read_finds(service, records, species, rules, left_out)}
        copies = [key for key, one in finds.items() if not is_free(one, taken)]
        for key in copies:
            del finds[key]
        finds |= {one.find.key: one for one in standing}
        kept = {one.find.key for one in standing}
        picked = choose_finds([one.find for one in finds.values()], places, kept)
        chosen, read, cells = [finds[find.key] for find in picked], len(records), count_cells(service, records)
        left_out += Counter({"copy-elsewhere": len(copies), "not-chosen": len(finds) - len(picked)})
    ordered = sorted(chosen, key=lambda one: one.find.key)
    return SpeciesChoice(
        species=species.key,
        round=number,
        read=read,
        left_out=dict(sorted(left_out.items())),
        cells=cells,
        identities=sorted({mark for one in ordered for mark in one.find.identities}),
        results=[service.shorten(one) for one in ordered],
    )


def is_free(one: UsableFind, taken: frozenset[str]) -> bool:
    """Return whether a find is not among those that were taken elsewhere."""
    return one.find.identities.isdisjoint(taken)


def read_finds(
    service: PhotoService,
    records: Iterable[Mapping[str, Any]],
    species: SpeciesCounts,
    rules: FindRules,
    left_out: Counter[str],
) -> list[UsableFind]:
    """Return the finds of a species; records that are of another one now are left out."""
    found = []
    for record in records:
        if not service.is_of(record, species):
            left_out["another-species"] += 1
            continue
        key, dataset = service.name(record)
        if find := read_find(record, service.read, rules, left_out, key=key, dataset=dataset):
            found.append(find)
    return found


def count_cells(service: PhotoService, records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count records by the H3 cell of their place."""
    counted = Counter[str]()
    for record in records:
        latitude, longitude = service.place(record)
        if isinstance(latitude, int | float) and isinstance(longitude, int | float) and abs(latitude) <= 90:
            counted[str(cell_of(latitude, longitude))] += 1
    return dict(sorted(counted.items()))
