"""The words and addresses that scripts are given, each page its own, in the visitor's language."""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_babel import gettext as _

from web.http.assets import asset_url
from web.pages.wording.template_words import aspect_words
from web.services import services


def map_parts() -> dict[str, Any]:
    """What a map needs."""
    return {"tiles": services().tiles, "tilesCredit": services().tiles_credit}


def map_urls() -> dict[str, str]:
    """Where a map's parts are."""
    return {
        "world": asset_url("world.json"),
        "mapStyles": asset_url("map.css"),
        "areas": url_for("page.list_areas"),
    }


def map_words() -> dict[str, str]:
    """What a map says."""
    return {"mapCredit": _("Outlines: Natural Earth")}


def compare_words() -> dict[str, str]:
    """What the comparison of two photos says."""
    return {
        "compare": _("Both photos, side by side"),
        "zoomIn": _("Closer"),
        "zoomOut": _("Farther"),
        "close": _("Close"),
        "photoNumber": _("Your photo {number}"),
    }


def box_words() -> dict[str, str]:
    """What the drawing of a box says."""
    return {
        "boxTitle": _("Draw a box round the fungus"),
        "boxHelp": _("Drag over the photo. By keyboard: arrow keys move the box, with Shift they size it."),
        "boxKeys": _("Box: arrow keys move it, with Shift they size it"),
        "boxUse": _("Use this box"),
        "boxWhole": _("Use the whole photo"),
        "back": _("Back"),
    }


def sending_words() -> dict[str, str]:
    """What is said while photos are on their way, and when they did not get there."""
    return {
        "preparing": _("Making the photos smaller …"),
        "sending": _("Sending: {share} %"),
        "comparing": _("Comparing …"),
        "offline": _("The server could not be reached. Are you online? Nothing was lost: try again when you are."),
        "offlineTitle": _("No connection"),
        "allTooLarge": _("All photos together are too large. Remove one, or choose smaller ones."),
        "allTooLargeTitle": _("Too large"),
        "busy": _("The server has too much to do just now, or is being restarted. Try again in a moment."),
        "busyTitle": _("The server is busy"),
        "refused": _("The server did not accept this."),
        "refusedTitle": _("Refused"),
        "stillHere": _("Your photos and all that you typed are still here."),
        "tooMany": _("{name} was left out: at most {most} photos of one find."),
        "noPhoto": _("{name} is no photo: JPEG, PNG, WebP and HEIC are accepted."),
        "tooLarge": _("{name} is too large."),
    }


def identify_words() -> dict[str, Any]:
    """For the first page."""
    own = {
        "rank": _("Rank the species"),
        "askAgain": _("Ask again"),
        "keep": _("Keep this answer at a link"),
        "camera": _("Take a photo"),
        "dropHint": _("or drop or paste photos anywhere on this page"),
        "rotate": _("Rotate"),
        "box": _("Draw a box round the fungus"),
        "remove": _("Remove"),
        "aspect": _("What it shows"),
        "aspectUnknown": _("shows: not said"),
        "guess": _("shows: {aspect}, I guess"),
        "unseen": _("{name} cannot be shown here, but the server may read it."),
        "onMap": _("Choose on a map"),
        "hereNow": _("Where I am"),
        "noPlace": _("No place"),
        "notLocated": _("This device did not tell where it is."),
        "photoKnowsPlace": _("Your photo knows where it was taken. Use that? It stays in this form until you send it."),
        "photoKnowsDay": _("Your photo knows when it was taken. Use that?"),
        "useBoth": _("Use place and day"),
        "usePlace": _("Use the place"),
        "useDay": _("Only the day: {day}"),
        "useNothing": _("Use neither"),
        "nearestFlora": _("Nearest to the place: {title}."),
        "useFlora": _("Use “{title}”"),
        "floraChosen": _("Chosen: {title}"),
    }
    return {
        "words": own | sending_words() | box_words() | compare_words() | map_words(),
        "urls": {
            "taxa": url_for("taxa.complete_names"),
            "save": url_for("page.show_new_observation", carried="yes"),
            **map_urls(),
        },
        "aspects": aspect_words(),
        **map_parts(),
    }


def floras_words() -> dict[str, Any]:
    """For the list of floras."""
    return {"words": map_words() | {"species": _("{number} species")}, "urls": map_urls(), **map_parts()}


def flora_words(flora: str) -> dict[str, Any]:
    """For a flora's list of species."""
    return {
        "words": {
            "found": _("{number} species"),
            "none": _("none"),
            "photos": _("{number} photos"),
            "list": _("Species"),
            "toxic": _("stated toxic by a source"),
        },
        "urls": {
            "species": url_for("page.list_flora_species", flora=flora),
            "page": url_for("page.show_species", species=0).removesuffix("0"),
        },
    }


def species_words(species: int) -> dict[str, Any]:
    """For a species' page."""
    return {
        "words": map_words() | compare_words() | {"records": _("{number} records")},
        "urls": map_urls() | {"cells": url_for("page.list_cells", species=species)},
        **map_parts(),
    }


def similar_words() -> dict[str, Any]:
    """For similar images."""
    own = {
        "rank": _("Find similar photos"),
        "searching": _("Looking for more …"),
        "end": _("That is all."),
        "box": _("Search by a part of it"),
        "dropHint": _("or drop or paste a photo anywhere on this page"),
    }
    return {
        "words": own | sending_words() | box_words() | compare_words(),
        "urls": {"taxa": url_for("taxa.complete_names"), "similar": url_for("page.show_similar")},
    }


def atlas_words(flora: str) -> dict[str, Any]:
    """For the atlas."""
    return {
        "words": {
            "atlas": _("Atlas: arrow keys move, plus and minus zoom"),
            "doubtful": _("doubtful: lies among {name}"),
            "noAuthor": _("author not stated"),
            "noLicence": _("licence not stated"),
            "loading": _("Loading …"),
            "points": _("{number} photos"),
            "species": _("The species"),
            "similar": _("more like it"),
            "close": _("Close"),
            "zoomIn": _("Closer"),
            "zoomOut": _("Farther"),
        },
        "urls": {
            "points": url_for("page.list_points", flora=flora),
            "names": url_for("page.list_point_names", flora=flora),
            "photos": url_for("page.list_point_photos"),
        },
    }
