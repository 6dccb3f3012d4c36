"""iNaturalist's `computervision/score_image`: scores in percent, and the narrowest taxon that is sure enough."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields, validate
from werkzeug.datastructures import FileStorage

from retrieval.domain import WORLD, Candidate, Taxon, TaxonomicSpecificity
from retrieval.errors import InvalidOption
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import spend
from web.contracts.openapi import ContractBlueprint, ContractQuery
from web.contracts.photos import bound_post, most_photos, read_files
from web.contracts.wording import cite, common_names, picture_url
from web.http.access import require
from web.inference.identification import identify_photos
from web.photos.uploads import PhotoFile
from web.schemas.answers import Answer, about
from web.services import services

PHOTOS: Final = 8
COUNT: Final = 10
LEVELS: Final = {"kingdom": 70, "phylum": 60, "class": 50, "order": 40, "family": 30, "genus": 20, "species": 10}


class ScoreForm(ContractQuery):
    """A photo, and where and when it was taken."""

    image: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata=about("The photo; ours: repeat for the same find.")
    )
    lat = fields.Float(load_default=None, validate=validate.Range(-90, 90))
    lng = fields.Float(load_default=None, validate=validate.Range(-180, 180))
    observed_on = fields.Date(load_default=None, metadata=about("YYYY-MM-DD"))
    taxon_id = fields.Integer(load_default=None, metadata=about("A taxon that the find surely belongs to."))
    locale = fields.String(load_default="en", validate=validate.Length(max=16), metadata=about("Of common names."))
    flora = fields.String(load_default=WORLD, validate=validate.Length(1, 64), metadata=about("Id of a flora; ours."))


class TaxonPhoto(Answer):
    """A reference photo."""

    url = fields.String()
    square_url = fields.String(data_key="square_url")
    medium_url = fields.String(data_key="medium_url")
    attribution = fields.String()
    license_code = fields.String(data_key="license_code")


class ScoredTaxon(Answer):
    """A taxon in iNaturalist's words."""

    id = fields.Integer()
    name = fields.String()
    rank = fields.String()
    rank_level = fields.Integer(data_key="rank_level")
    ancestor_ids = fields.List(fields.Integer(), data_key="ancestor_ids")
    iconic_taxon_name = fields.String(data_key="iconic_taxon_name")
    preferred_common_name = fields.String(data_key="preferred_common_name")
    is_active = fields.Boolean(data_key="is_active")
    default_photo = fields.Nested(TaxonPhoto, data_key="default_photo")


class Score(Answer):
    """A species that the photo may show."""

    combined_score = fields.Float(data_key="combined_score", metadata=about("Percent: photos and priors."))
    vision_score = fields.Float(data_key="vision_score", metadata=about("Percent: the photos alone."))
    frequency_score = fields.Float(
        data_key="frequency_score", metadata=about("By what place and season multiply; 1 where nothing is known.")
    )
    taxon = fields.Nested(ScoredTaxon)


class CommonAncestor(Answer):
    """The narrowest taxon that is sure enough."""

    score = fields.Float()
    taxon = fields.Nested(ScoredTaxon)


class Scores(Answer):
    """Ranked species. `common_ancestor` is left out where not even the widest taxon is sure."""

    total_results = fields.Integer(data_key="total_results")
    page = fields.Integer()
    per_page = fields.Integer(data_key="per_page")
    common_ancestor = fields.Nested(CommonAncestor, data_key="common_ancestor")
    results = fields.List(fields.Nested(Score))
    rejected = fields.Boolean()
    snapshot = fields.String()
    model = fields.String()
    notice = fields.String()


class Original(Answer):
    """An error's words."""

    error = fields.String()


class Wrapped(Answer):
    """An error as iNaturalist wraps it."""

    original = fields.Nested(Original)


class InaturalistError(Answer):
    """What went wrong."""

    error = fields.Nested(Wrapped)
    status = fields.Integer()


blueprint = ContractBlueprint(
    "inaturalist", __name__, error=InaturalistError, description="Scores, as iNaturalist's API has them"
)


@blueprint.before_request
def bound_posts() -> None:
    """As many bytes as Pl@ntNet takes."""
    bound_post()


@blueprint.route("/v1/computervision/score_image", methods=["POST"])
@require("identify")
@blueprint.arguments(ScoreForm, location="files", error_status_code=400)
@blueprint.response(200, Scores)
def score_image(form: dict[str, Any]) -> dict[str, Any]:
    """Score the species that a photo may show."""
    return score(form)


@blueprint.route("/v2/computervision/score_image", methods=["POST"])
@require("identify")
@blueprint.arguments(ScoreForm, location="files", error_status_code=400)
@blueprint.response(200, Scores)
def score_image_v2(form: dict[str, Any]) -> dict[str, Any]:
    """Score the species that a photo may show; the same at the address of iNaturalist's v2."""
    return score(form)


def score(form: dict[str, Any]) -> dict[str, Any]:
    """Identify, and say it as iNaturalist does. The list is empty where the photo was rejected."""
    if (form["lat"] is None) != (form["lng"] is None):
        raise InvalidOption("lat and lng go together: send both or neither")
    photos = [sent.photo for sent in read_files(form["image"], most_photos(PHOTOS))]
    options = IdentifyOptions(
        coordinates=None if form["lat"] is None else (form["lat"], form["lng"]),
        day=form["observed_on"],
        within=() if form["taxon_id"] is None else (form["taxon_id"],),
    )
    spend()
    with services().published.lease() as snapshot:
        found = identify_photos(photos, snapshot, flora=form["flora"], candidates=COUNT, options=options)
        rejected = found.rejection is not None and found.rejection.rejected
        shown = [] if rejected else [describe(candidate, form["locale"], snapshot) for candidate in found.species]
        return {
            "total_results": len(shown),
            "page": 1,
            "per_page": COUNT,
            **describe_stop(None if rejected else found.specificity, form["locale"], snapshot),
            "results": shown,
            "rejected": rejected,
            "snapshot": found.snapshot,
            "model": found.model,
            "notice": found.notice,
        }


def describe(found: Candidate, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """A species with its scores."""
    taxon = describe_taxon(found.taxon, locale, snapshot)
    if found.evidence:
        reference = found.evidence[0].reference
        taxon["default_photo"] = {
            "url": picture_url(reference.photo, "s"),
            "square_url": picture_url(reference.photo, "s"),
            "medium_url": picture_url(reference.photo, "m"),
            "attribution": f"(c) {cite(reference)}",
            "license_code": reference.licence.lower(),
        }
    return {
        "combined_score": round(100 * found.score, 5),
        "vision_score": round(100 * found.share, 5),
        "frequency_score": round(found.prior, 5),
        "taxon": taxon,
    }


def describe_stop(specificity: TaxonomicSpecificity | None, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """The narrowest taxon that is sure enough, where there is one."""
    if specificity is None or specificity.taxon is None:
        return {}
    score = round(100 * specificity.probability, 5)
    return {"common_ancestor": {"score": score, "taxon": describe_taxon(specificity.taxon, locale, snapshot)}}


def describe_taxon(taxon: Taxon, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """A taxon with the ids of all above it, itself last."""
    names = common_names(taxon, snapshot, locale)
    return {
        "id": taxon.id,
        "name": taxon.name,
        "rank": taxon.rank,
        "rank_level": LEVELS[taxon.rank],
        "ancestor_ids": [node.id for node in snapshot.taxonomy.lineage(taxon.id)],
        "iconic_taxon_name": "Fungi",
        "is_active": True,
        **({"preferred_common_name": names[0]} if names else {}),
    }
