"""Pl@ntNet's survey API: identification of a photo of many organisms by tiles, and its cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from retrieval.answers.identify import identify_embeddings
from retrieval.domain import NOTICE, Candidate, Identification, Taxon
from retrieval.photos.tiles import Box, Tiling, covered, cut_boxes
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import spend
from web.contracts.openapi import ContractBlueprint, PlantnetError
from web.contracts.photos import bound_post, read_files
from web.contracts.plantnet import require_project
from web.contracts.projects import projects
from web.contracts.survey_schemas import CostQuery, Survey, SurveyCost, SurveyForm
from web.contracts.wording import genus_of, names_of
from web.http.access import require
from web.inference.serving import serving
from web.photos.decoding import in_time
from web.services import services

blueprint = ContractBlueprint(
    "plantnet survey", __name__, url_prefix="/v2", error=PlantnetError, keyed=True, description="A photo tile by tile"
)

AT_ONCE: Final = 16  # tiles embedded together, bounded by memory
DECODED: Final = 8 * AT_ONCE  # tiles decoded together: a photo is decoded four times at most
RANKS: Final = ("species", "genus", "family")
REJECTED: Final = "unknown"
"""The class of tiles without any species with reference photos. Clients skip rows that have a class."""


@dataclass
class Sightings:
    """The tiles in which a taxon was found, or that were rejected, with scores and aspects."""

    tiles: list[tuple[Box, float, str]] = field(default_factory=list)

    @property
    def max_score(self) -> float:
        """Return the score of the best tile."""
        return max(score for _, score, _ in self.tiles)

    @property
    def boxes(self) -> list[Box]:
        """Return the boxes of the tiles."""
        return [box for box, _, _ in self.tiles]


@dataclass
class Found:
    """The taxa found in a photo, by rank and id, and its rejected tiles."""

    taxa: Mapping[str, dict[int, Sightings]] = field(
        default_factory=lambda: {rank: defaultdict(Sightings) for rank in RANKS}
    )
    rejected: Sightings = field(default_factory=Sightings)
    matching: list[Box] = field(default_factory=list)  # tiles with any taxon


@blueprint.before_request
def bound_posts() -> None:
    """Limit bodies to 50 MB, as Pl@ntNet does."""
    bound_post()


@blueprint.route("/survey/tiles/<string:project>", methods=["POST"])
@require("identify")
@blueprint.arguments(SurveyForm, location="files", error_status_code=400)
@blueprint.response(200, Survey)
def survey_tiles(form: dict[str, Any], project: str) -> dict[str, Any]:
    """Identify the organisms in a photo of many, such as a basket, tile by tile.

    A taxon is found in a tile if it is among the first `max_rank` with a score of at least `min_score`. Each tile
    counts as one identification of the caller's quota.
    """
    require_project(project)
    sent = read_files(form["image"], 1, "image")[0]
    limits, decoders = services().limits, services().decoders
    with in_time() as seconds:
        width, height = decoders.size(sent.photo, limits, seconds=seconds)
    boxes = cut_boxes(width, height, read_tiling(form))
    allowance = spend(len(boxes))
    found, numbers = Found(), []
    with services().published.lease() as snapshot:
        embedder = serving().embedder_of(snapshot)
        flora = projects(snapshot).list_of(project)
        for start in range(0, len(boxes), AT_ONCE):
            some = boxes[start : start + AT_ONCE]
            if start % DECODED == 0:
                with in_time() as seconds:
                    ahead = boxes[start : start + DECODED]
                    views = decoders.tiles(sent.photo, embedder.short_side, limits, ahead, seconds=seconds)
            embeddings = embedder.embed(views[start % DECODED : start % DECODED + AT_ONCE])
            for row, box in enumerate(some):
                answer = identify_embeddings(
                    embeddings[row : row + 1],
                    snapshot,
                    flora=flora,
                    voting=snapshot.voting,
                    candidates=form["max_rank"],
                    options=IdentifyOptions(),
                )
                note(answer, box, form["min_score"], found)
                if form["show_embeddings"]:
                    numbers.append({**place(box), "embeddings": [round(x, 8) for x in embeddings[row].tolist()]})
        return {
            "status": "OK",
            "query": {
                "project": project,
                "images": [sent.name],
                "organs": ["auto"],
                **describe_tiling(form),
                "min_score": form["min_score"],
                "max_rank": form["max_rank"],
            },
            "results": {
                **describe_survey(found, sent.name, len(boxes), (width, height), form),
                **{
                    rank: describe_taxa(found, rank, (width, height), snapshot) if form[f"show_{rank}"] else []
                    for rank in RANKS
                },
                **({"embeddings": numbers} if form["show_embeddings"] else {}),
            },
            "version": f"{snapshot.name} ({snapshot.model})",
            "remainingIdentificationRequests": allowance.left,
            "notice": NOTICE,
        }


@blueprint.route("/cost/survey/<string:project>", methods=["POST"])
@blueprint.arguments(CostQuery, location="form", error_status_code=400)
@blueprint.response(200, SurveyCost)
def estimate_survey(form: dict[str, Any], project: str) -> dict[str, Any]:
    """Return the number of identifications that a survey of a photo costs, from its size; nothing is deducted."""
    return estimate(form, project)


@blueprint.route("/cost/survey/<string:project>")
@blueprint.arguments(CostQuery, location="query", error_status_code=400)
@blueprint.response(200, SurveyCost)
def show_survey_cost(query: dict[str, Any], project: str) -> dict[str, Any]:
    """Return the cost of a survey for a size in the query."""
    return estimate(query, project)


def estimate(asked: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return the tiles of a photo; raises InvalidOption if a survey allows fewer."""
    require_project(project)
    width, height = (int(side) for side in asked["size"].lower().replace("×", "x").split("x"))
    boxes = cut_boxes(width, height, read_tiling(asked))
    return {"estimated_cost": len(boxes), "query": {"project": project, **describe_tiling(asked)}}


