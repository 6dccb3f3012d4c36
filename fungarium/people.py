"""people: accounts, roles and API keys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from fungarium.terminal import Group, OneOf, as_json, print_rows, with_database

if TYPE_CHECKING:
    from database.session import Database

ROLE = OneOf("database.accounts.people:ROLES")


@click.group(cls=Group)
def people() -> None:
    """Manage people and API keys."""


@people.group()
def person() -> None:
    """Add, list and change people."""


@person.command()
@click.argument("login")
@click.option("--name", default="", help="Displayed name.  [default: the login]")
@click.option("--role", type=ROLE, default="observer", show_default=True, help="Their role.")
@click.option("--no-password", is_flag=True, help="No sign-in; keys can still be issued.")
@with_database
def add(database: Database, login: str, name: str, role: str, no_password: bool) -> None:
    """Add a person.

    The password is prompted for, or read from stdin. LOGIN: letters a to z, digits and . _ @ + -
    """
    from database.accounts.people import add_person

    password = "" if no_password else ask_password(login)
    with database.writing() as session:
        person = add_person(session, login, name, role, password)
    print(f"{person.login}\t{person.role}\t{person.name}")


@person.command("list")
@as_json
@with_database
def list_all(database: Database, as_json: bool) -> None:
    """List the people."""
    from database.accounts.people import list_people

    rows = []
    after = 0
    with database.reading() as session:
        while found := list_people(session, after=after):
            rows += [
                {"login": one.login, "role": one.role, "standing": describe_status(one.active), "name": one.name}
                for one in found
            ]
            after = found[-1].id
    print_rows(rows, as_json=as_json)


@person.command()
@click.argument("login")
@click.option("--name", help="Displayed name.")
@click.option("--role", type=ROLE, help="Their role.")
@click.option("--mail", help="Mail address, for a forgotten password only; empty: none.")
@click.option("--daily-quota", type=int, metavar="N", help="Identifications a day; 0: the setting's default.")
@click.option("--active/--inactive", default=None, help="Enable the account, or disable it with its sessions and keys.")
@with_database
def change(
    database: Database,
    login: str,
    name: str | None,
    role: str | None,
    mail: str | None,
    daily_quota: int | None,
    active: bool | None,
) -> None:
    """Change or disable a person's account.

    Name, role, mail address and quota can be changed.
    """
    from database.accounts.people import change_person, person_by_login, set_mail, set_quota

    with database.writing() as session:
        person = person_by_login(session, login)
        if daily_quota is not None:
            set_quota(session, person.id, daily_quota if daily_quota > 0 else None)
        if mail is not None:
            set_mail(session, person.id, mail)
        person = change_person(session, person.id, name=name, role=role, active=active)
    print(f"{person.login}\t{person.role}\t{describe_status(person.active)}\t{person.name}")


@person.command()
@click.argument("login")
@with_database
def password(database: Database, login: str) -> None:
    """Change a person's password, and end their sessions.

    The password is prompted for, or read from stdin.
    """
    from database.accounts.people import person_by_login, set_password

    chosen = ask_password(login)
    with database.writing() as session:
        person = set_password(session, person_by_login(session, login).id, chosen)
    print(f"{person.login} has a new password; all their sessions have ended")


@person.command()
@click.option("--role", type=ROLE, default="observer", show_default=True, help="Their role.")
@click.option("--days", type=int, metavar="N", help="Days until the link expires.  [default: 7]")
@click.option("--name", default="", help="Suggested displayed name.")
@with_database
def invite(database: Database, role: str, days: int | None, name: str) -> None:
    """Print a link by which somebody makes an account, once."""
    from database.accounts.links import DAYS, INVITATION, make_invitation

    with database.writing() as session:
        token, _ = make_invitation(session, role, name=name, days=DAYS[INVITATION] if days is None else days)
    print_link("invitations", token)


@person.command()
@click.argument("login")
@click.option("--days", type=int, metavar="N", help="Days until the link expires.  [default: 1]")
@with_database
def reset_link(database: Database, login: str, days: int | None) -> None:
    """Print a link by which a person chooses a new password, once.

    Using it ends the person's sessions and revokes their keys.
    """
    from database.accounts.links import DAYS, RESET, make_reset
    from database.accounts.people import person_by_login

    with database.writing() as session:
        person = person_by_login(session, login).id
        token, _ = make_reset(session, person, days=DAYS[RESET] if days is None else days)
    print_link("new-password", token)


@people.group()
def link() -> None:
    """List and revoke invitations and links for new passwords."""


@link.command("list")
@as_json
@with_database
def list_links(database: Database, as_json: bool) -> None:
    """List the latest links."""
    from database.accounts import links

    with database.reading() as session:
        rows = [
            {
                "id": one.id,
                "purpose": one.purpose,
                "state": one.state,
                "role": one.role,
                "name": one.name,
                "login": one.login,
                "expires": f"{one.expires:%Y-%m-%d %H:%M}",
            }
            for one in links.list_links(session)
        ]
    print_rows(rows, as_json=as_json)


@link.command("revoke")
@click.argument("link_id", type=int, metavar="ID")
@with_database
def revoke_one(database: Database, link_id: int) -> None:
    """Revoke a link; `link list` shows its ID."""
    from database.accounts.links import revoke_link

    with database.writing() as session:
        found = revoke_link(session, link_id)
    print(f"{found.id}\t{found.purpose}\t{found.state}")


@people.group()
def key() -> None:
    """Issue, list and revoke API keys."""


@key.command()
@click.argument("login")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=OneOf("database.accounts.people:SCOPES"),
    default=("identify", "read"),
    show_default=True,
    help="Scope of the key; repeat for several.",
)
@click.option("--label", default="", help="Purpose of the key.")
@click.option("--daily-quota", type=int, metavar="N", help="Identifications a day with this key.")
@click.option("--days", type=int, metavar="N", help="Days until it expires.  [default: never]")
@with_database
def issue(
    database: Database, login: str, scopes: tuple[str, ...], label: str, daily_quota: int | None, days: int | None
) -> None:
    """Issue a key; it is printed once and not stored."""
    from datetime import timedelta

    from database.accounts.api_keys import issue_key
    from database.accounts.people import person_by_login, utc_now

    expires = utc_now() + timedelta(days=days) if days else None
    with database.writing() as session:
        owner = person_by_login(session, login).id
        key, _ = issue_key(session, owner, scopes, label=label, daily_quota=daily_quota, expires=expires)
    print(key)


@key.command("list")
@click.argument("login")
@as_json
@with_database
def list_keys(database: Database, login: str, as_json: bool) -> None:
    """List a person's keys."""
    from database.accounts import api_keys
    from database.accounts.people import person_by_login, utc_now

    with database.reading() as session:
        rows = [
            {
                "id": key.id,
                "key": f"{key.prefix}...",
                "state": "valid" if key.is_valid(utc_now()) else "revoked" if key.revoked else "expired",
                "scopes": ",".join(key.scopes),
                "label": key.label,
            }
            for key in api_keys.list_keys(session, person_by_login(session, login).id)
        ]
    print_rows(rows, as_json=as_json)


@key.command()
@click.argument("key_id", type=int, metavar="ID")
@with_database
def revoke(database: Database, key_id: int) -> None:
    """Revoke a key; `key list` shows its ID."""
    from database.accounts.api_keys import revoke_key

    with database.writing() as session:
        key = revoke_key(session, key_id)
    print(f"{key.id}\t{key.prefix}...\trevoked")


def describe_status(active: bool) -> str:
    """Describe whether a person may sign in, in one word."""
    return "active" if active else "inactive"


def print_link(page: str, token: str) -> None:
    """Print the address of a link."""
    from settings import read_settings

    settings = read_settings()
    print(f"{(settings.public_url or f'http://{settings.host}:{settings.port}').rstrip('/')}/{page}/{token}")


def ask_password(login: str) -> str:
    """Prompt twice for a password without showing it, or read one line of stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password: str = click.prompt(f"password for {login}", hide_input=True, confirmation_prompt="once more", err=True)
    return password
