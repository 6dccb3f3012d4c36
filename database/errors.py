"""Exceptions of the database package, with messages for the person who can act."""

from __future__ import annotations

from retrieval.errors import FungariumError


class DatabaseError(FungariumError):
    """The database cannot be reached, opened or written."""


class DatabaseBusy(DatabaseError):
    """Another process has held the write lock for too long."""


class DatabaseFull(DatabaseError):
    """The disk of the database is full."""


class UnknownRun(FungariumError):
    """There is no import run of that id."""


class SchemaMismatch(DatabaseError):
    """The tables are missing, of an older or newer version, or of another program."""


class NoDatabase(SchemaMismatch):
    """There is no database yet."""


class PersonError(FungariumError):
    """Base class of errors about people and API keys."""


class UnknownPerson(PersonError):
    """There is no such person."""


class UnknownKey(PersonError):
    """There is no such API key, or it belongs to another person."""


class InvalidPerson(PersonError):
    """The data of a person are invalid."""


class InvalidKey(PersonError):
    """A key cannot be issued with these scopes, or the person has too many."""


class UnknownLink(PersonError):
    """There is no such link, or it was used, has expired or was revoked."""


class InvalidLink(PersonError):
    """A link cannot be made so."""


class WeakPassword(PersonError):
    """The password is too short."""


class FieldError(FungariumError):
    """Base class of errors about observations."""


class UnknownObservation(FieldError):
    """There is no such observation."""


class UnknownFieldPhoto(FieldError):
    """The observation has no such photo."""


class NotOwner(FieldError):
    """The observation belongs to another person."""


class UnknownName(FieldError):
    """The taxon is not in the taxonomy, or its name is ambiguous."""


class InvalidVerdict(FieldError):
    """The identification or approval is not allowed."""


class InvalidObservation(FieldError):
    """The data of an observation are invalid."""


class StoreUnavailable(FungariumError):
    """The photo store cannot be written or read."""


class StoreFull(StoreUnavailable):
    """The disk of the photo store is full."""


class BackupError(FungariumError):
    """A backup cannot be made, read or restored."""


class ArchiveBusy(FungariumError):
    """An archive of observations is being written by somebody else."""
