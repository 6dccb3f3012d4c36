"""Floras and their species, with and without reference photos."""

from __future__ import annotations

from typing import Any

import numpy as np
from flask import url_for
from marshmallow import Schema, fields, validate

from web.http.cursors import read_cursor, write_cursor
from web.http.etags import follows
from web.schemas.answers import FloraAnswer, Floras, SpeciesPage, about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.schemas.serialising import flora_answer, named, species_line
from web.services import services

blueprint = ApiBlueprint("floras", __name__, url_prefix=f"{PREFIX}/floras", description="Regions and their species")


KIND = "species"


class SpeciesQuery(Schema):
    """Which species of a flora to list."""

    cursor = fields.String(
        load_default="", validate=validate.Length(max=600), metadata=about("Where the page begins; part of `next`.")
    )
    prefix = fields.String(
        load_default="",
        validate=validate.Length(max=100),
        metadata=about("Only species with a scientific name, synonym or common name that begins with this."),
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
        follows(snapshot)
        return {"floras": [flora_answer(card) for card in snapshot.floras], **named(snapshot)}


@blueprint.route("/<string:flora>")
@blueprint.response(200, FloraAnswer)
def show_flora(flora: str) -> dict[str, Any]:
    """Show a flora, and how many of its species have reference photos."""
    with services().published.lease() as snapshot:
        follows(snapshot)
        return flora_answer(snapshot.flora(flora).card) | named(snapshot)


@blueprint.route("/<string:flora>/species")
@blueprint.arguments(SpeciesQuery, location="query")
@blueprint.response(200, SpeciesPage)
def list_species(query: dict[str, Any], flora: str) -> dict[str, Any]:
    """List the species of a flora with the number of their reference photos.

    Species without reference photos can never be suggested, however common they are.
    """
    with services().published.lease() as snapshot:
        follows(snapshot)
        chosen = snapshot.flora(flora)
        species, counts = chosen.species, chosen.counts
        if query["prefix"]:
            fitting = np.isin(species, snapshot.taxonomy.starting_with(query["prefix"]))
            species, counts = species[fitting], counts[fitting]
        if query["covered"] is not None:
            fitting = (counts > 0) == query["covered"]
            species, counts = species[fitting], counts[fitting]
        (after,) = read_cursor(KIND, query["cursor"], int) if query["cursor"] else (0,)
        start = int(np.searchsorted(species, after, side="right"))
        stop = start + query["limit"]
        page = zip(species[start:stop].tolist(), counts[start:stop].tolist(), strict=True)
        lines = [species_line(snapshot.taxonomy.taxon(taxon), count, snapshot) for taxon, count in page]
        following = None
        if stop < len(species):
            asked = {"limit": query["limit"], "cursor": write_cursor(KIND, int(species[stop - 1]))}
            if query["covered"] is not None:
                asked["covered"] = str(query["covered"]).lower()
            if query["prefix"]:
                asked["prefix"] = query["prefix"]
            following = url_for("floras.list_species", flora=flora, **asked)
        return {
            "species": lines,
            "total": len(species),
            "covered": int(np.count_nonzero(counts)),
            "missing": int(np.count_nonzero(counts == 0)),
            "next": following,
            "flora": flora,
            **named(snapshot),
        }
