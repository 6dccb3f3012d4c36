"""A species: names, lineage, months and places of records, look-alikes, and reference photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from flask import current_app, url_for
from marshmallow import Schema, fields, validate

from database.collection.datasets import DatasetCredit
from database.errors import DatabaseError
from retrieval.answers.present import taxon_json
from retrieval.domain import ASPECTS, Reference
from retrieval.errors import PlaceUnavailable, UnknownPhoto, UnknownTaxon
from retrieval.ranking.lookalikes import lookalikes_of
from retrieval.snapshots.cells import describe_cell
from retrieval.snapshots.snapshot import Snapshot
from web.http.cursors import read_cursor, write_cursor
from web.http.etags import follows
from web.schemas.answers import Species, about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.schemas.serialising import aspect_counts, credit_answer, dataset_of, named, reference_answer
from web.services import services

blueprint = ApiBlueprint("species", __name__, url_prefix=f"{PREFIX}/species", description="Species by taxon id")

KIND: Final = "photos"
MOST_CELLS: Final = 2000


class PhotosQuery(Schema):
    """Which reference photos of a species to list."""

    cursor = fields.String(
        load_default="", validate=validate.Length(max=600), metadata=about("Where the page begins; part of `next`.")
    )
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100), metadata=about("Photos on a page."))
    aspect = fields.String(
        load_default=None, validate=validate.OneOf(ASPECTS), metadata=about("Only photos of this aspect.")
    )


@blueprint.route("/<int(max=9223372036854775807):species>")
@blueprint.arguments(PhotosQuery, location="query")
@blueprint.response(200, Species)
def show_species(query: dict[str, Any], species: int) -> dict[str, Any]:
    """Show a species: names, months, map, look-alikes, and some of its reference photos with author and licence."""
    with services().published.lease() as snapshot:
        follows(snapshot)
        taxon = snapshot.taxonomy.taxon(species)
        if taxon.rank != "species":
            raise UnknownTaxon(f"taxon {species}, {taxon.name}, is a {taxon.rank} and no species")
        references = snapshot.references_of(species)
        shown = [one for one in references if query["aspect"] in (None, one.aspect)]
        start = place_after(query["cursor"], shown)
        stop = start + query["limit"]
        following = None
        if stop < len(shown):
            chosen = {"aspect": query["aspect"]} if query["aspect"] else {}
            cursor = write_cursor(KIND, shown[stop - 1].photo)
            following = url_for("species.show_species", species=species, cursor=cursor, limit=query["limit"], **chosen)
        datasets = sorted({dataset_of(reference) for reference in references})
        return {
            "taxon": taxon_json(taxon, snapshot),
            "lineage": [
                {"taxonID": node.id, "scientificName": node.name, "taxonRank": node.rank}
                for node in snapshot.taxonomy.lineage(species)
            ],
            "synonyms": snapshot.taxonomy.synonyms(species),
            "references": len(references),
            "photos": [reference_answer(reference) for reference in shown[start:stop]],
            "next": following,
            "aspects": aspect_counts(references),
            **describe_records(species, snapshot),
            "lookalikes": [
                {
                    "taxon": taxon_json(snapshot.taxonomy.taxon(other), snapshot),
                    "confusedShare": round(share, 4),
                    "toxic": bool(snapshot.taxonomy.toxicity(other)),
                }
                for other, share in lookalikes_of(species, snapshot.calibration.lookalikes)
            ],
            "credits": credit_answer(references, known_credits(datasets)),
            **named(snapshot),
        }


def describe_records(species: int, snapshot: Snapshot) -> dict[str, Any]:
    """Return the records of a species by month, and by map cell of about 45 km; empty if unknown."""
    occurrences = snapshot.occurrences
    place = int(np.searchsorted(snapshot.all_species, species))
    known = place < len(snapshot.all_species) and int(snapshot.all_species[place]) == species
    if occurrences is None or not known:
        return {"months": [], "cells": []}
    here = np.flatnonzero(occurrences.columns == place)
    counts = sorted((-int(occurrences.counts[entry]), int(occurrences.cells[entry])) for entry in here.tolist())
    cells = []
    for records, cell in counts[:MOST_CELLS]:
        try:
            name, latitude, longitude = describe_cell(cell)
        except PlaceUnavailable:
            break
        cells.append(
            {
                "cell": name,
                "decimalLatitude": round(latitude, 4),
                "decimalLongitude": round(longitude, 4),
                "records": -records,
            }
        )
    return {"months": [round(count) for count in occurrences.months[place].tolist()], "cells": cells}


def known_credits(datasets: Sequence[str]) -> Mapping[str, DatasetCredit]:
    """Return the citations of datasets; empty without a database. Photos have their authors in any case."""
    try:
        return services().catalogue.credits(datasets)
    except DatabaseError as error:
        current_app.logger.warning("credits are not known: %s", error)
        return {}


def place_after(cursor: str, references: list[Reference]) -> int:
    """Return where the page begins; raises UnknownPhoto if the last photo of the previous page is gone."""
    if not cursor:
        return 0
    (photo,) = read_cursor(KIND, cursor, str)
    for place, reference in enumerate(references):
        if reference.photo == photo:
            return place + 1
    raise UnknownPhoto("the photo that the cursor stands at is not there any more; begin again without it")
