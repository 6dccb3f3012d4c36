"""key issue, list, revoke: what programs may do for whom."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from database.accounts.api_keys import issue_key, list_keys, revoke_key
from database.accounts.people import SCOPES, person_by_login, utc_now
from database.session import Database


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    key = commands.add_parser("key", help="issue, list and revoke API keys")
    verbs = key.add_subparsers(dest="verb", required=True, metavar="VERB")
    issuing = verbs.add_parser("issue", help="issue a key; it is printed once and kept nowhere")
    issuing.add_argument("login", metavar="LOGIN", help="whose key it is")
    issuing.add_argument(
        "--scope", action="append", choices=SCOPES, dest="scopes", help="repeat for several; default: identify, read"
    )
    issuing.add_argument("--label", default="", help="what it is for")
    issuing.add_argument("--daily-quota", type=int, metavar="N", help="identifications a day with this key")
    issuing.add_argument("--days", type=int, metavar="N", help="days until it expires; default: never")
    issuing.set_defaults(func=issue)
    listing = verbs.add_parser("list", help="list a person's keys")
    listing.add_argument("login", metavar="LOGIN")
    listing.set_defaults(func=list_all)
    revoking = verbs.add_parser("revoke", help="let a key open nothing any more")
    revoking.add_argument("id", metavar="ID", type=int, help="as `key list` says")
    revoking.set_defaults(func=revoke)


def issue(options: argparse.Namespace, database: Database) -> int:
    """Issue a key and print it."""
    with database.writing() as session:
        key, _ = issue_key(
            session,
            person_by_login(session, options.login).id,
            options.scopes or ["identify", "read"],
            label=options.label,
            daily_quota=options.daily_quota,
            expires=utc_now() + timedelta(days=options.days) if options.days else None,
        )
    print(key)
    return 0


def list_all(options: argparse.Namespace, database: Database) -> int:
    """Print one line for each key."""
    with database.reading() as session:
        for key in list_keys(session, person_by_login(session, options.login).id):
            standing = "valid" if key.is_valid(utc_now()) else "revoked" if key.revoked else "expired"
            print(f"{key.id}\t{key.prefix}...\t{standing}\t{','.join(key.scopes)}\t{key.label}")
    return 0


def revoke(options: argparse.Namespace, database: Database) -> int:
    """Revoke a key."""
    with database.writing() as session:
        key = revoke_key(session, options.id)
    print(f"{key.id}\t{key.prefix}...\trevoked")
    return 0
