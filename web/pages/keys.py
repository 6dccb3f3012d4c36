"""One's own API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import make_response, render_template, request, url_for
from werkzeug.wrappers import Response

from database.accounts.api_keys import issue_key, list_keys, revoke_key
from database.accounts.people import SCOPES, SCOPES_OF, utc_now
from web.api.accounts import signed_in
from web.api.keys import NewKey
from web.http.access import require
from web.pages.blueprint import blueprint
from web.pages.visitor import TROUBLE, go_to, load, render_form_again
from web.services import services


@blueprint.route("/me/keys")
@require("session")
def show_own_keys() -> str:
    """The keys, and a form for another."""
    return render_template("keys.html", **own_keys(), typed={})


@blueprint.route("/me/keys", methods=["POST"])
@require("session")
def make_own_key() -> Response:
    """Issue a key; the page that answers is the only one that ever shows it."""
    try:
        form = load(
            NewKey(),
            {name: request.form.get(name, "") for name in ("label", "dailyQuota", "days")}
            | {"scopes": request.form.getlist("scopes")},
        )
        with services().database().writing() as session:
            key, _ = issue_key(
                session,
                signed_in().id,
                form["scopes"],
                label=form["label"],
                daily_quota=form["dailyQuota"],
                expires=utc_now() + timedelta(days=form["days"]) if form["days"] else None,
            )
    except TROUBLE as error:
        return render_form_again("keys.html", error, **own_keys(), scopes_chosen=request.form.getlist("scopes"))
    return make_response(render_template("keys.html", **own_keys(), typed={}, issued=key), 201)


@blueprint.route("/me/keys/<int(max=2147483647):key>/revoke", methods=["POST"])
@require("session")
def revoke_own_key(key: int) -> Response:
    """Let a key of one's own open nothing any more."""
    with services().database().writing() as session:
        revoke_key(session, key, person_id=signed_in().id)
    return go_to(url_for("page.show_own_keys"))


def own_keys() -> dict[str, Any]:
    """The keys of whoever is signed in, and the scopes that another may have."""
    person = signed_in()
    with services().database().reading() as session:
        keys = list_keys(session, person.id)
    return {"keys": keys, "scopes": [scope for scope in SCOPES if scope in SCOPES_OF[person.role]], "now": utc_now()}
