"""People and their roles: creation, changes and sign-in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from argon2 import PasswordHasher
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from database.accounts.models import AccountLink, ApiKey, Person
from database.accounts.passwords import STANDARD, hash_password, is_outdated, password_fits
from database.errors import InvalidPerson, UnknownPerson
from database.session import Database

ROLES = ("observer", "expert", "administrator")
"""Each role includes those before it: observers record, experts approve, administrators manage people."""

SCOPES = ("identify", "read", "write", "validate", "administer")
"""Permissions of a caller. A key has some of them, and never more than its person."""

SCOPES_OF = {
    "observer": frozenset({"identify", "read", "write", "validate"}),
    "expert": frozenset({"identify", "read", "write", "validate"}),
    "administrator": frozenset(SCOPES),
}
"""The scopes of each role. `validate` is to identify; whether that settles an observation depends on the role."""

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")
_MAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9][a-z0-9.-]{0,188}")


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """A person as seen by routes and commands; never with the password's hash."""

    id: int
    login: str
    name: str
    role: str
    active: bool
    obscures: bool
    daily_quota: int | None
    epoch: int
    created: datetime
    mail: str = ""

    @property
    def scopes(self) -> frozenset[str]:
        """Return the permissions of this person; none once deactivated."""
        return SCOPES_OF[self.role] if self.active else frozenset()


def utc_now() -> datetime:
    """Return the current time in UTC without zone, as stored in the tables."""
    return datetime.now(UTC).replace(tzinfo=None)


def add_person(
    session: Session, login: str, name: str, role: str, password: str = "", *, hasher: PasswordHasher = STANDARD
) -> PersonEntry:
    """Add a person. Raises InvalidPerson for an invalid or taken login or an unknown role, WeakPassword.

    A person without a password cannot sign in, but can have keys.
    """
    folded = fold_login(login)
    check_role(role)
    if session.scalar(select(Person.id).where(Person.login == folded)) is not None:
        raise InvalidPerson(f"the username {folded!r} is already taken")
    hashed = hash_password(password, hasher) if password else ""
    person = Person(login=folded, name=name.strip() or folded, role=role, password_hash=hashed, created=utc_now())
    session.add(person)
    session.flush()
    return entry_of(person)


def sign_in(database: Database, login: str, password: str, *, hasher: PasswordHasher = STANDARD) -> PersonEntry | None:
    """Return the person with this login and password, or None.

    None does not tell whether the login is unknown, the password wrong or the person deactivated, and takes equally
    long in each case. The hash is computed outside any session, since it is slow and would block writers.
    """
    with database.reading() as session:
        found = session.scalar(select(Person).where(Person.login == login.strip().casefold()))
        kept, entry = ("", None) if found is None else (found.password_hash, entry_of(found))
    if not password_fits(password, kept, hasher) or entry is None or not entry.active:
        return None
    if is_outdated(kept, hasher):
        renewed = hash_password(password, hasher)
        with database.writing() as session:
            _person(session, entry.id).password_hash = renewed
    return entry


def set_password(session: Session, person_id: int, password: str, *, hasher: PasswordHasher = STANDARD) -> PersonEntry:
    """Set a person's password, ending all their sessions and links. Raises UnknownPerson, WeakPassword."""
    return store_password(session, person_id, hash_password(password, hasher))


def store_password(session: Session, person_id: int, hashed: str) -> PersonEntry:
    """Like `set_password`, with a password that was hashed before the session. Raises UnknownPerson."""
    person = _person(session, person_id)
    person.password_hash = hashed
    person.epoch += 1
    _revoke_links(session, person_id)
    return entry_of(person)


def set_mail(session: Session, person_id: int, mail: str) -> PersonEntry:
    """Set a person's mail address; an empty one removes it. Raises UnknownPerson, InvalidPerson.

    Two people may have the same address: refusing the second would tell that somebody has it. Links for a new password
    that were sent to the former address are revoked.
    """
    person = _person(session, person_id)
    person.mail = fold_mail(mail)
    _revoke_links(session, person_id)
    return entry_of(person)


def people_reached_by(session: Session, text: str, *, limit: int = 5) -> list[PersonEntry]:
    """Return the active people with this login or mail address who have an address."""
    wanted = text.strip().casefold()
    known = or_(Person.login == wanted, Person.mail == wanted)
    query = select(Person).where(known, Person.mail != "", Person.active.is_(True)).order_by(Person.id).limit(limit)
    return [entry_of(person) for person in session.scalars(query)]


