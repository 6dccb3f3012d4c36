"""Choosing photos from GBIF: for each species of a checklist, the records that are there, and the best of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.archives.api_json import read_occurrence
from indexer.archives.coco import text_of
from indexer.harvesting.choosing import PAGES, choose_finds, plan_pages
from indexer.harvesting.finds import FindRules, UsableFind, read_find, shrink_address, trim
from indexer.harvesting.gbif import MANY_KEYS, PAGE, WITH_PHOTOS, Gbif, dicts
from indexer.harvesting.rounds import ChoiceOptions, Rounds, SpeciesChoice
from indexer.harvesting.stored import MONTHS, RegionPlan, SpeciesCounts
from retrieval.progress import Progress, silent
from retrieval.snapshots.cells import cell_of

KEPT = frozenset({
    "key", "datasetKey", "basisOfRecord", "occurrenceStatus", "taxonKey", "acceptedTaxonKey", "speciesKey",
    "kingdomKey", "phylumKey", "classKey", "orderKey", "familyKey", "genusKey", "scientificName",
    "acceptedScientificName", "kingdom", "phylum", "class", "order", "family", "genus", "species", "taxonRank",
    "taxonomicStatus", "decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters", "year", "month",
    "day", "eventDate", "license", "rightsHolder", "recordedBy", "countryCode", "occurrenceID", "references",
    "habitat", "identificationVerificationStatus", "identificationQualifier", "verbatimScientificName",
    "establishmentMeans", "degreeOfEstablishment", "vernacularName", "gbifID",
})  # fmt: skip
"""Members of an occurrence that are stored; what it says of people beyond their credit is not."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The records of a species that were read, and whether they are all there are."""

    records: Sequence[Mapping[str, Any]]
    is_whole: bool


def choose_photos(
    gbif: Gbif,
    plan: RegionPlan,
    counts: Sequence[SpeciesCounts],
    rounds: Rounds,
    *,
    options: ChoiceOptions,
    number: int,
    rules: FindRules,
    progress: Progress = silent,
) -> None:
    """Choose photos for every species that has any; what this round has chosen already is not chosen again."""
    wanted = [one for one in counts if one.with_photos]
    for one in wanted:
        before = rounds.read(one.key)
        if before is None or before.round != number:
            rounds.write(choose_species(gbif, plan, one.key, before, options=options, number=number, rules=rules))
        gbif.client.forget(group_of(one.key))
        progress("species", 1, len(wanted))
    rounds.drop_others({one.key for one in counts})


def choose_species(
    gbif: Gbif,
    plan: RegionPlan,
    key: int,
    before: SpeciesChoice | None,
    *,
    options: ChoiceOptions,
    number: int,
    rules: FindRules,
) -> SpeciesChoice:
    """Choose the finds of a species; those chosen `before` stay, as far as they are still there and may be used."""
    left_out = Counter[str]()
    known = [text_of(record.get("key")) for record in before.results] if before else []
    standing = read_finds(ask_again(gbif, key, known), key, rules, left_out)
    if before and len(standing) >= options.per_species:
        chosen, read, cells = standing[: options.per_species], before.read, dict(before.cells)
    else:
        listing = list_records(gbif, plan, key)
        finds = {one.find.key: one for one in read_finds(listing.records, key, rules, left_out)}
        finds |= {one.find.key: one for one in standing}
        kept = {one.find.key for one in standing}
        picked = choose_finds([one.find for one in finds.values()], options.per_species, kept)
        chosen, read, cells = [finds[find.key] for find in picked], len(listing.records), count_cells(listing.records)
        if copies := len(finds) - len(picked):
            left_out["not-chosen"] += copies
    results = [shorten(one) for one in sorted(chosen, key=lambda one: one.find.key)]
    return SpeciesChoice(key, number, read, dict(sorted(left_out.items())), cells, results)


def list_records(gbif: Gbif, plan: RegionPlan, key: int) -> Listing:
    """Read the records of a species with photos: all of them, or pages from every month where they are very many."""
    keep = group_of(key)
    parameters = (*plan.area, ("taxonKey", str(key)), *WITH_PHOTOS)
    total = gbif.count(parameters, keep=keep)
    months = [0] * 12
    if total > PAGES * PAGE:
        counted = gbif.facets("month", parameters, keep=keep)
        months = [counted.get(str(month), 0) for month in MONTHS]
    records: dict[str, Mapping[str, Any]] = {}  # a record that moved between two pages is one
    for month, offset in plan_pages(total, months):
        asked = (*parameters, ("month", str(month))) if month else parameters
        for record in gbif.page(asked, offset, keep=keep):
            records[text_of(record.get("key"))] = record
    return Listing(list(records.values()), total <= PAGES * PAGE)


def ask_again(gbif: Gbif, species: int, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield those records that are still there, as they are now."""
    for start in range(0, len(keys), MANY_KEYS):
        yield from gbif.by_keys(list(keys[start : start + MANY_KEYS]), keep=group_of(species))


def read_finds(
    records: Iterable[Mapping[str, Any]], species: int, rules: FindRules, left_out: Counter[str]
) -> list[UsableFind]:
    """Return the finds of a species; records that are of another one now are left out."""
    found = []
    for record in records:
        if text_of(record.get("speciesKey")) != str(species):
            left_out["another-species"] += 1
            continue
        photos = [photo for photo in dicts(record.get("media")) if photo.get("type") in ("StillImage", None)]
        item = {**record, "media": photos}
        key, dataset = text_of(record.get("key")), text_of(record.get("datasetKey"))
        if find := read_find(item, read_occurrence, rules, left_out, key=key, dataset=dataset):
            found.append(find)
    return found


def shorten(one: UsableFind) -> dict[str, Any]:
    """Return a record with its usable photos alone, and those members that an import reads."""
    photos = [
        {**photo, "identifier": shrink_address(text_of(photo.get("identifier")))}
        for photo in dicts(one.item.get("media"))
        if text_of(photo.get("identifier")) in one.photos
    ]
    return {**trim(one.item, KEPT), "media": photos}


def count_cells(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count records by the H3 cell of their place."""
    counted = Counter[str]()
    for record in records:
        latitude, longitude = record.get("decimalLatitude"), record.get("decimalLongitude")
        if isinstance(latitude, int | float) and isinstance(longitude, int | float) and abs(latitude) <= 90:
            counted[str(cell_of(latitude, longitude))] += 1
    return dict(sorted(counted.items()))


def group_of(species: int) -> str:
    """Return the group of replies about a species."""
    return f"species-{species}"
