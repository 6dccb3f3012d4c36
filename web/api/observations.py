"""Observations: recorded with their photos, found, changed, removed."""

from __future__ import annotations

import binascii
import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256 as digest
from typing import Any
from uuid import uuid4

from flask import Response, request, url_for

from database.errors import NotOwner, UnknownObservation
from database.field.models import FieldObservation
from database.field.obscuring import Box
from database.field.records import (
    EngineAnswer,
    add_photos,
    digests,
    discard,
    drop_photo,
    edit,
    observation_by_key,
    photo_of,
    record,
    remove,
)
from database.field.search import ObservationFilter, Page, search, search_near
from database.field.verdicts import give_opinion, settle
from database.session import Session
from database.taxonomy.lineages import find_taxon
from retrieval.domain import WORLD
from retrieval.errors import FungariumError, InvalidOption
from retrieval.ranking.options import IdentifyOptions
from web.api.accounts import signed_in
from web.api.photos import WEBP, PictureQuery
from web.http import access
from web.http.access import require
from web.inference.identification import answer_photos
from web.photos.observation_photos import DrawnPhoto, candidates_of, draw_photos, fill_in, keep_photos, photos_say
from web.photos.thumbnails import DRAWING, accepted_form, draw_picture, picture_response
from web.photos.uploads import read_photos
from web.schemas.form_values import LARGEST_ID
from web.schemas.observation_forms import Described, MorePhotos, NewObservation, Search
from web.schemas.observations import FieldObservationAnswer, FieldObservationsAnswer, observation_answer, owns
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "observations", __name__, url_prefix=f"{PREFIX}/observations", description="What people observe"
)

log = logging.getLogger(__name__)
FOREIGN = "was not given by this server for this question; begin again without it"
CANDIDATES = 10  # of the engine's answer that are kept


