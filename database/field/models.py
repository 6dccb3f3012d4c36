"""The tables of what people observe, show and say of it: `field`, to tell them from the observations of archives."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from database.accounts.models import Person
from database.models import Base, Taxon


class FieldObservation(Base):
    """One fungus, one person, one place and time, recorded by a person of this server.

    What others may know of the place stands in the `public_` columns, and every search uses those: a search by the
    exact place would tell it to whoever asks often enough.
    """

    __tablename__ = "field_observations"
    __table_args__ = (Index("ix_field_observations_public_place", "public_latitude", "public_longitude"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(36), unique=True)  # a UUID: its id in addresses and exports, for good
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    event_date: Mapped[date | None] = mapped_column(index=True)
    decimal_latitude: Mapped[float | None]
    decimal_longitude: Mapped[float | None]
    coordinate_uncertainty: Mapped[float | None]  # metres
    obscured: Mapped[bool] = mapped_column(default=False)  # asked for by the person for this observation
    public_latitude: Mapped[float | None]
    public_longitude: Mapped[float | None]
    public_uncertainty: Mapped[float | None]
    is_obscured: Mapped[bool] = mapped_column(default=False)  # whether the public place is a grid cell, for any reason
    locality: Mapped[str] = mapped_column(Text, default="")  # in words; not shown where the place is obscured
    habitat: Mapped[str] = mapped_column(Text, default="")
    substrate: Mapped[str] = mapped_column(Text, default="")
    remarks: Mapped[str] = mapped_column(Text, default="")
    licence: Mapped[str] = mapped_column(String(64), default="")
    taxon_id: Mapped[int | None] = mapped_column(ForeignKey("taxa.id"), index=True)  # of the leading proposal
    status: Mapped[str] = mapped_column(String(16), index=True)  # one of database.field.validation.STATUSES
    score: Mapped[int | None]
    by_expert: Mapped[bool] = mapped_column(default=False)
    approved: Mapped[datetime | None]  # when it was approved; UTC, without zone
    created: Mapped[datetime]
    modified: Mapped[datetime] = mapped_column(index=True)

    person: Mapped[Person] = relationship()
    taxon: Mapped[Taxon | None] = relationship()
    photos: Mapped[list[FieldPhoto]] = relationship(
        back_populates="observation", order_by="FieldPhoto.position", cascade="all, delete-orphan"
    )
    proposals: Mapped[list[Proposal]] = relationship(cascade="all, delete-orphan", order_by="Proposal.id")
    verdicts: Mapped[list[Verdict]] = relationship(cascade="all, delete-orphan", order_by="Verdict.id")
    suggestion: Mapped[Suggestion | None] = relationship(cascade="all, delete-orphan", uselist=False)


class FieldPhoto(Base):
    """A photo of an observation. Its bytes, drawn anew without metadata, lie in the store under their sha256."""

    __tablename__ = "field_photos"
    __table_args__ = (UniqueConstraint("observation_id", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("field_observations.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    original_sha256: Mapped[str] = mapped_column(String(64), default="", index=True)  # at full size, where it is kept
    byte_count: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    aspect: Mapped[str] = mapped_column(String(16), default="")
    position: Mapped[int] = mapped_column(default=0)

    observation: Mapped[FieldObservation] = relationship(back_populates="photos")


class Suggestion(Base):
    """What the engine said of an observation when it was recorded, with the snapshot and model that said it."""

    __tablename__ = "suggestions"

    id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("field_observations.id"), unique=True)
    snapshot: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(255))
    flora: Mapped[str] = mapped_column(String(64))
    calibrated: Mapped[bool]
    candidates: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # taxonID, scientificName, score; best first
    created: Mapped[datetime]


class Proposal(Base):
    """A taxon that somebody holds an observation for, with its score. Worked out anew at every verdict."""

    __tablename__ = "proposals"
    __table_args__ = (UniqueConstraint("observation_id", "taxon_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("field_observations.id"), index=True)
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    score: Mapped[int | None]  # None: nobody stands for it but the expert who approved it
    expert_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))  # who approved it
    ingredients: Mapped[dict[str, Any]] = mapped_column(JSON)  # what the score was worked out from

    taxon: Mapped[Taxon] = relationship()
    expert: Mapped[Person | None] = relationship()


class Verdict(Base):
    """What a person said of an observation. Nothing is ever taken out: a later word supersedes an earlier one."""

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_standing", "observation_id", "superseded"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("field_observations.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # propose, agree, withdraw, approve, unapprove
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    certainty: Mapped[str] = mapped_column(String(16), default="")  # one of database.field.validation.CERTAINTIES
    remarks: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime]
    superseded: Mapped[datetime | None]  # when a later word took its place

    person: Mapped[Person] = relationship()
    taxon: Mapped[Taxon] = relationship()


class ObscuredTaxon(Base):
    """A taxon, with all below it, whose places are shown to others as a grid cell only."""

    __tablename__ = "obscured_taxa"

    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text, default="")


class MorphologicalGroup(Base):
    """A taxon, with all below it, belongs to a group of species that look and are told apart in the same way."""

    __tablename__ = "morphological_groups"

    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64))
