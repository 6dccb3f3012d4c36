"""Sessions, quotas and accounts."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any, Final

from flask_wtf.csrf import generate_csrf
from marshmallow import RAISE, Schema, fields, validate

from database.accounts.people import (
    ROLES,
    PersonEntry,
    add_person,
    change_person,
    end_sessions,
    known_person,
    list_people,
    set_password,
    set_quota,
    sign_in,
)
from database.field.rescoring import observations_of, update_public_places
from database.session import Session
from web.http import access
from web.http.access import require
from web.http.quotas import Quota, Throttle
from web.http.refusals import NotSignedIn, TooManyAttempts
from web.http.versions import check_version, tag_answer, version_of, versioned
from web.rescoring import rescoring
from web.schemas.answers import Answer, about
from web.schemas.form_values import LARGEST_ID, CleanText
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint("accounts", __name__, url_prefix=PREFIX, description="People, sessions and quotas")

PER_LOGIN: Final = Throttle(10, 15)  # wrong passwords for a login from an IP address
PER_ADDRESS: Final = Throttle(30, 15)
FROM_EVERYWHERE: Final = Throttle(100, 60)  # for one login: a guess a second from many addresses finds nothing in years
YEAR: Final = 366


class SignIn(Schema):
    """A login and its password."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    login = CleanText(required=True, validate=validate.Length(1, 255))
    password = CleanText(required=True, validate=validate.Length(1, 1000), load_only=True)


class NewPassword(Schema):
    """The current password and a new one."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    current = CleanText(required=True, validate=validate.Length(1, 1000))
    password = CleanText(required=True, validate=validate.Length(1, 1000))


class OwnChanges(Schema):
    """Changes of one's own account."""

    class Meta:
        """Refuse unknown members: a role is refused, not ignored."""

        unknown = RAISE

    name = CleanText(validate=validate.Length(1, 255), metadata=about("Shown to others."))
    obscures = fields.Boolean(metadata=about("Others see all places of this person as grid cells."))


class Changes(OwnChanges):
    """Changes of any account, by an administrator."""

    role = CleanText(validate=validate.OneOf(ROLES))
    active = fields.Boolean(metadata=about("Whether the person can sign in and use their keys."))
    password = CleanText(validate=validate.Length(1, 1000), metadata=about("A new password; ends all sessions."))
    dailyQuota = fields.Integer(  # noqa: N815 - a name of the API
        validate=validate.Range(1, 10_000_000),
        allow_none=True,
        metadata=about("Identifications a day; null: the default."),
    )


class NewPerson(Schema):
    """A new account."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    login = CleanText(required=True, validate=validate.Length(2, 64))
    name = CleanText(load_default="", validate=validate.Length(0, 255))
    role = CleanText(load_default="observer", validate=validate.OneOf(ROLES))
    password = CleanText(load_default="", validate=validate.Length(0, 1000), load_only=True)


class PeopleQuery(Schema):
    """Which people to list."""

    after = fields.Integer(
        load_default=0,
        validate=validate.Range(0, LARGEST_ID),
        metadata=about("List the people after the one with this id."),
    )
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500), metadata=about("People on a page."))


class EndQuery(Schema):
    """Which sessions to end."""

    everywhere = fields.Boolean(load_default=False, metadata=about("End all sessions of this person."))


class HistoryQuery(Schema):
    """Which days to list."""

    days = fields.Integer(load_default=31, validate=validate.Range(1, YEAR), metadata=about("Days up to today, UTC."))


class PersonAnswer(Answer):
    """A person's account."""

    id = fields.Integer()
    login = fields.String()
    name = fields.String()
    role = fields.String(metadata=about("observer, expert or administrator."))
    active = fields.Boolean()
    obscures = fields.Boolean(metadata=about("Others see all places of this person as grid cells."))
    daily_quota = fields.Integer(allow_none=True)
    created = fields.DateTime(metadata=about("UTC."))
    version = fields.String(metadata=about("Of what can be changed; a change may name it as If-Match."))


class People(Answer):
    """A page of people, in the order in which their accounts were created."""

    people = fields.List(fields.Nested(PersonAnswer))
    next = fields.Integer(allow_none=True, metadata=about("The value of `after` for the next page; null on the last."))


