"""Pl@ntNet's API v2: identification. Its other routes are in the neighbouring modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from typing import Any, Final

from flask import Response, request

from retrieval.domain import ASPECTS, WORLD, Candidate, Identification, Reference, Taxon
from retrieval.errors import InvalidOption
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.manifest import STABLE
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import Allowance, spend
from web.contracts.openapi import ContractBlueprint, PlantnetError
from web.contracts.photos import SentPhoto, bound_post, fetch_addresses, most_photos, read_files
from web.contracts.plantnet_schemas import (
    MOST_RESULTS,
    TYPES,
    Identified,
    IdentifyAddresses,
    IdentifyForm,
    IdentifyQuery,
)
from web.contracts.projects import projects
from web.contracts.shapes import SPECIES_NOT_FOUND, plantnet_error
from web.contracts.wording import cite, common_names, dates_of, genus_of, names_of, picture_url, when
from web.http.access import require
from web.inference.identification import identify_photos
from web.request_lifecycle import take_place
from web.services import services

blueprint = ContractBlueprint(
    "plantnet",
    __name__,
    url_prefix="/v2",
    error=PlantnetError,
    keyed=True,
    description="Identification, as Pl@ntNet has it",
)

PHOTOS: Final = 5
LONGEST_ADDRESS: Final = 6000  # characters of a path with its query; gunicorn accepts 8,190
LONG: Final = "The address of the request is too long: send fewer or shorter images, or send the photos by POST"


@blueprint.before_app_request
def refuse_long_addresses() -> Response | None:
    """Answer 414 before the request is parsed."""
    if request.path.startswith("/v2/identify/") and len(request.full_path) > LONGEST_ADDRESS:
        return plantnet_error(414, LONG)
    return None


@blueprint.before_request
def bound_posts() -> None:
    """Limit bodies to 50 MB, as Pl@ntNet does."""
    bound_post()


@blueprint.route("/identify/<string:project>", methods=["POST"])
@require("identify")
@blueprint.arguments(IdentifyQuery, location="query", error_status_code=400)
@blueprint.arguments(IdentifyForm, location="files", error_status_code=400)
@blueprint.response(200, Identified)
def identify_upload(query: dict[str, Any], form: dict[str, Any], project: str) -> dict[str, Any] | Response:
    """Rank the species of a project for the photos of one observation.

    The project is the id of a flora, its `k-...` name, `all`, or `best`. The result is a suggestion by a machine, and
    never advice on eating.
    """
    require_project(project, query["type"])
    photos = read_files(form["images"], most_photos(PHOTOS), "images")
    return answer_identification(project, query, form["organs"] or query["organs"], photos)


@blueprint.route("/identify/<string:project>")
@require("identify")
@blueprint.arguments(IdentifyAddresses, location="query", error_status_code=400)
@blueprint.response(200, Identified)
def identify_addresses(query: dict[str, Any], project: str) -> dict[str, Any] | Response:
    """Rank the species of a project for photos fetched from public URLs."""
    require_project(project, query["type"])
    check_organs(query["organs"], len(query["images"]))
    photos = fetch_addresses(query["images"], most_photos(PHOTOS), "images")
    take_place()
    return answer_identification(project, query, query["organs"], photos)


def require_project(project: str, kind: str = "kt") -> None:
    """Raise UnknownFlora for an unknown project, before any photo is read."""
    with services().published.lease(line_of(kind)) as snapshot:
        projects(snapshot).find(project)


def line_of(kind: str) -> str:
    """Return the published line that a `type` names: Pl@ntNet's own types are answered by the stable one."""
    return STABLE if kind in TYPES else kind


def check_organs(organs: Sequence[str], photos: int) -> None:
    """Raise InvalidOption if only some photos have an organ."""
    if organs and len(organs) != photos:
        raise InvalidOption(f"{len(organs)} organs were given for {photos} images: give as many, or none")


def answer_identification(
    project: str, query: Mapping[str, Any], organs: Sequence[str], sent: Sequence[SentPhoto]
) -> dict[str, Any] | Response:
    """Identify, and answer in the format of Pl@ntNet."""
    check_organs(organs, len(sent))
    photos = [each.photo for each in sent]
    allowance = spend()
    with services().published.lease(line_of(query["type"])) as snapshot:
        flora = choose_flora(project, query, photos, snapshot)
        count = min(query["nb_results"], MOST_RESULTS)
        options = make_options(query, organs)
        answer = identify_photos(photos, snapshot, flora=flora, candidates=count, options=options)
        if not answer.species or (answer.rejection is not None and answer.rejection.rejected):
            return plantnet_error(404, SPECIES_NOT_FOUND)
        return {
            **describe_query(project, query, organs, sent),
            **describe_answer(answer, query, snapshot, allowance),
            **({"switchToProject": projects(snapshot).name_of(flora)} if is_chosen(project, snapshot) else {}),
        }


