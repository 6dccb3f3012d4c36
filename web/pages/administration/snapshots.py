"""Snapshots for administrators: the list, each one's card and report, and the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from flask import Response as FlaskResponse
from flask import make_response, render_template, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from retrieval.errors import NoSnapshot, SnapshotError
from retrieval.snapshots.history import read_history
from retrieval.snapshots.lines import list_lines
from retrieval.snapshots.manifest import Manifest, read_manifest
from retrieval.snapshots.publishing import list_snapshots, previous_published
from web.http.access import require
from web.http.content_security import content_security_policy
from web.inference.publications import list_publications
from web.pages.blueprint import blueprint
from web.pages.visitor import go_to
from web.services import services

REPORT: Final = "report.html"  # written by `fungarium evaluate report` beside the snapshot's manifest
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; frame-ancestors 'self'"
)
"""The report has inline styles and no scripts, and is only shown in a frame of our own page."""


@blueprint.route("/administration")
@require("administer")
def show_administration() -> Response:
    """Redirect to the first page of administration."""
    return go_to(url_for("page.show_snapshots"))


@blueprint.route("/administration/snapshots")
@require("administer")
def show_snapshots() -> str:
    """Show the snapshots and their history."""
    return render_template("snapshots.html", **known_snapshots())


@blueprint.route("/administration/snapshots/<string:name>")
@require("administer")
def show_snapshot(name: str) -> Response:
    """Show a snapshot's card, with the report of its accuracy if there is one."""
    manifest = known_manifest(name)
    page = render_template("snapshot.html", **about_snapshot(name, manifest))
    response = make_response(page)
    response.headers["Content-Security-Policy"] = content_security_policy(services().tiles) + "; frame-src 'self'"
    return response


@blueprint.route("/administration/snapshots/<string:name>/report")
@require("administer")
def show_report(name: str) -> FlaskResponse:
    """Serve the report as it was written."""
    known_manifest(name)
    try:
        response = FlaskResponse(report_path(name).read_bytes(), mimetype="text/html")
    except FileNotFoundError as error:
        raise NotFound("There is no report beside this snapshot.") from error
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


@blueprint.route("/administration/model")
@require("administer")
def show_model() -> str:
    """Show the card of the current snapshot's model."""
    with services().published.lease() as snapshot:
        return render_template("model.html", model=sorted(snapshot.manifest.model.items()), name=snapshot.name)


def root() -> Path:
    """Return the folder of snapshots; raises NoSnapshot if this server has none."""
    folder = services().flora_indexes
    if folder is None:
        raise NoSnapshot("this server was started without a folder of snapshots")
    return folder


def known_manifest(name: str) -> Manifest:
    """Return the manifest of a snapshot; raises NotFound if it is missing or damaged."""
    try:
        return read_manifest(root(), name)
    except SnapshotError as error:
        raise NotFound(f"This snapshot cannot be shown: {error}.") from error


def known_snapshots() -> dict[str, Any]:
    """Return all snapshots, the current and the previous one, and their history."""
    rows = list_snapshots(root())
    return {
        "rows": rows,
        "current": next((row.name for row in rows if row.current), ""),
        "earlier": earlier(),
        "lines": list_lines(root()),
        "events": list(reversed(read_history(root())))[:30],
        "reports": {row.name for row in rows if report_path(row.name).exists()},
        "publications": list_publications(root()),
    }


def earlier() -> str:
    """Return the name of the previously published snapshot; empty if there is none."""
    current = next((row.name for row in list_snapshots(root()) if row.current), "")
    return next(iter(previous_published(root(), current)), "") if current else ""


def about_snapshot(name: str, manifest: Manifest) -> dict[str, Any]:
    """Return what the page of a snapshot shows."""
    rows = {row.name: row for row in list_snapshots(root())}
    return {
        "name": name,
        "manifest": manifest,
        "row": rows.get(name),
        "report": report_path(name).exists(),
        "model": json.dumps(manifest.model, indent=1, sort_keys=True, ensure_ascii=False),
        "megabytes": sum(seal.bytes for seal in manifest.files) / 1e6,
    }


def report_path(name: str) -> Path:
    """Return the path of a snapshot's report."""
    return root() / "snapshots" / name / REPORT
