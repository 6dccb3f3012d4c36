"""Pl@ntNet's API v2: a photo looked through tile by tile, a photo as numbers, and diseases, which are not ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Response

from retrieval.answers.identify import identify_embeddings
from retrieval.domain import NOTICE, Candidate, Identification
from retrieval.photos.crops import WHOLE
from retrieval.photos.tiles import Box, Tiling, covered, cut_boxes
from retrieval.photos.views import cut_view, decode_pixels
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import spend
from web.contracts.openapi import ContractBlueprint, ContractQuery, PlantnetError
from web.contracts.photos import bound_post, read_files
from web.contracts.plantnet import require_project
from web.contracts.plantnet_schemas import Embedded, PhotoForm, Survey, SurveyForm
from web.contracts.projects import BEST, projects
from web.contracts.shapes import plantnet_error
from web.http.access import require
from web.inference.serving import make_queries, serving
from web.services import services

blueprint = ContractBlueprint(
    "plantnet tools", __name__, url_prefix="/v2", error=PlantnetError, description="Tiles and embeddings"
)

AT_ONCE: Final = 16  # tiles embedded together: so many views of a model's size fit in memory
RANKS: Final = ("species", "genus", "family")


@dataclass
class Sightings:
    """The tiles in which a taxon was found."""

    max_score: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    none: float = 1.0  # the least probability of "none of these"


@blueprint.before_request
def bound_posts() -> None:
    """50 MB, as Pl@ntNet has it."""
    bound_post()


@blueprint.route("/survey/tiles/<string:project>", methods=["POST"])
@require("identify")
@blueprint.arguments(SurveyForm, location="files", error_status_code=400)
@blueprint.response(200, Survey)
def survey_tiles(form: dict[str, Any], project: str) -> dict[str, Any]:
    """Look through a photo of many things, such as a basket, tile by tile.

    A taxon is found in a tile where it is among the first `max_rank` with a score of at least `min_score`.
    """
    require_project(project)
    photo = read_files(form["image"], 1)[0].photo
    tiling = Tiling(form["tile_size"], form["tile_stride"], form["size_factor"], form["multi_scale"])
    pixels = decode_pixels(photo, services().limits)
    height, width = pixels.shape[:2]
    boxes = cut_boxes(width, height, tiling)
    allowance = spend()
    embedder = serving().embedder()
    found: dict[str, dict[str, Sightings]] = {rank: defaultdict(Sightings) for rank in RANKS}
    matching = 0
    with services().published.lease() as snapshot:
        snapshot.require_model(embedder.model)
        flora = projects(snapshot).flora_of("all" if project == BEST else project)
        for start in range(0, len(boxes), AT_ONCE):
            some = boxes[start : start + AT_ONCE]
            embeddings = embedder.embed([cut_view(pixels, box, embedder.short_side) for box in some])
            for row, box in enumerate(some):
                answer = identify_embeddings(
                    embeddings[row : row + 1],
                    snapshot,
                    flora=flora,
                    voting=snapshot.voting,
                    candidates=form["max_rank"],
                    options=IdentifyOptions(),
                )
                matching += note(answer, box, form["min_score"], found)
    shown = {rank: describe(found[rank], width, height) if form[f"show_{rank}"] else [] for rank in RANKS}
    return {
        "results": {
            "image": {"width": width, "height": height},
            "nb_sub_queries": len(boxes),
            "nb_matching_sub_queries": matching,
            **shown,
        },
        "version": version(snapshot),
        "remainingIdentificationRequests": allowance.left,
        "notice": NOTICE,
    }


@blueprint.route("/embeddings", methods=["POST"])
@require("identify")
@blueprint.arguments(PhotoForm, location="files", error_status_code=400)
@blueprint.response(200, Embedded)
def embed_photo(form: dict[str, Any]) -> dict[str, Any]:
    """Give the embedding of a photo."""
    photo = read_files(form["image"], 1)[0].photo
    spend()
    row = serving().embed(make_queries([photo], WHOLE), services().limits)[0]
    return {"embeddings": [round(number, 8) for number in row.tolist()], "version": serving().embedder().model}


@blueprint.route("/diseases/identify", methods=["POST"])
@blueprint.arguments(ContractQuery, location="query", error_status_code=400)
@blueprint.response(404, PlantnetError)
def refuse_diseases(_: dict[str, Any]) -> Response:
    """Say that diseases of plants are not identified here."""
    return plantnet_error(404, "Diseases of plants are not identified here: this server knows fungi, by their photos")


def note(answer: Identification, box: Box, least: float, found: dict[str, dict[str, Sightings]]) -> bool:
    """Note what a tile shows; whether it shows anything."""
    none = answer.rejection.none if answer.rejection else 0.0
    if answer.rejection is not None and answer.rejection.rejected:
        return False
    matches = False
    ranked: tuple[Sequence[Candidate], ...] = (answer.species, answer.genera, answer.families)
    for rank, candidates in zip(RANKS, ranked, strict=True):
        for candidate in candidates:
            if candidate.score >= least and candidate.score > 0:
                sightings = found[rank][candidate.taxon.name]
                sightings.max_score = max(sightings.max_score, candidate.score)
                sightings.boxes.append(box)
                sightings.none = min(sightings.none, none)
                matches = True
    return matches


def describe(found: dict[str, Sightings], width: int, height: int) -> list[dict[str, Any]]:
    """Taxa with their tiles, the best score first."""
    order = sorted(found, key=lambda name: (-found[name].max_score, name))
    return [
        {
            "name": name,
            "max_score": round(found[name].max_score, 5),
            "count": len(found[name].boxes),
            "coverage": round(covered(found[name].boxes, width, height), 5),
            "reject": round(found[name].none, 5),
        }
        for name in order
    ]


def version(snapshot: Snapshot) -> str:
    """What answered."""
    return f"{snapshot.name} ({snapshot.model})"
