"""Signing in and out, accounts by invitation, and new passwords by links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from flask import render_template, request, url_for
from flask_babel import gettext
from marshmallow import RAISE, Schema, fields, validate
from werkzeug.wrappers import Response

from database.accounts.links import (
    INVITATION,
    MOST_DAYS,
    RESET,
    LinkEntry,
    accept_invitation,
    find_link,
    make_reset,
    reset_password,
)
from database.accounts.people import ROLES, people_reached_by
from database.session import Database
from web.api.accounts import PER_ADDRESS, SignIn, authenticate
from web.http import access
from web.http.quotas import Counts, Throttle
from web.http.refusals import NotSignedIn, TooManyAttempts
from web.mail import Mailer, errands
from web.pages.blueprint import blueprint
from web.pages.visitor import TROUBLE, describe, go_to, load, own_path, render_form_again
from web.schemas.form_values import CleanText
from web.services import services

MAILS: Final = Throttle(3, 60)  # to one person: nobody fills somebody else's mailbox


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in the language of whoever asked for it, with `{token}`, `{login}` and `{link}` to be filled in."""

    wanted: str  # a login or mail address
    address: str
    subject: str
    text: str


class NewLink(Schema):
    """For how long a link is valid."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    days = fields.Integer(load_default=0, validate=validate.Range(1, MOST_DAYS))


class NewInvitation(NewLink):
    """Whom an invitation is for."""

    name = CleanText(load_default="", validate=validate.Length(0, 255))
    role = CleanText(load_default="observer", validate=validate.OneOf(ROLES))


class Joining(Schema):
    """What the invited choose."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    login = CleanText(required=True, validate=validate.Length(2, 64))
    name = CleanText(load_default="", validate=validate.Length(0, 255))
    mail = CleanText(load_default="", validate=validate.Length(0, 254))
    password = CleanText(required=True, validate=validate.Length(1, 1000), load_only=True)


class ChosenPassword(Schema):
    """A new password."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    password = CleanText(required=True, validate=validate.Length(1, 1000), load_only=True)


class Forgotten(Schema):
    """Whose password was forgotten."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    login = CleanText(required=True, validate=validate.Length(1, 255))


@blueprint.route("/sign-in")
def show_sign_in() -> str:
    """Show the sign-in form."""
    return render_template("sign_in.html", following=own_path(request.args.get("next", ""), "/"), typed={})


@blueprint.route("/sign-in", methods=["POST"])
def do_sign_in() -> Response:
    """Sign in, and continue to the page that the person requested."""
    following = own_path(request.form.get("next", ""), url_for("page.show_own_observations"))
    access.csrf.protect()  # against login CSRF: another site could sign a visitor in to the attacker's account
    try:
        form = load(SignIn(), {name: request.form.get(name, "") for name in ("login", "password")})
        access.remember(authenticate(form["login"], form["password"]))
    except NotSignedIn as error:
        refused = replace(
            describe(error),
            title=gettext("Sign-in failed"),
            detail=gettext("Incorrect username or password."),
        )
        return render_form_again("sign_in.html", refused, following=following)
    except TROUBLE as error:
        return render_form_again("sign_in.html", error, following=following)
    return go_to(following)


@blueprint.route("/sign-out", methods=["POST"])
@access.require("session")
def do_sign_out() -> Response:
    """Sign out in this browser."""
    access.forget()
    return go_to(url_for("page.show_form"))


@blueprint.route("/invitations/<string:token>")
def show_invitation(token: str) -> str:
    """Show the form for a new account; looking at it does not use the link."""
    return render_template(
        "invitation.html", link=found_link(token, INVITATION), mails=bool(services().mailer), typed={}
    )