def change_person(
    session: Session,
    person_id: int,
    *,
    name: str | None = None,
    role: str | None = None,
    active: bool | None = None,
    obscures: bool | None = None,
) -> PersonEntry:
    """Change the given fields of a person. Raises UnknownPerson, InvalidPerson.

    The last active administrator cannot lose that role, since nobody could appoint another.
    """
    person = _person(session, person_id)
    if role is not None:
        check_role(role)
    unseats = (role is not None and role != "administrator") or active is False
    if unseats and person.role == "administrator" and person.active and _administrators(session) == 1:
        raise InvalidPerson(f"{person.login} is the last administrator; give somebody else that role first")
    if (role is not None and role != person.role) or active is False:
        person.epoch += 1
    person.name = name.strip() or person.login if name is not None else person.name
    person.role = role if role is not None else person.role
    person.active = active if active is not None else person.active
    person.obscures = obscures if obscures is not None else person.obscures
    session.flush()
    return entry_of(person)


def set_quota(session: Session, person_id: int, daily_quota: int | None) -> PersonEntry:
    """Set a person's daily identifications; None for the setting's default. Raises UnknownPerson."""
    person = _person(session, person_id)
    person.daily_quota = daily_quota
    return entry_of(person)


def end_sessions(session: Session, person_id: int) -> None:
    """End all sessions of a person. Raises UnknownPerson."""
    _person(session, person_id).epoch += 1


def person_by_id(session: Session, person_id: int) -> PersonEntry | None:
    """Return a person by id, or None."""
    person = session.get(Person, person_id)
    return None if person is None else entry_of(person)


def known_person(session: Session, person_id: int) -> PersonEntry:
    """Return a person by id. Raises UnknownPerson."""
    return entry_of(_person(session, person_id))


def person_by_login(session: Session, login: str) -> PersonEntry:
    """Return a person by login, regardless of case and spelling. Raises UnknownPerson."""
    person = session.scalar(select(Person).where(Person.login == login.strip().casefold()))
    if person is None:
        raise UnknownPerson(f"there is no person {login!r}; `fungarium people person list` lists them")
    return entry_of(person)


def list_people(session: Session, *, after: int = 0, limit: int = 100) -> list[PersonEntry]:
    """Return all people in order of creation."""
    query = select(Person).where(Person.id > after).order_by(Person.id).limit(limit)
    return [entry_of(person) for person in session.scalars(query)]


def fold_login(login: str) -> str:
    """Normalise a login. Raises InvalidPerson."""
    folded = login.strip().casefold()
    if not _LOGIN.fullmatch(folded):
        raise InvalidPerson(
            f"{login!r} cannot be a username: use 2 to 64 letters a to z, digits and . _ @ + -, beginning with a letter"
            " or digit"
        )
    return folded


def fold_mail(mail: str) -> str:
    """Normalise a mail address; an empty one stays empty. Raises InvalidPerson."""
    folded = mail.strip().casefold()
    if folded and not _MAIL.fullmatch(folded):
        raise InvalidPerson(f"{mail!r} is not a mail address")
    return folded


def check_role(role: str) -> None:
    """Raise InvalidPerson for an unknown role."""
    if role not in ROLES:
        raise InvalidPerson(f"there is no role {role!r}; there are: {', '.join(ROLES)}")


def entry_of(person: Person) -> PersonEntry:
    """Return the entry of a person."""
    return PersonEntry(
        person.id,
        person.login,
        person.name,
        person.role,
        person.active,
        person.obscures,
        person.daily_quota,
        person.epoch,
        person.created,
        person.mail,
    )


def count_keys(session: Session, person_id: int) -> int:
    """Return the number of a person's keys that are not revoked."""
    keys = select(func.count()).select_from(ApiKey).where(ApiKey.person_id == person_id, ApiKey.revoked.is_(None))
    return session.scalar(keys) or 0


def _person(session: Session, person_id: int) -> Person:
    person = session.get(Person, person_id)
    if person is None:
        raise UnknownPerson(f"there is no person {person_id}")
    return person


def _revoke_links(session: Session, person_id: int) -> None:
    """Revoke the unused links for a new password of a person."""
    unused = (AccountLink.person_id == person_id, AccountLink.used.is_(None), AccountLink.revoked.is_(None))
    session.execute(update(AccountLink).where(*unused).values(revoked=utc_now()))


def _administrators(session: Session) -> int:
    seated = (Person.role == "administrator", Person.active.is_(True))
    return session.scalar(select(func.count()).select_from(Person).where(*seated)) or 0
