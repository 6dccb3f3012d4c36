"""Metadata that requests read from the database besides the snapshot: dates, credits, sizes, countries, photo paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from database.collection.datasets import DatasetCredit, dataset_credits
from database.collection.photos import event_dates, photo_shapes, reference
from database.session import Database
from database.taxonomy.areas import flora_countries
from database.taxonomy.flora_places import FloraPlace, flora_places


class Catalogue:
    """An empty catalogue, for a server without a database: it shows less, and raises no errors."""

    def event_dates(self, photos: Sequence[str]) -> Mapping[str, date]:
        """Return the dates on which reference photos were taken, by SHA-256; raises DatabaseError."""
        return {}

    def credits(self, datasets: Sequence[str]) -> Mapping[str, DatasetCredit]:
        """Return the citations of datasets, by id; raises DatabaseError."""
        return {}

    def shapes(self, photos: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Return width and height of reference photos in pixels, by SHA-256; raises DatabaseError."""
        return {}

    def flora_countries(self) -> Mapping[str, tuple[str, ...]]:
        """Return the countries of each flora as ISO 3166 alpha-2 codes; raises DatabaseError."""
        return {}

    def flora_places(self) -> Sequence[FloraPlace]:
        """Return the location of each flora's region; raises DatabaseError."""
        return ()


class DatabaseCatalogue(Catalogue):
    """The catalogue in a database, which is opened at the first query."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    def location(self, sha256: str) -> str:
        """Return the path of a reference photo; raises UnknownPhoto."""
        with self._database().reading() as session:
            return reference(session, sha256).location

    def event_dates(self, photos: Sequence[str]) -> Mapping[str, date]:
        with self._database().reading() as session:
            return event_dates(session, photos)

    def credits(self, datasets: Sequence[str]) -> Mapping[str, DatasetCredit]:
        with self._database().reading() as session:
            return dataset_credits(session, datasets)

    def shapes(self, photos: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        with self._database().reading() as session:
            return photo_shapes(session, photos)

    def flora_countries(self) -> Mapping[str, tuple[str, ...]]:
        with self._database().reading() as session:
            return flora_countries(session)

    def flora_places(self) -> Sequence[FloraPlace]:
        with self._database().reading() as session:
            return flora_places(session)