class QuotaAnswer(Answer):
    """What is left of the daily quota."""

    limit = fields.Integer(allow_none=True, metadata=about("Identifications a day; null: unlimited."))
    remaining = fields.Integer(allow_none=True)
    reset_seconds = fields.Integer(metadata=about("Seconds until 00:00 UTC, when the quota is reset."))


class SessionAnswer(Answer):
    """The caller, with permissions and quota."""

    by = fields.String(metadata=about("nobody, key or session."))
    person = fields.Nested(PersonAnswer, allow_none=True)
    scopes = fields.List(fields.String(), metadata=about("The caller's permissions."))
    quota = fields.Nested(QuotaAnswer)
    csrf_token = fields.String(
        allow_none=True, metadata=about("Send it as X-CSRFToken with every change; null without a session.")
    )


class DayOfUse(Answer):
    """The number of uses on a day."""

    day = fields.Date()
    action = fields.String()
    count = fields.Integer()


class UseHistory(Answer):
    """The caller's usage by day (UTC)."""

    days = fields.List(fields.Nested(DayOfUse))


@blueprint.route("/session")
@blueprint.response(200, SessionAnswer)
def show_session() -> dict[str, Any]:
    """Show the caller, their permissions and what is left of their quota."""
    return session_answer()


@blueprint.route("/session", methods=["POST"])
@blueprint.arguments(SignIn)
@blueprint.response(200, SessionAnswer)
def start_session(form: dict[str, Any]) -> dict[str, Any]:
    """Sign in with login and password.

    The response sets a cookie. Wrong passwords and unknown logins get the same refusal.
    """
    access.remember(authenticate(form["login"], form["password"]))
    return session_answer()


@blueprint.route("/session", methods=["DELETE"])
@require("session")
@blueprint.arguments(EndQuery, location="query")
@blueprint.response(204)
def end_session(query: dict[str, Any]) -> None:
    """Sign out; with `everywhere`, end all sessions of this person."""
    person = access.caller().person
    if query["everywhere"] and person is not None:
        with services().database().writing() as session:
            end_sessions(session, person.id)
    access.forget()


@blueprint.route("/session/password", methods=["PUT"])
@require("session")
@blueprint.arguments(NewPassword)
@blueprint.response(200, SessionAnswer)
def change_own_password(form: dict[str, Any]) -> dict[str, Any]:
    """Change one's own password; all other sessions of this person end."""
    person = signed_in()
    authenticate(person.login, form["current"])
    with services().database().writing() as session:
        changed = set_password(session, person.id, form["password"])
    access.remember(changed)
    return session_answer()


@blueprint.route("/session/person", methods=["PATCH"])
@require("session")
@versioned
@blueprint.arguments(OwnChanges)
@blueprint.response(200, PersonAnswer)
def change_own_account(form: dict[str, Any]) -> dict[str, Any]:
    """Change one's own name, or whether others see one's exact places."""
    with services().database().writing() as session:
        check_version(person_version(known_person(session, signed_in().id)))
        changed = changed_person(session, signed_in().id, form)
    rescoring().wake()
    return tagged(changed)


@blueprint.route("/quota")
@blueprint.response(200, QuotaAnswer)
def show_quota() -> dict[str, Any]:
    """Show what is left of the caller's daily quota."""
    return quota_answer(access.left("identify"))


