"""The API's documentation, generated from the OpenAPI document."""

from __future__ import annotations

from flask import render_template

from web.api.overview import openapi_document
from web.http.errors import INVALID, KINDS
from web.pages.blueprint import blueprint


@blueprint.route("/api/v1/docs")
def show_docs() -> str:
    """Show every route with its parameters."""
    return render_template("docs.html", document=openapi_document(), kinds=[*KINDS.values(), INVALID])
