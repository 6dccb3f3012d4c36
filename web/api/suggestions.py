"""Outcomes of automatic suggestions, for those who curate the collection."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from database.field.fates import LEAST, report_fates
from web.http import access
from web.http.access import require
from web.http.refusals import NotAllowed
from web.schemas.answers import Answer, about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "suggestions", __name__, url_prefix=f"{PREFIX}/suggestions", description="What became of suggestions"
)


class FatesQuery(Schema):
    """Which observations are counted."""

    since = fields.Date(load_default=None, metadata=about("Only observations recorded since this day."))
    least = fields.Integer(
        load_default=LEAST,
        validate=validate.Range(1, 1_000_000),
        metadata=about("People and groups with fewer records are left out."),
    )


class FateCounts(Answer):
    """Observations with suggestions, counted by outcome."""

    of = fields.String(metadata=about("A person, a group, a snapshot, or `all`."))
    records = fields.Integer()
    approved = fields.Integer()
    by_expert = fields.Integer(metadata=about("Approved by an expert."))
    first = fields.Integer(metadata=about("Approved as the first suggested species."))
    second = fields.Integer()
    third_to_fifth = fields.Integer()
    later = fields.Integer(metadata=about("Approved as the sixth suggestion or a later one."))
    wider = fields.Integer(metadata=about("Approved as a genus or a higher taxon."))
    other = fields.Integer(metadata=about("Approved as a species that was not suggested."))
    share_approved = fields.Float(allow_none=True)
    share_first = fields.Float(allow_none=True, metadata=about("Of the approved."))
    share_suggested = fields.Float(allow_none=True, metadata=about("Of the approved, those that were suggested."))


class Fates(Answer):
    """Outcomes of suggestions: in total, by person, by morphological group and by snapshot."""

    whole = fields.Nested(FateCounts)
    least = fields.Integer()
    people = fields.List(fields.Nested(FateCounts))
    groups = fields.List(fields.Nested(FateCounts))
    snapshots = fields.List(fields.Nested(FateCounts))


@blueprint.route("/fates")
@require("validate")
@blueprint.arguments(FatesQuery, location="query")
@blueprint.response(200, Fates)
def show_fates(query: dict[str, Any]) -> dict[str, Any]:
    """Report how many suggestions were approved, and as the first, the second... For experts and administrators."""
    if not access.caller().is_expert:
        raise NotAllowed("only experts and administrators see how other people fare with suggestions")
    with services().database().reading() as session:
        return report_fates(session, since=query["since"], least=query["least"]).described()
