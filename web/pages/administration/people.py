"""People for administrators: who there is, what each may do, their keys and quotas."""

from __future__ import annotations

from typing import Any, Final

from flask import render_template, request, url_for
from werkzeug.wrappers import Response

from database.accounts.api_keys import list_keys, revoke_key
from database.accounts.links import DAYS as LINK_DAYS
from database.accounts.links import list_links
from database.accounts.people import (
    ROLES,
    PersonEntry,
    add_person,
    known_person,
    list_people,
    utc_now,
)
from web.api.accounts import Changes, NewPerson, change_account
from web.http import access
from web.http.access import require
from web.pages.blueprint import blueprint
from web.pages.edits import EditConflict, carried, read_edit
from web.pages.profile import DAYS, days_of_use
from web.pages.visitor import TROUBLE, go_to, load, render_form_again
from web.rescoring import rescoring
from web.services import services

AT_ONCE: Final = 100


@blueprint.route("/administration/people")
@require("administer")
def show_people_page() -> str:
    """Everybody, and a form for somebody new."""
    return render_template("people.html", **everybody(), typed={})


@blueprint.route("/administration/people", methods=["POST"])
@require("administer")
def make_person_from_page() -> Response:
    """Make a person."""
    try:
        form = load(NewPerson(), {name: request.form.get(name, "") for name in ("login", "name", "role", "password")})
        with services().database().writing() as session:
            made = add_person(session, form["login"], form["name"], form["role"], form["password"])
    except TROUBLE as error:
        return render_form_again("people.html", error, **everybody())
    return go_to(url_for("page.show_person", person=made.id, done="made"))


@blueprint.route("/administration/people/<int(max=2147483647):person>")
@require("administer")
def show_person(person: int) -> str:
    """One person."""
    return render_template("person.html", **somebody(person), typed={}, done=request.args.get("done", ""))


@blueprint.route("/administration/people/<int(max=2147483647):person>", methods=["POST"])
@require("administer")
def change_person_from_page(person: int) -> Response:
    """Change name, role, quota, password, or whether they may still come in."""
    try:
        with services().database().writing() as session:
            edited: dict[str, Any] = read_edit(fields_of(known_person(session, person)), request.form)
            if edited.get("dailyQuota") == "":
                edited["dailyQuota"] = None
            if password := request.form.get("password", ""):
                edited["password"] = password
            change_account(session, person, Changes().load(edited))
    except EditConflict as conflict:
        return render_form_again("person.html", conflict.problem, typed=conflict.typed, **somebody(person))
    except TROUBLE as error:
        return render_form_again("person.html", error, **somebody(person))
    rescoring().wake()
    asking = access.caller().person
    if asking is not None and asking.id == person and password:
        return go_to(url_for("page.show_sign_in"))  # a new password ends every session, this one too
    return go_to(url_for("page.show_person", person=person, done="changed"))


@blueprint.route("/administration/people/<int(max=2147483647):person>/keys/<int(max=2147483647):key>", methods=["POST"])
@require("administer")
def revoke_key_from_page(person: int, key: int) -> Response:
    """Let somebody's key open nothing any more."""
    with services().database().writing() as session:
        revoke_key(session, key, person_id=person)
    return go_to(url_for("page.show_person", person=person, done="revoked"))


def everybody() -> dict[str, Any]:
    """The people of a page, and where the next begins."""
    after = min(max(0, request.args.get("after", 0, type=int)), 2**31 - 1)
    with services().database().reading() as session:
        people = list_people(session, after=after, limit=AT_ONCE + 1)
        links = list_links(session)
    counts = services().counts
    today = counts.now().date()
    used = {
        person.id: sum(number for _, _, number in counts.history(f"person:{person.id}", today, today))
        for person in people
    }
    following = people[AT_ONCE - 1].id if len(people) > AT_ONCE else None
    quota = services().policy.daily_quota
    return {
        "people": people[:AT_ONCE],
        "following": following,
        "used": used,
        "quota": quota,
        "ROLES": ROLES,
        "links": links,
        "days": LINK_DAYS,
    }


def fields_of(person: PersonEntry) -> dict[str, Any]:
    """What the form shows of a person."""
    return {"name": person.name, "role": person.role, "dailyQuota": person.daily_quota, "active": person.active}


def somebody(person: int) -> dict[str, Any]:
    """What the page of a person shows."""
    with services().database().reading() as session:
        found = known_person(session, person)
        keys = list_keys(session, person)
    return {
        "person": found,
        "was": carried(fields_of(found)),
        "keys": keys,
        "now": utc_now(),
        "use": days_of_use(f"person:{person}", DAYS),
        "quota": services().policy.daily_quota,
        "ROLES": ROLES,
    }
