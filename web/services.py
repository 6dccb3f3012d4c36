"""What the routes are given: the open snapshot, the model, the reference photos, the limits. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import cast

from flask import current_app

from database.flora_places import FloraPlace, flora_places
from database.photos import event_dates, reference, stored_path
from database.session import Database, open_database
from retrieval.addresses import Guard, parse_networks
from retrieval.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.views import PhotoLimits
from settings import Settings
from web.contracts.given import Contracts
from web.cors import parse_origins
from web.published import Published
from web.reference_photos import LocatedPhotos, PhotoSource


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request needs. A test gives its own."""

    published: Published
    embedder: Callable[[], Embedder]  # opens the model the first time
    photos: PhotoSource
    limits: PhotoLimits
    contracts: Contracts = field(default_factory=Contracts)


def make_services(settings: Settings) -> Services:
    """Put the services together; each opens its files when it is first asked."""

    @cache
    def embedder() -> Embedder:
        return open_model(settings.model, Path(settings.model_card) if settings.model_card else None)

    @cache
    def database() -> Database:
        return open_database(settings.database_url)

    def locate(sha256: str) -> str:
        with database().reading() as session:
            return reference(session, sha256).location

    def stored(sha256: str) -> Path:
        return stored_path(settings.data / "photos", sha256)

    def places() -> list[FloraPlace]:
        with database().reading() as session:
            return flora_places(session)

    def dates(photos: Sequence[str]) -> Mapping[str, date]:
        with database().reading() as session:
            return event_dates(session, photos)

    return Services(
        published=Published(settings.flora_indexes, lambda snapshot: snapshot.require_model(embedder().model)),
        embedder=embedder,
        photos=LocatedPhotos(locate, stored),
        limits=PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos),
        contracts=Contracts(
            places, dates, Guard(parse_networks(settings.fetch_allow)), parse_origins(settings.cors_origins)
        ),
    )


def services() -> Services:
    """The services of the application that answers the request."""
    return cast(Services, current_app.extensions["services"])
