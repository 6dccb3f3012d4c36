"""ORM models of people, their API keys and links, and daily usage counts."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from database.models import Base


class Person(Base):
    """A user account. People are deactivated, not deleted, since their identifications remain."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)  # in lower case: unique regardless of case
    name: Mapped[str] = mapped_column(String(255))  # shown to others
    mail: Mapped[str] = mapped_column(String(254), default="")  # in lower case, not unique, never shown to others
    password_hash: Mapped[str] = mapped_column(Text, default="")  # argon2id; empty: cannot sign in with a password
    role: Mapped[str] = mapped_column(String(16))  # one of database.accounts.people.ROLES
    active: Mapped[bool] = mapped_column(default=True)
    obscures: Mapped[bool] = mapped_column(default=False)  # whether all their places are obscured to a grid cell
    daily_quota: Mapped[int | None]  # identifications per day; None: the setting's default
    epoch: Mapped[int] = mapped_column(default=0)  # incremented to end all sessions of this person
    created: Mapped[datetime]  # UTC, without zone

    keys: Mapped[list[ApiKey]] = relationship(back_populates="person")


class ApiKey(Base):
    """An API key of a person. The key itself is shown once and not stored."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the key
    prefix: Mapped[str] = mapped_column(String(16))  # its first characters, for display
    label: Mapped[str] = mapped_column(String(255), default="")
    scopes: Mapped[list[str]] = mapped_column(JSON)
    daily_quota: Mapped[int | None]  # of this key, in addition to its person's
    created: Mapped[datetime]  # UTC, without zone
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]

    person: Mapped[Person] = relationship(back_populates="keys")


class AccountLink(Base):
    """A link by which somebody makes an account, or chooses a new password. Its token is shown once and not stored."""

    __tablename__ = "account_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the token
    purpose: Mapped[str] = mapped_column(String(16))  # invitation or reset
    role: Mapped[str] = mapped_column(String(16), default="")  # of the invited
    name: Mapped[str] = mapped_column(String(255), default="")  # suggested to the invited, and shown in the list
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"), index=True)  # who has used it, or may
    made_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))  # None: the command line, or by mail
    created: Mapped[datetime]  # UTC, without zone
    expires: Mapped[datetime]
    used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class EndedSession(Base):
    """A session that was signed out: its cookie, which somebody may have copied, is valid no more."""

    __tablename__ = "ended_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the session's id
    ended: Mapped[datetime]  # UTC, without zone


class Use(Base):
    """The number of times an action was used on one day (UTC), by person or key."""

    __tablename__ = "uses"
    __table_args__ = (UniqueConstraint("holder", "day", "action"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))  # `person:ID` or `key:ID`
    day: Mapped[date]
    action: Mapped[str] = mapped_column(String(16))  # identify
    count: Mapped[int] = mapped_column(default=0)
