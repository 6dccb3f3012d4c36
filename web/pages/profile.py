"""The account page: name, places, password, remaining quota and track record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from flask import render_template, request, url_for
from marshmallow import RAISE, Schema, validate
from werkzeug.wrappers import Response

from database.accounts.people import PersonEntry, known_person, set_mail, set_password
from database.field.track_record import track_record
from web.api.accounts import NewPassword, OwnChanges, authenticate, changed_person, quota_answer, signed_in
from web.http import access
from web.http.access import require
from web.pages.blueprint import blueprint
from web.pages.edits import EditConflict, carried, read_edit
from web.pages.visitor import TROUBLE, go_to, load, render_form_again
from web.rescoring import rescoring
from web.schemas.form_values import CleanText
from web.services import services

DAYS: Final = 14  # of use, shown in the chart


class NewMail(Schema):
    """The current password and a mail address, which may be empty."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    current = CleanText(required=True, validate=validate.Length(1, 1000))
    mail = CleanText(load_default="", validate=validate.Length(0, 254))


@blueprint.route("/me")
@require("session")
def show_profile() -> str:
    """Show the account."""
    return render_template("profile.html", **account(), typed={}, done=request.args.get("done", ""))


@blueprint.route("/me", methods=["POST"])
@require("session")
def change_profile() -> Response:
    """Change the display name, or whether places are shown."""
    try:
        with services().database().writing() as session:
            person = known_person(session, signed_in().id)
            changed_person(session, person.id, OwnChanges().load(read_edit(own_fields(person), request.form)))
    except EditConflict as conflict:
        return render_form_again("profile.html", conflict.problem, typed=conflict.typed, **account())
    except TROUBLE as error:
        return render_form_again("profile.html", error, **account())
    rescoring().wake()
    return go_to(url_for("page.show_profile", done="account"))


@blueprint.route("/me/password", methods=["POST"])
@require("session")
def change_password() -> Response:
    """Change the password; all other sessions end."""
    person = signed_in()
    try:
        form = load(NewPassword(), {name: request.form.get(name, "") for name in ("current", "password")})
        authenticate(person.login, form["current"])
        with services().database().writing() as session:
            changed = set_password(session, person.id, form["password"])
    except TROUBLE as error:
        return render_form_again("profile.html", error, **account())
    access.remember(changed)
    return go_to(url_for("page.show_profile", done="password"))


@blueprint.route("/me/mail", methods=["POST"])
@require("session")
def change_mail() -> Response:
    """Change the mail address, which needs the password: whoever reads its mail can set a new one."""
    person = signed_in()
    try:
        form = load(NewMail(), {name: request.form.get(name, "") for name in ("current", "mail")})
        authenticate(person.login, form["current"])
        with services().database().writing() as session:
            set_mail(session, person.id, form["mail"])
    except TROUBLE as error:
        return render_form_again("profile.html", error, **account())
    return go_to(url_for("page.show_profile", done="account"))


def own_fields(person: PersonEntry) -> dict[str, Any]:
    """Return the values of an account's form."""
    return {"name": person.name, "obscures": person.obscures}


def account() -> dict[str, Any]:
    """Return everything that the page shows of the signed-in person."""
    counts = services().counts
    with services().database().reading() as session:
        person = known_person(session, signed_in().id)
        groups = track_record(session, person.id)
    return {
        "person": person,
        "mails": bool(services().mailer),
        "was": carried(own_fields(person)),
        "quota": quota_answer(access.left("identify")),
        "use": days_of_use(f"person:{person.id}", DAYS),
        "groups": groups,
        "words": sum(group.said for group in groups),
        "settled": sum(group.settled for group in groups),
        "right": sum(group.right for group in groups),
        "today": counts.now().date(),
    }


def days_of_use(holder: str, days: int) -> list[tuple[Any, int]]:
    """Return (day, identifications) of the last days, including those without any."""
    counts = services().counts
    today = counts.now().date()
    found = {day: number for day, _, number in counts.history(holder, today - timedelta(days=days - 1), today)}
    return [(day, found.get(day, 0)) for day in (today - timedelta(days=ago) for ago in reversed(range(days)))]
