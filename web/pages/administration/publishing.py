"""Publishing and rolling back for administrators: confirmed first, run in the background, with a page of progress."""

from __future__ import annotations

import logging
from typing import Any

from flask import render_template, request, url_for
from flask_babel import gettext
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from database.collection.snapshots import log_published
from retrieval.errors import BuildError, FungariumError, SnapshotError
from retrieval.snapshots.atlas import atlas_path, name_references
from retrieval.snapshots.manifest import current_or_none
from web.http.access import require
from web.http.errors import Problem, sentence
from web.inference.publications import DONE, UnknownPublication, begin_publication, read_publication
from web.pages.administration.snapshots import earlier, known_manifest, known_snapshots, root
from web.pages.blueprint import blueprint
from web.pages.identify import FRAGMENT
from web.pages.visitor import TROUBLE, go_to, render_form_again
from web.pages.wording.observation_words import publication_words
from web.services import services

log = logging.getLogger(__name__)


@blueprint.route("/administration/snapshots/<string:name>/publish")
@require("administer")
def ask_to_publish(name: str) -> str:
    """Ask for confirmation before publishing."""
    return render_template("publishing.html", **to_publish(name))


@blueprint.route("/administration/snapshots/<string:name>/publish", methods=["POST"])
@require("administer")
def publish_from_page(name: str) -> Response:
    """Start verifying and publishing a snapshot, as `fungarium index publish` does."""
    return begin("publish", name, to_publish(name))


@blueprint.route("/administration/roll-back")
@require("administer")
def ask_to_roll_back() -> str:
    """Ask for confirmation before rolling back, and show to which snapshot."""
    return render_template("publishing.html", **to_roll_back())


@blueprint.route("/administration/roll-back", methods=["POST"])
@require("administer")
def roll_back_from_page() -> Response:
    """Start publishing the previous snapshot, as `fungarium index rollback` does."""
    return begin("roll back", earlier(), to_roll_back())


@blueprint.route("/administration/publications/<string:name>")
@require("administer")
def show_publication(name: str) -> str:
    """Show the progress or outcome of a publication; a script requests that part alone until it has ended."""
    try:
        publication = read_publication(root(), name)
    except UnknownPublication as error:
        raise NotFound(f"{error}.") from error
    return render_template(
        "publication_fragment.html" if FRAGMENT in request.headers else "publication.html",
        publication=publication,
        current=current_or_none(root()) or "",
        laid_out=publication.state != DONE or is_laid_out(publication.snapshot),
        said=publication_words(),
    )


def to_publish(name: str) -> dict[str, Any]:
    """Return what the confirmation page of publishing shows."""
    return {"act": "publish", "name": name, "manifest": known_manifest(name), **known_snapshots()}


def to_roll_back() -> dict[str, Any]:
    """Return what the confirmation page of rolling back shows."""
    return {"act": "roll back", "name": earlier(), "manifest": None, **known_snapshots()}


def is_laid_out(name: str) -> bool:
    """Return whether the references of a snapshot have an atlas."""
    return atlas_path(root(), name_references(known_manifest(name))).exists()


def begin(act: str, name: str, shown: dict[str, Any]) -> Response:
    """Start a publication in the background, and redirect to its progress."""
    database = services().database

    def note(published: str) -> None:
        """Record the publication in the database, if there is one."""
        try:
            with database().writing() as session:
                log_published(session, published)
        except FungariumError as error:
            log.warning("the publication was not recorded in the database: %s", error)

    try:
        if not name:
            raise BuildError("there is no earlier snapshot to go back to")
        begun = begin_publication(root(), act, name, note)
    except (SnapshotError, BuildError) as error:  # unchanged: administrators may see paths of the server
        refused = Problem(409, gettext("Nothing was changed"), sentence(str(error)))
        return render_form_again("publishing.html", refused, **shown)
    except TROUBLE as error:
        return render_form_again("publishing.html", error, **shown)
    return go_to(url_for("page.show_publication", name=begun.id))
