"""Pages to record and edit an observation: photos, place, date, surroundings and identification."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from flask import render_template, request, url_for
from werkzeug.wrappers import Response

from database.field.records import describe_photos, digests, drop_photo, edit, last_licence, photo_of, remove
from database.field.validation import CERTAINTIES
from retrieval.domain import WORLD
from retrieval.errors import NoPhoto
from web.api.accounts import signed_in
from web.api.observations import keep_find, keep_more_photos, remove_photos, require_owned
from web.http import access
from web.http.access import require
from web.http.refusals import UnknownAnswer
from web.http.versions import check_version
from web.pages.blueprint import blueprint
from web.pages.edits import EditConflict, as_text, carried, read_edit
from web.pages.observations import known_floras
from web.pages.visitor import TROUBLE, go_to, load, render_form_again
from web.pages.wording.observation_words import recording_words
from web.photos.uploads import read_photos
from web.schemas.observation_forms import LICENCES, Described, MorePhotos, NewObservation
from web.schemas.observations import observation_answer, observation_version
from web.services import services

SUGGESTED: Final = 5  # names of an answer that the form offers
TEXTS: Final = ("locality", "habitat", "substrate", "remarks", "licence")
NAMES: Final = ("eventDate", "decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters", *TEXTS)
OWN: Final = ("id", "scientificName", "certainty", "flora", "readMetadata", "obscured")
"""Fields of a new observation besides those that can be changed later."""


@blueprint.route("/observations/new")
@require("write")
def show_new_observation() -> str:
    """Show an empty form, or one for the photos of a stored answer."""
    typed = {name: text for name, text in request.args.items() if name in (*NAMES, *OWN, "answer")}
    typed.setdefault("id", str(uuid4()))  # a form submitted twice creates one observation
    with services().database().reading() as session:
        typed.setdefault("licence", last_licence(session, signed_in().id))
    return render_template("recording.html", typed=typed, **choices(typed.get("answer", "")))


@blueprint.route("/observations/new", methods=["POST"])
@require("write")
def record_find() -> Response:
    """Record an observation and show it."""
    signed_in()
    answer = request.form.get("answer", "")
    try:
        given: dict[str, Any] = {name: request.form.get(name, "").strip() for name in (*NAMES, *OWN)}
        form = load(NewObservation(), given | {"aspects": request.form.getlist("aspects")})
        try:
            photos = read_photos({"photos": request.files.getlist("photos"), "images": []}, services().limits)
        except NoPhoto:
            if not answer:
                raise
            photos = photos_of_answer(answer)
            form["aspects"] = form["aspects"] or aspects_of_answer(answer)
        recorded, _ = keep_find(form, photos)
    except TROUBLE as error:
        return render_form_again("recording.html", error, **choices(answer))
    return go_to(url_for("page.show_observation", key=recorded["id"], done="recorded"))


@blueprint.route("/observations/<string:key>/edit")
@require("write")
def show_edit(key: str) -> str:
    """Show the form with the current values."""
    return render_template("recording.html", **as_known(own_observation(key)))


@blueprint.route("/observations/<string:key>/edit", methods=["POST"])
@require("write")
def change_find(key: str) -> Response:
    """Save the changed fields and show the observation; writes nothing if it was changed by somebody else meanwhile."""
    try:
        with services().database().writing() as session:
            observation = require_owned(session, key)
            edited = read_edit(filled(observation_answer(observation, access.caller())), request.form)
            edit(session, observation, Described().load(edited))
    except EditConflict as conflict:
        shown = as_known(own_observation(key)) | {"typed": conflict.typed}
        return render_form_again("recording.html", conflict.problem, **shown)
    except TROUBLE as error:
        return render_form_again("recording.html", error, **as_known(own_observation(key)) | {"typed": request.form})
    return go_to(url_for("page.show_observation", key=key, done="changed"))


@blueprint.route("/observations/<string:key>/photos", methods=["POST"])
@require("write")
def add_photos_to_find(key: str) -> Response:
    """Add photos to an observation."""
    observation = own_observation(key)
    try:
        form = load(MorePhotos(), {"aspects": request.form.getlist("aspects")})
        keep_more_photos(form | {"photos": request.files.getlist("photos")}, key)
    except TROUBLE as error:
        return render_form_again("recording.html", error, **as_known(observation))
    return go_to(url_for("page.show_edit", key=key))


@blueprint.route("/observations/<string:key>/aspects", methods=["POST"])
@require("write")
def describe_photos_of_find(key: str) -> Response:
    """Set what each photo of an observation shows; the form has a field for each photo, named by its SHA-256."""
    observation = own_observation(key)
    try:
        given = {name: aspect for name, aspect in request.form.items() if name != "csrf_token"}
        aspects = load(MorePhotos(), {"aspects": list(given.values())})["aspects"]
        with services().database().writing() as session:
            describe_photos(session, require_owned(session, key), dict(zip(given, aspects, strict=True)))
    except TROUBLE as error:
        return render_form_again("recording.html", error, **as_known(observation))
    return go_to(url_for("page.show_observation", key=key, done="changed"))


@blueprint.route("/observations/<string:key>/photos/<string:sha256>/remove", methods=["POST"])
@require("write")
def remove_photo_of_find(key: str, sha256: str) -> Response:
    """Remove a photo from an observation."""
    observation = own_observation(key)
    try:
        with services().database().writing() as session:
            found = require_owned(session, key)
            gone = digests([photo_of(found, sha256)])
            drop_photo(session, found, sha256)
        remove_photos(gone)
    except TROUBLE as error:
        return render_form_again("recording.html", error, **as_known(observation))
    return go_to(url_for("page.show_edit", key=key))


@blueprint.route("/observations/<string:key>/remove")
@require("write")
def show_removal(key: str) -> str:
    """Ask for confirmation of the removal."""
    return render_template("removal.html", observation=own_observation(key))


@blueprint.route("/observations/<string:key>/remove", methods=["POST"])
@require("write")
def remove_find(key: str) -> Response:
    """Remove an observation with its photos and verdicts, if unchanged since the confirmation page was shown."""
    with services().database().writing() as session:
        observation = require_owned(session, key)
        check_version(observation_version(observation), request.form.get("version"), required=True)
        gone = digests(observation.photos)
        remove(session, observation)
    remove_photos(gone)
    return go_to(url_for("page.show_own_observations", done="removed"))


def own_observation(key: str) -> dict[str, Any]:
    """Return an observation that the caller may change. Raises UnknownObservation, NotOwner."""
    with services().database().reading() as session:
        return observation_answer(require_owned(session, key), access.caller())


def filled(observation: dict[str, Any]) -> dict[str, Any]:
    """Return the form values of an observation, by field name."""
    return {name: observation[name] for name in (*NAMES, "obscured")}


def as_known(observation: dict[str, Any]) -> dict[str, Any]:
    """Return an observation's form values, with those that the form was made from."""
    known = filled(observation)
    return {"typed": as_text(known), "was": carried(known), "observation": observation, **choices("")}


def choices(answer: str) -> dict[str, Any]:
    """Return the form's choices, and the stored answer that it started from."""
    kept = kept_answer(answer) if answer else None
    return {
        "floras": known_floras(),
        "limits": services().limits,
        "LICENCES": LICENCES,
        "CERTAINTIES": list(CERTAINTIES),
        "WORLD": WORLD,
        "kept": kept,
        "suggested": [one["taxon"]["scientificName"] for one in kept["species"][:SUGGESTED]] if kept else [],
        "said": recording_words(),
    }


def kept_answer(name: str) -> dict[str, Any] | None:
    """Return a stored answer, or None if it has expired."""
    try:
        return services().answers.read(name) | {"name": name}
    except UnknownAnswer:
        return None


def aspects_of_answer(name: str) -> list[str]:
    """Return the aspects that the person gave for the photos of a stored answer. Raises UnknownAnswer."""
    return [str(aspect) for aspect in services().answers.read(name).get("aspects", ())]


def photos_of_answer(name: str) -> list[bytes]:
    """Return the photos stored with an answer, at their reduced size. Raises UnknownAnswer."""
    answers = services().answers
    return [answers.photo(name, number) for number in range(answers.read(name)["photos"])]
