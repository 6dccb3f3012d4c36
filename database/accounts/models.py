"""The tables of people, their API keys, and how much was asked for each day."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from database.models import Base


class Person(Base):
    """Somebody who may sign in. People are deactivated, not deleted: what they said of observations stands."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)  # folded to lower case: one person, one spelling
    name: Mapped[str] = mapped_column(String(255))  # shown to others
    password_hash: Mapped[str] = mapped_column(Text, default="")  # argon2id; empty: cannot sign in with a password
    role: Mapped[str] = mapped_column(String(16))  # one of database.accounts.people.ROLES
    active: Mapped[bool] = mapped_column(default=True)
    obscures: Mapped[bool] = mapped_column(default=False)  # asks that all their places be shown as a grid cell only
    daily_quota: Mapped[int | None]  # identifications a day; None: as the setting says
    epoch: Mapped[int] = mapped_column(default=0)  # raised to end every session of this person at once
    created: Mapped[datetime]  # UTC, without zone

    keys: Mapped[list[ApiKey]] = relationship(back_populates="person")


class ApiKey(Base):
    """A key of a person's programs. The key itself is shown once and not kept."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the key
    prefix: Mapped[str] = mapped_column(String(16))  # its first letters, to tell keys apart
    label: Mapped[str] = mapped_column(String(255), default="")
    scopes: Mapped[list[str]] = mapped_column(JSON)
    daily_quota: Mapped[int | None]  # of this key alone, beside its person's
    created: Mapped[datetime]  # UTC, without zone
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]

    person: Mapped[Person] = relationship(back_populates="keys")


class Use(Base):
    """How often somebody did something on one day, UTC."""

    __tablename__ = "uses"
    __table_args__ = (UniqueConstraint("holder", "day", "action"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))  # `person:ID` or `key:ID`
    day: Mapped[date]
    action: Mapped[str] = mapped_column(String(16))  # identify
    count: Mapped[int] = mapped_column(default=0)
