"""Darwin Core Archives of approved observations, for GBIF and others to download."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Response, send_file, url_for
from marshmallow import fields

from web.http.refusals import UnknownExport
from web.schemas.answers import Answer, about
from web.schemas.exports import archives
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "exports", __name__, url_prefix=f"{PREFIX}/exports", description="Archives of approved observations"
)


class Export(Answer):
    """An archive written by `fungarium observations export`."""

    name = fields.String()
    href = fields.String(metadata=about("URL of the archive."))
    bytes = fields.Integer()
    modified = fields.DateTime(metadata=about("When it was written; an unchanged archive keeps its time."))


class Exports(Answer):
    """All archives, by name."""

    exports = fields.List(fields.Nested(Export))


@blueprint.route("/")
@blueprint.response(200, Exports)
def list_exports() -> dict[str, Any]:
    """List the Darwin Core Archives of approved observations.

    They contain public data only: obscured places are grid cells.
    """
    return {"exports": [describe(path) for path in archives(services().exports)]}


@blueprint.route("/<string:name>")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="application/zip")
def fetch_export(name: str) -> Response:
    """Download an archive; with `If-None-Match` or `If-Modified-Since` only if it has changed."""
    for path in archives(services().exports):
        if path.name == name:
            return send_file(path.absolute(), mimetype="application/zip", conditional=True, max_age=0)
    raise UnknownExport(f"there is no archive {name}")


def describe(path: Path) -> dict[str, Any]:
    """Return an archive as JSON values."""
    facts = path.stat()
    return {
        "name": path.name,
        "href": url_for("exports.fetch_export", name=path.name),
        "bytes": facts.st_size,
        "modified": datetime.fromtimestamp(int(facts.st_mtime), UTC),
    }
