"""One species: its names, its place in the taxonomy, its reference photos."""

from __future__ import annotations

from typing import Any

from flask import url_for
from marshmallow import Schema, fields, validate

from retrieval.domain import Reference
from retrieval.errors import UnknownPhoto, UnknownTaxon
from retrieval.present import taxon_json
from web.openapi import PREFIX, ApiBlueprint
from web.present import reference_answer
from web.schemas import Species, about
from web.services import services

blueprint = ApiBlueprint("species", __name__, url_prefix=f"{PREFIX}/species", description="Species by taxon id")


class PhotosQuery(Schema):
    """Which reference photos of a species to list."""

    after = fields.String(load_default="", metadata=about("List the photos that come after the one of this id."))
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100), metadata=about("Photos on a page."))


@blueprint.route("/<int(max=9223372036854775807):species>")
@blueprint.arguments(PhotosQuery, location="query")
@blueprint.response(200, Species)
def show_species(query: dict[str, Any], species: int) -> dict[str, Any]:
    """Show a species, and some of its reference photos with author and licence."""
    with services().published.lease() as snapshot:
        taxon = snapshot.taxonomy.taxon(species)
        if taxon.rank != "species":
            raise UnknownTaxon(f"taxon {species}, {taxon.name}, is a {taxon.rank} and no species")
        references = snapshot.references_of(species)
        start = place_after(query["after"], references)
        stop = start + query["limit"]
        following = None
        if stop < len(references):
            following = url_for(
                "species.show_species", species=species, after=references[stop - 1].photo, limit=query["limit"]
            )
        return {
            "taxon": taxon_json(taxon, snapshot),
            "lineage": [
                {"taxonID": node.id, "scientificName": node.name, "taxonRank": node.rank}
                for node in snapshot.taxonomy.lineage(species)
            ],
            "synonyms": snapshot.taxonomy.synonyms(species),
            "references": len(references),
            "photos": [reference_answer(reference) for reference in references[start:stop]],
            "next": following,
            "snapshot": snapshot.name,
        }


def place_after(photo: str, references: list[Reference]) -> int:
    """Where the page begins; raises UnknownPhoto where the photo before it is no longer there."""
    if not photo:
        return 0
    for place, reference in enumerate(references):
        if reference.photo == photo:
            return place + 1
    raise UnknownPhoto(f"the species has no reference photo {photo[:64]!r} any more; begin again without `after`")
