"""Maps errors to statuses, and formats all of them as problem details (RFC 9457)."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Flask, Response, json, request
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkSize, NoMoreData
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.routing import RoutingException

from database.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseFull,
    FieldError,
    NotOwner,
    PersonError,
    StoreFull,
    StoreUnavailable,
    UnknownFieldPhoto,
    UnknownKey,
    UnknownLink,
    UnknownName,
    UnknownObservation,
    UnknownPerson,
    UnknownRun,
)
from database.field.photo_files import NO_ROOM
from retrieval import errors
from retrieval.photos.decoders import DecoderFailed, DecodersBusy
from web.http import refusals
from web.http.admission import Overloaded
from web.http.deadlines import DeadlinePassed
from web.http.refusals import RemoteServersBusy, UnknownAnswer, UnknownExport

log = logging.getLogger(__name__)

UNUSABLE: Final = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
MEDIA_TYPE: Final = "application/problem+json"
PROBLEMS_AT: Final = "/api/v1/docs#"  # documentation of the types of problems
LATER: Final = 10  # seconds until a retry may succeed
RETRY_AFTER: Final[Mapping[type[Exception], int]] = {Overloaded: 2}
CHUNK: Final = 1 << 16
BROKEN_BODIES: Final = (InvalidChunkSize, ChunkMissingTerminator, NoMoreData)  # raised while a body is read


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, the last part of its type, and its title."""

    status: int
    name: str
    title: str
    said: str = ""  # replaces the error's own text, which names files and addresses of the server and goes to the log


UNDECODED: Final = "Photos cannot be decoded at the moment; try again in some seconds."
KINDS: Final[Mapping[type[Exception], Kind]] = {
    errors.UnreadablePhoto: Kind(400, "unreadable-photo", "The photo cannot be read"),
    errors.UnsupportedPhoto: Kind(415, "unsupported-photo", "File type not supported"),
    errors.PhotoTooLarge: Kind(413, "photo-too-large", "The photo is too large"),
    errors.TooManyPhotos: Kind(422, "too-many-photos", "Too many photos"),
    errors.InvalidOption: Kind(400, "impossible-wish", "Please check your entries"),
    errors.PlaceUnavailable: Kind(400, "place-unavailable", "Please check the location"),
    errors.NoPhoto: Kind(400, "no-photo", "No photo"),
    errors.ForbiddenAddress: Kind(400, "forbidden-address", "Photos cannot be loaded from this address"),
    errors.PhotoNotFetched: Kind(400, "photo-not-fetched", "The photo could not be downloaded"),
    RemoteServersBusy: Kind(503, "busy-fetching", "The server is busy"),
    errors.UnknownFlora: Kind(404, "unknown-flora", "Region or checklist not found"),
    errors.UnknownTaxon: Kind(404, "unknown-taxon", "Taxon not found"),
    errors.UnknownPhoto: Kind(404, "unknown-photo", "Photo not found"),
    UnknownAnswer: Kind(404, "unknown-answer", "Result not found"),
    UnknownExport: Kind(404, "unknown-export", "Archive not found"),
    errors.UnknownLine: Kind(404, "unknown-model", "Model not found"),
    errors.NoSnapshot: Kind(
        503,
        "no-snapshot",
        "Nothing has been published yet",
        "Nothing has been published yet. The administrator builds and publishes a snapshot with "
        "`fungarium index build` and `fungarium index publish`.",
    ),
    errors.DamagedSnapshot: Kind(
        503,
        "damaged-snapshot",
        "The published snapshot is damaged",
        "The published snapshot is damaged. The server's log names the file; the administrator can publish again or "
        "roll back.",
    ),
    errors.SnapshotMismatch: Kind(503, "snapshot-mismatch", "Snapshot and model do not match"),
    errors.SnapshotError: Kind(
        503,
        "snapshot-unavailable",
        "The published snapshot cannot be opened",
        "The published snapshot is still being opened or cannot be opened. Details are in the server's log.",
    ),
    errors.ModelError: Kind(
        503,
        "model-unavailable",
        "The model is unavailable",
        "The model cannot be used. Details are in the server's log.",
    ),
    errors.ShardUnavailable: Kind(
        503,
        "part-unavailable",
        "Part of the reference collection is not responding",
        "A part of the references gives no answer at the moment. Try again in some seconds, or send `partial=true` for "
        "an answer from the rest, which says what was not searched.",
    ),
    errors.ClusterError: Kind(
        503,
        "cluster-unavailable",
        "The search cluster is unavailable",
        "The search cluster cannot be used at the moment. Details are in the server's log.",
    ),
    refusals.NotSignedIn: Kind(401, "not-signed-in", "Sign in"),
    refusals.NotAllowed: Kind(403, "not-allowed", "Not allowed"),
    refusals.ChangedMeanwhile: Kind(412, "changed-meanwhile", "Changed in the meantime"),
    refusals.VersionMissing: Kind(428, "version-missing", "Please reload first"),
    refusals.TakenId: Kind(409, "taken-id", "Already sent"),
    refusals.QuotaSpent: Kind(429, "quota-spent", "Daily quota reached"),
    refusals.TooManyAttempts: Kind(429, "too-many-attempts", "Too many attempts"),
    UnknownPerson: Kind(404, "unknown-person", "User not found"),
    UnknownLink: Kind(404, "unknown-link", "This link is not valid"),
    UnknownKey: Kind(404, "unknown-key", "API key not found"),
    UnknownObservation: Kind(404, "unknown-observation", "Observation not found"),
    UnknownFieldPhoto: Kind(404, "unknown-observation-photo", "Photo not found"),
    UnknownRun: Kind(404, "unknown-import", "Import not found"),
    NotOwner: Kind(403, "not-theirs", "This observation belongs to somebody else"),
    UnknownName: Kind(422, "unknown-name", "Name not found"),
    FieldError: Kind(422, "impossible-observation", "The observation or identification could not be saved"),
    StoreFull: Kind(507, "no-room", "Storage is full"),
    StoreUnavailable: Kind(
        503,
        "photos-unavailable",
        "Photos are unavailable",
        "The photos cannot be loaded. Details are in the server's log.",
    ),
    PersonError: Kind(422, "impossible-account", "The account or key could not be saved"),
    DatabaseBusy: Kind(
        503,
        "database-busy",
        "The server is busy",
        "Others are writing to the database. Nothing was changed; send this again in some seconds.",
    ),
    DatabaseError: Kind(
        503,
        "database-unavailable",
        "The database is unavailable",
        "The database cannot be used. Details are in the server's log.",
    ),
    DatabaseFull: Kind(
        507, "no-room", "Storage is full", "The storage is full. The administrator has to free some space."
    ),
    Overloaded: Kind(503, "overloaded", "The server is busy"),
    DecodersBusy: Kind(503, "overloaded", "The server is busy", UNDECODED),
    DecoderFailed: Kind(503, "overloaded", "The server is busy", UNDECODED),
    DeadlinePassed: Kind(503, "deadline-passed", "The request timed out"),
}
"""The engine's errors. Others are looked up by their base classes; without a match they are internal errors."""

