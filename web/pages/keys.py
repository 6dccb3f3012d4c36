"""A person's own API keys."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from flask import make_response, render_template, request, url_for
from werkzeug.wrappers import Response

from database.accounts.api_keys import list_keys, revoke_key
from database.accounts.people import SCOPES, SCOPES_OF, utc_now
from web.api.accounts import signed_in
from web.api.keys import NewKey, issue_own_key
from web.http.access import require
from web.pages.blueprint import blueprint
from web.pages.visitor import TROUBLE, go_to, load, render_form_again
from web.services import services


@blueprint.route("/me/keys")
@require("session")
def show_own_keys() -> str:
    """Show the person's keys, and a form for a new one."""
    return render_template("keys.html", **own_keys(), typed={})


@blueprint.route("/me/keys", methods=["POST"])
@require("session")
def make_own_key() -> Response:
    """Create a key; only this response shows it."""
    try:
        form = load(
            NewKey(),
            {name: request.form.get(name, "") for name in ("label", "dailyQuota", "days", "requestId")}
            | {"scopes": request.form.getlist("scopes")},
        )
        key, _ = issue_own_key(form)
    except TROUBLE as error:
        return render_form_again("keys.html", error, **own_keys(), scopes_chosen=request.form.getlist("scopes"))
    return make_response(render_template("keys.html", **own_keys(), typed={}, issued=key), 201)


@blueprint.route("/me/keys/<int(max=2147483647):key>/revoke", methods=["POST"])
@require("session")
def revoke_own_key(key: int) -> Response:
    """Revoke one of the person's own keys."""
    with services().database().writing() as session:
        revoke_key(session, key, person_id=signed_in().id)
    return go_to(url_for("page.show_own_keys"))


def own_keys() -> dict[str, Any]:
    """Return the person's keys, and the scopes that a new one may have."""
    person = signed_in()
    with services().database().reading() as session:
        keys = list_keys(session, person.id)
    return {
        "keys": keys,
        "requestId": str(uuid4()),
        "scopes": [scope for scope in SCOPES if scope in SCOPES_OF[person.role]],
        "now": utc_now(),
    }
