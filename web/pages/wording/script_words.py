"""Texts and URLs for the scripts of each page, in the visitor's language."""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_babel import gettext as _

from web.http.assets import asset_url
from web.pages.wording.template_words import aspect_words
from web.services import services


def map_parts() -> dict[str, Any]:
    """For the background of a map."""
    return {"tiles": services().tiles, "tilesCredit": services().tiles_credit}


def map_urls() -> dict[str, str]:
    """The URLs that a map loads."""
    return {
        "world": asset_url("world.json"),
        "mapStyles": asset_url("map.css"),
        "areas": url_for("page.list_areas"),
    }


def map_words() -> dict[str, str]:
    """For a map."""
    return {"mapCredit": _("Map data: Natural Earth")}


def compare_words() -> dict[str, str]:
    """For the comparison of two photos."""
    return {
        "compare": _("Both photos, side by side"),
        "zoomIn": _("Zoom in"),
        "zoomOut": _("Zoom out"),
        "close": _("Close"),
        "before": _("Previous photo"),
        "after": _("Next photo"),
        "photoNumber": _("Your photo {number}"),
    }


def box_words() -> dict[str, str]:
    """For the dialogue that crops a photo."""
    return {
        "boxTitle": _("Crop"),
        "boxHelp": _(
            "Drag over the photo to select the fungus. With the keyboard, use the arrow keys to move the frame, "
            "and Shift with the arrow keys to resize it."
        ),
        "boxKeys": _("Crop: arrow keys move the frame, Shift and arrow keys resize it"),
        "boxUse": _("Apply"),
        "boxWhole": _("Use the whole photo"),
        "back": _("Cancel"),
    }


def sending_words() -> dict[str, str]:
    """For the progress and errors of uploads."""
    return {
        "preparing": _("Resizing photos …"),
        "sending": _("Uploading: {share} %"),
        "comparing": _("Comparing …"),
        "offline": _("The server could not be reached. Check your connection and try again."),
        "offlineTitle": _("No connection"),
        "allTooLarge": _("The photos are too large in total. Remove one or choose smaller ones."),
        "allTooLargeTitle": _("Too large"),
        "busy": _("The server is busy or restarting. Try again in a moment."),
        "busyTitle": _("The server is busy"),
        "refused": _("The server did not accept the request."),
        "refusedTitle": _("Not accepted"),
        "stalledTitle": _("No response"),
        "stalled": _("The connection is too slow, or was interrupted. Try again."),
        "cancelled": _("Cancelled."),
        "stillHere": _("Your photos and entries are still here."),
        "tooMany": _("{name} was not added: the maximum is {most} photos."),
        "noPhoto": _("{name} is not a photo. Use JPEG, PNG, WebP or HEIC."),
        "tooLarge": _("{name} is too large."),
    }


def identify_words() -> dict[str, Any]:
    """For the home page."""
    own = {
        "rank": _("Identify"),
        "askAgain": _("Identify again"),
        "keep": _("Share"),
        "saveInForm": _("Add details"),
        "addPhotos": _("Add photos to this one"),
        "restored": _("Your photos from an earlier visit are still here."),
        "discard": _("Discard"),
        "whoseTitle": _("Same fungus?"),
        "whose": _("The results are for the photos before. Is the new photo of the same fungus?"),
        "sameFind": _("Yes, add it"),
        "otherFind": _("No, identify another"),
        "slots": _("Take a photo of"),
        "slot-cap": _("Cap"),
        "slot-hymenium": _("Gills or pores"),
        "slot-stipe": _("Stem with base"),
        "slot-section": _("Cross-section"),
        "slot-habitat": _("Habitat"),
        "dropHint": _("or drag and drop or paste photos"),
        "rotate": _("Rotate"),
        "box": _("Crop"),
        "remove": _("Remove"),
        "aspect": _("Part"),
        "aspectUnknown": _("Part: not set"),
        "guess": _("Part: {aspect} (suggested)"),
        "unseen": _("No preview for {name}; it can still be identified."),
        "onMap": _("Choose on a map"),
        "hereNow": _("Use my location"),
        "noPlace": _("Clear location"),
        "notLocated": _("Your location is not available."),
        "photoKnowsPlace": _(
            "This photo includes a location. Use it? It stays on your device until you submit the form."
        ),
        "photoKnowsDay": _("This photo includes a date. Use it?"),
        "useBoth": _("Use date and location"),
        "usePlace": _("Use location"),
        "useDay": _("Use date only ({day})"),
        "useNothing": _("Don’t use"),
        "nearestFlora": _("Checklist for this location: {title}."),
        "useFlora": _("Use “{title}”"),
        "floraChosen": _("Chosen: {title}"),
    }
    return {
        "words": own | sending_words() | box_words() | compare_words() | map_words(),
        "urls": {
            "taxa": url_for("taxa.complete_names"),
            "record": url_for("page.record_find"),
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
            "toxic": _("listed as toxic"),
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
    """For similar photos."""
    own = {
        "rank": _("Find similar photos"),
        "searching": _("Loading more …"),
        "end": _("No more photos."),
        "box": _("Crop"),
        "dropHint": _("or drag and drop or paste a photo"),
    }
    return {
        "words": own | sending_words() | box_words() | compare_words(),
        "urls": {"taxa": url_for("taxa.complete_names"), "similar": url_for("page.show_similar")},
    }


def atlas_words(flora: str) -> dict[str, Any]:
    """For the atlas."""
    return {
        "words": {
            "notLoaded": _("The atlas could not be loaded. Load the page again."),
            "atlas": _("Atlas: arrow keys move, plus and minus zoom"),
            "doubtful": _("questionable: looks like {name}"),
            "noAuthor": _("author unknown"),
            "noLicence": _("licence unknown"),
            "loading": _("Loading …"),
            "points": _("{number} photos"),
            "species": _("Species page"),
            "similar": _("Similar photos"),
            "close": _("Close"),
            "zoomIn": _("Zoom in"),
            "zoomOut": _("Zoom out"),
        },
        "urls": {
            "points": url_for("page.list_points", flora=flora),
            "names": url_for("page.list_point_names", flora=flora),
            "photos": url_for("page.list_point_photos"),
        },
    }
