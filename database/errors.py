"""What can go wrong with the database, worded for the person who can act."""

from __future__ import annotations

from retrieval.errors import FungariumError


class DatabaseError(FungariumError):
    """The database cannot be reached, opened or written."""


class DatabaseBusy(DatabaseError):
    """Somebody else is writing, and has been for too long to wait."""


class SchemaMismatch(DatabaseError):
    """The tables are not those of this version: none, older, newer, or of something else."""


class PersonError(FungariumError):
    """Something that was asked of people or keys cannot be done."""


class UnknownPerson(PersonError):
    """There is no such person."""


class UnknownKey(PersonError):
    """There is no such API key, or it is somebody else's."""


class ImpossiblePerson(PersonError):
    """A person cannot be made or changed so."""


class ImpossibleKey(PersonError):
    """A key cannot be issued so."""


class WeakPassword(PersonError):
    """A password is too short to keep anybody out."""
