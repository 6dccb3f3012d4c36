"""The home page: identify photos. A plain HTML form, which scripts enhance."""

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
from retrieval.photos.views import PhotoLimits
from retrieval.snapshots.manifest import FloraCard
from retrieval.snapshots.snapshot import Snapshot
from web.http import access
from web.http.refusals import QuotaSpent
from web.inference.answer_tokens import write_answer_token
from web.inference.identification import identify_request
from web.pages.blueprint import blueprint
from web.photos.decoding import draw
from web.photos.uploads import FormParser, IdentifyObservation
from web.schemas.serialising import identification_answer
from web.services import services

PREVIEW: Final = 320  # pixels of the longer side of a person's own photo inside the page
KEPT: Final = 640  # the same in an answer with a share link
SHARED_A_DAY: Final = 200  # share links that visitors of one address may create
OPEN: Final = 5  # candidates shown at first; the others can be unfolded
FRAGMENT: Final = "X-Fragment"  # header by which our scripts request the answer without the surrounding page
ORDERED: Final = ("aspects", "boxes")  # fields with a value for each photo
TYPED: Final = ("flora", "date", "habitat", "substrate", "latitude", "longitude", "known", "keep", "model")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form shows: the floras to choose from, the values entered, and the limits."""

    floras: tuple[FloraCard, ...]
    typed: Mapping[str, str]
    limits: PhotoLimits
    drawn: bool  # whether the reference pictures are drawings
    days: int  # for which an answer with a share link is stored
    lines: tuple[str, ...] = ()  # published lines besides the stable one

    @property
    def flora(self) -> str:
        """The chosen flora."""
        return self.typed.get("flora", WORLD)


class PageParser(FormParser):
    """Ignores empty fields, as browsers send every field of a form; not those that stand for a photo by their order."""

    def load_files(self, req: Any, schema: Any) -> MultiDictProxy:
        super().load_files(req, schema)  # refuses requests without a form
        typed = MultiDict((name, text) for name, text in req.form.items(multi=True) if text.strip() or name in ORDERED)
        return MultiDictProxy(CombinedMultiDict([typed, req.files]), schema)


class PageObservation(IdentifyObservation):
    """The page's form: the API's, with a name to limit the search to, and whether to create a share link."""

    known = fields.String(load_default="", validate=validate.Length(max=200))
    keep = fields.Boolean(load_default=False)


page_parser: Final = PageParser()


@blueprint.route("/")
def show_form() -> str:
    """Show the empty form."""
    with services().published.lease() as snapshot:
        typed = {name: text for name, text in request.args.items() if name in TYPED}
        return render_template("identify.html", choice=make_choice(snapshot, typed), snapshot=snapshot, notice=NOTICE)


@blueprint.route("/", methods=["POST"])
def show_identification() -> str | Response:
    """Identify the photos of the form, and show the ranked species, at a share link if requested."""
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
            views = [draw(photo, KEPT, services().limits) for photo in photos]
            name = services().answers.keep(described, views)
            return redirect(url_for("page.show_answer", name=name), 303)
        scripted = FRAGMENT in request.headers  # a script has the photos already
        return render_template(
            "answer_fragment.html" if scripted else "identify.html",
            choice=make_choice(snapshot, entered_values()),
            snapshot=snapshot,
            notice=answer.notice,
            answer=described,
            previews=["" if scripted else data_url(draw(photo, PREVIEW, services().limits)) for photo in photos],
            OPEN=OPEN,
        )


def limit_shared_answers() -> None:
    """Count a share link for the caller's address; raises QuotaSpent above SHARED_A_DAY."""
    if services().counts.spend(f"address:{access.address_mark()}", "share", SHARED_A_DAY) is None:
        raise QuotaSpent(f"an address may create {SHARED_A_DAY} share links a day; try again tomorrow")


def describe(answer: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """Return the API's answer with the flora searched, the guessed aspect of each photo and a token for feedback."""
    card = snapshot.flora(answer["flora"]).card
    searched = {"title": card.title, "species": card.species, "covered": card.covered, "references": card.references}
    return answer | {
        "searched": searched,
        "guessedAspects": guess_aspects(answer),
        "feedbackToken": write_answer_token(answer),
    }


def guess_aspects(answer: Mapping[str, Any]) -> list[str]:
    """Guess the aspect of each photo: the most frequent one among its similar references, "" if none has any."""
    seen: list[Counter[str]] = [Counter() for _ in range(answer["photos"])]
    for candidate in answer["species"]:
        for evidence in candidate["evidence"]:
            if evidence["aspect"]:
                seen[evidence["queryPhoto"]][evidence["aspect"]] += 1
    return [min(aspects, key=lambda aspect: (-aspects[aspect], aspect)) if aspects else "" for aspects in seen]


def known_taxon(name: str, snapshot: Snapshot) -> int:
    """Return the taxon id of a name that a person typed; raises InvalidOption, which says what to do."""
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
    """Return what the form shows, with the values entered before."""
    return Choice(
        snapshot.floras,
        typed,
        services().limits,
        is_drawn(snapshot),
        services().answers.days,
        services().published.lines(),
    )


def is_drawn(snapshot: Snapshot) -> bool:
    """Return whether the reference pictures are drawings, according to the authors of the first and the last one."""
    rows = {0, snapshot.manifest.references - 1} if snapshot.manifest.references else set()
    return any("drawing" in snapshot.reference(row).author.lower() for row in rows)


def data_url(photo: bytes) -> str:
    """Return a JPEG as a data URL: the page shows a person's own photo, and the server stores none."""
    return "data:image/jpeg;base64," + b64encode(photo).decode()


def entered_values() -> dict[str, str]:
    """Return the values entered in the form; empty if it is too large to be read."""
    try:
        return {name: request.form[name] for name in TYPED if name in request.form}
    except RequestEntityTooLarge:
        return {}


def previews_of(name: str, photos: int) -> Sequence[str]:
    """Return the URLs of the photos of an answer with a share link."""
    return [url_for("page.show_answer_photo", name=name, number=number) for number in range(photos)]
