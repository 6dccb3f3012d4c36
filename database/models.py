"""The tables. Column names are the Darwin Core terms in Python spelling where there is one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMES = {  # constraint names are the same on every database, so that migrations can speak of them
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMES)


class Taxon(Base):
    """An accepted node of the taxonomy."""

    __tablename__ = "taxa"
    __table_args__ = (UniqueConstraint("taxon_rank", "scientific_name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    scientific_name: Mapped[str] = mapped_column(String(255), index=True)  # without authorship
    scientific_name_authorship: Mapped[str] = mapped_column(Text, default="")
    taxon_rank: Mapped[str] = mapped_column(String(16))  # one of retrieval.domain.RANKS
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("taxa.id"), index=True)
    gbif_key: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    toxicity: Mapped[str] = mapped_column(Text, default="")  # as the source says it; never an edibility verdict

    parent: Mapped[Taxon | None] = relationship(remote_side="Taxon.id")


class Synonym(Base):
    """A name that points to an accepted taxon."""

    __tablename__ = "synonyms"

    id: Mapped[int] = mapped_column(primary_key=True)
    scientific_name: Mapped[str] = mapped_column(String(255), unique=True)
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    gbif_key: Mapped[int | None] = mapped_column(BigInteger, index=True)


class VernacularName(Base):
    """A common name in one language."""

    __tablename__ = "vernacular_names"
    __table_args__ = (UniqueConstraint("taxon_id", "language", "vernacular_name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    language: Mapped[str] = mapped_column(String(16))  # BCP 47; empty where the source does not say
    vernacular_name: Mapped[str] = mapped_column(String(255))


class Region(Base):
    """A named area."""

    __tablename__ = "regions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # `iso-be`, `wgsrpd-10`, or the person's own slug
    title: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16))  # iso, wgsrpd or own
    country_codes: Mapped[list[str]] = mapped_column(JSON, default=list)  # ISO 3166-1 alpha-2
    geometry: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # GeoJSON, WGS 84


class Checklist(Base):
    """The taxa known from a region."""

    __tablename__ = "checklists"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    region_id: Mapped[str | None] = mapped_column(ForeignKey("regions.id"))
    source: Mapped[str] = mapped_column(Text, default="")
    licence: Mapped[str] = mapped_column(Text, default="")


class ChecklistTaxon(Base):
    """One line of a checklist. The same taxon may be listed for several countries."""

    __tablename__ = "checklist_taxa"
    __table_args__ = (UniqueConstraint("checklist_id", "taxon_id", "country_code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    checklist_id: Mapped[str] = mapped_column(ForeignKey("checklists.id"), index=True)
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    country_code: Mapped[str] = mapped_column(String(2), default="")
    occurrence_status: Mapped[str] = mapped_column(Text, default="present")
    establishment_means: Mapped[str] = mapped_column(Text, default="")
    toxicity: Mapped[str] = mapped_column(Text, default="")


class Flora(Base):
    """What a flora is made of; its species are worked out when a snapshot is built."""

    __tablename__ = "floras"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16))  # checklist, country, wgsrpd, region, list or union
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)  # {"checklists": [...], "regions": [...], "names": [...]}


class Dataset(Base):
    """Where observations come from, with how to cite it."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    citation: Mapped[str] = mapped_column(Text, default="")
    licence: Mapped[str] = mapped_column(Text, default="")
    kind: Mapped[str] = mapped_column(String(32), default="")  # kind of archive it was read from


