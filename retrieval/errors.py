"""Exceptions raised on purpose, with messages for the person who can act.

They are independent of HTTP; `web/http/errors.py` maps them to status codes.
"""


class FungariumError(Exception):
    """Base class of every error this project raises on purpose; its message is a sentence for the user."""


class IdentificationError(FungariumError):
    """An identification or a similar-image search failed."""


class UnreadablePhoto(IdentificationError):
    """The bytes cannot be decoded as a photo."""


class UnsupportedPhoto(UnreadablePhoto):
    """The file format is not accepted."""


class PhotoTooLarge(IdentificationError):
    """The photo has more bytes or pixels than the limits allow; checked before decoding."""


class TooManyPhotos(IdentificationError):
    """There are more photos than one observation may have."""


class NoPhoto(IdentificationError):
    """The request has no photo."""


class PhotoNotFetched(IdentificationError):
    """A photo could not be fetched from its URL."""


class ForbiddenAddress(PhotoNotFetched):
    """The URL is not an HTTP address, or not on the public internet; it is not requested."""


class UnknownFlora(IdentificationError):
    """The snapshot has no flora of that name."""


class UnknownTaxon(IdentificationError):
    """The snapshot has no taxon of that id."""


class UnknownPhoto(IdentificationError):
    """There is no reference photo of that id."""


class PlaceUnavailable(IdentificationError):
    """The coordinates are invalid, or the snapshot cannot use a place."""


class InvalidOption(IdentificationError):
    """An option of an identification has an invalid value."""


class SnapshotError(FungariumError):
    """There is no snapshot, or it cannot be opened."""


class NoSnapshot(SnapshotError):
    """No snapshot has been published yet."""


class UnknownLine(NoSnapshot):
    """There is no published line of this name."""


class DamagedSnapshot(SnapshotError):
    """A file is missing, or its length or checksum differs from the manifest."""


class SnapshotMismatch(SnapshotError):
    """The snapshot has another format version or was built with another model."""


class ModelError(FungariumError):
    """A model cannot be opened or does not fulfil the `Embedder` protocol."""


class UnknownModel(ModelError):
    """The model handle is invalid, or its file does not exist."""


class ModelUnavailable(ModelError):
    """The server or process that runs the model does not answer. Temporary, and not the photo's fault."""


class ClusterError(FungariumError):
    """The cluster cannot be reached or used."""


class ShardUnavailable(ClusterError):
    """A shard does not answer, and none of its replicas does."""


class BuildError(FungariumError):
    """The indexer cannot continue with its input."""


class ArchiveError(BuildError):
    """An archive cannot be read; the message gives the file and, where known, the line."""


class BudgetSpent(BuildError):
    """A run may send no more requests, or receive no more bytes."""


class ServiceUnavailable(BuildError):
    """A service does not answer, asks to wait longer than a run waits, or answers something else. Temporary."""


class ServiceRefusal(BuildError):
    """A service refuses a request; sending it again is of no use."""


class SettingsError(FungariumError):
    """A setting is unknown or has an invalid value."""
