"""Stores curated photos under their observations, and resolves duplicates and conflicting identifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session, joinedload

from database.keys import short_key
from database.models import Observation, Photo, Taxon


@dataclass(frozen=True, slots=True)
class ObservationEntry:
    """An observation of a dataset: one fungus, one person, one place and time, with its taxon resolved."""

    key: str  # the dataset's id of the observation
    species: int  # taxon id
    event_date: date | None = None
    decimal_latitude: float | None = None
    decimal_longitude: float | None = None
    coordinate_uncertainty: float | None = None  # metres
    country_code: str = ""
    recorded_by: str = ""
    habitat: str = ""
    substrate: str = ""


@dataclass(frozen=True, slots=True)
class PhotoEntry:
    """An inspected photo with the dataset's metadata."""

    record_key: str  # path or URL as given in the archive
    observation: ObservationEntry
    sha256: str
    location: str  # absolute path, or `store:SHA256`
    byte_count: int
    width: int
    height: int
    media_format: str
    creator: str = ""
    rights_holder: str = ""
    licence: str = ""
    references: str = ""
    aspect: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class FiledPhoto:
    """A photo that is in the collection; `added` tells whether it is new."""

    added: bool


@dataclass(frozen=True, slots=True)
class RefusedPhoto:
    """A rejected photo. `reason` is a short stable code, `detail` a sentence."""

    reason: str
    detail: str


def file_photos(
    session: Session, dataset: str, run: int, entries: Sequence[PhotoEntry]
) -> list[FiledPhoto | RefusedPhoto]:
    """Store the photos of one batch in the order given; returns one result per entry.

    Within a run the first record wins: a repeated photo is a duplicate, and another name for an observation is a
    conflict. Records of earlier runs are overwritten, since identifications and licences get corrected.
    """
    shelf = _Shelf(session, dataset, run, entries)
    outcomes = [shelf.file(entry) for entry in entries]
    shelf.write_new()
    session.flush()
    return outcomes


def drop_photos(session: Session, dataset: str, run: int, record_keys: Sequence[str]) -> None:
    """Delete photos that earlier runs accepted and this run rejects, such as after a change of licence."""
    keys = [short_key(key, 512) for key in record_keys]
    session.execute(
        delete(Photo)
        .where(Photo.dataset_id == dataset, Photo.record_key.in_(keys), Photo.withdrawn.is_(False))
        .where(Photo.import_run_id.is_distinct_from(run)),
        execution_options={"synchronize_session": False},
    )


def drop_unmentioned(session: Session, dataset: str, run: int) -> int:
    """Delete the photos of `dataset` that a run did not accept, for sources that always give everything.

    Withdrawn photos stay, so that they are recognised. Returns how many were deleted.
    """
    gone = session.execute(
        delete(Photo)
        .where(Photo.dataset_id == dataset, Photo.withdrawn.is_(False))
        .where(Photo.import_run_id.is_distinct_from(run)),
        execution_options={"synchronize_session": False},
    )
    drop_empty_observations(session, dataset)
    return int(gone.rowcount)  # type: ignore[attr-defined]


def drop_empty_observations(session: Session, dataset: str) -> None:
    """Delete the observations of `dataset` without photos."""
    has_photo = exists().where(Photo.observation_id == Observation.id)
    session.execute(
        delete(Observation).where(Observation.dataset_id == dataset, ~has_photo),
        execution_options={"synchronize_session": False},
    )


class _NewObservation:
    """An observation that is inserted with the others of its batch, with the attributes of its row."""

    id = 0  # until it is inserted

    def __init__(self, dataset: str, key: str) -> None:
        self.dataset_id, self.observation_key = dataset, key
        self.taxon_id = 0
        self.import_run_id: int | None = None


class _NewPhoto:
    """A photo that is inserted with the others of its batch, with the attributes of its row."""

    withdrawn = False
    observation: Observation | _NewObservation
    record_key: str
    sha256: str

    def __init__(self, dataset: str) -> None:
        self.dataset_id = dataset
        self.import_run_id: int | None = None


