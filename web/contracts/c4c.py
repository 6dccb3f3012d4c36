"""The c4c API of ai-taxonomist, used by its web component where `backendFormat` is `c4c`."""

from __future__ import annotations

from threading import Lock
from typing import Any, Final

from flask import Response, current_app, request
from marshmallow import fields, validate
from werkzeug.datastructures import FileStorage

from retrieval.domain import NOTICE, WORLD, Candidate
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.snapshot import Snapshot
from web.contracts.allowance import spend
from web.contracts.openapi import ContractBlueprint, ContractQuery
from web.contracts.photos import SentPhoto, bound_post, fetch_addresses, most_photos, read_files
from web.contracts.plantnet_schemas import LANGUAGE
from web.contracts.shapes import json_response
from web.contracts.wording import common_names, genus_of, picture_url
from web.http.access import require
from web.inference.identification import identify_photos
from web.photos.uploads import PhotoFile
from web.request_lifecycle import take_place
from web.schemas.answers import Answer, about
from web.services import services

PHOTOS: Final = 8
COUNT: Final = 10


class Failed(Answer):
    """An error in the format of c4c."""

    status = fields.String(metadata=about("Always `error`."))
    message = fields.String()
    status_code = fields.Integer()


blueprint = ContractBlueprint("c4c", __name__, url_prefix="/c4c", error=Failed, description="The façade c4c")


class C4cQuery(ContractQuery):
    """The options of an identification."""

    lang = fields.String(load_default="en", validate=LANGUAGE)
    flora = fields.String(load_default=WORLD, validate=validate.Length(1, 64), metadata=about("Id of a flora; ours."))


class C4cAddresses(C4cQuery):
    """The options of an identification of photos by URL."""

    image = fields.List(fields.String(), load_default=list, metadata=about("Addresses of photos of the same find."))


class C4cForm(ContractQuery):
    """Photos of one observation."""

    image: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata=about("Photos of the same find; repeat the part.")
    )
    images: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata=about("Another name of image.")
    )


class C4cImage(Answer):
    """A reference photo that resembles the query."""

    url = fields.String()
    license = fields.String()
    rights_holder = fields.String()
    publisher = fields.String()


class C4cResult(Answer):
    """A candidate species."""

    name = fields.String()
    score = fields.Float()
    gbif_id = fields.String(data_key="gbif_id", metadata=about("Empty where it is not known."))
    authorship = fields.String()
    vernacular_name = fields.String()
    genus = fields.String()
    family = fields.String()
    images = fields.List(fields.Nested(C4cImage))


class C4cIdentified(Answer):
    """Ranked species."""

    status = fields.String()
    results = fields.List(fields.Nested(C4cResult))
    rejected = fields.Boolean()
    snapshot = fields.String()
    model = fields.String()
    notice = fields.String()


class C4cTaxon(Answer):
    """A species that can be identified."""

    name = fields.String()
    species_id = fields.String(data_key="species_id")
    rank = fields.String()
    authorship = fields.String()
    vernacular_name = fields.String()
    species = fields.String()
    genus = fields.String()
    family = fields.String()


class C4cStatus(Answer):
    """The status of the server."""

    status = fields.String()
    gbif_doi = fields.String(data_key="gbif_doi", metadata=about("Empty: the references are not of one download."))
    queries = fields.Integer(metadata=about("Identifications since the server was started, of this process."))


class Queries:
    """Counts identifications by this process."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = Lock()

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.count += 1


@blueprint.before_request
def bound_posts() -> None:
    """Limit bodies to Pl@ntNet's maximum."""
    bound_post()