class Observation(Base):
    """One fungus, one person, one place and time."""

    __tablename__ = "observations"
    __table_args__ = (UniqueConstraint("dataset_id", "observation_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    observation_key: Mapped[str] = mapped_column(String(255))  # as the dataset calls it
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    event_date: Mapped[date | None]
    decimal_latitude: Mapped[float | None]
    decimal_longitude: Mapped[float | None]
    coordinate_uncertainty: Mapped[float | None]  # metres
    country_code: Mapped[str] = mapped_column(String(2), default="", index=True)
    recorded_by: Mapped[str] = mapped_column(Text, default="")
    habitat: Mapped[str] = mapped_column(Text, default="")
    substrate: Mapped[str] = mapped_column(Text, default="")
    import_run_id: Mapped[int | None] = mapped_column(ForeignKey("import_runs.id"))  # the last that spoke of it

    taxon: Mapped[Taxon] = relationship()
    photos: Mapped[list[Photo]] = relationship(back_populates="observation")


class Photo(Base):
    """A photo with author and licence. Its bytes lie at `location`; the table holds none."""

    __tablename__ = "photos"
    __table_args__ = (UniqueConstraint("dataset_id", "record_key"), Index("ix_photos_withdrawn", "withdrawn"))

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observations.id"), index=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    record_key: Mapped[str] = mapped_column(
        String(512)
    )  # path or address as the archive gives it: a second import finds it
    location: Mapped[str] = mapped_column(
        Text
    )  # absolute path, `store:SHA256` in the photo store, or `observation:SHA256` in that of observations
    byte_count: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    media_format: Mapped[str] = mapped_column(String(16))  # JPEG, PNG, WEBP, HEIF
    creator: Mapped[str] = mapped_column(Text, default="")
    rights_holder: Mapped[str] = mapped_column(Text, default="")
    licence: Mapped[str] = mapped_column(Text, default="")
    references: Mapped[str] = mapped_column(Text, default="")
    aspect: Mapped[str] = mapped_column(String(16), default="")
    position: Mapped[int] = mapped_column(default=0)
    withdrawn: Mapped[bool] = mapped_column(default=False)
    import_run_id: Mapped[int | None] = mapped_column(ForeignKey("import_runs.id"))  # the last that accepted it

    observation: Mapped[Observation] = relationship(back_populates="photos")


class InspectedFile(Base):
    """A file or address that was looked at: unchanged, it is not read again, whatever became of the photo."""

    __tablename__ = "inspected_files"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(1024), unique=True)  # path, `ARCHIVE!MEMBER`, or web address
    size: Mapped[int | None] = mapped_column(
        BigInteger
    )  # bytes of the file or archive when it was looked at; None for a web address
    modified: Mapped[float | None]  # its file time
    location: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64), default="")  # empty: the file is no photo, for this reason:
    reason: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[str] = mapped_column(Text, default="")
    byte_count: Mapped[int] = mapped_column(default=0)
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    media_format: Mapped[str] = mapped_column(String(16), default="")


class ImportRun(Base):
    """One import: what was read, kept and left out. accepted + rejected = read."""

    __tablename__ = "import_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    archive: Mapped[str] = mapped_column(Text)
    started: Mapped[datetime]  # UTC, without zone: SQLite keeps none
    finished: Mapped[datetime | None]
    read: Mapped[int] = mapped_column(default=0)
    accepted: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)  # of the accepted, those that were not there before
    rejected: Mapped[int] = mapped_column(default=0)


class ImportFinding:
    """What an import says of one record: the columns of both tables of such findings."""

    id: Mapped[int] = mapped_column(primary_key=True)
    import_run_id: Mapped[int] = mapped_column(ForeignKey("import_runs.id"), index=True)
    reason: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text)
    file: Mapped[str] = mapped_column(Text, default="")
    line: Mapped[int] = mapped_column(default=0)
    photo: Mapped[str] = mapped_column(Text, default="")
    term: Mapped[str] = mapped_column(String(64), default="")  # the Darwin Core term at fault, where it is one
    text: Mapped[str] = mapped_column(Text, default="")  # what stands there


class RejectedRecord(ImportFinding, Base):
    """A record left out of an import, with its reason."""

    __tablename__ = "rejections"


class DroppedValue(ImportFinding, Base):
    """A value that an import did not understand and left out of a record that it kept."""

    __tablename__ = "dropped_values"


class PublishedSnapshot(Base):
    """A snapshot this installation has built or published; the folder itself is the truth, this is its log."""

    __tablename__ = "snapshots"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    built: Mapped[datetime]
    published: Mapped[datetime | None]
    model: Mapped[str] = mapped_column(String(255))
    references: Mapped[int]
    species: Mapped[int]
