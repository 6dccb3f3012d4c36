"""The API's documentation for people, made from the OpenAPI document."""

from __future__ import annotations

from flask import render_template

from web.api.overview import openapi_document
from web.http.errors import INVALID, KINDS
from web.pages.blueprint import blueprint


@blueprint.route("/api/v1/docs")
def show_docs() -> str:
    """Every route with what it takes."""
    return render_template("docs.html", document=openapi_document(), kinds=[*KINDS.values(), INVALID])
