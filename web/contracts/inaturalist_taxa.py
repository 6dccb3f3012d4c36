"""iNaturalist's `taxa` API: a taxon with its ancestors and children, and taxa by the beginning of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from retrieval.domain import Reference, Taxon
from retrieval.errors import UnknownTaxon
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.inaturalist_schemas import (
    AutocompleteQuery,
    InaturalistError,
    LocaleQuery,
    MatchedTaxa,
    TaxonPage,
)
from web.contracts.openapi import ContractBlueprint
from web.contracts.wording import cite, common_names, picture_url
from web.services import services

LEVELS: Final = {"kingdom": 70, "phylum": 60, "class": 50, "order": 40, "family": 30, "genus": 20, "species": 10}
ICONIC: Final[Mapping[str, int]] = {"Fungi": 47170, "Protozoa": 47686}  # iNaturalist's ids of these kingdoms
ROOTS: Final = frozenset({ICONIC["Fungi"], 48460})  # of all fungi and of all life: hard-coded in clients
LANGUAGE: Final = "en"
KEY: Final = re.compile(r"(?:gbif:|(?:https?://)?(?:www\.)?gbif\.org/(?:\w\w/)?species/)(\d{1,19})$", re.I)
NUMBER: Final = re.compile(r"\d{1,19}")  # no id or key is longer, and Python parses at most 4,300 digits
MOST_LISTED: Final = 30  # taxa in a page, as in iNaturalist
MOST_FETCHED: Final = 30  # taxa in a query by ids
SHOWN: Final = 12  # photos of a taxon

blueprint = ContractBlueprint(
    "inaturalist taxa", __name__, url_prefix="/v1/taxa", error=InaturalistError, description="Taxa, as iNaturalist's"
)


@blueprint.route("/autocomplete")
@blueprint.arguments(AutocompleteQuery, location="query", error_status_code=400)
@blueprint.response(200, MatchedTaxa)
def complete_names(query: dict[str, Any]) -> dict[str, Any]:
    """List taxa with a name that begins with the query: accepted names first, then synonyms and common names."""
    most = min(query["per_page"], MOST_LISTED)
    ranks = {rank for part in query["rank"].split(",") if (rank := part.strip().lower())}
    with services().published.lease() as snapshot:
        found = snapshot.taxonomy.complete(query["q"], 20 * MOST_LISTED if ranks else most)
        listed = [taxon for taxon in found if not ranks or taxon.rank in ranks][:most]
        results = [
            {
                **describe_short(taxon, query["locale"] or LANGUAGE, snapshot),
                "matched_term": match(taxon, query["q"], snapshot),
            }
            for taxon in listed
        ]
        return page(results, most)


@blueprint.route("/<string:ids>")
@blueprint.arguments(LocaleQuery, location="query", error_status_code=400)
@blueprint.response(200, TaxonPage)
def show_taxa(query: dict[str, Any], ids: str) -> dict[str, Any]:
    """Show taxa by their ids, separated by commas; also by names, `gbif:KEY` and iNaturalist's 47170 (fungi)."""
    with services().published.lease() as snapshot:
        taxa = [find_taxon(part, snapshot) for part in ids.split(",")[:MOST_FETCHED]]
        locale = query["locale"] or LANGUAGE
        return page([describe_whole(taxon, locale, snapshot) for taxon in dict.fromkeys(taxa)], MOST_FETCHED)


def page(results: list[dict[str, Any]], most: int) -> dict[str, Any]:
    """Return results as a single page."""
    return {"total_results": len(results), "page": 1, "per_page": most, "results": results}


def find_taxon(given: str, snapshot: Snapshot) -> Taxon:
    """Return a taxon by its id here, else by its GBIF key, else by name. Raises UnknownTaxon.

    iNaturalist's ids of fungi and of life stand for this server's fungi.
    """
    text, taxonomy = given.strip(), snapshot.taxonomy
    key = KEY.match(text)
    found: Taxon | None = None
    if key is not None:
        found = taxonomy.find_key(int(key[1]))
    elif NUMBER.fullmatch(text):
        number = int(text)
        found = taxonomy.find("Fungi") if number in ROOTS else find_number(number, snapshot)
    else:
        found = taxonomy.find(" ".join(text.split()).capitalize())
    if found is None:
        raise UnknownTaxon(f"there is no taxon {text[:60]!r} here: send an id of this server, a GBIF key, or a name")
    return found


