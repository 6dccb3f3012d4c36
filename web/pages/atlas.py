"""The atlas: all reference photos of a flora on a two-dimensional map of their embeddings, for curators."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from flask import Response, abort, jsonify, render_template, request, url_for

from retrieval.domain import WORLD, Reference
from retrieval.errors import UnknownFlora
from retrieval.snapshots.atlas import Atlas
from retrieval.snapshots.snapshot import Snapshot
from web.http.etags import follows
from web.pages.blueprint import blueprint
from web.pages.wording.script_words import atlas_words
from web.pages.wording.template_words import LARGE
from web.schemas.serialising import photo_url
from web.services import services

LISTED: Final = 60  # questionable photos listed on the page
NEAR: Final = 160  # pixels of a photo among the points
AT_ONCE: Final = 60  # photos that a script may request together
MOST_DIGITS: Final = 18  # of a row number


@blueprint.route("/atlas")
def show_atlas() -> str:
    """Show the atlas, with a list of the photos that lie among those of another species."""
    flora = request.args.get("flora", WORLD)
    with services().published.lease() as snapshot:
        card = snapshot.flora(flora).card
        atlas = atlas_of(snapshot)
        shown: dict[str, Any] = {"atlas": None}
        if atlas is not None:
            chosen = np.flatnonzero(np.isin(atlas.species, snapshot.flora(flora).species))
            doubted = chosen[atlas.strangers[chosen] > 0]
            doubtful = doubted[np.argsort(-atlas.doubts[doubted], kind="stable")].tolist()  # the worst first
            shown = {
                "atlas": atlas,
                "points": len(chosen),
                "doubtful": [describe_doubtful(atlas, place, snapshot) for place in doubtful[:LISTED]],
                "doubts": len(doubtful),
            }
        return render_template(
            "atlas.html",
            card=card,
            floras=snapshot.floras,
            **shown,
            snapshot=snapshot,
            said=atlas_words(flora),
        )


def atlas_of(snapshot: Snapshot) -> Atlas | None:
    """Return the atlas of a snapshot without photos withdrawn since; None if it has none."""
    atlas = services().atlas(snapshot.manifest)
    if atlas is None or not snapshot.withheld:
        return atlas
    gone = np.concatenate([segment.withheld + segment.base for segment in snapshot.segments])
    return atlas.only(~np.isin(atlas.rows, gone))


def describe_doubtful(atlas: Atlas, place: int, snapshot: Snapshot) -> dict[str, Any]:
    """Describe the photo at a place of the atlas, with the species that it lies among."""
    return describe_point(snapshot.reference(int(atlas.rows[place])), int(atlas.strangers[place]), snapshot)


def describe_point(reference: Reference, stranger: int, snapshot: Snapshot) -> dict[str, Any]:
    """Describe a photo, always with author and licence. `stranger` is the species it lies among, 0 for its own."""
    return {
        "row": reference.row,
        "photo": reference.photo,
        "name": snapshot.taxonomy.taxon(reference.species).name,
        "stranger": snapshot.taxonomy.taxon(stranger).name if stranger else "",
        "author": reference.author,
        "licence": reference.licence,
        "source": reference.source,
        "aspect": reference.aspect,
        "thumbnail": photo_url(reference.photo, NEAR),
        "picture": photo_url(reference.photo, LARGE),
        "speciesUrl": url_for("page.show_species", species=reference.species),
        "similarUrl": url_for("page.show_similar", photo=reference.photo),
    }


@blueprint.route("/atlas/<string:flora>/points.bin")
def list_points(flora: str) -> Response:
    """Serve all points as little-endian arrays, one after another.

    These are x and y (float32), then as uint32 the row, the species, and the species among whose photos a questionable
    one lies (else 0). Species are given by their place in the list of names, counted from 1.
    """
    with services().published.lease() as snapshot:
        atlas, chosen, species = points_of(snapshot, flora)
        follows(snapshot, edition_of(atlas))
        parts = [
            atlas.places[chosen].astype("<f4"),
            atlas.rows[chosen].astype("<u4"),
            (np.searchsorted(species, atlas.species[chosen]) + 1).astype("<u4"),
            np.where(atlas.strangers[chosen] > 0, np.searchsorted(species, atlas.strangers[chosen]) + 1, 0).astype(
                "<u4"
            ),
        ]
    return Response(b"".join(part.tobytes() for part in parts), mimetype="application/octet-stream")


@blueprint.route("/atlas/<string:flora>/names.json")
def list_point_names(flora: str) -> Response:
    """Serve [name, genus, family] of the species in the list of names, in its order."""
    with services().published.lease() as snapshot:
        atlas, _, species = points_of(snapshot, flora)
        follows(snapshot, edition_of(atlas))
        facts = snapshot.taxonomy.describe_many(species.tolist())
        named = [facts[taxon] for taxon in species.tolist()]
        return jsonify([[fact.name, fact.name.partition(" ")[0], fact.family] for fact in named])


def edition_of(atlas: Atlas) -> str:
    """Return the identity of an atlas: the same references may be arranged again by another method."""
    return f"{atlas.references} {atlas.method}"


def points_of(snapshot: Snapshot, flora: str) -> tuple[Atlas, np.ndarray, np.ndarray]:
    """Return the atlas, the places in it of a flora's photos, and the ids of all species named there, ascending.

    Raises UnknownFlora, also where the snapshot has no atlas.
    """
    atlas = atlas_of(snapshot)
    if atlas is None:
        raise UnknownFlora("the atlas of this snapshot has not been created yet: fungarium index atlas")
    chosen = np.flatnonzero(np.isin(atlas.species, snapshot.flora(flora).species))
    named = np.unique(np.concatenate([atlas.species[chosen], atlas.strangers[chosen]]))
    return atlas, chosen, named[named > 0]


@blueprint.route("/atlas/photos.json")
def list_point_photos() -> Response:
    """Describe the photos of the requested rows, which a script shows when zoomed in."""
    asked = request.args.get("rows", "").split(",")[:AT_ONCE]
    rows = [int(text) for text in asked if text.isdecimal() and len(text) <= MOST_DIGITS]
    with services().published.lease() as snapshot:
        atlas = atlas_of(snapshot)
        if atlas is None or any(row not in atlas.rows for row in rows):
            abort(404)
        follows(snapshot, edition_of(atlas))
        strangers = atlas.strangers[np.searchsorted(atlas.rows, rows)]
        found = zip(rows, strangers.tolist(), strict=True)
        return jsonify([describe_point(snapshot.reference(row), stranger, snapshot) for row, stranger in found])
