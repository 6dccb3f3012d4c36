"""Darwin Core Archives of approved observations, for GBIF and others to download."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from flask import Response, request, send_file, url_for
from marshmallow import fields

from database.errors import ArchiveBusy
from database.exporting.refreshing import is_foreign, refresh_archive
from database.field.approved import approved_state
from web.http.admission import Overloaded
from web.http.refusals import UnknownExport
from web.schemas.answers import Answer, about
from web.schemas.exports import archives
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "exports", __name__, url_prefix=f"{PREFIX}/exports", description="Archives of approved observations"
)


KEPT: Final = (
    "Cache-Control",
    "Content-Disposition",
)  # headers of an archive that the proxy sends; the others are its own


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

    They contain public data only: obscured places are grid cells. What was hidden or removed after an archive was
    written leaves it before it is given out.
    """
    for path in archives(services().exports):
        refresh(path)
    return {"exports": [describe(path) for path in archives(services().exports)]}


@blueprint.route("/<string:name>")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="application/zip")
def fetch_export(name: str) -> Response:
    """Download an archive; with `If-None-Match` or `If-Modified-Since` only if it has changed."""
    for path in archives(services().exports):
        if path.name == name and refresh(path).exists():
            sent = send_file(path.absolute(), mimetype="application/zip", conditional=True, max_age=0)
            return leave_to_proxy(sent, path.name)
    raise UnknownExport(f"there is no archive {name}")


def leave_to_proxy(sent: Response, name: str) -> Response:
    """Let the proxy send the file where it says that it can: a slow reader then occupies no thread of this server.

    Only a trusted proxy is believed; it replaces the header of a client. Ranges are the proxy's work too.
    """
    place = request.headers.get("X-Accel-Mapping", "")
    if not (services().policy.proxies and place) or sent.status_code not in (200, 206):
        return sent
    left = Response(mimetype="application/zip", headers={"X-Accel-Redirect": place + quote(name)})
    left.headers.extend({header: sent.headers[header] for header in KEPT if header in sent.headers})
    sent.close()
    return left


def refresh(path: Path) -> Path:
    """Take out of an archive what was hidden or removed since it was written, if anything was. Raises Overloaded.

    Archives by other programs stay as they are, so without a database only those can be given out.
    """
    given = services()
    try:
        facts = path.stat()
    except FileNotFoundError:  # removed meanwhile
        return path
    if is_foreign(path):
        return path
    with given.database().reading() as session:
        known = (facts.st_ino, facts.st_mtime_ns, approved_state(session))
        if given.fresh_exports.get(path) != known:
            try:
                if not refresh_archive(session, path, given.photo_files().get, today=datetime.now(UTC).date()):
                    given.fresh_exports[path] = known
            except ArchiveBusy as error:
                raise Overloaded("the archive is being written again; try again in some seconds") from error
    return path


def describe(path: Path) -> dict[str, Any]:
    """Return an archive as JSON values."""
    facts = path.stat()
    return {
        "name": path.name,
        "href": url_for("exports.fetch_export", name=path.name),
        "bytes": facts.st_size,
        "modified": datetime.fromtimestamp(int(facts.st_mtime), UTC),
    }