def read_tiling(form: Mapping[str, Any]) -> Tiling:
    """Return the tiling given in a form."""
    return Tiling(form["tile_size"], form["tile_stride"], form["size_factor"], form["multi_scale"])


def describe_tiling(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tiling of a photo, as requested or by default."""
    return {name: form[name] for name in ("tile_size", "tile_stride", "size_factor", "multi_scale")}


def note(answer: Identification, box: Box, least: float, found: Found) -> None:
    """Record the taxa of a tile, or its rejection."""
    if answer.rejection is not None and answer.rejection.rejected:
        found.rejected.tiles.append((box, answer.rejection.none, "other"))
        return
    organ = (answer.aspects[0] if answer.aspects else "") or "other"
    ranked: tuple[Sequence[Candidate], ...] = (answer.species, answer.genera, answer.families)
    for rank, candidates in zip(RANKS, ranked, strict=True):
        for candidate in candidates:
            if candidate.score >= least and candidate.score > 0:
                found.taxa[rank][candidate.taxon.id].tiles.append((box, candidate.score, organ))
                if box not in found.matching[-1:]:
                    found.matching.append(box)


def describe_survey(
    found: Found, name: str, tiles: int, size: tuple[int, int], form: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the photo and its tiles; `uncovered` is the share not covered by any tile with a taxon."""
    counts = {
        "nb_sub_queries": tiles,
        "nb_matching_sub_queries": len(found.matching),
        "uncovered": round(1 - covered(found.matching, *size), 5),
    }
    image = {"name": name, "width": size[0], "height": size[1], **counts}
    return {"tile_size": form["tile_size"], "tile_stride": form["tile_stride"], **counts, "image": image}


def describe_taxa(found: Found, rank: str, size: tuple[int, int], snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the taxa with their tiles, best score first; rejected tiles follow the species, with their class."""
    named = [(snapshot.taxonomy.taxon(taxon), sightings) for taxon, sightings in found.taxa[rank].items()]
    named.sort(key=lambda pair: (-pair[1].max_score, pair[0].name))
    rows = [{**describe_taxon(taxon, snapshot), **count(sightings, size)} for taxon, sightings in named]
    if rank == "species" and found.rejected.tiles:
        rows.append({"reject": REJECTED, **count(found.rejected, size)})
    return rows


def describe_taxon(taxon: Taxon, snapshot: Snapshot) -> dict[str, Any]:
    """Return the names and ids of a taxon in the survey's flat format, the name with its author."""
    names = names_of(taxon)
    return {
        "name": names["scientificName"],
        "id": str(taxon.id),
        "gbif_id": "" if taxon.gbif_key is None else str(taxon.gbif_key),
        "binomial": names["scientificNameWithoutAuthor"],
        "author": names["scientificNameAuthorship"],
        "genus": "" if taxon.rank == "family" else genus_of(taxon, snapshot)["scientificNameWithoutAuthor"],
        "family": names_of(snapshot.taxonomy.ancestor(taxon.id, "family"))["scientificNameWithoutAuthor"],
    }


def count(sightings: Sightings, size: tuple[int, int]) -> dict[str, Any]:
    """Return the share of the photo that a row's tiles cover, their number, and their locations."""
    return {
        "coverage": round(covered(sightings.boxes, *size), 5),
        "max_score": round(sightings.max_score, 5),
        "count": len(sightings.tiles),
        "location": [{**place(box), "score": round(score, 5), "organ": organ} for box, score, organ in sightings.tiles],
    }


def place(box: Box) -> dict[str, Any]:
    """Return the centre and side of a tile."""
    left, top, right, bottom = box
    return {"center": {"x": (left + right) // 2, "y": (top + bottom) // 2}, "size": right - left}
