"""Snapshots for administrators: listed, looked at with their card and report; the model."""

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
from retrieval.snapshots.manifest import Manifest, read_manifest
from retrieval.snapshots.publishing import list_snapshots, previous_published
from web.http.access import require
from web.http.content_security import content_security_policy
from web.inference.publications import list_publications
from web.pages.blueprint import blueprint
from web.pages.visitor import go_to
from web.services import services

REPORT: Final = "report.html"  # that `fungarium evaluate report` wrote beside the snapshot's manifest
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; frame-ancestors 'self'"
)
"""The report carries its styles inside; it runs nothing, and is shown in our own frame only."""


@blueprint.route("/administration")
@require("administer")
def show_administration() -> Response:
    """Where there is what."""
    return go_to(url_for("page.show_snapshots"))


@blueprint.route("/administration/snapshots")
@require("administer")
def show_snapshots() -> str:
    """The snapshots and what was done with them."""
    return render_template("snapshots.html", **known_snapshots())


@blueprint.route("/administration/snapshots/<string:name>")
@require("administer")
def show_snapshot(name: str) -> Response:
    """A snapshot's card, with the report of its accuracy where one lies beside it."""
    manifest = known_manifest(name)
    page = render_template("snapshot.html", **about_snapshot(name, manifest))
    response = make_response(page)
    response.headers["Content-Security-Policy"] = content_security_policy(services().tiles) + "; frame-src 'self'"
    return response


@blueprint.route("/administration/snapshots/<string:name>/report")
@require("administer")
def show_report(name: str) -> FlaskResponse:
    """The report, as it was written."""
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
    """The card of the model that answers."""
    with services().published.lease() as snapshot:
        return render_template("model.html", model=sorted(snapshot.manifest.model.items()), name=snapshot.name)


def root() -> Path:
    """The folder of snapshots. Raises NoSnapshot where this server has none."""
    folder = services().flora_indexes
    if folder is None:
        raise NoSnapshot("this server was started without a folder of snapshots")
    return folder


def known_manifest(name: str) -> Manifest:
    """The manifest of a snapshot that is there and whole; raises NotFound."""
    try:
        return read_manifest(root(), name)
    except SnapshotError as error:
        raise NotFound(f"This snapshot cannot be shown: {error}.") from error


def known_snapshots() -> dict[str, Any]:
    """All snapshots, the present one, where going back leads, and the log."""
    rows = list_snapshots(root())
    return {
        "rows": rows,
        "current": next((row.name for row in rows if row.current), ""),
        "earlier": earlier(),
        "events": list(reversed(read_history(root())))[:30],
        "reports": {row.name for row in rows if report_path(row.name).exists()},
        "publications": list_publications(root()),
    }


def earlier() -> str:
    """The snapshot that going back leads to; empty where there is none."""
    current = next((row.name for row in list_snapshots(root()) if row.current), "")
    return next(iter(previous_published(root(), current)), "") if current else ""


def about_snapshot(name: str, manifest: Manifest) -> dict[str, Any]:
    """What the page of a snapshot shows."""
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
    """Where a report of a snapshot is looked for."""
    return root() / "snapshots" / name / REPORT
