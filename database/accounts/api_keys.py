"""API keys: shown once when issued, stored as SHA-256 digests, revoked permanently."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from database.accounts.models import ApiKey, Person
from database.accounts.people import SCOPES, SCOPES_OF, PersonEntry, count_keys, entry_of, utc_now
from database.errors import InvalidKey, UnknownKey, UnknownPerson

MARK = "fungarium_"  # lets secret scanners recognise leaked keys
PREFIX = len(MARK) + 6
MOST = 50  # largest number of active keys of one person


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """An API key without its secret."""

    id: int
    person_id: int
    prefix: str
    label: str
    scopes: tuple[str, ...]
    daily_quota: int | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or self.expires > now)


def issue_key(
    session: Session,
    person_id: int,
    scopes: Iterable[str],
    *,
    label: str = "",
    daily_quota: int | None = None,
    expires: datetime | None = None,
    secret: str = "",
) -> tuple[str, KeyEntry]:
    """Issue a key; returns the key, which cannot be retrieved later, and its entry. Raises UnknownPerson, InvalidKey.

    `secret` replaces the random bits of the key, so that a repeated request yields the same key. Only its SHA-256 is
    stored: unlike a password, a key of 256 random bits cannot be guessed, so a fast digest is safe and can be looked up
    by an index.
    """
    person = session.get(Person, person_id)
    if person is None:
        raise UnknownPerson(f"there is no person {person_id}")
    wanted = frozenset(scopes)
    if not wanted or wanted - set(SCOPES):
        raise InvalidKey(f"a key needs one or more of the scopes {', '.join(SCOPES)}")
    if beyond := wanted - SCOPES_OF[person.role]:
        raise InvalidKey(f"a key of an {person.role} cannot have the scope {', '.join(sorted(beyond))}")
    key = MARK + (secret or secrets.token_urlsafe(32))
    known = session.scalar(select(ApiKey).where(ApiKey.digest == digest_of(key)))
    if known is not None:
        if known.revoked is not None:
            raise InvalidKey("this key was made before and has been revoked; make another")
        return key, _entry(known)
    if count_keys(session, person_id) >= MOST:
        raise InvalidKey(f"{person.login} has {MOST} keys already; revoke one first")
    row = ApiKey(
        person_id=person_id,
        digest=digest_of(key),
        prefix=key[:PREFIX],
        label=label.strip(),
        scopes=[scope for scope in SCOPES if scope in wanted],
        daily_quota=daily_quota,
        created=utc_now(),
        expires=expires,
    )
    session.add(row)
    session.flush()
    return key, _entry(row)


def find_key(session: Session, key: str) -> tuple[KeyEntry, PersonEntry] | None:
    """Return a key and its person; None for an unknown, revoked or expired key, or an inactive person."""
    query = select(ApiKey).where(ApiKey.digest == digest_of(key)).options(joinedload(ApiKey.person))
    row = session.scalar(query)
    if row is None or not row.person.active or not _entry(row).is_valid(utc_now()):
        return None
    return _entry(row), entry_of(row.person)


def list_keys(session: Session, person_id: int) -> list[KeyEntry]:
    """Return a person's keys, revoked ones included, newest first."""
    query = select(ApiKey).where(ApiKey.person_id == person_id).order_by(ApiKey.id.desc())
    return [_entry(row) for row in session.scalars(query)]


def revoke_key(session: Session, key_id: int, *, person_id: int | None = None) -> KeyEntry:
    """Revoke a key, of the person `person_id` if given. Idempotent. Raises UnknownKey."""
    row = session.get(ApiKey, key_id)
    if row is None or person_id not in (None, row.person_id):
        raise UnknownKey(f"there is no key {key_id}")
    row.revoked = row.revoked or utc_now()
    return _entry(row)


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal, as stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _entry(row: ApiKey) -> KeyEntry:
    return KeyEntry(
        row.id,
        row.person_id,
        row.prefix,
        row.label,
        tuple(row.scopes),
        row.daily_quota,
        row.created,
        row.expires,
        row.revoked,
    )