INVALID: Final = Kind(422, "invalid-request", "Please check your entries")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a request, for people and programs."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    errors: Mapping[str, list[str]] = field(default_factory=dict)  # errors of each value, by its name
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return the members of RFC 9457; our member `errors` is only present if values are invalid."""
        body = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return body | ({"errors": dict(self.errors)} if self.errors else {})


def describe_engine_error(error: errors.FungariumError) -> Problem:
    """Convert an error of the engine to a problem."""
    kind = kind_of(error)
    if kind is None:
        log.error("%s: %s", type(error).__name__, error, exc_info=error)
        return describe_http_error(InternalServerError())
    if kind.said:
        log.warning("%s: %s", kind.name, error)
    headers = (
        {"Retry-After": str(RETRY_AFTER.get(type(error), LATER))}
        if kind.status == 503
        else getattr(error, "headers", {})
    )
    return Problem(kind.status, kind.title, public_message(error), PROBLEMS_AT + kind.name, headers=headers)


def kind_of(error: errors.FungariumError) -> Kind | None:
    """Return the kind of an error, found by its base classes; None for an internal error."""
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), None)


def public_message(error: errors.FungariumError) -> str:
    """Return the text of an error for clients, which never contains a path of the server."""
    kind = kind_of(error)
    return sentence(str(error)) if kind is None or not kind.said else kind.said


def describe_http_error(error: HTTPException) -> Problem:
    """Convert an error of Flask, Werkzeug or webargs to a problem; invalid values are listed."""
    messages = getattr(error, "data", {}).get("messages")
    if messages:
        wrong: dict[str, Any] = {}
        for place, values in messages.items():  # webargs sorts by place; for a body that it cannot read it has a list
            wrong |= values if isinstance(values, Mapping) else {place: values}
        return describe_invalid_values(wrong)
    status = error.code or 500
    known = ("Allow", "Retry-After")
    headers = {name: value for name, value in error.get_headers() if name in known}
    return Problem(status, error.name, explain(error), headers=headers)


def describe_invalid_values(messages: Mapping[str, Any]) -> Problem:
    """Convert schema errors to a problem, by the names of values."""
    wrong = {str(name): flatten(found) for name, found in messages.items()}
    detail = "; ".join(f"{name}: {' '.join(found)}" for name, found in sorted(wrong.items()))
    return Problem(INVALID.status, INVALID.title, detail, PROBLEMS_AT + INVALID.name, wrong)


def explain(error: HTTPException) -> str:
    """Return a helpful sentence, if Werkzeug's own says too little."""
    if isinstance(error, NotFound):
        return "There is nothing at this address; /api/v1/ lists what there is."
    if isinstance(error, MethodNotAllowed):
        return f"This address does not answer {request.method}, only {', '.join(sorted(error.valid_methods or ()))}."
    if isinstance(error, RequestEntityTooLarge):
        if error.description != RequestEntityTooLarge.description:
            return sentence(error.description or error.name)
        given, most = request.content_length, request.max_content_length or 0
        if given is not None and given <= most:
            return "The form has far too many parts, or too much text. Send the photos as files, each with a filename."
        return f"The upload is too large: all of it together, photos and text, may have {most:,} bytes."
    if isinstance(error, InternalServerError):
        return "Something went wrong on the server. The error has been logged."
    return sentence(error.description or error.name)


