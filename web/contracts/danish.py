"""The `imagevision` API of the Danish Fungal Atlas: a TensorFlow Serving request, an array of taxa as response."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final

from flask import request
from marshmallow import fields, validate

from retrieval.domain import WORLD, Candidate
from retrieval.errors import UnreadablePhoto
from retrieval.photos.views import sniff
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.manifest import STABLE
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import spend
from web.contracts.openapi import ContractBlueprint, ContractQuery
from web.contracts.photos import check_count, most_photos
from web.contracts.projects import projects
from web.contracts.wording import cite, common_names, picture_url
from web.http.access import require
from web.inference.identification import identify_photos
from web.request_lifecycle import take_place
from web.schemas.answers import Answer, about
from web.services import services

PHOTOS: Final = 8
POISONOUS: Final = "giftig"  # clients show a warning if `spiselighedsrapport` contains this word
DENMARK: Final = "DK"


class Encoded(ContractQuery):
    """A photo in Base64."""

    b64 = fields.String(required=True)


class Instance(ContractQuery):
    """A photo of the observation."""

    image_in = fields.Nested(Encoded, required=True)


class Instances(ContractQuery):
    """Photos of one observation."""

    instances = fields.List(fields.Nested(Instance), required=True, metadata=about("Photos of the same find."))


class VisionQuery(ContractQuery):
    """The options of an identification."""

    limit = fields.Integer(load_default=10, validate=validate.Range(1, 100), metadata=about("Taxa to list."))
    include = fields.String(load_default="", metadata=about("Accepted; all that is known is always there."))
    flora = fields.String(load_default=WORLD, validate=validate.Length(1, 64), metadata=about("Id of a flora; ours."))
    model = fields.String(
        load_default=STABLE, validate=validate.Length(1, 32), metadata=about("The published line that answers; ours.")
    )


class VisionImage(Answer):
    """A reference photo that resembles the query."""

    uri = fields.String()
    thumburi = fields.String()
    photographer = fields.String()
    country = fields.String(allow_none=True)
    licence = fields.String()
    citation = fields.String()


class Attributes(Answer):
    """Attributes of a taxon."""

    spiselighedsrapport = fields.String(
        metadata=about("Holds `giftig` where a source calls the taxon poisonous; else empty, which says nothing.")
    )
    present_in_dk = fields.Boolean(
        data_key="PresentInDK", allow_none=True, metadata=about("On the list of a flora of Denmark; null: no such.")
    )


class Statistics(Answer):
    """Statistics of the collection."""

    total_count = fields.Integer(data_key="total_count", metadata=about("Reference photos here."))


class SimilarTaxon(Answer):
    """A species often confused with this one."""

    id = fields.Integer(data_key="_id")
    full_name = fields.String(data_key="FullName")


class DanishName(Answer):
    """A common name."""

    vernacularname_dk = fields.String(data_key="vernacularname_dk")


class AcceptedTaxon(Answer):
    """A taxon in the format of the Danish Fungal Atlas."""

    id = fields.Integer(data_key="_id")
    full_name = fields.String(data_key="FullName")
    author = fields.String(data_key="Author")
    rank_name = fields.String(data_key="RankName")
    vernacular_name = fields.Nested(DanishName, data_key="Vernacularname_DK", allow_none=True)
    images = fields.List(fields.Nested(VisionImage))
    attributes = fields.Nested(Attributes)
    statistics = fields.Nested(Statistics, data_key="Statistics")
    morpho_group = fields.String(data_key="MorphoGroup", allow_none=True)
    similar_taxa = fields.List(fields.Nested(SimilarTaxon), data_key="similarTaxa")


class VisionTaxon(Answer):
    """A taxon of the response."""

    id = fields.Integer(data_key="_id")
    score = fields.Float(metadata=about("From 0 to 1."))
    accepted_id = fields.Integer(data_key="accepted_id")
    accepted_taxon = fields.Nested(AcceptedTaxon, data_key="acceptedTaxon")


class DanishError(Answer):
    """An error."""

    error = fields.String()
    message = fields.String()


blueprint = ContractBlueprint(
    "imagevision", __name__, url_prefix="/api", error=DanishError, description="The Danish atlas' route"
)


@blueprint.before_request
def receive() -> None:
    """Accept a place, as for multipart forms, and limit the body to the size of all photos in Base64."""
    if request.method != "POST":
        return
    take_place()
    limits = services().limits
    request.max_content_length = most_photos(PHOTOS) * (limits.bytes * 4 // 3 + 1000) + 10_000


@blueprint.route("/imagevision", methods=["POST"])
@require("identify")
@blueprint.arguments(VisionQuery, location="query", error_status_code=400)
@blueprint.arguments(Instances, location="json", error_status_code=400)
@blueprint.response(200, VisionTaxon(many=True))
def identify_instances(query: dict[str, Any], body: dict[str, Any]) -> list[dict[str, Any]]:
    """Rank species for the photos of one observation. The list is empty if they were rejected."""
    check_count(len(body["instances"]), most_photos(PHOTOS), "instances")
    photos = [decode(each["image_in"]["b64"], number) for number, each in enumerate(body["instances"], start=1)]
    spend()
    with services().published.lease(query["model"]) as snapshot:
        found = identify_photos(
            photos, snapshot, flora=query["flora"], candidates=query["limit"], options=IdentifyOptions()
        )
        if found.rejection is not None and found.rejection.rejected:
            return []
        return [describe(candidate, snapshot) for candidate in found.species]


def decode(text: str, number: int) -> bytes:
    """Return the bytes of a photo; raises UnreadablePhoto or UnsupportedPhoto."""
    try:
        photo = b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadablePhoto(f"photo {number}: `b64` is not base 64") from error
    sniff(photo)
    return photo


def describe(found: Candidate, snapshot: Snapshot) -> dict[str, Any]:
    """Return a ranked species."""
    taxon = found.taxon
    danish = [name for language, name in snapshot.taxonomy.vernacular_names(taxon.id) if language == "da"]
    names = danish or common_names(taxon, snapshot, "da")
    toxicity = snapshot.taxonomy.toxicity(taxon.id)
    return {
        "_id": taxon.id,
        "score": round(found.score, 6),
        "accepted_id": taxon.id,
        "acceptedTaxon": {
            "_id": taxon.id,
            "FullName": taxon.name,
            "Author": taxon.authorship,
            "RankName": "sp.",
            "Vernacularname_DK": {"vernacularname_dk": names[0]} if names else None,
            "images": [
                {
                    "uri": picture_url(evidence.reference.photo, "m"),
                    "thumburi": picture_url(evidence.reference.photo, "s"),
                    "photographer": evidence.reference.author,
                    "country": None,
                    "licence": evidence.reference.licence,
                    "citation": cite(evidence.reference),
                }
                for evidence in found.evidence
            ],
            "attributes": {
                "spiselighedsrapport": f"{POISONOUS}: {toxicity}" if toxicity else "",
                "PresentInDK": is_danish(taxon.id, snapshot),
            },
            "Statistics": {"total_count": len(snapshot.references_of(taxon.id))},
            "MorphoGroup": None,
            "similarTaxa": [{"_id": other.taxon.id, "FullName": other.taxon.name} for other in found.lookalikes],
        },
    }


def is_danish(species: int, snapshot: Snapshot) -> bool | None:
    """Return whether a species is on the list of a flora of Denmark alone; None without such a flora."""
    known = projects(snapshot)
    danish = [card.id for card in snapshot.floras if known.countries_of(card.id) == {DENMARK}]
    return any(species in snapshot.flora(flora) for flora in danish) if danish else None