def make_options(query: Mapping[str, Any], organs: Sequence[str]) -> IdentifyOptions:
    """Return the engine's options. Plant organs are ignored; aspects of fungi are used if all organs are aspects."""
    aspects = tuple(organs) if organs and set(organs) <= set(ASPECTS) else ()
    return IdentifyOptions(coordinates=read_place(query), aspects=aspects, no_reject=query["no_reject"])


def read_place(query: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return latitude and longitude, or None without both; raises InvalidOption if one is missing."""
    if (query["lat"] is None) != (query["lon"] is None):
        raise InvalidOption("lat and lon go together: send both or neither")
    return None if query["lat"] is None else (query["lat"], query["lon"])


def is_chosen(project: str, snapshot: Snapshot) -> bool:
    """Return whether the project's flora is chosen for each query, as for `best`."""
    return projects(snapshot).find(project) is None


def choose_flora(project: str, query: Mapping[str, Any], photos: Sequence[bytes], snapshot: Snapshot) -> str:
    """Return the flora of a project; to be chosen, the best one for the place, or else for the engine's answer."""
    known = projects(snapshot)
    found = known.find(project)
    if found is not None:
        return found
    place = read_place(query)
    if place is not None:
        return known.by_place(snapshot, *place)[0]
    world = identify_photos(photos, snapshot, flora=WORLD, candidates=10, options=IdentifyOptions(no_reject=True))
    return known.by_answer(snapshot, world.species)


def describe_query(
    project: str, query: Mapping[str, Any], organs: Sequence[str], sent: Sequence[SentPhoto]
) -> dict[str, Any]:
    """Return the query, with the organ given for each photo: nothing here predicts it."""
    told = list(organs) or ["auto"] * len(sent)
    ids = [sha256(each.photo).hexdigest()[:32] for each in sent]
    return {
        "query": {
            "project": project,
            "images": ids,
            "organs": told,
            "includeRelatedImages": query["include_related_images"],
            "noReject": query["no_reject"],
            "type": query["type"],
        },
        "predictedOrgans": [
            {
                "image": image,
                "filename": each.name,
                "organ": "other" if organ == "auto" else organ,
                "score": 0.0 if organ == "auto" else 1.0,
            }
            for image, each, organ in zip(ids, sent, told, strict=True)
        ],
        "language": query["lang"],
    }


def describe_answer(
    answer: Identification, query: Mapping[str, Any], snapshot: Snapshot, allowance: Allowance
) -> dict[str, Any]:
    """Return the ranked species."""
    results = [describe_species(found, query, snapshot) for found in answer.species]
    body = {
        "preferedReferential": projects(snapshot).name_of(answer.flora),
        "bestMatch": results[0]["species"]["scientificName"],
        "results": results,
    }
    if query["detailed"]:
        body["otherResults"] = {
            rank: [{**describe_score(found), rank: names_of(found.taxon), "images": []} for found in ranked]
            for rank, ranked in (("genus", answer.genera), ("family", answer.families))
        }
    return {
        **body,
        "version": f"{answer.snapshot} ({answer.model})",
        "remainingIdentificationRequests": allowance.left,
        "calibrated": answer.calibrated,
        "notice": answer.notice,
    }


def describe_species(found: Candidate, query: Mapping[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """Return a ranked species. `images` is always present, since clients rely on it."""
    taxon = found.taxon
    return {
        **describe_score(found),
        "species": {
            **names_of(taxon),
            "genus": genus_of(taxon, snapshot),
            "family": names_of(snapshot.taxonomy.ancestor(taxon.id, "family")),
            "commonNames": common_names(taxon, snapshot, query["lang"]),
        },
        "images": describe_images(found) if query["include_related_images"] else [],
    }


def describe_score(found: Candidate) -> dict[str, Any]:
    """Return the score and the GBIF id."""
    return {"score": round(found.score, 5), **gbif_of(found.taxon)}


def gbif_of(taxon: Taxon) -> dict[str, Any]:
    """Return `gbif` with the id as text, empty if unknown: clients read it unconditionally, and some fail on null."""
    return {"gbif": {} if taxon.gbif_key is None else {"id": str(taxon.gbif_key)}}


def describe_images(found: Candidate) -> list[dict[str, Any]]:
    """Return the reference photos of a species that are most similar to the query."""
    days = dates_of(found.evidence)
    return [describe_reference(evidence.reference, days) for evidence in found.evidence]


def describe_reference(reference: Reference, days: Mapping[str, date]) -> dict[str, Any]:
    """Return a reference photo; all keys are present, since clients read them unconditionally."""
    return {
        "organ": reference.aspect or "other",
        "author": reference.author,
        "license": reference.licence.lower(),
        "date": when(days.get(reference.photo)),
        "citation": cite(reference),
        "url": {size: picture_url(reference.photo, size) for size in ("o", "m", "s")},
    }
