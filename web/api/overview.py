"""An overview of the API."""

from __future__ import annotations

from typing import Any

from flask import current_app, url_for

from web.schemas.answers import Overview
from web.schemas.openapi import CONFIG, PREFIX, ApiBlueprint, ProblemApi

blueprint = ApiBlueprint("overview", __name__, url_prefix=PREFIX, description="Overview of the API")


@blueprint.route("/")
@blueprint.response(200, Overview)
def show_overview() -> dict[str, Any]:
    """List the routes of this API."""
    return {
        "title": CONFIG["API_TITLE"],
        "version": CONFIG["API_VERSION"],
        "openapi": url_for("api-docs.openapi_json"),
        "docs": url_for("page.show_docs"),
        "routes": [
            {"method": method.upper(), "path": path, "summary": operation.get("summary", "")}
            for path, operations in openapi_document()["paths"].items()
            for method, operation in operations.items()
            if method != "parameters"
        ],
    }


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the current application."""
    api: ProblemApi = current_app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    document: dict[str, Any] = api.spec.to_dict()
    return document
