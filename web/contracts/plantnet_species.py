"""Pl@ntNet's API v2: projects, their species, languages."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
from flask import Response
from numpy.typing import NDArray

from retrieval.domain import Evidence, Taxon
from retrieval.errors import InvalidOption, UnknownTaxon
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.openapi import ContractBlueprint, PlantnetError
from web.contracts.plantnet import describe_reference, read_place
from web.contracts.plantnet_schemas import (
    AlignedSpecies,
    AlignQuery,
    ListedSpecies,
    PlaceQuery,
    ProjectAnswer,
    SpeciesQuery,
)
from web.contracts.projects import projects
from web.contracts.shapes import json_response
from web.contracts.wording import common_names, dates_of, genus_of, names_of
from web.services import services

blueprint = ContractBlueprint(
    "plantnet species",
    __name__,
    url_prefix="/v2",
    error=PlantnetError,
    keyed=True,
    description="Projects and their species",
)

SHOWN: Final = 3  # reference photos of a species in a list
MOST_PICTURED: Final = 100  # species in a page with photos
TRUTHS: Final = frozenset({"true", "false", "1", "0", "yes", "no"})
CLOSE: Final = 0.85  # similarity of two names, 0 to 1, from which they match


@blueprint.route("/projects")
@blueprint.arguments(PlaceQuery, location="query", error_status_code=400)
@blueprint.response(200, ProjectAnswer(many=True))
def list_projects(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List the projects, which are this server's floras; with a place, the best matches come first."""
    place = read_place(query)
    with services().published.lease() as snapshot:
        known = projects(snapshot)
        order = [card.id for card in snapshot.floras] if place is None else known.by_place(snapshot, *place)
        return [project.described() for project in known.listed(order)]


@blueprint.route("/projects/<string:project>/species")
@blueprint.arguments(SpeciesQuery, location="query", error_status_code=400)
@blueprint.response(200, ListedSpecies(many=True))
def list_project_species(query: dict[str, Any], project: str) -> list[dict[str, Any]]:
    """List the species of a project by name, including those without reference photos."""
    with services().published.lease() as snapshot:
        flora = projects(snapshot).list_of(project)
        return list_species(snapshot.by_name(snapshot.flora(flora)), query, snapshot)


