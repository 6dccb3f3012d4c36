"""person add, list, change, password: who may sign in, and as what."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any

from database.accounts.people import (
    ROLES,
    add_person,
    change_person,
    list_people,
    person_by_login,
    set_password,
    set_quota,
)
from database.errors import WeakPassword
from database.session import Database


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    person = commands.add_parser("person", help="make, list and change people")
    verbs = person.add_subparsers(dest="verb", required=True, metavar="VERB")
    adding = verbs.add_parser("add", help="make a person; the password is asked for, or read from stdin")
    adding.add_argument("login", metavar="LOGIN", help="letters a to z, digits and . _ @ + -")
    adding.add_argument("--name", default="", help="shown to others; default: the login")
    adding.add_argument("--role", default="observer", choices=ROLES)
    adding.add_argument("--no-password", action="store_true", help="nobody signs in; keys may be issued all the same")
    adding.set_defaults(func=add)
    listing = verbs.add_parser("list", help="list the people")
    listing.set_defaults(func=list_all)
    changing = verbs.add_parser("change", help="change a person's name, role or quota, or shut them out")
    changing.add_argument("login", metavar="LOGIN")
    changing.add_argument("--name")
    changing.add_argument("--role", choices=ROLES)
    changing.add_argument("--daily-quota", type=int, metavar="N", help="identifications a day; 0: as the setting says")
    standing = changing.add_mutually_exclusive_group()
    standing.add_argument("--active", action="store_true", default=None, help="let them in again")
    standing.add_argument("--inactive", dest="active", action="store_false", help="end their sessions and keys")
    changing.set_defaults(func=change)
    resetting = verbs.add_parser("password", help="give a person another password, asked for or read from stdin")
    resetting.add_argument("login", metavar="LOGIN")
    resetting.set_defaults(func=reset_password)


def add(options: argparse.Namespace, database: Database) -> int:
    """Make a person."""
    password = "" if options.no_password else ask_password(options.login)
    with database.writing() as session:
        person = add_person(session, options.login, options.name, options.role, password)
    print(f"{person.login}\t{person.role}\t{person.name}")
    return 0


def list_all(_: argparse.Namespace, database: Database) -> int:
    """Print one line for each person."""
    after = 0
    with database.reading() as session:
        while found := list_people(session, after=after):
            for person in found:
                standing = "active" if person.active else "inactive"
                print(f"{person.login}\t{person.role}\t{standing}\t{person.name}")
            after = found[-1].id
    return 0


def change(options: argparse.Namespace, database: Database) -> int:
    """Change what was given."""
    with database.writing() as session:
        person = person_by_login(session, options.login)
        if options.daily_quota is not None:
            set_quota(session, person.id, options.daily_quota if options.daily_quota > 0 else None)
        person = change_person(session, person.id, name=options.name, role=options.role, active=options.active)
    print(f"{person.login}\t{person.role}\t{'active' if person.active else 'inactive'}\t{person.name}")
    return 0


def reset_password(options: argparse.Namespace, database: Database) -> int:
    """Give a person another password and end their sessions."""
    password = ask_password(options.login)
    with database.writing() as session:
        person = set_password(session, person_by_login(session, options.login).id, password)
    print(f"{person.login} has another password; every session of theirs has ended")
    return 0


def ask_password(login: str) -> str:
    """A password, typed twice and not shown, or one line of stdin. Raises WeakPassword."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass(f"password for {login}: ")
    if getpass.getpass("once more: ") != password:
        raise WeakPassword("the two are not the same; nothing was changed")
    return password
