"""GBIF's API v1: what is asked of it, and how its replies are read. Shapes as in its documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from indexer.archives.api_json import dicts, member
from indexer.archives.coco import text_of
from indexer.harvesting.client import ApiClient, Parameters
from retrieval.errors import ServiceUnavailable

API = "https://api.gbif.org/v1"
PAGE = 300  # most records of a page of occurrence search
DEEPEST = 100_000  # offset + limit of occurrence search; beyond it GBIF refuses
FACETS = 1_000  # values of a page of facets
NAMES = 100  # names of a page of the species API
MANY_KEYS = 100  # records asked for at once by their keys: more make the address too long

PRESENT: Parameters = (("occurrenceStatus", "PRESENT"),)
WITH_PHOTOS: Parameters = (*PRESENT, ("basisOfRecord", "HUMAN_OBSERVATION"), ("mediaType", "StillImage"))


@dataclass(frozen=True, slots=True)
class Gbif:
    """Questions to GBIF, through a client that keeps the answers."""

    client: ApiClient
    base: str = API

    def match(self, name: str, rank: str, *, keep: str) -> int | None:
        """Return the key of a taxon of the backbone by its exact name, or None."""
        found = self._ask("species/match", (("name", name), ("rank", rank), ("strict", "true")), keep)
        key = found.get("usageKey")
        return int(key) if key and found.get("matchType") != "NONE" and found.get("canonicalName") == name else None

    def facets(self, facet: str, parameters: Parameters, *, keep: str) -> dict[str, int]:
        """Return the number of occurrences of every value of a facet."""
        counts: dict[str, int] = {}
        while True:
            paging = (("limit", "0"), ("facet", facet), ("facetLimit", str(FACETS)), ("facetOffset", str(len(counts))))
            reply = self._ask("occurrence/search", (*parameters, *paging), keep)
            values = [value for part in dicts(reply.get("facets")) for value in dicts(part.get("counts"))]
            before = len(counts)
            counts.update((text_of(value.get("name")), int(value.get("count") or 0)) for value in values)
            if len(values) < FACETS or len(counts) == before:
                return counts

    def count(self, parameters: Parameters, *, keep: str) -> int:
        """Return the number of occurrences."""
        return int(self._ask("occurrence/search", (*parameters, ("limit", "0")), keep).get("count") or 0)

    def page(self, parameters: Parameters, offset: int, *, keep: str) -> list[Mapping[str, Any]]:
        """Return the occurrences of one page."""
        paging = (("limit", str(PAGE)), ("offset", str(offset)))
        return dicts(self._ask("occurrence/search", (*parameters, *paging), keep).get("results"))

    def by_keys(self, keys: list[str], *, keep: str) -> list[Mapping[str, Any]]:
        """Return those of at most MANY_KEYS occurrences that are still there."""
        asked = tuple(("gbifId", key) for key in keys)
        return dicts(self._ask("occurrence/search", (*asked, ("limit", str(PAGE))), keep).get("results"))

    def species(self, key: int, *, keep: str) -> Mapping[str, Any] | None:
        """Return a taxon of the backbone, or None."""
        found = self.client.get(f"{self.base}/species/{key}", keep=keep)
        return found if isinstance(found, dict) else None

    def names(self, key: int, kind: str, *, keep: str) -> Iterator[Mapping[str, Any]]:
        """Yield the `vernacularNames` or `synonyms` of a taxon."""
        offset = 0
        while True:
            paging = (("limit", str(NAMES)), ("offset", str(offset)))
            reply = self._ask(f"species/{key}/{kind}", paging, keep)
            results = dicts(reply.get("results"))
            yield from results
            offset += len(results)
            if reply.get("endOfRecords", True) or not results:
                return

    def threat_status(self, key: int, *, keep: str) -> str:
        """Return the category of IUCN's Red List, such as VU; empty where the species was not assessed."""
        found = self.client.get(f"{self.base}/species/{key}/iucnRedListCategory", keep=keep)
        return text_of(found.get("code")) if isinstance(found, dict) else ""

    def _ask(self, path: str, parameters: Parameters, keep: str) -> Mapping[str, Any]:
        reply = self.client.get(f"{self.base}/{path}", parameters, keep=keep)
        if not isinstance(reply, dict):
            raise ServiceUnavailable(f"{self.base}/{path} answers in a form that is not known")
        return reply


__all__ = ["API", "DEEPEST", "MANY_KEYS", "PAGE", "PRESENT", "WITH_PHOTOS", "Gbif", "dicts", "member", "text_of"]