@blueprint.route("/species")
@blueprint.arguments(SpeciesQuery, location="query", error_status_code=400)
@blueprint.response(200, ListedSpecies(many=True))
def list_all_species(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List all species known to this server, by name."""
    with services().published.lease() as snapshot:
        return list_species(snapshot.by_name(), query, snapshot)


@blueprint.route("/projects/<string:project>/species/align")
@blueprint.arguments(AlignQuery, location="query", error_status_code=400)
@blueprint.response(200, AlignedSpecies)
def align_species(query: dict[str, Any], project: str) -> dict[str, Any]:
    """Match a name with a species of a project: by accepted name, by synonym, or by similarity."""
    with services().published.lease() as snapshot:
        flora = projects(snapshot).list_of(project)
        taxon, matching, how = align(query, snapshot.flora(flora), snapshot)
        names = names_of(taxon)
        return {
            **describe_listed(taxon, query["lang"], snapshot),
            "matchType": how,
            "matchingName": matching,
            "acceptedName": names["scientificName"],
        }


@blueprint.route("/languages")
@blueprint.response(200, {"type": "array", "items": {"type": "string"}})
def list_languages() -> Response:
    """List the languages of common names, always including English."""
    with services().published.lease() as snapshot:
        return json_response(sorted({"en", *snapshot.taxonomy.languages()}), 200)


def list_species(species: NDArray[np.int64], query: Mapping[str, Any], snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return a page of the species that match a prefix, by name; raises InvalidOption without both paging options."""
    size, page = query["page_size"], query["page"]
    if (size is None) != (page is None):
        raise InvalidOption("send pageSize and page together, or neither")
    if query["images"] and (size is None or size > MOST_PICTURED):
        raise InvalidOption(f"species are listed with images on pages of at most {MOST_PICTURED}")
    prefix = " ".join(query["prefix"].casefold().split())
    if prefix.isascii():  # the index ignores case only in ASCII
        species = species[np.isin(species, snapshot.taxonomy.starting_with(prefix))] if prefix else species
    if prefix:
        every = map(snapshot.taxonomy.taxon, species.tolist())
        fitting = (taxon for taxon in every if begins(taxon, prefix, query["lang"], snapshot))
        taxa = list(fitting if size is None else islice(fitting, (page - 1) * size, page * size))
    else:
        listed = species if size is None else species[(page - 1) * size : page * size]
        taxa = [snapshot.taxonomy.taxon(each) for each in listed.tolist()]
    lines = [describe_listed(taxon, query["lang"], snapshot) for taxon in taxa]
    if query["images"]:
        for line, taxon in zip(lines, taxa, strict=True):
            line["images"] = picture(taxon, snapshot)
    return lines


def begins(taxon: Taxon, prefix: str, language: str, snapshot: Snapshot) -> bool:
    """Return whether the scientific name or a common name begins with a prefix."""
    names = (taxon.name, *common_names(taxon, snapshot, language))
    return any(name.casefold().startswith(prefix) for name in names)


def describe_listed(taxon: Taxon, language: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return a species of a list. All keys are present, since clients index them, and treat null as missing."""
    return {
        "id": str(taxon.id),
        "commonNames": common_names(taxon, snapshot, language),
        "genus": genus_of(taxon, snapshot)["scientificNameWithoutAuthor"],
        "family": names_of(snapshot.taxonomy.ancestor(taxon.id, "family"))["scientificNameWithoutAuthor"],
        "scientificNameWithoutAuthor": taxon.name,
        "scientificNameAuthorship": taxon.authorship,
        "gbifId": taxon.gbif_key,
        "powoId": None,
        "iucnCategory": None,
    }


def picture(taxon: Taxon, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the first reference photos of a species."""
    shown = [Evidence(reference, 1.0, 0) for reference in snapshot.references_of(taxon.id)[:SHOWN]]
    days = dates_of(shown)
    return [describe_reference(each.reference, days) for each in shown]


def align(query: Mapping[str, Any], flora: Flora, snapshot: Snapshot) -> tuple[Taxon, str, str]:
    """Return the matching species of a flora, the matched name, and the kind of match; raises UnknownTaxon.

    The name may include its author; case is ignored.
    """
    name, authorship = query["name"], query["authorship"]
    authorship = "" if authorship.lower() in TRUTHS else authorship  # whether the name includes its author
    words = name.replace(authorship, "").split() if authorship else name.split()
    plain = [word for word in words if word.replace("-", "").isalpha()]
    tries = dict.fromkeys(" ".join(given).capitalize() for given in (words, plain[:2], plain[:3], plain[:1]) if given)
    for text in tries:
        taxon = snapshot.taxonomy.find(text)
        if taxon is not None and taxon.id in flora and (taxon.name == text or query["synonyms"]):
            return taxon, text, "exact" if taxon.name == text else "synonym"
    wanted = " ".join(plain[:2]).capitalize()
    compared = wanted and query["fuzzy"]
    alike = snapshot.taxonomy.named_alike("species", wanted[:1], wanted.rpartition(" ")[2]) if compared else []
    listed = flora.contains(np.array([taxon for taxon, _ in alike], dtype=np.int64))
    near = {name: taxon for (taxon, name), held in zip(alike, listed.tolist(), strict=True) if held}
    closest = difflib.get_close_matches(wanted, sorted(near), n=1, cutoff=CLOSE)
    if not closest:
        raise UnknownTaxon(f"no species of this project is called {name[:100]!r}")
    return snapshot.taxonomy.taxon(near[closest[0]]), closest[0], "close"
