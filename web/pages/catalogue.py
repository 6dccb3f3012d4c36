"""Metadata that pages read from the database; without a database they show less, and no error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import current_app

from database.errors import DatabaseError
from web.services import services


def known_shapes(photos: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Return width and height of reference photos in pixels, by SHA-256; empty without a database."""
    try:
        return services().catalogue.shapes(photos)
    except DatabaseError as error:
        current_app.logger.warning("shapes of photos are not known: %s", error)
        return {}


def known_countries() -> Mapping[str, tuple[str, ...]]:
    """Return the countries of each flora as ISO 3166 alpha-2 codes; empty without a database."""
    try:
        return services().catalogue.flora_countries()
    except DatabaseError as error:
        current_app.logger.warning("countries of floras are not known: %s", error)
        return {}
