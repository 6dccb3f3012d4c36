"""Routes of observations: record with photos, find, change and remove."""

from __future__ import annotations

import logging
from hashlib import sha256 as digest
from typing import Any
from uuid import uuid4

from flask import Response, request

from database.errors import NotOwner, UnknownObservation
from database.field.models import FieldObservation
from database.field.obscuring import Place, obscure, obscure_flora
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
    shown,
)
from database.field.search import search, search_near
from database.field.verdicts import give_opinion, settle
from database.session import Session
from database.taxonomy.lineages import find_taxon
from retrieval.domain import WORLD
from retrieval.errors import FungariumError, InvalidOption, SnapshotError, UnknownPhoto
from retrieval.photos.views import CURATED
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.withdrawals import withdraw_photos
from web.api.accounts import signed_in
from web.api.observation_search import RADIUS, next_address, read_cursor, read_point, read_search, say_nothing
from web.api.photos import WEBP, PictureQuery
from web.http import access
from web.http.access import require
from web.http.refusals import TakenId
from web.http.versions import check_version, tag_answer, versioned
from web.inference.identification import answer_photos
from web.photos.decoding import draw_picture
from web.photos.observation_photos import DrawnPhoto, candidates_of, draw_photos, fill_in, keep_photos, photos_say
from web.photos.thumbnails import DRAWING, accepted_form, picture_response
from web.photos.uploads import read_photos
from web.schemas.observation_forms import MorePhotos, NewObservation, ObservationChanges, Search
from web.schemas.observations import (
    FieldObservationAnswer,
    FieldObservationsAnswer,
    observation_answer,
    observation_version,
    owns,
)
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "observations", __name__, url_prefix=f"{PREFIX}/observations", description="What people observe"
)

log = logging.getLogger(__name__)
CANDIDATES = 10  # candidates of the engine that are stored


