"""A replica of iNaturalist's API v1 over invented observations, in the shapes of its recorded replies."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.replicas.gbif import Taxon, draw_picture
from tests.replicas.serving import Query, Reply, Site, as_json, site

FUNGI, OFFSET = 47170, 50_000  # iNaturalist's id of a species is that of the replica of GBIF and so much more
PAGE = 200


def observation(
    number: int,
    taxon: Taxon,
    *,
    login: str = "observer1",
    day: date = date(2024, 9, 1),
    place: str = "56.1,10.1",
    licences: Sequence[str | None] = ("cc-by",),
    **more: Any,
) -> dict[str, Any]:
    """An observation with a photo for each licence."""
    photos = [
        {
            "id": number * 10 + n,
            "license_code": licence,
            "url": f"MEDIA/photos/{number * 10 + n}/square.jpg?1",
            "attribution": f"(c) {login}, some rights reserved",
            "original_dimensions": {"width": 2048, "height": 1536},
        }
        for n, licence in enumerate(licences)
    ]
    return {
        "id": number,
        "uuid": f"00000000-0000-4000-9000-{number:012}",
        "uri": f"https://www.inaturalist.org/observations/{number}",
        "quality_grade": "research",
        "captive": False,
        "observed_on": day.isoformat(),
        "location": place,
        "private_location": "12.3456,65.4321",
        "obscured": False,
        "public_positional_accuracy": 20,
        "positional_accuracy": 20,
        "taxon": {
            "id": taxon.key + OFFSET,
            "name": taxon.name,
            "rank": "species",
            "iconic_taxon_name": "Fungi",
            "ancestor_ids": [FUNGI, taxon.key + OFFSET],
        },
        "user": {"login": login, "name": None, "orcid": "0000-0000-0000-0000"},
        "photos": photos,
        **more,
    }


@dataclass
class InatReplica:
    """The replica and what it holds."""

    taxa: list[Taxon]
    observations: list[dict[str, Any]]
    api: Site = field(default_factory=lambda: Site(""))
    media: Site = field(default_factory=lambda: Site(""))

    @property
    def base(self) -> str:
        """The address of the API."""
        return f"{self.api.address}/v1"

    def answer(self, path: str, query: Query) -> Reply:
        """Answer the API."""
        wanted = dict(query)
        if path == "/v1/places/autocomplete":
            places = [
                {"id": 8, "name": "Denmark Hill", "display_name": "Denmark Hill", "admin_level": None},
                {"id": 7, "name": "Denmark", "display_name": "Denmark", "admin_level": 0},
            ]
            return whole([one for one in places if wanted["q"] in str(one["name"])])
        if path == "/v1/taxa":
            known = [{"id": FUNGI, "name": "Fungi", "rank": "kingdom"}, {"id": 47685, "name": "Myxomycetes"}]
            return whole([one for one in known if one["name"] == wanted["q"]])
        found = [one for one in self.observations if self._fits(one, wanted)]
        if path == "/v1/observations/species_counts":
            counted = Counter(one["taxon"]["id"] for one in found)
            by_id = {one["taxon"]["id"]: one["taxon"] for one in found}
            return whole([{"count": count, "taxon": by_id[number]} for number, count in counted.most_common()])
        if path == "/v1/observations":
            most = min(int(wanted.get("per_page", 30)), PAGE)
            ordered = sorted(found, key=lambda one: int(one["id"]))
            after = [one for one in ordered if one["id"] > int(wanted.get("id_above", 0))]
            return whole([self._with_media(one) for one in after[:most]], total=len(found))
        return as_json({"error": "not found"}, 404)

    def picture(self, path: str, query: Query) -> Reply:
        """Answer a request for a picture."""
        return Reply(200, draw_picture(path, len(path)), "image/jpeg")

    def _fits(self, one: dict[str, Any], wanted: dict[str, str]) -> bool:
        if wanted.get("place_id", "7") != "7":
            return False
        if (group := wanted.get("taxon_id")) and int(group) not in one["taxon"]["ancestor_ids"]:
            return False
        if (ids := wanted.get("id")) and str(one["id"]) not in ids.split(","):
            return False
        if (month := wanted.get("month")) and int(one["observed_on"][5:7]) != int(month):
            return False
        licences = wanted.get("photo_license", "").split(",")
        return one["quality_grade"] == wanted["quality_grade"] and any(
            photo["license_code"] in licences for photo in one["photos"]
        )

    def _with_media(self, one: dict[str, Any]) -> dict[str, Any]:
        photos = [{**photo, "url": photo["url"].replace("MEDIA", self.media.address)} for photo in one["photos"]]
        return {**one, "photos": photos}


def whole(results: list[dict[str, Any]], total: int | None = None) -> Reply:
    """A reply with one page."""
    return as_json({"total_results": len(results) if total is None else total, "page": 1, "results": results})


@contextmanager
def inat_replica(
    taxa: Sequence[Taxon], observations: Sequence[dict[str, Any]], clock: Callable[[], float] = time.monotonic
) -> Iterator[InatReplica]:
    """Serve a replica until the block is left."""
    replica = InatReplica(list(taxa), list(observations))
    with site(replica.answer, clock) as api, site(replica.picture, clock) as media:
        replica.api, replica.media = api, media
        yield replica
