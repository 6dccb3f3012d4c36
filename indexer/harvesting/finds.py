"""From a service's record to a find that can be chosen: its photos that may be used, by the rules of the import."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from indexer.archives.coco import text_of
from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.names import KnownNames
from indexer.harvesting.areas import Area
from indexer.harvesting.choosing import Find, describe_circumstances, fold_person, identify_address
from indexer.records import CuratedRecord, Record, RejectedRecord
from retrieval.snapshots.cells import cell_of

Reader = Callable[[Mapping[str, Any]], Iterable[Record | RejectedRecord]]
NO_NAMES = KnownNames({}, {})
ORIGINAL = re.compile(r"(inaturalist[^/]*/(?:.+/)?photos/\d+/)original(?=\.\w+)")
VERIFIED = re.compile(r"(?:research|verified|validated|approved|accepted|confirmed|godkend|gyldig|certain)", re.I)


@dataclass(frozen=True, slots=True)
class UsableFind:
    """A find with the addresses of its usable photos, as the service writes them, and the record itself."""

    find: Find
    photos: tuple[str, ...]
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FindRules:
    """Which photos of which finds may be used."""

    area: Area
    policy: CurationPolicy
    photos_per_find: int


def read_find(
    item: Mapping[str, Any], read: Reader, rules: FindRules, left_out: Counter[str], *, key: str, dataset: str
) -> UsableFind | None:
    """Return the find of a record, or None; photos that the import would reject are counted by reason."""
    usable: list[CuratedRecord] = []
    for record in read(item):
        checked = record if isinstance(record, RejectedRecord) else curate(record, rules.policy, NO_NAMES)
        if isinstance(checked, RejectedRecord):
            left_out[checked.reason] += 1
        elif not (checked.creator or checked.rights_holder or checked.recorded_by):
            left_out["no-author"] += 1
        else:
            usable.append(checked)
    if not usable:
        return None
    one = usable[0]
    latitude, longitude = one.decimal_latitude, one.decimal_longitude
    placed = latitude is not None and longitude is not None
    if latitude is not None and longitude is not None and not rules.area.contains(latitude, longitude):
        left_out["outside-area"] += 1
        return None
    observer = fold_person(one.recorded_by)
    day = one.event_date.isoformat() if one.event_date else ""
    pages = [text_of(item.get(name)) for name in ("occurrenceID", "references", "uri")]
    named = {identify_address(text) for text in pages if text.startswith("http")}
    found = Find(
        key=key,
        dataset=dataset,
        observer=observer,
        month=one.event_date.month if one.event_date else 0,
        cell=cell_of(latitude, longitude) if placed and latitude is not None and longitude is not None else 0,
        photos=min(len(usable), rules.photos_per_find),
        verified=is_verified(item),
        identities=frozenset({identify_address(record.photo) for record in usable} | named),
        circumstances=describe_circumstances(day, latitude, longitude, observer, one.coordinate_uncertainty),
    )
    return UsableFind(found, tuple(record.photo for record in usable[: rules.photos_per_find]), item)


def is_verified(item: Mapping[str, Any]) -> bool:
    """Return whether others agree with the identification: research grade, or a status that says so."""
    status = text_of(item.get("identificationVerificationStatus")) or text_of(item.get("quality_grade"))
    from_inaturalist = identify_address(text_of(item.get("occurrenceID"))).startswith("inaturalist observation")
    return from_inaturalist or VERIFIED.match(status) is not None  # GBIF has iNaturalist's research grade alone


def shrink_address(address: str) -> str:
    """Return the address of iNaturalist's size of 1,024 pixels for one of the original, which is ten times as long."""
    return ORIGINAL.sub(r"\1large", address)


def trim(item: Mapping[str, Any], kept: Iterable[str]) -> dict[str, Any]:
    """Return the members of a record that an import reads, and nothing else that the service said of people."""
    wanted = frozenset(kept)
    return {name: value for name, value in item.items() if name in wanted}
