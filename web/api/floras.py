"""Floras and their species, those without reference photos among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from flask import url_for
from marshmallow import Schema, fields, validate

from web.openapi import PREFIX, ApiBlueprint
from web.present import flora_answer, species_line
from web.schemas import FloraAnswer, Floras, SpeciesPage, about
from web.services import services

blueprint = ApiBlueprint("floras", __name__, url_prefix=f"{PREFIX}/floras", description="Regions and their species")


class SpeciesQuery(Schema):
    """Which species of a flora to list."""

    after = fields.Integer(
        load_default=0,
        validate=validate.Range(0, 2**63 - 1),
        metadata=about("List species with higher taxon ids than this."),
    )
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500), metadata=about("Species on a page."))
    covered = fields.Boolean(
        load_default=None, metadata=about("Only species with (true) or without (false) reference photos.")
    )


@blueprint.route("")
@blueprint.response(200, Floras)
def list_floras() -> dict[str, Any]:
    """List the floras of the published snapshot."""
    with services().published.lease() as snapshot:
        return {"floras": [flora_answer(card) for card in snapshot.floras], "snapshot": snapshot.name}


@blueprint.route("/<string:flora>")
@blueprint.response(200, FloraAnswer)
def show_flora(flora: str) -> dict[str, Any]:
    """Show a flora and how much of it has reference photos."""
    with services().published.lease() as snapshot:
        return flora_answer(snapshot.flora(flora).card) | {"snapshot": snapshot.name}


@blueprint.route("/<string:flora>/species")
@blueprint.arguments(SpeciesQuery, location="query")
@blueprint.response(200, SpeciesPage)
def list_species(query: dict[str, Any], flora: str) -> dict[str, Any]:
    """List the species of a flora with the number of their reference photos.

    Those without any can never be suggested, however common they are.
    """
    with services().published.lease() as snapshot:
        species = snapshot.flora(flora).species
        counts = snapshot.count_references(species)
        if query["covered"] is not None:
            fitting = (counts > 0) == query["covered"]
            species, counts = species[fitting], counts[fitting]
        start = int(np.searchsorted(species, query["after"], side="right"))
        stop = start + query["limit"]
        page = zip(species[start:stop].tolist(), counts[start:stop].tolist(), strict=True)
        lines = [species_line(snapshot.taxonomy.taxon(taxon), count, snapshot) for taxon, count in page]
        following = None
        if stop < len(species):
            chosen = {"limit": query["limit"], "after": int(species[stop - 1])}
            if query["covered"] is not None:
                chosen["covered"] = str(query["covered"]).lower()
            following = url_for("floras.list_species", flora=flora, **chosen)
        return {
            "species": lines,
            "total": len(species),
            "next": following,
            "flora": flora,
            "snapshot": snapshot.name,
        }
