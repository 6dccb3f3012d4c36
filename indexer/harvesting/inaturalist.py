"""The photos of a region's species on iNaturalist, by its API v1: research grade, each photo with its own licence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shapely.geometry import shape

from indexer.archives.api_json import SMALL, read_observation
from indexer.archives.coco import text_of
from indexer.curation.regions import country_region
from indexer.harvesting.areas import Area
from indexer.harvesting.checklist import GROUPS
from indexer.harvesting.choosing import PAGES, plan_pages
from indexer.harvesting.choosing_photos import group_of
from indexer.harvesting.client import ApiClient, Parameters
from indexer.harvesting.finds import UsableFind, trim
from indexer.harvesting.gbif import dicts, member
from indexer.harvesting.stored import MONTHS, SpeciesCounts
from indexer.records import Record, RejectedRecord
from retrieval.errors import BuildError, ServiceUnavailable

API = "https://api.inaturalist.org/v1"
PAGE = 200  # most observations of a page
SPECIES_PAGE = 500  # most species of a page of counts
MANY_IDS = 200
KEEP = "species-counts"
LICENCES = {"open": "cc0,cc-by,cc-by-sa", "noncommercial": "cc0,cc-by,cc-by-sa,cc-by-nc,cc-by-nc-sa"}
KEPT = frozenset({
    "id", "uuid", "uri", "quality_grade", "captive", "observed_on", "location", "obscured",
    "public_positional_accuracy",
})  # fmt: skip
"""Members of an observation that are stored: the place as everybody sees it, and never a private one."""
PHOTO_KEPT = frozenset({"id", "license_code", "attribution"})


@dataclass(frozen=True, slots=True)
class Inaturalist:
    """iNaturalist as a service of photos of a region."""

    client: ApiClient
    base: str
    where: Parameters  # the area, as the API is asked for it
    licences: str  # open or noncommercial
    taxa: Mapping[int, int]  # GBIF key of a species to iNaturalist's id of its taxon

    def wanted(self, counts: Sequence[SpeciesCounts]) -> Sequence[SpeciesCounts]:
        """Return the species that iNaturalist has observations of in the area."""
        return [one for one in counts if one.key in self.taxa]

    def list_records(self, species: SpeciesCounts) -> Sequence[Mapping[str, Any]]:
        """Read the observations of a species: all, or some of every month where they are very many."""
        asked = (*self._asked(), ("taxon_id", str(self.taxa[species.key])))
        keep = group_of(species.key)
        total = self._total(asked, keep)
        if total <= PAGES * PAGE:
            return list(self._pages(asked, keep, -(-total // PAGE)))
        counts = [self._total((*asked, ("month", str(month))), keep) for month in MONTHS]
        shares: dict[int, int] = {}
        for month, _ in plan_pages(total * 2, counts):  # as many pages of each month as GBIF's
            shares[month] = shares.get(month, 0) + 1
        return [
            record
            for month, pages in sorted(shares.items())
            for record in self._pages((*asked, ("month", str(month))), keep, pages)
        ]

    def ask_again(self, species: SpeciesCounts, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield those observations that are still there and of research grade, as they are now."""
        for start in range(0, len(keys), MANY_IDS):
            ids = ",".join(keys[start : start + MANY_IDS])
            asked = (*self._asked(), ("id", ids), ("per_page", str(MANY_IDS)))
            yield from dicts(self._ask("observations", asked, group_of(species.key)).get("results"))

    def read(self, record: Mapping[str, Any], /) -> Iterator[Record | RejectedRecord]:
        """Yield the photos of an observation."""
        yield from read_observation(record)

    def is_of(self, record: Mapping[str, Any], species: SpeciesCounts) -> bool:
        """Return whether an observation is identified as a species, or as a part of it."""
        taxon, wanted = member(record, "taxon"), self.taxa.get(species.key)
        return wanted in (taxon.get("id"), *(taxon.get("ancestor_ids") or ()))

    def name(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return the id of an observation, and the one dataset that there is."""
        return text_of(record.get("id")), "inaturalist"

    def shorten(self, one: UsableFind) -> dict[str, Any]:
        """Return an observation with its usable photos alone, and those members that an import reads."""
        taxon, user = member(one.item, "taxon"), member(one.item, "user")
        photos = [
            {
                **trim(photo, ("id", "license_code", "attribution")),
                "url": SMALL.sub("/large", text_of(photo.get("url"))),
            }
            for photo in dicts(one.item.get("photos"))
            if SMALL.sub("/original", text_of(photo.get("url"))) in one.photos
        ]
        return {
            **trim(one.item, KEPT),
            "taxon": trim(taxon, ("id", "name", "rank", "iconic_taxon_name", "ancestor_ids")),
            "user": trim(user, ("name", "login")),
            "photos": photos,
        }

    def place(self, record: Mapping[str, Any]) -> tuple[object, object]:
        """Return latitude and longitude of an observation as everybody sees them."""
        latitude, _, longitude = text_of(record.get("location")).partition(",")
        try:
            return float(latitude), float(longitude)
        except ValueError:
            return None, None

    def _asked(self) -> Parameters:
        """Return what all observations must be."""
        return (*self.where, *observed(self.licences))

    def _pages(self, asked: Parameters, keep: str, pages: int) -> Iterator[Mapping[str, Any]]:
        """Yield so many pages, each after the last id of the one before: pages by number end at 10,000."""
        above = 0
        for _ in range(pages):
            paging = (
                ("per_page", str(PAGE)),
                ("order_by", "id"),
                ("order", "asc"),
                ("id_above", str(above)),
            )
            results = dicts(self._ask("observations", (*asked, *paging), keep).get("results"))
            yield from results
            if len(results) < PAGE:
                return
            above = max(int(record.get("id") or 0) for record in results)

    def _total(self, asked: Parameters, keep: str) -> int:
        return int(self._ask("observations", (*asked, ("per_page", "0")), keep).get("total_results") or 0)

    def _ask(self, path: str, parameters: Parameters, keep: str) -> Mapping[str, Any]:
        return ask(self.client, f"{self.base}/{path}", parameters, keep)


def observed(licences: str) -> Parameters:
    """Return the parameters of observations with photos that may be used."""
    return (
        ("quality_grade", "research"),
        ("captive", "false"),
        ("photos", "true"),
        ("photo_license", LICENCES[licences]),
    )


def ask(client: ApiClient, url: str, parameters: Parameters, keep: str) -> Mapping[str, Any]:
    """Return a reply, which is an object. Raises ServiceUnavailable for another form."""
    reply = client.get(url, parameters, keep=keep)
    if not isinstance(reply, dict):
        raise ServiceUnavailable(f"{url} answers in a form that is not known")
    return reply


def find_place(client: ApiClient, base: str, area: Area, place: str = "") -> Parameters:
    """Return how iNaturalist is asked for an area: a place of its own, a circle, or the box around an outline.

    Raises BuildError where the area has neither a country, a circle nor an outline, and no `place` (its id) is given.
    """
    if place:
        return (("place_id", place),)
    asked = dict(area.gbif)
    if circle := asked.get("geoDistance"):
        latitude, longitude, radius = circle.removesuffix("km").split(",")
        return (("lat", latitude), ("lng", longitude), ("radius", radius))
    if area.region.geometry is not None:
        west, south, east, north = shape(area.region.geometry).bounds
        return (("swlat", f"{south:g}"), ("swlng", f"{west:g}"), ("nelat", f"{north:g}"), ("nelng", f"{east:g}"))
    if "country" in asked:
        country = country_region(asked["country"]).title
        found = ask(client, f"{base}/places/autocomplete", (("q", country), ("per_page", "30")), KEEP)
        for one in dicts(found.get("results")):
            named = {text_of(one.get("name")).casefold(), text_of(one.get("display_name")).casefold()}
            if one.get("admin_level") == 0 and country.casefold() in named:
                return (("place_id", text_of(one.get("id"))),)
    raise BuildError(
        f"iNaturalist knows no place for {area.region.title}; give --place ID, the number in the address of its page"
    )


def find_taxa(
    client: ApiClient, base: str, where: Parameters, groups: Sequence[str], licences: str, names: Mapping[str, int]
) -> dict[int, int]:
    """Return iNaturalist's taxa with observations in an area, by GBIF key; `names` lead to these, synonyms too."""
    taxa: dict[int, int] = {}
    for group in groups:
        asked = (("q", group), ("rank", GROUPS[group].lower()), ("per_page", "30"))
        known = dicts(ask(client, f"{base}/taxa", asked, KEEP).get("results"))
        number = next((text_of(one.get("id")) for one in known if one.get("name") == group), "")
        if not number:
            raise BuildError(f"iNaturalist has no taxon {group}")
        page, read = 1, 0
        while True:
            paging = (("taxon_id", number), ("per_page", str(SPECIES_PAGE)), ("page", str(page)))
            asked_for = (*where, *observed(licences), *paging)
            reply = ask(client, f"{base}/observations/species_counts", asked_for, KEEP)
            results = dicts(reply.get("results"))
            for one in results:
                taxon = member(one, "taxon")
                key = names.get(text_of(taxon.get("name")))
                if key is not None and taxon.get("rank") == "species":
                    taxa.setdefault(key, int(taxon.get("id") or 0))
            read += len(results)
            if not results or read >= int(reply.get("total_results") or 0):
                break
            page += 1
    return taxa