class _Shelf:
    """One batch: the existing rows of its photos and observations, loaded in bulk, and new ones, inserted in bulk."""

    def __init__(self, session: Session, dataset: str, run: int, entries: Sequence[PhotoEntry]) -> None:
        self.session = session
        self.dataset = dataset
        self.run = run
        keys = {short_key(entry.record_key, 512) for entry in entries}
        digests = {entry.sha256 for entry in entries}
        observed = {short_key(entry.observation.key, 255) for entry in entries}
        with_observation = select(Photo).options(joinedload(Photo.observation))
        by_key = with_observation.where(Photo.dataset_id == dataset, Photo.record_key.in_(keys))
        by_digest = with_observation.where(Photo.sha256.in_(digests))
        seen = select(Observation).where(Observation.dataset_id == dataset, Observation.observation_key.in_(observed))
        self.by_key: dict[str, Photo | _NewPhoto] = {photo.record_key: photo for photo in session.scalars(by_key)}
        self.by_digest: dict[str, Photo | _NewPhoto] = {photo.sha256: photo for photo in session.scalars(by_digest)}
        self.observations: dict[str, Observation | _NewObservation] = {
            observation.observation_key: observation for observation in session.scalars(seen)
        }
        self.new_photos: list[_NewPhoto] = []
        self.new_observations: list[_NewObservation] = []

    def file(self, entry: PhotoEntry) -> FiledPhoto | RefusedPhoto:
        key = short_key(entry.record_key, 512)
        photo = self.by_key.get(key)
        twin = self.by_digest.get(entry.sha256)
        if photo is not None and (photo.withdrawn or photo.import_run_id == self.run):
            return self._refuse(entry, photo)
        if twin is photo:
            twin = None
        if twin is not None and (twin.withdrawn or twin.dataset_id != self.dataset or twin.import_run_id == self.run):
            return self._refuse(entry, twin)
        observation = self._observe(entry.observation)
        if isinstance(observation, RefusedPhoto):
            return observation
        if twin is not None:
            # Stored by an earlier run under a path not seen in this run: the file was renamed.
            if photo is not None:
                self._remove(photo)
            photo = twin
            self.by_key.pop(twin.record_key, None)
        added = photo is None
        if photo is None:
            photo = _NewPhoto(self.dataset)
            self.new_photos.append(photo)
        else:
            self.by_digest.pop(photo.sha256, None)
            observation = self._row_of(observation)
        renewed = not added and (photo.sha256, photo.record_key) != (entry.sha256, key)
        _describe(photo, key, entry, observation, self.run)
        if renewed:  # now: the next photo may have this one's former digest or path
            self.session.flush()
        self.by_key[key] = self.by_digest[entry.sha256] = photo
        return FiledPhoto(added)

    def write_new(self) -> None:
        """Insert what is new, observations before their photos."""
        if self.new_observations:
            numbers = insert(Observation).returning(Observation.id, sort_by_parameter_order=True)
            inserted = self.session.scalars(numbers, [vars(observation) for observation in self.new_observations])
            for observation, number in zip(self.new_observations, list(inserted), strict=True):
                observation.id = number
            self.new_observations = []
        if self.new_photos:
            self.session.execute(insert(Photo), [
                {name: value for name, value in vars(photo).items() if name != "observation"}
                | {"observation_id": photo.observation.id}
                for photo in self.new_photos
            ])  # fmt: skip
            self.new_photos = []

    def _row_of(self, observation: Observation | _NewObservation) -> Observation:
        """Return the row of an observation, inserting a new one first, since an existing photo moves to it."""
        if isinstance(observation, Observation):
            return observation
        self.write_new()
        row = self.session.get_one(Observation, observation.id)
        self.observations[row.observation_key] = row
        return row

    def _remove(self, photo: Photo | _NewPhoto) -> None:
        self.by_key.pop(photo.record_key, None)
        self.by_digest.pop(photo.sha256, None)
        self.session.delete(photo)
        self.session.flush()

    def _refuse(self, entry: PhotoEntry, photo: Photo | _NewPhoto) -> RefusedPhoto:
        """Return why `entry` is rejected in favour of `photo`, which has the same bytes or the same path."""
        where = f"{photo.record_key} in dataset {photo.dataset_id}"
        if photo.withdrawn:
            return RefusedPhoto("withdrawn", f"this photo was withdrawn: {where}")
        if photo.observation.taxon_id != entry.observation.species:
            mine, theirs = self._name(entry.observation.species), self._name(photo.observation.taxon_id)
            return RefusedPhoto(
                "conflicting-duplicate", f"the same photo is identified as {mine} and as {theirs}: {where}"
            )
        return RefusedPhoto("duplicate", f"the same photo is there already: {where}")

    def _observe(self, entry: ObservationEntry) -> Observation | _NewObservation | RefusedPhoto:
        key = short_key(entry.key, 255)
        observation = self.observations.get(key)
        if observation is None:
            observation = _NewObservation(self.dataset, key)
            self.new_observations.append(observation)
            self.observations[key] = observation
            _overwrite(observation, entry)
        elif observation.import_run_id != self.run:
            _overwrite(observation, entry)
        elif observation.taxon_id != entry.species:
            mine, theirs = self._name(entry.species), self._name(observation.taxon_id)
            return RefusedPhoto("conflicting-identification", f"observation {key} is both {theirs} and {mine}")
        else:
            _complete(observation, entry)
        observation.import_run_id = self.run
        return observation

    def _name(self, taxon_id: int) -> str:
        return self.session.get_one(Taxon, taxon_id).scientific_name


_FIELDS = (
    "event_date",
    "decimal_latitude",
    "decimal_longitude",
    "coordinate_uncertainty",
    "country_code",
    "recorded_by",
    "habitat",
    "substrate",
)


def _overwrite(observation: Observation | _NewObservation, entry: ObservationEntry) -> None:
    observation.taxon_id = entry.species
    for name in _FIELDS:
        setattr(observation, name, getattr(entry, name))


def _complete(observation: Observation | _NewObservation, entry: ObservationEntry) -> None:
    for name in _FIELDS:
        if getattr(observation, name) in (None, ""):
            setattr(observation, name, getattr(entry, name))


def _describe(
    photo: Photo | _NewPhoto, key: str, entry: PhotoEntry, observation: Observation | _NewObservation, run: int
) -> None:
    photo.record_key = key
    photo.observation = observation
    photo.import_run_id = run
    for name in (
        "sha256",
        "location",
        "byte_count",
        "width",
        "height",
        "media_format",
        "creator",
        "rights_holder",
        "licence",
        "references",
        "aspect",
        "position",
    ):
        setattr(photo, name, getattr(entry, name))