def flatten(messages: Any) -> list[str]:
    """Return the sentences among webargs' messages, which are nested by position for lists."""
    if isinstance(messages, Mapping):
        return [text for found in messages.values() for text in flatten(found)]
    return [str(text) for text in messages]


def sentence(text: str) -> str:
    """Capitalise a text and end it with a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def problem_response(problem: Problem) -> Response:
    """Return the problem as a JSON response."""
    return Response(json.dumps(problem.json()), problem.status, dict(problem.headers), mimetype=MEDIA_TYPE)


def drain_request(most: int) -> None:
    """Read and discard the rest of a refused upload, up to a limit.

    If the connection is closed while the client still sends, it sees a broken pipe instead of the refusal.
    """
    left = min(request.content_length or 0, most)
    stream = request.environ["wsgi.input"]
    while left > 0 and (chunk := stream.read(min(CHUNK, left))):
        left -= len(chunk)


def register_errors(
    app: Flask,
    wants_page: Callable[[], bool],
    render_page: Callable[[Problem], Response],
    shape: Callable[[Problem], Response | None] = lambda problem: None,
) -> None:
    """Register error handlers: JSON, or a page if the request came from one.

    `shape` returns a response in another format for URLs whose clients expect it, None for all others.
    """

    def answer(problem: Problem) -> Response:
        if problem.status == 413 or problem.type.endswith("#overloaded"):
            drain_request(2 * app.config["MAX_CONTENT_LENGTH"])
        shaped = shape(problem)
        if shaped is not None:
            return shaped
        return render_page(problem) if wants_page() else problem_response(problem)

    def engine_error(error: errors.FungariumError) -> Response:
        return answer(describe_engine_error(error))

    def http_error(error: HTTPException) -> Response | HTTPException:
        if isinstance(error, RoutingException):
            return error  # a redirect
        return answer(describe_http_error(error))

    def broken_body(_: Exception) -> Response:
        said = "The body of the request ended too early, or its chunks have no valid sizes."
        answered = answer(Problem(400, "Bad Request", said))
        answered.headers["Connection"] = "close"  # what follows on it cannot be understood
        return answered

    for broken in BROKEN_BODIES:
        app.register_error_handler(broken, broken_body)

    def disk_error(error: OSError) -> Response:
        """Answer where something could not be written, or was not readable on the disk."""
        if error.errno not in (*NO_ROOM, *UNUSABLE):
            raise error
        log.error("%s at %s", error.strerror, error.filename or "an open file", exc_info=error)
        full = error.errno in NO_ROOM
        return answer(describe_engine_error(DatabaseFull() if full else StoreUnavailable("the disk cannot be used")))

    app.register_error_handler(OSError, disk_error)
    app.register_error_handler(errors.FungariumError, engine_error)
    app.register_error_handler(HTTPException, http_error)
