"""Links for new accounts and new passwords."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from database.accounts.api_keys import find_key, issue_key
from database.accounts.links import (
    INVITATION,
    RESET,
    accept_invitation,
    find_link,
    list_links,
    make_invitation,
    make_reset,
    reset_password,
    revoke_link,
)
from database.accounts.models import AccountLink
from database.accounts.people import (
    add_person,
    change_person,
    people_reached_by,
    person_by_login,
    set_mail,
    set_password,
    sign_in,
    utc_now,
)
from database.errors import InvalidLink, InvalidPerson, UnknownLink, WeakPassword
from database.session import Database
from tests.web.people import PASSWORD, QUICK

NEW = "another sentence for tests"


@pytest.fixture
def system() -> str:
    """One is enough but for what happens at once."""
    return "sqlite"


def invite(database: Database, role: str = "expert", **more: Any) -> str:
    with database.writing() as session:
        return make_invitation(session, role, name="Iris", **more)[0]


def add(database: Database, login: str, role: str = "observer") -> int:
    with database.writing() as session:
        return add_person(session, login, login.title(), role, PASSWORD, hasher=QUICK).id


def reset_link(database: Database, person: int, **more: Any) -> str:
    with database.writing() as session:
        return make_reset(session, person, **more)[0]


def valid(database: Database, token: str, purpose: str) -> bool:
    with database.reading() as session:
        try:
            find_link(session, token, purpose)
        except UnknownLink:
            return False
    return True


def join(database: Database, token: str, login: str = "iris", password: str = PASSWORD) -> int:
    return accept_invitation(database, token, login, "Iris B.", password, hasher=QUICK).id


def test_the_invited_choose_login_and_password_and_get_the_role_of_the_invitation(database: Database) -> None:
    token = invite(database)

    join(database, token)

    found = sign_in(database, "iris", PASSWORD, hasher=QUICK)
    assert found is not None
    assert (found.name, found.role) == ("Iris B.", "expert")
    with database.reading() as session:
        assert [(link.state, link.login) for link in list_links(session)] == [("used", "iris")]


def test_a_token_is_not_stored(database: Database) -> None:
    token = invite(database)

    with database.reading() as session:
        kept = session.scalars(select(AccountLink)).one()
        assert token not in str(vars(kept))
        assert len(token) > 40


@pytest.mark.parametrize("system", ["sqlite", "postgresql"])
def test_a_link_is_used_once_even_by_many_at_once(database: Database) -> None:
    token = invite(database)

    def attempt(login: str) -> bool:
        try:
            join(database, token, login)
        except UnknownLink:
            return False
        return True

    with ThreadPoolExecutor(4) as together:
        made = list(together.map(attempt, ["ab", "cd", "ef", "gh"]))

    assert sum(made) == 1
    with pytest.raises(UnknownLink):
        join(database, token, "later")


def test_what_is_refused_leaves_the_link_unused(database: Database) -> None:
    add(database, "taken")
    token = invite(database)

    with pytest.raises(InvalidPerson, match="already taken"):
        join(database, token, "taken")
    with pytest.raises(WeakPassword):
        join(database, token, password="short")
    with pytest.raises(InvalidPerson, match="mail address"):
        accept_invitation(database, token, "iris", "", PASSWORD, mail="a@b\nBcc: c@d", hasher=QUICK)

    join(database, token)


def expire(database: Database, token: str) -> None:
    with database.writing() as session:
        session.scalars(select(AccountLink)).one().expires = utc_now() - timedelta(seconds=1)


def revoke(database: Database, token: str) -> None:
    with database.writing() as session:
        revoke_link(session, list_links(session)[0].id)


def dismiss_maker(database: Database, token: str) -> None:
    with database.writing() as session:
        change_person(session, person_by_login(session, "ada").id, role="observer")


@pytest.mark.parametrize("end", [expire, revoke, dismiss_maker])
@pytest.mark.parametrize("purpose", [INVITATION, RESET])
def test_a_link_that_has_ended_opens_nothing(
    database: Database, purpose: str, end: Callable[[Database, str], None]
) -> None:
    ada, olga = add(database, "ada", "administrator"), add(database, "olga")
    add(database, "anna", "administrator")
    made_by: dict[str, Any] = {"made_by": ada}
    token = invite(database, **made_by) if purpose == INVITATION else reset_link(database, olga, **made_by)
    assert valid(database, token, purpose)

    end(database, token)

    assert not valid(database, token, purpose)
    with pytest.raises(UnknownLink):
        join(database, token) if purpose == INVITATION else reset_password(database, token, NEW, hasher=QUICK)


def test_a_link_serves_its_own_purpose_only(database: Database) -> None:
    invitation, reset = invite(database), reset_link(database, add(database, "olga"))

    with pytest.raises(UnknownLink):
        reset_password(database, invitation, NEW, hasher=QUICK)
    with pytest.raises(UnknownLink):
        join(database, reset)


def test_a_new_password_by_a_link_ends_sessions_keys_and_other_links(database: Database) -> None:
    olga, omar = add(database, "olga"), add(database, "omar")
    first, second, others = reset_link(database, olga), reset_link(database, olga), reset_link(database, omar)
    with database.writing() as session:
        key, others_key = issue_key(session, olga, ["read"])[0], issue_key(session, omar, ["read"])[0]
        before = person_by_login(session, "olga").epoch

    changed = reset_password(database, first, NEW, hasher=QUICK)

    assert changed.epoch > before
    assert sign_in(database, "olga", NEW, hasher=QUICK) is not None
    assert sign_in(database, "olga", PASSWORD, hasher=QUICK) is None
    with database.reading() as session:
        assert find_key(session, key) is None
        assert find_key(session, others_key) is not None
    assert not valid(database, second, RESET)
    assert valid(database, others, RESET)


@pytest.mark.parametrize("change", ["password", "mail", "inactive"])
def test_a_link_for_a_password_ends_with_what_it_was_made_for(database: Database, change: str) -> None:
    olga = add(database, "olga")
    token = reset_link(database, olga)

    with database.writing() as session:
        if change == "password":
            set_password(session, olga, NEW, hasher=QUICK)
        elif change == "mail":
            set_mail(session, olga, "olga@example.org")
        else:
            change_person(session, olga, active=False)

    assert not valid(database, token, RESET)


@pytest.mark.parametrize("days", [0, -1, 91])
def test_a_link_is_valid_for_one_to_ninety_days(database: Database, days: int) -> None:
    with pytest.raises(InvalidLink):
        invite(database, days=days)


def test_people_are_reached_by_login_or_address_unless_inactive(database: Database) -> None:
    olga, omar, anna = add(database, "olga"), add(database, "omar"), add(database, "anna")
    add(database, "erna")
    with database.writing() as session:
        for person in (olga, omar, anna):
            set_mail(session, person, "Shared@Example.org")
        change_person(session, anna, active=False)

    with database.reading() as session:
        by_mail = [one.login for one in people_reached_by(session, " SHARED@example.org")]
        by_login = [one.login for one in people_reached_by(session, "Olga")]
        unreachable = [people_reached_by(session, text) for text in ("erna", "nobody", "")]

    assert (by_mail, by_login, unreachable) == (["olga", "omar"], ["olga"], [[], [], []])