@blueprint.route("", methods=["POST"])
@require("write")
@blueprint.arguments(NewObservation, location="files")
@blueprint.response(201, FieldObservationAnswer)
def record_observation(form: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Record an observation with its photos.

    Once this has answered, photos and text are on the disk. With `id`, sending it again records nothing twice.
    """
    return keep_find(form, read_photos(form | {"images": []}, services().limits))


@blueprint.route("")
@require("read")
@blueprint.arguments(Search, location="query")
@blueprint.response(200, FieldObservationsAnswer)
def find_observations(query: dict[str, Any]) -> dict[str, Any]:
    """Find observations, the last recorded first; with `near`, the nearest first.

    Obscured places are found by their grid cell, whoever asks.
    """
    asking, after = access.caller(), read_cursor(query["after"], 2 if query["near"] else 1)
    wanted = read_search(query)
    with services().database().reading() as session:
        if query["near"]:
            latitude, longitude = read_numbers(query["near"], "near", 2)
            page = search_near(session, wanted, latitude, longitude, query["radius"], after=after, limit=query["limit"])
        else:
            page = search(session, wanted, after=after, limit=query["limit"])
        return {
            "observations": [observation_answer(observation, asking) for observation in page.observations],
            "next": next_address(page),
        }


@blueprint.route("/<string:key>")
@require("read")
@blueprint.response(200, FieldObservationAnswer)
def show_observation(key: str) -> dict[str, Any]:
    """Show an observation."""
    asking = access.caller()
    with services().database().reading() as session:
        return observation_answer(observation_by_key(session, key), asking)


@blueprint.route("/<string:key>", methods=["PATCH"])
@require("write")
@blueprint.arguments(Described)
@blueprint.response(200, FieldObservationAnswer)
def change_observation(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Change what is given of one's own observation; an administrator, of anybody's. null takes a value out."""
    asking = access.caller()
    with services().database().writing() as session:
        observation = require_owned(session, key)
        edit(session, observation, form)
        return observation_answer(observation, asking)


@blueprint.route("/<string:key>", methods=["DELETE"])
@require("write")
@blueprint.response(204)
def remove_observation(key: str) -> None:
    """Remove one's own observation with everything that was said of it; an administrator, anybody's.

    Photos that no other observation shows are gone from the store when this has answered.
    """
    with services().database().writing() as session:
        observation = require_owned(session, key)
        gone = digests(observation.photos)
        remove(session, observation)
    discard(services().database(), services().photo_files(), gone)


@blueprint.route("/<string:key>/photos", methods=["POST"])
@require("write")
@blueprint.arguments(MorePhotos, location="files")
@blueprint.response(200, FieldObservationAnswer)
def add_observation_photos(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Add photos to one's own observation."""
    return keep_more_photos(form, key)


@blueprint.route("/<string:key>/photos/<string:sha256>", methods=["DELETE"])
@require("write")
@blueprint.response(200, FieldObservationAnswer)
def remove_observation_photo(key: str, sha256: str) -> dict[str, Any]:
    """Remove a photo of one's own observation; the only one goes with its observation."""
    asking = access.caller()
    with services().database().writing() as session:
        observation = require_owned(session, key)
        gone = digests([photo_of(observation, sha256)])
        drop_photo(session, observation, sha256)
        answer = observation_answer(observation, asking)
    discard(services().database(), services().photo_files(), gone)
    return answer


@blueprint.route("/<string:key>/photos/<string:sha256>")
@require("read")
@blueprint.arguments(PictureQuery, location="query")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="image/jpeg")
@blueprint.doc(responses=WEBP)
def draw_photo(query: dict[str, Any], key: str, sha256: str) -> Response:
    """Draw a photo of an observation: a WebP where `Accept` names it, else a JPEG. It holds nothing but pixels."""
    with services().database().reading() as session:
        photo_of(observation_by_key(session, key), sha256)
    form = accepted_form()
    response = picture_response(f"{sha256}-{query['size']}-{DRAWING}", form)
    response.cache_control.private = True  # a removed photo shall be gone, here too: no drawing of it is kept
    response.cache_control.max_age = 3600
    if response.status_code != 304:
        response.set_data(draw_picture(services().photo_files().get(sha256), query["size"], form))
    return response


def keep_find(form: dict[str, Any], photos: list[bytes]) -> tuple[dict[str, Any], int]:
    """Record a loaded form of NewObservation with its photos; the status says whether it is new. Pages call it too."""
    given, person = services(), signed_in()
    drawn = draw(photos, form["aspects"])
    if form["readMetadata"]:
        fill_in(form, photos_say(photos, given.limits))
    key = (form["id"] or str(uuid4())).lower()
    if (known := already_recorded(key)) is not None:
        return known, 200
    said = ask_engine(photos, form["flora"]) if form["suggest"] else None
    try:
        kept = keep_photos(given.photo_files(), drawn)
        with given.database().writing() as session:
            if (twin := record_once(session, key)) is not None:  # by the same request, sent twice at once
                return answer_duplicate(twin), 200
            keep_photos(given.photo_files(), drawn)  # again: somebody may have removed the same photo meanwhile
            observation = record(session, key, person.id, form, kept, said)
            if form["taxon_id"] is not None or form["scientific_name"]:
                taxon = find_taxon(session, taxon_id=form["taxon_id"], name=form["scientific_name"])
                give_opinion(session, observation, person.id, taxon, form["certainty"])
            settle(session, observation)
            answer = observation_answer(observation, access.caller())
    except FungariumError:
        forget_photos(drawn)
        raise
    return answer, 201


def keep_more_photos(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Add the photos of a loaded form of MorePhotos to one's own observation. Pages call it too."""
    given, asking = services(), access.caller()
    with given.database().reading() as session:
        require_owned(session, key)
    photos = read_photos(form | {"images": []}, given.limits)
    drawn = draw(photos, form["aspects"])
    try:
        kept = keep_photos(given.photo_files(), drawn)
        with given.database().writing() as session:
            observation = require_owned(session, key)
            keep_photos(given.photo_files(), drawn)
            if len(observation.photos) + len(kept) > given.limits.photos:
                raise InvalidOption(f"an observation may have at most {given.limits.photos} photos")
            add_photos(session, observation, kept)
            return observation_answer(observation, asking)
    except FungariumError:
        forget_photos(drawn)
        raise


def draw(photos: list[bytes], aspects: list[str]) -> list[DrawnPhoto]:
    """The photos as this server keeps them."""
    given = services()
    return draw_photos(photos, aspects, given.limits, side=given.keeping.side, originals=given.keeping.originals)


def ask_engine(photos: list[bytes], flora: str) -> EngineAnswer | None:
    """What the engine says, where it can be asked and the caller has leave and quota to; else nothing.

    Whoever records an observation shall not lose it because nothing is published, or because their day is used up.
    """
    if "identify" not in access.caller().scopes:
        return None
    try:
        access.spend("identify")
        with answer_photos(photos, flora=flora or WORLD, candidates=CANDIDATES, options=IdentifyOptions()) as (
            answer,
            snapshot,
        ):
            return EngineAnswer(snapshot.name, answer.model, answer.flora, answer.calibrated, candidates_of(answer))
    except FungariumError as error:
        log.warning(
            "an observation is recorded without a suggestion: %s", type(error).__name__
        )  # its words may tell more
        return None


def already_recorded(key: str) -> dict[str, Any] | None:
    """The answer to a request that was answered before."""
    with services().database().reading() as session:
        twin = record_once(session, key)
        return answer_duplicate(twin) if twin is not None else None


def record_once(session: Session, key: str) -> FieldObservation | None:
    """The observation of this id, if there is one."""
    try:
        return observation_by_key(session, key)
    except UnknownObservation:
        return None


def answer_duplicate(twin: FieldObservation) -> dict[str, Any]:
    """An observation that the caller has recorded before. Raises NotOwner where somebody else has."""
    if not owns(twin, access.caller()):
        raise NotOwner("this id is taken by somebody else's observation; make another UUID")
    return observation_answer(twin, access.caller())


def require_owned(session: Session, key: str) -> FieldObservation:
    """An observation that the caller may change. Raises UnknownObservation, NotOwner."""
    observation, asking = observation_by_key(session, key), access.caller()
    if not owns(observation, asking) and "administer" not in asking.scopes:
        raise NotOwner("this observation belongs to somebody else")
    return observation


def forget_photos(drawn: list[DrawnPhoto]) -> None:
    """Remove what was kept for an observation that was not recorded; where even that fails, `sweep` will."""
    try:
        kept = [digest(photo).hexdigest() for one in drawn for photo in (one.photo, one.original) if photo]
        discard(services().database(), services().photo_files(), kept)
    except FungariumError as error:
        log.warning("photos of a refused observation are left for `sweep`: %s", type(error).__name__)


def read_search(query: dict[str, Any]) -> ObservationFilter:
    """What a query looks for. Raises InvalidOption, UnknownFlora."""
    species = None
    if query["flora"] and query["flora"] != WORLD:
        with services().published.lease() as snapshot:
            species = [int(one) for one in snapshot.flora(query["flora"]).species]
    box = None
    if query["box"]:
        west, south, east, north = read_numbers(query["box"], "box", 4)
        box = Box(west, south, east, north)
    return ObservationFilter(
        taxon_id=query["taxon"],
        species=species,
        box=box,
        first_day=query["first_day"],
        last_day=query["last_day"],
        statuses=tuple(query["status"]),
        person_id=query["person"],
    )


def read_numbers(text: str, name: str, count: int) -> list[float]:
    """Degrees with commas between them. Raises InvalidOption."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(abs(number) <= 180 for number in numbers):
        order = "latitude,longitude" if count == 2 else "west,south,east,north"
        raise InvalidOption(f"{name} must be {order} in degrees")
    return numbers


def read_cursor(text: str, count: int) -> tuple[float, ...] | None:
    """Where the page before ended. Raises InvalidOption."""
    if not text:
        return None
    try:
        numbers = tuple(float(part) for part in json.loads(urlsafe_b64decode(text.encode())))
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError) as error:
        raise InvalidOption(f"`after` {FOREIGN}") from error
    if len(numbers) != count or not all(abs(number) <= LARGEST_ID for number in numbers):
        raise InvalidOption(f"`after` {FOREIGN}")
    return numbers


def cursor_of(page: Page) -> str:
    """Where the next page begins, as `read_cursor` reads it."""
    return urlsafe_b64encode(json.dumps(page.after).encode()).decode()


def next_address(page: Page) -> str | None:
    """The same question for the next page."""
    if page.after is None:
        return None
    asked: dict[str, Any] = {name: values for name, values in request.args.lists() if name not in ("after", "api-key")}
    return url_for("observations.find_observations", **asked, after=cursor_of(page))
