"""Links by which the invited make an account, and people choose a new password.

Each has a random token, is used once and expires. Only the SHA-256 of the token is stored: 256 random bits cannot be
guessed, so that a fast digest is safe.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from database.accounts.api_keys import digest_of
from database.accounts.models import AccountLink, ApiKey, Person
from database.accounts.passwords import STANDARD, Hasher, hash_password
from database.accounts.people import (
    PersonEntry,
    add_person,
    check_role,
    known_person,
    set_mail,
    store_password,
    utc_now,
)
from database.errors import InvalidLink, UnknownLink
from database.session import Database

INVITATION: Final = "invitation"
RESET: Final = "reset"
DAYS: Final = {INVITATION: 7, RESET: 1}  # until a link expires, unless it is said otherwise
MOST_DAYS: Final = 90
KEPT: Final = timedelta(days=90)  # after it expired, a link is listed for so long


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A link without its token. `state` is valid, used, revoked or expired."""

    id: int
    purpose: str
    role: str
    name: str
    login: str  # of the person who used the invitation, or whose password is to be set
    created: datetime
    expires: datetime
    state: str


def make_invitation(
    session: Session, role: str, *, name: str = "", days: int = DAYS[INVITATION], made_by: int | None = None
) -> tuple[str, LinkEntry]:
    """Make an invitation; returns its token, which cannot be retrieved later. Raises InvalidPerson, InvalidLink."""
    check_role(role)
    return _make(session, AccountLink(purpose=INVITATION, role=role, name=name.strip(), made_by=made_by), days)


def make_reset(
    session: Session, person_id: int, *, days: int = DAYS[RESET], made_by: int | None = None
) -> tuple[str, LinkEntry]:
    """Make a link for a new password; returns its token, like `make_invitation`. Raises UnknownPerson, InvalidLink."""
    person = known_person(session, person_id)
    if not person.active:
        raise InvalidLink(f"{person.login} is inactive")
    return _make(session, AccountLink(purpose=RESET, name=person.name, person_id=person_id, made_by=made_by), days)


def find_link(session: Session, token: str, purpose: str) -> LinkEntry:
    """Return a link that may be used now. Raises UnknownLink, which does not tell why it may not."""
    return _entry(session, _usable(session, token, purpose))


def accept_invitation(
    database: Database,
    token: str,
    login: str,
    name: str,
    password: str,
    *,
    mail: str = "",
    hasher: Hasher = STANDARD,
) -> PersonEntry:
    """Add the invited person. Raises UnknownLink, InvalidPerson and WeakPassword; the link is then still unused."""
    hashed = _hash_for(database, token, INVITATION, password, hasher)
    with database.writing() as session:
        link = _use(session, token, INVITATION)
        made = add_person(session, login, name, link.role)
        link.person_id = made.id
        session.flush()
        set_mail(session, made.id, mail)
        return store_password(session, made.id, hashed)


def reset_password(database: Database, token: str, password: str, *, hasher: Hasher = STANDARD) -> PersonEntry:
    """Set a new password by a link, ending all sessions, keys and other links. Raises UnknownLink, WeakPassword."""
    hashed = _hash_for(database, token, RESET, password, hasher)
    with database.writing() as session:
        link = _use(session, token, RESET)
        held = (ApiKey.person_id == link.person_id, ApiKey.revoked.is_(None))
        session.execute(update(ApiKey).where(*held).values(revoked=utc_now()))
        return store_password(session, link.person_id or 0, hashed)


def list_links(session: Session, *, limit: int = 100) -> list[LinkEntry]:
    """Return the latest links, newest first."""
    query = select(AccountLink).order_by(AccountLink.id.desc()).limit(limit)
    return [_entry(session, link) for link in session.scalars(query)]


def revoke_link(session: Session, link_id: int) -> LinkEntry:
    """Revoke a link; one that was used stays used. Idempotent. Raises UnknownLink."""
    link = session.get(AccountLink, link_id)
    if link is None:
        raise UnknownLink(f"there is no link {link_id}")
    if link.used is None:
        link.revoked = link.revoked or utc_now()
    return _entry(session, link)


def _make(session: Session, link: AccountLink, days: int) -> tuple[str, LinkEntry]:
    if not 1 <= days <= MOST_DAYS:
        raise InvalidLink(f"a link is valid for 1 to {MOST_DAYS} days")
    now = utc_now()
    session.execute(delete(AccountLink).where(AccountLink.expires < now - KEPT))
    token = secrets.token_urlsafe(32)
    link.digest, link.created, link.expires = digest_of(token), now, now + timedelta(days=days)
    session.add(link)
    session.flush()
    return token, _entry(session, link)


def _hash_for(database: Database, token: str, purpose: str, password: str, hasher: Hasher) -> str:
    """Hash outside any writing session, and only for those who have a valid link: hashing is slow."""
    with database.reading() as session:
        _usable(session, token, purpose)
    return hash_password(password, hasher)


def _usable(session: Session, token: str, purpose: str) -> AccountLink:
    link = session.scalar(
        select(AccountLink).where(AccountLink.digest == digest_of(token), AccountLink.purpose == purpose)
    )
    if link is None or _state(session, link) != "valid":
        raise UnknownLink("The link was used, has expired or was revoked. Ask the administrator for a new one.")
    return link


def _use(session: Session, token: str, purpose: str) -> AccountLink:
    """Mark a link as used. Of two requests at once, one finds it unused: the row is locked by its update."""
    link = _usable(session, token, purpose)
    unused = (AccountLink.id == link.id, AccountLink.used.is_(None), AccountLink.revoked.is_(None))
    taken = session.execute(update(AccountLink).where(*unused).values(used=utc_now()).returning(AccountLink.id))
    if taken.scalar() is None:
        raise UnknownLink("The link was used, has expired or was revoked. Ask the administrator for a new one.")
    return link


def _state(session: Session, link: AccountLink) -> str:
    """Return the state of a link; it ends with the rights of the administrator who made it."""
    if link.used is not None:
        return "used"
    maker = None if link.made_by is None else session.get(Person, link.made_by)
    dismissed = maker is not None and not (maker.active and maker.role == "administrator")
    person = None if link.person_id is None else session.get(Person, link.person_id)
    if link.revoked is not None or dismissed or (person is not None and not person.active):
        return "revoked"
    return "valid" if link.expires > utc_now() else "expired"


def _entry(session: Session, link: AccountLink) -> LinkEntry:
    person = None if link.person_id is None else session.get(Person, link.person_id)
    login = "" if person is None else person.login
    state = _state(session, link)
    return LinkEntry(link.id, link.purpose, link.role, link.name, login, link.created, link.expires, state)
