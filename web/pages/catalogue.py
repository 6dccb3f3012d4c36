"""What the pages take from the catalogue beside the snapshot; without a database they show less, and no error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import current_app

from database.errors import DatabaseError
from web.services import services


def known_shapes(photos: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Width and height of reference photos, by their sha256."""
    try:
        return services().catalogue.shapes(photos)
    except DatabaseError as error:
        current_app.logger.warning("shapes of photos are not known: %s", error)
        return {}


def known_countries() -> Mapping[str, tuple[str, ...]]:
    """The countries of each flora, alpha-2."""
    try:
        return services().catalogue.flora_countries()
    except DatabaseError as error:
        current_app.logger.warning("countries of floras are not known: %s", error)
        return {}
