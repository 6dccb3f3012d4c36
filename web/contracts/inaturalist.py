"""iNaturalist's `computervision` API: scores in percent, and the narrowest taxon that is probable enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from database.field.records import observation_by_key
from retrieval.domain import HABITATS, SUBSTRATES, WORLD, Candidate, TaxonomicSpecificity
from retrieval.errors import InvalidOption
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.manifest import STABLE
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import spend
from web.contracts.inaturalist_schemas import InaturalistError, ScoreForm, ScoreQuery, Scores
from web.contracts.inaturalist_taxa import LANGUAGE, describe_photo, describe_taxon, restrict
from web.contracts.openapi import ContractBlueprint
from web.contracts.photos import bound_post, most_photos, read_files
from web.http import access
from web.http.access import require
from web.inference.identification import identify_photos
from web.request_lifecycle import take_place
from web.schemas.observations import observation_answer
from web.services import services

PHOTOS: Final = 8
COUNT: Final = 10

blueprint = ContractBlueprint(
    "inaturalist", __name__, error=InaturalistError, description="Scores, as iNaturalist's API has them"
)


@blueprint.before_request
def bound_posts() -> None:
    """Limit bodies to Pl@ntNet's maximum."""
    bound_post()


@blueprint.route("/v1/computervision/score_image", methods=["POST"])
@require("identify")
@blueprint.arguments(ScoreQuery, location="query", error_status_code=400)
@blueprint.arguments(ScoreForm, location="files", error_status_code=400)
@blueprint.response(200, Scores)
def score_image(query: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """Rank species for a photo."""
    return score_form(query, form)


@blueprint.route("/v2/computervision/score_image", methods=["POST"])
@require("identify")
@blueprint.arguments(ScoreQuery, location="query", error_status_code=400)
@blueprint.arguments(ScoreForm, location="files", error_status_code=400)
@blueprint.response(200, Scores)
def score_image_v2(query: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """Rank species for a photo; the same at the path of iNaturalist's API v2."""
    return score_form(query, form)


@blueprint.route("/v1/computervision/score_observation/<string:key>")
@require("read")
@require("identify")
@blueprint.arguments(ScoreQuery, location="query", error_status_code=400)
@blueprint.response(200, Scores)
def score_observation(query: dict[str, Any], key: str) -> dict[str, Any]:
    """Rank species for an observation on this server, with its own date, place and habitat.

    For an obscured place, the place shown to the caller is used.
    """
    take_place()
    with services().database().reading() as session:
        observation = observation_by_key(session, key)
        seen = observation_answer(observation, access.caller())
        aspects = tuple(photo.aspect for photo in observation.photos)
        photos = [services().photo_files().get(photo.sha256) for photo in observation.photos]
    place = (seen["decimalLatitude"], seen["decimalLongitude"])
    options = IdentifyOptions(
        coordinates=None if None in place else place,
        day=seen["eventDate"],
        habitat=seen["habitat"] if seen["habitat"] in HABITATS else "",
        substrate=seen["substrate"] if seen["substrate"] in SUBSTRATES else "",
        aspects=aspects,
    )
    return score(photos, query, options)


def score_form(query: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """Rank species for the photos of a form."""
    given = {name: query[name] if form[name] is None else form[name] for name in query}
    if (given["lat"] is None) != (given["lng"] is None):
        raise InvalidOption("lat and lng go together: send both or neither")
    photos = [sent.photo for sent in read_files(form["image"], most_photos(PHOTOS), "image")]
    place = None if given["lat"] is None else (given["lat"], given["lng"])
    return score(photos, given, IdentifyOptions(coordinates=place, day=given["observed_on"]))


def score(photos: Sequence[bytes], given: dict[str, Any], options: IdentifyOptions) -> dict[str, Any]:
    """Identify, and answer in the format of iNaturalist. The list is empty if the photo was rejected."""
    locale = given["locale"] or LANGUAGE
    with services().published.lease(given["model"] or STABLE) as snapshot:
        options = replace(options, within=restrict(given["taxon_id"], snapshot))
        spend()
        flora = given["flora"] or WORLD
        found = identify_photos(photos, snapshot, flora=flora, candidates=COUNT, options=options)
        rejected = found.rejection is not None and found.rejection.rejected
        shown = [] if rejected else [describe(candidate, locale, snapshot) for candidate in found.species]
        return {
            "total_results": len(shown),
            "page": 1,
            "per_page": COUNT,
            **describe_stop(None if rejected else found.specificity, locale, snapshot),
            "results": shown,
            "rejected": rejected,
            "snapshot": found.snapshot,
            "model": found.model,
            "notice": found.notice,
        }


def describe(found: Candidate, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return a species with its scores."""
    taxon = describe_taxon(found.taxon, locale, snapshot)
    if found.evidence:
        taxon["default_photo"] = describe_photo(found.evidence[0].reference)
    return {
        "combined_score": round(100 * found.score, 5),
        "vision_score": round(100 * found.share, 5),
        "frequency_score": round(found.prior, 5),
        "taxon": taxon,
    }


def describe_stop(specificity: TaxonomicSpecificity | None, locale: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return the narrowest taxon that is probable enough, or None."""
    if specificity is None or specificity.taxon is None:
        return {}
    score = round(100 * specificity.probability, 5)
    return {"common_ancestor": {"score": score, "taxon": describe_taxon(specificity.taxon, locale, snapshot)}}