@blueprint.route("/identify", methods=["POST"])
@require("identify")
@blueprint.arguments(C4cQuery, location="query", error_status_code=400)
@blueprint.arguments(C4cForm, location="files", error_status_code=400)
@blueprint.response(200, C4cIdentified)
def identify_upload(query: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """Rank species for the photos of one observation."""
    return answer(read_files([*form["image"], *form["images"]], most_photos(PHOTOS), "image"), query)


@blueprint.route("/identify")
@require("identify")
@blueprint.arguments(C4cAddresses, location="query", error_status_code=400)
@blueprint.response(200, C4cIdentified)
def identify_addresses(query: dict[str, Any]) -> dict[str, Any]:
    """Rank species for photos fetched from public URLs."""
    sent = fetch_addresses(query["image"], most_photos(PHOTOS), "image")
    take_place()
    return answer(sent, query)


@blueprint.route("/taxa")
@blueprint.arguments(C4cQuery, location="query", error_status_code=400)
@blueprint.response(200, C4cTaxon(many=True))
def list_taxa(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List the species that have reference photos."""
    with services().published.lease() as snapshot:
        species = snapshot.by_name(snapshot.flora(query["flora"]))
        held = species[snapshot.count_references(species) > 0].tolist()
        taxa = [snapshot.taxonomy.taxon(each) for each in held]
        return [
            {
                "name": taxon.name,
                "species_id": str(taxon.gbif_key or taxon.id),
                "rank": "SPECIES",
                "authorship": taxon.authorship,
                "vernacularName": (common_names(taxon, snapshot, query["lang"]) or [""])[0],
                "species": taxon.name,
                "genus": genus_of(taxon, snapshot)["scientificNameWithoutAuthor"],
                "family": family_of(taxon.id, snapshot),
            }
            for taxon in taxa
        ]


@blueprint.route("/status")
@blueprint.response(200, C4cStatus)
def show_status() -> dict[str, Any]:
    """Show the status of the server."""
    health = services().published.health()
    status = "ok" if health.snapshot else health.status
    return {"status": status, "gbif_doi": "", "queries": current_app.extensions["queries"].count}


@blueprint.route("/help")
@blueprint.response(200, {"type": "object"})
def show_help() -> Response:
    """List the routes."""
    return json_response(
        {
            "service": "Fungarium",
            "routes": {
                "POST /c4c/identify": "parts `image`, repeated: ranked species",
                "GET /c4c/identify?image=ADDRESS": "the same for public addresses of photos",
                "GET /c4c/taxa": "species that can be answered",
                "GET /c4c/status": "how the server is",
            },
            "openapi": f"{request.host_url}api/contracts/openapi.json",
            "notice": NOTICE,
        },
        200,
    )


def answer(sent: list[SentPhoto], query: dict[str, Any]) -> dict[str, Any]:
    """Identify, and answer in the format of c4c. The list is empty if the photos were rejected."""
    spend()
    with services().published.lease() as snapshot:
        found = identify_photos(
            [each.photo for each in sent], snapshot, flora=query["flora"], candidates=COUNT, options=IdentifyOptions()
        )
        current_app.extensions["queries"].add()
        rejected = found.rejection is not None and found.rejection.rejected
        shown = () if rejected else found.species
        return {
            "status": "ok",
            "results": [describe(candidate, query["lang"], snapshot) for candidate in shown],
            "rejected": rejected,
            "snapshot": found.snapshot,
            "model": found.model,
            "notice": found.notice,
        }


def describe(found: Candidate, language: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return a ranked species; all keys are present, since the component reads them unconditionally."""
    taxon = found.taxon
    return {
        "name": taxon.name,
        "score": round(found.score, 5),
        "gbif_id": "" if taxon.gbif_key is None else str(taxon.gbif_key),
        "authorship": taxon.authorship,
        "vernacularName": (common_names(taxon, snapshot, language) or [""])[0],
        "genus": genus_of(taxon, snapshot)["scientificNameWithoutAuthor"],
        "family": family_of(taxon.id, snapshot),
        "images": [
            {
                "url": picture_url(evidence.reference.photo, "m"),
                "license": evidence.reference.licence,
                "rightsHolder": evidence.reference.author,
                "publisher": evidence.reference.source,
            }
            for evidence in found.evidence
        ],
    }


def family_of(species: int, snapshot: Snapshot) -> str:
    """Return the name of a species' family; empty if unknown."""
    family = snapshot.taxonomy.ancestor(species, "family")
    return family.name if family else ""
