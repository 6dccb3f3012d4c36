"""One plain page: photos in, ranked species out, without JavaScript. And the API's documentation on another."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from retrieval.domain import NOTICE, WORLD
from retrieval.errors import FungariumError
from retrieval.manifest import FloraCard
from retrieval.present import identification_json
from retrieval.snapshot import Snapshot
from retrieval.views import PhotoLimits, render_photo
from web import access
from web.api.overview import openapi_document
from web.asking import identified
from web.errors import INVALID, KINDS, Problem
from web.present import photo_url, web_address
from web.services import services
from web.uploads import IdentifyObservation, parser

blueprint = Blueprint("page", __name__)

PREVIEW: Final = 320  # pixels of the longer side of a person's own photo, shown back
THUMBNAIL: Final = 320  # of a reference photo, shown at half of that and sharp on a phone
THIN: Final = "\u202f"  # a narrow space that no line breaks at
OPEN: Final = 5  # candidates shown at once; the others unfold


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form shows: the floras to choose from, and the chosen one."""

    floras: tuple[FloraCard, ...]
    flora: str
    limits: PhotoLimits
    drawn: bool  # whether the reference pictures are drawings


@blueprint.route("/")
def show_form() -> str:
    """The empty form."""
    with services().published.lease() as snapshot:
        return render_template("page.html", choice=make_choice(snapshot), snapshot=snapshot, notice=NOTICE)


@blueprint.route("/", methods=["POST"])
def show_identification() -> str:
    """The ranked species for the photos of the form."""
    access.spend("identify")
    form = parser.parse(IdentifyObservation(), request, location="files")
    with identified(form) as (answer, snapshot, photos):
        described = identification_json(answer, snapshot)
        return render_template(
            "page.html",
            choice=make_choice(snapshot, form["flora"]),
            snapshot=snapshot,
            notice=answer.notice,
            answer=described,
            searched=snapshot.flora(form["flora"]).card,
            previews=[preview(photo, services().limits) for photo in photos],
            meaning=described["scoreMeaning"],
            OPEN=OPEN,
        )


@blueprint.route("/api/v1/docs")
def show_docs() -> str:
    """The API's documentation for people, made from the OpenAPI document."""
    kinds = [*KINDS.values(), INVALID]
    return render_template("docs.html", document=openapi_document(), kinds=kinds)


def make_choice(snapshot: Snapshot, flora: str = WORLD) -> Choice:
    """The form's choices, with `flora` chosen if there is such a one."""
    return Choice(snapshot.floras, flora, services().limits, is_drawn(snapshot))


def is_drawn(snapshot: Snapshot) -> bool:
    """Whether the collection is one of drawings, as its first and its last author say."""
    rows = {0, snapshot.manifest.references - 1} if snapshot.manifest.references else set()
    return any("drawing" in snapshot.reference(row).author.lower() for row in rows)


def preview(photo: bytes, limits: PhotoLimits) -> str:
    """A person's own photo as an address that holds it: shown back small, stored nowhere, without its metadata."""
    return "data:image/jpeg;base64," + b64encode(render_photo(photo, PREVIEW, limits)).decode()


def percent(share: float) -> str:
    """A share for people: never 0 % or 100 % where it is only near."""
    if 0 < share < 0.01:
        return f"under 1{THIN}%"
    if 0.99 < share < 1:
        return f"over 99{THIN}%"
    return f"{share:.0%}".replace("%", f"{THIN}%")


def wants_page() -> bool:
    """Whether a person in a browser waits for the answer."""
    if request.blueprint == "page":
        return True
    if request.path.startswith(("/api/", "/healthz", "/static/")):
        return False
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def render_problem(problem: Problem) -> Response:
    """The page with what went wrong on top, and the form with what was chosen below."""
    try:
        with services().published.lease() as snapshot:
            page = render_template(
                "page.html",
                choice=make_choice(snapshot, chosen_flora()),
                snapshot=snapshot,
                problem=problem,
                notice=NOTICE,
            )
    except FungariumError:
        page = render_template("page.html", choice=None, snapshot=None, problem=problem, notice=NOTICE)
    response = make_response(page, problem.status)
    response.headers.extend(problem.headers)
    return response


def chosen_flora() -> str:
    """The flora that a refused form asked for, if the form could be read that far."""
    try:
        return request.form.get("flora", WORLD)
    except RequestEntityTooLarge:
        return WORLD


def template_words() -> dict[str, Any]:
    """What the templates may call."""
    return {"percent": percent, "photo_url": photo_url, "web_address": web_address, "THUMBNAIL": THUMBNAIL}
