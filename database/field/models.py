"""ORM models of people's observations, photos and identifications; `Field...`, as opposed to those of archives."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from database.accounts.models import Person
from database.models import Base, Taxon


class FieldObservation(Base):
    """An observation recorded on this server: one fungus, one person, one place and time.

    The `public_` columns have the place as shown to others. Every search uses these, since repeated searches by the
    exact place would reveal it.
    """

    __tablename__ = "field_observations"
    __table_args__ = (Index("ix_field_observations_public_place", "public_latitude", "public_longitude"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(36), unique=True)  # a UUID: its permanent id in URLs and exports
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    event_date: Mapped[date | None] = mapped_column(index=True)
    decimal_latitude: Mapped[float | None]
    decimal_longitude: Mapped[float | None]
    coordinate_uncertainty: Mapped[float | None]  # metres
    obscured: Mapped[bool] = mapped_column(default=False)  # requested by the person for this observation
    public_latitude: Mapped[float | None]
    public_longitude: Mapped[float | None]
    public_uncertainty: Mapped[float | None]
    is_obscured: Mapped[bool] = mapped_column(default=False)  # whether the public place is a grid cell, for any reason
    locality: Mapped[str] = mapped_column(Text, default="")  # verbal; not shown where the place is obscured
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
    """A photo of an observation. Its bytes, re-encoded without metadata, are in the photo store by their SHA-256."""

    __tablename__ = "field_photos"
    __table_args__ = (UniqueConstraint("observation_id", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("field_observations.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    original_sha256: Mapped[str] = mapped_column(String(64), default="", index=True)  # of the full size, where kept
    byte_count: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    aspect: Mapped[str] = mapped_column(String(16), default="")
    position: Mapped[int] = mapped_column(default=0)

    observation: Mapped[FieldObservation] = relationship(back_populates="photos")


class Suggestion(Base):
    """The engine's candidates for an observation when it was recorded, with the snapshot and model used."""

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
    """A taxon proposed for an observation, with its score. Recomputed after every verdict."""

    __tablename__ = "proposals"
    __table_args__ = (UniqueConstraint("observation_id", "taxon_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("field_observations.id"), index=True)
    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), index=True)
    score: Mapped[int | None]  # None: supported only by the approving expert
    expert_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))  # who approved it
    ingredients: Mapped[dict[str, Any]] = mapped_column(JSON)  # the inputs of the score

    taxon: Mapped[Taxon] = relationship()
    expert: Mapped[Person | None] = relationship()


class Verdict(Base):
    """A person's identification or approval of an observation. Append-only: later rows supersede earlier ones."""

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
    superseded: Mapped[datetime | None]  # when a later verdict superseded it

    person: Mapped[Person] = relationship()
    taxon: Mapped[Taxon] = relationship()


class PendingScore(Base):
    """An observation whose scores have to be computed again, since places were obscured or shown."""

    __tablename__ = "pending_scores"

    observation_id: Mapped[int] = mapped_column(
        ForeignKey("field_observations.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    spreads: Mapped[bool]  # its public place changed: scores of others nearby depend on it


class ObscuredTaxon(Base):
    """A taxon whose places, and those of its descendants, are shown to others as a grid cell only."""

    __tablename__ = "obscured_taxa"

    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text, default="")


class MorphologicalGroup(Base):
    """Assigns a taxon and its descendants to a group of species that look alike and are identified alike."""

    __tablename__ = "morphological_groups"

    taxon_id: Mapped[int] = mapped_column(ForeignKey("taxa.id"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64))


class AnswerFeedback(Base):
    """What was said of one answer: no person, address, photo or place."""

    __tablename__ = "answer_feedback"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # of the answer's random id
    day: Mapped[date]  # UTC
    flora: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(255))
    snapshot: Mapped[str] = mapped_column(String(64), index=True)
    score_band: Mapped[int | None]  # tenth of the first score, 0 to 9; None: the score was not calibrated
    verdict: Mapped[str] = mapped_column(String(8))  # one of database.field.feedback.VERDICTS
    right_rank: Mapped[int | None]  # of the right species, from 1; 0: not suggested; None: not said
