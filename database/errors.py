"""What can go wrong with the database, worded for the person who can act."""

from __future__ import annotations

from retrieval.errors import FungariumError


class DatabaseError(FungariumError):
    """The database cannot be reached, opened or written."""


class DatabaseBusy(DatabaseError):
    """Somebody else is writing, and has been for too long to wait."""


class UnknownRun(FungariumError):
    """There is no such import."""


class SchemaMismatch(DatabaseError):
    """The tables are not those of this version: none, older, newer, or of something else."""


class PersonError(FungariumError):
    """Something that was asked of people or keys cannot be done."""


class UnknownPerson(PersonError):
    """There is no such person."""


class UnknownKey(PersonError):
    """There is no such API key, or it is somebody else's."""


class InvalidPerson(PersonError):
    """A person cannot be made or changed so."""


class InvalidKey(PersonError):
    """A key cannot be issued so."""


class WeakPassword(PersonError):
    """A password is too short to keep anybody out."""


class FieldError(FungariumError):
    """Something that was asked of observations cannot be done."""


class UnknownObservation(FieldError):
    """There is no such observation."""


class UnknownFieldPhoto(FieldError):
    """The observation has no such photo."""


class NotOwner(FieldError):
    """The observation is somebody else's."""


class UnknownName(FieldError):
    """A taxon is not in the catalogue."""


class InvalidVerdict(FieldError):
    """A verdict cannot be given so."""


class InvalidObservation(FieldError):
    """An observation cannot be recorded or changed so."""


class StoreUnavailable(FungariumError):
    """Photos cannot be kept or read."""


class StoreFull(StoreUnavailable):
    """There is no room left for photos."""


class BackupError(FungariumError):
    """A backup cannot be made, read or restored."""