@blueprint.route("", methods=["POST"])
@require("write")
@blueprint.arguments(NewObservation, location="files")
@blueprint.response(201, FieldObservationAnswer)
def record_observation(form: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Record an observation with its photos.

    Photos and data are on disk when the response is sent. A repeated request with the same `id` creates nothing.
    """
    answer, status = keep_find(form, read_photos(form | {"images": []}, services().limits))
    return tagged(answer), status


@blueprint.route("")
@require("read")
@blueprint.arguments(Search, location="query")
@blueprint.response(200, FieldObservationsAnswer)
def find_observations(query: dict[str, Any]) -> dict[str, Any]:
    """Find observations, latest first; with `near`, nearest first.

    Obscured places are found by their grid cell, for every user.
    """
    asking, after = access.caller(), read_cursor(query["after"], 2 if query["near"] else 1)
    with services().database().reading() as session:
        wanted = read_search(session, query)
        if query["near"]:
            (latitude, longitude), km = read_point(query["near"]), query["radius"] or RADIUS
            page = search_near(session, wanted, latitude, longitude, km, after=after, limit=query["limit"])
        else:
            page = search(session, wanted, after=after, limit=query["limit"])
        return {
            "observations": [observation_answer(observation, asking) for observation in page.observations],
            "next": next_address(page),
            "notice": None if page.observations or not request.args else say_nothing(query),
        }


@blueprint.route("/<string:key>")
@require("read")
@blueprint.response(200, FieldObservationAnswer)
def show_observation(key: str) -> dict[str, Any]:
    """Show an observation."""
    asking = access.caller()
    with services().database().reading() as session:
        return tagged(observation_answer(observation_by_key(session, key), asking))


@blueprint.route("/<string:key>", methods=["PATCH"])
@require("write")
@versioned
@blueprint.arguments(ObservationChanges)
@blueprint.response(200, FieldObservationAnswer)
def change_observation(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Change one's own observation; an administrator can change any. null removes a value.

    Give the version that the change is based on, by `If-Match` or `version`: 428 if it is missing, 412 if the
    observation was changed since. Removing the place also removes its accuracy.
    """
    asking = access.caller()
    with services().database().writing() as session:
        observation = require_owned(session, key)
        check_version(observation_version(observation), form.pop("version", None), required=True)
        edit(session, observation, form)
        return tagged(observation_answer(observation, asking))


@blueprint.route("/<string:key>", methods=["DELETE"])
@require("write")
@versioned
@blueprint.response(204)
def remove_observation(key: str) -> None:
    """Remove one's own observation with all its identifications; an administrator can remove any.

    Photos that no other observation shows are deleted from the store before the response is sent.
    """
    with services().database().writing() as session:
        observation = require_owned(session, key)
        gone = digests(observation.photos)
        remove(session, observation)
    remove_photos(gone)


@blueprint.route("/<string:key>/photos", methods=["POST"])
@require("write")
@versioned
@blueprint.arguments(MorePhotos, location="files")
@blueprint.response(200, FieldObservationAnswer)
def add_observation_photos(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Add photos to one's own observation."""
    return tagged(keep_more_photos(form, key))


@blueprint.route("/<string:key>/photos/<string:sha256>", methods=["DELETE"])
@require("write")
@versioned
@blueprint.response(200, FieldObservationAnswer)
def remove_observation_photo(key: str, sha256: str) -> dict[str, Any]:
    """Remove a photo of one's own observation; the last photo can only be removed with the observation."""
    asking = access.caller()
    with services().database().writing() as session:
        observation = require_owned(session, key)
        gone = digests([photo_of(observation, sha256)])
        drop_photo(session, observation, sha256)
        answer = observation_answer(observation, asking)
    remove_photos(gone)
    return tagged(answer)


@blueprint.route("/<string:key>/photos/<string:sha256>")
@require("read")
@blueprint.arguments(PictureQuery, location="query")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="image/jpeg")
@blueprint.doc(responses=WEBP)
def draw_photo(query: dict[str, Any], key: str, sha256: str) -> Response:
    """Return a photo of an observation, without metadata: as WebP if `Accept` names it, else as JPEG."""
    with services().database().reading() as session:
        photo_of(observation_by_key(session, key), sha256)
    form = accepted_form()
    response = picture_response(f"{sha256}-{query['size']}-{DRAWING}", form)
    response.cache_control.private = True  # not cached, so that a removed photo is gone here too
    response.cache_control.max_age = 3600
    if response.status_code != 304:
        response.set_data(draw_picture(services().photo_files().get(sha256), query["size"], form, CURATED))
    return response


def keep_find(form: dict[str, Any], photos: list[bytes]) -> tuple[dict[str, Any], int]:
    """Store an observation from a validated NewObservation; the status tells whether it is new. Also used by pages."""
    given, person = services(), signed_in()
    drawn = draw(photos, form["aspects"])
    if form["readMetadata"]:
        fill_in(form, photos_say(photos, given.limits))
    key = (form["id"] or str(uuid4())).lower()
    if (known := already_recorded(key, drawn)) is not None:
        return known, 200
    said = ask_engine(photos, form) if form["suggest"] else None
    try:
        kept = keep_photos(given.photo_files(), drawn)
        with given.database().writing() as session:
            if (twin := record_once(session, key)) is not None:  # the same request, sent twice at the same time
                return answer_duplicate(twin, drawn), 200
            keep_photos(given.photo_files(), drawn)  # again: the same photo may have been removed meanwhile
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
    """Add the photos of a validated MorePhotos to one's own observation. Also used by pages."""
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
            if len({one.sha256 for one in observation.photos} | {one.sha256 for one in kept}) > given.limits.photos:
                raise InvalidOption(f"an observation may have at most {given.limits.photos} photos")
            add_photos(session, observation, kept)
            return observation_answer(observation, asking)
    except FungariumError:
        forget_photos(drawn)
        raise


def draw(photos: list[bytes], aspects: list[str]) -> list[DrawnPhoto]:
    """Re-encode the photos as this server stores them."""
    given = services()
    return draw_photos(photos, aspects, given.limits, side=given.keeping.side, originals=given.keeping.originals)


def ask_engine(photos: list[bytes], form: dict[str, Any]) -> EngineAnswer | None:
    """Return the engine's answer for the photos and the form's date, place and aspects, as on the identify page.

    The place is replaced by the centre of its grid cell, in the flora too: the answer is public, and the place may have
    to be obscured, now or later.

    Returns None if the engine is unavailable, or the caller has no permission or quota left: recording must not fail
    because no snapshot is published or the day's quota is used up.
    """
    if "identify" not in access.caller().scopes:
        return None
    try:
        access.spend("identify")
        flora = obscure_flora(form["flora"] or WORLD)
        asked = answer_photos(photos, flora=flora, candidates=CANDIDATES, options=options_of(form))
        with asked as (answer, snapshot):
            return EngineAnswer(snapshot.name, answer.model, answer.flora, answer.calibrated, candidates_of(answer))
    except FungariumError as error:
        log.warning(
            "an observation is recorded without a suggestion: %s", type(error).__name__
        )  # its message may contain more
        return None


def options_of(form: dict[str, Any]) -> IdentifyOptions:
    """Return the form's options for the engine."""
    latitude, longitude = form.get("decimal_latitude"), form.get("decimal_longitude")
    cell = obscure(Place(latitude, longitude)) if latitude is not None and longitude is not None else None
    return IdentifyOptions(
        coordinates=(cell.latitude, cell.longitude) if cell else None,
        day=form.get("event_date"),
        aspects=tuple(form["aspects"]),
    )


def already_recorded(key: str, drawn: list[DrawnPhoto]) -> dict[str, Any] | None:
    """Return the response to a request that was answered before."""
    with services().database().reading() as session:
        twin = record_once(session, key)
        return answer_duplicate(twin, drawn) if twin is not None else None


def record_once(session: Session, key: str) -> FieldObservation | None:
    """Return the observation with this id, or None."""
    try:
        return observation_by_key(session, key)
    except UnknownObservation:
        return None


def answer_duplicate(twin: FieldObservation, drawn: list[DrawnPhoto]) -> dict[str, Any]:
    """Return the response for an observation that the caller has recorded before.

    Raises NotOwner if it belongs to another person, TakenId if it has none of these photos: it is then not the same
    request, and its photos would be lost silently.
    """
    if not owns(twin, access.caller()):
        raise NotOwner("this id is taken by somebody else's observation; make another UUID")
    if not {photo.sha256 for photo in twin.photos} & {digest(photo.photo).hexdigest() for photo in drawn}:
        raise TakenId("an observation with other photos was already saved with this id; nothing was saved now")
    return observation_answer(twin, access.caller())


def require_owned(session: Session, key: str) -> FieldObservation:
    """Return an observation that the caller may change, in the version named by `If-Match`, if given.

    Raises UnknownObservation, NotOwner, ChangedMeanwhile.
    """
    observation, asking = observation_by_key(session, key), access.caller()
    if not owns(observation, asking) and "administer" not in asking.scopes:
        raise NotOwner("this observation belongs to somebody else")
    check_version(observation_version(observation))
    return observation


def tagged(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the response to this request, with an ETag."""
    tag_answer(answer["version"], answer)
    return answer


def remove_photos(sha256s: list[str]) -> None:
    """Delete the photos that no observation shows any more, and withdraw those that are references, from now on."""
    given = services()
    with given.database().reading() as session:
        gone = [sha256 for sha256 in sha256s if not shown(session, sha256)]
    if given.flora_indexes is not None and (references := [one for one in gone if is_reference(one)]):
        withdraw_photos(given.flora_indexes, references)
    discard(given.database(), given.photo_files(), gone)


def is_reference(sha256: str) -> bool:
    """Return whether the published snapshot has a photo among its references."""
    try:
        with services().published.lease() as snapshot:
            return bool(snapshot.reference_of_photo(sha256))
    except (SnapshotError, UnknownPhoto):  # without a snapshot nothing of it is shown either
        return False


def forget_photos(drawn: list[DrawnPhoto]) -> None:
    """Delete the photos stored for an observation that was not recorded; on failure, `sweep` deletes them later."""
    try:
        kept = [digest(photo).hexdigest() for one in drawn for photo in (one.photo, one.original) if photo]
        discard(services().database(), services().photo_files(), kept)
    except FungariumError as error:
        log.warning("photos of a refused observation are left for `sweep`: %s", type(error).__name__)