def find_number(number: int, snapshot: Snapshot) -> Taxon | None:
    """Return the taxon whose id here, or else whose GBIF key, is this number."""
    try:
        return snapshot.taxonomy.taxon(number)
    except UnknownTaxon:
        return snapshot.taxonomy.find_key(number)


def restrict(given: str | None, snapshot: Snapshot) -> tuple[int, ...]:
    """Return the taxa that a response is restricted to; empty for all fungi. Raises UnknownTaxon."""
    if given is None or given.strip() in {str(root) for root in ROOTS}:
        return ()
    return (find_taxon(given, snapshot).id,)


def describe_taxon(taxon: Taxon, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return a taxon with its ancestors' ids, its own last."""
    names = common_names(taxon, snapshot, locale)
    lineage = snapshot.taxonomy.lineage(taxon.id)
    iconic = lineage[0].name if lineage[0].name in ICONIC else "Fungi"
    return {
        "id": taxon.id,
        "name": taxon.name,
        "rank": taxon.rank,
        "rank_level": LEVELS[taxon.rank],
        "parent_id": taxon.parent,
        "ancestry": "/".join(str(node.id) for node in lineage[:-1]) or None,
        "ancestor_ids": [node.id for node in lineage],
        "iconic_taxon_id": ICONIC[iconic],
        "iconic_taxon_name": iconic,
        "is_active": True,
        **({"preferred_common_name": names[0]} if names else {}),
    }


def describe_whole(taxon: Taxon, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return a taxon with its ancestors, children and reference photos."""
    photos = [describe_photo(reference) for reference in references_of(taxon, snapshot)[:SHOWN]]
    return {
        **describe_taxon(taxon, locale, snapshot),
        "default_photo": photos[0] if photos else None,
        "taxon_photos": [{"taxon_id": taxon.id, "photo": photo} for photo in photos],
        "ancestors": [describe_short(node, locale, snapshot) for node in snapshot.taxonomy.lineage(taxon.id)[:-1]],
        "children": [describe_short(node, locale, snapshot) for node in snapshot.taxonomy.children(taxon.id)],
    }


def describe_short(taxon: Taxon, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return a taxon with one photo."""
    return {**describe_taxon(taxon, locale, snapshot), "default_photo": default_photo(taxon, snapshot)}


def default_photo(taxon: Taxon, snapshot: Snapshot) -> dict[str, Any] | None:
    """Return the first reference photo of a species; None for higher taxa and species without photos."""
    first = references_of(taxon, snapshot)[:1]
    return describe_photo(first[0]) if first else None


def references_of(taxon: Taxon, snapshot: Snapshot) -> list[Reference]:
    """Return the reference photos of a species; empty for higher taxa."""
    return snapshot.references_of(taxon.id) if taxon.rank == "species" else []


def describe_photo(reference: Reference) -> dict[str, Any]:
    """Return a reference photo with its author and licence."""
    return {
        "url": picture_url(reference.photo, "s"),
        "square_url": picture_url(reference.photo, "s"),
        "medium_url": picture_url(reference.photo, "m"),
        "attribution": f"(c) {cite(reference)}",
        "attribution_name": reference.author,
        "license_code": reference.licence.lower(),
    }


def match(taxon: Taxon, beginning: str, snapshot: Snapshot) -> str:
    """Return a name of a taxon that begins with the query, or has a word that does; its accepted name comes first."""
    wanted = " ".join(beginning.split()).casefold()
    common = [name for _, name in snapshot.taxonomy.vernacular_names(taxon.id)]
    names = [taxon.name, *snapshot.taxonomy.synonyms(taxon.id), *common]
    begins = (name for name in names if name.casefold().startswith(wanted))
    holds = (name for name in names if f" {wanted}" in name.casefold())
    return next(begins, None) or next(holds, taxon.name)