@blueprint.route("/quota/history")
@require("read")
@blueprint.arguments(HistoryQuery, location="query")
@blueprint.response(200, UseHistory)
def show_use_history(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's usage by day; empty for anonymous callers, whose usage is not stored."""
    person = access.caller().person
    if person is None:
        return {"days": []}
    counts = services().counts
    today = counts.now().date()
    found = counts.history(f"person:{person.id}", today - timedelta(days=query["days"] - 1), today)
    return {"days": [{"day": day, "action": action, "count": count} for day, action, count in found]}


@blueprint.route("/people")
@require("administer")
@blueprint.arguments(PeopleQuery, location="query")
@blueprint.response(200, People)
def show_people(query: dict[str, Any]) -> dict[str, Any]:
    """List the people of this server."""
    with services().database().reading() as session:
        found = list_people(session, after=query["after"], limit=query["limit"] + 1)
    shown = found[: query["limit"]]
    return {
        "people": [person_answer(person) for person in shown],
        "next": shown[-1].id if len(found) > len(shown) else None,
    }


@blueprint.route("/people", methods=["POST"])
@require("administer")
@blueprint.arguments(NewPerson)
@blueprint.response(201, PersonAnswer)
def make_person(form: dict[str, Any]) -> dict[str, Any]:
    """Create an account."""
    with services().database().writing() as session:
        return person_answer(add_person(session, form["login"], form["name"], form["role"], form["password"]))


@blueprint.route("/people/<int(max=2147483647):person>", methods=["PATCH"])
@require("administer")
@versioned
@blueprint.arguments(Changes)
@blueprint.response(200, PersonAnswer)
def change_any_person(form: dict[str, Any], person: int) -> dict[str, Any]:
    """Change a person's role, name, password or quota, or deactivate the account."""
    with services().database().writing() as session:
        check_version(person_version(known_person(session, person)))
        changed = change_account(session, person, form)
    rescoring().wake()
    return tagged(changed)


def change_account(session: Session, person: int, form: dict[str, Any]) -> PersonEntry:
    """Change a person by a loaded form of Changes; the caller then wakes `rescoring`. Pages call it too."""
    if "dailyQuota" in form:
        set_quota(session, person, form.pop("dailyQuota"))
    if password := form.pop("password", ""):
        set_password(session, person, password)
    return changed_person(session, person, form)


def changed_person(session: Session, person: int, form: dict[str, Any]) -> PersonEntry:
    """Change a person; with `obscures`, also what others see of all their places."""
    before = known_person(session, person).obscures
    changed = change_person(session, person, **form)
    if changed.obscures != before:
        update_public_places(session, observations_of(person))
    return changed


def authenticate(login: str, password: str) -> PersonEntry:
    """Return the person with this login and password; the sign-in page uses it too.

    Raises NotSignedIn, and TooManyAttempts after too many wrong passwords.
    """
    counts, address = services().counts, access.address_mark()
    tries = (
        (f"{login.strip().casefold()}@{address}", PER_LOGIN),
        (address, PER_ADDRESS),
        (login.strip().casefold(), FROM_EVERYWHERE),
    )
    # Counted before the password is checked: many guesses at once would all pass a limit that is counted afterwards.
    # What one address may not try is not counted against the login: nobody locks somebody else out alone.
    if not all(counts.attempt(what, throttle) for what, throttle in tries):
        raise TooManyAttempts(
            "too many wrong passwords; wait 15 minutes, or ask an administrator for a new one",
            {"Retry-After": str(60 * PER_LOGIN.minutes)},
        )
    person = sign_in(services().database(), login, password)
    if person is None:
        raise NotSignedIn("incorrect username or password")
    for what, throttle in tries:
        counts.forgive(what, throttle)
    return person


def signed_in() -> PersonEntry:
    """Return the person signed in; raises NotSignedIn."""
    person = access.caller().person
    if person is None:
        raise NotSignedIn("sign in first")
    return person


def session_answer() -> dict[str, Any]:
    """Return the caller as JSON values."""
    asking = access.caller()
    return {
        "by": asking.by,
        "person": person_answer(asking.person) if asking.person else None,
        "scopes": sorted(asking.scopes),
        "quota": quota_answer(access.left("identify")),
        "csrfToken": generate_csrf() if asking.by == access.SESSION else None,
    }


def person_version(person: PersonEntry) -> str:
    """The version of what can be changed of a person."""
    return version_of([person.name, person.role, person.active, person.obscures, person.daily_quota])


def tagged(person: PersonEntry) -> dict[str, Any]:
    """A person as the answer to this request, with an ETag."""
    answer = person_answer(person)
    tag_answer(answer["version"], answer)
    return answer


def person_answer(person: PersonEntry) -> dict[str, Any]:
    """Return a person as JSON values."""
    return {
        "id": person.id,
        "login": person.login,
        "name": person.name,
        "role": person.role,
        "active": person.active,
        "obscures": person.obscures,
        "dailyQuota": person.daily_quota,
        "created": person.created.replace(tzinfo=UTC),
        "version": person_version(person),
    }


def quota_answer(quota: Quota) -> dict[str, Any]:
    """Return a quota as JSON values."""
    return {"limit": quota.limit, "remaining": quota.remaining, "resetSeconds": quota.reset_seconds}
