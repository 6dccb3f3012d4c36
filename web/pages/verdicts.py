"""The forms that identify an observation, on its page and in the review queue: agree, propose, withdraw, approve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import make_response, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from database.field.models import FieldObservation
from database.field.records import observation_by_key
from database.field.verdicts import approve, give_opinion, settle, take_back_approval, withdraw_opinion
from database.session import Session
from database.taxonomy.lineages import find_taxon
from retrieval.errors import InvalidOption
from web.api.accounts import signed_in
from web.http import access
from web.http.access import require
from web.http.refusals import NotAllowed
from web.pages.blueprint import blueprint
from web.pages.observation import shown
from web.pages.validate import queue
from web.pages.visitor import TROUBLE, describe, go_to, load, own_path
from web.schemas.observation_forms import Opinion, Withdrawal
from web.services import services


@blueprint.route("/observations/<string:key>/verdicts", methods=["POST"])
@require("validate")
def give_verdict(key: str) -> Response:
    """Propose, agree, withdraw, approve, or withdraw an approval, according to the field `act`."""
    act, following = request.form.get("act", ""), own_path(request.form.get("next", ""), "")
    try:
        does = ACTS.get(act)
        if does is None:
            raise NotAllowed("a verdict is to propose, withdraw, approve or unapprove")
        with services().database().writing() as session:
            observation = observation_by_key(session, key)
            does(session, observation, signed_in().id)
            settle(session, observation)
    except TROUBLE as error:
        problem = describe(error)
        if request.form.get("queue"):
            page = render_template("validate.html", **queue(key, request.form.get("filter", ""), problem, request.form))
        else:
            page = render_template("observation.html", **shown(key), typed=request.form, problem=problem)
        return make_response(page, problem.status)
    return go_to(following or url_for("page.show_observation", key=key, done=act))


def propose(session: Session, observation: FieldObservation, person: int) -> None:
    """Agree with a name or propose one."""
    form = read_opinion()
    taxon = find_taxon(session, taxon_id=form["taxon_id"], name=form["scientific_name"])
    give_opinion(session, observation, person, taxon, form["certainty"], form.get("remarks", ""))


def withdraw(session: Session, observation: FieldObservation, person: int) -> None:
    """Withdraw the person's identification."""
    form = load(Withdrawal(), {"remarks": request.form.get("remarks", "")})
    withdraw_opinion(session, observation, person, form.get("remarks", ""))


def approve_name(session: Session, observation: FieldObservation, person: int) -> None:
    """Approve a name as an expert, whatever the score."""
    require_expert()
    form = read_opinion()
    taxon = find_taxon(session, taxon_id=form["taxon_id"], name=form["scientific_name"])
    approve(session, observation, person, taxon, form.get("remarks", ""))


def unapprove(session: Session, observation: FieldObservation, person: int) -> None:
    """Withdraw an expert's approval, as an expert."""
    require_expert()
    form = load(Withdrawal(), {"remarks": request.form.get("remarks", "")})
    take_back_approval(session, observation, person, form.get("remarks", ""))


ACTS: Final[dict[str, Callable[[Session, FieldObservation, int], None]]] = {
    "propose": propose,
    "withdraw": withdraw,
    "approve": approve_name,
    "unapprove": unapprove,
}


def require_expert() -> None:
    """Raise NotAllowed unless the caller is an expert."""
    if not access.caller().is_expert:
        raise NotAllowed("only experts can approve an observation; agree or suggest a name instead")


def read_opinion() -> dict[str, Any]:
    """Read the identification of the form: the taxon of the button pressed, else the name typed."""
    names = ("taxonID", "scientificName", "certainty", "remarks")
    given = {name: request.form.get(name, "").strip() for name in names}
    if given["taxonID"]:
        given["scientificName"] = ""
    elif not given["scientificName"]:
        raise InvalidOption(gettext("enter a name or agree with an existing identification"))
    given["scientificName"] = given["scientificName"][:1].upper() + given["scientificName"][1:]
    return load(Opinion(), given)
