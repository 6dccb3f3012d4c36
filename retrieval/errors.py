"""What can go wrong, worded for the person who can act.

The core knows no HTTP; `web/http/errors.py` maps these to statuses.
"""


class FungariumError(Exception):
    """Base of every error this project raises on purpose; its text is a sentence for a person."""


class IdentificationError(FungariumError):
    """An answer could not be given."""


class UnreadablePhoto(IdentificationError):
    """The bytes are no photograph that can be decoded."""


class UnsupportedPhoto(UnreadablePhoto):
    """The bytes are a file of a kind that is not accepted."""


class PhotoTooLarge(IdentificationError):
    """More bytes or pixels than the limits allow; found before decoding."""


class TooManyPhotos(IdentificationError):
    """More photos than one observation may have."""


class NoPhoto(IdentificationError):
    """An identification was asked for without a photo."""


class PhotoNotFetched(IdentificationError):
    """A photo could not be fetched from the address that was given for it."""


class ForbiddenAddress(PhotoNotFetched):
    """An address that is not asked: no web address, or not one of the public internet."""


class UnknownFlora(IdentificationError):
    """No flora of that name in the snapshot."""


class UnknownTaxon(IdentificationError):
    """No taxon of that id in the snapshot."""


class UnknownPhoto(IdentificationError):
    """No reference photo of that id."""


class PlaceUnavailable(IdentificationError):
    """A place was given that is none on Earth, or that cannot be used here."""


class InvalidOption(IdentificationError):
    """An option of an identification has a value that there is not."""


class SnapshotError(FungariumError):
    """A snapshot cannot be opened, or there is none."""


class NoSnapshot(SnapshotError):
    """Nothing has been published yet."""


class DamagedSnapshot(SnapshotError):
    """A file is missing, has another length, or another checksum than the manifest says."""


class SnapshotMismatch(SnapshotError):
    """The snapshot is of another format or was made with another model."""


class ModelError(FungariumError):
    """A model cannot be opened or does not keep the embedder's promise."""


class UnknownModel(ModelError):
    """The model handle names nothing that can be opened."""


class ModelUnavailable(ModelError):
    """What runs the model, a server or a process, gives no answer. It may be back; no photo is at fault."""


class ClusterError(FungariumError):
    """The cluster cannot be reached or used."""


class ShardUnavailable(ClusterError):
    """A part of the references gives no answer, and nothing that holds the same does."""


class BuildError(FungariumError):
    """The indexer cannot go on with what it was given."""


class ArchiveError(BuildError):
    """An archive cannot be read; names the file and, where there is one, the line."""


class SettingsError(FungariumError):
    """A setting is unknown or has an impossible value."""
