"""The photos of a region's species on GBIF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.archives.api_json import read_occurrence
from indexer.archives.coco import text_of
from indexer.harvesting.choosing import PAGES, plan_pages
from indexer.harvesting.choosing_photos import group_of
from indexer.harvesting.client import ApiClient
from indexer.harvesting.finds import UsableFind, shrink_address, trim
from indexer.harvesting.gbif import MANY_KEYS, PAGE, WITH_PHOTOS, Gbif, dicts
from indexer.harvesting.stored import MONTHS, RegionPlan, SpeciesCounts
from indexer.records import Record, RejectedRecord

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
class GbifPhotos:
    """GBIF as a service of photos of a region."""

    gbif: Gbif
    plan: RegionPlan

    @property
    def client(self) -> ApiClient:
        """The client."""
        return self.gbif.client

    def wanted(self, counts: Sequence[SpeciesCounts]) -> Sequence[SpeciesCounts]:
        """Return the species that had records with photos when the checklist was made."""
        return [one for one in counts if one.with_photos]

    def list_records(self, species: SpeciesCounts) -> Sequence[Mapping[str, Any]]:
        """Read the records of a species with photos: all, or pages from every month where they are very many."""
        keep = group_of(species.key)
        parameters = (*self.plan.area, ("taxonKey", str(species.key)), *WITH_PHOTOS)
        total = self.gbif.count(parameters, keep=keep)
        months = [0] * 12
        if total > PAGES * PAGE:
            counted = self.gbif.facets("month", parameters, keep=keep)
            months = [counted.get(str(month), 0) for month in MONTHS]
        records: dict[str, Mapping[str, Any]] = {}  # a record that moved between two pages is one
        for month, offset in plan_pages(total, months):
            asked = (*parameters, ("month", str(month))) if month else parameters
            for record in self.gbif.page(asked, offset, keep=keep):
                records[text_of(record.get("key"))] = record
        return list(records.values())

    def ask_again(self, species: SpeciesCounts, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield those records that are still there, as they are now."""
        for start in range(0, len(keys), MANY_KEYS):
            yield from self.gbif.by_keys(list(keys[start : start + MANY_KEYS]), keep=group_of(species.key))

    def read(self, record: Mapping[str, Any], /) -> Iterator[Record | RejectedRecord]:
        """Yield the photos of an occurrence."""
        photos = [photo for photo in dicts(record.get("media")) if photo.get("type") in ("StillImage", None)]
        yield from read_occurrence({**record, "media": photos})

    def is_of(self, record: Mapping[str, Any], species: SpeciesCounts) -> bool:
        """Return whether a record is identified as a species."""
        return text_of(record.get("speciesKey")) == str(species.key)

    def name(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return the key of an occurrence, and its dataset."""
        return text_of(record.get("key")), text_of(record.get("datasetKey"))

    def shorten(self, one: UsableFind) -> dict[str, Any]:
        """Return a record with its usable photos alone, and those members that an import reads."""
        photos = [
            {**photo, "identifier": shrink_address(text_of(photo.get("identifier")))}
            for photo in dicts(one.item.get("media"))
            if text_of(photo.get("identifier")) in one.photos
        ]
        return {**trim(one.item, KEPT), "media": photos}

    def place(self, record: Mapping[str, Any]) -> tuple[object, object]:
        """Return latitude and longitude of an occurrence."""
        return record.get("decimalLatitude"), record.get("decimalLongitude")