@blueprint.route("/invitations/<string:token>", methods=["POST"])
def accept_invitation_from_page(token: str) -> Response:
    """Make the account, and sign its person in."""
    access.csrf.protect()
    link = found_link(token, INVITATION)
    try:
        count_attempt()
        form = load(Joining(), {name: request.form.get(name, "") for name in ("login", "name", "mail", "password")})
        database = services().database()
        made = accept_invitation(database, token, form["login"], form["name"], form["password"], mail=form["mail"])
    except TROUBLE as error:
        return render_form_again("invitation.html", error, link=link, mails=bool(services().mailer))
    forgive_attempt()
    access.remember(made)
    return go_to(url_for("page.show_profile", done="joined"))


@blueprint.route("/new-password/<string:token>")
def show_new_password(token: str) -> str:
    """Show the form for a new password; looking at it does not use the link."""
    return render_template("new_password.html", link=found_link(token, RESET))


@blueprint.route("/new-password/<string:token>", methods=["POST"])
def set_new_password(token: str) -> Response:
    """Set the new password, and sign its person in."""
    access.csrf.protect()
    link = found_link(token, RESET)
    try:
        count_attempt()
        form = load(ChosenPassword(), {"password": request.form.get("password", "")})
        person = reset_password(services().database(), token, form["password"])
    except TROUBLE as error:
        return render_form_again("new_password.html", error, link=link)
    forgive_attempt()
    access.remember(person)
    return go_to(url_for("page.show_profile", done="reset"))


@blueprint.route("/forgotten-password")
def show_forgotten_password() -> str:
    """Say how to get a link for a new password."""
    return render_template("forgotten_password.html", mails=bool(services().mailer), typed={})


@blueprint.route("/forgotten-password", methods=["POST"])
def mail_new_password() -> Response | str:
    """Mail a link to whoever has this login or address. The answer and its time are the same for everybody."""
    access.csrf.protect()
    mailer = services().mailer
    try:
        count_attempt()
        form = load(Forgotten(), {"login": request.form.get("login", "")})
    except TROUBLE as error:
        return render_form_again("forgotten_password.html", error, mails=bool(mailer))
    if mailer is not None:
        mail = Mail(
            wanted=form["login"],
            address=link_address(RESET, "{token}").replace("%7B", "{").replace("%7D", "}"),
            subject=gettext("A new password for Fungarium"),
            text=gettext(
                "Choose a new password for the username {login} within a day:\n\n{link}\n\n"
                "If you did not ask for this, ignore this message."
            ),
        )
        errands().add(partial(mail_links, services().database, services().counts, mailer, mail))
    return render_template("forgotten_password.html", mails=bool(mailer), typed={}, sent=bool(mailer))


def mail_links(database: Callable[[], Database], counts: Counts, mailer: Mailer, mail: Mail) -> None:
    """Make and mail a link for each person with this login or address; runs beside the requests."""
    with database().reading() as session:
        people = people_reached_by(session, mail.wanted)
    for person in people:
        if not counts.attempt(f"mail@{person.id}", MAILS):
            continue
        with database().writing() as session:
            token, _ = make_reset(session, person.id)
        link = mail.address.replace("{token}", token)
        mailer.send(person.mail, mail.subject, mail.text.replace("{login}", person.login).replace("{link}", link))


def found_link(token: str, purpose: str) -> LinkEntry:
    """Return a link that may be used now. Raises UnknownLink, and TooManyAttempts after too many wrong ones."""
    count_attempt()
    with services().database().reading() as session:
        link = find_link(session, token, purpose)
    forgive_attempt()
    return link


def link_address(purpose: str, token: str) -> str:
    """Return the whole address of a link."""
    page = "page.show_invitation" if purpose == INVITATION else "page.show_new_password"
    return (services().public_url or request.url_root).rstrip("/") + url_for(page, token=token)


def count_attempt() -> None:
    """Count an attempt of this address before it is made. Raises TooManyAttempts."""
    if not services().counts.attempt(f"link@{access.address_mark()}", PER_ADDRESS):
        raise TooManyAttempts("too many attempts; wait 15 minutes", {"Retry-After": str(60 * PER_ADDRESS.minutes)})


def forgive_attempt() -> None:
    """Take back an attempt that turned out to be right."""
    services().counts.forgive(f"link@{access.address_mark()}", PER_ADDRESS)
