"""What can go wrong with the database, worded for the person who can act."""

from __future__ import annotations

from retrieval.errors import FungariumError


class DatabaseError(FungariumError):
    """The database cannot be reached, opened or written."""


class DatabaseBusy(DatabaseError):
    """Somebody else is writing, and has been for too long to wait."""


class SchemaMismatch(DatabaseError):
    """The tables are not those of this version: none, older, newer, or of something else."""
