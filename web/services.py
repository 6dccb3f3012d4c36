"""What the routes are given: the open snapshot, the model, the reference photos, the limits. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from flask import current_app

from database.areas import flora_countries
from database.datasets import DatasetCredit, dataset_credits
from database.photo_facts import PhotoFacts, photo_facts
from database.photos import reference, stored_path
from database.session import Database, open_database
from retrieval.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.views import PhotoLimits
from settings import Settings
from web.answers import KeptAnswers
from web.published import Published
from web.reference_photos import LocatedPhotos, PhotoSource


def no_facts(_photos: Collection[str]) -> Mapping[str, PhotoFacts]:
    """What is known of photos where there is no catalogue."""
    return {}


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request needs. A test gives its own."""

    published: Published
    embedder: Callable[[], Embedder]  # opens the model the first time
    photos: PhotoSource
    limits: PhotoLimits
    answers: KeptAnswers
    flora_countries: Callable[[], Mapping[str, tuple[str, ...]]] = dict  # alpha-2 codes of each flora
    datasets: Callable[[], Mapping[str, DatasetCredit]] = dict
    photo_facts: Callable[[Collection[str]], Mapping[str, PhotoFacts]] = no_facts
    tiles: str = ""  # address of map tiles with {z}, {x} and {y}; empty: outlines of countries only
    tiles_credit: str = ""  # who made the tiles, shown on every map


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

    def countries() -> Mapping[str, tuple[str, ...]]:
        with database().reading() as session:
            return flora_countries(session)

    def datasets() -> Mapping[str, DatasetCredit]:
        with database().reading() as session:
            return dataset_credits(session)

    def facts(photos: Collection[str]) -> Mapping[str, PhotoFacts]:
        with database().reading() as session:
            return photo_facts(session, photos)

    def stored(sha256: str) -> Path:
        return stored_path(settings.data / "photos", sha256)

    return Services(
        published=Published(settings.flora_indexes, lambda snapshot: snapshot.require_model(embedder().model)),
        embedder=embedder,
        photos=LocatedPhotos(locate, stored),
        limits=PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos),
        answers=KeptAnswers(settings.data / "answers", settings.answer_days),
        flora_countries=countries,
        datasets=datasets,
        photo_facts=facts,
        tiles=settings.tiles,
        tiles_credit=settings.tiles_credit,
    )


def services() -> Services:
    """The services of the application that answers the request."""
    return cast(Services, current_app.extensions["services"])
