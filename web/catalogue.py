"""What requests read of the catalogue beside the snapshot: days, credits, sizes, countries, locations of photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from database.collection.datasets import DatasetCredit, dataset_credits
from database.collection.photos import event_dates, photo_shapes, reference
from database.session import Database
from database.taxonomy.areas import flora_countries
from database.taxonomy.flora_places import FloraPlace, flora_places


class Catalogue:
    """A catalogue that knows nothing: a server without a database shows less, and no error."""

    def event_dates(self, photos: Sequence[str]) -> Mapping[str, date]:
        """The days on which reference photos were taken, by sha256; raises DatabaseError."""
        return {}

    def credits(self, datasets: Sequence[str]) -> Mapping[str, DatasetCredit]:
        """How datasets are cited, by their ids; raises DatabaseError."""
        return {}

    def shapes(self, photos: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Width and height of reference photos in pixels, by sha256; raises DatabaseError."""
        return {}

    def flora_countries(self) -> Mapping[str, tuple[str, ...]]:
        """The countries of each flora as ISO 3166 alpha-2 codes; raises DatabaseError."""
        return {}

    def flora_places(self) -> Sequence[FloraPlace]:
        """Where the region of each flora lies; raises DatabaseError."""
        return ()


class DatabaseCatalogue(Catalogue):
    """The catalogue of a database, which is opened by the first question."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    def location(self, sha256: str) -> str:
        """Where the file of a reference photo lies; raises UnknownPhoto."""
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
