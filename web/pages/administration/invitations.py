"""Invitations, and links for new passwords, that an administrator hands out."""

from __future__ import annotations

from typing import Any

from flask import make_response, render_template, request, url_for
from werkzeug.wrappers import Response

from database.accounts.links import DAYS, INVITATION, RESET, make_invitation, make_reset, revoke_link
from web.api.accounts import signed_in
from web.http.access import require
from web.pages.administration.people import everybody, somebody
from web.pages.blueprint import blueprint
from web.pages.signing_in import NewInvitation, NewLink, link_address
from web.pages.visitor import TROUBLE, go_to, load, render_form_again
from web.services import services


@blueprint.route("/administration/invitations", methods=["POST"])
@require("administer")
def invite_from_page() -> Response:
    """Make an invitation; only this response shows its link."""
    try:
        form = load(NewInvitation(), {name: request.form.get(name, "") for name in ("name", "role", "days")})
        with services().database().writing() as session:
            token, _ = make_invitation(
                session, form["role"], name=form["name"], days=form["days"] or DAYS[INVITATION], made_by=maker()
            )
    except TROUBLE as error:
        return render_form_again("people.html", error, **everybody())
    return shown_once("people.html", link_address(INVITATION, token), everybody())


@blueprint.route("/administration/people/<int(max=2147483647):person>/reset-link", methods=["POST"])
@require("administer")
def make_reset_from_page(person: int) -> Response:
    """Make a link for a person's new password; only this response shows it."""
    try:
        form = load(NewLink(), {"days": request.form.get("days", "")})
        with services().database().writing() as session:
            token, _ = make_reset(session, person, days=form["days"] or DAYS[RESET], made_by=maker())
    except TROUBLE as error:
        return render_form_again("person.html", error, **somebody(person))
    return shown_once("person.html", link_address(RESET, token), somebody(person))


@blueprint.route("/administration/links/<int(max=2147483647):link>/revoke", methods=["POST"])
@require("administer")
def revoke_link_from_page(link: int) -> Response:
    """Revoke an invitation, or a link for a new password."""
    with services().database().writing() as session:
        revoke_link(session, link)
    return go_to(url_for("page.show_people_page"))


def maker() -> int:
    """Return who makes the link: it ends with their rights."""
    return signed_in().id


def shown_once(template: str, address: str, shown: dict[str, Any]) -> Response:
    """Return a page with a new link on it."""
    return make_response(render_template(template, **shown, typed={}, made_link=address), 201)
