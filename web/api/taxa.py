"""Completion of taxon names."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from retrieval.answers.present import taxon_json
from web.schemas.answers import Taxa, about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint("taxa", __name__, url_prefix=f"{PREFIX}/taxa", description="Taxa by name")


class NameQuery(Schema):
    """The beginning of a name."""

    q = fields.String(
        required=True, validate=validate.Length(1, 100), metadata=about("The beginning of a scientific or common name.")
    )
    limit = fields.Integer(load_default=10, validate=validate.Range(1, 50), metadata=about("Taxa to list."))


@blueprint.route("")
@blueprint.arguments(NameQuery, location="query")
@blueprint.response(200, Taxa)
def complete_names(query: dict[str, Any]) -> dict[str, Any]:
    """List the taxa with a name that begins with `q`: accepted names first, then synonyms and common names."""
    with services().published.lease() as snapshot:
        found = snapshot.taxonomy.complete(query["q"], query["limit"])
        return {"taxa": [taxon_json(taxon, snapshot) for taxon in found], "snapshot": snapshot.name}
