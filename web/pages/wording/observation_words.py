"""Texts and URLs for the scripts of observations, review and administration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import url_for
from flask_babel import gettext as _

from web.pages.wording.script_words import box_words, compare_words, identify_words, map_parts, map_urls, map_words


def recording_words() -> dict[str, Any]:
    """For the form of an observation, which has the photos and the location of the home page."""
    said = identify_words()
    own = {
        "rank": _("Save observation"),
        "comparing": _("Saving …"),
        "nearestFlora": _("Checklist for this location: {title}."),
        "signIn": _("Sign in and continue"),
        "carried": _("Your photos have been added. Obscure the location if you wish, then save."),
    }
    following = url_for("page.show_new_observation", carried="yes")
    return said | {
        "words": said["words"] | own | box_words(),
        "urls": said["urls"] | {"signIn": url_for("page.show_sign_in", next=following)},
    }


def observation_words(observation: Mapping[str, Any]) -> dict[str, Any]:
    """For an observation's page, with its place as the visitor may see it."""
    return {
        "words": map_words() | compare_words(),
        "urls": {"taxa": url_for("taxa.complete_names"), **map_urls()},
        "points": [point(observation)] if observation["decimalLatitude"] is not None else [],
        **map_parts(),
    }


def observations_words(listed: Sequence[Mapping[str, Any]], near: str | None) -> dict[str, Any]:
    """For a list, with the places of its observations; `near` is the point of the search, None on other lists."""
    return {
        "words": map_words()
        | {
            "clickNear": _("Click the map to search near another place."),
            "hereNow": _("Use my location"),
            "notLocated": _("Your location is not available."),
        },
        "urls": {"taxa": url_for("taxa.complete_names"), **map_urls()},
        "points": [point(one) for one in listed if one["decimalLatitude"] is not None],
        "near": near,
        **map_parts(),
    }


def point(observation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an observation's point on the map, exact or obscured as in the answer."""
    taxon = observation["taxon"]
    return {
        "latitude": observation["decimalLatitude"],
        "longitude": observation["decimalLongitude"],
        "metres": observation["coordinateUncertaintyInMeters"] or 0,
        "cell": not observation["placeExact"],
        "title": taxon["scientificName"] if taxon else _("Unknown"),
        "url": url_for("page.show_observation", key=observation["id"]),
    }


def validate_words() -> dict[str, Any]:
    """For the review queue."""
    return {
        "words": compare_words() | {"shortcutsOn": _("Shortcuts are on."), "shortcutsOff": _("Shortcuts are off.")},
        "urls": {"taxa": url_for("taxa.complete_names")},
    }


def publication_words() -> dict[str, Any]:
    """For the page of a publication."""
    return {"words": {"stale": _("The server could not be reached. This page may be out of date.")}, "urls": {}}


def imports_words() -> dict[str, Any]:
    """For the list of imports."""
    return {"words": {"stale": _("The server could not be reached. This page may be out of date.")}, "urls": {}}
