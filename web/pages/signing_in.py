"""Signing in and out."""

from __future__ import annotations

from dataclasses import replace

from flask import render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from web.api.accounts import SignIn, authenticate
from web.http import access
from web.http.refusals import NotSignedIn
from web.pages.blueprint import blueprint
from web.pages.visitor import TROUBLE, describe, go_to, load, own_path, render_form_again


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
