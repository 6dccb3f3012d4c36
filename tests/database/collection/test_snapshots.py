"""The log of built and published snapshots."""

from __future__ import annotations

from database.collection.snapshots import log_built, log_published
from database.models import PublishedSnapshot
from database.session import Database


def test_a_snapshot_is_logged_when_it_is_built_and_when_it_is_published(database: Database) -> None:
    with database.writing() as session:
        log_built(session, "0123456789abcdef", "descriptor@1", 12, 3)
    with database.writing() as session:
        log_published(session, "0123456789abcdef")

    with database.reading() as session:
        logged = session.get(PublishedSnapshot, "0123456789abcdef")
        assert logged is not None
        assert (logged.model, logged.references, logged.species) == ("descriptor@1", 12, 3)
        assert logged.published is not None
        assert logged.built <= logged.published


def test_building_the_same_again_keeps_its_first_time(database: Database) -> None:
    with database.writing() as session:
        log_built(session, "0123456789abcdef", "descriptor@1", 12, 3)
        first = session.get(PublishedSnapshot, "0123456789abcdef")
        assert first is not None
        built = first.built
    with database.writing() as session:
        log_built(session, "0123456789abcdef", "descriptor@1", 12, 3)
        log_published(session, "a stranger's snap")

    with database.reading() as session:
        again = session.get(PublishedSnapshot, "0123456789abcdef")
        assert again is not None
        assert again.built == built
        assert again.published is None
