"""The first page: photos in, ranked species out. A plain form that scripts make pleasant."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask_babel import gettext
from marshmallow import fields, validate
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response

from retrieval.domain import NOTICE, WORLD
from retrieval.errors import InvalidOption
from retrieval.photos.views import PhotoLimits, render_photo
from retrieval.snapshots.manifest import FloraCard
from retrieval.snapshots.snapshot import Snapshot
from web.http import access
from web.http.refusals import QuotaSpent
from web.inference.identification import identify_request
from web.pages.blueprint import blueprint
from web.photos.uploads import FormParser, IdentifyObservation
from web.schemas.serialising import identification_answer
from web.services import services

PREVIEW: Final = 320  # pixels of the longer side of a person's own photo, shown back inside the page
KEPT: Final = 640  # the same in a kept answer
SHARED_A_DAY: Final = 200  # share links that visitors of one address may create
OPEN: Final = 5  # candidates shown at once; the others unfold
FRAGMENT: Final = "X-Fragment"  # header of our own scripts, which want the answer without the page around it
TYPED: Final = ("flora", "date", "habitat", "substrate", "latitude", "longitude", "known", "keep")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form shows: the floras to choose from, what was typed, and the limits."""

    floras: tuple[FloraCard, ...]
    typed: Mapping[str, str]
    limits: PhotoLimits
    drawn: bool  # whether the reference pictures are drawings
    days: int  # that an answer is kept

    @property
    def flora(self) -> str:
        """The chosen flora."""
        return self.typed.get("flora", WORLD)


class PageParser(FormParser):
    """Leaves out what a person left empty: browsers send every field of a form."""

    def load_files(self, req: Any, schema: Any) -> MultiDictProxy:
        super().load_files(req, schema)  # refuses what is no form
        typed = MultiDict((name, text) for name, text in req.form.items(multi=True) if text.strip())
        return MultiDictProxy(CombinedMultiDict([typed, req.files]), schema)


class PageObservation(IdentifyObservation):
    """The form of the page: beside what the API takes, a name that is known already, and whether to keep the answer."""

    known = fields.String(load_default="", validate=validate.Length(max=200))
    keep = fields.Boolean(load_default=False)


page_parser: Final = PageParser()


@blueprint.route("/")
def show_form() -> str:
    """The empty form."""
    with services().published.lease() as snapshot:
        typed = {name: text for name, text in request.args.items() if name in TYPED}
        return render_template("identify.html", choice=make_choice(snapshot, typed), snapshot=snapshot, notice=NOTICE)


@blueprint.route("/", methods=["POST"])
def show_identification() -> str | Response:
    """The ranked species for the photos of the form; kept at a link where that was asked for."""
    access.spend("identify")
    form = page_parser.parse(PageObservation(), request, location="files")
    if form["known"]:
        with services().published.lease() as snapshot:
            form["within"] = [*form["within"], known_taxon(form["known"], snapshot)]
    with identify_request(form) as (answer, snapshot, photos):
        described = describe(identification_answer(answer, snapshot), snapshot)
        described |= {"aspects": form["aspects"], "known": form["known"]}  # for whoever saves it as an observation
        if form["keep"]:
            limit_shared_answers()
            views = [render_photo(photo, KEPT, services().limits) for photo in photos]
            name = services().answers.keep(described, views)
            return redirect(url_for("page.show_answer", name=name), 303)
        scripted = FRAGMENT in request.headers  # a script has the photos at hand
        return render_template(
            "answer_fragment.html" if scripted else "identify.html",
            choice=make_choice(snapshot, typed_words()),
            snapshot=snapshot,
            notice=answer.notice,
            answer=described,
            previews=[
                "" if scripted else as_address(render_photo(photo, PREVIEW, services().limits)) for photo in photos
            ],
            OPEN=OPEN,
        )


def limit_shared_answers() -> None:
    """Count a share link for the caller's address; raises QuotaSpent above SHARED_A_DAY."""
    if services().counts.spend(f"address:{access.address_mark()}", "share", SHARED_A_DAY) is None:
        raise QuotaSpent(f"an address may create {SHARED_A_DAY} share links a day; try again tomorrow")


def describe(answer: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """The API's answer with what the page says beside it: the flora that was searched, and what each photo shows."""
    card = snapshot.flora(answer["flora"]).card
    searched = {"title": card.title, "species": card.species, "covered": card.covered, "references": card.references}
    return answer | {"searched": searched, "guessedAspects": guess_aspects(answer)}


def guess_aspects(answer: Mapping[str, Any]) -> list[str]:
    """What each photo probably shows: what most of the references show that it resembles; empty where nobody says."""
    seen: list[Counter[str]] = [Counter() for _ in range(answer["photos"])]
    for candidate in answer["species"]:
        for evidence in candidate["evidence"]:
            if evidence["aspect"]:
                seen[evidence["queryPhoto"]][evidence["aspect"]] += 1
    return [min(aspects, key=lambda aspect: (-aspects[aspect], aspect)) if aspects else "" for aspects in seen]


def known_taxon(name: str, snapshot: Snapshot) -> int:
    """The taxon of a name that a person typed; raises InvalidOption, which says what to do."""
    wanted = " ".join(name.split())
    taxon = snapshot.taxonomy.find(wanted) or snapshot.taxonomy.find(wanted.capitalize())
    if taxon is None:
        found = snapshot.taxonomy.complete(wanted, 1)
        if not found:
            raise InvalidOption(
                gettext("“%(name)s” is not a known genus, family or species; choose a name from the list", name=name)
            )
        return found[0].id
    return taxon.id


def make_choice(snapshot: Snapshot, typed: Mapping[str, str]) -> Choice:
    """The form's choices, with what was typed before."""
    return Choice(snapshot.floras, typed, services().limits, is_drawn(snapshot), services().answers.days)


def is_drawn(snapshot: Snapshot) -> bool:
    """Whether the collection is one of drawings, as its first and its last author say."""
    rows = {0, snapshot.manifest.references - 1} if snapshot.manifest.references else set()
    return any("drawing" in snapshot.reference(row).author.lower() for row in rows)


def as_address(photo: bytes) -> str:
    """A person's own photo as an address that holds it: shown back small, stored nowhere, without its metadata."""
    return "data:image/jpeg;base64," + b64encode(photo).decode()


def typed_words() -> dict[str, str]:
    """What was typed into a form, if it could be read that far."""
    try:
        return {name: request.form[name] for name in TYPED if name in request.form}
    except RequestEntityTooLarge:
        return {}


def previews_of(name: str, photos: int) -> Sequence[str]:
    """Addresses of the photos of a kept answer."""
    return [url_for("page.show_answer_photo", name=name, number=number) for number in range(photos)]
