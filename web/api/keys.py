"""A person's API keys: create, list, revoke. Creating one needs a session: a key cannot create another."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from datetime import UTC, timedelta
from hashlib import sha256
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from database.accounts.api_keys import KeyEntry, issue_key, list_keys, revoke_key
from database.accounts.people import SCOPES, utc_now
from web.api.accounts import signed_in
from web.http import access
from web.http.access import require
from web.schemas.answers import Answer, about
from web.schemas.form_values import UUID, CleanText
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint("keys", __name__, url_prefix=f"{PREFIX}/keys", description="API keys")


class NewKey(Schema):
    """A new key's permissions."""

    class Meta:
        """Refuse unknown members."""

        unknown = RAISE

    scopes = fields.List(
        CleanText(validate=validate.OneOf(SCOPES)),
        required=True,
        validate=validate.Length(1, len(SCOPES)),
        metadata=about("Some of identify, read, write, validate, administer."),
    )
    label = CleanText(
        load_default="", validate=validate.Length(0, 255), metadata=about("A description of its purpose.")
    )
    dailyQuota = fields.Integer(  # noqa: N815 - a name of the API
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 10_000_000),
        metadata=about("Identifications a day with this key, in addition to its person's quota."),
    )
    days = fields.Integer(
        load_default=None, allow_none=True, validate=validate.Range(1, 3660), metadata=about("Days until it expires.")
    )
    requestId = CleanText(  # noqa: N815 - a name of the API
        load_default=None,
        allow_none=True,
        validate=UUID,
        metadata=about("A UUID made by the client: sent again after a broken connection, the same key comes back."),
    )


class Key(Answer):
    """An API key without its secret."""

    id = fields.Integer()
    prefix = fields.String(metadata=about("Its first letters."))
    label = fields.String()
    scopes = fields.List(fields.String())
    daily_quota = fields.Integer(allow_none=True)
    created = fields.DateTime(metadata=about("UTC."))
    expires = fields.DateTime(allow_none=True)
    revoked = fields.DateTime(allow_none=True)


class IssuedKey(Key):
    """A new API key with its secret, which is only shown once."""

    key = fields.String(metadata=about("The key. Store it: it is not shown again."))


class Keys(Answer):
    """The caller's keys, the newest first."""

    keys = fields.List(fields.Nested(Key))


@blueprint.route("")
@require("session")
@blueprint.response(200, Keys)
def show_keys() -> dict[str, Any]:
    """List one's own keys, including revoked ones."""
    with services().database().reading() as session:
        return {"keys": [key_answer(key) for key in list_keys(session, signed_in().id)]}


@blueprint.route("", methods=["POST"])
@require("session")
@blueprint.arguments(NewKey)
@blueprint.response(201, IssuedKey)
def make_key(form: dict[str, Any]) -> dict[str, Any]:
    """Issue a key to oneself; it is shown in this answer and never again."""
    key, entry = issue_own_key(form)
    return key_answer(entry) | {"key": key}


def issue_own_key(form: dict[str, Any]) -> tuple[str, KeyEntry]:
    """Issue the key of a loaded form of NewKey to whoever is signed in. Pages call it too."""
    person = signed_in().id
    with services().database().writing() as session:
        return issue_key(
            session,
            person,
            form["scopes"],
            label=form["label"],
            daily_quota=form["dailyQuota"],
            expires=utc_now() + timedelta(days=form["days"]) if form["days"] else None,
            secret=secret_of(person, form["requestId"]) if form["requestId"] else "",
        )


def secret_of(person: int, request_id: str) -> str:
    """What a key is made of whose request has an id: nobody can work it out without the server's own secret."""
    made = hmac.new(services().secret(), f"key of {person}: {request_id.lower()}".encode(), sha256)
    return urlsafe_b64encode(made.digest()).decode().rstrip("=")


@blueprint.route("/<int(max=2147483647):key>", methods=["DELETE"])
@require("session")
@blueprint.response(204)
def end_key(key: int) -> None:
    """Revoke one of one's own keys; administrators may revoke any."""
    asking = access.caller()
    owner = None if "administer" in asking.scopes else signed_in().id
    with services().database().writing() as session:
        revoke_key(session, key, person_id=owner)


def key_answer(key: KeyEntry) -> dict[str, Any]:
    """Return a key as JSON values."""
    return {
        "id": key.id,
        "prefix": key.prefix,
        "label": key.label,
        "scopes": list(key.scopes),
        "dailyQuota": key.daily_quota,
        "created": key.created.replace(tzinfo=UTC),
        "expires": key.expires.replace(tzinfo=UTC) if key.expires else None,
        "revoked": key.revoked.replace(tzinfo=UTC) if key.revoked else None,
    }
